# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a process that moves items uses its memory: pages of 1 MB come and go hundreds of times a second."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

# glibc's numbers of the settings, from malloc.h (mallopt(3)).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
# Larger than a page of a scan: its memory is then taken from the heap, and not from the kernel, which clears it.
MAPPED_BYTES = 8 * 1024 * 1024
COLLECT_AFTER = 20_000  # objects, before Python looks for circles among them: pages make thousands, and none in circles
TRIMMED_BYTES = 32 * 1024 * 1024  # free at the end of the heap before any is given back to the kernel


@contextmanager
def for_items() -> Iterator[None]:
    """For the time of moving items: memory of pages is used again, and the garbage collector looks rarely, and not at
    what was there before.

    The allocator and the collector's threshold stay so afterwards. Objects that the process had frozen itself stay
    frozen, as do those that were there.
    """
    keep_pages()
    gc.set_threshold(max(COLLECT_AFTER, gc.get_threshold()[0]))
    frozen_before = gc.get_freeze_count()
    if not frozen_before:
        gc.freeze()
    try:
        yield
    finally:
        if not frozen_before:
            gc.unfreeze()


@cache
def keep_pages() -> bool:
    """Have the allocator keep freed pages for the next ones; whether it does: others than glibc's stay as they are."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, MAPPED_BYTES)) and bool(mallopt(_TRIM_THRESHOLD, TRIMMED_BYTES))
