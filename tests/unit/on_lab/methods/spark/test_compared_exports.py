# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies by the method glue are compared with the export that filled them, and repaired by it, while the source goes on
changing; with the source table once the export is gone. The job's work is done by this process."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import ChecksumMismatch
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.permit import Bounds
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark import delivery
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import exported_items, judge, preview
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import Part, Record, table_key
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.comparison import VerifyOptions, verify_tables
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import choices_of
from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import outcome
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import dynamodb_verify
from ansible_collections.tableferry.aws.plugins.module_utils.spark.job import begin, looked, write_share
from ansible_collections.tableferry.aws.plugins.module_utils.spark.package import Package
from lab.client import running
from lab.spark.runs import OnEnd, Submission, spark_runs
from tests.unit.lab.spark_fakes import FakeRun, FakeRuns
from tests.unit.on_lab.conftest import BUCKET
from tests.unit.on_lab.methods.spark.test_glue import Playbook
from tests.unit.on_lab.methods.spark.test_single_run import Runs

COUNT = 60  # items of a table; a third of them is left out, and of the others two are made of each
MADE = COUNT // 3 * 4
TWICE = "def twice(item):\n    return [{**item, 'id': {'S': item['id']['S'] + end}} for end in 'ab']\n"
PATIENCE = 36000.0  # seconds of the waiter's clock, which is a fast one


class Working(FakeRuns):
    """A local Spark whose jobs this process does, each at once."""

    def submit(self, submission: Submission, on_end: OnEnd) -> FakeRun:
        run = super().submit(submission, on_end)
        threading.Thread(target=self._work, args=(run,)).start()
        return run

    @staticmethod
    def _work(run: FakeRun) -> None:
        arguments = dict(zip(run.submission.arguments[::2], run.submission.arguments[1::2], strict=True))
        try:
            work = begin(arguments["--plan"], arguments["--run"], 2)
            if work.looks:
                looked(work.plan, [], ())  # the steps of these tables give no two items one key
            for message in work.messages():
                write_share(message)
        except Exception as error:
            run.end(str(error))
        else:
            run.end()


class Moved(Runs):
    """A lab with tables that were filled from exports, and the verb that compares them."""

    folder: Path
    judged: Judgement  # of the table people
    runs = 0

    @property
    def steps(self) -> list[dict[str, Any]]:
        function = {"function": "twice.py:twice", "attributes": "all", "several": True}
        return [{"keep_if": "kind <> :gone"}, {"python": function}, {"rename": {"n": "amount"}}]

    def about(self, steps: list[dict[str, Any]]) -> dict[str, Any]:
        """What the ``steps`` need besides."""
        return {"folders": [str(self.folder)], "values": {":gone": {"S": "gone"}}} if steps == self.steps else {}

    def move(self, table: str, steps: list[dict[str, Any]] | None = None, **more: Any) -> Judgement:
        """A new table with COUNT items through the ``steps``, in which one item is changed, one deleted and one added
        between its export and its comparison."""
        items = [{"id": {"S": str(at)}, "n": {"N": str(at)}, "kind": {"S": _kind(at)}} for at in range(COUNT)]
        self.table(table, items)
        return self.migrate(table, steps, **more)

    def migrate(self, table: str, steps: list[dict[str, Any]] | None = None, **more: Any) -> Judgement:
        Moved.runs += 1
        playbook = Playbook(self, Moved.runs)  # type: ignore[arg-type]
        steps = self.steps if steps is None else steps
        transform = choices_of(steps, **self.about(steps))
        started = playbook.start(table, transform=transform, verify="full", **more)
        source = self.lab.client("dynamodb", "source")
        source.put_item(TableName=table, Item={"id": {"S": "1"}, "n": {"N": "100"}, "kind": {"S": "x"}})
        source.put_item(TableName=table, Item={"id": {"S": "late"}, "n": {"N": "1"}, "kind": {"S": "x"}})
        source.delete_item(TableName=table, Key={"id": {"S": "2"}})
        waited = playbook.wait(table, started, timeout=PATIENCE)
        record = Tracking(playbook.run, table)
        try:
            return judge(
                table, playbook.source, playbook.destination, waited.ways["it"], record=record, sleep=time.sleep
            )
        finally:
            playbook.run.end()

    def verify(self, table: str, steps: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
        """What the verb answers."""
        place = {"endpoint_url": self.lab.endpoint_url, "region": self.region}
        accounts = self.lab.landscape["accounts"]
        sides = {
            side: {**place, **{key: accounts[side][key] for key in ("access_key", "secret_key")}}
            for side in ("source", "destination")
        }
        steps = self.steps if steps is None else steps
        transform = {f"transform_{name}": value for name, value in self.about(steps).items()}
        arguments = {"name": table, "transform": steps, **transform, **sides, **more}
        params = ArgumentSpecValidator(dynamodb_verify.SPEC).validate(arguments).validated_parameters
        check = bool(more.get("check_mode"))
        return outcome(dynamodb_verify.VERB, params, check_mode=check, diff=False, progress=lambda line: None)

    def record(self, table: str) -> Record:
        found = Playbook(self).store.read(table_key(table))  # type: ignore[arg-type]
        assert found is not None
        return found

    def spoil(self, table: str) -> None:
        """One item of the copy changed, one missing, one extra."""
        copies = self.lab.client("dynamodb", "destination")
        changed = {"id": {"S": "4a"}, "amount": {"N": "4.5"}, "kind": {"S": "x"}}
        copies.put_item(TableName=table, Item=changed)
        copies.put_item(TableName=table, Item={**changed, "id": {"S": "nobody"}})
        copies.delete_item(TableName=table, Key={"id": {"S": "5b"}})

    def objects(self, table: str) -> dict[str, bytes]:
        """All objects of the table's export, by key."""
        key = self.record(table).evidence["export"]["manifest_key"]
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=key.rpartition("/")[0])["Contents"]
        return {each["Key"]: self.s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read() for each in listed}

    def remove(self, keys: Any) -> None:
        for key in keys:
            self.s3.delete_object(Bucket=BUCKET, Key=key)

    def restore(self, objects: dict[str, bytes]) -> None:
        for key, body in objects.items():
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def _kind(number: int) -> str:
    return "gone" if number % 3 == 0 else "x"


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    """The table ``people``, through steps, which was equal at its end."""
    with running(scale=0.0) as lab, pytest.MonkeyPatch.context() as patch:
        made = Moved(lab)
        made.folder = tmp_path_factory.mktemp("steps")
        (made.folder / "twice.py").write_text(TWICE)
        spark_runs(lab.world).submit = Working(lab.world).submit  # type: ignore[method-assign]
        patch.setattr(delivery, "build", lambda wheels="": delivery.Payload(b"script", Package(b"zip")))
        keys = lab.landscape["accounts"]["destination"]
        for name, value in {
            "AWS_ACCESS_KEY_ID": keys["access_key"],
            "AWS_SECRET_ACCESS_KEY": keys["secret_key"],
            "AWS_DEFAULT_REGION": made.region,
            "AWS_ENDPOINT_URL": lab.endpoint_url,
        }.items():
            patch.setenv(name, value)
        made.judged = made.move("people")
        assert made.judged.failure is None, made.judged.reason
        yield made


def test_a_table_is_equal_though_the_source_goes_on_changing(moved: Moved) -> None:
    judged = moved.judged
    record = moved.record("people")
    exported = record.data_as_of["to"]
    assert (judged.status, judged.verified, judged.items_destination) == ("migrated", "full", MADE)
    assert f"Compared with the export of {exported}." in judged.reason
    assert record.evidence["comparison"]["export_time"] == exported
    again = moved.verify("people")
    assert (again["equal"], again["export_time"], again["items_destination"]) == (True, exported, MADE), again
    assert f"{MADE} items compared with the export of {exported} (full), all are equal." in again["msg"]


def test_nothing_of_the_source_table_is_read(moved: Moved) -> None:
    moved.lab.clear_requests()
    assert moved.verify("people")["equal"] and moved.verify("people", level="sample")["equal"]
    account = moved.source.account_id
    assert [moved.lab.count(call, account=account) for call in ("Scan", "BatchGetItem")] == [0, 0]
    assert moved.lab.count("Scan", account=moved.destination.account_id)


@pytest.mark.parametrize(
    ("level", "cost"), [("full", "read_units_of_the_destination"), ("sample", "items_of_the_destination")]
)
def test_only_the_destination_is_to_be_read_and_paid_for(moved: Moved, level: Any, cost: str) -> None:
    moved.table(f"next-{level}")
    moved.lab.clear_requests()
    options = MigrationOptions(f"next-{level}", method="glue", bucket=BUCKET, verify=level)
    foreseen = preview(moved.source, moved.destination, options, by_record=True)
    change = next(each for each in foreseen.changes if each.what.startswith("comparison"))
    assert change.what == f"comparison of the export of next-{level} and next-{level}" and cost in change.after
    accounts = (moved.source.account_id, moved.destination.account_id)
    assert [moved.lab.count("Scan", account=account) for account in accounts] == [0, 1]


@pytest.mark.parametrize("level", ["full", "sample"])
def test_what_differs_is_found_both_ways_and_mended_by_the_export(moved: Moved, level: str, tmp_path: Path) -> None:
    before = moved.items("destination", "people")
    moved.spoil("people")
    options = {"level": level, "differences_path": str(tmp_path / "differences")}
    found = moved.verify("people", **options)
    assert [found[name] for name in ("missing", "different", "extra")] == [1, 1, 1], found
    assert found["export_time"] in found["msg"] and not found.get("one_way")
    assert '"sources": [{"id": {"S": "4"}}]' in (tmp_path / "differences").read_text()
    mended = moved.verify("people", repair=True, delete_extra=True, **options)
    assert (mended["clean"], mended["repaired"]["put"], mended["repaired"]["deleted"]) == (True, 2, 1), mended
    (warning,) = mended["warnings"]
    assert f"overwritten with the items of the export of {found['export_time']}" in warning
    assert moved.items("destination", "people") == before
    assert moved.verify("people", **options)["equal"]


@pytest.mark.parametrize("level", ["full", "sample"])
def test_an_export_that_is_not_whole_is_an_error_and_never_equal(moved: Moved, level: str) -> None:
    objects = moved.objects("people")
    data = max((key for key in objects if "/data/" in key), key=lambda key: len(objects[key]))
    broken = [
        (objects[data][:-9], "ends before its data does"),
        (gzip.compress(gzip.decompress(objects[data]) + b'{"Item":{"id":{"S":"7"}}}\n'), "the object was changed"),
    ]
    for body, why in broken:
        moved.restore({data: body})
        failed = moved.verify("people", level=level)
        assert failed["failed"] and why in failed["msg"] and "playbook cleanup" in failed["msg"], failed
    moved.remove([data])
    failed = moved.verify("people", level=level)
    assert failed["ferry_error"] == "ExportDamaged" and f"{data} does not exist" in failed["msg"], failed
    moved.restore(objects)
    summary = next(key for key in objects if key.endswith("manifest-summary.json"))
    moved.restore({summary: objects[summary].replace(b'"itemCount"', b'"itemCounts"')})
    assert moved.verify("people", level=level)["ferry_error"] in ("ChecksumMismatch", "StagingBucketUnusable")
    moved.restore(objects)
    assert moved.verify("people", level=level)["equal"]


def test_without_the_export_the_source_table_is_compared(moved: Moved) -> None:
    objects = moved.objects("people")
    moved.remove(objects)
    try:
        found = moved.verify("people")
        assert (found["export_time"], found["equal"], "export" in found["msg"]) == ("", False, False), found
        # 1a and 1b differ, 2a and 2b are gone, late has come
        assert [found[name] for name in ("missing", "different", "extra")] == [2, 2, 2]
    finally:
        moved.restore(objects)
    assert moved.verify("people")["equal"]


def test_a_copy_that_has_more_than_its_export_is_not_compared_with_it(moved: Moved) -> None:
    record = moved.record("people")
    others = [
        replace(record, parts={"arn": Part("filled", 1)}),
        replace(record, state="following"),
        replace(record, method="direct"),
        replace(record, evidence={}, jobs=()),
    ]
    assert [exported_items(moved.destination, each) for each in others] == [None] * 4
    # Of a copy that is not whole its newest export tells.
    found = exported_items(moved.destination, replace(record, state="broken", evidence={"broken": "why"}))
    assert found is not None and found.item_count == COUNT
    arn = f"{record.source.arn}-other"
    with pytest.raises(ChecksumMismatch, match="is of the export"):
        exported_items(moved.destination, replace(record, source=replace(record.source, arn=arn)))


def test_who_may_not_list_the_bucket_is_not_told_that_the_export_is_gone(moved: Moved) -> None:
    objects = moved.objects("people")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"}
    before = moved.s3.get_bucket_policy(Bucket=BUCKET)["Policy"]
    moved.s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    moved.remove(objects)
    try:
        refused = moved.verify("people")
    finally:
        moved.s3.put_bucket_policy(Bucket=BUCKET, Policy=before)
        moved.restore(objects)
    assert refused["ferry_error"] == "StagingBucketUnusable", refused


def test_a_table_that_differs_at_its_end_says_with_what_it_was_compared(
    moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody writes into the copy before its comparison."""
    write, copies = FakeRun.end, moved.lab.client("dynamodb", "destination")

    def ending(run: FakeRun, message: str = "") -> None:
        if "early" in copies.list_tables()["TableNames"]:  # the look for colliding keys comes before it
            moved.spoil("early")
        write(run, message)

    monkeypatch.setattr(FakeRun, "end", ending)
    judged = moved.move("early")
    assert judged.failure is not None
    assert "The destination differs from the export of" in judged.failure.cause
    assert "1 missing, 1 different, 1 extra" in judged.failure.cause


def test_a_table_without_steps_goes_the_same_way(moved: Moved) -> None:
    judged = moved.move("plain", [])
    assert (judged.failure, judged.verified, judged.items_destination) == (None, "full", COUNT), judged.reason
    copies = moved.lab.client("dynamodb", "destination")
    copies.put_item(TableName="plain", Item={"id": {"S": "7"}, "n": {"N": "7"}, "kind": {"S": "y"}})
    copies.delete_item(TableName="plain", Key={"id": {"S": "8"}})
    found = moved.verify("plain", [], repair=True)
    assert (found["missing"], found["different"], found["clean"]) == (1, 1, True), found
    assert moved.verify("plain", [])["equal"]


def test_a_broken_copy_lacks_what_no_step_takes_and_stays_broken(moved: Moved) -> None:
    steps = [{"cast": {"kind": "N"}}]
    moved.table("broken", [{"id": {"S": str(at)}, "n": {"N": "1"}, "kind": {"S": str(at or "x")}} for at in range(9)])
    judged = moved.migrate("broken", steps)
    assert judged.failure is not None and moved.record("broken").state == "broken"
    found = moved.verify("broken", steps, repair=True)
    assert (found["equal"], found["filled"], found["export_time"] != "") == (True, False, True), found
    assert "The copy stays broken" in found["msg"]
    assert moved.record("broken").state == "broken"


def test_a_comparison_that_is_called_off_ends_within_a_file(moved: Moved) -> None:
    """Nothing is kept of it: the next one begins anew."""
    record = moved.record("people")
    export = exported_items(moved.destination, record)
    assert export is not None and export.item_count == COUNT

    def stop() -> None:
        raise KeyboardInterrupt

    transform = choices_of(moved.steps, **moved.about(moved.steps))
    for level in ("full", "sample"):
        options = VerifyOptions("people", "people", level, transform=transform)  # type: ignore[arg-type]
        with pytest.raises(KeyboardInterrupt):
            verify_tables(
                moved.source, moved.destination, options, bounds=Bounds(look=stop), record=record, export=export
            )
    assert moved.verify("people")["equal"]
