# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where exports, and the jobs that load them, are written down: in the table's record, where there is one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from ..jobs.entries import token_of
from ..jobs.job import Job
from ..jobs.tracking import Tracking
from ..record.record import FILL

# What of an export's request a later run needs when it has ended.
KEPT: Collection[str] = ("purpose", "route", "bucket", "call", "source", "filtered", "shared", "page_items")


@dataclass(frozen=True)
class Memory:
    """The table's ``record``, as jobs of one kind write it: exports, if nothing else is set.

    ``kept`` is what of a job's request stays when it has ended, ``purpose`` what the record calls its purpose ("": as
    the request says). After a refusal that ``may_be_ours`` the job may have been begun all the same.
    """

    record: Tracking
    kept: Collection[str] = KEPT
    purpose: str = ""
    may_be_ours: Callable[[Exception], bool] = lambda error: False

    def sending(self, job: Job) -> AbstractContextManager[object]:
        """Its intention is written first; a refusal for good closes it."""
        return self.record.sending(job, self._purpose_of(job), may_be_ours=self.may_be_ours)

    def write(self, job: Job) -> None:
        """Its ARN, the table that it makes, and its end; one that the record has not begun is adopted."""
        known, purpose = self.record.record.job(token_of(job)), self._purpose_of(job)
        if known is None or known.state == "closed":  # refused here, but taken when another table sent it
            self.record.adopt(replace(job, state="running"), purpose)
        if job.open:
            table_id = str(job.result.get("table_id") or "") if purpose == FILL else ""
            self.record.begun(job, table_id=table_id)
        else:
            self.record.ended(job, self.kept)

    def _purpose_of(self, job: Job) -> str:
        return self.purpose or str(job.request["purpose"])


def memory_of(record: Tracking | None) -> Memory | None:
    """The memory of exports in the ``record``; a verb used alone has none: AWS's lists tell what it began."""
    return Memory(record) if record is not None else None


def sending(memory: Memory | None, job: Job) -> AbstractContextManager[object]:
    """The request of ``job`` is sent within."""
    return memory.sending(job) if memory is not None else nullcontext()
