# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares two tables item by item, and repairs the destination on request."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from ...core.account import Account
from ...core.change import Change, to_diff
from ...core.data_plane import ItemChoices
from ...core.errors import Held, NotOurs, RecordDenied, Replaced
from ...core.exports.kept_export import SDK_SERVICES
from ...core.items.carried import REPLICATION
from ...core.items.differences import CompareProgress
from ...core.items.permit import FREE, Bounds
from ...core.jobs.job import workers_lost
from ...core.jobs.progress import TellingOne
from ...core.jobs.tracking import Tracking
from ...core.migration import exported_items, filled_id
from ...core.record.parts import is_to_come, of_source
from ...core.record.record import Record
from ...core.steps.adopting import SETTINGS_NEXT, Evidence, mended
from ...core.steps.background import percent
from ...core.steps.comparison import (
    Verification,
    VerifyOptions,
    compared_with,
    repair_differences,
    require_repairable,
    unseen_by,
    verify_tables,
    where_listed,
)
from ...core.steps.holding import Patience, no_pause
from ...core.steps.standing import require_copy, require_own
from ...core.table.definition import TableDefinition
from ..accounts import Accounts
from ..records import RECORD_OPTIONS, RecordTables, open_to_read, record_of
from ..spec import (
    BOTH_ACCOUNTS_OPTIONS,
    COMPARING_OPTIONS,
    INDEX_OPTIONS,
    MIGRATION_OPTIONS,
    READING_OPTIONS,
    SHARED_OPTIONS,
    TRANSFORM_OPTIONS,
    Progress,
    Verb,
    given,
)
from ..transforming import transform_of

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **MIGRATION_OPTIONS,
    **READING_OPTIONS,
    **COMPARING_OPTIONS,
    **TRANSFORM_OPTIONS,
    **INDEX_OPTIONS,
    "name": {"type": "str", "required": True},
    **BOTH_ACCOUNTS_OPTIONS,
    "source_table": {"type": "str"},
    "level": {"type": "str", "choices": ["sample", "full"], "default": "full"},
    "repair": {"type": "str", "choices": ["false", "true", "racing"], "default": "false"},
    "delete_extra": {"type": "bool", "default": False},
    "refused_path": {"type": "path"},
    **RECORD_OPTIONS,
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Compare the tables. With ``repair`` also repair the differences; in check mode only report them.

    A table that the migration did not fill is refused before anything is read.
    """
    racing = params["repair"] == "racing"
    params = {**params, "repair": params["repair"] in ("true", "racing"), "racing": racing}
    accounts = Accounts(params)
    source = accounts.get("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    options = VerifyOptions(
        source_table=params["source_table"] or params["name"],
        table=params["name"],
        level=params["level"],
        items=ItemChoices(**given(params, (*READING_OPTIONS, *COMPARING_OPTIONS, "refused_path"))),
        transform=transform_of(params, params["name"]),
    )
    record = _record(params, destination)
    mends = record is not None and record.state == "broken" and options.level == "full"
    if record is None or check_mode or not (params["repair"] or mends):
        return _verified(params, check_mode, source, destination, options, progress, record)
    try:
        with _held(params, source, destination, progress) as tracking:
            # Read anew: who held the table until now may have changed it.
            now = tracking.record if tracking is not None else None
            return _verified(params, check_mode, source, destination, options, progress, now, tracking)
    except (Held, RecordDenied):  # comparing needs neither
        if params["repair"]:
            raise
        return _verified(params, check_mode, source, destination, options, progress, record)


def _record(params: dict[str, Any], destination: Account) -> Record | None:
    """The table's record; None without one, without permission to read it, or where it was restored from an older
    table of the records and so proves nothing."""
    try:
        store, _now = open_to_read(destination, params["record_table"])
    except RecordDenied:
        return None
    record = record_of(store, params["name"])
    return None if record is None or store is None or record.home != store.home else record


@contextmanager
def _held(
    params: dict[str, Any], source: Account, destination: Account, progress: Progress
) -> Iterator[Tracking | None]:
    """The table is held by this run within, so that no other one works on it; its record. A repair waits for a former
    run whose process has ended."""
    tables = RecordTables()
    pause = Patience(progress, destination.sleep) if params["repair"] else no_pause
    try:
        record = tables.hold(destination, params["record_table"], params["name"], source, pause=pause)
        try:
            with tables.kept():
                yield record
        finally:
            if record is not None:
                record.let_go()
    finally:
        tables.leave()


def _verified(
    params: dict[str, Any],
    check_mode: bool,
    source: Account,
    destination: Account,
    options: VerifyOptions,
    progress: Progress,
    record: Record | None = None,
    held: Tracking | None = None,
) -> dict[str, Any]:
    ours = source.table_arn(options.source_table)
    known = filled_id(record, params["migration_id"], ours) if record is not None else None
    if record is not None and is_to_come(record, ours):
        raise NotOurs(
            f"The table {params['name']} has items of other sources, and none of {options.source_table} yet.",
            "Migrate it first: without its part nothing says which items are its own.",
            table=params["name"],
        )
    bounds = Bounds(held.run.gate) if held is not None else FREE
    repairing = {
        "migration_id": params["migration_id"],
        "delete_extra": params["delete_extra"],
        "filled_id": known,
    }
    export = None
    if record is not None and ours in record.sources and record.migration == params["migration_id"]:
        try:
            require_copy(destination, record)
        except Replaced:
            if not params["repair"]:  # a repair is refused in the same words, as for each table that is not ours
                raise
        else:
            export = exported_items(destination, record)
    if params["repair"]:
        if record is not None:
            require_own(record, params["migration_id"], source, options.source_table)
        require_repairable(source, destination, options, **repairing)
    telling = TellingOne(params["name"], "comparison", time.monotonic())

    def report(now: CompareProgress) -> None:
        line = telling.line(time.monotonic(), percent(now.segments_done, now.segments), now.items_source)
        if line:
            progress(line)

    seen, begun = _table_id(destination, params["name"]), destination.now()
    part = of_source(record, ours) if record is not None else None
    result = verify_tables(source, destination, options, report, record=part, export=export)
    repaired: dict[str, int] = {}
    changes = _changes(params, result) if params["repair"] else []
    if changes and not check_mode:
        if record is not None:  # a comparison takes hours, in which the source may have been made anew
            require_own(record, params["migration_id"], source, options.source_table)
        more = {"racing": params["racing"], "bounds": bounds, "record": part, "export": export}
        at = destination.now().isoformat(timespec="seconds")
        finished = held is not None and held.record.is_done
        if held is not None and finished:  # noted before: a repair that fails on its way has changed items too
            held.note({"repaired": {"at": at}}, ours)
        repaired = asdict(repair_differences(source, destination, options, result, **repairing, **more))
        if held is not None and finished:
            counts = {"put": repaired["put"], "deleted": repaired["deleted"], "left": _left(result, repaired)}
            held.note({"repaired": {"at": at, **counts}}, ours)
    clean = result.comparison.equal or bool(repaired and not _left(result, repaired))
    whole, refused = False, _refused(record, result)
    if (
        held is not None
        and clean
        and not refused
        and options.level == "full"
        and _may_mend(held.record, source, options, known, seen)
    ):
        compared = result
        if repaired:  # a repair is no comparison: what else was written meanwhile shows only now
            begun, again = destination.now(), replace(options, items=replace(options.items, differences_path=""))
            compared = verify_tables(
                source, destination, again, report, record=of_source(held.record, ours), export=export
            )
        if compared.comparison.equal:
            now = _table_id(destination, params["name"])
            mended(held, now, Evidence.of(compared, begun, destination.now()), time.sleep)
            held.let_go(SETTINGS_NEXT)
            whole = True
    changed = bool(changes) if check_mode else bool(repaired.get("put") or repaired.get("deleted"))
    return {
        "changed": changed,
        "source_arn": ours,
        "destination_arn": destination.table_arn(params["name"]),
        "level": options.level,
        "equal": result.comparison.equal,
        "export_time": "",
        **result.to_dict(),
        "repaired": repaired,
        "clean": clean,
        "filled": whole,
        "diff": to_diff(changes, params["name"]),
        "msg": " ".join([_message(params, result, repaired, changes), *([SETTINGS_NEXT] if whole else []), *refused]),
        **_warnings(params, record, changes, result),
    }


def _may_mend(record: Record, source: Account, options: VerifyOptions, known: str | None, seen: str) -> bool:
    """Whether a comparison may make the broken copy whole: it was of just this table, with the source it was begun
    from."""
    if record.state != "broken" or not known or seen != known:
        return False
    return _table_id(source, options.source_table) == record.source.table_id


def _refused(record: Record | None, result: Verification) -> list[str]:
    """Why a broken copy is not whole though it equals its export: items of it that the steps do not take."""
    count = sum(result.comparison.refused.values())
    if not count or not result.export_time or record is None or record.state != "broken":
        return []
    return [
        f"The copy stays broken: {count} items of the export are not in it, as the steps do not take them. Correct them"
        " in the source, remove the export with the playbook cleanup, and repair again: with the source table."
    ]


def _table_id(destination: Account, name: str) -> str:
    there = TableDefinition.find(destination, name)
    return there.table_id if there is not None else ""


def _warnings(
    params: dict[str, Any], record: Record | None, changes: list[Change], result: Verification
) -> dict[str, list[str]]:
    """A repair of a finished table, which applications may use, is asked for, and done; what it means is said. So are
    worker processes that died."""
    lost, warnings = result.comparison.workers_lost, []
    if lost:
        warnings.append(f"{params['name']}: {workers_lost(lost)}")
    if record is not None and record.is_done and changes:
        items = compared_with(result.to_dict()) or "the source"
        words = f"what its applications wrote since is overwritten with the items of {items}"
        if params["delete_extra"]:
            words += ", and items that only they wrote are deleted"
        warnings.append(f"{params['name']} was finished by an earlier run: by this repair {words}.")
    return {"warnings": warnings} if warnings else {}


def _left(result: Verification, repaired: dict[str, int]) -> int:
    """How many differences are known to be left after a repair, or groups of them."""
    comparison = result.comparison
    unseen = comparison.differences - sum(repaired.values())
    return repaired["left"] + repaired["changed"] + unseen + comparison.unlisted_buckets


def _changes(params: dict[str, Any], result: Verification) -> list[Change]:
    comparison = result.comparison
    extra = comparison.extra if params["delete_extra"] else 0
    repairs = (("put", comparison.missing + comparison.different), ("delete", extra))
    name = params["name"]
    return [Change(f"items of {name} to {what}", None, count, "destructive") for what, count in repairs if count]


def _message(params: dict[str, Any], result: Verification, repaired: dict[str, int], changes: list[Change]) -> str:
    name, comparison = params["name"], result.comparison
    if comparison.equal:
        items = comparison.items_source if comparison.one_way else comparison.items_destination
        equal = "no difference is certain" if comparison.undecided else "all are equal"
        return f"{name}: {items} items compared{_with(result)} ({params['level']}), {equal}." + _not_compared(result)
    counts = f"{comparison.missing} missing, {comparison.different} different, {comparison.extra} extra"
    message = f"{name}: {counts}{_with(result, ', compared')}."
    message += _not_compared(result) + where_listed(result.to_dict())
    if comparison.unlisted_buckets:
        message += (
            f" More items differ in {comparison.unlisted_buckets} groups of keys: repair these, then compare again."
        )
        if result.not_listed_because:
            message += f" {result.not_listed_because}."
    if repaired:
        message += f" Repaired: {', '.join(f'{count} {what}' for what, count in repaired.items() if count)}."
    elif changes:
        repairs = ", ".join(f"{change.what.rpartition(' ')[2]} {change.after}" for change in changes)
        message += f" A repair would {repairs}."
    if not params["repair"]:
        extra = ", and delete_extra to delete what is extra" if comparison.extra else ""
        return f"{message} Nothing was changed: set repair to put what is missing or different{extra}."
    if comparison.extra and not params["delete_extra"]:
        message += f" What is extra is kept ({comparison.extra}): set delete_extra to delete it."
    return message


def _with(result: Verification, before: str = "") -> str:
    export = compared_with(result.to_dict())
    return f"{before} with {export}" if export else ""


def _not_compared(result: Verification) -> str:
    comparison, unseen = result.comparison, unseen_by(result.to_dict())
    words = f" {unseen}" if unseen else ""
    if comparison.marked_source or comparison.marked_destination:
        words += (
            f" Attributes {REPLICATION}, were not compared: {comparison.marked_source} items of the source and"
            f" {comparison.marked_destination} of the destination have some."
        )
    return words


VERB = Verb("dynamodb_verify", SPEC, run, services=("backup", "dynamodb", "sts", *SDK_SERVICES))
