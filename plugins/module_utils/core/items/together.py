# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Threads that work on one thing together: all end, and the first failure is the caller's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from .wire import Stopped


def run_together(
    functions: Sequence[Callable[[], None]],
    stop: threading.Event,
    wake: Callable[[], None] = lambda: None,
) -> None:
    """Run each function in a thread of its own and return when all have ended.

    The first that raises sets ``stop`` and calls ``wake``, so that the others end; its exception is raised here. So too
    when the caller's thread is interrupted.
    """
    failures: list[BaseException] = []

    def run(function: Callable[[], None]) -> None:
        try:
            function()
        except Stopped:
            pass
        except BaseException as error:  # every failure is the caller's, whatever its kind
            failures.append(error)
            stop.set()
            wake()

    threads = [threading.Thread(target=run, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        stop.set()
        wake()
        raise
    if failures:
        raise failures[0]
    if stop.is_set():
        raise Stopped
