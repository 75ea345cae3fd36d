# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The jobs that follow on every method when the items are there, and what they cost."""

from __future__ import annotations

from typing import Literal

from ..account import Account
from ..change import Change
from ..jobs.job import Job
from ..steps.comparison import VerifyOptions, comparison_change, export_comparison_change, verify_job
from ..steps.counting import count_change, count_job
from ..steps.settings_job import settings_job
from ..steps.transform_preview import TransformPreview, preview_transform
from .method import ItemJobs, Method
from .options import MigrationOptions


def following(method: Method, options: MigrationOptions) -> tuple[Job, ...]:
    """Counting the items where nobody has, comparing them where that is asked for, and the settings."""
    jobs = []
    if not method.counts and options.verify != "none":
        jobs.append(count_job(options.made_table, options.table, writes_stopped=options.stopped))
    if options.verify in ("sample", "full"):
        jobs.append(verify_job(_compared(options), options.migration_id))
    return (*jobs, settings_job(options.made_table, options.table, options.settings))


def costs(method: Method, options: MigrationOptions, jobs: ItemJobs, maker: Job) -> list[Change]:
    """What counting and comparing the items will cost, where ``maker`` has yet to bring them."""
    changes = []
    if not method.counts and options.verify != "none" and maker.state == "planned":
        changes.append(count_change(options.table, options.made_table, jobs.definition))
    if options.verify in ("sample", "full") and maker.state in ("planned", "pending"):
        change = export_comparison_change if method.compares_export else comparison_change
        changes.append(change(_compared(options), jobs.definition))
    return changes


def foreseen_transform(source: Account, options: MigrationOptions, jobs: ItemJobs) -> TransformPreview:
    """What the steps will do to the items, where there are some and the items are yet to come. Raises what
    preview_transform raises."""
    if options.transform is None or jobs.maker is None or jobs.maker.state == "not_needed":
        return TransformPreview()
    return preview_transform(source, jobs.definition, options.transform)


def _compared(options: MigrationOptions) -> VerifyOptions:
    level: Literal["sample", "full"] = "full" if options.verify == "full" else "sample"
    return VerifyOptions(options.table, options.made_table, level, options.items, options.transform)
