# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole migrations on a lab, playbook after playbook, by callers who may what a policy says or everything.

The lab records which permissions each phase needed. Policies are generated from that, and held to it: a rehearsal under
exactly these policies must need exactly the same.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.ready_policies import parts
from demo.seed import RETRIES, make_key, make_tables
from demo.tables import DemoTable, capacity, index, numbered, on_demand, recovery, time_to_live
from lab.client import LabClient, spawn
from lab.permission_log import Permission

ROOT = Path(__file__).resolve().parents[1]
USER, POLICY = "ferry-caller", "tableferry"
STEPS_ROLE = "ferry-steps"  # of the user's own, which the instances of a cluster may assume
CHANGED = {"ferry_transform": [{"drop": ["debug"]}]}
# Neither of them is needed to tell two items apart, which nobody can see from the steps: the job looks at all keys.
COLLIDING = {
    "ferry_transform": [{"keep_if": "attribute_type(n, :number)"}, {"set": {"id": "{id}#{n}"}}],
    "ferry_transform_values": {":number": {"S": "N"}},
    "ferry_on_collision": "any",
}
# The variables of each way that has policies of its own.
WAYS: Mapping[str, Mapping[str, Any]] = {
    "s3": {"ferry_method": "s3"},
    "direct": {"ferry_method": "direct"},
    "backup": {"ferry_method": "backup"},
    "glue": {"ferry_method": "glue", **CHANGED},
    "emr": {"ferry_method": "emr", **CHANGED},
    "emr-cluster": {"ferry_method": "emr", **CHANGED},
}
SIDES = ("source", "destination")
AT_ONCE = (
    4  # rehearsals: more make a machine with two cores so slow that what is a minute old for AWS is not new any more
)
STREAM = "permitted-stream"
BUCKET = "tableferry-permitted"
TIMINGS = {"export.full": 2.0, "import.visible": 0.5, "import.creating": 0.5, "import.completing": 0.2}

Document = Mapping[str, Any]
EVERYTHING: Document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
NOTHING: Document = {"Version": "2012-10-17", "Statement": []}


@dataclass(frozen=True)
class Step:
    """A run of a playbook. ``phase`` stands for it in the log of permissions, ``ends`` is its exit status."""

    playbook: str
    options: tuple[str, ...] = ()
    phase: str = ""
    ends: tuple[int, ...] = (0,)


# The first migration ends before its jobs do, the second goes on, the third finds everything done.
STEPS = (
    Step("plan"),
    Step("migrate", ("-e", "ferry_wait_timeout=1"), ends=(0, 2)),
    Step("migrate"),
    Step("migrate"),
    Step("status"),
    Step("verify"),
    Step("verify", ("-e", "ferry_repair=true", "-e", "ferry_delete_extra=true"), "repair"),
    # Once with a bucket that stays, where a copy of the report goes.
    Step("cleanup", ("-e", "ferry_remove_bucket=false")),
    Step("cleanup"),
)


@dataclass(frozen=True)
class Scene:
    """A lab with its callers, a key of each side, and a folder for what runs write."""

    lab: LabClient
    folder: Path
    users: Mapping[str, Mapping[str, str]]
    keys: Mapping[str, str]

    def permissions(self) -> list[Permission]:
        """What the callers of both sides needed so far."""
        rows = [row for side in self.users for row in self.lab.permissions(self.users[side]["arn"])]
        return [Permission(**{**row, "conditions": tuple(map(tuple, row["conditions"]))}) for row in rows]

    def variables(self, **more: Any) -> dict[str, Any]:
        """The inventory's variables for all tables."""
        region, endpoint = self.lab.landscape["region"], self.lab.endpoint_url
        sides = {
            f"ferry_{side}": {
                "access_key": self.users[side]["access_key"],
                "secret_key": self.users[side]["secret_key"],
                "region": region,
                "endpoint_url": endpoint,
            }
            for side in SIDES
        }
        files = {
            "ferry_plan_path": str(self.folder / "plan.json"),
            "ferry_report_dir": str(self.folder / "report"),
            "ferry_checkpoint_dir": str(self.folder / "checkpoints"),
            "ferry_differences_dir": str(self.folder / "differences"),
        }
        choices = {
            "ferry_staging_bucket": BUCKET,
            "ferry_migration_id": "permitted",
            "ferry_kms_key_map": {self.keys["source"]: self.keys["destination"]},
            "ferry_kinesis_map": {stream_arn(self.lab, "source"): stream_arn(self.lab, "destination")},
            "ferry_verify": "sample",
            "ferry_disable_point_in_time_recovery": True,
            "ferry_remove_recovery_points": True,
            "ferry_remove_record": True,
            "ferry_remove_bucket": True,
            "ferry_safe_mode": False,
        }
        return {**sides, **files, **choices, **more}

    def write_inventory(self, hosts: Mapping[str, Mapping[str, Any]], **variables: Any) -> None:
        """The inventory of the next playbooks."""
        content = {"dynamodb_tables": {"vars": self.variables(**variables), "hosts": dict(hosts)}}
        (self.folder / "inventory.yml").write_text(yaml.safe_dump(content))

    def play(self, step: Step, playbook: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """A run over the inventory, of another ``playbook`` if that is given; its output goes to a file too."""
        environment = {
            **os.environ,
            **environment,
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "generate" / "callbacks"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "TABLEFERRY_LAB_URL": self.lab.endpoint_url,
            "TABLEFERRY_LAB_PHASE": step.phase or step.playbook,
        }
        name = playbook or f"tableferry.aws.{step.playbook}"
        command = ["ansible-playbook", name, "-i", str(self.folder / "inventory.yml"), *step.options]
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        with (self.folder / f"{step.phase or step.playbook}.log").open("a") as log:
            log.write(done.stdout + done.stderr)
        return done


@dataclass(frozen=True)
class Rehearsal:
    """What came of the playbooks: the permissions that they needed, and the output of those that failed."""

    needed: Sequence[Permission]
    failed: str = ""

    @property
    def denied(self) -> list[str]:
        """What was refused, once each."""
        return sorted({f"{row.action} on {row.resource_arn}" for row in self.needed if not row.allowed})


@contextmanager
def scene(folder: Path, policies: Mapping[str, Document] | None = None) -> Iterator[Scene]:
    """A lab with a caller on each side who may what ``policies`` says of the side, or everything."""
    with spawn(scale=0.01, timings=TIMINGS, log=folder / "lab.log") as lab:
        users = {side: _user(lab, side) for side in SIDES}
        keys = {side: make_key(lab, side) for side in SIDES}
        made = Scene(lab, folder, users, keys)
        for side in SIDES:
            let(lab, side, policies[side] if policies else EVERYTHING)
        management = lab.client("backup", "management", retries=RETRIES)
        management.update_global_settings(GlobalSettings={"isCrossAccountBackupEnabled": "true"})
        yield made


def rehearse(way: str, folder: Path, policies: Mapping[str, Document] | None = None) -> Rehearsal:
    """Tables with every setting moved by a way, looked at, compared and cleaned up after."""
    with scene(folder, policies) as stage:
        shapes = tables(stage, "permitted-rich", "permitted-scaled")
        hosts: dict[str, Mapping[str, Any]] = {table.name: {} for table in shapes}
        if way in ("glue", "emr"):
            shapes.append(DemoTable("permitted-colliding", on_demand(("id", "S")), numbered))
            hosts["permitted-colliding"] = COLLIDING
        seed(stage, shapes)
        more = {}
        if way == "emr-cluster":
            role, cluster = make_cluster(stage.lab)
            # One by a cluster of its own, whose step runs as its instances, one by a step that takes a role.
            more = {"ferry_spark": {"engine": "cluster"}}
            hosts["permitted-scaled"] = {"ferry_spark": {"engine": "cluster", "role_arn": role, "cluster_id": cluster}}
        stage.write_inventory(hosts, **WAYS[way], **more)
        failed = ""
        for step in STEPS:
            if step.phase == "repair":
                damage(stage, shapes[0].name)
            run = stage.play(step)
            if run.returncode not in step.ends:
                failed = run.stdout[-4000:] + run.stderr[-2000:]
                break
        return Rehearsal(stage.permissions(), failed)


def rehearse_roles(folder: Path, policies: Mapping[str, Mapping[str, Document]] | None = None) -> Rehearsal:
    """Every role by itself, under the policies of its name and the sides, or everything; its phase is its name."""
    with scene(folder) as stage:
        rich, scaled = tables(stage, "alone-s3", "alone-direct")
        plain = on_demand(("id", "S"))
        others = [
            # Empty, and without point-in-time recovery.
            DemoTable("alone-empty", plain),
            DemoTable("alone-backup", rich.create, numbered),
            DemoTable("moved-s3", rich.create, numbered),
            DemoTable("moved-direct", plain, numbered),
            DemoTable("moved-backup", rich.create, numbered),
            DemoTable("moved-glue", rich.create, numbered),
            DemoTable("moved-emr", plain, numbered),
        ]
        seed(stage, [rich, scaled, *others])
        hosts = {table.name: table.name.partition("-")[2] for table in (rich, scaled, *others)}
        inventory: dict[str, dict[str, Any]] = {name: {"ferry_method": method} for name, method in hosts.items()}
        inventory["alone-empty"]["ferry_method"] = "s3"
        inventory["alone-direct"]["apply_table_settings_table_id"] = ""  # no job has it
        stage.write_inventory(inventory)
        environment = {}
        if policies is not None:
            plays = folder / "policies.json"
            plays.write_text(json.dumps({"landscape": dict(stage.lab.landscape), "policies": policies}))
            environment["TABLEFERRY_LAB_POLICIES"] = str(plays)
        run = stage.play(Step("roles"), str(ROOT / "generate" / "roles_alone.yml"), **environment)
        return Rehearsal(stage.permissions(), run.stdout[-6000:] + run.stderr[-3000:] if run.returncode else "")


def rehearse_all(
    folder: Path,
    policies: Mapping[str, Mapping[str, Document]] | None = None,
    roles: Mapping[str, Mapping[str, Document]] | None = None,
) -> dict[str, Rehearsal]:
    """A rehearsal of each way, and ``roles``: at the same time, as they mostly wait."""
    work: dict[str, Callable[[Path], Rehearsal]] = {
        way: partial(rehearse, way, policies=policies[way] if policies else None) for way in WAYS
    }
    work["roles"] = partial(rehearse_roles, policies=roles)
    for name in work:
        (folder / name).mkdir()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        started = {name: pool.submit(rehearsing, folder / name) for name, rehearsing in work.items()}
        return {name: each.result() for name, each in started.items()}


def let(lab: LabClient, side: str, document: Document) -> None:
    """Let the caller of ``side`` do what ``document`` says from now on."""
    attach(lab, side, parts(dict(document)))


def attach(lab: LabClient, side: str, documents: Iterable[Document]) -> None:
    """Let the caller of ``side`` do what ``documents`` say from now on, each a managed policy."""
    iam = lab.client("iam", side, retries=RETRIES)
    for attached in iam.list_attached_user_policies(UserName=USER)["AttachedPolicies"]:
        iam.detach_user_policy(UserName=USER, PolicyArn=attached["PolicyArn"])
    # Managed: inline ones of a user hold 2,048 characters. They are made for each document, and stay.
    for each in documents:
        managed = iam.create_policy(PolicyName=f"{POLICY}-{uuid4()}", PolicyDocument=json.dumps(each))["Policy"]
        iam.attach_user_policy(UserName=USER, PolicyArn=managed["Arn"])


def damage(stage: Scene, name: str) -> None:
    """Change an item of the copy, take one away and add one."""
    dynamodb = stage.lab.client("dynamodb", "destination", retries=RETRIES)
    dynamodb.put_item(TableName=name, Item={"id": {"S": "item-001"}, "n": {"N": "0"}})
    dynamodb.delete_item(TableName=name, Key={"id": {"S": "item-002"}})
    dynamodb.put_item(TableName=name, Item={"id": {"S": "item-more"}})


def tables(stage: Scene, rich: str, scaled: str) -> list[DemoTable]:
    """Two tables that have every setting between them."""
    encrypted = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": stage.keys["source"]}
    return [
        DemoTable(
            rich,
            on_demand(
                ("id", "S"),
                indexes=[index("all", "other", "", {"ProjectionType": "ALL"})],
                StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
                Tags=[{"Key": "team", "Value": "shop"}],
                WarmThroughput={"ReadUnitsPerSecond": 13000, "WriteUnitsPerSecond": 4000},
                DeletionProtectionEnabled=True,
                SSESpecification=encrypted,
            ),
            numbered,
            {"update_time_to_live": time_to_live("end"), "update_continuous_backups": recovery(35)},
        ),
        DemoTable(
            scaled,
            {
                **on_demand(("id", "S"), indexes=[index("all", "other", "", {"ProjectionType": "ALL"}, 5)]),
                "BillingMode": "PROVISIONED",
                "ProvisionedThroughput": capacity(5),
                "SSESpecification": encrypted,
            },
            numbered,
            scaled=True,
        ),
    ]


def seed(stage: Scene, shapes: Sequence[DemoTable]) -> None:
    """Make the tables in the source, the first with insights, a Kinesis stream and policies too, scaled ones with a
    scheduled action."""
    lab, name = stage.lab, shapes[0].name
    for side in SIDES:
        lab.client("kinesis", side, retries=RETRIES).create_stream(StreamName=STREAM, ShardCount=1)
    make_tables(lab, "source", shapes)
    dynamodb = lab.client("dynamodb", "source", retries=RETRIES)
    for more in ({}, {"IndexName": "all"}):
        dynamodb.update_contributor_insights(TableName=name, ContributorInsightsAction="ENABLE", **more)
    dynamodb.enable_kinesis_streaming_destination(TableName=name, StreamArn=stream_arn(lab, "source"))
    table = dynamodb.describe_table(TableName=name)["Table"]
    for action, arn in (("GetItem", table["TableArn"]), ("DescribeStream", table["LatestStreamArn"])):
        dynamodb.put_resource_policy(ResourceArn=arn, Policy=_readers(f"dynamodb:{action}", arn))
    for shape in shapes:
        if shape.scaled:
            _schedule(lab, shape.name)
    lab.advance(3600)


def stream_arn(lab: LabClient, side: str) -> str:
    """The Kinesis stream of a side."""
    account = lab.landscape["accounts"][side]["account_id"]
    return f"arn:aws:kinesis:{lab.landscape['region']}:{account}:stream/{STREAM}"


def _schedule(lab: LabClient, name: str) -> None:
    lab.client("application-autoscaling", "source", retries=RETRIES).put_scheduled_action(
        ServiceNamespace="dynamodb",
        ScheduledActionName="night",
        ResourceId=f"table/{name}",
        ScalableDimension="dynamodb:table:ReadCapacityUnits",
        Schedule="cron(0 2 * * ? *)",
        ScalableTargetAction={"MinCapacity": 5, "MaxCapacity": 10},
    )


def _readers(action: str, resource: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": "333333333333"}, "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def make_cluster(lab: LabClient) -> tuple[str, str]:
    """The user's own role for steps, and a cluster in the destination that waits for them: ARN and id. The roles of
    EMR are there too, as ``aws emr create-default-roles`` makes them."""
    iam, emr = (lab.client(name, "destination", retries=RETRIES) for name in ("iam", "emr"))
    account = lab.landscape["accounts"]["destination"]["account_id"]
    made = {}
    for name, trusted in (
        ("EMR_DefaultRole", {"Service": "elasticmapreduce.amazonaws.com"}),
        ("EMR_EC2_DefaultRole", {"Service": "ec2.amazonaws.com"}),
        (STEPS_ROLE, {"AWS": f"arn:aws:iam::{account}:role/EMR_EC2_DefaultRole"}),
    ):
        actions = ["sts:AssumeRole", "sts:TagSession"] if "AWS" in trusted else "sts:AssumeRole"
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": trusted, "Action": actions}]}
        made[name] = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(EVERYTHING))
    iam.create_instance_profile(InstanceProfileName="EMR_EC2_DefaultRole")
    iam.add_role_to_instance_profile(InstanceProfileName="EMR_EC2_DefaultRole", RoleName="EMR_EC2_DefaultRole")
    runtime = {"AuthorizationConfiguration": {"IAMConfiguration": {"EnableApplicationScopedIAMRole": True}}}
    emr.create_security_configuration(Name="runtime", SecurityConfiguration=json.dumps(runtime))
    lab.advance(60)
    cluster = emr.run_job_flow(
        Name="permitted",
        ReleaseLabel="emr-7.14.0",
        Applications=[{"Name": "Spark"}],
        Instances={"MasterInstanceType": "m6g.xlarge", "InstanceCount": 3, "KeepJobFlowAliveWhenNoSteps": True},
        SecurityConfiguration="runtime",
        ServiceRole="EMR_DefaultRole",
        JobFlowRole="EMR_EC2_DefaultRole",
    )
    return made[STEPS_ROLE], cluster["JobFlowId"]


def _user(lab: LabClient, side: str) -> dict[str, str]:
    iam = lab.client("iam", side, retries=RETRIES)
    arn = iam.create_user(UserName=USER)["User"]["Arn"]
    key = iam.create_access_key(UserName=USER)["AccessKey"]
    return {"arn": arn, "access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}
