# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of a table that an earlier run finished: by default left as its users have them (found.md A3).

Where the user asks for it, the settings in which the source and the copy differ are shown, or shown and applied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from ..account import Account
from ..change import Change
from ..errors import MissingTable
from ..jobs.job import Job
from ..record.parts import is_first_part
from ..table.setting import SettingsOptions
from .claiming import Finished
from .settings_job import KIND, plan_table_settings, settings_job

FinishedSettings: TypeAlias = Literal["once", "report", "apply"]


@dataclass(frozen=True)
class Drift:
    """The settings ``job`` of a finished table, the ``differences`` of its copy and the source, and the ``changes``
    that the job will make."""

    job: Job
    differences: tuple[Change, ...] = ()
    changes: tuple[Change, ...] = ()


def settings_of_finished(
    done: Finished,
    source: Account,
    destination: Account,
    source_table: str,
    options: SettingsOptions,
    asked: FinishedSettings,
    take_over: str = "",
) -> Drift:
    """What becomes of the settings of a ``done`` table; reads only, and with ``once`` nothing.

    ``take_over`` is the id of a run whose process is gone. The settings of a source that was made anew are another
    table's, and so are those of a source that is merged into a table which has another one's: shown, never applied.
    Raises what ``plan_table_settings`` raises.
    """
    table = done.record.name
    known: dict[str, Any] = dict(done.record.evidence.get("settings", {}))
    left_alone = Job(KIND, table, "not_needed", result=known, migration_id=options.migration_id)
    if asked == "once":
        return Drift(left_alone)
    try:
        plan = plan_table_settings(
            source, destination, source_table, table, options, made_id=done.record.table_id, compare=True
        )
    except MissingTable as error:  # the source may be gone long since
        return Drift(replace(left_alone, result={**known, "drift": [], "drift_unknown": error.cause}))
    job = settings_job(table, source_table, options, plan)
    shown = {"drift": [change.to_dict() for change in plan.differences]}
    others = done.renewed or not is_first_part(done.record)
    if asked == "report" or others or not plan.changes:
        return Drift(replace(left_alone, result={**job.result, **shown}), plan.differences)
    # Planned anew once this run holds the table: another one may have changed it by then.
    request = {name: value for name, value in job.request.items() if name != "plan"}
    request |= {"finished": done.record.table_id, "table_id": done.record.table_id, "take_over": take_over}
    request["applies"] = [change.what for change in plan.changes]
    return Drift(replace(job, request=request, result={**job.result, **shown}), plan.differences, plan.changes)
