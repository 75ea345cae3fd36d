# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that are killed after a call, and after which calls it makes a difference."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from lab.world import is_mutating
from tests.unit.on_lab.in_process import InProcess, Killed


@contextlib.contextmanager
def killed_after(aws: InProcess, number: int) -> Iterator[None]:
    """A run that ends after its call ``number`` (0: before the first one), where it makes that many."""
    last = len(aws.calls) + number

    def kill(when: str, operation: str, at: int) -> None:
        if (when, at) == ("after", last) or at > last:
            raise Killed(operation)

    aws.interrupt = kill
    with contextlib.suppress(Killed):
        yield
    aws.interrupt = lambda *_call: None


def kill_points(aws: InProcess, run: Callable[[], object]) -> list[int]:
    """The calls of ``run`` after which a killed run leaves something else than after the call before: 0 and the
    numbers of those that change something or come after time has passed.

    Nothing of a killed run is left but what AWS holds. A call that only reads leaves AWS as it was, so that being
    killed after it is being killed after the one before.
    """
    points, clock, begun = [0], aws.clock, len(aws.calls)

    def note(when: str, operation: str, at: int) -> None:
        nonlocal clock
        if when == "after":
            if is_mutating(operation) or aws.clock != clock:
                points.append(at - begun)
            clock = aws.clock

    aws.interrupt = note
    run()
    aws.interrupt = lambda *_call: None
    return points
