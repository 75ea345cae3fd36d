# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS's time, by which all rules of the record go: the Date header of AWS's answers, carried on by a clock that also
counts sleep (design section 6, "Time"). No rule asks the local clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import RecordBusy
from ..signing import clock_off
from ..signing.clock_off import http_date

DATE_STEP = 1.0  # a Date header has whole seconds


def seconds_with_sleep() -> float:
    """Seconds since some moment, by a clock that goes on while the machine sleeps (Linux and Darwin have one)."""
    # Both are missing from the typing of platforms that have not got them.
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC_RAW"):
        number = getattr(time, name, None)
        if number is not None:
            return time.clock_gettime(number)
    return time.monotonic()


class AwsClock:
    """``D``: AWS's time in epoch seconds, learned from its answers. Safe to use from many threads.

    ``elapsed`` and ``local`` are the machine's clocks, given by tests; ``offset`` is another process's on the same
    machine, for its workers. An answer that was read long after it came, as
    by a process that was stopped meanwhile, does not set the time back: what is known is that the moment of its Date
    lies between the request and the reading, and each answer only narrows what the others left open.
    """

    def __init__(
        self,
        elapsed: Callable[[], float] = seconds_with_sleep,
        local: Callable[[], float] = time.time,
        offset: float | None = None,
    ) -> None:
        self._elapsed = elapsed
        self._local = local
        self._lock = threading.Lock()
        self._offset = offset
        self._latest = offset  # what ``elapsed`` lacks at most
        self._sent = threading.local()

    @property
    def offset(self) -> float | None:
        """What ``elapsed`` lacks to AWS's time; None before the first answer."""
        return self._offset

    @property
    def known(self) -> bool:
        """Whether AWS has answered yet."""
        return self._offset is not None

    def now(self) -> float:
        """AWS's time, at most the way of an answer and a second behind. Raises RecordBusy before the first answer."""
        if self._offset is None:
            raise RecordBusy(
                "AWS's time is not known: none of its answers carried a Date header.",
                "Check that no proxy between the controller and AWS removes the Date header, then run again.",
            )
        return self._offset + self._elapsed()

    def elapsed(self) -> float:
        """The clock by which ``observe`` is told when a request was sent."""
        return self._elapsed()

    def observe(self, date: float, sent: float) -> None:
        """Take the Date (epoch seconds) of an answer read now, to a request sent at ``sent`` by ``elapsed``."""
        low, high = date - self._elapsed(), date + DATE_STEP - sent
        with self._lock:
            self._offset = low if self._offset is None else min(max(self._offset, low), high)
            self._latest = max(self._offset, high if self._latest is None else min(self._latest, high))

    def ahead(self) -> float:
        """Seconds by which the local clock is ahead of AWS's; 0 when it is behind."""
        return max(0.0, self._local() - self.now())

    def require_right(self) -> None:
        """Raises ClockOff when the local clock is more than four minutes off, for certain: after a process was stopped
        between a request and its answer, AWS's time is known only as well as it was stopped long."""
        off = self._local() - self.now()
        unsure = (self._latest or 0.0) - (self._offset or 0.0)
        error = clock_off.judged(off - min(max(off, 0.0), unsure))
        if error is not None:
            raise error

    def watch(self, client: Any) -> None:
        """Learn the time from every answer that botocore's ``client`` gets."""
        service = client.meta.service_model.service_id.hyphenize()
        # First in line: a later handler may stop the request, and then there is no answer to learn from.
        client.meta.events.register_first(f"before-send.{service}", self._leaves)
        client.meta.events.register_first(f"response-received.{service}", self._answered)

    def _leaves(self, **_event: Any) -> None:
        self._sent.at = self._elapsed()

    def _answered(self, response_dict: Mapping[str, Any] | None = None, **_event: Any) -> None:
        sent = getattr(self._sent, "at", None)
        date = http_date((response_dict or {}).get("headers", {}).get("date", ""))
        if sent is not None and date is not None:
            self.observe(date, sent)
