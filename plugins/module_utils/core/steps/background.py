# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work that the controller does itself, as steps for the waiter: it runs in a thread, and the steps report progress."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

from ..items.permit import Bounds
from ..jobs.job import Job
from ..jobs.kind import Pause
from ..jobs.tracking import Tracking

LOOK_SECONDS = 0.5  # between looks at running work

Done = TypeVar("Done")


class CalledOff(Exception):
    """The waiter has stopped: the work must end, and leave what a later run can continue from."""


class Workbench:
    """Runs up to ``at_once`` pieces of work at the same time; the others wait until one is done."""

    def __init__(self, at_once: int) -> None:
        self._pool = ThreadPoolExecutor(at_once, "workbench")

    def steps(self, job: Job, work: Callable[[Callable[[Job], None]], Done]) -> Generator[Pause, str | None, Done]:
        """Steps that end when ``work`` does, with what it returns or raises.

        ``work`` calls what it is given from time to time, with ``job`` as it stands. That raises CalledOff when the
        steps were closed before their end.
        """
        shown = job
        called_off = False

        def show(now: Job) -> None:
            nonlocal shown
            if called_off:
                raise CalledOff
            shown = now

        future = self._pool.submit(work, show)
        try:
            while not future.done():
                yield Pause(shown, "time", LOOK_SECONDS)
            return future.result()
        finally:
            called_off = True
            if not future.cancel():
                wait((future,))  # what it leaves behind must be complete before anything continues


def bounds_of(record: Tracking | None, show: Callable[[], None], *, writes: bool = False) -> Bounds:
    """The bounds of work for the table of ``record``: when the run has lost its lease, or ansible-playbook is gone, the
    work ends; what it ``writes`` is held to the lease. ``show`` is called on every turn, and may end the work too."""
    if record is None:
        return Bounds(look=show)
    run = record.run

    def look() -> None:
        show()
        run.look()

    return Bounds(run.gate if writes else None, look)


def percent(done: Any, whole: Any) -> float:
    """How much of the ``whole`` is ``done``, 0 to 100."""
    return min(100.0, 100.0 * done / whole) if whole else 0.0
