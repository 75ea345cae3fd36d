# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one way into the lab: faults, signature, time, model, permission, work, request log, answer, in this order."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any

from lab import control, encoding, protocol, signature
from lab.clock import Moment
from lab.errors import AwsError, ConnectionDropped
from lab.faults import GATE_KINDS, Fault
from lab.identity import Credential
from lab.messages import HttpRequest, HttpResponse
from lab.policy import request_tags
from lab.request_log import Entry, is_mutating
from lab.rules import rule
from lab.signature import Dialect, Scope
from lab.world import Context, Service, World

DATED = rule(
    "answers-are-dated",
    service="protocol",
    says="Every answer, refusals too, carries the service's time in whole seconds as Date header",
    fact="RFC 9110 section 6.6.1; ScyllaDB's tests, which run on AWS: alternator/test_http_headers.py",
    test="test_server.py::test_every_answer_is_dated",
)
SERVER_NAMED = rule(
    "answers-name-the-server",
    service="protocol",
    says="DynamoDB has a Server header (its value is a guess), S3 says AmazonS3; the lab's other services have none",
    fact="ScyllaDB's tests, which run on AWS: alternator/test_http_headers.py; AWS API reference s3, Common response "
    "headers",
    test="test_server.py::test_answers_name_the_server",
    confirmed=False,
)
KEY_DENIED = rule(
    "dynamodb-key-denied",
    service="dynamodb",
    says="Calls on a table whose KMS key the caller may not use are AccessDeniedException with KMS's error in its text",
    fact="aws/aws-cdk#10010 and #18616, users' reports",
    test="test_faults.py::test_faults_of_the_records_table",
)

_KMS_DENIED = (
    "KMS key access denied error: com.amazonaws.services.kms.model.AWSKMSException: The ciphertext refers to a "
    "customer master key that does not exist, does not exist in this region, or you are not allowed to access. "
    "(Service: AWSKMS; Status Code: 400; Error Code: AccessDeniedException; Request ID: {}; Proxy: null)"
)
_SERVER_NAMES: Mapping[str, str] = {"dynamodb": "Server", "dynamodbstreams": "Server", "s3": "AmazonS3"}
_INTERNAL = {
    "s3": "InternalError",
    "query": "InternalFailure",
    "json": "InternalServerError",
    "rest": "ServiceUnavailableException",
    "cbor": "InternalFailure",
}
_THROTTLED = {
    "s3": ("SlowDown", "Please reduce your request rate.", 503),
    "query": ("Throttling", "Rate exceeded", 400),
    "json": ("ThrottlingException", "Rate exceeded", 400),
    "rest": ("ThrottlingException", "Rate exceeded", 429),
    "cbor": ("ThrottlingException", "Rate exceeded", 400),
}
_ERROR_CODE = re.compile(rb'<Code>([^<]+)</Code>|"__type"\s*:\s*"(?:[^"#]*#)?([^"]+)"')


@dataclass(frozen=True, slots=True)
class _Call:
    """A request, and what it claims to be before anything is checked."""

    request: HttpRequest
    scope: Scope | None
    dialect: Dialect
    service: str
    operation: str
    account_id: str
    principal_arn: str
    request_id: str
    received: Moment

    @property
    def full_name(self) -> str:
        """``dynamodb.Scan``."""
        return f"{self.service}.{self.operation}"


class Gate:
    """Passes every request of the lab's server to its service and adds it to the request log."""

    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, request: HttpRequest) -> HttpResponse:
        """The response to ``request``; ConnectionDropped where a fault cuts the connection."""
        if request.path.startswith(control.PREFIX):
            return control.answer(self._world, request)
        call = self._identify(request)
        fault = self._fault(call)
        if fault is not None and fault.kind == "late":
            # Noted when it is executed: AWS has not seen it before.
            self._world.schedule(fault.seconds, lambda: self._noted(call, None))
            raise ConnectionDropped
        response = self._noted(call, fault)
        headers = {"Date": formatdate(self._world.clock.shown(), usegmt=True), **response.headers}
        if call.service in _SERVER_NAMES:
            headers["Server"] = _SERVER_NAMES[call.service]
        response = replace(response, headers=headers)
        if call.service in encoding.SERVICES:
            return encoding.packed(response, request.headers.get("accept-encoding", ""))
        return response

    def _noted(self, call: _Call, fault: Fault | None) -> HttpResponse:
        """The response to ``call``, which goes to the request log."""
        try:
            response = self._respond(call, fault)
            self._note(call, response.status, _code_of(response))
        except AwsError as failure:
            response = protocol.error(failure, call.service, call.operation, call.dialect, call.request_id)
            self._note(call, failure.status, failure.code)
        except ConnectionDropped:
            self._note(call, 599, "ConnectionDropped")
            raise
        except Exception as failure:
            # A fault of the lab itself: the caller sees what AWS would answer, the operator sees why.
            traceback.print_exc(file=sys.stderr)
            broken = AwsError(_INTERNAL[call.dialect], f"The lab failed: {failure!r}", 500, "server")
            response = protocol.error(broken, call.service, call.operation, call.dialect, call.request_id)
            self._note(call, broken.status, broken.code)
        return response

    def _identify(self, request: HttpRequest) -> _Call:
        scope = signature.scope_of(request)
        dialect = protocol.dialect_of(request, scope)
        service = protocol.service_of(request, scope)
        operation = protocol.operation_of(request, service, dialect)
        # The request log names the caller even where its signature is refused later; nothing is allowed by this.
        credential = self._world.identity.credential(scope.access_key_id) if scope is not None else None
        account, principal = (credential.caller.account_id, credential.caller.arn) if credential else ("", "")
        request_id, received = protocol.request_id(), self._world.clock.moment()
        return _Call(request, scope, dialect, service, operation, account, principal, request_id, received)

    def _respond(self, call: _Call, fault: Fault | None) -> HttpResponse:
        if fault is not None and fault.when == "before":
            self._strike(fault, call.dialect)
        try:
            response = self._work_signed(call)
        except AwsError:
            if fault is not None and fault.when == "after" and fault.kind in ("disconnect", "hold"):
                self._strike(fault, call.dialect)  # a refusal is lost or held like any answer
            raise
        if fault is not None and fault.when == "after":
            self._strike(fault, call.dialect)
        return response

    def _work_signed(self, call: _Call) -> HttpResponse:
        world = self._world
        if call.service in encoding.SERVICES:
            encoding.refuse_long(call.request)
        credential = signature.verify(
            call.request, call.scope, call.dialect, world.identity, world.clock, world.behaviours, call.received
        )
        world.tick()
        return self._serve(call, credential)

    def _strike(self, fault: Fault, dialect: Dialect) -> None:
        """Hold the call until ``fault`` is released, or raise the error of ``fault``."""
        if fault.kind == "hold":
            self._world.faults.wait_for_release(fault)
        else:
            _strike(fault, dialect)

    def _fault(self, call: _Call) -> Fault | None:
        faults = self._world.faults
        if not faults or not faults.concern(call.full_name, call.account_id):
            return None
        return faults.take(GATE_KINDS, call.full_name, _members(call), call.account_id)

    def _serve(self, call: _Call, credential: Credential) -> HttpResponse:
        assert call.scope is not None
        service = self._world.services.get(call.service)
        if service is None:
            raise AwsError("AccessDeniedException", f"The lab has no service {call.service}.", 403)
        context = Context(
            self._world,
            credential.caller,
            call.scope.region,
            call.service,
            call.operation,
            call.request_id,
            connection=call.request.connection,
        )
        lock = nullcontext() if call.operation in service.locks_itself else self._world.lock
        handle_http = getattr(service, "handle_http", None)
        if handle_http is not None:
            whole = signature.unwrap(call.request, call.scope, credential)
            with lock:
                return handle_http(context, whole)  # type: ignore[no-any-return]
        model = protocol.service_model(call.service)
        if model is None or call.operation not in model.operation_names:
            raise _unknown_operation(call.dialect, call.operation)
        operation = model.operation_model(call.operation)
        if (check := getattr(service, "before_shape", {}).get(call.operation)) is not None:
            check(_members(call))
        validates = getattr(service, "validates", None)
        params = protocol.parse(
            encoding.unpacked(call.request) if call.service in encoding.SERVICES else call.request,
            operation,
            call.dialect,
            validate=validates is None or validates(call.operation),
        )
        with lock:
            result = self._work(service, context, params)
        return protocol.answer(result, operation, call.dialect, call.request_id)

    def _work(self, service: Service, context: Context, params: dict[str, Any]) -> dict[str, Any] | bytes:
        tags = request_tags(params)
        for needed in service.authorization(context, context.operation, params):
            asked = replace(needed, conditions={**tags, **needed.conditions}) if tags else needed
            self._world.require(context.caller, asked, context.region)
        return service.handle(context, context.operation, params)

    def _note(self, call: _Call, status: int, error_code: str) -> None:
        self._world.request_log.add(
            Entry(
                self._world.clock.now(),
                call.account_id,
                call.scope.region if call.scope is not None else "",
                call.service,
                call.operation,
                is_mutating(call.operation),
                call.principal_arn,
                status,
                error_code,
                call.request_id,
                call.scope.time if call.scope is not None else "",
            )
        )


def _members(call: _Call) -> dict[str, Any]:
    """The members of the request before any validation."""
    request = encoding.readable(call.request) if call.service in encoding.SERVICES else call.request
    return protocol.loose_parameters(request, call.service, call.dialect)


def _unknown_operation(dialect: Dialect, operation: str) -> AwsError:
    if dialect == "query":
        return AwsError("InvalidAction", f"Could not find operation {operation}")
    return AwsError("UnknownOperationException", "")


def _strike(fault: Fault, dialect: Dialect) -> None:
    """Raise the error of ``fault``, with the defaults of its kind."""
    if fault.kind == "disconnect":
        raise ConnectionDropped
    if fault.kind == "expired_token":
        usual = signature.refusal("expired token", dialect)
        code, message, status = usual.code, usual.message, usual.status
    elif fault.kind == "kms_denied":
        usual = KEY_DENIED.error("AccessDeniedException", _KMS_DENIED.format(protocol.request_id()))
        code, message, status = usual.code, usual.message, usual.status
    elif fault.kind == "throttle":
        code, message, status = _THROTTLED[dialect]
    else:
        code, message, status = _INTERNAL[dialect], "The request processing has failed because of an error.", 500
    raise AwsError(fault.code or code, fault.message or message, fault.status or status)


def _code_of(response: HttpResponse) -> str:
    """The error code in the response of a service that writes its own."""
    if response.status < 400:
        return ""
    match = _ERROR_CODE.search(response.body) if isinstance(response.body, bytes) else None
    return (match[1] or match[2]).decode() if match else str(response.status)
