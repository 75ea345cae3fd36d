# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an export has to know of how its items get into the destination, which each method does in its own way."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from ..account import Account
from ..errors import FerryError
from ..jobs.job import Job
from ..jobs.tracking import Tracking
from ..record.intention import Window
from ..route import Route
from ..table.definition import TableDefinition


@dataclass(frozen=True)
class Place:
    """What is at the destination's name, as far as this migration is concerned.

    ``free``: nothing of ours that matters. ``unfinished``: a job was about to load the table, and was not begun.
    ``running``, ``done`` and ``partial``: a job of ours loads it, has completed, or has failed and left a table.
    ``job`` is the newest such job, ``table`` the table of the name where there is one.
    """

    state: Literal["free", "unfinished", "running", "done", "partial"]
    job: Job | None = None
    table: TableDefinition | None = None


class Loader(Protocol):
    """How a method loads what was exported into the destination table.

    AWS charges for an export: none is made for a table that has its items, gets them, or cannot get them. What was
    exported is not removed while a job reads it: jobs that do are of the ``kind``, may be begun within the ``window``
    after they were intended, and ``kept`` is what of a job's request the record keeps when it has ended.
    """

    kind: ClassVar[str]
    window: ClassVar[Window]
    kept: ClassVar[Collection[str]]

    def require_loadable(self, definition: TableDefinition) -> None:
        """Raises LocalSecondaryIndexes, or why else it cannot make a table like the source's ``definition``."""

    def look(self, destination: Account, route: Route, record: Tracking | None) -> Place:
        """What is at the destination's name: by the table's ``record``, without one by what AWS lists. Reads only.

        Raises DestinationExists for a table that is not ours, TableUnusable for one of ours that cannot be used now.
        """

    def explain(self, destination: Account, job: Job) -> FerryError:
        """Why ``job``, which left the table ``partial``, has failed, and what to do about that table. Reads only."""

    def close(self, record: Tracking, listed_at: float) -> None:
        """Close the intention to load an export that serves no more, where there is one. What AWS lists was read at
        ``listed_at``, seconds by the record's clock. Raises NotYet while the job may still be begun."""

    def running(self, destination: Account, route: Route) -> Job | None:
        """The job that loads what the ``route`` has staged and runs now, by AWS's list alone. Reads only."""

    def look_up(self, destination: Account, job: Job) -> Job:
        """``job`` of a record with its status now, found by its request where it has no ARN; unchanged where AWS does
        not show it. Reads only."""
