# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controllers that take turns: one at a time runs, and which one is next is drawn. Nobody sleeps but in the world."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable

from tests.unit.on_lab.in_process import Killed
from tests.unit.on_lab.staged import Staged


class Actor:
    """One process. Its ``work`` runs in a thread of its own, whenever it is its turn."""

    def __init__(self, name: str, wake: float) -> None:
        self.name = name
        self.wake = wake
        self.killed = False
        self.over = False
        self.turn = threading.Lock()
        self.turn.acquire()


class Turns:
    """Lets actors take turns: see the module. ``limit`` is the most seconds of the world that they may take.

    Who gives up the turn chooses the next one, so that an actor which is alone goes on in its own thread at once.
    """

    def __init__(self, aws: Staged, chance: random.Random, limit: float) -> None:
        self._aws = aws
        self._chance = chance
        self._limit = limit
        self._end = math.inf
        self._actors: list[Actor] = []
        self._over = threading.Lock()
        self._over.acquire()
        self._error: BaseException | None = None

    def add(self, actor: Actor, work: Callable[[], None]) -> None:
        """A new actor, which begins at its ``wake``."""

        def run() -> None:
            actor.turn.acquire()
            try:
                work()
            except Killed:
                pass
            except BaseException as error:
                self._error = error
            actor.over = True
            self._give(self._next())

        self._actors.append(actor)
        threading.Thread(target=run, name=actor.name, daemon=True).start()

    def sleep(self, actor: Actor, seconds: float) -> None:
        """``actor`` goes on ``seconds`` later; others may come first. Raises Killed where it was killed meanwhile."""
        actor.wake = self._aws.clock + seconds
        following = self._next()
        if following is not actor:
            self._give(following)
            actor.turn.acquire()
        if actor.killed:
            raise Killed(actor.name)

    def others(self, actor: Actor) -> bool:
        """Whether another one could come first."""
        now = self._aws.clock
        return any(other is not actor and not other.over and other.wake <= now for other in self._actors)

    def play(self) -> None:
        """Until all have ended. Raises what one of them raised that was no end of its own."""
        self._end = self._aws.clock + self._limit
        self._give(self._next())
        self._over.acquire()
        if self._error is not None:
            raise self._error

    def _give(self, actor: Actor | None) -> None:
        (self._over if actor is None else actor.turn).release()

    def _next(self) -> Actor | None:
        """Whose turn it is, the world's clock being turned to it; None when all is over."""
        while self._error is None and (alive := [actor for actor in self._actors if not actor.over]):
            now = self._aws.clock
            ready = [actor for actor in alive if actor.wake <= now]
            if not ready:
                self._aws.sleep(min(actor.wake for actor in alive) - now)
            elif now > self._end:
                names = ", ".join(actor.name for actor in alive)
                self._error = TimeoutError(f"{names}: no end after {self._limit:g} s")
            else:
                return self._chance.choice(ready)
        return None
