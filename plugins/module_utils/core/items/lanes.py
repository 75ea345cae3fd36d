# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many requests under way in one thread, since a round trip moves 25 items only."""

from __future__ import annotations

import heapq
import itertools
import selectors
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ..errors import FerryError, Interrupted, LeaseOver
from .client import Call, Client
from .kept_connections import KEPT
from .network_route import CONNECT_SECONDS, READ, WRITE, Distrusted
from .permit import FREE, TURN_SECONDS, Bounds
from .tables import Identity
from .transport import ANSWER_SECONDS, BrokenConnection, Connection

LOOK_SECONDS = 5.0  # between looks for requests that were never answered
LAST_ANSWERS_SECONDS = 10.0  # for which an interrupted run waits for the answers to what it sent


@dataclass(eq=False)
class _Flight:
    """A call under way, or waiting to be sent, and what its end is passed to."""

    client: Client
    call: Call
    done: Callable[[bytes], None]
    failed: Callable[[FerryError], None] | None
    identity: Identity | None = None
    again: Callable[[], bool] | None = None
    sent: float = 0.0


class Lanes:
    """Calls under way at once, each on a connection of its own, in one thread: no locks, no switching.

    The caller limits how many are under way, and calls ``turn`` to receive the answers.
    """

    def __init__(self, bounds: Bounds = FREE) -> None:
        self._look = bounds.look
        self._permit = bounds.permit
        self._longest = LOOK_SECONDS if bounds.look is None else TURN_SECONDS
        self._parent = bounds.parent
        self._selector = selectors.DefaultSelector()
        self._events: dict[Connection, int] = {}  # that the selector waits for
        self._flights: dict[Connection, _Flight] = {}
        self._idle: dict[Client, list[Connection]] = defaultdict(list)
        self._ahead: dict[Client, dict[Connection, None]] = defaultdict(dict)  # being made, and for no call yet
        self._clients: dict[Connection, Client] = {}  # of all that are open
        self._made: Counter[Client] = Counter()
        self._not_ahead: set[Client] = set()  # one could not be made: calls alone try, and say why
        self._later: list[tuple[float, int, _Flight]] = []
        self._numbers = itertools.count()
        self._doubted: dict[Identity, list[_Flight]] = {}
        self._looked = time.monotonic()
        if self._parent is not None:
            self._selector.register(self._parent, READ, self._parent)

    def submit(
        self,
        client: Client,
        call: Call,
        done: Callable[[bytes], None],
        failed: Callable[[FerryError], None] | None = None,
        delay: float = 0.0,
        identity: Identity | None = None,
        again: Callable[[], bool] | None = None,
    ) -> None:
        """Send ``call`` after ``delay`` seconds; ``turn`` passes the body of its answer to ``done``, and calls
        ``again`` each time that AWS throttled or failed: it will be sent again where that returns true.

        What Client.call raises is passed to ``failed``; without it, this method or ``turn`` raises it. With an
        ``identity`` the call is sent only to that very table: where that is in doubt, DescribeTable is asked first, and
        this method or ``turn`` raises TableVanished for another one.
        """
        self._send_after(_Flight(client, call, done, failed, identity, again), delay)

    def prepare(self, client: Client, connections: int) -> None:
        """Have so many ``connections`` for the calls of ``client``, made side by side before the calls come."""
        while self._made[client] < connections and client not in self._not_ahead:
            try:
                connection = self._connect(client)
            except (OSError, Distrusted):
                self._not_ahead.add(client)
                return
            if connection.opening:
                self._ahead[client][connection] = None
            else:
                self._idle[client].append(connection)

    def identify(self, client: Client, identity: Identity) -> None:
        """Ask now whether the table is still the same, so that calls need not wait for it. This method or ``turn``
        raises what ``submit`` says."""
        if identity.doubtful() and identity not in self._doubted:
            self._ask_identity(client, identity)

    def turn(self, longest: float) -> None:
        """Receive the answers that have arrived, waiting up to ``longest`` seconds for the first.

        Raises what the bounds' ``look`` does, and in a worker EOFError or OSError when its parent has gone.
        """
        if self._look is not None:
            self._look()
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._send(heapq.heappop(self._later)[2])
        until = self._later[0][0] - now if self._later else LOOK_SECONDS
        for key, _events in self._selector.select(max(0.0, min(longest, until, self._longest))):
            if self._parent is not None and key.data is self._parent:
                self._parent.hear()
            else:
                self._hear(key.data)
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._give_up_silent()

    def finish(self) -> None:
        """Send nothing more, and receive the answers to what changes something, as long as an interrupted run waits.

        What else comes of them, such as items to be sent again, is dropped.
        """
        end = time.monotonic() + LAST_ANSWERS_SECONDS
        self._later.clear()
        for connection in [each for each in self._clients if each.opening]:
            self._drop(connection)
        while any(flight.call.attempt is not None for flight in self._flights.values()):
            left = end - time.monotonic()
            if left <= 0.0:
                return
            for key, _events in self._selector.select(min(left, TURN_SECONDS)):
                if self._parent is not None and key.data is self._parent:
                    self._parent.hear()
                    continue
                with suppress(Interrupted):
                    self._hear(key.data)

    def close(self) -> None:
        """Give back the connections that wait for a call and close the others; calls under way are dropped."""
        self._selector.close()
        for client, idle in self._idle.items():
            for connection in idle:
                del self._clients[connection]
                client.give_back(connection)
        for connection in self._clients:
            connection.close()
        for flight in self._flights.values():
            flight.client.abandon(flight.call)
        for kept in (self._flights, self._idle, self._ahead, self._clients):
            kept.clear()

    def _send_after(self, flight: _Flight, delay: float) -> None:
        if delay > 0.0:
            heapq.heappush(self._later, (time.monotonic() + delay, next(self._numbers), flight))
        else:
            self._send(flight)

    def _send(self, flight: _Flight) -> None:
        if flight.identity is not None and flight.identity.doubtful():
            self._identify(flight.identity, flight)
            return
        idle, ahead = self._idle[flight.client], self._ahead[flight.client]
        if idle:
            self._send_by(idle.pop(), flight)
            return
        if ahead:
            connection = next(iter(ahead))
            del ahead[connection]
        else:
            try:
                connection = self._connect(flight.client)
            except (OSError, Distrusted) as error:
                self._broke(flight, error)
                return
        if connection.opening:
            self._flights[connection] = flight
        else:
            self._send_by(connection, flight)

    def _connect(self, client: Client) -> Connection:
        """A connection that was kept, or one on its way. Raises OSError, Distrusted."""
        connection = client.connect(waiting=False)
        self._events[connection] = events = connection.events
        self._selector.register(connection, events, connection)
        self._clients[connection] = client
        self._made[client] += 1
        return connection

    def _send_by(self, connection: Connection, flight: _Flight) -> None:
        """Send it now, signed now, by a connection that is ready."""
        self._flights[connection] = flight
        flight.sent = time.monotonic()
        try:
            connection.send(flight.client.request(flight.call), flight.call.body)
        except LeaseOver as error:  # nothing was sent
            self._set_idle(connection, flight.client)
            self._broke(flight, error)
        except (OSError, BrokenConnection) as error:
            self._drop(connection)
            self._broke(flight, error)
        except BaseException:
            self._drop(connection)
            raise
        else:
            self._listen(connection)

    def _set_idle(self, connection: Connection, client: Client) -> None:
        del self._flights[connection]
        self._idle[client].append(connection)

    def _listen(self, connection: Connection) -> None:
        """Listen for what it waits for now."""
        events = connection.events
        if self._events[connection] != events:
            self._selector.modify(connection, events, connection)
            self._events[connection] = events

    def _identify(self, identity: Identity, flight: _Flight) -> None:
        """Ask whether the table is still the same, once for all calls that wait for it."""
        if identity in self._doubted:
            self._doubted[identity].append(flight)
            return
        self._ask_identity(flight.client, identity, flight)

    def _ask_identity(self, client: Client, identity: Identity, *waiting: _Flight) -> None:
        self._doubted[identity] = list(waiting)

        def known(body: bytes) -> None:
            identity.recognize(body)
            for each in self._doubted.pop(identity):
                self._send(each)

        def failed(error: FerryError) -> None:
            raise identity.explain(error) from error

        self._send(_Flight(client, identity.request(), known, failed))

    def _open_ahead(self, connection: Connection) -> None:
        """Go on with a connection that is being made for no call yet."""
        client = self._clients[connection]
        try:
            ready = connection.open()
        except (OSError, Distrusted):
            self._drop(connection)
            self._not_ahead.add(client)
            return
        self._listen(connection)
        if ready:
            del self._ahead[client][connection]
            self._idle[client].append(connection)

    def _open(self, connection: Connection, flight: _Flight) -> None:
        """Go on with a connection that is being made for ``flight``."""
        try:
            ready = connection.open()
        except (OSError, Distrusted) as error:
            self._drop(connection)
            self._broke(flight, error)
            return
        self._listen(connection)
        if ready:
            self._set_idle(connection, flight.client)
            self._send(flight)  # by this one, unless it has become doubtful whether the table is still the same

    def _hear(self, connection: Connection) -> None:
        if connection.closed:  # since its event came, by that of another connection in the same turn
            return
        flight = self._flights.get(connection)
        if flight is None:
            if connection.opening:
                self._open_ahead(connection)
            elif not connection.quiet():  # it was idle, and the server has closed it
                self._drop(connection)
            return
        if connection.opening:
            self._open(connection, flight)
            return
        was = connection.events
        if was & WRITE and not self._may_go_on(connection, flight):
            return
        try:
            answer = connection.advance()
        except BrokenConnection as error:
            self._drop(connection)
            self._broke(flight, error)
            return
        if connection.events != was:
            self._listen(connection)
        if answer is None:
            return
        if connection.reusable:
            self._set_idle(connection, flight.client)
        else:
            self._drop(connection)
        try:
            outcome = flight.client.judge(flight.call, answer)
        except FerryError as error:
            self._fail(flight, error)
            return
        if isinstance(outcome, bytes):
            flight.done(outcome)
            return
        if outcome and flight.again is not None and not flight.again():
            return
        self._send_after(flight, outcome)

    def _may_go_on(self, connection: Connection, flight: _Flight) -> bool:
        """Whether the rest of a request may be sent. Its beginning was sent within the lease, and the process may have
        been stopped since, as its parent was killed and the next run began. Raises what ``look`` does, and in a worker
        what ``hear`` does; not Interrupted: what has been begun is sent then, as its answer is waited for."""
        if flight.call.attempt is None or self._permit is None:
            return True
        if self._parent is not None:
            self._parent.hear()
        if self._look is not None:
            with suppress(Interrupted):
                self._look()
        if self._permit.stopped or self._permit.left() > 0.0:
            return True
        self._drop(connection)
        over = LeaseOver(
            "The rest of a request was not sent: the run's lease is over and was not renewed.",
            "Run again: the copy continues.",
            table=flight.call.table,
        )
        self._broke(flight, over)
        return False

    def _broke(self, flight: _Flight, error: Exception) -> None:
        try:
            delay = flight.client.forgive(flight.call, error)
        except FerryError as given_up:
            self._fail(flight, given_up)
        else:
            self._send_after(flight, delay)

    @staticmethod
    def _fail(flight: _Flight, error: FerryError) -> None:
        if flight.failed is None:
            raise error
        flight.failed(error)

    def _drop(self, connection: Connection) -> None:
        """Close and forget a connection."""
        self._flights.pop(connection, None)
        client = self._clients.pop(connection)
        self._made[client] -= 1
        self._ahead[client].pop(connection, None)
        idle = self._idle[client]
        if connection in idle:
            idle.remove(connection)
        self._selector.unregister(connection)
        del self._events[connection]
        connection.close()

    def _give_up_silent(self) -> None:
        self._looked = now = time.monotonic()
        KEPT.close_old()
        for connection, flight in list(self._flights.items()):
            longest = CONNECT_SECONDS if connection.opening else ANSWER_SECONDS
            if now - max(flight.sent, connection.heard) > longest:
                reason = f"no {'connection' if connection.opening else 'answer'} for {longest:.0f} seconds"
                self._drop(connection)
                self._broke(flight, BrokenConnection(reason))
        for connection in [each for ahead in self._ahead.values() for each in ahead]:
            if now - connection.heard > CONNECT_SECONDS:
                self._not_ahead.add(self._clients[connection])
                self._drop(connection)
