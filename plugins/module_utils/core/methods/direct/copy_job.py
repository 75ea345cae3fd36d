# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of a table through the controller: create the destination, copy the items, continue in a later run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from ...account import Account
from ...change import Change
from ...data_plane import ItemChoices, count_items, item_table, item_tables
from ...destination import creation_call, make_table, require_ours, tags_there
from ...errors import (
    CheckpointUnusable,
    CountMismatch,
    FerryError,
    InvalidInput,
    InvalidTransform,
    ItemRefused,
    Refused,
    Replaced,
)
from ...items.answers import require_msgspec
from ...items.collisions import Collisions
from ...items.copying import CopyOptions, CopyProgress, CopyResult, copy_items
from ...items.private_files import MOST_LETTERS, expanded, in_words, make_folder, require_writable
from ...items.tables import ItemTable
from ...items.throttle import to_rate
from ...items.transform.compiled import compiled
from ...items.transform.definition import Definition
from ...items.worker_count import at_work, workers_for
from ...jobs.job import Job
from ...jobs.kind import Made, OwnWork, Steps, WaitItem, made_of, past_fence
from ...jobs.tracking import Tracking
from ...record.parts import is_later_part
from ...record.record import DELETE, ITEMS
from ...route import Route
from ...steps.background import Workbench, bounds_of, percent
from ...steps.transforms import (
    EVIDENCE,
    BeganWith,
    began_with,
    fingerprint_of,
    items_token,
    require_marked_transform,
    require_same_transform,
    time_of,
)
from ...table.creation import check_indexes
from ...table.definition import TableDefinition
from ...table.merged import require_same_shape
from ...table.ownership import COPY_TAG, put_mark, put_tags
from ...table.preview import items_to_write
from ...table.quotas import check_quotas
from ...table.refused_items import without_keys
from ...table.transforming import TransformChoices, definition_for, require_transform
from ...table_status import require_usable
from .colliding import look_for_collisions, require_no_collisions
from .evidence import copied_by, counts_of, filled_by, mark_of, record_filled, require_counted
from .options import DirectOptions, option_values, options_of

AT_ONCE = 4  # copies that one waiter makes at the same time
UNSURE_PERCENT = 99.0  # the most that is shown by a count of items up to six hours old
READ_BYTES = 4096  # that one read unit of a consistent scan reads; otherwise twice as many (aws.md H)


@dataclass(frozen=True)
class DirectPlan:
    """What a start would do."""

    job: Job
    changes: list[Change]
    definition: TableDefinition


def plan_direct(
    source: Account, destination: Account, options: DirectOptions, record: Tracking | None = None
) -> DirectPlan:
    """What a start would do; reads only. With the ``record`` of the table, that says what an earlier run has copied;
    without one, the tags of the destination's table do.

    The plan's job is ``not_needed`` when an earlier run has copied everything, else ``pending``: the waiter copies.
    Raises MissingTable, TableUnusable, MissingLibrary, DestinationExists, MissingKeyMapping, KeyNotUsable,
    InvalidInput, CheckpointUnusable, AccessDenied, CredentialsError.
    """
    require_msgspec()
    definition = TableDefinition.read(source, options.table)
    name = options.made_table
    Route(
        source_account_id=source.account_id,
        source_region=source.region,
        source_table=definition.name,
        destination_account_id=destination.account_id,
        destination_region=destination.region,
        destination_table=name,
        migration_id=options.migration_id,
    )  # checks the names
    if destination.table_arn(name) == definition.arn:
        raise InvalidInput("Source and destination are the same table.", "Set destination_table.", table=options.table)
    require_rates(definition, options.items)
    check_indexes(definition, options.indexes_after, options.leave_indexes)
    if options.transform is not None:
        require_transform(options.transform, definition)
    shape, mark = options.shape(definition), fingerprint_of(options.transform, definition)
    there = TableDefinition.find(destination, name)
    if record is not None and record.record.open_job(DELETE) is not None:
        there = None  # in check mode: it is deleted before the copy begins
    call = creation_call(
        source,
        destination,
        shape,
        name,
        carry_tags=options.carry_tags and there is None,
        migration_id=options.migration_id,
        kms_key_map=options.kms_key_map,
        warm_throughput=options.warm_throughput,
        protected=record is not None,
    )
    request = {
        "options": option_values(options),
        "source": {"table_arn": definition.arn, "table_id": definition.table_id},
        **({"transform": mark} if mark else {}),
    }
    job = Job("direct", name, "pending", pending_reason="waiter", request=request, migration_id=options.migration_id)
    if there is None:
        check_quotas(destination, definition, options.leave_indexes)
    changes = [] if there else [Change(f"table {name}", None, call, "billed")]
    if there is not None:
        if record is None:
            tags = tags_there(destination, there)
            require_ours(destination, there, tags, options.migration_id, definition.arn, definition.name)
            done = copied_by(tags, definition.table_id)
            if done is not None:
                require_marked_transform(tags, mark, name, options.table)
        else:
            require_same_transform(record.record, mark, options.table)
            done = filled_by(record)
        if done is not None:
            require_usable(there.raw)
            result = {**done, "table_id": there.table_id, "table_arn": there.arn}
            return DirectPlan(replace(job, state="not_needed", pending_reason="", result=result), [], definition)
        if record is not None and is_later_part(record.record):
            require_same_shape(there, options.whole_shape(definition), options.table)
        else:
            _require_without(there, options)
            _require_shape(there, shape, options)
    require_usable(definition.raw)
    try:
        require_checkpoints(options.items, options.table)
    except CheckpointUnusable as error:
        if there is None:
            raise
        raise error.of_made_table(there.table_id) from error
    reads = -(-definition.size_bytes // (READ_BYTES if options.items.consistent else 2 * READ_BYTES))
    items = {**items_to_write(definition, shape), "read_units_about": reads}
    return DirectPlan(job, [*changes, Change(f"items of {options.table}", None, items, "billed")], definition)


def require_rates(definition: TableDefinition, items: ItemChoices) -> None:
    """Raises InvalidInput for a rate that is none, or is a share of a capacity that the source table does not have."""
    for option, capacity in (("read_rate", "ReadCapacityUnits"), ("write_rate", "WriteCapacityUnits")):
        to_rate(option, getattr(items, option), int((definition.provisioned_throughput or {}).get(capacity, 0)))


def _require_without(there: TableDefinition, options: DirectOptions) -> None:
    """Raises InvalidInput where the unfinished copy already has an index that is to come later or not at all: its items
    would be refused again, and nothing is deleted here."""
    for index in (*options.indexes_after, *options.leave_indexes):
        if there.index(index) is not None:
            updates = json.dumps([{"Delete": {"IndexName": index}}])
            raise InvalidInput(
                f"The unfinished copy {there.name} already has the index {index}, which it is to be filled without.",
                f"Delete the index (aws dynamodb update-table --table-name {there.name}"
                f" --global-secondary-index-updates '{updates}'), then run again.",
                table=options.table,
            )


def _require_shape(there: TableDefinition, shape: TableDefinition, options: DirectOptions) -> None:
    """Raises InvalidInput where the unfinished copy, which has no items yet, was made for other keys."""
    keys = [table.attributes_of(table.key_attributes) for table in (there, shape)]
    if keys[0] != keys[1] or there.key_schema != shape.key_schema:
        raise InvalidInput(
            f"The unfinished copy {there.name} has the key {', '.join(there.key_attributes)}, and the items that the"
            f" transform makes have the key {', '.join(shape.key_attributes)}.",
            f"Delete the copy {there.name}, whose deletion protection is on; or set transform as it was when the copy"
            " was made, or leave it out if there was none. Then run again.",
            table=options.table,
        )


class DirectKind(OwnWork):
    """Direct copies, for the waiter: the controller does the work."""

    noun: ClassVar[str] = "direct copy"
    plural: ClassVar[str] = "direct copies"

    def __init__(self) -> None:
        self._workbench = Workbench(AT_ONCE)

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Create the table where there is none, copy, and mark the table as complete. Started again, it continues."""
        source, destination, job, record = item.need("source"), self.account(item), item.job, item.record
        options = options_of(job)
        definition = TableDefinition.read(source, options.table)
        begun = source.now().isoformat(timespec="seconds")
        job = replace(job, state="pending", pending_reason="waiter", result={"start_time": begun})
        if options.transform is not None:
            job = yield from self._kept_apart(source, job, options, options.transform, definition, record)
        job = replace(job, state="running", pending_reason="")
        table = yield from make_table(
            source,
            destination,
            options.shape(definition),
            options.made_table,
            job,
            clock,
            kms_key_map=options.kms_key_map,
            warm_throughput=options.warm_throughput,
            carry_tags=options.carry_tags,
            record=record,
        )
        made = {"table_id": table.table_id, "table_arn": table.arn, "data_from": begun}
        job = replace(job, result={**job.result, **made})
        try:
            return (yield from self._filled(item, job, options, definition, table))
        except Refused as error:
            raise error.of_made_table(table.table_id) from error

    def _kept_apart(
        self,
        source: Account,
        job: Job,
        options: DirectOptions,
        transform: TransformChoices,
        definition: TableDefinition,
        record: Tracking | None,
    ) -> Steps:
        """The table is looked at for items that become one, where the steps do not keep keys apart provably: before
        anything is made, and again for ``on_collision: any``, which says how many are lost. Raises CollidingKeys."""
        began = began_with(record.record) if record is not None else None
        changing = definition_for(transform, definition, began.at if began else source.now().timestamp())
        refuses = transform.on_collision == "refuse"
        if compiled(changing).keys.apart or (refuses and began is not None):
            return job

        def look(show: Callable[[Job], None]) -> Collisions:
            shown = job

            def show_progress(read: int) -> None:
                nonlocal shown
                shown = replace(job, result={**job.result, "looked_at": read})
                show(shown)

            bounds = bounds_of(record, lambda: show(shown))
            return look_for_collisions(source, options.table, changing, options.items, show_progress, bounds)

        found = yield from self._workbench.steps(job, look)
        if refuses:
            require_no_collisions(found, options.table, options.items.refused_path)
        return replace(job, result={**job.result, "lost": found.lost})

    def _filled(
        self, item: WaitItem, job: Job, options: DirectOptions, definition: TableDefinition, table: TableDefinition
    ) -> Steps:
        """The ``table``, which is there, with all items, and marked so."""
        source, destination, record = item.need("source"), self.account(item), item.record
        yield from past_fence(job, record, dynamodb_only=True)
        mark = _same_as_planned(job, options, definition)
        if record is not None:
            record.require_held()
            _begin(destination, record, job, mark)
        changing: Definition | None = None
        if options.transform is not None:
            at = time_of(record.record if record is not None else None, table)
            changing = definition_for(options.transform, definition, at)
            job = replace(job, result={**job.result, EVIDENCE: BeganWith(mark, at).to_dict()})
        try:
            job = yield from self._workbench.steps(
                job, lambda show: _copy(source, destination, options, job, show, record, changing)
            )
            if record is not None:
                require_counted(job)
        except (ItemRefused, CountMismatch) as error:
            if record is None:
                raise
            raise _broken(destination, record, job, error) from error
        if job.result["resumed"]:  # an earlier run began to read, not before it had created the table
            job = replace(job, result={**job.result, "data_from": table.raw.get("CreationDateTime", "")})
        mark, doing = mark_of(definition.table_id, job.result), "marking the table as copied"
        if record is None:  # a later run knows by it alone that everything was copied
            put_tags(destination, table.arn, table.table_id, {COPY_TAG: mark}, doing, table.name)
        else:
            put_mark(destination, table.arn, table.table_id, (COPY_TAG, mark), doing, table.name)
        job = replace(job, state="completed")
        if record is not None:
            record_filled(record, job, _seen(destination, job), writes_stopped=options.writes_stopped)
        checkpoint = checkpoint_path(options, source.table_arn(options.table), destination, table.table_id)
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
        return job

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """Nothing comes before a copy."""
        return job

    def made(self, job: Job) -> Made:
        """The table with all items: a copy that lacks some has failed."""
        return made_of(job)


# In the record


def _same_as_planned(job: Job, options: DirectOptions, definition: TableDefinition) -> str:
    """The transform's fingerprint, "" for none. Raises InvalidTransform where it is not the one that was planned: a
    salt was changed meanwhile."""
    mark, planned = fingerprint_of(options.transform, definition), str(job.request.get("transform", ""))
    if mark != planned:
        raise InvalidTransform(
            "The transform was changed since the run began: its salts are others.",
            "Set the salts as they were when the run began, or run again.",
            table=options.table,
        )
    return mark


def _begin(destination: Account, record: Tracking, job: Job, mark: str) -> None:
    """The copying begins, or goes on: since when, and by which transform, is in the ``record`` before the first item
    is read. Raises TransformChanged where another transform has written items."""
    require_same_transform(record.record, mark, job.name)
    if record.record.state == "broken":
        record.fill_again(record.record.method, seen_table_id=_seen(destination, job))
    token = items_token(job.result["table_id"], mark)
    former = record.record.open_job(ITEMS)
    if former is not None and former.token != token:  # of a table that is gone
        record.ended(replace(job, state="failed"), token=former.token)
    record.intend(Job(job.kind, job.name, migration_id=job.migration_id), ITEMS, token)


def _broken(destination: Account, record: Tracking, job: Job, error: FerryError) -> FerryError:
    """The copy has ended and lacks items: the ``error``, with the ways out."""
    ways = (
        f"{error.next_step} Then run again with the method direct, which goes on; or delete the copy {job.name}, whose"
        " deletion protection is on, and run again."
    )
    if record.record.state == "filling":
        record.broken(job, seen_table_id=_seen(destination, job), why=error.cause, next=ways)
    return type(error)(error.cause, ways, table=error.table, details=error.details)


def _seen(destination: Account, job: Job) -> str:
    table = TableDefinition.find(destination, job.name)
    return table.table_id if table is not None else ""


# The copying


@at_work()
def _copy(
    source: Account,
    destination: Account,
    options: DirectOptions,
    job: Job,
    show: Callable[[Job], None],
    record: Tracking | None = None,
    changing: Definition | None = None,
) -> Job:
    """All items copied, as ``changing`` makes them: ``job`` with what was counted. Raises Replaced where another table
    has taken the name."""
    shown = job

    def show_progress(progress: CopyProgress) -> None:
        nonlocal shown
        shown = replace(job, result={**job.result, **so_far(progress, here.item_count)})
        show(shown)

    bounds = bounds_of(record, lambda: show(shown), writes=True)
    here, there = item_tables((source, options.table), (destination, options.made_table), bounds=bounds)
    _require_made(there, job)

    copied = _named_when_refused(
        options,
        partial(copy_items, here, there),
        CopyOptions(
            consistent=options.items.consistent,
            workers=workers_for(options.items.workers, here.size_bytes),
            read_rate=to_rate("read_rate", options.items.read_rate, here.read_capacity),
            write_rate=to_rate("write_rate", options.items.write_rate, there.write_capacity),
            checkpoint=checkpoint_path(options, source.table_arn(options.table), destination, there.table_id),
            transform=changing,
            skip_errors=options.transform is not None and options.transform.errors == "skip",
            bounds=bounds,
        ),
        show_progress,
    )
    own = there.only(record.record.heads if record is not None else {})
    counted = {"counted": count_items(own, lambda _: show(job), bounds)} if options.count else {}
    _require_made(item_table(destination, options.made_table, bounds), job)
    return replace(
        job,
        result={
            **job.result,
            **counts_of(copied.counts, transformed=changing is not None),
            "resumed": copied.resumed,
            **({"workers_lost": list(copied.workers_lost)} if copied.workers_lost else {}),
            "retries": copied.retries.throttled + copied.retries.failed + copied.retries.broken,
            **counted,
            "end_time": destination.now().isoformat(timespec="seconds"),
        },
    )


def so_far(progress: CopyProgress, items_about: int) -> dict[str, Any]:
    """What a copy shows of its ``progress``: its percentage by the segments that are done, or by the items of about so
    many, whichever is more: a segment may be half of the table, and the description of a table six hours old."""
    counts = progress.counts
    by_items = min(percent(counts.read or counts.items, items_about), UNSURE_PERCENT)
    share = max(percent(progress.segments_done, progress.segments), by_items)
    return {"items": counts.items, "bytes": counts.bytes, "percent": share, "items_about": items_about}


def _require_made(table: ItemTable, job: Job) -> None:
    """Raises Replaced unless ``table`` is the one that the job made or found."""
    if table.table_id != job.result["table_id"]:
        raise Replaced(
            f"The destination table is not the one that was made for the copy: its id is {table.table_id}, not"
            f" {job.result['table_id']}.",
            "Find out who created it again. Delete it, or choose another destination_table, and run again.",
            table=table.name,
        )


def _named_when_refused(
    options: DirectOptions, copy: Callable[[CopyOptions, Callable[[CopyProgress], None]], CopyResult], *how: Any
) -> CopyResult:
    """What ``copy`` returns. Raises ItemRefused without the items' keys, which go to ``refused_path``."""
    try:
        return copy(*how)
    except ItemRefused as error:
        raise without_keys(error, options.items.refused_path) from None


def checkpoint_path(options: DirectOptions, source_arn: str, destination: Account, table_id: str) -> Path | None:
    """The copy's checkpoint: one file for each pair of tables, and another one for a table that was created again.

    Raises CheckpointUnusable when the directory cannot be made.
    """
    if not options.items.checkpoint_dir:
        return None
    try:
        folder = expanded(options.items.checkpoint_dir)
        make_folder(folder)
    except OSError as error:
        raise _unusable(options.items, options.table, error) from error
    pair = f"{source_arn} {destination.table_arn(options.made_table)} {table_id} {options.migration_id}"
    digest = hashlib.sha256(pair.encode()).hexdigest()[:16]
    return folder / f"{options.made_table[:MOST_LETTERS]}-{digest}.json"


def require_checkpoints(items: ItemChoices, table: str) -> None:
    """Raises CheckpointUnusable unless checkpoints can be written: looked at before the table is made, and in check
    mode and for a plan, where nothing is left behind."""
    if items.checkpoint_dir:
        try:
            require_writable(expanded(items.checkpoint_dir))
        except OSError as error:
            raise _unusable(items, table, error) from error


def _unusable(items: ItemChoices, table: str, error: OSError) -> CheckpointUnusable:
    return CheckpointUnusable(
        f"The directory {items.checkpoint_dir} for checkpoints cannot be written: {in_words(error)}.",
        "Set checkpoint_dir to a directory that can be written, or to an empty value for none.",
        table=table,
    )
