# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables that pass through this machine: whole ways of the method direct, comparisons, repairs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.data_plane import ItemChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import DestinationExists, InvalidInput
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.direct import copy_job as direct
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import judge, preview, start
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.clock import AwsClock
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.process import Process
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.run import Run
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.store import RecordStore
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.claiming import Records
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.comparison import (
    VerifyOptions,
    repair_differences,
    verify_tables,
)
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
    "choices", [{"workers": 0}, {"workers": -2}, {"sample_items": 0}, {"read_rate": "fast"}, {"write_rate": "500%"}]
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


def test_differences_are_told_stop_the_settings_and_are_mended(
    ways: Direct, hurry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    crossing = ways.crossing
    make(crossing, "damaged")
    fill(crossing, "damaged", list(numbered()))
    there = crossing.lab.client("dynamodb", "destination")
    whole = direct.copy_items

    def damaging(*told: Any) -> Any:
        copied = whole(*told)
        keys = [item["id"] for item in list(numbered())[:4]]
        for key in keys[:3]:
            there.put_item(TableName="damaged", Item={"id": key, "changed": {"BOOL": True}})
        there.delete_item(TableName="damaged", Key={"id": keys[3]})
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
