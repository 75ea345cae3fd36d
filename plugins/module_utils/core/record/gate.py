# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dated requests: nothing that changes something leaves after the lease's ``until``, or with a later signature date.

AWS refuses old signatures, so no stop, sleep or slow network delivers a request late for ever (design section 6). The
gate sees every attempt that botocore signs, retries included, and knows of which there is no answer yet.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from ..errors import LeaseOver, interrupted
from .fence import LET_GO
from .lease import iso

# Operations that change nothing, by botocore's names. ExecuteStatement and its kin may change items.
_READING = (
    "BatchGet", "Describe", "Get", "Head", "List", "Lookup", "Query", "Scan", "Search", "Select", "Simulate",
    "TransactGet",
)  # fmt: skip
_READING_TOO = frozenset({"AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML", "Decrypt"})
_EVERYTHING = ""  # the subject of requests that name none


class Time(Protocol):
    """AWS's time."""

    def now(self) -> float:
        """Epoch seconds."""


def changes_something(operation: str) -> bool:
    """Whether ``operation`` (botocore's name) may change something."""
    return not operation.startswith(_READING) and operation not in _READING_TOO


def signature_date(text: str | bytes | None) -> float | None:
    """Epoch seconds of an X-Amz-Date header; None where there is none that can be read."""
    try:
        plain = text.decode() if isinstance(text, bytes) else text or ""
        return datetime.strptime(plain, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


@dataclass
class Attempt:
    """One request, for ``subject`` (a destination table, empty: for any). ``date`` is its signature's; where it is
    ``lost`` (its connection is closed and no answer came), when that was."""

    number: int
    subject: str
    date: float
    lost: bool = False


class Attempts:
    """The attempts that were made within ``Gate.about``."""

    def __init__(self) -> None:
        self.attempts = 0
        self.answers = 0

    @property
    def all_answered(self) -> bool:
        """Whether AWS answered every attempt. Only then does a refusal mean that nothing was begun."""
        return self.attempts == self.answers


class Gate:
    """Lets requests that change something out until ``until()``. Safe to use from many threads.

    ``look`` is called before each of them and raises when the run must stop (another run ended it, its parent is gone).
    """

    def __init__(self, clock: Time, until: Callable[[], float], look: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._until = until
        self._look = look
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._stopped = False
        self._numbers = itertools.count(1)
        self._under_way: dict[int, Attempt] = {}
        self._local = threading.local()

    def guard(self, client: Any) -> None:
        """Hold all requests of botocore's ``client`` that change something to the lease."""
        service = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register_last(f"before-send.{service}", self._before_send)
        client.meta.events.register_first(f"response-received.{service}", self._response_received)

    def _before_send(self, request: Any, event_name: str = "", **_event: Any) -> None:
        self._local.attempt = None
        if changes_something(event_name.rpartition(".")[2]):
            self._local.attempt = self.leave(signature_date(request.headers.get("X-Amz-Date")))

    def _response_received(self, response_dict: Mapping[str, Any] | None = None, **_event: Any) -> None:
        attempt = getattr(self._local, "attempt", None)
        self._local.attempt = None
        status = (response_dict or {}).get("status_code", 0)
        if attempt is not None:
            (self.answered if is_answer(status) else self.lost)(attempt)

    def leave(self, date: float | None = None, subject: str | None = None) -> Attempt:
        """Note a request that is about to leave, signed with ``date`` (None: with the present moment).

        The data plane, whose requests botocore does not send, calls this with the one reading of the clock that it
        signs by, and ``answered`` afterwards. Raises LeaseOver, Interrupted once the gate is stopped, and what ``look``
        raises; then it must not be sent.
        """
        self._look()
        now, until = self._clock.now(), self._until()
        latest = max(now, now if date is None else date)
        if latest > until:
            raise LeaseOver(
                f"Nothing was sent: the run's lease is over since {iso(until)} and was not renewed.",
                "Run again: the table goes on from where its record says it is.",
                details={"until": until, "now": now, "date": date},
            )
        attempt = Attempt(next(self._numbers), self._subject if subject is None else subject, latest)
        with self._lock:
            if self._stopped:
                raise interrupted(attempt.subject)
            self._under_way = {
                number: each for number, each in self._under_way.items() if not each.lost or now < each.date + LET_GO
            }
            self._under_way[attempt.number] = attempt
        call = getattr(self._local, "call", None)
        if call is not None:
            call.attempts += 1
        return attempt

    @property
    def stopped(self) -> bool:
        """Whether nothing may leave any more."""
        return self._stopped

    def stop(self) -> None:
        """Nothing leaves any more; what was sent may still be answered."""
        with self._lock:
            self._stopped = True

    def wait_for_answers(self, seconds: float) -> bool:
        """Wait up to ``seconds`` until no answer is outstanding; whether that came to pass. For a stopped gate."""
        with self._changed:
            return self._changed.wait_for(lambda: all(each.lost for each in self._under_way.values()), seconds)

    def give_up(self) -> None:
        """All connections are closed: what has no answer gets none."""
        now = self._clock.now()
        with self._changed:
            for attempt in self._under_way.values():
                attempt.date = attempt.date if attempt.lost else max(attempt.date, now)
                attempt.lost = True
            self._changed.notify_all()

    @property
    def until(self) -> float:
        """AWS's time until which requests may leave."""
        return self._until()

    def left(self) -> float:
        """Seconds until then."""
        return self._until() - self._clock.now()

    def answered(self, attempt: Attempt) -> None:
        """AWS answered ``attempt``: nothing more comes of it."""
        with self._changed:
            self._under_way.pop(attempt.number, None)
            self._changed.notify_all()
        call = getattr(self._local, "call", None)
        if call is not None:
            call.answers += 1

    def lost(self, attempt: Attempt, date: float | None = None) -> None:
        """The connection of ``attempt`` is closed, and AWS has not answered it: it may still arrive for a while.

        That while begins now: the answer may have been waited for as long as it lasts. ``date`` is that of the newest
        request for which the attempt stands, where it stands for all of a process.
        """
        with self._changed:
            attempt.lost = True
            attempt.date = max(attempt.date, self._clock.now() if date is None else date)
            self._changed.notify_all()

    @contextmanager
    def about(self, subject: str) -> Iterator[Attempts]:
        """Requests of this thread within are for ``subject``, a destination table."""
        before = (self._subject, getattr(self._local, "call", None))
        self._local.subject, self._local.call = subject, Attempts()
        try:
            yield self._local.call
        finally:
            self._local.subject, self._local.call = before

    def unanswered(self, subject: str | None = None) -> float | None:
        """Date of the newest request without an answer for ``subject`` (None: for all); None if there is none.

        One whose answer is still waited for counts as sent just now: its connection is open.
        """
        now = self._clock.now()
        with self._lock:
            dates = [
                attempt.date if attempt.lost else max(attempt.date, now)
                for attempt in self._under_way.values()
                if subject is None or attempt.subject in (subject, _EVERYTHING)
            ]
        return max(dates, default=None)

    @property
    def _subject(self) -> str:
        return str(getattr(self._local, "subject", _EVERYTHING))


def is_answer(status: int) -> bool:
    """Whether an HTTP status says that AWS is through with the request. After a 5xx it may still be at work."""
    return 0 < status < 500
