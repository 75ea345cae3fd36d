# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of a table as a job, so that one waiter applies those of many tables at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, ClassVar

from ..account import Account
from ..change import NotCarried
from ..destination import is_ours, not_ours
from ..errors import FerryError, InvalidInput, RecordChanged, SettingFailed, StepNotAllowed
from ..jobs.job import Job, ended_with
from ..jobs.kind import Made, OwnWork, Pause, Steps, WaitItem, past_fence
from ..jobs.tracking import Tracking
from ..record.parts import is_later_part
from ..route import Route
from ..table.definition import TableDefinition
from ..table.differences import without_our_tags
from ..table.preview import MadeBy, preview_settings
from ..table.setting import SettingsOptions
from ..table.settings import SettingsPlan, SettingsResult, apply_settings, prepare_settings
from ..table.transforming import choices_from

KIND = "settings"
HELD_GAP = 10.0  # seconds between looks at a finished table that another run holds
_LISTS = ("defer", "indexes_after", "leave_indexes")  # the options that are lists


def plan_table_settings(
    source: Account,
    destination: Account,
    source_table: str,
    table: str,
    options: SettingsOptions,
    *,
    made_id: str = "",
    preview: bool = False,
    as_made: MadeBy | None = None,
    anew: bool = False,
    compare: bool = False,
) -> SettingsPlan:
    """What brings ``table`` to ``source_table``'s settings; reads only.

    ``made_id`` is the id of the table that this migration is known to have made. For a ``preview`` a table that is not
    there yet, or that is made ``anew``, is assumed as ``as_made`` will make it, by default an import. ``compare`` is as
    in ``prepare_settings``. Raises
    DestinationExists for a table that is not of this migration, and what ``prepare_settings`` raises.
    """
    there = TableDefinition.find(destination, table)
    if preview and (there is None or anew):
        return preview_settings(source, destination, source_table, table, options, as_made)
    if there is not None:
        route = Route(
            source_account_id=source.account_id,
            source_region=source.region,
            source_table=source_table,
            destination_account_id=destination.account_id,
            destination_region=destination.region,
            destination_table=table,
            migration_id=options.migration_id,
        )
        if not is_ours(destination, there, route, made_id):
            raise not_ours(
                destination,
                there,
                table,
                f"To apply the settings anyway, tag it tableferry:migration={options.migration_id} and remove its tag"
                " tableferry:source.",
            )
    return prepare_settings(source, destination, source_table, table, options, there, compare)


def told(record: Tracking | None, plan: SettingsPlan) -> SettingsPlan:
    """The ``plan``; for a table whose ``record`` says that it has the settings of another of its sources (``merge``),
    these stay, and what differs is told."""
    if record is None or not is_later_part(record.record):
        return plan
    reason = "the table is merged of several sources, and has the settings of the first one"
    differing = [NotCarried(change.what, reason) for change in filter(without_our_tags, plan.changes)]
    return replace(plan, changes=(), left=(*plan.left, *differing))


def settings_job(table: str, source_table: str, options: SettingsOptions, plan: SettingsPlan | None = None) -> Job:
    """The job that carries ``source_table``'s settings to ``table``: ``pending``, or ``not_needed`` without changes.

    With the ``plan`` that was made, the waiter applies it as it is; without, the job follows the one that makes the
    table, and the waiter reads both tables and plans.
    """
    request: dict[str, Any] = {"source_table": source_table, "options": options_to_dict(options)}
    job = Job(KIND, table, state="pending", pending_reason="job", migration_id=options.migration_id)
    if plan is None:
        return replace(job, request=request)
    return _planned(replace(job, pending_reason="settings", request=request), plan)


def settings_to_come(table: str, source_table: str, options: SettingsOptions, plan: SettingsPlan) -> Job:
    """The job as check mode shows it of a table whose record is not ``done``: planned even where nothing is to change,
    because only a run reads the settings back and says that the table is migrated."""
    return replace(settings_job(table, source_table, options, plan), state="planned", pending_reason="")


def _planned(job: Job, plan: SettingsPlan) -> Job:
    foreseen = _result(SettingsResult(left=plan.left, carried=plan.carried), plan)
    job = replace(job, request={**job.request, "plan": plan.to_dict()}, result=foreseen)
    return job if plan.changes else replace(job, state="not_needed", pending_reason="")


def options_to_dict(options: SettingsOptions) -> dict[str, Any]:
    """The options as JSON-safe data."""
    return {**asdict(options), **{name: list(getattr(options, name)) for name in _LISTS}}


def options_from_dict(data: Mapping[str, Any]) -> SettingsOptions:
    """The options of ``options_to_dict``'s data. Raises InvalidInput for anything else."""
    try:
        values = {name: tuple(data.get(name, ())) for name in _LISTS}
        return SettingsOptions(**{**data, **values, "transform": choices_from(data.get("transform"))})
    except TypeError as error:
        raise InvalidInput("The settings job's options are not valid.", "Pass the job of the start verb.") from error


class SettingsKind(OwnWork):
    """Settings, for the waiter: nothing to list, each job is a generator that says when it continues."""

    noun: ClassVar[str] = "settings job"
    plural: ClassVar[str] = "settings"

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Apply the plan, or read both tables, plan and apply. Started again, it applies what is missing.

        The table of an earlier run is taken first, after whoever holds it, and let go in the end.
        """
        finished = str(item.job.request.get("finished", ""))
        if not finished:
            return (yield from self._applied(item, clock))
        record = item.record
        if record is None:
            raise InvalidInput("A finished table is changed by its record only.", "Give record.", table=item.job.name)
        yield from _taken(item.job, record, finished)
        try:
            job = yield from self._applied(item, clock)
            if job.state == "completed":
                record.note({"settings": job.result})
            return replace(job, result={**job.result, **_drift_after(job, item.job.result.get("drift", []))})
        finally:
            with suppress(FerryError):  # the end of the run lets it go as well
                record.let_go()

    def _applied(self, item: WaitItem, clock: Callable[[], float]) -> Steps:
        destination, job = self.account(item), item.job
        if "plan" not in job.request:
            request = job.request
            plan = plan_table_settings(
                item.need("source"),
                destination,
                request.get("source_table") or job.name,
                job.name,
                options_from_dict(request.get("options", {})),
                made_id=_table_id(job, item.record),
            )
            job = _planned(job, told(item.record, plan))
        yield from past_fence(job, item.record)
        if job.state == "not_needed":
            lifted = yield from _released(destination, replace(job, state="running"), item.record)
            _settled(destination, job, item.record)
            return replace(job, state="completed") if lifted else job
        if item.record is not None:
            item.record.require_held()
        plan = SettingsPlan.from_dict(job.request["plan"])
        job = replace(job, state="running", pending_reason="")
        if item.record is not None:
            clock = item.record.now  # which counts sleep
        steps = apply_settings(destination, job.name, plan, _table_id(job, item.record), clock)
        while True:
            try:
                seconds = next(steps)
            except StopIteration as end:
                job = _ended(job, end.value, plan)
                break
            yield Pause(job, "time", seconds)
        if job.state == "completed":
            yield from _released(destination, replace(job, state="running"), item.record)
            _settled(destination, job, item.record)
        return job

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """The settings of the table that was made; none for one that lacks items: it must not look complete."""
        return replace(job, request={**job.request, "table_id": made.table_id}) if made.whole else None


def _drift_after(job: Job, drift: list[dict[str, Any]]) -> dict[str, Any]:
    """What is left of the ``drift`` of a finished table once ``job`` has ended, and what of it was applied."""
    applied = job.result["changes"] if job.state in ("completed", "failed") else []
    # Another run may have applied all that this one was to apply; what only the copy has stays.
    gone = job.request["applies"] if job.state == "not_needed" else [change["what"] for change in applied]
    return {"drift": [change for change in drift if change["what"] not in gone], "drift_applied": applied}


def _taken(job: Job, record: Tracking, table_id: str) -> Generator[Pause, str | None, None]:
    """Steps that end when this run holds the finished table ``table_id``. Raises StepNotAllowed where it is finished
    no more, and TakenOver, LeaseOver."""
    while True:
        try:
            held = record.take(str(job.request.get("take_over", "")))
        except RecordChanged:
            yield Pause(job, "time", 1.0)  # somebody was faster: read what stands there now
            continue
        if held is None:
            break
        refusal = held.refusal(job.name).to_failure()
        waits = replace(job, pending_reason="held", result={**job.result, "refusal": refusal})
        yield Pause(waits, "time", HELD_GAP)
    if not record.record.is_done or record.record.table_id != table_id:
        state = record.record.state
        record.let_go()
        raise StepNotAllowed(
            f"The record of {job.name} says {state} by now, and its settings are left as they are.",
            "Run again: the table goes on from where its record says it is.",
            table=job.name,
        )


def _table_id(job: Job, record: Tracking | None) -> str:
    """The id of the table that was filled, empty where it is not known. The record's first: what the job before has
    seen may be a table that has taken the name since."""
    return (record.record.table_id if record is not None else "") or str(job.request.get("table_id", ""))


def _released(destination: Account, job: Job, record: Tracking | None) -> Generator[Pause, str | None, bool]:
    """Steps that take off the deletion protection which a table had while it was filled, unless the source has it too;
    they end when nothing more can reach the table, with whether it was taken off."""
    lifted = False
    later = record is not None and is_later_part(record.record)  # the settings of the first source are set
    if record is not None and not later and record.record.state == "filled" and record.record.evidence.get("protected"):
        there = TableDefinition.find(destination, job.name)
        ours = there is not None and there.table_id == record.record.table_id and there.deletion_protection
        if ours and "deletion_protection" not in job.result.get("settings_carried", ()):
            doing, name = "taking off deletion protection", job.name
            destination.ask("dynamodb", "update_table", doing, name, TableName=name, DeletionProtectionEnabled=False)
            lifted = True
    yield from past_fence(job, record)
    return lifted


def _settled(destination: Account, job: Job, record: Tracking | None) -> None:
    """The table's settings were applied and read back, in its ``record``."""
    if record is None or record.record.state != "filled":
        return
    there = TableDefinition.find(destination, job.name)
    record.settled(there.table_id if there is not None else "", job.result)


def _ended(job: Job, settings: SettingsResult, plan: SettingsPlan) -> Job:
    """``job`` completed, or failed where AWS refused a setting."""
    job = replace(job, state="completed", pending_reason="", result=_result(settings, plan))
    if not settings.failed:
        return job
    words = "; ".join(f"{entry.what}: {entry.reason}" for entry in settings.failed)
    return ended_with(
        job,
        SettingFailed(
            f"Settings could not be applied: {words.rstrip('.')}.",
            "Fix the cause AWS reports, then run again: only what is missing is set.",
        ),
    )


def _result(settings: SettingsResult, plan: SettingsPlan) -> dict[str, Any]:
    """What became of the settings, under the names that the verbs return, and the source's size for the report."""
    return {
        "changes": [change.to_dict() for change in settings.applied],
        "settings_carried": list(settings.carried),
        "settings_left": [entry.to_dict() for entry in (*settings.left, *settings.failed)],
        "settings_failed": [entry.to_dict() for entry in settings.failed],
        "source_bytes": plan.source_bytes,
    }
