# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab in the process of the test: clients that call its services without HTTP, under a clock that tests turn.

Every call can be cut: a test's ``interrupt`` is asked before and after each one. Time stands still between the calls,
so that no test depends on the machine's speed. This is the only file of the tests that knows how the lab is called.
"""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.parse import urlencode

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.model import OperationModel, Shape
from botocore.paginate import Paginator
from botocore.parsers import ResponseParserFactory
from botocore.response import StreamingBody
from botocore.serialize import create_serializer
from botocore.session import Session
from botocore.utils import parse_timestamp

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from lab import protocol
from lab.assembly import build_world
from lab.errors import AwsError
from lab.landscape import REGION, settle
from lab.messages import HttpRequest
from lab.partitions import partition_of
from lab.world import Context, is_mutating
from tests.unit.on_lab.arguments import check_arguments

AGE = 3 * 86400.0  # of tables with which tests begin
_SERIALIZER = create_serializer("rest-xml")
_PARSERS = ResponseParserFactory()
_PARSERS.set_parser_defaults(timestamp_parser=lru_cache(parse_timestamp))  # time stands still: the same ones come often
_PARSER = _PARSERS.create_parser("rest-xml")


class _Headers(dict[str, str]):
    """Headers in lower case, looked up in any: for each member of an answer botocore asks, most of which are not."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in headers.items()})

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())


class Killed(BaseException):
    """The controller dies here."""


def failure(code: str, message: str = "said AWS", operation: str = "Call", status: int = 400) -> ClientError:
    """An error as botocore raises it."""
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)  # type: ignore[arg-type]


class InProcess:
    """A lab of one test, with what its clients were asked.

    ``interrupt(moment, operation, number)`` is called ``before`` and ``after`` each call and may raise; ``asked`` are
    the parameters of that call. ``edit(operation, answer)`` may change an answer on its way. ``page``, where it is
    set, is the most that a page of a list holds, whatever the caller asks for. The world's clock begins ``ago``
    seconds before that of the machine, less the ``AGE`` of what tests begin with.
    """

    def __init__(self, ago: float = 0.0, region: str = REGION, **timings: float) -> None:
        self.world = build_world(scale=1.0, ticks=False)
        clock = self.world.clock
        self._began = int(time.time()) - ago - AGE + 0.25  # no whole second, where rounding would not show
        clock.now = lambda: self._began + clock.offset  # type: ignore[method-assign]
        for name, seconds in timings.items():
            self.world.timings.set(name.replace("__", "."), seconds)
        self.landscape = settle(self.world, region)
        self.region, self.partition = region, partition_of(region)
        self.calls: list[tuple[str, str]] = []
        self.asked: Mapping[str, Any] = {}
        self.interrupt: Callable[[str, str, int], None] = lambda moment, operation, number: None
        self.edit: Callable[[str, dict[str, Any]], None] = lambda operation, answer: None
        self.page = 0
        self._open.append(self)

    _open: ClassVar[list[InProcess]] = []

    def close(self) -> None:
        """End the world."""
        self._open.remove(self)
        self.world.close()

    @classmethod
    def close_all(cls) -> None:
        """End every world that is still there."""
        for each in tuple(cls._open):
            each.close()

    @property
    def now(self) -> datetime:
        """The world's time."""
        return datetime.fromtimestamp(self.world.clock.now(), UTC)

    @property
    def clock(self) -> float:
        """Seconds of the world's time, for waiters."""
        return self.world.clock.now()

    def sleep(self, seconds: float) -> None:
        """Turn the world's clock."""
        self.world.advance(max(seconds, 0.001))

    def count(self, operation: str) -> int:
        """How often ``operation`` was called."""
        return sum(called == operation for _account, called in self.calls)

    def mutating(self) -> list[str]:
        """The operations called that change anything."""
        return [operation for _account, operation in self.calls if is_mutating(operation)]

    def jobs(self, kind: str) -> list[Any]:
        """The jobs that AWS bills: ``export``, ``import``, ``backup``, ``copy`` or ``restore``."""
        return self.world.request_log.jobs(kind)

    def account(self, name: str, side: str = "") -> InProcessAccount:
        """The account ``source``, ``destination``, ``management`` or ``outside`` as one of the product's."""
        return InProcessAccount(self, name, side or name)

    def client(self, service: str, who: str = "source", region: str = "", **_config: Any) -> Client:
        """A client of the account's administrator, as of ``lab.client``: neither counted nor interrupted."""
        credential = self.world.identity.credential(self.landscape["accounts"][who]["access_key"])
        return Client(self, credential.caller, service, region or self.region, watched=False)

    def advance(self, seconds: float) -> None:
        """Move the world's time forward."""
        self.world.advance(seconds)


class InProcessAccount(Account):
    """An account of the product's whose clients are in process; its principal is the role ``ferry``, where it is."""

    def __init__(self, aws: InProcess, name: str, side: str) -> None:
        keys = aws.landscape["accounts"][name]
        self.aws, self.side, self.region, self.partition = aws, side, aws.region, "aws"  # type: ignore[assignment]
        self.spec = AccountSpec(side, aws.region, role_arn=keys.get("role_arn", ""), account_id=keys["account_id"])  # type: ignore[arg-type]
        role = aws.world.identity.role_by_arn(self.spec.role_arn)
        key = aws.world.identity.credential(keys["access_key"])
        self._caller = aws.world.identity.role_caller(role, "test") if role else key.caller

    def sleep(self, seconds: float) -> None:
        """The world's time goes on."""
        self.aws.sleep(seconds)

    def client(self, service: str, region: str | None = None, *, retries: int = 8) -> Client:
        """A client, made at once."""
        self.note_date(formatdate(self.aws.clock, usegmt=True))  # as each answer would
        return Client(self.aws, self._caller, service, region or self.region)

    def own_client(self, service: str, **_config: Any) -> Client:
        """Another one: each is its user's alone."""
        return self.client(service)


class Client:
    """A client as boto3 makes them: keyword arguments checked by the model, answers and errors in its shapes.

    ``checks`` is False where the same calls are made so often that the model's check of their arguments costs too much.
    """

    checks: ClassVar[bool] = True

    def __init__(self, aws: InProcess, caller: Any, service: str, region: str, watched: bool = True) -> None:
        self._aws, self._caller, self._service, self._region, self._watched = aws, caller, service, region, watched
        self.meta = SimpleNamespace(service_model=protocol.service_model(service))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = _operations(self._service)[name]

        def call(**params: Any) -> Any:
            if self.checks:
                check_arguments(params, operation)
            return self._watch(operation, params) if self._watched else self._answer(operation, params)

        return call

    def close(self) -> None:
        """There are no connections."""

    def get_paginator(self, name: str) -> Paginator:
        """boto3's paginator of the method ``name``."""
        operation = _operations(self._service)[name]
        return Paginator(getattr(self, name), _pages(self._service)[operation.name], operation)

    def _watch(self, operation: OperationModel, params: dict[str, Any]) -> Any:
        aws = self._aws
        for limit in ("MaxResults", "MaxKeys", "PageSize", "maxResults"):
            if aws.page and operation.input_shape and limit in operation.input_shape.members:
                params[limit] = min(params.get(limit, aws.page), aws.page)
        with aws.world.lock:
            aws.calls.append((self._caller.account_id, operation.name))
            number, aws.asked = len(aws.calls), params
            aws.interrupt("before", operation.name, number)
            try:
                answer = self._answer(operation, params)
                aws.edit(operation.name, answer)
            finally:
                aws.interrupt("after", operation.name, number)
        return answer

    def _answer(self, operation: OperationModel, params: dict[str, Any]) -> Any:
        """What the lab's gate does with a request, without the request."""
        world, service = self._aws.world, self._aws.world.services[self._service]
        world.tick()
        context = Context(world, self._caller, self._region, self._service, operation.name, protocol.request_id())
        try:
            if hasattr(service, "handle_http"):
                return _over_http(service, context, operation, params)
            validates = getattr(service, "validates", None)
            request = HttpRequest("POST", "/", "", {}, json.dumps(params, default=_to_wire).encode())
            parsed = protocol.parse(request, operation, "json", validate=validates is None or validates(operation.name))
            with nullcontext() if operation.name in service.locks_itself else world.lock:
                for needed in service.authorization(context, operation.name, parsed):
                    world.require(self._caller, needed, self._region)
                answer = service.handle(context, operation.name, parsed)
        except AwsError as refused:
            response = failure(refused.code, refused.message, status=refused.status).response
            raise ClientError({**response, **refused.members}, operation.name) from None
        content = json.loads(answer) if isinstance(answer, bytes) else answer
        shape = operation.output_shape
        headers = {"date": formatdate(world.clock.now(), usegmt=True)}
        metadata = {"HTTPStatusCode": 200, "RequestId": context.request_id, "HTTPHeaders": headers}
        return {**(_from_wire(shape, content or {}) if shape else {}), "ResponseMetadata": metadata}


@lru_cache
def _operations(service: str) -> dict[str, OperationModel]:
    model: Any = protocol.service_model(service)
    return {xform_name(name): model.operation_model(name) for name in model.operation_names}


@lru_cache
def _pages(service: str) -> dict[str, Any]:
    loader: Any = Session().get_component("data_loader")
    return loader.load_service_model(service, "paginators-1")["pagination"]  # type: ignore[no-any-return]


def _to_wire(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    return base64.b64encode(value).decode()


def _from_wire(shape: Shape, value: Any) -> Any:
    """``value`` as boto3 answers it: a copy, with times and bytes for what the lab writes as numbers and text."""
    kind, known = shape.type_name, shape
    if value is None:
        return None
    if kind == "structure":
        members: Any = known.members  # type: ignore[attr-defined]
        return {
            name: _from_wire(members[name], each)
            for name, each in value.items()
            if name in members and each is not None
        }
    if kind == "list":
        return [_from_wire(known.member, each) for each in value]  # type: ignore[attr-defined]
    if kind == "map":
        return {name: _from_wire(known.value, each) for name, each in value.items()}  # type: ignore[attr-defined]
    if kind == "timestamp" and not isinstance(value, datetime):
        return datetime.fromtimestamp(value, UTC)
    if kind == "blob" and isinstance(value, str):
        return base64.b64decode(value)
    return value


def _over_http(service: Any, context: Context, operation: OperationModel, params: dict[str, Any]) -> dict[str, Any]:
    """The answer of a service that speaks in requests only, S3."""
    sent = _SERIALIZER.serialize_to_request(params, operation)
    headers = {name.lower(): str(value) for name, value in sent["headers"].items()}
    path, _, query = sent["url_path"].partition("?")
    query = "&".join(filter(None, (query, urlencode(sent["query_string"]))))
    request = HttpRequest(sent["method"], path, query, headers, bytes(sent["body"]))
    try:
        response = service.handle_http(context, request)
    except AwsError as refused:
        if request.method == "HEAD":  # whose answers have no body: an SDK knows the status only
            raise AwsError(str(refused.status), HTTPStatus(refused.status).phrase, refused.status) from None
        raise
    body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    streams = operation.has_streaming_output and response.status < 300
    answer = {
        "status_code": response.status,
        "headers": _Headers({**response.headers, "Date": formatdate(context.world.clock.now(), usegmt=True)}),
        "body": StreamingBody(io.BytesIO(body), len(body)) if streams else body,  # type: ignore[arg-type]
    }
    parsed: dict[str, Any] = _PARSER.parse(answer, operation.output_shape)
    if response.status >= 300:
        raise ClientError(parsed, operation.name)  # type: ignore[arg-type]
    return parsed
