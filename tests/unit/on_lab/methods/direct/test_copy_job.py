# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables that pass through this machine: whole ways of the method direct, comparisons, repairs."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.data_plane import ItemChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    CheckpointUnusable,
    DestinationExists,
    DifferencesFound,
    InvalidInput,
    ItemRefused,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import worker_count
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.checkpoint import Counts
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyProgress
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import Comparison
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement, with_comparison
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.direct import colliding
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.direct import copy_job as direct
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import judge, preview, start
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.clock import AwsClock
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.process import Process
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.run import Run
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.store import RecordStore
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps import comparison, kept_differences
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.claiming import Records
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.comparison import (
    VerifyOptions,
    repair_differences,
    require_equal,
    verify_tables,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.replication import brought_along, left_by_copy
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import choices_of
from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import outcome
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import dynamodb_copy
from demo.tables import Keys, demo_tables, numbered, on_demand
from tests.unit.on_lab.conftest import Crossing


class Direct:
    """Ways of tables through one lab."""

    def __init__(self, crossing: Crossing, folder: Path) -> None:
        self.crossing = crossing
        self.folder = folder

    def options(self, table: str, **more: Any) -> MigrationOptions:
        items = ItemChoices(
            checkpoint_dir=str(self.folder / "checkpoints"), differences_path=str(self.folder / f"{table}.jsonl")
        )
        return MigrationOptions(table, method="direct", items=items, **more)

    def go(self, hurry: Any, table: str, **more: Any) -> tuple[Job, ...]:
        options = self.options(table, **more)
        source, destination = self.crossing.source, self.crossing.destination
        way = start(source, destination, options)
        item = WaitItem(table, source, destination, way.job, way.then)
        return hurry([item]).ways[table]

    def judge(self, jobs: tuple[Job, ...], verify: Any = "full") -> Any:
        return judge(jobs[0].name, self.crossing.source, self.crossing.destination, jobs, verify=verify)


@pytest.fixture
def ways(crossing: Crossing, tmp_path: Path) -> Direct:
    return Direct(crossing, tmp_path)


def make(crossing: Crossing, name: str, side: str = "source", **more: Any) -> None:
    dynamodb = crossing.lab.client("dynamodb", side)
    dynamodb.create_table(TableName=name, **on_demand(("id", "S"), **more))
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})


def fill(crossing: Crossing, name: str, items: list[dict[str, Any]], side: str = "source") -> None:
    dynamodb = crossing.lab.client("dynamodb", side)
    for item in items:
        dynamodb.put_item(TableName=name, Item=item)


@pytest.mark.parametrize("shape", ["ThreadByDate", "all_types", "empty"])
def test_every_shape_travels_whole(ways: Direct, hurry: Any, shape: str) -> None:
    crossing = ways.crossing
    table = next(each for each in demo_tables(Keys("", "")) if each.name == shape)
    dynamodb = crossing.lab.client("dynamodb")
    dynamodb.create_table(TableName=shape, **table.create)
    dynamodb.get_waiter("table_exists").wait(TableName=shape, WaiterConfig={"Delay": 1})
    fill(crossing, shape, list(table.items()))
    jobs = ways.go(hurry, shape, verify="full")
    assert [(job.kind, job.state) for job in jobs[:2]] == [("direct", "completed"), ("verify", "completed")], jobs
    judgement = ways.judge(jobs)
    assert (judgement.status, judgement.verified, judgement.failure) == ("migrated", "full", None)
    assert crossing.items("source", shape) == crossing.items("destination", shape)
    there, here = crossing.described(shape), crossing.described(shape, "source")
    for member in ("KeySchema", "LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        assert _names(there.get(member)) == _names(here.get(member))
    carried = jobs[-1].result["settings_carried"]
    assert ("local_secondary_indexes" in carried) is bool(here.get("LocalSecondaryIndexes"))
    crossing.lab.clear_requests()
    again = ways.go(hurry, shape, verify="full")
    assert {job.state for job in again} == {"not_needed"}
    assert crossing.lab.mutating_calls() == []
    assert crossing.lab.count("Scan") == 0
    later = ways.judge(again)
    assert later.reason.startswith("Compared by an earlier run, at 20")
    assert replace(later, reason="") == judgement


def test_copies_and_comparisons_take_their_part_of_the_machine(
    ways: Direct, hurry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    for module in (colliding, direct, comparison):
        monkeypatch.setattr(module, "workers_for", lambda *_arguments: counts.append(worker_count._works.count) or 1)
    make(ways.crossing, "shared")
    with worker_count.at_work():
        ways.go(hurry, "shared", verify="full", transform=choices_of([{"replace": {"id": [".$", ""]}}]))
    assert counts == [2, 2, 2], "the look for items that become one, the copy, the comparison"


def test_a6_a_copy_says_from_when_to_when_its_items_were_read(
    ways: Direct, hurry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By AWS's clock, which is ten minutes ahead of this machine's."""
    ahead = timedelta(minutes=10)
    monkeypatch.setattr(Account, "now", lambda self: datetime.now(UTC) + ahead)
    make(ways.crossing, "timed")
    began = datetime.now(UTC).replace(microsecond=0) + ahead
    jobs = ways.go(hurry, "timed")
    for stopped in (False, True):
        source, destination = ways.crossing.source, ways.crossing.destination
        data_as_of = judge("timed", source, destination, jobs, writes_stopped=stopped).data_as_of
        first, last = (datetime.fromisoformat(data_as_of[name]) for name in ("from", "to"))
        assert began <= first <= last <= datetime.now(UTC) + ahead
        assert first == last or not stopped


def _names(members: Any) -> Any:
    return sorted((each.get("IndexName") or each["AttributeName"]) for each in members or [])


def test_a_foreign_table_is_refused(ways: Direct) -> None:
    crossing = ways.crossing
    make(crossing, "foreign")
    make(crossing, "foreign", "destination")
    options = ways.options("foreign")
    with pytest.raises(DestinationExists, match="overwrites nothing"):
        start(crossing.source, crossing.destination, options)


def test_a_copy_that_may_not_write_says_so(crossing: Crossing) -> None:
    make(crossing, "unwritable")
    fill(crossing, "unwritable", [{"id": {"S": "1"}}])
    iam = crossing.lab.client("iam", "destination")
    iam.create_user(UserName="reader")
    statements = [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "dynamodb:BatchWriteItem", "Resource": "*"},
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName="reader", PolicyName="only", PolicyDocument=policy)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    options = {"endpoint_url": crossing.lab.endpoint_url, "region": crossing.region}
    keys = {name: crossing.lab.landscape["accounts"]["source"][name] for name in ("access_key", "secret_key")}
    arguments = {
        "name": "unwritable",
        "source": {**options, **keys},
        "destination": {**options, "access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]},
    }
    params = ArgumentSpecValidator(dynamodb_copy.SPEC).validate(arguments).validated_parameters
    result = outcome(dynamodb_copy.VERB, params, check_mode=False, diff=False, progress=lambda line: None)
    assert (result["failed"], result["ferry_error"], result["table"]) == (True, "AccessDenied", "unwritable")
    assert "dynamodb:BatchWriteItem" in result["cause"]
    assert result["next_step"].startswith("Have the Deny taken away in the policies of the principal")  # found.md H4
    assert result["details"]["job"]["failure"]["error"] == "AccessDenied"


def test_another_tables_copy_is_a_foreign_table(ways: Direct, hurry: Any) -> None:
    """Of the same migration: whose copy a table is, its marks say, and not the name of the migration alone."""
    crossing = ways.crossing
    for name in ("first-of-two", "second-of-two"):
        make(crossing, name)
        fill(crossing, name, [{"id": {"S": name}}])
    assert ways.go(hurry, "first-of-two")[0].state == "completed"
    for method in ("direct", "s3"):
        options = ways.options("second-of-two", destination_table="first-of-two", bucket=crossing.bucket)
        options = replace(options, method=method, enable_point_in_time_recovery=True)
        with pytest.raises(DestinationExists):
            start(crossing.source, crossing.destination, options)
    assert crossing.items("destination", "first-of-two") == [{"id": {"S": "first-of-two"}}]


@pytest.mark.parametrize(
    "choices",
    [
        {"workers": "0"},
        {"workers": "-2"},
        {"workers": "many"},
        {"sample_items": 0},
        {"read_rate": "fast"},
        {"write_rate": "500%"},
    ],
)
@pytest.mark.parametrize("method", ["direct", "s3"])
def test_choices_that_move_nothing_are_refused(ways: Direct, method: str, choices: dict[str, Any]) -> None:
    crossing = ways.crossing
    options = MigrationOptions("any", method=method, items=ItemChoices(**choices))
    with pytest.raises(InvalidInput, match=f"any: {next(iter(choices))}"):
        start(crossing.source, crossing.destination, options)


@pytest.mark.parametrize("rate", ["fast", "50%", "0"])
def test_rates_that_are_none_are_refused_before_anything_is_made(ways: Direct, rate: str) -> None:
    crossing = ways.crossing
    name = f"rate-{len(rate)}"
    make(crossing, name)
    options = MigrationOptions(name, method="direct", items=ItemChoices(write_rate=rate))
    with pytest.raises(InvalidInput):
        preview(crossing.source, crossing.destination, options)


def test_a_check_changes_nothing(ways: Direct) -> None:
    crossing = ways.crossing
    make(crossing, "checked")
    crossing.lab.clear_requests()
    options = ways.options("checked", verify="full")
    way = preview(crossing.source, crossing.destination, options)
    foreseen = [change.what for change in way.changes[:3]]
    assert foreseen == ["table checked", "items of checked", "comparison of checked and checked"]
    assert [(job.kind, job.state) for job in (way.job, *way.then)][:2] == [("direct", "planned"), ("verify", "planned")]
    assert crossing.lab.mutating_calls() == []


def test_a_killed_copy_goes_on(ways: Direct, hurry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    crossing = ways.crossing
    make(crossing, "killed")
    fill(crossing, "killed", list(numbered()))
    whole = direct.copy_items

    def broken(source: Any, destination: Any, options: Any, progress: Any) -> Any:
        def stop(now: Any) -> None:
            progress(now)
            if now.segments_done > 3:
                raise OSError("killed")

        return whole(source, destination, options, stop)

    monkeypatch.setattr(direct, "copy_items", broken)
    monkeypatch.setattr(
        "ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying.PROGRESS_SECONDS", 0
    )
    assert ways.go(hurry, "killed")[0].state == "failed"
    monkeypatch.setattr(direct, "copy_items", whole)
    crossing.lab.clear_requests()
    jobs = ways.go(hurry, "killed")
    assert (jobs[0].state, jobs[0].result["resumed"], jobs[0].result["items"]) == ("completed", True, 100)
    assert crossing.lab.count("CreateTable") == 0
    assert ways.judge(jobs, "counts").verified == "counts"
    assert crossing.items("source", "killed") == crossing.items("destination", "killed")


def test_a18_a_table_that_took_the_name_while_the_copy_waited_gets_nothing(
    ways: Direct, hurry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for room on the workbench, after its table was made and looked at."""
    crossing = ways.crossing
    make(crossing, "taken")
    fill(crossing, "taken", list(numbered()))
    there = crossing.lab.client("dynamodb", "destination")
    whole = direct._copy

    def late(*arguments: Any) -> Any:
        if there.describe_table(TableName="taken")["Table"]["DeletionProtectionEnabled"]:
            there.update_table(TableName="taken", DeletionProtectionEnabled=False)
        there.delete_table(TableName="taken")
        there.get_waiter("table_not_exists").wait(TableName="taken", WaiterConfig={"Delay": 1})
        make(crossing, "taken", "destination")
        crossing.lab.clear_requests()
        return whole(*arguments)

    monkeypatch.setattr(direct, "_copy", late)
    job = ways.go(hurry, "taken")[0]
    assert (job.state, job.failure_code) == ("failed", "Replaced"), job
    assert crossing.items("destination", "taken") == []
    assert crossing.lab.mutating_calls() == []


def test_a_copy_that_is_not_waited_for_stops_and_goes_on_later(ways: Direct, hurry: Any) -> None:
    crossing = ways.crossing
    make(crossing, "slow")
    fill(crossing, "slow", list(numbered()))
    options = ways.options("slow")
    slow = replace(options, items=replace(options.items, write_rate="10"))
    way = start(crossing.source, crossing.destination, slow)
    item = WaitItem("slow", crossing.source, crossing.destination, way.job, way.then)
    (stopped, settings) = hurry([item], timeout=50.0).ways["slow"]
    assert (stopped.state, stopped.timed_out, settings.state) == ("running", True, "pending")
    assert len(crossing.items("destination", "slow")) < 100, "what works beside was not called off"
    jobs = ways.go(hurry, "slow")
    told = jobs[0].result
    assert (jobs[0].state, told["resumed"], told["items"], told["counted"]) == ("completed", True, 100, 100)


@pytest.mark.parametrize(
    ("items", "read", "segments_done", "about", "percent"),
    [(40, 0, 0, 100, 40.0), (90, 40, 0, 100, 40.0), (40, 0, 2, 100, 50.0), (40, 0, 1, 0, 25.0), (140, 0, 1, 100, 99.0)],
    ids=["items", "read", "segments", "not counted", "grown"],
)
def test_a_copy_says_how_far_it_is(items: int, read: int, segments_done: int, about: int, percent: float) -> None:
    progress = CopyProgress(Counts(items=items, bytes=7, read=read), segments_done, 4)
    shown = direct.so_far(progress, about)
    assert shown == {"items": items, "bytes": 7, "percent": percent, "items_about": about}


def test_sessions_that_end_early_are_renewed(ways: Direct, hurry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The role's keys end before their time: assumed anew, for either side and either kind of request."""
    crossing = ways.crossing
    make(crossing, "renewed")
    fill(crossing, "renewed", list(numbered()))
    for side in ("source", "destination"):
        monkeypatch.setattr(crossing, side, crossing.by_role(side))
    for operation in ("Scan", "BatchWriteItem"):
        crossing.lab.add_fault(operation=f"dynamodb.{operation}", kind="expired_token", times=1)
    crossing.lab.clear_requests()
    jobs = ways.go(hurry, "renewed")
    assert (jobs[0].state, jobs[0].result["items"]) == ("completed", 100), jobs[0]
    assert crossing.lab.count("AssumeRole", ok=True) == 4
    assert not list((ways.folder / "checkpoints").iterdir())


def test_h8_a_folder_for_checkpoints_is_tried_before_the_table_is_made(ways: Direct, hurry: Any) -> None:
    crossing = ways.crossing
    make(crossing, "unkept")
    (ways.folder / "checkpoints").write_text("no folder")
    options = ways.options("unkept")
    crossing.lab.clear_requests()
    for begin in (preview, start):
        with pytest.raises(CheckpointUnusable, match="checkpoints cannot be written: Not a directory") as refused:
            begin(crossing.source, crossing.destination, options)
        assert (refused.value.status, "checkpoint_dir" in refused.value.next_step) == ("refused", True)
    assert crossing.lab.mutating_calls() == []
    (ways.folder / "checkpoints").unlink()
    foreseen = preview(crossing.source, crossing.destination, options)
    assert (foreseen.job.state, list(ways.folder.iterdir())) == ("planned", [])


def test_h8_a_table_that_was_made_is_never_refused(ways: Direct, hurry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full only after CreateTable; later runs know it before, and the table is there."""
    crossing = ways.crossing
    make(crossing, "halted")
    fill(crossing, "halted", [{"id": {"S": "1"}}])
    folder, made = ways.folder / "checkpoints", direct.make_table

    def filling_the_disk(*how: Any, **more: Any) -> Any:
        table = yield from made(*how, **more)
        folder.write_text("no folder")
        return table

    monkeypatch.setattr(direct, "make_table", filling_the_disk)
    jobs = ways.go(hurry, "halted")
    assert (jobs[0].state, jobs[0].failure_code) == ("failed", "CheckpointUnusable")
    judgement = ways.judge(jobs)
    assert judgement.status == "failed" and judgement.failure is not None
    assert judgement.failure.status == "failed"
    with pytest.raises(CheckpointUnusable) as later:
        start(crossing.source, crossing.destination, ways.options("halted"))
    assert later.value.status == "failed"
    folder.unlink()
    monkeypatch.undo()
    assert ways.judge(ways.go(hurry, "halted", verify="full")).status == "migrated"


def test_h8_a_comparison_goes_on_without_its_file_and_says_so(ways: Direct, monkeypatch: pytest.MonkeyPatch) -> None:
    crossing = ways.crossing
    for side in ("source", "destination"):
        make(crossing, "unlisted", side)
        fill(crossing, "unlisted", [{"id": {"S": f"of-the-{side}"}}], side)
    path = ways.folder / "differences" / "unlisted.jsonl"
    options = VerifyOptions("unlisted", "unlisted", items=ItemChoices(differences_path=str(path)))

    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    for broken in ("folder", "disk"):
        if broken == "folder":
            path.parent.write_text("no folder")
        else:
            monkeypatch.setattr(kept_differences, "new_file", lambda _path: Full())
        found = verify_tables(crossing.source, crossing.destination, options)
        assert (found.comparison.missing, found.comparison.extra, len(found.first), found.path) == (1, 1, 2, "")
        assert found.unwritten.startswith(f"{path}: No") and not path.exists()
        with pytest.raises(DifferencesFound, match=r"The keys could not be written to .*unlisted.jsonl: No"):
            require_equal(Job("verify", "unlisted", "completed", result=found.to_dict()))
        path.parent.unlink(missing_ok=True)


def test_c7_a_repair_that_is_refused_names_no_key(ways: Direct, monkeypatch: pytest.MonkeyPatch) -> None:
    crossing = ways.crossing
    for side in ("source", "destination"):
        make(crossing, "unrepaired", side)

    def refuse(*_how: Any) -> Any:
        raise ItemRefused(
            "The destination rejects an item: why.",
            "Correct it.",
            details={"items": [{"key": "secret", "reason": "why"}], "code": "c"},
        )

    monkeypatch.setattr(comparison, "repair", refuse)
    monkeypatch.setattr(comparison, "require_repairable", lambda *_how, **_more: "id")
    file = ways.folder / "unrepaired-refused"
    options = VerifyOptions("unrepaired", "unrepaired", items=ItemChoices(refused_path=str(file)))
    (ways.folder / "file").write_text("")
    found = comparison.Verification(Comparison(0, 0, 1), path=str(ways.folder / "file"))
    with pytest.raises(ItemRefused, match=r"The keys are in .*unrepaired-refused") as refused:
        repair_differences(crossing.source, crossing.destination, options, found, delete_extra=False)
    assert refused.value.details == {"code": "c", "path": str(file)}
    assert json.loads(file.read_text()) == {"key": "secret", "reason": "why"}


MARK = "aws:rep:updatetime"


def test_h1_attributes_of_old_global_tables_are_counted_and_said(ways: Direct, hurry: Any) -> None:
    crossing = ways.crossing
    make(crossing, "global")
    fill(
        crossing,
        "global",
        [{"id": {"S": "1"}, MARK: {"N": "1.5"}}, {"id": {"S": "2"}, "aws": {"M": {MARK: {"N": "1"}}}}],
    )
    options = ways.options("global", verify="full")
    left = {each.what: each.reason for each in preview(crossing.source, crossing.destination, options).left}
    assert "1 of the first 2 items" in next(reason for what, reason in left.items() if "aws:rep:*" in what)
    jobs = ways.go(hurry, "global", verify="full")
    judgement = ways.judge(jobs)
    assert (judgement.status, jobs[0].result["shortened"]) == ("migrated", 1)
    assert "Of 1 item the attributes aws:rep:*" in judgement.reason
    assert all(MARK not in item for item in crossing.items("destination", "global"))


def test_h1_they_are_kept_where_a_key_is_one_of_them(ways: Direct, hurry: Any) -> None:
    """An index on one of them would be empty in the copy: of 40 items it had none, and all compared equal."""
    crossing = ways.crossing
    index = {
        "IndexName": "by-time",
        "KeySchema": [{"AttributeName": MARK, "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    definitions = [{"AttributeName": "id", "AttributeType": "S"}, {"AttributeName": MARK, "AttributeType": "N"}]
    make(crossing, "by-mark", GlobalSecondaryIndexes=[index], AttributeDefinitions=definitions)
    items = [{"id": {"S": f"{n}"}, MARK: {"N": f"{n}"}, "aws:rep:deleting": {"BOOL": False}} for n in range(40)]
    fill(crossing, "by-mark", items)
    foreseen = preview(crossing.source, crossing.destination, ways.options("by-mark"))
    assert any("are copied too" in words for words in foreseen.warnings)
    assert not any("aws:rep" in each.what for each in foreseen.left)
    judgement = ways.judge(ways.go(hurry, "by-mark", verify="full"))
    assert (judgement.status, judgement.verified) == ("migrated", "full")
    assert crossing.items("destination", "by-mark") == crossing.items("source", "by-mark")
    there = crossing.lab.client("dynamodb", "destination")
    assert there.scan(TableName="by-mark", IndexName="by-time", Select="COUNT")["Count"] == 40
    there.update_item(
        TableName="by-mark",
        Key={"id": {"S": "1"}},
        UpdateExpression="SET #m = :m",
        ExpressionAttributeNames={"#m": MARK},
        ExpressionAttributeValues={":m": {"N": "99"}},
    )
    options = VerifyOptions("by-mark", "by-mark")
    for level in ("sample", "full"):
        compared = verify_tables(crossing.source, crossing.destination, replace(options, level=level)).comparison
        assert compared.different == 1
    found = verify_tables(crossing.source, crossing.destination, options)
    assert repair_differences(crossing.source, crossing.destination, options, found, delete_extra=False).put == 1
    assert verify_tables(crossing.source, crossing.destination, options).comparison.equal


def test_h1_what_another_method_brought_is_counted_by_the_comparison(crossing: Crossing) -> None:
    for side in ("source", "destination"):
        make(crossing, "brought", side)
        fill(crossing, "brought", [{"id": {"S": "1"}, MARK: {"N": "1.5"}}, {"id": {"S": "2"}}], side)
    found = verify_tables(crossing.source, crossing.destination, VerifyOptions("brought", "brought"))
    compared = Job("verify", "brought", "completed", result={**found.to_dict(), "level": "full"})
    judged = with_comparison(Judgement("migrated", 2, 2, 10, "counts"), compared, "brought")
    assert "1 item of the copy has attributes aws:rep:*" in judged.reason
    shape = {"TableName": "t", **on_demand(("id", "S"))}
    old, new = (TableDefinition.from_dict({**shape, "GlobalTableVersion": f"20{v}"}) for v in ("17.11.29", "19.11.21"))
    assert "come along" in brought_along(old)[0] and left_by_copy(old)[0].reason.startswith("the method direct leaves")
    assert (brought_along(new), left_by_copy(new)) == ((), ())


def test_d6_the_longest_table_name_has_files(ways: Direct, hurry: Any) -> None:
    crossing, name = ways.crossing, "n" * 255
    make(crossing, name)
    fill(crossing, name, list(numbered()))
    arns = crossing.source.table_arn(name), crossing.destination
    paths = {direct.checkpoint_path(direct_options(ways, name), *arns, table_id) for table_id in ("one", "two")}
    assert len(paths) == 2 and all(path is not None and len(path.name) < 150 for path in paths)
    assert ways.judge(ways.go(hurry, name)).status == "migrated"
    short = direct.checkpoint_path(direct_options(ways, "orders"), *arns, "one")
    assert short is not None and short.name.startswith("orders-")


def direct_options(ways: Direct, name: str) -> direct.DirectOptions:
    return direct.DirectOptions(name, items=ways.options(name).items)


def test_differences_are_told_stop_the_settings_and_are_mended(
    ways: Direct, hurry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    crossing = ways.crossing
    make(crossing, "damaged")
    fill(crossing, "damaged", list(numbered()))
    there = crossing.lab.client("dynamodb", "destination")
    whole = direct.copy_items
    gone = [item["id"] for item in list(numbered())[:4]]

    def damaging(*told: Any) -> Any:
        copied = whole(*told)
        for key in gone[:3]:
            there.put_item(TableName="damaged", Item={"id": key, "changed": {"BOOL": True}})
        there.delete_item(TableName="damaged", Key={"id": gone[3]})
        there.put_item(TableName="damaged", Item={"id": {"S": "added"}})
        return copied

    monkeypatch.setattr(direct, "copy_items", damaging)
    jobs = ways.go(hurry, "damaged", verify="full")
    assert [(job.kind, job.state) for job in jobs] == [
        ("direct", "completed"),
        ("verify", "completed"),
        ("settings", "pending"),
    ]
    judgement = ways.judge(jobs)
    assert (judgement.status, judgement.verified) == ("failed", "none")
    assert "1 missing, 3 different, 1 extra" in judgement.reason
    # C7: keys of items are in the file alone, which only its owner may read.
    assert f"The keys are in {ways.folder / 'damaged.jsonl'}." in judgement.reason
    assert (ways.folder / "damaged.jsonl").stat().st_mode & 0o777 == 0o600
    assert not any(key["S"] in str(judgement) + str(jobs) for key in [*gone, {"S": "added"}])
    lines = [json.loads(line) for line in (ways.folder / "damaged.jsonl").read_text().splitlines()]
    assert sorted(line["difference"] for line in lines) == ["different", "different", "different", "extra", "missing"]
    options = VerifyOptions(
        "damaged", "damaged", items=ItemChoices(differences_path=str(ways.folder / "damaged.jsonl"))
    )
    found = verify_tables(crossing.source, crossing.destination, options)
    mended = repair_differences(crossing.source, crossing.destination, options, found, delete_extra=True)
    assert (mended.put, mended.deleted) == (4, 1)
    assert verify_tables(crossing.source, crossing.destination, options).comparison.equal
    assert not (ways.folder / "damaged.jsonl").exists()
    jobs = ways.go(hurry, "damaged", verify="full")
    assert (ways.judge(jobs).verified, jobs[-1].state) == ("full", "not_needed")  # the mark came with the table


def test_a_copy_by_its_record_passes_the_runs_gate(ways: Direct, hurry: Any) -> None:
    """The data plane's own requests are held to the lease as well."""
    crossing, clock = ways.crossing, AwsClock()
    make(crossing, "gated")
    fill(crossing, "gated", [{"id": {"S": str(number)}} for number in range(30)])
    store = RecordStore.open(crossing.destination, "records", clock)
    assert store is not None
    here = Process("ann", "here", "boot", "ns", 7, "start")
    run = Run.join(store, clock, here, start_of=lambda pid: "start")
    left: list[str] = []
    leave = run.gate.leave
    run.gate.leave = lambda date=None, subject=None: left.append(subject or "") or leave(date, subject)  # type: ignore[method-assign,assignment]
    way = start(crossing.source, crossing.destination, ways.options("gated"), Records(store, lambda: run))
    item = WaitItem("gated", crossing.source, crossing.destination, way.job, way.then, Tracking(run, "gated"))
    jobs = hurry([item]).ways["gated"]
    record = Tracking(run, "gated")
    assert judge("gated", crossing.source, crossing.destination, jobs, record=record).status == "migrated"
    assert (record.record.state, record.record.evidence["items_destination"]) == ("done", 30)
    assert "gated" in left
