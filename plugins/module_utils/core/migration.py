# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What knows every kind of job: waiting for jobs of all kinds, and taking a job that a user passes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .account import Account
from .errors import FerryError
from .jobs.job import Job, not_a_job
from .jobs.kind import JobKind, WaitItem, WaitResult
from .jobs.waiter import Waiter
from .methods.backup.backup_jobs import BackupKind
from .methods.backup.copy_jobs import CopyKind
from .methods.backup.restore_jobs import RestoreKind
from .methods.direct.copy_job import DirectKind
from .methods.s3.export import ExportKind
from .methods.s3.importing import ImportKind
from .steps.comparison import VerifyKind
from .steps.counting import CountKind
from .steps.settings_job import SettingsKind

KINDS: Mapping[str, Callable[[], JobKind]] = {
    "export": ExportKind,
    "import": ImportKind,
    "backup": BackupKind,
    "copy": CopyKind,
    "restore": RestoreKind,
    "count": CountKind,
    "direct": DirectKind,
    "verify": VerifyKind,
    "settings": SettingsKind,
}


def kinds() -> dict[str, JobKind]:
    """Every kind of job that can be waited for, made anew: some keep threads for one waiter's work."""
    return {name: kind() for name, kind in KINDS.items()}


def job_from(data: Mapping[str, Any]) -> Job:
    """The job that a user passes, as a verb returned it. Raises InvalidInput where it is none."""
    job = Job.from_dict(data)
    if job.kind not in KINDS:
        raise not_a_job()
    return job


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
    """Wait until every job has ended or ``timeout`` seconds are over; see ``Waiter``."""
    return Waiter(kinds(), progress=progress, clock=clock, sleep=sleep).wait(items, timeout)
