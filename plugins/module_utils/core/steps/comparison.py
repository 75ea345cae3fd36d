# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two tables compared item by item, by a sample or completely, and repaired where asked for (design section 8).

A table that was filled from an export is compared with that while it is there: so the comparison is exact though the
source goes on changing, and reads nothing of it. Whoever calls gives the export.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from ..account import Account
from ..change import Change
from ..data_plane import ItemChoices, item_table, item_tables
from ..destination import require_filled_by_us
from ..errors import ChecksumMismatch, CountMismatch, DifferencesFound, ExportDamaged, ItemRefused
from ..items.comparing import compare_sample, compare_tables
from ..items.comparing_exports import compare_export, sample_export
from ..items.differences import CompareOptions, CompareProgress, Comparison, Difference
from ..items.exported import Export
from ..items.permit import FREE, Bounds
from ..items.private_files import expanded
from ..items.repairing import RepairOptions, RepairResult, repair
from ..items.repairing_exports import repair_by_export
from ..items.throttle import to_rate
from ..items.transform.definition import Definition
from ..items.worker_count import at_work, workers_for
from ..jobs.job import Job
from ..jobs.kind import Made, OwnWork, Steps, WaitItem, made_of
from ..jobs.tracking import Tracking
from ..record.record import Record
from ..route import Route
from ..table.definition import AS_OF, TableDefinition
from ..table.ownership import put_mark, read_tags
from ..table.refused_items import without_keys
from ..table.transforming import TransformChoices, choices_from, definition_for, time_to_live_after
from .background import Workbench, bounds_of, percent
from .counting import units_for
from .kept_differences import KeptDifferences, read_differences
from .transforms import fingerprint_of, require_marked_transform, require_same_transform, time_of

KIND = "verify"
VERIFIED_TAG = "tableferry:verified"  # which comparison found the table equal to its source, and when
AT_ONCE = 4  # comparisons that one waiter makes at the same time
LEVELS = ("sample", "full")
EVIDENCE = (
    "level", "items_source", "items_destination", "missing", "different", "extra", "not_listed", "one_way", "undecided",
    "end_time", "export_time",
)  # fmt: skip
CLEAN_UP = (
    "Run the playbook cleanup for the table, which removes what is left of the export, then compare again: with the"
    " source table."
)
DIFFERING = ("missing", "different", "extra", "not_listed")  # what a result counts where the tables are not equal


@dataclass(frozen=True)
class VerifyOptions:
    """What to compare and how: ``sample`` reads some items of either side, ``full`` everything. With a ``transform``
    the source's items are compared as it makes them."""

    source_table: str
    table: str
    level: Literal["sample", "full"] = "full"
    items: ItemChoices = field(default_factory=ItemChoices)
    transform: TransformChoices | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-safe data; ``options_of`` reads it."""
        return asdict(self)


@dataclass(frozen=True)
class Verification:
    """The result of a comparison; ``first`` are some of its differences, ``path`` the file with all of them.

    Keys of items are personal data: they stand in that file alone, results have counts. ``unwritten`` says why a file
    that was asked for does not have them. ``export_time`` (ISO 8601) is what the export shows that was compared instead
    of the source table, "" for the table.
    """

    comparison: Comparison
    first: tuple[Difference, ...] = ()
    path: str = ""
    unwritten: str = ""
    export_time: str = ""

    @property
    def not_listed_because(self) -> str:
        """Why not all differences are listed, in words: how much space their keys need; "" where space is no reason."""
        comparison = self.comparison
        if not comparison.unlisted_buckets or not comparison.work_bytes:
            return ""
        needed = f"Their keys need {_size(comparison.work_bytes)} in work_dir"
        if comparison.work_unusable:
            return f"{needed}, which cannot be used: {comparison.work_unusable}"
        if comparison.work_bytes <= comparison.work_bytes_free:
            return ""
        return f"{needed}, which may take {_size(comparison.work_bytes_free)}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON-safe data."""
        comparison = asdict(self.comparison)
        return {
            **{
                name: comparison[name]
                for name in ("items_source", "items_destination", "missing", "different", "extra")
            },
            "not_listed": self.comparison.unlisted_buckets,
            **{name: comparison[name] for name in ("marked_source", "marked_destination") if comparison[name]},
            **_of_transform(self.comparison),
            **({"export_time": self.export_time} if self.export_time else {}),
            **({"workers_lost": list(self.comparison.workers_lost)} if self.comparison.workers_lost else {}),
            **({"not_listed_because": self.not_listed_because} if self.not_listed_because else {}),
            "differences_path": self.path,
            **({"differences_unwritten": self.unwritten} if self.unwritten else {}),
        }


def _of_transform(comparison: Comparison) -> dict[str, Any]:
    """What a transform left of the source's items, and what a sample cannot say of them; empty without one."""
    counts = {
        "items_read": comparison.read,
        "added": comparison.added,
        "kept_out": {str(step): count for step, count in sorted(comparison.kept_out.items())},
        "refused": {str(step): count for step, count in sorted(comparison.refused.items())},
        "one_way": comparison.one_way,
        "undecided": comparison.undecided,
    }
    return {name: count for name, count in counts.items() if count}


def _size(count: int) -> str:
    return f"{count:,} bytes" if count < 10_000_000 else f"{-(-count // 1_000_000):,} MB"


def no_export(destination: Account, record: Record) -> Export | None:
    """No table was filled from an export."""
    return None


@at_work()
def verify_tables(
    source: Account,
    destination: Account,
    options: VerifyOptions,
    progress: Callable[[CompareProgress], None] = lambda _: None,
    bounds: Bounds = FREE,
    record: Record | None = None,
    export: Export | None = None,
) -> Verification:
    """Compare both tables, or the ``export`` of the source with the destination; reads only. The ``record`` of the
    table knows by which transform its items were brought, and when. Raises TransformChanged for another one,
    MissingTable, KeySchemaDiffers, ChecksumMismatch, CountMismatch, ExportDamaged for an export that is not whole any
    more, and what the data plane raises."""
    live = [] if export is not None else [(source, options.source_table)]
    there, *read = item_tables((destination, options.table), *live, bounds=bounds)
    here, rate = read[0] if read else there, options.items.read_rate
    there = there.only(record.heads if record is not None else {})  # of a merge, the source's own items
    compared = CompareOptions(
        consistent=options.items.consistent,
        workers=workers_for(options.items.workers, here.size_bytes),
        source_rate=to_rate("read_rate", rate, here.read_capacity),
        destination_rate=to_rate("read_rate", rate, there.read_capacity),
        ignore_expired=_expiring(source, options) if options.items.ignore_expired else "",
        transform=_changing(source, destination, options, record),
        collisions=options.transform is not None and options.transform.on_collision == "any",
        digest=options.items.digest,
        work_dir=_work_dir(options.items.work_dir),
        bounds=bounds,
    )
    sampled = options.items.sample_items
    with KeptDifferences(options.items.differences_path) as differences, _of_export(options.table):
        if export is not None and options.level == "sample":
            comparison = sample_export(export, there, sampled, compared, differences.note)
        elif export is not None:
            comparison = compare_export(export, there, compared, differences.note, progress)
        elif options.level == "sample":
            comparison = compare_sample(here, there, sampled, compared, differences.note)
        else:
            comparison = compare_tables(here, there, compared, differences.note, progress)
    time = export.time if export is not None else ""
    return Verification(comparison, tuple(differences.first), differences.path, differences.unwritten, time)


@contextmanager
def _of_export(table: str) -> Iterator[None]:
    """What is wrong with the files of an export is raised with what to do about that after its table was filled."""
    try:
        yield
    except (ChecksumMismatch, CountMismatch, ExportDamaged) as error:
        cause = f"The export that it was filled from cannot be compared any more: {error.cause}"
        raise type(error)(cause, CLEAN_UP, table=table, details=error.details) from error


def _work_dir(path: str) -> Path | None:
    """The folder for keys; None where there is none: memory is then enough, for fewer differences."""
    try:
        return expanded(path) if path else None
    except OSError:
        return None


def require_repairable(
    source: Account,
    destination: Account,
    options: VerifyOptions,
    migration_id: str,
    *,
    delete_extra: bool,
    filled_id: str | None = None,
) -> str:
    """The id of the destination's table, which the migration filled: other tables are not repaired, whatever the user
    allows.

    With ``delete_extra`` items may be deleted too; ``filled_id`` is what the table's record says, see
    ``require_filled_by_us``. Raises MissingTable, DestinationExists, InvalidInput, and what Account.explain gives.
    """
    table = TableDefinition.read(destination, options.table)
    route = Route(
        source_account_id=source.account_id,
        source_region=source.region,
        source_table=options.source_table,
        destination_account_id=destination.account_id,
        destination_region=destination.region,
        destination_table=options.table,
        migration_id=migration_id,
    )
    require_filled_by_us(destination, table, route, deletes=delete_extra, filled_id=filled_id)
    return table.table_id


def repair_differences(
    source: Account,
    destination: Account,
    options: VerifyOptions,
    verification: Verification,
    *,
    delete_extra: bool,
    racing: bool = False,
    migration_id: str = "default",
    filled_id: str | None = None,
    bounds: Bounds = FREE,
    record: Record | None = None,
    export: Export | None = None,
) -> RepairResult:
    """Repair the destination by what the source holds now, or by the ``export`` that it was compared with, key by key.
    Raises what ``verify_tables`` and ``require_repairable`` do, DestinationChanging unless ``racing``, and ItemRefused
    without the items' keys, which go to ``refused_path``.

    All differences are read from the file where there is one; without, only the first are known.
    """
    require_repairable(source, destination, options, migration_id, delete_extra=delete_extra, filled_id=filled_id)
    differences = read_differences(Path(verification.path)) if verification.path else iter(verification.first)
    try:
        changing = _changing(source, destination, options, record)
        if record is None:
            _require_marked(source, destination, options)
        repairing = RepairOptions(delete_extra=delete_extra, racing=racing, transform=changing, bounds=bounds)
        if export is not None:
            with _of_export(options.table):
                return repair_by_export(export, item_table(destination, options.table), differences, repairing)
        here, there = item_tables((source, options.source_table), (destination, options.table))
        return repair(here, there, differences, repairing)
    except ItemRefused as error:
        raise without_keys(error, options.items.refused_path) from None


def _changing(
    source: Account, destination: Account, options: VerifyOptions, record: Record | None
) -> Definition | None:
    """The transform by which the items of the table were brought; None for none. Raises TransformChanged where
    the one of the ``options`` is another."""
    if options.transform is None:
        if record is not None:
            require_same_transform(record, "", options.source_table)
        return None
    definition = TableDefinition.read(source, options.source_table)
    if record is not None:
        require_same_transform(record, fingerprint_of(options.transform, definition), options.source_table)
    at = time_of(record, TableDefinition.read(destination, options.table))
    return definition_for(options.transform, definition, at)


def _require_marked(source: Account, destination: Account, options: VerifyOptions) -> None:
    """Without a record, the table's tags say by which transform its items were brought. Raises TransformChanged."""
    there = TableDefinition.read(destination, options.table)
    mark = ""
    if options.transform is not None:
        mark = fingerprint_of(options.transform, TableDefinition.read(source, options.source_table))
    tags = read_tags(destination, there.arn, table=options.table)
    require_marked_transform(tags, mark, options.table, options.source_table)


def _expiring(source: Account, options: VerifyOptions) -> str:
    """The time to live attribute of the source, which has it first, as the transform leaves it; "" for none."""
    doing, name = "reading the time to live", options.source_table
    answer = source.ask("dynamodb", "describe_time_to_live", doing, name, TableName=name)
    attribute = str(answer["TimeToLiveDescription"].get("AttributeName", ""))
    if not attribute or options.transform is None:
        return attribute
    return time_to_live_after(TableDefinition.read(source, name), options.transform, attribute)[0]


def compared_with(result: Mapping[str, Any]) -> str:
    """What the destination was compared with, where that was not the source table, in words: of
    ``Verification.to_dict``'s data."""
    time = result.get("export_time")
    return f"the export of {time}" if time else ""


def unseen_by(result: Mapping[str, Any]) -> str:
    """What a sample of transformed items cannot say, in words: of ``Verification.to_dict``'s data; "" for nothing."""
    sentences = []
    if result.get("one_way") and compared_with(result):
        sentences.append(
            "The sample has items of some files of the export only: what is extra in the destination is not seen."
        )
    elif result.get("one_way"):
        sentences.append(
            "The sample has items of the source only, since keys of the destination do not tell those of the source:"
            " what is extra in the destination is not seen."
        )
    if undecided := result.get("undecided"):
        sentences.append(
            f"{undecided} of its items are not what the destination has, which may be right where several items became"
            " one: a full comparison tells."
        )
    return " ".join(sentences)


# As one of a table's jobs


def verify_job(options: VerifyOptions, migration_id: str = "default") -> Job:
    """The comparison that follows the job that brings the items."""
    request = {"options": options.to_dict()}
    return Job(KIND, options.table, "pending", "", "job", request, migration_id=migration_id)


def options_of(job: Job) -> VerifyOptions:
    """The options in the request of a job that compares."""
    values = job.request["options"]
    transform = choices_from(values.get("transform"))
    return VerifyOptions(**{**values, "items": ItemChoices(**values["items"]), "transform": transform})


def comparison_change(options: VerifyOptions, definition: TableDefinition) -> Change:
    """What comparing a table like ``definition`` costs: an eventually consistent read is half a unit (aws.md H)."""
    cost = _cost(options, definition, "each_table")
    return Change(f"comparison of {options.source_table} and {options.table}", None, cost, "billed")


def export_comparison_change(options: VerifyOptions, definition: TableDefinition) -> Change:
    """As ``comparison_change``, with an export, which is read from S3."""
    cost = _cost(options, definition, "the_destination")
    return Change(f"comparison of the export of {options.source_table} and {options.table}", None, cost, "billed")


def _cost(options: VerifyOptions, definition: TableDefinition, read: str) -> dict[str, int | str]:
    if options.level == "sample":
        return {f"items_of_{read}": options.items.sample_items}
    units = units_for(definition.size_bytes)
    return {f"read_units_of_{read}": units if options.items.consistent else -(-units // 2), "as_of": AS_OF}


FindExport: TypeAlias = Callable[[Account, Record], "Export | None"]


class VerifyKind(OwnWork):
    """Comparisons, for the waiter: the controller does the work."""

    noun: ClassVar[str] = "comparison"
    plural: ClassVar[str] = "comparisons"

    def __init__(self, find_export: FindExport = no_export) -> None:
        """``find_export`` gives the export that a table was filled from."""
        self._workbench = Workbench(AT_ONCE)
        self._find_export = find_export

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Compare, unless the table is known to be equal by at least this level: by its record, or without one by its
        mark, which it gets when it is equal."""
        source, destination, job = item.need("source"), self.account(item), item.job
        options = options_of(job)
        made = {name: job.request.get(name, "") for name in ("table_id", "table_arn")}
        arn = made["table_arn"] or destination.table_arn(options.table)
        if item.record is not None:
            earlier = _recorded(item.record, options)
        else:
            earlier = _verified(destination, arn, options, made["table_id"])
        if earlier is not None:
            return replace(job, state="not_needed", pending_reason="", result={**made, **earlier})
        job, begun = replace(job, state="running", pending_reason="", result=made), clock()

        def work(show: Callable[[Job], None]) -> Verification:
            shown = job

            def show_progress(now: CompareProgress) -> None:
                nonlocal shown
                shown = replace(job, result={**job.result, "percent": percent(now.segments_done, now.segments)})
                show(shown)

            bounds = bounds_of(item.record, lambda: show(shown))
            record = item.record.record if item.record is not None else None
            export = self._find_export(destination, record) if record is not None else None
            return verify_tables(source, destination, options, show_progress, bounds, record, export)

        verification = yield from self._workbench.steps(job, work)
        took = {"seconds": round(clock() - begun, 1), "end_time": destination.now().isoformat(timespec="seconds")}
        result = {**job.result, "level": options.level, **took, **verification.to_dict()}
        if item.record is None:
            if verification.comparison.equal:
                _mark(destination, arn, options, made["table_id"], result)
        elif item.record.record.state in ("filled", "settled"):
            item.record.note({"comparison": {name: result[name] for name in EVIDENCE if name in result}})
        return replace(job, state="completed", result=result)

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """The comparison of the table that was made: also of one that lacks items, to list them."""
        return replace(job, request={**job.request, "table_id": made.table_id, "table_arn": made.table_arn})

    def made(self, job: Job) -> Made:
        """The table that was compared, whole where it equals its source."""
        return made_of(job, whole=not any(job.result.get(name) for name in DIFFERING))


def require_equal(job: Job) -> None:
    """Raises DifferencesFound where the comparison ``job`` lists any."""
    result = job.result
    counts = {name: int(result.get(name, 0)) for name in ("missing", "different", "extra")}
    beyond = int(result.get("not_listed", 0))
    if not any(counts.values()) and not beyond:
        return
    words = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    more = f" and more in {beyond} groups of keys that were not examined" if beyond else ""
    sides, why = "Source and destination differ", "Writes to the source since the copy can be the cause."
    if compared_with(result):
        sides, why = f"The destination differs from {compared_with(result)}", "Did somebody write to the destination?"
    raise DifferencesFound(
        f"{sides}: {words}{more}.{where_listed(result)}",
        f"{why} Repair the destination with dynamodb_verify and repair: true, or compare again.",
        details={**counts, "differences_path": result.get("differences_path", "")},
    )


def where_listed(result: Mapping[str, Any]) -> str:
    """Where the keys of the differences are, in words: of ``Verification.to_dict``'s data; "" where no file was asked
    for."""
    if result.get("differences_path"):
        return f" The keys are in {result['differences_path']}."
    unwritten = result.get("differences_unwritten")
    return f" The keys could not be written to {unwritten}." if unwritten else ""


def _recorded(record: Tracking, options: VerifyOptions) -> dict[str, Any] | None:
    """The earlier comparison of at least this level by the table's ``record``, where it found both tables equal."""
    compared = dict(record.record.evidence.get("comparison", {}))
    level = compared.get("level")
    if level not in LEVELS or LEVELS.index(level) < LEVELS.index(options.level):
        return None
    return None if any(compared.get(name) for name in DIFFERING) else compared


def _verified(destination: Account, arn: str, options: VerifyOptions, table_id: str) -> dict[str, Any] | None:
    """The earlier comparison of at least this level by the table's mark; None without one, or of another table."""
    words = read_tags(destination, arn, table=options.table).get(VERIFIED_TAG, "").split(" ")
    values = dict(word.partition("=")[::2] for word in words[1:])
    level, items = words[0], values.get("items", "")
    if level not in LEVELS or LEVELS.index(level) < LEVELS.index(options.level) or not items.isdigit():
        return None
    if values.get("table") != _short(table_id):
        return None
    return {
        "level": level,
        "items_source": int(items),
        "items_destination": int(items),
        "end_time": values.get("at", ""),
    }


def _mark(destination: Account, arn: str, options: VerifyOptions, table_id: str, result: Mapping[str, Any]) -> None:
    value = f"{options.level} items={result['items_destination']} at={result['end_time']} table={_short(table_id)}"
    doing = "marking the table as verified"
    put_mark(destination, arn, table_id, (VERIFIED_TAG, value), doing, options.table)


def _short(table_id: str) -> str:
    """A table's id in few letters: a table created again under the same name is not the one that was compared."""
    return hashlib.sha256(table_id.encode()).hexdigest()[:12]
