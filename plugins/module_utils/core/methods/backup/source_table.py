# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A source table that AWS is making or changing: its backup begins when that is over."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

from ...account import Account
from ...jobs.job import Job, PendingReason
from ...jobs.kind import Pause
from ...table.definition import TableDefinition
from ...table_status import Phase, phase_of, require_usable

REASON: PendingReason = "source_table"  # why such a backup is pending
SHORTEST_LOOK, LONGEST_LOOK = 1.0, 15.0  # seconds between looks, longer and longer
# Seconds for which a change is waited for. AWS backs up a table that is UPDATING (measured/backup-restore-service 2.1);
# whether the jobs of AWS Backup do is not measured, and an index may take hours.
CHANGE_WAIT = 600.0
NEW_TABLE_WAIT = 10.0  # seconds after ACTIVE until a new table can be backed up (6.2 at most, measured there)


def is_changing(status: str) -> bool:
    """Whether a table of this TableStatus will be ready for its backup by itself."""
    return status != "ACTIVE" and phase_of(status) in (Phase.MAKING, Phase.USABLE)


def when_ready(source: Account, job: Job, clock: Callable[[], float]) -> Generator[Pause, str | None, Job]:
    """Steps until the table of ``job`` is there, and no change of it is under way or CHANGE_WAIT is over: the job, to
    be started. Raises MissingTable, TableUnusable and what Account.explain gives."""
    begun, gap, is_new = clock(), SHORTEST_LOOK, False
    while True:
        definition = TableDefinition.read(source, job.name)
        require_usable(definition.raw)
        is_made = phase_of(definition.status) is not Phase.MAKING
        if is_made and not (is_changing(definition.status) and clock() - begun < CHANGE_WAIT):
            job = replace(job, pending_reason="slot")
            yield Pause(job, "time", NEW_TABLE_WAIT if is_new else 0.0)
            return job
        is_new = is_new or not is_made
        yield Pause(job, "time", gap)
        gap = min(gap * 1.5, LONGEST_LOOK)
