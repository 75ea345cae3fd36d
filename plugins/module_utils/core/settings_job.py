# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of a table as a job, so that one waiter applies those of many tables at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from .account import Account
from .errors import InvalidInput, SettingFailed
from .job import Job, Page, Pause, Steps, WaitItem, ended_with
from .table.setting import SettingsOptions
from .table.settings import SettingsPlan, SettingsResult, apply_settings, prepare_settings


def settings_job(table: str, source_table: str, options: SettingsOptions, plan: SettingsPlan | None = None) -> Job:
    """The job that carries ``source_table``'s settings to ``table``: ``pending``, or ``not_needed`` without changes.

    With the ``plan`` that was made, the waiter applies it as it is; without, it reads both tables and plans.
    """
    request: dict[str, Any] = {"source_table": source_table, "options": options_to_dict(options)}
    job = Job("settings", table, state="pending", pending_reason="settings", migration_id=options.migration_id)
    if plan is None:
        return replace(job, request=request)
    job = replace(job, request={**request, "plan": plan.to_dict()})
    if plan.changes:
        return job
    return replace(
        job, state="not_needed", pending_reason="", result=_result(SettingsResult((), (), plan.left, plan.carried))
    )


def options_to_dict(options: SettingsOptions) -> dict[str, Any]:
    """The options as JSON-safe data."""
    return {**asdict(options), "defer": list(options.defer)}


def options_from_dict(data: Mapping[str, Any]) -> SettingsOptions:
    """The options of ``options_to_dict``'s data. Raises InvalidInput for anything else."""
    try:
        return SettingsOptions(**{**data, "defer": tuple(data.get("defer", ()))})
    except TypeError as error:
        raise InvalidInput("The settings job's options are malformed.", "Pass the job of the start verb.") from error


class SettingsKind:
    """Settings, for the waiter: nothing to list, each job is a generator that says when it goes on."""

    def account(self, item: WaitItem) -> Account:
        """The destination's. Raises InvalidInput without one."""
        if item.destination is None:
            raise InvalidInput(
                "The settings' destination account is missing.", "Give destination.", table=item.job.name
            )
        return item.destination

    def list_page(self, account: Account, next_token: str) -> Page:
        """Empty: settings are no jobs of AWS's."""
        return Page({})

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Apply the plan, or read both tables, plan and apply. Begun again it applies what is missing."""
        destination, job = self.account(item), item.job
        request = job.request
        if "plan" in request:
            plan = SettingsPlan.from_dict(request["plan"])
        elif item.source is None:
            raise InvalidInput("The settings' source account is missing.", "Give source.", table=job.name)
        else:
            options = options_from_dict(request.get("options", {}))
            source_table = request.get("source_table") or job.name
            plan = prepare_settings(item.source, destination, source_table, job.name, options)
        job = replace(job, state="running")
        steps = apply_settings(destination, job.name, plan)
        while True:
            try:
                seconds = next(steps)
            except StopIteration as end:
                return _ended(job, end.value)
            yield Pause(job, "time", seconds)


def _ended(job: Job, found: SettingsResult) -> Job:
    """``job`` completed, or failed where AWS refused a setting."""
    job = replace(job, state="completed", pending_reason="", result=_result(found))
    if not found.failed:
        return job
    words = "; ".join(f"{entry.what}: {entry.reason}" for entry in found.failed)
    return ended_with(
        job, SettingFailed(f"Settings could not be applied: {words}", "Mend what AWS names and run again.")
    )


def _result(found: SettingsResult) -> dict[str, Any]:
    """What became of the settings, under the names that the verbs return."""
    return {
        "changes": [change.to_dict() for change in found.applied],
        "settings_carried": list(found.carried),
        "settings_left": [entry.to_dict() for entry in (*found.left, *found.failed)],
        "settings_failed": [entry.to_dict() for entry in found.failed],
    }
