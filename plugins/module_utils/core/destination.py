# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose table stands at the destination's name, and making one there: the same for every method (design section 11)."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any

from . import sdk
from .account import RETRIES, Account, AccountSpec
from .aws_errors import NO_RESOURCE
from .errors import AccessDenied, DestinationExists, JobTimeout, StateUnknown, TableVanished, in_words
from .jobs.job import Job
from .jobs.kind import Pause
from .jobs.token import canonical
from .jobs.tracking import Tracking
from .record.intention import UNIQUE_NAME
from .record.record import FILL
from .record.rules import REPLACED_NEXT, replaced, replaced_cause
from .route import Route
from .table.creation import creation_parameters
from .table.definition import TableDefinition, json_safe
from .table.encryption import read_encryption, resolve_key_map
from .table.own_apis import tags_of_copy
from .table.ownership import OWNERSHIP_TAG, SOURCE_TAG, is_marked, marks, read_tags
from .table_status import Phase, phase_of, require_usable

UNKNOWN_IMPORT = "ImportNotFoundException"  # what DescribeImport answers for records older than 90 days
LOOK_GAP = 2.0  # seconds between looks at a table that is about to be ACTIVE
ACTIVE_WAIT = 900.0  # seconds that a new table may take to be ACTIVE
LIST_AGE = 30.0  # seconds for which one list of all imports answers for many tables
NONCE_TAG = "tableferry:nonce"  # of which CreateTable a table is, where its answer was lost
NONCE_BYTES = 16


# Whose it is


def not_ours(destination: Account, table: TableDefinition, source_table: str, next_step: str = "") -> DestinationExists:
    """The error for a table that exists and that this migration did not make."""
    return DestinationExists(
        f"The table {table.name} exists in {destination.region} of account {destination.account_id} and was not made by"
        " this migration.",
        next_step or "Choose another destination_table, or delete the table yourself; TableFerry overwrites nothing.",
        table=source_table,
        details={"table_arn": table.arn, "table_id": table.table_id},
    )


def unknown_state(table: TableDefinition, source_table: str, known_by: str) -> StateUnknown:
    """The error for a table that is ours, as ``known_by`` says, and that no record knows: whether it is whole."""
    return StateUnknown(
        f"The table {table.name} {known_by}, and no record says how far it is.",
        "Run again with adopt: true: it is compared with its source in full, and counts as filled only where both are"
        " equal. If nobody needs it, delete it and run again; otherwise choose another destination_table. It is not"
        " touched.",
        table=source_table,
        details={"table_arn": table.arn, "table_id": table.table_id},
    )


def tags_there(destination: Account, table: TableDefinition) -> dict[str, str]:
    """All tags of the destination's table. Raises TableUnusable while it is being deleted: its tags cannot be asked for
    any more, 1.2 s after DeleteTable (measured/import-export-table 1.9); the name is free soon. Raises what
    Account.explain gives."""
    if phase_of(table.status) is Phase.GOING:
        require_usable(table.raw)
    return read_tags(destination, table.arn)


def is_ours(destination: Account, table: TableDefinition, route: Route, imported_id: str = "") -> bool:
    """Whether the table carries our tag, or an import of it read this route's staging prefix.

    ``imported_id`` is the id of the table that a completed import of ours made, where the caller knows it: that table
    is ours without a call.
    """
    if imported_id and table.table_id == imported_id:
        return True
    if is_marked(tags_there(destination, table), route.migration_id, route.source_arn):
        return True
    description = _imported(destination, table, route)
    return description is not None and bool(description["ImportStatus"] == "COMPLETED")


def has_mark(destination: Account, table: TableDefinition, migration_id: str, source_arn: str) -> bool:
    """Whether the table carries our marks; never while it is being made, when its tags cannot be asked for
    (measured/backup-restore-service 2.7)."""
    if phase_of(table.status) is Phase.MAKING:
        return False
    return is_marked(tags_there(destination, table), migration_id, source_arn)


def require_ours(
    destination: Account,
    table: TableDefinition,
    tags: Mapping[str, str],
    migration_id: str,
    source_arn: str,
    source_table: str,
) -> None:
    """Raises DestinationExists unless ``tags``, those of ``table``, mark it as this migration's copy of the source."""
    if not is_marked(tags, migration_id, source_arn):
        raise not_ours(destination, table, source_table)


def require_filled_by_us(
    destination: Account,
    table: TableDefinition,
    route: Route,
    *,
    deletes: bool = False,
    filled_id: str | None = None,
) -> None:
    """Raises DestinationExists unless items may be written into ``table``, which is there: this migration filled it.

    The one place that answers this, for repairs (found.md A2). ``filled_id`` is the TableId of the table that the
    record says was filled, "" where it says that none was: it alone decides. Without a record, an import or a restore
    that made just this TableId counts, or both our tags. The tag ``tableferry:migration`` alone was set by hand:
    whoever sets it lets us write, but that we filled the table is not known, so nothing is deleted (``deletes``).
    Raises what Account.explain gives.
    """
    if filled_id is not None:
        if filled_id and table.table_id != filled_id:
            raise DestinationExists(
                replaced_cause(table.name, table.table_id, filled_id),
                REPLACED_NEXT,
                table=route.source_table,
                details={"table_arn": table.arn, "table_id": table.table_id, "filled_table_id": filled_id},
            )
        if not filled_id:
            raise DestinationExists(
                f"The record of {table.name} does not say that this migration filled the table that is there.",
                "Run migrate to its end before a repair; the playbook status says how far it is, and what to do.",
                table=route.source_table,
                details={"table_arn": table.arn, "table_id": table.table_id},
            )
        return
    tags = tags_there(destination, table)
    marked = is_marked(tags, route.migration_id, route.source_arn)
    if marked and (not deletes or SOURCE_TAG in tags):
        return
    if was_filled_by_us(destination, table, route):
        return
    if marked:
        raise DestinationExists(
            f"That this migration filled the table {table.name} is not known: only its tag {OWNERSHIP_TAG} says that it"
            " is a copy, so its items are not deleted.",
            "Repair it without delete_extra, and delete the extra items yourself.",
            table=route.source_table,
            details={"table_arn": table.arn, "table_id": table.table_id},
        )
    raise not_ours(
        destination,
        table,
        route.source_table,
        "Check destination_table, destination and migration_id. To have this table repaired all the same, tag it"
        f" {OWNERSHIP_TAG}={route.migration_id}.",
    )


def was_filled_by_us(destination: Account, table: TableDefinition, route: Route) -> bool:
    """Whether an import or a restore of this migration, which has ended or not, made just this table: what is known
    where no record and no tag says it. Raises what Account.explain gives."""
    return _imported(destination, table, route) is not None or _restored(destination, table, route)


def _imported(destination: Account, table: TableDefinition, route: Route) -> dict[str, Any] | None:
    """The import of this route's staging prefix that made just this table, whatever became of it; None without one."""
    for summary in imports_of(destination, table.arn):
        if is_staged_by(route, summary):
            description = read_import(destination, summary["ImportArn"])
            if description is not None and description.get("TableId") == table.table_id:
                return description
    return None


def _restored(destination: Account, table: TableDefinition, route: Route) -> bool:
    """Whether a restore of a recovery point of this migration made just this table: created while the job ran.

    A caller who may not read restore jobs or the tags of recovery points does not know it.
    """
    doing, created = "listing restore jobs", table.raw.get("CreationDateTime")
    try:
        for job in map(
            json_safe, destination.pages("backup", "list_restore_jobs", "RestoreJobs", doing, ByResourceType="DynamoDB")
        ):
            begun, ended = job.get("CreationDate"), job.get("CompletionDate")
            source = str(job.get("SourceResourceArn", "")).split(":", 3)[-1]
            if job.get("CreatedResourceArn") != table.arn or source != route.source_arn.split(":", 3)[-1]:
                continue
            if not (created and begun and ended) or not _time(begun) <= _time(created) <= _time(ended):
                continue
            doing, point = "reading the tags of a recovery point", job["RecoveryPointArn"]
            if read_point_tags(destination, point, doing).get(OWNERSHIP_TAG) == route.migration_id:
                return True
    except AccessDenied:
        return False
    return False


def read_point_tags(account: Account, arn: str, doing: str) -> dict[str, str]:
    """All tags of a recovery point, a call for each page; {} when it is gone. Raises what Account.explain gives."""
    tags: dict[str, str] = {}
    token: dict[str, Any] = {}
    while True:
        page = account.ask("backup", "list_tags", doing, missing=NO_RESOURCE, ResourceArn=arn, **token) or {}
        tags |= page.get("Tags", {})
        if not page.get("NextToken"):
            return tags
        token = {"NextToken": page["NextToken"]}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


# Imports, which tell whose a table is too


def imports_of(destination: Account, table_arn: str) -> Iterator[Mapping[str, Any]]:
    """The summaries of all imports into the table, newest first. Raises what Account.explain gives."""
    doing = "listing imports"
    return destination.pages("dynamodb", "list_imports", "ImportSummaryList", doing, TableArn=table_arn, PageSize=25)


def all_imports(destination: Account) -> Iterator[Mapping[str, Any]]:
    """The summaries of all imports of the account, which AWS lists for 90 days. Raises what Account.explain gives."""
    return destination.pages("dynamodb", "list_imports", "ImportSummaryList", "listing imports", PageSize=25)


def is_staged_by(route: Route, summary: Mapping[str, Any]) -> bool:
    """Whether a listed import reads what this route has staged, or another destination of its source table."""
    folder = replace(route, destination_table=route.source_table).export_prefix
    prefix = str(summary.get("S3BucketSource", {}).get("S3KeyPrefix", ""))
    return prefix.startswith((f"{folder}/", f"{folder}!"))


def _import_pages(destination: Account, **request: Any) -> Iterator[Sequence[Mapping[str, Any]]]:
    while True:
        answer = destination.ask("dynamodb", "list_imports", "listing imports", PageSize=25, **request)
        yield answer.get("ImportSummaryList", ())
        if not answer.get("NextToken"):
            return
        request["NextToken"] = answer["NextToken"]


def is_being_imported(destination: Account, table: str) -> bool:
    """Whether an import into the name runs. Raises what Account.explain gives."""
    return any(map(_runs, imports_of(destination, destination.table_arn(table))))


def _runs(summary: Mapping[str, Any]) -> bool:
    return bool(summary.get("ImportStatus") == "IN_PROGRESS")


class ImportsOfMany:
    """``is_being_imported`` for ``tables`` tables at once: one list of a destination's imports answers for all of them.

    Where that list, which goes 90 days back, has more pages than there are tables, each table is asked for. Safe to use
    from many threads.
    """

    def __init__(self, tables: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._tables = tables
        self._clock = clock
        self._lock = threading.Lock()
        self._listed: dict[AccountSpec, tuple[float, frozenset[str] | None]] = {}

    def __call__(self, destination: Account, table: str) -> bool:
        """Whether an import into the name runs. Raises what Account.explain gives."""
        with self._lock:
            made, running = self._listed.get(destination.spec, (-LIST_AGE, None))
            if self._clock() - made >= LIST_AGE:
                made = self._clock()
                running = self._running(destination)
                self._listed[destination.spec] = (made, running)
        if running is None:
            return is_being_imported(destination, table)
        return destination.table_arn(table) in running

    def _running(self, destination: Account) -> frozenset[str] | None:
        """The ARNs of all tables that are being imported; None where the list is too long."""
        running: set[str] = set()
        for number, page in enumerate(_import_pages(destination), 1):
            if number > self._tables:
                return None
            running.update(str(summary["TableArn"]) for summary in page if _runs(summary))
        return frozenset(running)


def read_import(destination: Account, arn: str, retries: int = RETRIES) -> dict[str, Any] | None:
    """The import's description, JSON-safe; None when AWS does not know it (any more: 90 days)."""
    answer = destination.ask(
        "dynamodb",
        "describe_import",
        f"describing the import {arn}",
        missing=(UNKNOWN_IMPORT,),
        retries=retries,
        ImportArn=arn,
    )
    return None if answer is None else dict(json_safe(answer["ImportTableDescription"]))


# Making it


def creation_call(
    source: Account,
    destination: Account,
    definition: TableDefinition,
    table: str,
    *,
    migration_id: str,
    kms_key_map: Mapping[str, str],
    warm_throughput: bool = True,
    carry_tags: bool = False,
    protected: bool = False,
) -> dict[str, Any]:
    """The parameters of CreateTable that make ``table`` as ``definition`` says, with our marks.

    ``carry_tags``: with the source's tags too, where the caller may read them: its settings carry them again, but an
    organization may deny CreateTable without them. ``protected``: with deletion protection, until its settings are
    applied.

    Raises MissingKeyMapping, KeyNotUsable, and what Account.explain gives where AWS cannot be asked about keys.
    """
    encryption = read_encryption(source, definition) if definition.kms_key_arn else None
    key_map = resolve_key_map(destination, kms_key_map, definition.name, encryption, source) if encryption else {}
    call = creation_parameters(
        definition,
        table,
        key_map,
        tags=_tags_of_copy(source, definition, migration_id) if carry_tags else marks(migration_id, definition.arn),
        encryption=encryption,
        warm_throughput=warm_throughput,
    )
    return {**call, "DeletionProtectionEnabled": True} if protected else call


def _tags_of_copy(source: Account, definition: TableDefinition, migration_id: str) -> dict[str, str]:
    mark = marks(migration_id, definition.arn)
    try:
        return tags_of_copy(read_tags(source, definition.arn), mark, {NONCE_TAG: "-" * 2 * NONCE_BYTES})
    except AccessDenied:
        return mark


def make_table(
    source: Account,
    destination: Account,
    definition: TableDefinition,
    table: str,
    job: Job,
    clock: Callable[[], float],
    *,
    kms_key_map: Mapping[str, str],
    warm_throughput: bool = True,
    carry_tags: bool = False,
    record: Tracking | None = None,
) -> Generator[Pause, str | None, TableDefinition]:
    """The destination's ``table``, ours and no longer in the making; created as ``definition`` says if there is none.

    Pauses with ``job``, whose migration the table is marked with. With the ``record`` of the table it is ours by its
    TableId, or by the nonce of a CreateTable whose answer was lost; it is written there with deletion protection.
    Raises DestinationExists, Replaced, TableVanished, JobTimeout, and what ``creation_call`` raises.
    """
    begun, created = clock(), False
    while True:
        looked = record.now() if record is not None else 0.0
        there = TableDefinition.find(destination, table)
        if there is not None and phase_of(there.status) not in (Phase.MAKING, Phase.GOING):
            if record is None:
                tags = tags_there(destination, there)
                require_ours(destination, there, tags, job.migration_id, definition.arn, definition.name)
            else:
                _require_made(destination, there, record, definition.name)
            return there
        if there is None and not created:
            call = creation_call(
                source,
                destination,
                definition,
                table,
                migration_id=job.migration_id,
                kms_key_map=kms_key_map,
                warm_throughput=warm_throughput,
                carry_tags=carry_tags,
                protected=record is not None,
            )
            if record is None:
                _create(destination, table, call)
                created = True
            elif intended := _to_create(record, job, call, looked):
                _create_recorded(destination, table, intended, record)
                created = True
            else:
                begun = clock()  # an earlier CreateTable, of another request, may still arrive
        if clock() - begun > ACTIVE_WAIT:
            raise JobTimeout(
                f"The table {table} is not ACTIVE after {in_words(ACTIVE_WAIT)}.",
                "Check its status in the console, then run again.",
                table=definition.name,
            )
        yield Pause(job, "time", LOOK_GAP)


def _create(
    destination: Account, table: str, call: Mapping[str, Any], sending: AbstractContextManager[object] | None = None
) -> str:
    """CreateTable: the new table's TableId, "" where there is a table of this name already: somebody's, or our own of
    an answer that was lost. What it is shows when it is ACTIVE. It is sent within ``sending``."""
    try:
        with sending or nullcontext():
            answer = destination.client("dynamodb").create_table(**call)
    except sdk.ClientError as error:
        if not _is_there(error):
            raise destination.explain(error, "creating the table", table) from error
        return ""
    return str(answer["TableDescription"]["TableId"])


def _is_there(error: Exception) -> bool:
    return sdk.error_code(error) == "ResourceInUseException"


def _to_create(record: Tracking, job: Job, call: Mapping[str, Any], looked: float) -> Job | None:
    """The CreateTable to send, with its nonce: one that was intended before, unchanged, or a new one. None while an
    earlier one that is not wanted any more may still arrive. ``looked``: since when there is no table.

    Raises TableVanished where the table was made, and is gone.
    """
    if record.record.table_id:
        raise TableVanished(
            f"The copy {record.name}, which was being filled, is gone.",
            "Find out who deleted it, then run again: its data is brought anew.",
            table=job.name,
        )
    last = record.latest(FILL)
    if last is not None and last.state == "planned":
        token, wanted = _nonce_of(last), canonical(_without_nonce(last.request["call"])) == canonical(call)
        step = record.next_step(last, UNIQUE_NAME, looked, wanted=wanted, token=token)
        if step == "send":
            return last
        if step == "wait":
            return None
        record.not_begun(last, UNIQUE_NAME, looked, token)
    nonce = {"Key": NONCE_TAG, "Value": secrets.token_hex(NONCE_BYTES)}
    return Job(job.kind, record.name, request={"call": {**call, "Tags": [*call["Tags"], nonce]}})


def _create_recorded(destination: Account, table: str, intended: Job, record: Tracking) -> None:
    token = _nonce_of(intended)
    sending = record.sending(intended, FILL, token, may_be_ours=_is_there)
    table_id = _create(destination, table, intended.request["call"], sending)
    if table_id:
        record.made(intended, token, table_id)


def _require_made(destination: Account, there: TableDefinition, record: Tracking, source_table: str) -> None:
    """Raises Replaced, DestinationExists unless ``there`` is the table of the ``record``, by TableId or nonce."""
    if record.record.table_id:
        if there.table_id != record.record.table_id:
            raise replaced(record.record, there.table_id, record.record.table_id)
        return
    last = record.latest(FILL)
    if last is None or last.state != "planned" or tags_there(destination, there).get(NONCE_TAG) != _nonce_of(last):
        raise not_ours(destination, there, source_table)
    record.made(last, _nonce_of(last), there.table_id)


def _nonce_of(job: Job) -> str:
    return next(
        (str(tag["Value"]) for tag in job.request.get("call", {}).get("Tags", ()) if tag["Key"] == NONCE_TAG), ""
    )


def _without_nonce(call: Mapping[str, Any]) -> dict[str, Any]:
    return {**call, "Tags": [tag for tag in call["Tags"] if tag["Key"] != NONCE_TAG]}
