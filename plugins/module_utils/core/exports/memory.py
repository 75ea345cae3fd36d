# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where exports and imports are written down: in the table's record, where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from .. import sdk
from ..jobs.entries import token_of
from ..jobs.job import Job
from ..jobs.tracking import Tracking
from ..record.record import FILL

# What of a job's request a later run needs when it has ended.
KEPT: Mapping[str, tuple[str, ...]] = {
    "export": ("purpose", "route", "bucket", "call", "source", "filtered", "shared", "page_items"),
    "import": ("purpose", "route", "bucket", "source", "export"),
}


class Memory:
    """The table's record, as exports and imports write it."""

    def __init__(self, record: Tracking) -> None:
        self._record = record

    def sending(self, job: Job) -> AbstractContextManager[object]:
        """Its intention is written first; a refusal for good closes it."""
        return self._record.sending(job, purpose_of(job), may_be_ours=_may_be_ours)

    def write(self, job: Job) -> None:
        """Its ARN, the table that it makes, and its end; one that the record has not begun is adopted."""
        known = self._record.record.job(token_of(job))
        if known is None or known.state == "closed":  # refused here, but taken when another table sent it
            self._record.adopt(replace(job, state="running"), purpose_of(job))
        if job.open:
            table_id = str(job.result.get("table_id") or "") if purpose_of(job) == FILL else ""
            self._record.begun(job, table_id=table_id)
        else:
            self._record.ended(job, KEPT[job.kind])


def purpose_of(job: Job) -> str:
    """What the record calls the purpose of an export or import."""
    return FILL if job.kind == "import" else str(job.request["purpose"])


def memory_of(record: Tracking | None) -> Memory | None:
    """The memory of the ``record``; a verb used alone has none: AWS's lists tell what it began."""
    return Memory(record) if record is not None else None


def sending(memory: Memory | None, job: Job) -> AbstractContextManager[object]:
    """The request of ``job`` is sent within."""
    return memory.sending(job) if memory is not None else nullcontext()


def _may_be_ours(error: Exception) -> bool:
    """AWS looks at a table's existence before the token: it may be that of our own import, whose answer was lost."""
    return sdk.error_code(error) == "ResourceInUseException"
