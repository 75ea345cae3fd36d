# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runs that one waiter follows: where the engines list them, how far each of them is, and what they take."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ... import sdk
from ...account import Account
from ...errors import FerryError
from .engine import Request

PERCENT_GAP = 60.0  # seconds between looks at the results of a run that goes on: each is a list call of S3


@dataclass
class _Followed:
    """A run that is followed: how to look how far it is, what that said last, and when, in seconds since 1970."""

    look: Callable[[], float]
    percent: float | None = None
    looked_at: float = 0.0


class FollowedRuns:
    """The runs that one waiter follows, by many threads."""

    def __init__(self) -> None:
        self._scopes: dict[tuple[str, str, str], list[str]] = {}
        self._runs: dict[str, _Followed] = {}
        self._taken: dict[str, dict[str, Mapping[str, int]]] = {}  # by place and table
        self._lock = threading.Lock()

    def add(self, account: Account, request: Request, run: str, percent: Callable[[], float]) -> None:
        """The lists of the engine show the scope of this ``run`` from now on; ``percent`` reads how far it is."""
        with self._lock:
            scopes = self._scopes.setdefault((account.account_id, account.region, request.engine), [])
            if request.scope not in scopes:
                scopes.append(request.scope)
            self._runs.setdefault(run, _Followed(percent))

    def scopes(self, account: Account, engine: str) -> Sequence[str]:
        """Where in the ``account`` the ``engine`` has runs that are followed, in the order in which they came."""
        return self._scopes.get((account.account_id, account.region, engine), [])

    def percent_of(self, run: str, now: float) -> float | None:
        """How far a ``run`` that is followed was a minute ago at most; None where that cannot be read. The run itself
        does not depend on it."""
        followed = self._runs.get(run)
        if followed is None:
            return None
        if now - followed.looked_at >= PERCENT_GAP:
            followed.looked_at = now
            with suppress(FerryError, sdk.ClientError, sdk.BotoCoreError):
                followed.percent = followed.look()
        return followed.percent

    def take(self, place: str, table: str, needs: Mapping[str, int], most: Mapping[str, int]) -> bool:
        """Whether a run of ``table`` (an ARN), which ``needs`` that much of each part, has room in the ``place`` beside
        the others, which may have ``most`` at a time with it: then it has it until ``leave``. One alone always has."""
        with self._lock:
            taken = self._taken.setdefault(place, {})
            others = [each for name, each in taken.items() if name != table]
            if others and any(sum(each[part] for each in others) + needs[part] > most[part] for part in most):
                return False
            taken[table] = needs
            return True

    def leave(self, table: str) -> None:
        """The run of ``table``, if it had one, takes nothing any more."""
        with self._lock:
            for taken in self._taken.values():
                taken.pop(table, None)
