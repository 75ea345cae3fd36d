# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The migration of a table, from its start to its judgement (design sections 2, 5, 8).

This file alone knows which methods and which kinds of jobs there are. Everything that can be refused is refused by
``start``, before anything is billed; the waiter brings the jobs to their end, each when the one before it has
completed, so that no table waits for another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from . import judgement
from .account import Account
from .change import Change, NotCarried
from .errors import FerryError, NotInThisVersion, NotYet, RecordLost, StateUnknown, TakenOver, UnknownMethod
from .exports.kept_export import find_export
from .items.answers import require_msgspec
from .items.exported import Export
from .jobs.job import Job, not_a_job
from .jobs.kind import Instead, JobKind, WaitItem, WaitResult, made_of
from .jobs.tracking import Tracking
from .jobs.waiter import Waiter
from .judgement import Counts, JudgeChoice, JudgeKind, Judgement, JudgeOptions, Verify
from .methods.backup.method import BackupMethod
from .methods.by_jobs import method_of_kinds, name_by_jobs
from .methods.choosing import with_method
from .methods.direct.method import DirectMethod
from .methods.following import costs, following, foreseen_transform
from .methods.merging import heads_of, part_changes
from .methods.method import (
    Method,
    Needs,
    find_fill,
    naming_methods,
    require_reading,
    require_transforming,
    transforming,
)
from .methods.options import AUTO, MigrationOptions
from .methods.s3.method import S3Method
from .methods.spark.by_import import BY_IMPORT_OF
from .methods.spark.method import SPARK_METHODS
from .record.record import Record
from .record.store import RecordStore
from .steps import adopting, claim_job, claiming, comparison, holding
from .steps.adopting import AdoptKind
from .steps.claiming import Choice, Finished, Later, Records
from .steps.comparison import VerifyKind, VerifyOptions, comparison_change, options_of
from .steps.counting import CountKind
from .steps.drift import FinishedSettings, settings_of_finished
from .steps.settings_job import SettingsKind, plan_table_settings, settings_job, settings_to_come, told
from .steps.source_jobs import FindSourceJobs
from .steps.standing import FindFillings
from .steps.transforms import changed_since, fingerprint_of, require_same_transform
from .table.definition import TableDefinition

_METHODS: Sequence[Method] = (S3Method(), BackupMethod(), DirectMethod(), *SPARK_METHODS)
METHODS: Mapping[str, Method] = {method.name: method for method in _METHODS}
KNOWN: Mapping[str, Method] = {**METHODS, **{method.name: method for method in BY_IMPORT_OF.values()}}  # in records
DEFAULT = "s3"  # what auto counts as where no table was looked at yet: it needs the most in the accounts
FILLINGS: Sequence[FindFillings] = tuple(method.fillings for method in METHODS.values())
SOURCE_JOBS: Sequence[FindSourceJobs] = tuple(method.source_jobs for method in METHODS.values())

# Methods of the design that this version does not have, with their paths.
LATER: Mapping[str, str] = {
    "bulk": "export to S3, bulk put into a table made beforehand",
    "replica": "multi-account global table, then disassociate",
}

# The jobs that follow those of the method, for a table that has its items.
STEPS: Mapping[str, Callable[[], JobKind]] = {
    "count": CountKind,
    comparison.KIND: lambda: VerifyKind(exported_items),
    "settings": SettingsKind,
    judgement.KIND: lambda: JudgeKind(_judged),
}

FINISHED = claim_job.KIND  # the job of a table that an earlier run has finished
KINDS: Mapping[str, Callable[[], JobKind]] = {
    **{kind: make for method in KNOWN.values() for kind, make in method.kinds.items()},
    **STEPS,
    adopting.KIND: AdoptKind,
    claim_job.KIND: lambda: claim_job.ClaimKind(begin_claimed),
}


# Methods


def chosen(method: str) -> str:
    """What the name of a ``method`` counts as before a table was looked at: ``auto`` as the default."""
    return DEFAULT if method == AUTO else method


def method_of(name: str, table: str = "", end: str = "") -> Method:
    """The method called ``name``, or the one of its ``end``. Raises UnknownMethod, NotInThisVersion for ``table``."""
    method = KNOWN.get(chosen(name))
    if method is not None:
        return BY_IMPORT_OF.get(method.name, method) if end == "import" else method
    ready = ", ".join(METHODS)
    if name in LATER:
        raise NotInThisVersion(f"The method {name} is not in this version.", f"Use {ready}.", table=table)
    raise UnknownMethod(f"There is no method {name!r}.", f"Use {AUTO}, {ready}.", table=table)


def data_needs(name: str) -> Needs:
    """What the data of a table of the method ``name`` needs in the accounts; an unknown one is refused later."""
    return KNOWN.get(chosen(name), METHODS[DEFAULT]).data_needs


def transform_problem(name: str) -> str:
    """Why no step can change the items of a table of the method ``name``; "" where one can, and for an unknown method,
    which is refused by itself."""
    method = KNOWN.get(name)
    if method is None or method.transforms:
        return ""
    return f"{method.name} cannot change items on the way; {', '.join(transforming(METHODS.values()))} can"


def has_job_role(kind: str) -> bool:
    """Whether jobs of this ``kind`` have a role of their own."""
    return kind in ("spark_job", "spark_files")


def needs_job_role(name: str) -> bool:
    """Whether tables of the method ``name`` are filled by a job that has a role of its own."""
    return any(map(has_job_role, KNOWN.get(chosen(name), METHODS[DEFAULT]).kinds))


def method_used(jobs: Mapping[str, Mapping[str, Any]]) -> str:
    """The method that ``jobs``, data by kind, are of, or that has finished the table; "" where they do not say."""
    return str(jobs.get(claim_job.KIND, {}).get("result", {}).get("method") or "") or name_by_jobs(KNOWN.values(), jobs)


def exported_items(destination: Account, record: Record) -> Export | None:
    """What a comparison reads instead of the source table: the export that the ``record``'s table was filled from. None
    where its method had none, or it is gone. Raises what ``find_export`` does."""
    method = KNOWN.get(record.method)
    return find_export(destination, record) if method is not None and method.compares_export else None


@dataclass(frozen=True)
class Migration:
    """A table's migration: the first ``job``, those that follow ``then``, and what the first one changes.

    ``obstacle`` is what must be fixed before it can start; only a preview has one. ``drift`` is in which settings a
    finished table differs from its source now, ``settings`` what its settings job will change.
    """

    method: str
    job: Job
    then: tuple[Job, ...]
    changes: tuple[Change, ...]
    definition: TableDefinition
    left: tuple[NotCarried, ...] = ()
    obstacle: FerryError | None = None
    warnings: tuple[str, ...] = ()
    drift: tuple[Change, ...] = ()
    settings: tuple[Change, ...] = ()


def start(
    source: Account,
    destination: Account,
    options: MigrationOptions,
    records: Records | None = None,
    take_over: str = "",
    missing_since: float | None = None,
) -> Migration:
    """Start the first job of the table's migration, or find the one of an earlier run.

    With ``records`` the table is taken for this run first. A finished one is only reported (its job is ``not_needed``);
    one that cannot be taken yet is left to the waiter, with a job of the kind ``claim``. ``take_over`` is the id of a
    run whose process is gone, ``missing_since`` when an earlier call did not find our copy.

    Raises InvalidInput, UnknownMethod, NotInThisVersion, what ``claiming.claim`` raises, and what the method's own
    start raises; what fails after the table was taken lets it go.
    """
    options.require_valid()
    options = with_method(METHODS, DEFAULT, source, destination, options, records.store if records else None)
    begun = _begin(source, destination, options, records, take_over, missing_since)
    if isinstance(begun, Migration):
        return begun
    method = method_of(options.method, options.table, options.spark.end)
    job = claim_job.waiting_job(_choice(source, method, options, take_over), begun, options.to_dict())
    return Migration(method.name, job, (), (), TableDefinition.read(source, options.table))


def _begin(
    source: Account,
    destination: Account,
    options: MigrationOptions,
    records: Records | None,
    take_over: str,
    missing_since: float | None,
) -> Migration | Later:
    method = method_of(options.method, options.table, options.spark.end)
    require_transforming(method, METHODS.values(), options)
    if records is None:
        return _started(method, source, destination, options, None)
    choice = _choice(source, method, options, take_over)
    try:
        claim = claiming.claim(records, source, destination, choice, missing_since)
    except StateUnknown:
        if not options.adopt:
            raise
        return _adoption(method, source, destination, options)
    if isinstance(claim, Finished):
        return _finished(claim, source, destination, options, take_over)
    if isinstance(claim, Later):
        return claim
    try:
        with claim.about():
            return _started(KNOWN[claim.record.method], source, destination, options, claim)
    except NotYet as early:
        return claiming.later(claim, early)
    except FerryError as error:
        claiming.give_back(claim, error)
        raise


def _started(
    method: Method, source: Account, destination: Account, options: MigrationOptions, record: Tracking | None
) -> Migration:
    if record is not None and adopting.is_by_comparison(record.record):
        return _by_comparison(record.record, source, destination, options)
    require_transforming(method, METHODS.values(), options)
    require_reading(method, source, destination, options)
    with naming_methods(METHODS):
        jobs = method.start(source, destination, options, record)
    then = jobs.then if jobs.maker is None else (*jobs.then, *following(method, options))
    return Migration(
        method.name, jobs.job, then, jobs.changes, jobs.definition, jobs.left, jobs.obstacle, jobs.warnings
    )


def _choice(source: Account, method: Method, options: MigrationOptions, take_over: str = "") -> Choice:
    return Choice(
        options.table, options.made_table, options.migration_id, method.name, resumes=method.resumes,
        find_fill=partial(find_fill, KNOWN.values(), source, options),
        replace_broken=options.replace_failed, take_over=take_over,
        heads=heads_of(method, METHODS.values(), source, options),
    )  # fmt: skip


def _finished(
    claim: Finished, source: Account, destination: Account, options: MigrationOptions, take_over: str = ""
) -> Migration:
    """A table whose record says ``done``: everything was done by an earlier run, but what is asked of its settings."""
    job = claim_job.finished_job(claim)
    warning = changed_since(claim.record, options.transform, claim.definition)
    asked: FinishedSettings = "once" if warning else options.finished_settings  # those of another table
    drift = settings_of_finished(claim, source, destination, options.table, options.settings, asked, take_over)
    return Migration(
        claim.record.method, job, (drift.job,), (), claim.definition,
        warnings=(warning,) if warning else (), drift=drift.differences, settings=drift.changes,
    )  # fmt: skip


def _adoption(method: Method, source: Account, destination: Account, options: MigrationOptions) -> Migration:
    """A table with our tags whose record proves nothing: the waiter compares it in full."""
    require_msgspec()
    table, made = options.table, options.made_table
    adopting.require_adoptable(source, destination, table, made, options.migration_id)
    definition = TableDefinition.read(source, table)
    compared = VerifyOptions(table, made, "full", options.items, options.transform)
    job = adopting.adopt_job(compared, options.migration_id, method.name)
    return Migration(method.name, job, (settings_job(made, table, options.settings),), (), definition)


def _by_comparison(record: Record, source: Account, destination: Account, options: MigrationOptions) -> Migration:
    """A table whose items a comparison found complete: its settings are next, whatever brought the items."""
    table, made = options.table, options.made_table
    job, settings = adopting.known_job(record, destination.table_arn(made)), settings_job(made, table, options.settings)
    definition = TableDefinition.read(source, table)
    require_same_transform(record, fingerprint_of(options.transform, definition), table)
    return Migration(record.method, job, (settings,), (), definition)


def begin_claimed(item: WaitItem, job: Job) -> Instead | Later:
    """Take the table of ``job``, a claim, and start its migration: the jobs that take its place. For the waiter."""
    if item.record is None:
        raise not_a_job()
    run = item.record.run
    begun = _begin(
        item.need("source"),
        item.need("destination"),
        MigrationOptions.from_dict(job.request.get("options", {})),
        Records(run.store, lambda: run, first=False),
        str(job.request.get("take_over", "")),
        job.request.get("missing_since"),
    )
    if isinstance(begun, Later):
        return begun
    item.record.find()
    return Instead((begun.job, *begun.then), started=bool(begun.changes))


def preview(
    source: Account,
    destination: Account,
    options: MigrationOptions,
    store: RecordStore | None = None,
    *,
    by_record: bool = False,
) -> Migration:
    """All that ``start`` and the jobs after it would do, with every setting; reads only, the records in ``store`` too.

    ``by_record``: the start will go by records, which without a ``store`` are not there yet.

    Raises what ``start`` raises, but for what is the migration's obstacle.
    """
    options.require_valid()
    options = with_method(METHODS, DEFAULT, source, destination, options, store)
    method, record, held = method_of(options.method, options.table, options.spark.end), None, None
    require_transforming(method, METHODS.values(), options)
    if store is not None or by_record:
        choice = _choice(source, method, options)
        try:
            known, there, here = claiming.look(store, source, destination, choice)
        except StateUnknown:
            if not options.adopt:
                raise
            return _still_to_set(_adoption(method, source, destination, options), source, destination, options)
        done = claiming.finished(known, there, here, source.table_arn(options.table))
        if done is not None:
            return _foreseen(_finished(done, source, destination, options))
        if known is not None and adopting.is_by_comparison(known):
            return _still_to_set(_by_comparison(known, source, destination, options), source, destination, options)
        record = Tracking(None, choice.table, claiming.foreseen(known, there, choice, here)) if known else None
        held = holding.held_elsewhere(store, destination, known)
    gone = claiming.replacing(record)
    require_reading(method, source, destination, options)
    with naming_methods(METHODS):
        jobs = method.preview(source, destination, options, record)
        then, left, transform = list(jobs.then), list(jobs.left), foreseen_transform(source, options, jobs)
        changes = [*gone, *part_changes(source, options), *jobs.changes, *transform.changes]
        if jobs.maker is not None:
            anew, known_id = bool(gone or jobs.maker.request.get("replaces")), record.record.table_id if record else ""
            settings = told(record, plan_table_settings(
                source, destination, options.table, options.made_table, options.settings,
                made_id=made_of(jobs.maker).table_id or known_id, preview=True, as_made=jobs.as_made, anew=anew,
            ))  # fmt: skip
            shown = settings_job if record is None else settings_to_come
            last = shown(options.made_table, options.table, options.settings, settings)
            then += [job.foreseen for job in (*following(method, options)[:-1], last)]
            changes += [*costs(method, options, jobs, jobs.maker), *settings.changes]
            left += settings.left
    return Migration(
        method.name, jobs.job, tuple(then), tuple(changes), jobs.definition, tuple(left), held or jobs.obstacle,
        (*jobs.warnings, *transform.warnings),
    )  # fmt: skip


def _still_to_set(found: Migration, source: Account, destination: Account, options: MigrationOptions) -> Migration:
    """``found``, whose items are there, as check mode shows it: with what its settings are to become."""
    table, made, made_id = options.table, options.made_table, str(found.job.result.get("table_id", ""))
    plan = plan_table_settings(source, destination, table, made, options.settings, made_id=made_id, preview=True)
    then = (settings_to_come(made, table, options.settings, plan),)
    return _foreseen(replace(found, then=then, settings=plan.changes, left=tuple(plan.left)))


def _foreseen(found: Migration) -> Migration:
    """``found`` as check mode shows it: what would be left to the waiter is planned, and said."""
    changes = list(found.settings)
    if found.job.open:
        changes.append(comparison_change(options_of(found.job), found.definition))
    job, then = found.job.foreseen, tuple(job.foreseen for job in found.then)
    return replace(found, job=job, then=then, changes=tuple(changes))


def judge(
    name: str,
    source: Account | None,
    destination: Account,
    jobs: Sequence[Job],
    *,
    source_table: str = "",
    verify: Verify = "counts",
    checksums: bool = False,
    writes_stopped: bool = False,
    record: Tracking | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Judgement:
    """Judge the table that the ``jobs`` of its migration made: by what they counted, and by the comparison among them.

    Options are as in JudgeChoice. What the waiter has judged is reported. The table's own failure is returned, not
    raised. With the ``record`` a table that was migrated becomes ``done`` there, and each table is let go. Raises
    InvalidInput where no job makes a table, and what Account.explain gives where AWS cannot be asked.
    """
    known = judgement.known_judgement(jobs)
    if known is not None:
        return known
    adopted = next((job for job in jobs if job.kind == adopting.KIND), None)
    if not judgement.is_tracked(jobs) or (
        adopted is not None and judgement.judge_adoption(adopted).failure is not None
    ):
        record = None  # this run holds none
    choice = JudgeChoice(name, source_table, verify, checksums, writes_stopped)
    try:
        judged = _judged(choice, source, destination, jobs, record)
        if record is not None:
            for seconds in judgement.conclude(record, destination, judged, jobs):
                sleep(seconds)
    except FerryError as error:
        if record is not None:
            claiming.give_back(record, error)
        raise
    return judged


def filled_id(record: Record, migration_id: str, source_arn: str) -> str:
    """The TableId of what this migration filled from ``source_arn``, as the ``record`` says: whole, broken or handed
    over, and as far as a method got that goes on with half a table. "" where it says none of these."""
    if record.migration != migration_id or source_arn not in record.sources:
        return ""
    if record.state in ("claimed", "filling"):
        method = KNOWN.get(record.method)
        return record.table_id if method is not None and method.resumes else ""
    return record.table_id


def _judged(
    choice: JudgeChoice,
    source: Account | None,
    destination: Account,
    jobs: Sequence[Job],
    record: Tracking | None = None,
    look: judgement.Look = lambda: None,
) -> Judgement:
    kinds = {job.kind: job for job in jobs}
    if claim_job.KIND in kinds:
        return judgement.judge_claim(kinds[claim_job.KIND])
    if record is not None:
        with record.about():
            judged = _judged(choice, source, destination, jobs, look=look)
        return judgement.by_record(judged, record.record)
    if adopting.KIND in kinds:
        return judgement.judge_adoption(kinds[adopting.KIND])
    method = method_of_kinds(KNOWN.values(), kinds)
    if method is None:
        raise judgement.nothing_to_judge(choice.name)
    counts: Counts = "none" if choice.verify == "none" else "counts"
    options = JudgeOptions(
        choice.source_table, counts, choice.verify_checksums, choice.writes_stopped, kinds.get("count"), look
    )
    judged = method.judge(choice.name, source, destination, jobs, options)
    return judgement.with_comparison(judged, kinds.get("verify"), choice.name)


def kinds() -> dict[str, JobKind]:
    """Every kind of job that can be waited for, made anew: some keep threads for one waiter's work."""
    return {name: kind() for name, kind in KINDS.items()}


def job_from(data: Mapping[str, Any]) -> Job:
    """The job that a user passes, as a verb returned it. Raises InvalidInput where it is none."""
    job = Job.from_dict(data)
    if job.kind not in KINDS:
        raise not_a_job()
    return job


def noun(job: Job) -> str:
    """What messages call the ``job``: "direct copy" for one of the kind direct."""
    return kinds()[job.kind].noun


def explain(job: Job, destination: Account | None) -> FerryError:
    """Why ``job`` failed or was cancelled; ``destination`` is asked where it knows more than the job."""
    return KINDS[job.kind]().explain(job, destination)


def wait_for(
    items: Sequence[WaitItem],
    timeout: float = 86400.0,
    progress: Callable[[str], None] = lambda line: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> WaitResult:
    """Wait until every job has ended or ``timeout`` seconds are over; see ``Waiter``. Raises ParentGone when the
    ansible-playbook process has ended."""
    made = {**kinds(), claim_job.KIND: claim_job.ClaimKind(begin_claimed, progress)}
    runs = list({id(item.record.run): item.record.run for item in items if item.record is not None}.values())

    def look() -> None:
        for run in runs:
            with suppress(TakenOver, RecordLost):  # tables of the other destinations go on
                run.look()

    return Waiter(made, progress=progress, clock=clock, sleep=sleep, look=look).wait(items, timeout)
