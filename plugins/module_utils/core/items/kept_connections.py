# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections that stay open between two pieces of work: a table's description, its scan, the next table.

Making one takes two round trips, three with TLS, and a millisecond of CPU: more than a small table has requests. Each
request is signed on its own, so tables and accounts share the connections to one endpoint.
"""

from __future__ import annotations

import atexit
import os
import threading
import time

from .network_route import NetworkRoute
from .transport import Connection

IDLE_SECONDS = 20.0  # for which one is kept: servers and what lies between close them after a minute or more
MOST_KEPT = 64


class KeptConnections:
    """Connections that nobody uses now, the newest last. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[tuple[float, NetworkRoute, Connection]] = []

    def take(self, route: NetworkRoute, *, waiting: bool) -> Connection | None:
        """One on ``route`` that is still open, for the caller alone; None where there is none. ``waiting`` as for
        Connection."""
        while True:
            with self._lock:
                self._forget_old()
                place = next((place for place in reversed(range(len(self._kept))) if self._kept[place][1] == route), -1)
                if place < 0:
                    return None
                connection = self._kept.pop(place)[2]
            if connection.quiet():
                connection.use(waiting=waiting)
                return connection
            connection.close()

    def keep(self, route: NetworkRoute, connection: Connection) -> None:
        """Keep one on ``route`` that has no request under way, or close it."""
        if not connection.reusable or connection.opening:
            connection.close()
            return
        with self._lock:
            self._kept.append((time.monotonic(), route, connection))
            self._forget_old()

    def close_old(self) -> None:
        """Close those that nobody has needed for IDLE_SECONDS. For each turn of a loop, even if it needs none."""
        if self._kept:
            with self._lock:
                self._forget_old()

    def clear(self) -> None:
        """Close all."""
        with self._lock:
            for _since, _route, connection in self._kept:
                connection.close()
            self._kept.clear()

    def leave_to_parent(self) -> None:
        """Close them in a process that was forked: two that use one connection would get each other's answers."""
        self._lock = threading.Lock()
        self.clear()

    def _forget_old(self) -> None:
        oldest = time.monotonic() - IDLE_SECONDS
        while self._kept and (self._kept[0][0] < oldest or len(self._kept) > MOST_KEPT):
            self._kept.pop(0)[2].close()


KEPT = KeptConnections()
atexit.register(KEPT.clear)
os.register_at_fork(after_in_child=KEPT.leave_to_parent)
