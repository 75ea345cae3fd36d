# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which tables a repair may write into: those that the migration filled (found.md A2)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import DestinationExists
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import comparing
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import CompareOptions, Comparison
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import ItemTable
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import process
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.lease import Process
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import Record, Source, table_key
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps import comparison
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.comparison import (
    VerifyOptions,
    require_repairable,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import outcome
from ansible_collections.tableferry.aws.plugins.module_utils.glue.records import RecordTables, open_to_read
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import dynamodb_verify
from tests.unit.on_lab.conftest import Crossing
from tests.unit.on_lab.methods.backup.test_jobs import accounts, backed_up, copied, restored
from tests.unit.on_lab.methods.backup.test_kill import world
from tests.unit.on_lab.methods.direct.test_copy_job import fill, make
from tests.unit.on_lab.methods.s3.test_importing import World

WRITES = {"PutItem", "DeleteItem", "BatchWriteItem", "UpdateItem", "TransactWriteItems"}


def verify(crossing: Crossing, folder: Path, name: str, check_mode: bool = False, **options: Any) -> dict[str, Any]:
    """What the verb answers for the source's table ``name`` and the destination's ``production``."""
    place = {"endpoint_url": crossing.lab.endpoint_url, "region": crossing.region}
    keys = ("access_key", "secret_key")
    sides = {
        side: {**place, **{key: crossing.lab.landscape["accounts"][side][key] for key in keys}}
        for side in ("source", "destination")
    }
    arguments = {"name": name, "repair": True, "differences_path": str(folder / "differences"), **sides, **options}
    params = ArgumentSpecValidator(dynamodb_verify.SPEC).validate(arguments).validated_parameters
    return outcome(dynamodb_verify.VERB, params, check_mode=check_mode, diff=False, progress=lambda line: None)


def two(crossing: Crossing, name: str, **there: Any) -> None:
    """A source table of three items, and a table ``name`` of the destination that has others."""
    make(crossing, name)
    fill(crossing, name, [{"id": {"S": str(number)}} for number in range(3)])
    make(crossing, name, "destination", **there)
    fill(crossing, name, [{"id": {"S": str(number)}, "own": {"BOOL": True}} for number in range(2, 9)], "destination")


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("delete_extra", [False, True])
def test_a2_a_table_that_is_not_ours_is_neither_repaired_nor_emptied(
    crossing: Crossing, tmp_path: Path, delete_extra: bool, check_mode: bool
) -> None:
    name = f"production-{delete_extra}-{check_mode}"
    two(crossing, name)
    before = crossing.items("destination", name)
    crossing.lab.clear_requests()
    result = verify(crossing, tmp_path, name, check_mode, delete_extra=delete_extra)
    assert (result["failed"], result["ferry_error"]) == (True, "DestinationExists"), result
    assert "tableferry:migration=default" in result["next_step"]
    assert crossing.lab.count("Scan") == 0
    assert crossing.lab.mutating_calls() == []
    assert crossing.items("destination", name) == before


def test_a2_a_table_that_was_marked_by_hand_is_repaired_but_nothing_in_it_is_deleted(
    crossing: Crossing, tmp_path: Path
) -> None:
    two(crossing, "adopted", Tags=[{"Key": "tableferry:migration", "Value": "default"}])
    refused = verify(crossing, tmp_path, "adopted", delete_extra=True)
    assert (refused["ferry_error"], "not deleted" in refused["cause"]) == ("DestinationExists", True)
    assert len(crossing.items("destination", "adopted")) == 7
    other = verify(crossing, tmp_path, "adopted", migration_id="other")
    assert other["ferry_error"] == "DestinationExists"
    mended = verify(crossing, tmp_path, "adopted")
    assert mended["repaired"] == {"put": 3, "deleted": 0, "equal": 0, "changed": 0, "left": 6}
    assert len(crossing.items("destination", "adopted")) == 9


@pytest.mark.parametrize(("way", "left"), [(False, 3), ("false", 3), (True, 0), ("true", 0), ("racing", 0)], ids=repr)
def test_g6_a_repair_is_one_of_three(crossing: Crossing, tmp_path: Path, way: Any, left: int) -> None:
    name = f"three-{type(way).__name__}-{way}"
    two(crossing, name, Tags=[{"Key": "tableferry:migration", "Value": "default"}])
    assert "ferry_error" not in verify(crossing, tmp_path, name, repair=way)
    again = verify(crossing, tmp_path, name, repair="false")
    assert again["missing"] + again["different"] == left


def test_a2_a_comparison_without_a_repair_reads_any_table(crossing: Crossing, tmp_path: Path) -> None:
    two(crossing, "compared")
    result = verify(crossing, tmp_path, "compared", repair=False)
    assert (result["missing"], result["different"], result["extra"]) == (2, 1, 6)


def test_g11_keys_that_memory_does_not_hold_are_kept_in_the_work_directory(
    crossing: Crossing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory one group of keys is looked into; without room on disk the result says how much is needed."""
    two(crossing, "large")
    whole, free = comparison.compare_tables, comparing.free_bytes

    def compared(source: ItemTable, destination: ItemTable, options: CompareOptions, *others: Any) -> Comparison:
        return whole(source, destination, replace(options, most_listed=1, most_buckets=16), *others)

    monkeypatch.setattr(comparison, "compare_tables", compared)
    in_memory = verify(crossing, tmp_path, "large", repair=False)
    assert in_memory["not_listed"] > 0 and "not_listed_because" not in in_memory
    monkeypatch.setattr(comparing, "free_bytes", lambda folder: min(free(folder), 20))
    full = verify(crossing, tmp_path, "large", repair=False, work_dir=str(tmp_path / "work"))
    assert full["not_listed"] > 0
    because = full["not_listed_because"]
    assert re.fullmatch(r"Their keys need \d{3} bytes in work_dir, which may take 18 bytes", because)
    assert full["msg"].count(f"{because}.") == 1
    monkeypatch.undo()
    monkeypatch.setattr(comparison, "compare_tables", compared)
    result = verify(crossing, tmp_path, "large", repair=False, work_dir=str(tmp_path / "work"))
    assert (result["missing"], result["different"], result["extra"], result["not_listed"]) == (2, 1, 6, 0)
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.parametrize("state", ["completed", "failed"])
def test_a2_what_our_import_made_may_be_repaired(state: str) -> None:
    """A failed import leaves a table of which a repair is one way out; a table made anew is no longer it."""
    ours = World(3)
    if state == "failed":
        ours.aws.fail_next("ImportTable", "ItemValidationError", "no")
    assert ours.wait(ours.start()).state == state
    options = VerifyOptions("orders", "orders")
    table_id = ours.aws.described("orders")["TableId"]
    assert require_repairable(ours.source, ours.destination, options, "default", delete_extra=True) == table_id
    with pytest.raises(DestinationExists):
        require_repairable(ours.source, ours.destination, options, "other", delete_extra=False)
    ours.aws.drop()
    ours.aws.add_table("orders", 1, "destination", recovery=False)
    with pytest.raises(DestinationExists):
        require_repairable(ours.source, ours.destination, options, "default", delete_extra=False)


def test_a2_what_our_restore_made_may_be_repaired_before_it_has_our_marks() -> None:
    aws = world()
    assert restored(aws, copied(aws, backed_up(aws))).state == "completed"
    assert "tableferry:source" not in aws.tags("orders", "destination")
    options = VerifyOptions("orders", "orders")
    assert require_repairable(*accounts(aws), options, "default", delete_extra=True)
    with pytest.raises(DestinationExists):
        require_repairable(*accounts(aws), options, "other", delete_extra=True)
    aws.may_not("destination", "backup:ListRestoreJobs")
    with pytest.raises(DestinationExists):
        require_repairable(*accounts(aws), options, "default", delete_extra=True)
    aws.may_again("destination")
    aws.drop()
    aws.add_table("orders", 1, "destination", recovery=False)
    with pytest.raises(DestinationExists):
        require_repairable(*accounts(aws), options, "default", delete_extra=True)


# With a record


def recorded(crossing: Crossing, name: str, state: str, method: str, *, made: bool = True) -> None:
    """A record of the table ``name`` of the destination, of this table or of one that was there before it."""
    tables = RecordTables()
    try:
        kept = tables.records(crossing.destination, "tableferry")
        run, arn = kept.run(), crossing.destination.table_arn(name)
        source = Source(crossing.source.table_arn(name), TableDefinition.read(crossing.source, name).table_id)
        there = TableDefinition.find(crossing.destination, name)
        assert there is not None and there.arn == arn
        record = Record(table_key(name), kept.store.home, "default", source, method, run=run.id)
        record = replace(record, state=state, table_id=there.table_id if made else "former")  # type: ignore[arg-type]
        run.let_go(run.claim(record))
    finally:
        tables.leave()


@pytest.mark.parametrize(
    ("state", "method", "made", "repaired"),
    [
        ("done", "s3", True, True),
        ("filled", "backup", True, True),
        ("broken", "direct", True, True),
        ("broken", "s3", True, True),
        ("filling", "backup", True, False),
        ("done", "s3", False, False),
        ("claimed", "direct", False, False),
    ],
)
def test_the_record_decides_where_there_is_one(
    crossing: Crossing, tmp_path: Path, state: str, method: str, made: bool, repaired: bool
) -> None:
    """Tags do not count beside it: whoever makes a table can set them."""
    name = f"recorded-{state}-{method}-{made}"
    two(crossing, name, **({} if repaired else {"Tags": [{"Key": "tableferry:migration", "Value": "default"}]}))
    recorded(crossing, name, state, method, made=made)
    before = crossing.items("destination", name)
    for check_mode in (True, False):
        result = verify(crossing, tmp_path, name, check_mode, delete_extra=True)
        if not repaired:
            assert result["ferry_error"] == "DestinationExists"
            assert ("playbook status" if state == "filling" else "delete that table") in result["next_step"]
        assert crossing.items("destination", name) == before or not check_mode
    assert (crossing.items("destination", name) == crossing.items("source", name)) == repaired
    store, _now = open_to_read(crossing.destination, "tableferry")
    assert store is not None
    record = store.read(table_key(name))
    assert record is not None and (record.state, record.run) == ("filled" if state == "broken" else state, "")
    if repaired:
        assert verify(crossing, tmp_path, name, migration_id="other")["ferry_error"] == "DestinationExists"


def test_a_table_that_another_run_holds_is_not_repaired(
    crossing: Crossing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_of = process.start_of
    two(crossing, "held")
    recorded(crossing, "held", "done", "s3")
    tables = RecordTables()
    with monkeypatch.context() as other:
        other.setattr(process, "describe", lambda pid: Process("bob", "elsewhere", "boot", "ns", pid, start_of(pid)))
        held = tables.hold(crossing.destination, "tableferry", "held")
        assert held is not None
    before = crossing.items("destination", "held")
    assert verify(crossing, tmp_path, "held")["ferry_error"] == "Held"
    assert crossing.items("destination", "held") == before
    held.let_go()
    tables.leave()
