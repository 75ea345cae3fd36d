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
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.data_plane import ItemChoices
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
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import LOOK
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


HARMLESS = [{"replace": {"id": ["[x]", "y"]}}]  # no two items become one, but that shows only when one looks
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
    assert judged.notes == ("transformed: 30 items read, 10 kept out by step 1 (keep_if), 20 written",)
    digest = hmac.new(b"salt", b"12@x", hashlib.sha256).hexdigest()
    item = {"id": {"S": "TENANT#12"}, "amount": {"N": "12"}, "mail": {"S": digest}}
    assert item in glue.items("destination", "people")
    left = glue.s3.list_objects_v2(Bucket=BUCKET, Prefix="tableferry/spark/")["Contents"]
    assert [each["Key"] for each in left if each["Key"].endswith("plan.json")] == []  # they have the salt
    assert "c2FsdA" not in json.dumps(playbook.waited.ways["it"][1].to_dict())


def tables(glue: Glue) -> list[str]:
    names: list[str] = glue.lab.client("dynamodb", "destination").list_tables()["TableNames"]
    return names


def all_runs(glue: Glue, state: str = "") -> list[str]:
    """The ids of the runs of all jobs, those in ``state``."""
    jobs = glue.lab.client("glue", "destination").get_jobs()["Jobs"]
    return [run["Id"] for job in jobs for run in runs(glue, job["Name"]) if state in ("", run["JobRunState"])]


def test_keys_that_collide_are_refused_before_the_table_is_made(glue: Glue, tmp_path: Path) -> None:
    glue.table("doubles", [{"id": {"S": f"{number}"}, "half": {"S": "h"}} for number in range(6)])
    path = tmp_path / "refused.jsonl"
    chosen = {
        "transform": choices_of([{"replace": {"id": ["[0-3]", "x"]}}]),
        "items": ItemChoices(refused_path=str(path)),
    }
    before = all_runs(glue)
    playbook = Playbook(glue, 7)
    judged = playbook.migrate("doubles", **chosen)
    assert isinstance(judged.failure, CollidingKeys)
    assert judged.failure.status == "refused"
    assert "gives one key to several items each: 3 of 6 items" in judged.reason
    assert "doubles" not in tables(glue)
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["key"] == {"id": {"S": "x"}}
    assert sorted(source["id"]["S"] for source in json.loads(line)["sources"]) == ["0", "1", "2", "3"]
    look = playbook.waited.ways["it"][1]
    assert look.kind == "spark_look"
    assert '{"S": "x"}' not in json.dumps([job.to_dict() for job in playbook.waited.ways["it"]])
    (run,) = set(all_runs(glue)) - set(before)
    assert run in all_runs(glue, "SUCCEEDED")  # nothing went wrong on the side of AWS
    policy = runs(glue, look.request["run"]["scope"])[0]["ExecutionRoleSessionPolicy"]
    assert "dynamodb:" not in policy

    path.unlink()
    again = Playbook(glue, 70)
    refused = again.migrate("doubles", **chosen)
    assert isinstance(refused.failure, CollidingKeys)
    assert (refused.reason, path.exists()) == (judged.reason, True)
    assert len(all_runs(glue)) == len(before) + 1  # what was found is known, and nothing is billed again
    assert "it" not in again.waited.changed

    chosen["transform"] = choices_of([{"replace": {"id": ["[x]", "y"]}}])
    playbook = Playbook(glue, 71)
    corrected = playbook.migrate("doubles", **chosen)
    assert not corrected.failure, corrected.reason
    assert (corrected.items_destination, len(all_runs(glue))) == (6, len(before) + 3)  # looked at, then written
    assert [job.kind for job in playbook.waited.ways["it"]][:3] == ["export", "spark_look", "spark_job"]
    left = glue.s3.list_objects_v2(Bucket=BUCKET, Prefix="tableferry/spark/")["Contents"]
    assert [
        each["Key"] for each in left if "/work/" in each["Key"] and each["Key"].endswith(("plan.json", "intended.json"))
    ] == []


def test_a_look_whose_answer_was_lost_is_found_and_not_begun_again(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> None:
    glue.table("lost-look")
    begin, begun = engines.Glue.begin, []

    def losing(engine: engines.Glue, account: Account, request: Request) -> str:
        begun.append(begin(engine, account, request))
        if len(begun) == 1:
            raise ReadTimeoutError(endpoint_url="https://glue")
        return begun[-1]

    monkeypatch.setattr(engines.Glue, "begin", losing)
    playbook = Playbook(glue, 72)
    judged = playbook.migrate("lost-look", transform=choices_of(HARMLESS))
    assert not judged.failure, judged.reason
    assert begun == [job.arn for job in playbook.waited.ways["it"][1:3]]


def test_a_look_that_failed_makes_no_table_and_is_made_anew(glue: Glue) -> None:
    glue.table("failing-look")
    transform = choices_of(HARMLESS)
    policy = glue.role.inline.pop("job")
    failed = Playbook(glue, 73).migrate("failing-look", transform=transform).failure
    glue.role.inline["job"] = policy
    assert isinstance(failed, SparkJobFailed)
    assert "failing-look" not in tables(glue)
    judged = Playbook(glue, 74).migrate("failing-look", transform=transform)
    assert not judged.failure, judged.reason


def test_a_look_by_other_steps_that_goes_on_is_followed_to_its_end(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its run was begun by a controller that died; the steps are others now, and keep keys apart by themselves."""
    glue.table("left-look")
    begin = engines.Glue.begin

    def dying(engine: engines.Glue, account: Account, request: Request) -> str:
        begin(engine, account, request)
        raise KeyboardInterrupt

    monkeypatch.setattr(engines.Glue, "begin", dying)
    first = Playbook(glue, 75)
    with pytest.raises(KeyboardInterrupt):
        first.wait("left-look", first.start("left-look", transform=choices_of(HARMLESS)))
    first.run.end()
    monkeypatch.setattr(engines.Glue, "begin", begin)
    playbook = Playbook(glue, 76)
    judged = playbook.migrate("left-look", transform=choices_of([{"rename": {"id": "key"}}]))
    assert not judged.failure, judged.reason
    record = Tracking(playbook.run, "left-look").find()
    assert record is not None
    assert [entry.is_open for entry in record.jobs if entry.purpose == LOOK] == [False]


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
