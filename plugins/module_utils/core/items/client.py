# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to DynamoDB as bytes: signed, retried, their errors explained.

With 25 items to a request the request is the cost, not the item: a bare socket carries four times the items per
CPU-second that urllib3 does (design section 7). ``Endpoint`` says where and as whom; ``Client.call`` sends one request
and waits for its answer; ``lanes`` keeps many under way.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import urlsplit

from .. import aws_errors
from ..errors import (
    AccessDenied,
    CredentialsError,
    EndpointUnreachable,
    FerryError,
    InvalidInput,
    KeepsFailing,
    LeaseOver,
    MissingTable,
    ServiceError,
)
from .kept_connections import KEPT
from .network_route import Distrusted, NetworkRoute
from .permit import CHANGING, FREE, Bounds, pause
from .transport import CONTENT_TYPE, Answer, BrokenConnection, Connection, Signer, SigningKeys

CREDENTIALS_SECONDS = 60.0  # how long credentials are kept before the caller is asked again
HELD_SECONDS = 0.5  # between looks whether a lease that is over was renewed
SKEW_SECONDS = 120.0  # a clock that is off by less does not explain a rejected signature
_MAYBE_CLOCK = aws_errors.BAD_SIGNATURES | aws_errors.EXPIRED  # what AWS answers when our clock is off


class Noted(Protocol):
    """A request that was noted when it was sent."""

    def answered(self, status: int, request_id: str, error: str) -> None:
        """Note how it ended: HTTP status (0 without an answer), AWS's id of the request, and the code of an error."""


class Notes(Protocol):
    """Where requests are noted. It can be pickled: workers note theirs there too."""

    def sent(self, service: str, operation: str, region: str, table: str) -> Noted:
        """Note that a request is sent now."""


@dataclass(frozen=True)
class Endpoint:
    """Where requests go and with whose credentials.

    ``url`` is ``https://dynamodb.<region>.amazonaws.com`` or another server's. ``credentials`` returns keys that are
    valid now and is called again every minute: refreshing them is up to the caller. When AWS says that they have
    expired, ``renewed``, where given, is called at once for new ones. ``side`` names the account in messages
    (``source``). ``ca_bundle`` is the file of certificates to trust, "" for those that the environment names.
    ``log`` is where the requests are noted, None for nowhere.
    """

    url: str
    region: str
    credentials: Callable[[], SigningKeys] = field(repr=False)
    side: str = ""
    renewed: Callable[[], SigningKeys] | None = field(default=None, repr=False)
    ca_bundle: str = ""
    log: Notes | None = None

    @property
    def account(self) -> str:
        """The account, for messages."""
        return f"the {self.side} account" if self.side else self.url


@dataclass(frozen=True)
class RetryPolicy:
    """How requests are sent again after errors that pass.

    The wait is random, up to ``first`` seconds, doubled each time up to ``longest`` (full jitter). It ends when nothing
    has succeeded for ``seconds``, or for ``connecting`` seconds where the endpoint has never answered.
    """

    first: float = 0.05
    longest: float = 20.0
    seconds: float = 600.0
    connecting: float = 30.0

    def pause(self, failures: int) -> float:
        """Seconds to wait after ``failures`` failures in a row."""
        return random.uniform(0.0, min(self.longest, self.first * 2.0 ** min(failures, 30)))


@dataclass
class Retries:
    """How many requests were sent again: after throttling, errors of the service, broken connections or answers."""

    throttled: int = 0
    failed: int = 0
    broken: int = 0


@dataclass(eq=False)
class Call:
    """One request about ``table`` and the state of its attempts."""

    operation: str
    body: bytes
    table: str
    failures: int = 0
    failing_since: float = 0.0
    renewed: bool = False
    clock_corrected: bool = False
    credentials: SigningKeys | None = None
    held_since: float = 0.0
    attempt: Any = None  # the permit's, while there is no answer
    logged: Noted | None = None  # while there is no answer
    request_id: str = ""  # of the newest answer
    lost_at: float = -math.inf  # when an attempt had no answer, or failed, last: AWS may still carry it out


class Client:
    """Sends requests to one endpoint. For one thread."""

    def __init__(self, endpoint: Endpoint, retry_policy: RetryPolicy | None = None, bounds: Bounds = FREE) -> None:
        """Raises InvalidInput for a malformed URL."""
        self._permit = bounds.permit
        self._look = bounds.look
        self.endpoint = endpoint
        self.retry_policy = retry_policy or RetryPolicy()
        self.retries = Retries()
        self._host, self._port, self._secure, path = _parts(endpoint.url)
        host = f"[{self._host}]" if ":" in self._host else self._host
        named = host if self._port == (443 if self._secure else 80) else f"{host}:{self._port}"
        self._signer = Signer(named, path, endpoint.region)
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {named}\r\nUser-Agent: tableferry\r\n"
            f"Accept-Encoding: identity\r\nContent-Type: {CONTENT_TYPE}\r\n"
        )
        self._idle: Connection | None = None
        self._credentials: tuple[float, SigningKeys] | None = None
        self._skew = 0.0
        self._answered = False
        self._unreachable_since = 0.0  # the first failure of any call, while nothing was ever answered

    def call(self, operation: str, body: bytes, table: str) -> bytes:
        """The body of the answer to one request about ``table``, retried until it succeeds or fails for good.

        Raises MissingTable, AccessDenied, CredentialsError, EndpointUnreachable, KeepsFailing, ServiceError (all with
        ``code`` in their details), InvalidInput, and what the bounds' ``look`` does.
        """
        call = Call(operation, body, table)
        while True:
            try:
                outcome = self.judge(call, self._exchange(call))
            except (OSError, BrokenConnection, Distrusted, LeaseOver) as error:
                outcome = self.forgive(call, error)
            if isinstance(outcome, bytes):
                return outcome
            self.pause(outcome)

    def pause(self, seconds: float) -> None:
        """Sleep. Raises what the bounds' ``look`` does."""
        pause(seconds, self._look)

    def close(self) -> None:
        """Give back the connection that ``call`` keeps."""
        if self._idle is not None:
            self.give_back(self._idle)
            self._idle = None

    # The parts of a call

    def connect(self, *, waiting: bool) -> Connection:
        """A connection: one that was kept, or a new one. Raises OSError, Distrusted, InvalidInput."""
        return KEPT.take(self._route, waiting=waiting) or Connection(self._route, waiting=waiting)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection of ``connect`` that has no request under way for whoever needs one next."""
        KEPT.keep(self._route, connection)

    def request(self, call: Call) -> bytes:
        """The head of the request, signed now; to be sent at once, before the call's body. Raises LeaseOver."""
        call.credentials = credentials = self._keys()
        body = call.body
        now = time.time() + self._skew
        if self._permit is not None and call.operation in CHANGING:
            call.attempt = self._permit.leave(now, call.table)
            call.held_since = 0.0
        signed = self._signer.headers(credentials, call.operation, body, now)
        if self.endpoint.log is not None:
            call.logged = self.endpoint.log.sent("dynamodb", call.operation, self.endpoint.region, call.table)
        return f"{self._head}{signed}Content-Length: {len(body)}\r\n\r\n".encode("latin-1")

    def judge(self, call: Call, answer: Answer) -> bytes | float:
        """The body of the answer, or the seconds until the request is sent again. Raises what ``call`` does."""
        self._answered = True
        if call.attempt is not None:
            self._settle(call, answered=answer.status < 500)
        call.request_id = answer.headers.get(b"x-amzn-requestid", b"").decode("latin-1")
        if answer.status == 200:
            _note(call, answer.status)
            return answer.body
        code, message = _error_of(answer)
        _note(call, answer.status, code)
        if code in aws_errors.EXPIRED and not call.renewed:
            call.renewed = True
            if self._renew(call.credentials):
                return 0.0
        if code in _MAYBE_CLOCK and not call.clock_corrected and self._correct_clock(answer):
            call.clock_corrected = True
            return 0.0
        throttled = code in aws_errors.THROTTLES or answer.status == 429
        passes = code in aws_errors.SERVER_ERRORS | aws_errors.WRITE_CONFLICTS or answer.status >= 500
        if not throttled and not passes:
            raise self._explain(call, code, message)
        if throttled:
            self.retries.throttled += 1
        else:
            self.retries.failed += 1
            call.lost_at = time.monotonic()
        return self._again(call, code, aws_errors.reason(code, message, call.request_id))

    def forgive(self, call: Call, error: Exception) -> float:
        """The seconds to wait before a request is sent again whose connection broke and is closed, or that was not sent
        because the lease is over. Raises what ``call`` does."""
        self.abandon(call)
        if isinstance(error, LeaseOver):
            return self._held(call, error)
        call.request_id = ""
        if isinstance(error, Distrusted):
            raise EndpointUnreachable(
                f"The certificate of {self.endpoint.url} is not trusted: {error}.",
                "Set AWS_CA_BUNDLE to a file with the certificates of your proxy or endpoint.",
                table=call.table,
                details={"code": "CertificateError", "side": self.endpoint.side},
            ) from error
        call.lost_at = time.monotonic()
        if isinstance(error, BrokenConnection) and error.stale:
            return 0.0
        self.retries.broken += 1
        return self._again(call, "ConnectionError", str(error) or type(error).__name__)

    def abandon(self, call: Call) -> None:
        """Note that the connection of ``call`` is closed, whether it was answered or not."""
        _note(call, 0, "ConnectionError")
        if call.attempt is not None:
            self._settle(call, answered=False)

    def _settle(self, call: Call, *, answered: bool) -> None:
        attempt, call.attempt = call.attempt, None
        if self._permit is not None:
            (self._permit.answered if answered else self._permit.lost)(attempt)

    def _held(self, call: Call, error: LeaseOver) -> float:
        now = time.monotonic()
        call.held_since = call.held_since or now
        if now - call.held_since > self.retry_policy.seconds:
            raise error
        return HELD_SECONDS

    @cached_property
    def _route(self) -> NetworkRoute:
        return NetworkRoute.to(self._host, self._port, self._secure, self.endpoint.ca_bundle)

    def _exchange(self, call: Call) -> Answer:
        # Connecting may take long: a request is signed just before it is sent.
        connection = self._idle = self._idle or self.connect(waiting=True)
        head = self.request(call)
        self._idle = None
        connection.send(head, call.body)
        while (answer := connection.advance()) is None:
            pass
        if connection.reusable:
            self._idle = connection
        else:
            connection.close()
        return answer

    def _again(self, call: Call, code: str, reason: str) -> float:
        now = time.monotonic()
        call.failing_since = call.failing_since or now
        self._unreachable_since = self._unreachable_since or now
        seconds = now - (call.failing_since if self._answered else self._unreachable_since)
        if seconds > (self.retry_policy.seconds if self._answered else self.retry_policy.connecting):
            raise self._gave_up(call, code, reason, seconds)
        call.failures += 1
        return self.retry_policy.pause(call.failures)

    def _keys(self) -> SigningKeys:
        kept = self._credentials
        if kept is None or time.monotonic() - kept[0] > CREDENTIALS_SECONDS:
            kept = self._credentials = (time.monotonic(), self.endpoint.credentials())
        return kept[1]

    def _renew(self, expired: SigningKeys | None) -> bool:
        """Get credentials again, once for all calls that found them expired; False when they are the same."""
        if self._credentials is None or self._credentials[1] is expired:
            ask = self.endpoint.renewed or self.endpoint.credentials
            self._credentials = (time.monotonic(), ask())
        return expired is None or _values(self._credentials[1]) != _values(expired)

    def _correct_clock(self, answer: Answer) -> bool:
        """Sign with the server's time from now on when the local clock is off; False when it is not."""
        try:
            server_time = parsedate_to_datetime(answer.headers.get(b"date", b"").decode("latin-1")).timestamp()
        except ValueError:
            return False
        skew = server_time - time.time()
        if abs(skew - self._skew) < SKEW_SECONDS:
            return False
        self._skew = skew
        return True

    # Errors

    def _explain(self, call: Call, code: str, message: str) -> FerryError:
        refusal = aws_errors.sort_refusal(code, message, call.operation)
        details = {**self._details(call, code), **refusal.details}
        reason = aws_errors.reason(code, message, call.request_id)
        account = self.endpoint.account
        if code in aws_errors.BAD_CREDENTIALS:
            if code in aws_errors.SESSION_ENDED:  # they were asked for anew, and it is no better: nothing renews them
                details["refusal"] = "final"
            return CredentialsError(
                f"The credentials of {account} do not work: {reason}.",
                "Check the profile, keys or role. Temporary credentials may have expired.",
                table=call.table,
                details=details,
            )
        if code in aws_errors.DENIED:
            return AccessDenied(
                f"AWS denied {call.operation} in {account}: {reason}.",
                refusal.next_step or f"Allow dynamodb:{call.operation} on the table for this principal.",
                table=call.table,
                details=details,
            )
        if code == "ResourceNotFoundException":
            return MissingTable(
                f"{account[:1].upper()}{account[1:]} has no such table in {self.endpoint.region}, or it is not ready"
                f"{f' (request {call.request_id})' if call.request_id else ''}.",
                "Check the name, the account and the Region, and that the table is ACTIVE.",
                table=call.table,
                details=details,
            )
        return ServiceError(
            f"{call.operation} failed in {account} ({self.endpoint.region}): {reason}.",
            "Fix the cause AWS reports, then run again. Items already written stay.",
            table=call.table,
            details=details,
        )

    def _gave_up(self, call: Call, code: str, reason: str, seconds: float) -> FerryError:
        if code == "ConnectionError":
            return EndpointUnreachable(
                f"No complete answer from {self.endpoint.url} for {seconds:.0f} seconds: {reason}.",
                "Check the network, the proxy and the endpoint, then run again.",
                table=call.table,
                details=self._details(call, code),
            )
        return KeepsFailing(
            f"{call.operation} kept failing in {self.endpoint.account} for {seconds:.0f} seconds: {reason}.",
            "Give the table more capacity or set a lower rate, then run again."
            if code in aws_errors.THROTTLES
            else "Check the AWS Health Dashboard, then run again.",
            table=call.table,
            details=self._details(call, code),
        )

    def _details(self, call: Call, code: str) -> dict[str, str]:
        endpoint = self.endpoint
        details = {"code": code, "operation": call.operation, "side": endpoint.side, "region": endpoint.region}
        return {**details, **({"request_id": call.request_id} if call.request_id else {})}


def _note(call: Call, status: int, code: str = "") -> None:
    """Note the answer in the log, once for each attempt."""
    logged, call.logged = call.logged, None
    if logged is not None:
        logged.answered(status, call.request_id if status else "", code)


def _parts(url: str) -> tuple[str, int, bool, str]:
    """Host, port, whether TLS, and path of an endpoint's URL. Raises InvalidInput."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise InvalidInput(
            f"The endpoint URL {url!r} is malformed.", "Give a URL such as https://dynamodb.eu-west-1.amazonaws.com."
        )
    secure = parts.scheme == "https"
    return parts.hostname, port or (443 if secure else 80), secure, parts.path or "/"


def _values(credentials: SigningKeys) -> tuple[str, str, str]:
    return credentials.access_key, credentials.secret_key, credentials.session_token


def _error_of(answer: Answer) -> tuple[str, str]:
    """Code and message of an error; the code of one that is not in DynamoDB's form is ``HTTP <status>``."""
    try:
        error = json.loads(answer.body)
        code = str(error.get("__type") or error.get("code") or "").rsplit("#", 1)[-1]
        message = str(error.get("message") or error.get("Message") or "")
    except (ValueError, AttributeError):
        code, message = "", ""
    return code or f"HTTP {answer.status}", message
