# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A log of the calls to AWS of a run, for looking into faults: who was asked for what and how it went, never with what.

A file of JSON lines that all processes of a run append to. Each attempt of a call has a line when it is sent and
another one when it is answered, so that what was under way when a process was killed is known too.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..errors import InvalidInput

NO_ANSWER = 0  # the status of a call whose connection failed
_SENT, _TABLE = "tableferry_sent", "tableferry_table"  # in the context of botocore's requests
# Where the parameters of a call name the table that it is about.
_NAMES = ("TableName", "TargetTableName")
_ARNS = ("TableArn", "ResourceArn", "ResourceId", "SourceResourceArn", "resourceArn")


@dataclass(frozen=True)
class CallLog:
    """The log at ``path`` of the calls to the account of ``side``. It is no fault of a run when a line cannot be
    written later on, as when the disk is full."""

    path: str
    side: str

    def require_writable(self) -> None:
        """Make the file, which only its owner may read. Raises InvalidInput where that is not possible."""
        try:
            os.makedirs(os.path.dirname(self.path) or ".", mode=0o700, exist_ok=True)
            os.close(self._open())
        except OSError as error:
            raise InvalidInput(
                f"The log of calls {self.path} cannot be written: {error.strerror or error}.",
                "Give a place that can be written, or leave the log out: in playbooks it is in the report's folder.",
            ) from error

    def sent(self, service: str, operation: str, region: str, table: str) -> SentCall:
        """Note that a call is sent now; ``table`` is "" where it is about none."""
        about = {"side": self.side, "region": region, "service": service, "operation": operation, "table": table}
        call = SentCall(self, secrets.token_hex(6), about, time.monotonic())
        self._write({"event": "sent", "call": call.number, **about})
        return call

    def _write(self, line: Mapping[str, Any]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with suppress(OSError):
            handle = self._open()
            try:
                # Appended at once, so that lines of several processes stay whole.
                os.write(handle, f"{json.dumps({'time': now, **line})}\n".encode())
            finally:
                os.close(handle)

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


@dataclass(frozen=True)
class SentCall:
    """A call that is under way."""

    log: CallLog
    number: str
    about: Mapping[str, str]
    began: float

    def answered(self, status: int, request_id: str = "", error: str = "") -> None:
        """Note the answer: HTTP status, AWS's id of the request, and the code of an error. NO_ANSWER for none."""
        took = round((time.monotonic() - self.began) * 1000)
        ended = {"status": status, "error": error, "request_id": request_id, "milliseconds": took}
        self.log._write({"event": "answered", "call": self.number, **self.about, **ended})


def at(path: str, side: str) -> CallLog | None:
    """The log at ``path``, None for ""."""
    return CallLog(path, side) if path else None


def begun(path: str, side: str) -> CallLog | None:
    """As ``at``, once it was made sure that it can be written. Raises InvalidInput."""
    log = at(path, side)
    if log is not None:
        log.require_writable()
    return log


def watch(log: CallLog | None, client: Any) -> None:
    """Note in ``log``, where there is one, what botocore's ``client`` sends from now on, each attempt by itself."""
    if log is None:
        return
    service, region = client.meta.service_model.service_name, client.meta.region_name

    def name_table(params: Any, context: dict[str, Any], **_event: Any) -> None:
        context[_TABLE] = table_in(params) if isinstance(params, Mapping) else ""

    def send(request: Any, operation_name: str, **_event: Any) -> None:
        context = request.context
        context[_SENT] = log.sent(service, operation_name, region, str(context.get(_TABLE, "")))

    def receive(
        response_dict: Mapping[str, Any] | None = None,
        parsed_response: Mapping[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        exception: BaseException | None = None,
        **_event: Any,
    ) -> None:
        call: SentCall | None = (context or {}).pop(_SENT, None)
        if call is None:
            return
        parsed = parsed_response or {}
        status = int((response_dict or {}).get("status_code", NO_ANSWER))
        code = str(parsed.get("Error", {}).get("Code", "")) or (type(exception).__name__ if exception else "")
        call.answered(status, str(parsed.get("ResponseMetadata", {}).get("RequestId", "")), code)

    handlers: tuple[tuple[str, Callable[..., None]], ...] = (
        ("before-parameter-build", name_table),
        ("request-created", send),
        ("response-received", receive),
    )
    for event, handler in handlers:
        client.meta.events.register_first(event, handler)


def table_in(params: Mapping[str, Any]) -> str:
    """The name of the table that a call with ``params`` is about, "" for none; several are joined by commas."""
    for name in _NAMES:
        if params.get(name):
            return _short(str(params[name]))
    for name in _ARNS:
        if "table/" in str(params.get(name, "")):
            return _short(str(params[name]))
    inner = params.get("TableCreationParameters")
    if isinstance(inner, Mapping):
        return table_in(inner)
    requests = params.get("RequestItems")
    return ",".join(_short(str(name)) for name in requests) if isinstance(requests, Mapping) else ""


def _short(table: str) -> str:
    """The name of a table in an ARN or another id that has it; the name itself as it is."""
    return table.partition("table/")[2].partition("/")[0] or table
