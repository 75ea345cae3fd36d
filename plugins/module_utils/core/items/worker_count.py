# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many processes work on a table."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import InvalidInput
from . import machine

AUTO = "auto"
# With ``auto``. A worker moves about 150 MB a second, and takes a quarter of a second and 30 MB of memory to start: one
# more is worth it where a table takes several seconds. More than four would read faster than most tables allow: 40,000
# units a second are 320 MB (facts/aws-new.md 4).
WORKER_BYTES = 2**30
MEMORY_BYTES = 2**30  # of the memory that a container may use, for each process: it has other work too
MOST_WORKERS = 4


def check_workers(text: str) -> None:
    """Raises InvalidInput where ``text`` is neither ``auto`` nor a number of processes."""
    if text != AUTO and not (text.isascii() and text.isdigit() and int(text) > 0):
        raise InvalidInput(f"workers is {text}.", "Specify auto, or a number of processes, 1 or more.")


class _Works:
    """How many tables this process works on now, in threads of its own."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0


_works = _Works()


@contextmanager
def at_work() -> Iterator[None]:
    """Within, this process works on one more table, which takes its part of the machine. From the beginning, before the
    table is described: so tables that begin together know of each other when workers are counted."""
    with _works.lock:
        _works.count += 1
    try:
        yield
    finally:
        with _works.lock:
            _works.count -= 1


def workers_for(text: str, size_bytes: int) -> int:
    """How many processes work on a table of ``size_bytes``: as many as ``text`` says, or with ``auto`` one for each
    WORKER_BYTES, where the machine, or the container, has cores and memory for them: an equal part of what it has for
    each table that is ``at_work`` now. Raises InvalidInput."""
    check_workers(text)
    if text != AUTO:
        return int(text)
    usable = min(machine.cores(), machine.memory_bytes() / MEMORY_BYTES) / max(1, _works.count)
    return max(1, min(int(min(usable, MOST_WORKERS)), size_bytes // WORKER_BYTES))
