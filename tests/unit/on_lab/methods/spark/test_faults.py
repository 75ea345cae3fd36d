# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong around Spark jobs: lost records, changed methods, killed controllers, runs that are stopped."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    InvalidInput,
    ItemRefused,
    SparkJobFailed,
    StateUnknown,
    TableBroken,
    TableVanished,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import SparkChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark import delivery, engines, spark_job
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.engine import Request
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import choices_of
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import migration_cleanup
from ansible_collections.tableferry.aws.plugins.module_utils.spark.package import Package
from lab.client import running
from tests.unit.glue.test_verbs import assert_documented
from tests.unit.on_lab.conftest import BUCKET
from tests.unit.on_lab.methods.spark.canned import CannedSpark
from tests.unit.on_lab.methods.spark.test_glue import Glue, Playbook, with_role

PIDS = itertools.count(100)


class Died(BaseException):
    """The controller's process ends here."""


class Faults(Glue):
    """A lab whose Spark jobs are done by threads."""

    spark: CannedSpark

    def playbook(self) -> _Run:
        """A new process of the controller's; others are gone."""
        return _Run(self, next(PIDS))

    def begun(self, table: str, **options: Any) -> None:
        """A run into the table has begun, and the controller is gone."""
        before = len(self.spark.runs)

        def die(seconds: float) -> None:
            if len(self.spark.runs) > before:
                raise Died
            self.spark.sleep(seconds)

        run = self.playbook()
        with pytest.raises(Died):
            run.wait(table, run.start(table, **options), sleep=die)
        run.run.end()

    def late(self, table: str, **options: Any) -> Judgement:
        """A run of the playbook; jobs that are held go on when it waits."""

        def sleep(seconds: float) -> None:
            self.spark.go_on()
            self.spark.sleep(seconds)

        playbook = self.playbook()
        return playbook.judged(table, playbook.wait(table, playbook.start(table, **options), sleep=sleep))

    def forget(self) -> None:
        """The record table is gone."""
        client = self.lab.client("dynamodb", "destination")
        client.update_table(TableName="tableferry", DeletionProtectionEnabled=False)
        client.delete_table(TableName="tableferry")
        self.lab.advance(60)

    def require_whole(self, table: str, judged: Judgement) -> None:
        assert judged.failure is None, judged.failure
        assert (judged.status, judged.verified) == ("migrated", "counts")
        assert self.items("destination", table) == self.items("source", table)


class _Run(Playbook):
    glue: Faults

    def wait(self, table: str, migration: Any, **more: Any) -> Any:
        return super().wait(table, migration, **{**self.glue.spark.told(), **more})


@pytest.fixture(scope="module")
def lab_with_role() -> Iterator[Faults]:
    with running(scale=0.0) as lab:
        faults = Faults(lab)
        with_role(faults)
        yield faults


@pytest.fixture
def faults(lab_with_role: Faults, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    made = lab_with_role
    made.spark = CannedSpark(made.lab, monkeypatch)
    monkeypatch.setattr(delivery, "build", lambda wheels="": delivery.Payload(b"script", Package(b"zip")))
    # Signatures and answers are dated by real time, whatever the lab's time is.
    monkeypatch.setattr(spark_job, "OWN_SIGNATURES", 1)
    for engine in (engines.Glue, engines.EmrServerless):
        monkeypatch.setattr(engine, "window", replace(engine.window, closes_after_asked=3))
    made.lab.choose_behaviours({"glue.arguments_in_answers": "present"})
    yield made
    made.spark.go_on()
    for run in made.spark.runs:
        run.settle()


TABLES = itertools.count(1)


@pytest.fixture
def table(faults: Faults) -> str:
    name = f"table-{next(TABLES)}"
    faults.table(name)
    return name


@pytest.mark.parametrize(("method", "arguments"), [("glue", "present"), ("glue", "missing"), ("emr", "present")])
def test_a_run_whose_record_was_lost_is_adopted(faults: Faults, table: str, method: str, arguments: str) -> None:
    faults.lab.choose_behaviours({"glue.arguments_in_answers": arguments})
    faults.spark.may_write.clear()
    faults.begun(table, method=method)
    faults.lab.advance(60)
    faults.forget()
    faults.lab.clear_requests()
    playbook = faults.playbook()
    migration = playbook.start(table, method="s3")  # whatever the method is now
    assert migration.method == method
    faults.spark.go_on()
    waited = playbook.wait(table, migration)
    faults.require_whole(table, playbook.judged(table, waited))
    assert len(faults.spark.runs) == 1
    assert [faults.lab.count(each) for each in ("StartJobRun", "ExportTableToPointInTime")] == [0, 0]
    faults.require_whole(table, faults.playbook().migrate(table, method=method))
    assert len(faults.spark.runs) == 1


@pytest.mark.parametrize(("method", "arguments"), [("glue", "present"), ("glue", "missing"), ("emr", "present")])
def test_a_look_whose_record_was_lost_is_adopted(faults: Faults, table: str, method: str, arguments: str) -> None:
    faults.lab.choose_behaviours({"glue.arguments_in_answers": arguments})
    transform = choices_of([{"replace": {"id": ["^never", "x"]}}])  # that no keys collide shows when one looks
    faults.spark.may_begin.clear()
    faults.begun(table, method=method, transform=transform)
    faults.lab.advance(60)
    faults.forget()
    faults.lab.clear_requests()
    faults.require_whole(table, faults.late(table, method=method, transform=transform))
    assert len(faults.spark.runs) == 2  # the look, and the run that writes
    assert [faults.lab.count(each) for each in ("StartJobRun", "ExportTableToPointInTime")] == [1, 0]


@pytest.mark.parametrize(
    ("method", "release"),
    [("glue", "4.0"), ("glue", "emr-7.14.0"), ("emr", "emr-6.15.0"), ("emr", "5.1"), ("emr", "emr-7")],
)
def test_a_release_that_cannot_run_the_job_is_refused_before_anything_is_billed(
    faults: Faults, table: str, method: str, release: str
) -> None:
    faults.lab.clear_requests()
    playbook = faults.playbook()
    with pytest.raises(InvalidInput, match="release of spark"):
        playbook.start(table, method=method, spark=SparkChoices(release=release))
    playbook.run.end()
    assert [faults.lab.count(each) for each in ("ExportTableToPointInTime", "CreateTable")] == [0, 0]


def test_an_item_that_a_step_refuses_ends_the_import_at_the_end(faults: Faults) -> None:
    table, chosen = "refusing-import", {"spark": SparkChoices(end="import")}
    faults.table(table, [{"id": {"S": name}, "price": {"S": price}} for name, price in (("a", "1"), ("b", "free"))])
    chosen["transform"] = choices_of([{"cast": {"price": "N"}}])
    for _again in range(2):
        failed = faults.playbook().migrate(table, **chosen).failure
        assert isinstance(failed, ItemRefused), failed
        assert "corrected steps, run again; with corrected items with export_max_age 0" in failed.next_step
        assert "delete the copy" not in failed.next_step  # there is none
    faults.lab.client("dynamodb", "source").put_item(TableName=table, Item={"id": {"S": "b"}, "price": {"S": "2"}})
    faults.lab.advance(600)
    judged = faults.playbook().migrate(table, **chosen, export_max_age=0)
    assert (judged.failure, judged.status, judged.items_destination) == (None, "migrated", 2)


@pytest.mark.parametrize("method", ["glue", "emr"])
def test_an_import_at_the_end_goes_on_though_the_record_was_lost(faults: Faults, table: str, method: str) -> None:
    chosen: dict[str, Any] = {"method": method, "spark": SparkChoices(end="import")}
    chosen["transform"] = choices_of([{"rename": {"n": "number"}}])  # keys stay apart: no look
    faults.spark.may_write.clear()
    faults.begun(table, **chosen)
    faults.lab.advance(60)
    faults.forget()
    faults.lab.clear_requests()
    judged = faults.late(table, **chosen)
    assert (judged.failure, judged.status) == (None, "migrated")
    assert {frozenset(item) for item in faults.items("destination", table)} == {frozenset({"id", "number"})}
    assert [faults.lab.count(each) for each in ("ExportTableToPointInTime", "ImportTable")] == [0, 1]
    assert len(faults.spark.runs) == 1
    faults.lab.clear_requests()
    judged = faults.playbook().migrate(table, **chosen)
    assert (judged.failure, judged.status, len(faults.spark.runs)) == (None, "migrated", 1)
    assert faults.lab.count("ImportTable") == 0


@pytest.mark.parametrize("arguments", ["present", "missing"])
@pytest.mark.parametrize("after", [False, True])
def test_a_look_that_was_asked_for_as_its_record_was_lost_is_begun_once(
    faults: Faults, table: str, monkeypatch: pytest.MonkeyPatch, after: bool, arguments: str
) -> None:
    faults.lab.choose_behaviours({"glue.arguments_in_answers": arguments})
    transform = choices_of([{"replace": {"id": ["^never", "x"]}}])
    begin = engines.Glue.begin

    def dying(engine: engines.Glue, account: Account, request: Request) -> str:
        if after:
            begin(engine, account, request)
        raise Died

    faults.spark.may_begin.clear()
    with monkeypatch.context() as patch:
        patch.setattr(engines.Glue, "begin", dying)
        run = faults.playbook()
        with pytest.raises(Died):
            run.wait(table, run.start(table, transform=transform))
        run.run.end()
    faults.lab.advance(60)
    faults.forget()
    faults.require_whole(table, faults.late(table, transform=transform))
    assert len(faults.spark.runs) == 2


def test_a_table_whose_record_was_lost_and_run_has_ended_is_adopted_by_comparison(faults: Faults, table: str) -> None:
    faults.require_whole(table, faults.playbook().migrate(table))
    faults.forget()
    with pytest.raises(StateUnknown):
        faults.playbook().start(table)
    adopted = faults.playbook().migrate(table, adopt=True)
    assert (adopted.failure, adopted.status) == (None, "migrated")
    assert len(faults.spark.runs) == 1


@pytest.mark.parametrize("method", ["direct", "s3", "backup"])
def test_a_run_goes_on_whatever_the_method_is_now(faults: Faults, table: str, method: str) -> None:
    faults.spark.may_begin.clear()
    faults.begun(table)
    faults.spark.go_on()
    playbook = faults.playbook()
    faults.lab.advance(300)
    judged = playbook.migrate(table, method=method)
    faults.require_whole(table, judged)
    assert len(faults.spark.runs) == 1


def test_the_method_is_changed_after_a_broken_run_and_back(faults: Faults, table: str) -> None:
    faults.spark.most_files = 0
    assert isinstance(faults.playbook().migrate(table).failure, SparkJobFailed)
    for method in ("s3", "direct"):
        with pytest.raises(TableBroken) as broken:
            faults.playbook().start(table, method=method)
        assert "delete the copy" in broken.value.next_step
    faults.spark.go_on()
    faults.require_whole(table, faults.playbook().migrate(table))
    assert len(faults.spark.runs) == 2


@pytest.mark.parametrize("arguments", ["present", "missing"])
@pytest.mark.parametrize("after", [False, True])
def test_a_controller_that_dies_around_the_start_begins_no_second_run(
    faults: Faults, table: str, monkeypatch: pytest.MonkeyPatch, after: bool, arguments: str
) -> None:
    faults.lab.choose_behaviours({"glue.arguments_in_answers": arguments})
    begin = engines.Glue.begin
    sent = []

    def dying(engine: engines.Glue, account: Account, request: Request) -> str:
        if after:
            sent.append(begin(engine, account, request))
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(engines.Glue, "begin", dying)
        run = faults.playbook()
        with pytest.raises(Died):
            run.wait(table, run.start(table))
        run.run.end()
    assert len(faults.spark.runs) == 0 or after
    faults.require_whole(table, faults.playbook().migrate(table))
    assert len(faults.spark.runs) == 1


def test_glue_stops_a_run_after_its_timeout(faults: Faults, table: str) -> None:
    faults.spark.may_write.clear()
    faults.begun(table)
    faults.lab.advance(2880 * 60 + 120)
    failed = faults.playbook().migrate(table).failure
    assert isinstance(failed, SparkJobFailed)
    assert "timeout of 2880 minutes" in failed.cause, failed.cause
    faults.spark.go_on()
    faults.require_whole(table, faults.playbook().migrate(table))


def stop_glue(faults: Faults) -> None:
    glue = faults.lab.client("glue", "destination")
    for job in glue.get_jobs()["Jobs"]:
        for run in glue.get_job_runs(JobName=job["Name"])["JobRuns"]:
            if run["JobRunState"] in ("STARTING", "RUNNING"):
                glue.batch_stop_job_run(JobName=job["Name"], JobRunIds=[run["Id"]])


def stop_application(faults: Faults) -> None:
    emr = faults.lab.client("emr-serverless", "destination")
    for application in emr.list_applications()["applications"]:
        for run in emr.list_job_runs(applicationId=application["id"])["jobRuns"]:
            if run["state"] not in ("SUCCESS", "FAILED", "CANCELLED"):
                emr.cancel_job_run(applicationId=application["id"], jobRunId=run["id"])
    faults.lab.advance(60)
    for application in emr.list_applications(states=["STARTED"])["applications"]:
        emr.stop_application(applicationId=application["id"])


@pytest.mark.parametrize(("method", "stop"), [("glue", stop_glue), ("emr", stop_application)])
def test_a_run_that_is_stopped_by_hand_is_told_and_gone_on_with(
    faults: Faults, table: str, method: str, stop: Callable[[Faults], None]
) -> None:
    faults.spark.may_write.clear()
    faults.begun(table, method=method)
    faults.lab.advance(120)
    stop(faults)
    faults.lab.advance(120)
    failed = faults.playbook().migrate(table, method=method).failure
    assert isinstance(failed, SparkJobFailed)
    assert "was stopped with" in failed.cause and "goes on with the files" in failed.next_step
    faults.spark.go_on()
    faults.require_whole(table, faults.playbook().migrate(table, method=method))


def test_another_package_goes_on_with_the_files_that_are_left(
    faults: Faults, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults.spark.most_files = 1
    assert isinstance(faults.playbook().migrate(table).failure, SparkJobFailed)
    monkeypatch.setattr(delivery, "build", lambda wheels="": delivery.Payload(b"script", Package(b"newer")))
    faults.spark.go_on()
    faults.require_whole(table, faults.playbook().migrate(table))
    first, second = (run.submission for run in faults.spark.runs)
    assert first.py_files != second.py_files


def test_cleanup_knows_the_job_of_a_table_whose_method_was_changed(faults: Faults, table: str) -> None:
    faults.require_whole(table, faults.playbook().migrate(table))
    keys = {side: faults.lab.landscape["accounts"][side] for side in ("source", "destination")}
    sides = {
        side: {
            "region": faults.region,
            "endpoint_url": faults.lab.endpoint_url,
            **{name: each[name] for name in ("access_key", "secret_key")},
        }
        for side, each in keys.items()
    }
    checked = ArgumentSpecValidator(migration_cleanup.SPEC, **migration_cleanup.VERB.rules).validate(
        {**sides, "name": table, "bucket": BUCKET, "recorded_only": True}  # as of a table of the method direct
    )
    assert not checked.error_messages
    result = migration_cleanup.run(checked.validated_parameters, True, lambda line: None)
    assert (result["recorded"], result["job_role"]) == (True, True)
    assert_documented(migration_cleanup, result)


@pytest.mark.parametrize("method", ["glue", "emr"])
def test_a_copy_that_was_deleted_is_made_anew_by_other_steps(faults: Faults, table: str, method: str) -> None:
    faults.spark.may_write.clear()
    faults.begun(table, method=method, transform=choices_of([{"set": {"note": "old"}}]))
    transform = choices_of([{"set": {"note": "new"}}])
    refused = faults.playbook()
    with pytest.raises(TableBroken):
        refused.start(table, method=method, transform=transform)
    refused.run.end()
    client = faults.lab.client("dynamodb", "destination")
    client.update_table(TableName=table, DeletionProtectionEnabled=False)
    client.delete_table(TableName=table)
    faults.lab.advance(60)
    judged = faults.late(table, method=method, transform=transform)
    if judged.failure is not None:  # the run of the old steps was still under way
        assert isinstance(judged.failure, TableVanished)
        judged = faults.late(table, method=method, transform=transform)
    assert (judged.status, judged.failure) == ("migrated", None)
    assert {item["note"]["S"] for item in faults.items("destination", table)} == {"new"}


@pytest.mark.parametrize("method", ["glue", "emr"])
def test_items_that_a_step_refuses_are_left_out_by_the_next_run(faults: Faults, method: str) -> None:
    table, steps = f"refusing-{method}", [{"cast": {"price": "N"}}]
    faults.table(table, [{"id": {"S": name}, "price": {"S": price}} for name, price in (("a", "1"), ("b", "free"))])
    failed = faults.playbook().migrate(table, method=method, transform=choices_of(steps)).failure
    assert isinstance(failed, ItemRefused)
    assert f"delete the copy {table}" in failed.next_step and "export_max_age 0" in failed.next_step
    assert "files that are left" not in failed.next_step  # none is
    judged = faults.playbook().migrate(table, method=method, transform=choices_of(steps, errors="skip"))
    assert (judged.status, judged.failure) == ("migrated", None)
    assert faults.items("destination", table) == [{"id": {"S": "a"}, "price": {"N": "1"}}]


def test_a_second_controller_waits_for_the_first_and_begins_nothing(faults: Faults, table: str) -> None:
    faults.spark.may_write.clear()
    first = faults.playbook()
    migration = first.start(table)
    second: list[Judgement] = []

    def sleep(seconds: float) -> None:
        if faults.spark.runs and not second:
            other = faults.playbook()
            waiting = other.start(table)
            assert waiting.job.pending_reason == "held", waiting.job
            waited = other.wait(table, waiting, timeout=100.0)
            second.append(other.judged(table, waited))
            faults.spark.go_on()
        faults.spark.sleep(seconds)

    faults.require_whole(table, first.judged(table, first.wait(table, migration, sleep=sleep)))
    assert second[0].status != "migrated" and "held" in second[0].reason, second
    faults.require_whole(table, faults.playbook().migrate(table))
    assert len(faults.spark.runs) == 1
