# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables that go by the method glue: export, a real Spark job of the lab's Glue, verification."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import CollidingKeys, SparkJobFailed
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem, WaitResult
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark import engines, spark_job
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.engine import Request
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.permissions import ROLE
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import Migration, judge, start
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import record_table
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.clock import AwsClock
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.process import Process
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.run import Run
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.store import RecordStore
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.claiming import Records
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import choices_of
from demo.tables import on_demand
from lab.client import running
from lab.identity import Role
from lab.landscape import DESTINATION
from lab.spark.engine import ENGINES
from tests.unit.on_lab.conftest import BUCKET, Crossing, hurried


@pytest.fixture(scope="module", autouse=True)
def spark() -> None:
    """Spark on this machine; without it the tests are left out, in continuous integration never."""
    reason = ENGINES[0].why_not()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"spark {ENGINES[0].version}: {reason}")
    if reason:
        pytest.skip(f"spark {ENGINES[0].version}: {reason}")


class Glue(Crossing):
    """A lab with the ``role`` of the job."""

    role: Role


def with_role(crossing: Glue) -> None:
    """The job's role, as the role destination_account leaves it."""
    services = ["glue.amazonaws.com", "emr-serverless.amazonaws.com"]
    trust = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
    role = crossing.lab.world.identity.add_role(
        DESTINATION, ROLE, json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    arn = f"arn:aws:s3:::{BUCKET}"
    role.inline["job"] = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"{arn}/tableferry/*"},
                {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": arn},
                {
                    "Effect": "Allow",
                    "Action": ["dynamodb:DescribeTable", "dynamodb:BatchWriteItem"],
                    "Resource": "arn:aws:dynamodb:*:*:table/*",
                },
            ],
        }
    )
    crossing.role = role


@pytest.fixture(scope="module")
def glue() -> Iterator[Glue]:
    """A lab with the job's role."""
    with running(scale=0.0) as lab:
        crossing = Glue(lab)
        with_role(crossing)
        yield crossing


class Playbook:
    """One run of the playbook, by the process ``pid`` of a host."""

    def __init__(self, glue: Glue, pid: int = 1) -> None:
        self.glue, self.pid = glue, pid
        self.source, self.destination = glue.account("source"), glue.account("destination")
        clock = AwsClock()
        client = self.destination.client("dynamodb")
        clock.watch(client)
        table = record_table.find_or_create(client, "tableferry", clock=time.monotonic, sleep=time.sleep)
        self.store = RecordStore(client, table)
        process = Process("ann", "here", "boot", "ns", pid, f"start-{pid}")
        self.run = Run.join(self.store, clock, process, start_of=lambda other: f"start-{other}" if other == pid else "")

    def start(self, table: str, **options: Any) -> Migration:
        chosen = MigrationOptions(table, **{"method": "glue", "bucket": BUCKET, **options})
        return start(self.source, self.destination, chosen, Records(self.store, lambda: self.run))

    def wait(self, table: str, migration: Migration, **more: Any) -> WaitResult:
        first, *others = (Job.from_dict(part.to_dict()) for part in (migration.job, *migration.then))
        record = Tracking(self.run, table)
        return hurried([WaitItem("it", self.source, self.destination, first, tuple(others), record)], **more)

    def migrate(self, table: str, **options: Any) -> Judgement:
        return self.judged(table, self.wait(table, self.start(table, **options)))

    def judged(self, table: str, waited: WaitResult) -> Judgement:
        self.waited = waited
        record = Tracking(self.run, table)
        try:
            return judge(table, self.source, self.destination, waited.ways["it"], record=record, sleep=time.sleep)
        finally:
            self.run.end()


def test_a_table_goes_by_glue(glue: Glue) -> None:
    by_n = {
        "IndexName": "by-n",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    shape = on_demand(("id", "S"), ("sk", "S"))
    shape["AttributeDefinitions"].append({"AttributeName": "n", "AttributeType": "N"})
    items = [
        {"id": {"S": f"{number % 40}"}, "sk": {"S": f"{number}"}, "n": {"N": f"{number}.50"}} for number in range(90)
    ]
    glue.table("orders", items, **shape, LocalSecondaryIndexes=[by_n])
    playbook = Playbook(glue)
    judged = playbook.migrate("orders")
    assert judged.failure is None
    assert (judged.status, judged.verified) == ("migrated", "counts")
    assert judged.items_source == judged.items_destination == 90
    assert glue.items("destination", "orders") == glue.items("source", "orders")
    assert [index["IndexName"] for index in glue.described("orders")["LocalSecondaryIndexes"]] == ["by-n"]
    name = playbook.waited.ways["it"][1].request["run"]["scope"]
    (run,) = runs(glue, name)
    assert set(run["Arguments"]) == {"--plan", "--run"}  # they stand in logs
    assert json.loads(run["ExecutionRoleSessionPolicy"])["Statement"][3]["Resource"] == [
        glue.destination.table_arn("orders")
    ]
    again = Playbook(glue, 2).migrate("orders")
    assert (again.failure, again.status) == (None, "migrated")
    assert len(runs(glue, name)) == 1  # nothing was begun


def runs(glue: Glue, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = glue.lab.client("glue", "destination").get_job_runs(JobName=name)["JobRuns"]
    return found


STEPS = [
    {"keep_if": "n >= :few"},
    {"hash": {"attributes": ["mail"], "salt_from": "env:FERRY_SALT"}},
    {"rename": {"n": "amount"}},
    {"set": {"id": "TENANT#{id}"}},
]


def test_items_change_on_the_way_and_a_run_that_failed_is_gone_on_with(
    glue: Glue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERRY_SALT", "salt")
    items = [{"id": {"S": f"{number}"}, "n": {"N": f"{number}"}, "mail": {"S": f"{number}@x"}} for number in range(30)]
    glue.table("people", items)
    transform = choices_of(STEPS, values={":few": {"N": "10"}})
    policy = glue.role.inline.pop("job")
    first = Playbook(glue, 3).migrate("people", transform=transform)
    assert first.failure is not None
    assert (first.status, type(first.failure)) == ("failed", SparkJobFailed)
    assert "goes on with the files that are left" in first.failure.next_step
    glue.role.inline["job"] = policy
    playbook = Playbook(glue, 4)
    judged = playbook.migrate("people", transform=transform)
    assert judged.failure is None
    assert (judged.items_source, judged.items_destination) == (30, 20)
    assert "10 of 30 items were kept out" in judged.reason
    digest = hmac.new(b"salt", b"12@x", hashlib.sha256).hexdigest()
    item = {"id": {"S": "TENANT#12"}, "amount": {"N": "12"}, "mail": {"S": digest}}
    assert item in glue.items("destination", "people")
    left = glue.s3.list_objects_v2(Bucket=BUCKET, Prefix="tableferry/spark/")["Contents"]
    assert [each["Key"] for each in left if each["Key"].endswith("plan.json")] == []  # they have the salt
    assert "c2FsdA" not in json.dumps(playbook.waited.ways["it"][1].to_dict())


def test_keys_that_collide_are_refused_before_anything_is_written(glue: Glue) -> None:
    glue.table("doubles", [{"id": {"S": f"{number}"}, "half": {"S": "h"}} for number in range(6)])
    steps = [{"replace": {"id": ["[0-9]", "x"]}}]
    judged = Playbook(glue, 7).migrate("doubles", transform=choices_of(steps))
    assert isinstance(judged.failure, CollidingKeys)
    assert glue.items("destination", "doubles") == []


def test_a_table_goes_by_emr_serverless(glue: Glue) -> None:
    glue.table("events")
    playbook = Playbook(glue, 8)
    judged = playbook.migrate("events", method="emr")
    assert not judged.failure, judged.reason
    assert (judged.status, judged.verified, judged.items_destination) == ("migrated", "counts", 100)
    assert glue.items("destination", "events") == glue.items("source", "events")
    again = Playbook(glue, 9).migrate("events", method="emr")
    assert (again.failure, again.status) == (None, "migrated")
    scope = playbook.waited.ways["it"][1].request["run"]["scope"]
    runs = glue.lab.client("emr-serverless", "destination").list_job_runs(applicationId=scope)["jobRuns"]
    assert [run["state"] for run in runs] == ["SUCCESS"]


@pytest.mark.parametrize("arguments", ["present", "missing"])
def test_a_run_whose_answer_was_lost_is_found_and_not_begun_again(
    glue: Glue, arguments: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = f"lost-{arguments}"
    glue.table(table)
    glue.lab.choose_behaviours({"glue.arguments_in_answers": arguments})
    begin, begun = engines.Glue.begin, []

    def losing(engine: engines.Glue, account: Account, request: Request) -> str:
        begun.append(begin(engine, account, request))
        raise ReadTimeoutError(endpoint_url="https://glue")

    monkeypatch.setattr(engines.Glue, "begin", losing)
    playbook = Playbook(glue, 10 if arguments == "present" else 11)
    judged = playbook.migrate(table)
    assert not judged.failure, judged.reason
    assert glue.items("destination", table) == glue.items("source", table)
    job = playbook.waited.ways["it"][1]
    assert begun == [job.arn]
    assert job.arn in [run["Id"] for run in runs(glue, job.request["run"]["scope"])]


def test_a_run_whose_job_somebody_deleted_counts_as_stopped(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_job, "LISTED", 2)
    glue.table("deleted")
    begin = engines.Glue.begin

    def deleting(engine: engines.Glue, account: Account, request: Request) -> str:
        run = begin(engine, account, request)
        glue.lab.client("glue", "destination").delete_job(JobName=request.scope)
        return run

    monkeypatch.setattr(engines.Glue, "begin", deleting)
    failed = Playbook(glue, 20).migrate("deleted").failure
    assert isinstance(failed, SparkJobFailed)
    assert "AWS does not know the run any more" in failed.cause
