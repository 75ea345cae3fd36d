# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way of tables by glue with ``end: import``, whose jobs run in this process: what may come between."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.data_plane import ItemChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    CollidingKeys,
    DestinationExists,
    ImportFailed,
    LocalSecondaryIndexes,
    QuotaTooSmall,
    ServiceError,
    TableBroken,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.cleanup import (
    CleanupOptions,
    apply_cleanup,
    plan_cleanup,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports import import_request, importing
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.exported import ExportedFile
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import Page
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.method import loaders_of
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions, SparkChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.planning import ToPlan, make_plan
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark import delivery, engines
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.engine import Found, Request, RunStatus
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import KNOWN, METHODS, judge, preview, start
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.prices import usual
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.claiming import Records
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import choices_of
from ansible_collections.tableferry.aws.plugins.module_utils.spark import driver
from ansible_collections.tableferry.aws.plugins.module_utils.spark.files import FileResult
from ansible_collections.tableferry.aws.plugins.module_utils.spark.objects import ObjectsTask
from ansible_collections.tableferry.aws.plugins.module_utils.spark.package import Package
from demo.tables import on_demand
from tests.unit.on_lab.conftest import BUCKET
from tests.unit.on_lab.methods.spark.test_glue import Glue, Playbook, glue
from tests.unit.spark.local_context import LocalContext

__all__ = ["glue"]  # a fixture
BY_IMPORT = SparkChoices(end="import")


class Killed(BaseException):
    """The process is gone."""


class Here:
    """AWS Glue, whose runs are over when they are begun; the tests make ``write`` fail and answers be lost."""

    def __init__(self) -> None:
        self.runs: dict[str, tuple[str, RunStatus]] = {}
        self.loses_answers = False

    def begin(self, account: Account, request: Request) -> str:
        run = f"jr_{len(self.runs)}"
        arguments = request.call["Arguments"]
        try:
            driver.main([*itertools.chain(*arguments.items())], LocalContext(), Path("package.zip"))
            status = RunStatus("completed")
        except Exception as error:
            status = RunStatus("failed", str(error))
        self.runs[run] = (request.run, status)
        if self.loses_answers:
            raise ReadTimeoutError(endpoint_url="https://glue")
        return run

    def find(self, account: Account, request: Request, *_more: Any) -> Found:
        return Found(next((run for run, (token, _status) in self.runs.items() if token == request.run), ""))

    def page(self, account: Account, scope: str, next_token: str) -> Page:
        return Page({run: status.state for run, (_token, status) in self.runs.items()})

    def describe(self, account: Account, scope: str, run_id: str) -> RunStatus:
        return self.runs[run_id][1]


@pytest.fixture(autouse=True)
def here(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> Here:
    """The engine, with the keys of the destination for what it runs."""
    keys = glue.lab.landscape["accounts"]["destination"]
    for name, value in {
        "AWS_ACCESS_KEY_ID": keys["access_key"],
        "AWS_SECRET_ACCESS_KEY": keys["secret_key"],
        "AWS_DEFAULT_REGION": glue.region,
        "AWS_ENDPOINT_URL": glue.lab.endpoint_url,
    }.items():
        monkeypatch.setenv(name, value)
    engine = Here()
    for name in ("begin", "find", "page", "describe"):
        call: Callable[..., Any] = getattr(engine, name)
        monkeypatch.setattr(engines.Glue, name, lambda _self, *given, call=call: call(*given))
    monkeypatch.setattr(driver, "_use_unpacked", lambda _archive: None)
    monkeypatch.setattr(delivery, "build", lambda _wheels: delivery.Payload(b"script", Package(b"package")))
    return engine


def fail_of(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Jobs fail at their file ``number``."""
    write, count = ObjectsTask._written, itertools.count(1)

    def failing(task: ObjectsTask, file: ExportedFile) -> FileResult:
        if next(count) == number:
            raise ServiceError("The connection was lost.", "Run again.")
        return write(task, file)

    monkeypatch.setattr(ObjectsTask, "_written", failing)


def of_people(count: int = 30) -> list[dict[str, Any]]:
    return [
        {"id": {"S": f"{number}"}, "n": {"N": f"{number}.50"}, "mail": {"S": f"{number}@x"}} for number in range(count)
    ]


def begun(glue: Glue) -> list[int]:
    return [glue.lab.count(name, ok=True) for name in ("ExportTableToPointInTime", "ImportTable")]


def test_what_an_import_cannot_make_is_refused_before_anything_is_begun(glue: Glue) -> None:
    shape = on_demand(("id", "S"), ("n", "N"))
    shape["AttributeDefinitions"].append({"AttributeName": "mail", "AttributeType": "S"})
    keys = [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "mail", "KeyType": "RANGE"}]
    local = {"IndexName": "by-mail", "KeySchema": keys, "Projection": {"ProjectionType": "ALL"}}
    glue.table("local", of_people(), **shape, LocalSecondaryIndexes=[local])
    glue.table("there")
    glue.lab.client("dynamodb", "destination").create_table(TableName="there", **on_demand(("id", "S")))
    glue.lab.advance(100)
    before = begun(glue)
    with pytest.raises(LocalSecondaryIndexes, match="with end: table the job can"):
        Playbook(glue, 10).start("local", spark=BY_IMPORT)
    with pytest.raises(DestinationExists):
        Playbook(glue, 11).start("there", spark=BY_IMPORT)
    assert begun(glue) == before


def test_half_a_table_is_gone_on_with_by_its_own_end_only(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> None:
    glue.table("half", of_people())
    with monkeypatch.context() as patched:
        patched.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        assert Playbook(glue, 20).migrate("half").failure is not None  # the table is made
    before = begun(glue)
    with pytest.raises(TableBroken) as refused:
        Playbook(glue, 21).start("half", spark=BY_IMPORT)
    assert begun(glue) == before
    assert "glue" in refused.value.next_step and "delete the copy" in refused.value.next_step
    assert Playbook(glue, 22).migrate("half").failure is None
    # Finished, it is only reported.
    assert Playbook(glue, 23).migrate("half", spark=BY_IMPORT).status == "migrated"


def test_a_failed_import_is_not_written_into(glue: Glue) -> None:
    """The other way round: AWS leaves a partial table, into which no job writes."""
    glue.table("partial", of_people())
    glue.lab.add_fault(operation="dynamodb.ImportTable", kind="job_failure", code="ItemValidationError")
    failed = Playbook(glue, 30).migrate("partial", spark=BY_IMPORT)
    assert isinstance(failed.failure, ImportFailed), failed
    before = begun(glue)
    for pid, choices in ((31, SparkChoices()), (32, BY_IMPORT)):
        with pytest.raises(TableBroken, match="ItemValidationError"):
            Playbook(glue, pid).start("partial", spark=choices)
    assert begun(glue) == before
    mended = Playbook(glue, 33).migrate("partial", spark=BY_IMPORT, replace_failed=True)
    assert mended.failure is None, mended.failure
    assert glue.items("destination", "partial") == glue.items("source", "partial")


def test_a_job_that_failed_leaves_no_table_and_is_gone_on_with(
    glue: Glue, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    glue.table("again", of_people())
    before = begun(glue)
    with monkeypatch.context() as patched:
        fail_of(patched, 3)
        failed = Playbook(glue, 40).migrate("again", spark=BY_IMPORT)
    assert failed.failure is not None and "files that are left" in failed.failure.next_step
    assert begun(glue) == [before[0] + 1, before[1]]
    assert "again" not in glue.lab.client("dynamodb", "destination").list_tables()["TableNames"]
    asked: list[ExportedFile] = []
    write = ObjectsTask._written

    def noting(task: ObjectsTask, file: ExportedFile) -> FileResult:
        asked.append(file)
        return write(task, file)

    monkeypatch.setattr(ObjectsTask, "_written", noting)
    playbook = Playbook(glue, 41)
    judged = playbook.migrate("again", spark=BY_IMPORT)
    assert judged.failure is None, judged.failure
    assert begun(glue) == [before[0] + 1, before[1] + 1]
    assert len(here.runs) == 2
    files = glue.s3.list_objects_v2(Bucket=BUCKET, Prefix=playbook.waited.ways["it"][1].result["data_prefix"])
    assert 0 < len(asked) == files["KeyCount"] - 2
    assert glue.items("destination", "again") == glue.items("source", "again")


def test_before_there_is_a_table_the_end_may_change(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> None:
    glue.table("changed", of_people())
    with monkeypatch.context() as patched:
        fail_of(patched, 1)
        assert Playbook(glue, 44).migrate("changed", spark=BY_IMPORT).failure is not None
    judged = Playbook(glue, 45).migrate("changed", transform=choices_of([{"drop": ["mail"]}]))
    assert judged.failure is None, judged.failure
    assert all("mail" not in item for item in glue.items("destination", "changed"))


@pytest.mark.parametrize("operation", ["ImportTable", "StartJobRun"])
def test_a_lost_answer_begins_nothing_twice(glue: Glue, here: Here, operation: str) -> None:
    table = f"lost-{operation}"
    glue.table(table, of_people())
    before = begun(glue)
    here.loses_answers = operation == "StartJobRun"
    if not here.loses_answers:
        glue.lab.add_fault(operation="dynamodb.ImportTable", kind="disconnect", when="after")
    judged = Playbook(glue, 50).migrate(table, spark=BY_IMPORT)
    assert judged.failure is None, judged.failure
    assert glue.items("destination", table) == glue.items("source", table)
    imports = glue.lab.client("dynamodb", "destination").list_imports(TableArn=glue.destination.table_arn(table))
    assert len(imports["ImportSummaryList"]) == 1
    assert begun(glue)[0] == before[0] + 1
    assert len(here.runs) == 1


@pytest.mark.parametrize("allowed", [False, True])
def test_keys_that_collide(glue: Glue, here: Here, tmp_path: Path, allowed: bool) -> None:
    """An import keeps any of two items of one key and says nothing: how many were lost is known beforehand."""
    table = f"doubles-{allowed}"
    glue.table(table, [{"id": {"S": f"{letter}{number}"}} for letter in "ab" for number in range(6)])
    steps = [{"replace": {"id": ["[0-9]", "x"]}}]
    transform = choices_of(steps, on_collision="any" if allowed else "refuse")
    imports = begun(glue)[1]
    path = tmp_path / "refused.jsonl"
    chosen = {"transform": transform, "spark": BY_IMPORT, "items": ItemChoices(refused_path=str(path))}
    judged = Playbook(glue, 60 + allowed).migrate(table, **chosen)
    if not allowed:
        for again in (judged, Playbook(glue, 62).migrate(table, **chosen)):
            assert isinstance(again.failure, CollidingKeys)
            assert "gives 2 keys to several items each: 10 of 12 items" in again.reason
        assert sorted(json.loads(line)["key"]["id"]["S"] for line in path.open()) == ["ax", "bx"]
        assert (begun(glue)[1], len(here.runs)) == (imports, 1)  # what a look has found is known
        return
    assert len(here.runs) == 1
    assert judged.failure is None, judged.failure
    assert (judged.items_source, judged.items_destination) == (12, 2)
    assert "10 items were lost: others have their keys" in judged.reason
    assert sorted(item["id"]["S"] for item in glue.items("destination", table)) == ["ax", "bx"]


@pytest.mark.parametrize("end", ["import", "write"])
def test_items_that_are_left_out_are_reported_by_step_and_kind(glue: Glue, here: Here, end: str) -> None:
    """In the same words as by a direct copy."""
    table = f"casts-{end}"
    glue.table(table, [{"id": {"S": f"{number}"}, "n": {"S": "free" if number < 2 else "7"}} for number in range(6)])
    transform = choices_of([{"set": {"seen": True}}, {"cast": {"n": "N"}}], errors="skip")
    chosen: dict[str, Any] = {"transform": transform, **({"spark": BY_IMPORT} if end == "import" else {})}
    playbook = Playbook(glue, 70 + len(end))
    judged = playbook.migrate(table, **chosen)
    assert judged.failure is None, judged.failure
    assert judged.reason == "2 items were left out: 2 refused by step 2 (cast)."
    assert judged.notes == ("transformed: 6 items read, 2 refused by step 2 (cast), 4 written",)
    again = Playbook(glue, 80 + len(end)).migrate(table, **chosen)
    assert "2 refused by step 2 (cast)" in again.reason and again.notes == judged.notes


def test_steps_that_may_collide_are_looked_at_before_the_items_are_changed(glue: Glue, here: Here) -> None:
    glue.table("looked", of_people())
    transform = choices_of([{"replace": {"id": ["x", "y"]}}])
    chosen = MigrationOptions("looked", method="glue", bucket=BUCKET, spark=BY_IMPORT, transform=transform)
    shown = preview(glue.source, glue.destination, chosen, Playbook(glue, 63).store)
    assert "job run of AWS Glue that looks for colliding keys of looked" in [change.what for change in shown.changes]
    playbook = Playbook(glue, 64)
    judged = playbook.migrate("looked", transform=transform, spark=BY_IMPORT)
    assert judged.failure is None, judged.failure
    kinds = ["export", "spark_look", "spark_files", "import"]
    assert (
        [job.kind for job in playbook.waited.ways["it"]][:4]
        == [job.kind for job in (shown.job, *shown.then)][:4]
        == kinds
    )
    assert (len(here.runs), glue.items("destination", "looked")) == (2, glue.items("source", "looked"))


def test_check_mode_shows_export_job_and_import(glue: Glue) -> None:
    glue.table("shown", of_people())
    transform = choices_of([{"rename": {"id": "person"}}])
    chosen = MigrationOptions("shown", method="glue", bucket=BUCKET, spark=BY_IMPORT, transform=transform)
    before = begun(glue)
    shown = preview(glue.source, glue.destination, chosen, Playbook(glue, 70).store)
    assert begun(glue) == before
    billed = [change.what for change in shown.changes if change.risk == "billed"]
    ways = ["export of shown", f"job run of AWS Glue into s3://{BUCKET}", "import into shown"]
    assert [what for what in billed if what in ways] == ways
    assert not any(what.startswith("table ") for what in billed)
    made = next(change.after for change in shown.changes if change.what == "import into shown")
    assert made["table"]["KeySchema"] == [{"AttributeName": "person", "KeyType": "HASH"}]


def test_an_import_that_no_record_knows_is_found_and_judged(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> None:
    glue.table("unknown", of_people())
    transform = choices_of([{"keep_if": "n < :most"}], values={":most": {"N": "12"}})
    glue.lab.set_timings({"import.creating": 60})
    begin = importing.begin_import

    def killed(*given: Any) -> Job:
        begin(*given)
        raise Killed

    first = Playbook(glue, 80)
    try:
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(importing, "begin_import", killed)
            first.wait("unknown", first.start("unknown", transform=transform, spark=BY_IMPORT))
    finally:
        glue.lab.set_timings({"import.creating": 0})
    first.run.end()
    key = {"pk": {"S": "table#unknown"}, "sk": {"S": "record"}}
    glue.lab.client("dynamodb", "destination").delete_item(TableName="tableferry", Key=key)
    before = begun(glue)
    second = Playbook(glue, 81)
    started = second.start("unknown", transform=transform, spark=BY_IMPORT)
    glue.lab.advance(100)
    waited = second.wait("unknown", started)
    judged = judge(
        "unknown", second.source, second.destination, waited.ways["it"], record=Tracking(second.run, "unknown")
    )
    assert judged.failure is None, judged.failure
    assert (judged.items_source, judged.items_destination) == (30, 12)
    assert begun(glue) == before
    known = second.store.read("table#unknown")
    assert known is not None and known.method == "glue with end: import"
    again = start(
        second.source,
        second.destination,
        MigrationOptions("unknown", method="glue", bucket=BUCKET, spark=BY_IMPORT, transform=transform),
        Records(second.store, lambda: Playbook(glue, 82).run),
    )
    assert again.warnings == ()  # its transform is known


def test_cleanup_removes_the_objects_and_waits_for_jobs(glue: Glue) -> None:
    glue.table("tidied", of_people())
    playbook = Playbook(glue, 90)
    assert playbook.migrate("tidied", spark=BY_IMPORT).failure is None
    folder = "tableferry/default/export/111111111111/eu-west-1/tidied/"
    found = glue.s3.list_objects_v2(Bucket=BUCKET, Prefix=folder)["Contents"]
    assert any("/AWSDynamoDB/spark-" in each["Key"] and "/data/" in each["Key"] for each in found)
    options = CleanupOptions("tidied", BUCKET)
    record = Tracking(Playbook(glue, 91).run, "tidied")
    assert record.take() is None
    loaders = loaders_of(KNOWN.values())
    apply_cleanup(glue.source, glue.destination, plan_cleanup(glue.source, glue.destination, options, loaders, record))
    assert "Contents" not in glue.s3.list_objects_v2(Bucket=BUCKET, Prefix=folder)


def test_more_files_than_an_import_reads_are_refused_before_the_job(
    glue: Glue, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    glue.table("many", of_people())
    monkeypatch.setattr(import_request, "MOST_OBJECTS", 1)
    judged = Playbook(glue, 95).migrate("many", spark=BY_IMPORT)
    assert isinstance(judged.failure, QuotaTooSmall)
    assert "end: table" in judged.failure.next_step
    assert here.runs == {}


def test_a_plan_goes_on_with_a_table_that_was_begun(glue: Glue) -> None:
    glue.table("begun", of_people())
    playbook, transform = Playbook(glue, 1), choices_of([{"drop": ["mail"]}])
    playbook.start("begun", transform=transform, spark=BY_IMPORT)
    options = MigrationOptions("begun", method="auto", bucket=BUCKET, transform=transform, spark=BY_IMPORT)
    entry = ToPlan("it", playbook.source, playbook.destination, options, playbook.store)
    (planned,) = make_plan(METHODS, [entry], usual()).to_dict()["tables"]
    assert (planned["state"], planned["method"]) == ("begun", "glue with end: import")
    assert planned["cost"][0] == 0 < planned["cost"][1]
