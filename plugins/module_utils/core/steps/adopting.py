# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables that are whole because a full comparison found them equal to their source, whatever filled them.

Such are tables with our tags whose record says nothing of use (``adopt``), and broken ones that were repaired. Design
section 6, "States" and "Lost or old record".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from ..account import Account
from ..destination import tags_there, was_filled_by_us
from ..errors import MissingTable, Replaced, StateUnknown
from ..items.differences import CompareProgress
from ..items.permit import Bounds
from ..jobs.job import Job
from ..jobs.kind import Made, OwnWork, Steps, WaitItem, made_of
from ..jobs.tracking import Tracking
from ..record import transitions
from ..record.record import Record, Source, table_key
from ..record.rules import Moment
from ..record.run import HeldElsewhere
from ..route import Route
from ..table.definition import TableDefinition
from ..table.ownership import SOURCE_TAG, is_marked
from ..table_status import require_usable
from .background import Workbench, percent
from .comparison import EVIDENCE, Verification, VerifyOptions, options_of, verify_tables, where_listed
from .transforms import EVIDENCE as TRANSFORM
from .transforms import BeganWith, fingerprint_of, time_of

KIND = "adopt"
AT_ONCE = 4  # comparisons that one waiter makes at the same time
SETTINGS_NEXT = "Run the migration again: the items are complete, and only the settings are left to carry."
_WHAT_TO_DO = (
    "Repair it (the playbook verify with repair), then run again with adopt: true; or delete it, if nobody needs it,"
    " and run again without. Nothing was changed."
)


@dataclass(frozen=True)
class Evidence:
    """A full comparison that found both tables equal: its result, and the instants (ISO 8601) that the items show."""

    comparison: Mapping[str, Any]
    data_as_of: Mapping[str, str]

    @classmethod
    def of(cls, verification: Verification, begun: datetime, ended: datetime) -> Evidence:
        """The evidence that a comparison gave which read from ``begun`` to ``ended``, or an export."""
        span = {"from": begun.isoformat(timespec="seconds"), "to": ended.isoformat(timespec="seconds")}
        found = {"level": "full", "end_time": span["to"], **verification.to_dict()}
        shown = dict.fromkeys(span, verification.export_time) if verification.export_time else span
        return cls({name: found[name] for name in EVIDENCE if name in found}, shown)


# A broken table


def mended(record: Tracking, seen_table_id: str, evidence: Evidence, sleep: Callable[[float], None]) -> None:
    """``broken`` -> ``filled`` in the ``record``, which this run holds: a repair, or somebody else, made it whole.

    Waits until no request without an answer can reach the table any more. Raises Replaced for another table than the
    record's.
    """
    while (seconds := record.fence_left()) > 0:
        sleep(seconds)
    record.filled_by_comparison(
        seen_table_id=seen_table_id, comparison=evidence.comparison, data_as_of=evidence.data_as_of
    )


def is_by_comparison(record: Record) -> bool:
    """Whether the items are known to be there by a comparison alone, so that the settings are next."""
    return record.state in ("filled", "settled") and transitions.is_by_comparison(record)


def known_job(record: Record, table_arn: str) -> Job:
    """The job of a table whose ``record`` says so already."""
    result = {**dict(record.evidence["comparison"]), "table_id": record.table_id, "table_arn": table_arn}
    return Job(KIND, record.name, "not_needed", result=result, migration_id=record.migration)


# A table with our tags


def adopt_job(options: VerifyOptions, migration_id: str, method: str) -> Job:
    """The job that compares a table with our tags in full, and writes its record where both are equal."""
    request = {"options": options.to_dict(), "method": method}
    return Job(KIND, options.table, "pending", pending_reason="waiter", request=request, migration_id=migration_id)


def require_adoptable(
    source: Account, destination: Account, source_table: str, table: str, migration_id: str
) -> TableDefinition:
    """The destination's table, which carries both our tags for this source, or was made for it by a job; reads only.

    Raises StateUnknown for a table that carries one of the tags alone, which can be set by hand,
    MissingTable, TableUnusable, and what Account.explain gives.
    """
    there = TableDefinition.read(destination, table)
    require_usable(there.raw)
    tags = tags_there(destination, there)
    arn = source.table_arn(source_table)
    marked = is_marked(tags, migration_id, arn)
    route = Route(
        source_account_id=source.account_id,
        source_region=source.region,
        source_table=source_table,
        destination_account_id=destination.account_id,
        destination_region=destination.region,
        destination_table=table,
        migration_id=migration_id,
    )
    if not (SOURCE_TAG in tags if marked else was_filled_by_us(destination, there, route)):
        raise StateUnknown(
            f"The table {table} does not carry both tags of this migration, so it is not adopted.",
            f"If it is a copy of {source_table}, tag it with tableferry:migration={migration_id} and with {SOURCE_TAG}"
            " as the other copies have it; otherwise choose another destination_table. It is not touched.",
            table=source_table,
            details={"table_arn": there.arn, "table_id": there.table_id},
        )
    return there


class AdoptKind(OwnWork):
    """Adoptions, for the waiter: the controller does the work."""

    noun: ClassVar[str] = "adoption"
    plural: ClassVar[str] = "adoptions"

    def __init__(self) -> None:
        self._workbench = Workbench(AT_ONCE)

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Compare in full; where both are equal, write the record ``filled``. A difference changes nothing."""
        source, destination, job, record = item.need("source"), self.account(item), item.job, item.record
        if record is None:
            raise StateUnknown("A table is adopted into its record only.", "Give record.", table=job.name)
        options = options_of(job)
        there = require_adoptable(source, destination, options.source_table, options.table, job.migration_id)
        made = {"table_id": there.table_id, "table_arn": there.arn}
        begun = datetime.fromtimestamp(record.now(), UTC)
        job = replace(job, state="running", pending_reason="", result=made)
        verification = yield from self._workbench.steps(job, _work(source, destination, options, job))
        evidence = Evidence.of(verification, begun, datetime.fromtimestamp(record.now(), UTC))
        result = {**made, **evidence.comparison, "start_time": evidence.data_as_of["from"]}
        if not verification.comparison.equal:
            raise _differs(options, verification)
        here = TableDefinition.read(source, options.source_table)
        _require_same(destination, there)
        _write(
            record,
            _Adoption(
                job.migration_id, Source(here.arn, here.table_id), job.request["method"], there.table_id, evidence
            ),
        )
        if options.transform is not None:  # later runs and comparisons go by the same
            began = BeganWith(fingerprint_of(options.transform, here), time_of(None, there))
            record.note({TRANSFORM: began.to_dict()})
        return replace(job, state="completed", result=result)

    def made(self, job: Job) -> Made:
        """The table that was adopted, which is whole."""
        return made_of(job)

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """Nothing comes before it."""
        return job


def _work(
    source: Account, destination: Account, options: VerifyOptions, job: Job
) -> Callable[[Callable[[Job], None]], Verification]:
    def work(show: Callable[[Job], None]) -> Verification:
        shown = job

        def show_progress(now: CompareProgress) -> None:
            nonlocal shown
            shown = replace(job, result={**job.result, "percent": percent(now.segments_done, now.segments)})
            show(shown)

        return verify_tables(source, destination, options, show_progress, Bounds(look=lambda: show(shown)))

    return work


def _differs(options: VerifyOptions, verification: Verification) -> StateUnknown:
    found = verification.comparison
    counts = {"missing": found.missing, "different": found.different, "extra": found.extra}
    words = ", ".join(f"{count} {name}" for name, count in counts.items())
    more = f", and more in {found.unlisted_buckets} groups of keys" if found.unlisted_buckets else ""
    return StateUnknown(
        f"The table {options.table} is not adopted: compared in full with {options.source_table} it differs ({words}"
        f"{more}; {found.items_source} items in the source, {found.items_destination} in the destination)."
        f"{where_listed(verification.to_dict())}",
        _WHAT_TO_DO,
        table=options.source_table,
        details={**counts, "not_listed": found.unlisted_buckets, "differences_path": verification.path},
    )


def _require_same(destination: Account, there: TableDefinition) -> None:
    """Raises MissingTable, Replaced where another table stands under the name by now."""
    now = TableDefinition.find(destination, there.name)
    if now is None:
        raise MissingTable(
            f"The table {there.name} was deleted while it was compared.",
            "Run again: it is made anew.",
            table=there.name,
        )
    if now.table_id != there.table_id:
        raise Replaced(
            f"The table {there.name} was made anew while it was compared: its TableId was {there.table_id}, now it is"
            f" {now.table_id}.",
            "It is not touched. Delete it, if nobody needs it, and run again; to keep it, choose another"
            " destination_table.",
            table=there.name,
            details={"table_id": now.table_id},
        )


@dataclass(frozen=True)
class _Adoption:
    """What is written into the record of a table that was found equal."""

    migration: str
    source: Source
    method: str
    table_id: str
    evidence: Evidence

    def record(self, key: str, moment: Moment, home: str, attempts: tuple[int, ...] = ()) -> Record:
        return transitions.adopt(
            key,
            moment,
            home=home,
            migration=self.migration,
            source=self.source,
            method=self.method,
            table_id=self.table_id,
            comparison=self.evidence.comparison,
            full=True,
            equal=True,
            data_as_of=self.evidence.data_as_of,
            attempts_listed=attempts,
        )


def _write(record: Tracking, adoption: _Adoption) -> None:
    """The record as ``adoption`` makes it: the first one, or over one that proves nothing. Only what still proves
    nothing is written over: whoever was faster has begun from what stands there.

    Raises Claimed, Held, RecordChanged where another run was faster, StateUnknown for a record that is of use.
    """
    run, key = record.run, table_key(record.name)
    run.require_lease()
    moment = run.moment(record.name)
    old = run.store.read(key)
    if old is None:
        run.claim(adoption.record(key, moment, run.store.home))
        record.find()
        return
    transitions.require_same(old, adoption.migration, adoption.source.arn)
    if not transitions.proves_nothing(old, run.store.home):
        raise StateUnknown(
            f"The table {record.name} has a record by now, which says {old.state}: it is not adopted.",
            "Run again: the table goes on from there.",
            table=record.name,
        )
    taken = run.hold(old)
    if isinstance(taken, HeldElsewhere):
        raise taken.refusal(record.name)
    new = adoption.record(key, moment, run.store.home, (taken.record.highest_attempt,))
    run.write(taken.record, replace(new, fence=taken.record.fence, ver=taken.record.ver))
    record.find()
