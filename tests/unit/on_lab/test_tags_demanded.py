# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An organization that demands a tag on all that is made (found.md H5): who makes it has the tag in the same call."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from botocore.exceptions import ClientError

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import AccessDenied, InvalidInput
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports import staging_bucket
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.staging_bucket import (
    StagingOptions,
    apply_bucket,
    plan_bucket,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_request import ImportOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.importing import plan_import, start_import
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions, SparkChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.emr_cluster import EmrCluster
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.emr_serverless import EmrServerless
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.engine import (
    Engine,
    Submission,
    tags_of,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.glue import Glue, job_arn
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.permissions import role_arn
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import preview
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.users import Uncounted
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.own_apis import tags_of_copy
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.ownership import (
    MOST_BYTES,
    MOST_TAGS,
    bytes_of,
    marks,
)
from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import outcome
from lab.client import RunningLab
from tests.unit.on_lab.callers import user_who_may
from tests.unit.on_lab.conftest import BUCKET, Crossing
from tests.unit.on_lab.emr_roles import add_default_roles
from tests.unit.on_lab.methods.direct.test_copy_job import Direct, fill, make

VERBS = "ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs"
TAGS = {"team": "data", "cost-center": "7"}
# All that TableFerry makes.
MAKING = [
    "backup:CreateBackupVault",
    "backup:CreateLogicallyAirGappedBackupVault",
    "backup:StartBackupJob",
    "dynamodb:CreateTable",
    "dynamodb:ImportTable",
    "elasticmapreduce:RunJobFlow",
    "emr-serverless:CreateApplication",
    "emr-serverless:StartJobRun",
    "glue:CreateJob",
    "iam:CreateRole",
    "kms:CreateKey",
    "ram:CreateResourceShare",
    "s3:CreateBucket",
]
DEMAND = {"Effect": "Deny", "Action": MAKING, "Resource": "*", "Condition": {"Null": {"aws:RequestTag/team": "true"}}}
SHARED = {"name": "gapped", "min_retention_days": 7, "max_retention_days": 8, "wait_timeout": 0}
MAKERS: list[tuple[str, str, dict[str, Any]]] = [
    ("record_table", "destination", {"name": "demanded"}),
    ("staging_bucket", "both", {"bucket": "demanded-bucket"}),
    ("migration_key", "both", {"purpose": "staging", "alias": "alias/demanded"}),
    ("migration_key", "both", {"purpose": "source_vault", "alias": "alias/demanded-vault"}),
    ("migration_key", "both", {"purpose": "destination_vault", "alias": "alias/demanded-vault"}),
    ("backup_role", "source", {}),
    ("backup_role", "one", {}),
    ("spark_environment", "destination", {"bucket": "demanded-bucket"}),
    ("backup_vault", "source", {"vault": "demanded"}),
    ("backup_vault", "one", {"vault": "demanded"}),
]


@pytest.fixture
def demanding(crossing: Crossing) -> Iterator[Crossing]:
    """Both accounts under the policy."""
    numbers = [crossing.lab.landscape["accounts"][side]["account_id"] for side in ("source", "destination")]
    for number in numbers:
        crossing.lab.set_control_policies(number, {"Version": "2012-10-17", "Statement": [DEMAND]})
    yield crossing
    for number in numbers:
        crossing.lab.set_control_policies(number)


def options(lab: RunningLab, side: str, **tags: str) -> dict[str, Any]:
    keys = lab.landscape["accounts"][side]
    told: dict[str, Any] = {part: keys[part] for part in ("access_key", "secret_key")}
    return {**told, "region": lab.landscape["region"], "endpoint_url": lab.endpoint_url, "tags": tags}


def run(crossing: Crossing, name: str, whose: str, more: dict[str, Any], **tags: str) -> dict[str, Any]:
    source, destination = (options(crossing.lab, side, **tags) for side in ("source", "destination"))
    arguments = {
        "both": {"source": source, "destination": destination},
        "destination": {"destination": destination},
        "source": {"account": source, "side": "source"},
        "one": {"account": destination, "side": "destination"},
    }[whose]
    verb = importlib.import_module(f"{VERBS}.{name}").VERB
    checked = ArgumentSpecValidator(verb.spec, **verb.rules).validate({**arguments, **more})
    assert not checked.error_messages
    return outcome(verb, checked.validated_parameters, check_mode=False, diff=False, progress=lambda line: None)


def tagged(crossing: Crossing, **tags: str) -> tuple[Account, Account]:
    source, destination = (
        Account(AccountSpec.from_mapping(side, options(crossing.lab, side, **tags)))
        for side in ("source", "destination")
    )
    return source, destination


def test_h5_every_make_step_has_the_tags(demanding: Crossing) -> None:
    for side in ("source", "destination"):
        demanding.lab.client("iam", side).create_service_linked_role(AWSServiceName="backup.amazonaws.com")
    for name, whose, more in MAKERS:
        refused = run(demanding, name, whose, more)
        assert refused["failed"], name
        assert "service control policy" in refused["msg"] and "If it demands tags" in refused["msg"], refused["msg"]
        assert "ferry_tags in playbooks" in refused["msg"]
        made = run(demanding, name, whose, more, **TAGS)
        assert made.get("changed"), (name, made)
        assert not run(demanding, name, whose, more, **TAGS)["changed"], name
    bucket = demanding.s3.get_bucket_tagging(Bucket="demanded-bucket")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in bucket} == {**TAGS, "tableferry:managed": "true"}
    record = demanding.lab.client("dynamodb", "destination").describe_table(TableName="demanded")["Table"]["TableArn"]
    listed = demanding.lab.client("dynamodb", "destination").list_tags_of_resource(ResourceArn=record)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in listed} == TAGS


BUCKET_ACTIONS = ["s3:Get*", "s3:ListBucket", "s3:Put*"]


@pytest.mark.parametrize(
    ("allowed", "chosen", "calls", "words"),
    [
        # As before November 2025.
        (["s3:CreateBucket"], "taken", ["CreateBucket", "CreateBucket", "PutBucketTagging"], ""),
        (["s3:CreateBucket", "s3:TagResource"], "taken", ["CreateBucket"], ""),
        (["s3:*"], "refused", ["CreateBucket", "CreateBucket", "PutBucketTagging"], ""),
        ([], "taken", ["CreateBucket", "CreateBucket"], "If a policy allows it with certain tags only"),
    ],
)  # fmt: skip
def test_a_bucket_is_made_with_and_without_the_permission_for_its_tags(
    crossing: Crossing, allowed: list[str], chosen: str, calls: list[str], words: str
) -> None:
    lab, name = crossing.lab, f"tagged-{len(allowed)}-{chosen}-{len(calls)}"
    document = {"Effect": "Allow", "Action": [*BUCKET_ACTIONS, *allowed], "Resource": "*"}
    keys = user_who_may(
        lab.client("iam", "destination"), name, json.dumps({"Version": "2012-10-17", "Statement": [document]})
    )
    lab.advance(60)
    lab.choose_behaviours({"s3.tags_when_created": chosen})
    account = Account(AccountSpec.from_mapping("destination", options(lab, "destination", **TAGS) | keys))
    plan = plan_bucket(account, StagingOptions(name, crossing.source.principal_arn))
    lab.clear_requests()
    if words:
        with pytest.raises(AccessDenied) as denied:
            apply_bucket(plan, Uncounted(), sleep=lambda seconds: None)
        assert words in denied.value.next_step and "ferry_tags" in denied.value.next_step
        assert "docs/permissions/<method>-destination.json" in denied.value.next_step
    else:
        apply_bucket(plan, Uncounted(), sleep=lambda seconds: None)
        tagging = crossing.s3.get_bucket_tagging(Bucket=name)["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tagging} == {**TAGS, "tableferry:managed": "true"}
    lab.choose_behaviours({"s3.tags_when_created": "taken"})
    made = [call["operation"] for call in lab.mutating_calls()]
    assert made[: len(calls)] == calls and "PutBucketTagging" not in made[len(calls) :]


def test_a_bucket_is_made_by_an_sdk_that_knows_no_tags_there(crossing: Crossing, monkeypatch: Any) -> None:
    monkeypatch.setattr(staging_bucket, "_takes_tags", lambda account: False)
    plan = plan_bucket(crossing.destination, StagingOptions("tagged-later", crossing.source.principal_arn))
    apply_bucket(plan, Uncounted(), sleep=lambda seconds: None)
    assert plan_bucket(crossing.destination, plan.options).ours


def test_h5_an_air_gapped_vault_and_its_share_have_the_tags(demanding: Crossing) -> None:
    refused = run(demanding, "backup_air_gapped_vault", "both", SHARED)
    assert "If it demands tags" in refused["msg"]
    for _step in range(3):  # the vault, its share, and what the destination sees of it: each takes its time
        run(demanding, "backup_air_gapped_vault", "both", SHARED, **TAGS)
        demanding.lab.advance(200)
    share = demanding.lab.client("ram", "source").get_resource_shares(resourceOwner="SELF")["resourceShares"][0]
    assert {tag["key"]: tag["value"] for tag in share["tags"]} == {**TAGS, "tableferry:managed": "true"}


def test_h5_a_direct_copy_is_created_with_its_sources_tags(demanding: Crossing, hurry: Any, tmp_path: Path) -> None:
    demanding.lab.set_control_policies(demanding.source.account_id)  # the user's tables were there before
    make(demanding, "company", Tags=[{"Key": key, "Value": value} for key, value in TAGS.items()])
    make(demanding, "bare")
    fill(demanding, "company", [{"id": {"S": "1"}}])
    jobs = Direct(demanding, tmp_path).go(hurry, "company", verify="full")
    assert jobs[0].state == "completed", jobs[0].failure
    failed = Direct(demanding, tmp_path).go(hurry, "bare")[0]
    assert failed.state == "failed" and "those of its source table" in failed.failure["next_step"], failed.failure


def test_h5_an_import_takes_no_tags_and_that_is_said_before_and_after(demanding: Crossing) -> None:
    demanding.lab.set_control_policies(demanding.source.account_id)
    demanding.table("imported")
    job = demanding.export("imported")
    with pytest.raises(AccessDenied) as refused:
        plan = plan_import(
            demanding.source,
            demanding.destination,
            ImportOptions("imported", bucket=BUCKET, source_table="imported", export=job),
        )
        start_import(demanding.destination, plan)
    assert "ImportTable" in refused.value.cause and "Use the method direct" in refused.value.next_step
    for tags, warned in (({}, False), (TAGS, True)):
        source, destination = tagged(demanding, **tags)
        foreseen = preview(source, destination, MigrationOptions("imported", method="s3", bucket=BUCKET))
        assert any("ImportTable takes no tags" in text for text in foreseen.warnings) == warned


def test_h5_what_cannot_be_carried_is_left_out_of_the_call() -> None:
    mark = marks("m", "arn:aws:dynamodb:eu-west-1:111111111111:table/orders")
    many = {f"k{number:02}": "v" * 200 for number in range(MOST_TAGS)} | {"tableferry:copy": "of another one"}
    made = tags_of_copy(many, mark, {"tableferry:nonce": "-" * 32})
    assert mark.items() <= made.items() and "tableferry:copy" not in made
    assert len(made) == MOST_TAGS - 2  # room for the nonce and for the mark of a complete copy
    assert bytes_of(made) < MOST_BYTES


def submission(account: Account) -> Submission:
    """A run of the Spark job as the role of the environment, whose script is never read here."""
    return Submission(
        run="0123456789" * 4,
        table="orders",
        migration_id="default",
        plan=f"s3://{BUCKET}/plan.json",
        script=f"s3://{BUCKET}/script.py",
        package=f"s3://{BUCKET}/package.zip",
        logs=f"s3://{BUCKET}/logs/",
        role_arn=role_arn(account),
        policy=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}),
        choices=SparkChoices(),
        tags=tags_of(account, "default"),
    )


@pytest.mark.parametrize("engine", [Glue(), EmrServerless(), EmrCluster()], ids=lambda engine: engine.name)
def test_what_runs_spark_has_the_tags(demanding: Crossing, engine: Engine) -> None:
    run(demanding, "spark_environment", "destination", {"bucket": BUCKET}, **TAGS)
    add_default_roles(demanding.lab)
    _source, bare = tagged(demanding)
    _source, account = tagged(demanding, **TAGS)
    demanding.lab.advance(60)
    with pytest.raises(ClientError) as refused:
        engine.begin(bare, engine.request(submission(bare), engine.place(bare, submission(bare))))
    words = account.explain(refused.value, "starting a run").next_step
    assert "service control policy" in words and "ferry_tags in playbooks" in words
    scope = engine.place(account, submission(account))
    demanding.lab.advance(60)
    run_id = engine.begin(account, engine.request(submission(account), scope))
    with suppress(ClientError):  # it may have failed already: there is no script
        engine.stop(account, scope, run_id)
    wanted = {**TAGS, "tableferry:managed": "true", "tableferry:migration": "default"}
    clients = {name: demanding.lab.client(name, "destination") for name in ("glue", "emr-serverless", "emr")}
    if engine.name == "glue":
        assert clients["glue"].get_tags(ResourceArn=job_arn(account, scope))["Tags"] == wanted
    elif engine.name == "emr_serverless":
        application = clients["emr-serverless"].get_application(applicationId=scope)["application"]
        job_run = clients["emr-serverless"].get_job_run(applicationId=scope, jobRunId=run_id)["jobRun"]
        assert application["tags"] == job_run["tags"] == wanted
    else:
        described = clients["emr"].describe_cluster(ClusterId=run_id)["Cluster"]["Tags"]
        made = {tag["Key"]: tag["Value"] for tag in described}
        assert made == {**wanted, "tableferry:run": submission(account).run}
    assert engine.place(bare, submission(bare)) == scope  # what is there is used as it is


@pytest.mark.parametrize(
    "tags", [{"aws:team": "x"}, {"tableferry:managed": "x"}, {"team": 7}, {"k" * 129: "x"}, {"k": "v" * 257}, ["team"],
             {str(number): "" for number in range(41)}],
)  # fmt: skip
def test_tags_that_aws_would_refuse_are_refused_before(tags: Any) -> None:
    with pytest.raises(InvalidInput, match="tag"):
        AccountSpec.from_mapping("source", {"region": "eu-west-1", "tags": tags})
