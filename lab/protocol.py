# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS's wire protocols by botocore's service models: requests in, answers and errors out.

The JSON protocols (1.0, 1.1), REST with JSON (AWS Backup, RAM), query (STS, IAM) and the names of S3's operations.
Unknown members are dropped from requests (measured/import-export-table 1.1); shape is validated before anything is
looked up, in the words of 1.2 there.
DynamoDB's AttributeValues are left as they are on the wire, in both directions.
"""

from __future__ import annotations

import base64
import binascii
import json
import random
import re
import uuid
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, unquote
from xml.sax.saxutils import escape

import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StringShape, StructureShape

from lab.errors import AwsError
from lab.messages import HttpRequest, HttpResponse
from lab.rules import rule
from lab.signature import Dialect, Scope

SHAPE_FIRST = rule(
    "shape-before-existence",
    service="protocol",
    says="A malformed request is ValidationException `1 validation error detected: Value '<v>' at '<camelCaseMember>' "
    "failed to satisfy constraint: ..`, whether or not what it names exists",
    fact="measured/import-export-table 1.1, 1.2 [TABLE-005, -070; EXPORT-002, -005]",
    test="test_protocol.py::test_shape_is_validated_in_aws_words",
)
UNKNOWN_MEMBERS = rule(
    "unknown-members-ignored",
    service="protocol",
    says="Members of a request that AWS does not know are ignored and the call succeeds",
    fact="measured/import-export-table 1.1 [EXPORT-008]",
    test="test_protocol.py::test_unknown_members_are_ignored",
)

REST_OPERATIONS = rule(
    "rest-operation-by-path",
    service="protocol",
    says="AWS Backup, RAM and EMR Serverless speak REST with JSON: the operation is told by method and path, "
    "members come from the path, the query and the body, and refusals of the signature or of permissions are HTTP 403",
    fact="botocore's service models backup, ram and emr-serverless; AWS API reference, common errors",
    test="test_rest.py::test_operation_is_told_by_method_and_path",
)
REST_SHAPE = rule(
    "rest-shape-refused",
    service="protocol",
    says="A malformed request is InvalidParameterValueException at AWS Backup, InvalidParameterException at RAM, "
    "ValidationException at EMR Serverless, its text as elsewhere",
    fact="the errors that botocore's models declare; the text is a guess",
    test="test_rest.py::test_malformed_request_is_refused",
    confirmed=False,
)

Reader = Callable[[Any, str, list[str]], Any]
_SIGNING_NAMES = {"elasticmapreduce": "emr", "monitoring": "cloudwatch", "servicequotas": "service-quotas"}
_CORAL = {
    "ValidationException": "com.amazon.coral.validate#",
    "ThrottlingException": "com.amazon.coral.availability#",
}
# What services that declare no ValidationException say of a malformed request.
_MALFORMED = {"backup": "InvalidParameterValueException", "ram": "InvalidParameterException"}
_request_ids = random.Random()
_NAMESPACES = {"dynamodb": "com.amazonaws.dynamodb.v20120810#"}


@lru_cache(maxsize=1)
def _session() -> botocore.session.Session:
    return botocore.session.Session()


@lru_cache(maxsize=64)
def service_model(service: str) -> ServiceModel | None:
    """botocore's model of ``service``; None for a service that botocore does not know."""
    try:
        return ServiceModel(_session().get_component("data_loader").load_service_model(service, "service-2"), service)
    except Exception:  # botocore's UnknownServiceError and DataNotFoundError
        return None


def request_id() -> str:
    """A new request id. Nobody guards anything by it: it need not come from the system's entropy, which costs more."""
    return str(uuid.UUID(int=_request_ids.getrandbits(128), version=4))


# What is being asked


def dialect_of(request: HttpRequest, scope: Scope | None) -> Dialect:
    """The protocol in which the sender wants to be answered."""
    headers = request.headers
    if "x-amz-target" in headers:
        return "json"
    if headers.get("smithy-protocol") == "rpc-v2-cbor":
        return "cbor"
    if scope is not None and speaks_rest(scope.service):
        return "rest"
    if (scope is not None and scope.service == "s3") or (
        scope is None and not headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    ):
        return "s3"
    return "query"


@lru_cache(maxsize=64)
def speaks_rest(service: str) -> bool:
    """Whether ``service`` (botocore's name) speaks REST with JSON."""
    model = service_model(service) if service not in ("", "s3") else None
    return model is not None and model.metadata["protocol"] == "rest-json"


def service_of(request: HttpRequest, scope: Scope | None) -> str:
    """botocore's name of the service that a request is for; empty where it does not say."""
    if scope is None:
        return "s3" if dialect_of(request, scope) == "s3" else ""
    if request.headers.get("x-amz-target", "").startswith("DynamoDBStreams_"):
        return "dynamodbstreams"
    return _SIGNING_NAMES.get(scope.service, scope.service)


def operation_of(request: HttpRequest, service: str, dialect: Dialect) -> str:
    """botocore's name of the operation; empty where it is unknown."""
    if dialect == "json":
        return request.headers["x-amz-target"].rpartition(".")[2]
    if dialect == "cbor":
        return request.path.rpartition("/")[2]
    if dialect == "query":
        return _form(request).get("Action", "")
    if dialect == "rest":
        return _rest_call(request, service)[0]
    bucket, key = request.bucket_and_key
    return s3_operation(request.method, bool(bucket), bool(key), request.parameters, request.headers)


def _form(request: HttpRequest) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode() or request.query, keep_blank_values=True))


@lru_cache(maxsize=1)
def _s3_candidates() -> Mapping[tuple[str, str], list[tuple[str, dict[str, str], set[str]]]]:
    """S3's operations by method and path, the most specific first, with the query and headers that each must have."""
    model = service_model("s3")
    assert model is not None
    candidates: dict[tuple[str, str], list[tuple[str, dict[str, str], set[str]]]] = {}
    for name in model.operation_names:
        operation = model.operation_model(name)
        path, _, query = operation.http["requestUri"].partition("?")
        needed = dict(part.partition("=")[::2] for part in query.split("&") if part and not part.startswith("x-id="))
        headers = set()
        shape = operation.input_shape
        places = [shape.members[member].serialization for member in shape.required_members] if shape else []
        for place in places:
            if place.get("location") == "querystring":
                needed[place["name"]] = ""
            elif place.get("location") == "header":
                headers.add(place["name"].lower())
        if not operation.deprecated:
            candidates.setdefault((operation.http["method"], path), []).append((name, needed, headers))
    for each in candidates.values():
        each.sort(key=lambda candidate: -len(candidate[1]) - len(candidate[2]))
    return candidates


def s3_operation(
    method: str, has_bucket: bool, has_key: bool, parameters: Mapping[str, str], headers: Mapping[str, str]
) -> str:
    """The name of the S3 operation of a path-style request; empty where none fits."""
    path = "/{Bucket}/{Key+}" if has_key else "/{Bucket}" if has_bucket else "/"
    for name, needed, needed_headers in _s3_candidates().get((method, path), ()):
        if all(key in parameters and value in ("", parameters[key]) for key, value in needed.items()) and all(
            header in headers for header in needed_headers
        ):
            return name
    return ""


class _Route(NamedTuple):
    """An operation of a REST service, and how its path looks: a group for each member that the path holds."""

    operation: str
    method: str
    path: re.Pattern[str]
    members: tuple[str, ...]


@lru_cache(maxsize=16)
def _routes(service: str) -> tuple[_Route, ...]:
    """The operations of a REST service, those with the most literal paths first."""
    model = service_model(service)
    assert model is not None
    routes = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        places = operation.input_shape.members.items() if operation.input_shape else ()
        named = {
            shape.serialization["name"]: member
            for member, shape in places
            if shape.serialization.get("location") == "uri"
        }
        parts = re.split(r"\{(\w+)\}", operation.http["requestUri"].rstrip("/"))
        text = "".join("([^/]+)" if place % 2 else re.escape(part) for place, part in enumerate(parts))
        members = tuple(named[part] for part in parts[1::2])
        routes.append(_Route(name, operation.http["method"], re.compile(f"{text}/?"), members))
    return tuple(sorted(routes, key=lambda route: len(route.members)))


def _rest_call(request: HttpRequest, service: str) -> tuple[str, dict[str, str]]:
    """The operation of a REST request and the members in its path; no operation where none fits."""
    for route in _routes(service):
        if route.method == request.method and (match := route.path.fullmatch(request.path)):
            return route.operation, dict(zip(route.members, map(unquote, match.groups()), strict=True))
    return "", {}


def _rest_content(request: HttpRequest, service: str) -> dict[str, Any]:
    """The members of a REST request, those of path and query as text (lists: of texts)."""
    name, content = _rest_call(request, service)
    model = service_model(service)
    shape = model.operation_model(name).input_shape if name and model is not None else None
    body = _json_object(request)
    query = parse_qs(request.query, keep_blank_values=True)
    for member, member_shape in shape.members.items() if shape is not None else ():
        place = member_shape.serialization
        if place.get("location") == "querystring":
            if place["name"] in query:
                values = query[place["name"]]
                content[member] = values if isinstance(member_shape, ListShape) else values[-1]
        elif "location" not in place and member in body:
            content[member] = body[member]
    return content


def _json_object(request: HttpRequest) -> dict[str, Any]:
    try:
        content = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        raise AwsError("SerializationException", "Unexpected end or token in the request's JSON") from None
    if not isinstance(content, dict):
        raise _serialization("Unexpected value type in payload")
    return content


def loose_parameters(request: HttpRequest, service: str, dialect: Dialect) -> dict[str, Any]:
    """The members of a request before any validation, for matching faults."""
    if dialect == "s3":
        bucket, key = request.bucket_and_key
        return {**request.parameters, "Bucket": bucket, "Key": key}
    if dialect == "query":
        return dict(_form(request))
    try:
        return _rest_content(request, service) if dialect == "rest" else _json_object(request)
    except AwsError:
        return {}


# Requests


def parse(
    request: HttpRequest, operation: OperationModel, dialect: Dialect, *, validate: bool = True
) -> dict[str, Any]:
    """The parameters of a request, by the model of its operation.

    SerializationException for what is not of the model's types, ValidationException (query: ValidationError) for what
    breaks its constraints; ``validate`` False leaves the latter to the service.
    """
    shape = operation.input_shape
    if dialect == "query":
        content: Any = _from_form(_form(request), shape) if shape else {}
    elif dialect == "rest":
        content = _rest_content(request, operation.service_model.service_name)
    else:
        content = _json_object(request)
    if shape is None:
        return {}
    problems: list[str] = []
    params: dict[str, Any] = _readers(operation.service_model)(shape)(content, "", problems)
    if problems and validate:
        count = len(problems)
        code = _MALFORMED.get(operation.service_model.service_name, "ValidationException")
        raise (REST_SHAPE if dialect == "rest" else SHAPE_FIRST).error(
            "ValidationError" if dialect == "query" else code,
            f"{count} validation error{'s' * (count > 1)} detected: {'; '.join(problems)}",
        )
    return params


def _untouched(value: Any, _path: str, _problems: list[str]) -> Any:
    return value


class _Readers:
    """Readers by shape, made once: each turns a value of the wire into a parameter and notes broken constraints."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._made: dict[str, Reader] = {}

    def __call__(self, shape: Shape) -> Reader:
        reader = self._made.get(shape.name)
        if reader is None:
            reader = self._made[shape.name] = self._make(shape)
        return reader

    def _make(self, shape: Shape) -> Reader:
        if self._is_items(shape):
            return _untouched
        if isinstance(shape, StructureShape):
            return self._structure(shape)
        if isinstance(shape, ListShape):
            return self._list(shape)
        if isinstance(shape, MapShape):
            return self._map(shape)
        return _scalar(shape)

    def _is_items(self, shape: Shape) -> bool:
        if self._service != "dynamodb":
            return False
        return shape.name == "AttributeValue" or (isinstance(shape, MapShape) and shape.value.name == "AttributeValue")

    def _structure(self, shape: StructureShape) -> Reader:
        members: dict[str, tuple[str, Reader]] = {}
        required = [(name, _camel(name)) for name in shape.required_members]

        def read(value: Any, path: str, problems: list[str]) -> Any:
            if not isinstance(value, dict):
                raise _serialization("Unexpected value type in payload")
            if not members:  # filled here, as shapes may contain themselves, and at once, as threads may meet here
                members.update({name: (_camel(name), self(member)) for name, member in shape.members.items()})
            for name, camel in required:
                if value.get(name) is None:
                    problems.append(
                        f"Value null at '{path}{camel}' failed to satisfy constraint: Member must not be null"
                    )
            read_members = {}
            for name, content in value.items():
                if content is not None and (known := members.get(name)) is not None:
                    read_members[name] = known[1](content, path + known[0], problems)
            return read_members

        def descend(value: Any, path: str, problems: list[str]) -> Any:
            return read(value, f"{path}." if path else "", problems)

        return descend

    def _list(self, shape: ListShape) -> Reader:
        limits = _limits(shape, "length")

        def read(value: Any, path: str, problems: list[str]) -> Any:
            if not isinstance(value, list):
                raise _serialization("Unexpected value type in payload")
            _check_limits(len(value), value, limits, path, problems)
            reader = self(shape.member)
            if reader is _untouched:
                return value
            return [reader(each, f"{path}.{number}.member", problems) for number, each in enumerate(value, 1)]

        return read

    def _map(self, shape: MapShape) -> Reader:
        limits = _limits(shape, "length")
        value_limits = _limits(shape.value, "length") if isinstance(shape.value, ListShape | MapShape) else []

        def read(value: Any, path: str, problems: list[str]) -> Any:
            if not isinstance(value, dict):
                raise _serialization("Unexpected value type in payload")
            _check_limits(len(value), value, limits, path, problems)
            if None in value.values():
                problems.append(_problem(value, path, "Map value must not be null"))
                return value
            collections = [each for each in value.values() if isinstance(each, list | dict)]
            if any(not fits(len(each)) for each in collections for fits, _ in value_limits):
                texts = ", ".join(text for _, text in reversed(value_limits))
                problems.append(_problem(value, path, f"Map value must satisfy constraint: [{texts}]"))
                return value
            reader = self(shape.value)
            return {key: reader(each, f"{path}.{key}.member", problems) for key, each in value.items()}

        return read


@lru_cache(maxsize=64)
def _readers_of(service: str) -> _Readers:
    return _Readers(service)


def _readers(model: ServiceModel) -> _Readers:
    return _readers_of(model.service_name)


def _camel(name: str) -> str:
    # AWS says tableName for TableName, s3BucketSource for S3BucketSource, sSESpecification for SSESpecification.
    return name[:1].lower() + name[1:]


def _serialization(message: str) -> AwsError:
    return AwsError("SerializationException", message)


def _problem(value: Any, path: str, constraint: str) -> str:
    return f"Value '{_shown(value)}' at '{path}' failed to satisfy constraint: {constraint}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_shown(each)}" for key, each in value.items()) + "}"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


Limit = tuple[Callable[[float], bool], str]


def _limits(shape: Shape, what: str) -> list[Limit]:
    limits: list[Limit] = []
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None:
        limits.append((lambda have: have >= low, f"Member must have {what} greater than or equal to {low}"))
    if high is not None:
        limits.append((lambda have: have <= high, f"Member must have {what} less than or equal to {high}"))
    return limits


def _check_limits(have: float, value: Any, limits: list[Limit], path: str, problems: list[str]) -> None:
    for fits, text in limits:
        if not fits(have):
            problems.append(_problem(value, path, text))


def _pattern(text: str) -> re.Pattern[str] | None:
    try:
        return re.compile(text)
    except re.error:  # Java's syntax, such as \p{L}, which AWS checks and the lab does not
        return None


def _scalar(shape: Shape) -> Reader:
    if isinstance(shape, StringShape) or shape.type_name in ("string", "char"):
        return _string(shape)
    if shape.type_name in ("integer", "long", "float", "double"):
        limits = _limits(shape, "value")
        number: Callable[[Any], float] = int if shape.type_name in ("integer", "long") else float

        def read_number(value: Any, path: str, problems: list[str]) -> Any:
            if isinstance(value, bool):
                raise _serialization("TRUE_VALUE or FALSE_VALUE can not be converted to a number")
            try:
                converted = number(value)
            except (TypeError, ValueError):
                raise _serialization("STRING_VALUE can not be converted to a number") from None
            _check_limits(converted, value, limits, path, problems)
            return converted

        return read_number
    return {"boolean": _boolean, "timestamp": _timestamp, "blob": _blob}[shape.type_name]


def _string(shape: Shape) -> Reader:
    limits = _limits(shape, "length")
    pattern = _pattern(shape.metadata["pattern"]) if "pattern" in shape.metadata else None
    allowed = shape.metadata.get("enum")

    def read(value: Any, path: str, problems: list[str]) -> Any:
        if not isinstance(value, str):
            raise _serialization("The request holds a value that can not be converted to a String")
        if allowed is not None and value not in allowed:
            problems.append(_problem(value, path, f"Member must satisfy enum value set: [{', '.join(allowed)}]"))
        if pattern is not None and pattern.fullmatch(value) is None:
            problems.append(
                _problem(value, path, f"Member must satisfy regular expression pattern: {shape.metadata['pattern']}")
            )
        if limits:
            _check_limits(len(value), value, limits, path, problems)
        return value

    return read


def _boolean(value: Any, _path: str, _problems: list[str]) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise _serialization("The request holds a value that can not be converted to a Boolean")


def _timestamp(value: Any, _path: str, _problems: list[str]) -> float:
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        return float(value)
    except (TypeError, ValueError):
        raise _serialization("The request holds a value that can not be converted to a Timestamp") from None


def _blob(value: Any, _path: str, _problems: list[str]) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise _serialization("The request holds a blob that is not base64") from None


def _from_form(form: Mapping[str, str], shape: StructureShape) -> dict[str, Any]:
    """The nested value of a query-protocol form (``Tags.member.1.Key=..``)."""
    tree: dict[str, Any] = {}
    for name, value in form.items():
        node = tree
        *parents, last = name.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise AwsError("MalformedInput", f"{name} is given twice")
        node[last] = value
    return _from_tree(tree, shape)  # type: ignore[no-any-return]


def _from_tree(tree: Any, shape: Shape) -> Any:
    if isinstance(shape, StructureShape):
        names = {name: member.serialization.get("name", name) for name, member in shape.members.items()}
        return {
            name: _from_tree(tree[wire], shape.members[name])
            for name, wire in names.items()
            if isinstance(tree, dict) and wire in tree
        }
    if isinstance(shape, ListShape):
        if tree == "":
            return []
        entries = tree if shape.serialization.get("flattened") else tree.get("member", {})
        return [_from_tree(entries[number], shape.member) for number in sorted(entries, key=int)]
    if isinstance(shape, MapShape):
        entries = {} if tree == "" else tree if shape.serialization.get("flattened") else tree.get("entry", {})
        key = shape.key.serialization.get("name", "key")
        value = shape.value.serialization.get("name", "value")
        return {entries[number][key]: _from_tree(entries[number][value], shape.value) for number in entries}
    return tree


# Answers


def answer(
    result: dict[str, Any] | bytes | None, operation: OperationModel, dialect: Dialect, identifier: str
) -> HttpResponse:
    """The response for what a service returned."""
    if dialect == "query":
        return _query_answer(result if isinstance(result, dict) else {}, operation, identifier)
    metadata = operation.service_model.metadata
    body = result if isinstance(result, bytes) else json_bytes(result or {})
    kind = "json" if dialect == "rest" else f"x-amz-json-{metadata['jsonVersion']}"
    headers = {"Content-Type": f"application/{kind}", "x-amzn-RequestId": identifier}
    if operation.service_model.service_name == "dynamodb":
        headers["x-amz-crc32"] = str(zlib.crc32(body))
    return HttpResponse(200, headers, body)


def json_bytes(value: Any) -> bytes:
    """``value`` as compact JSON; bytes become base64 and datetimes epoch seconds, as in AWS's JSON protocols."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_plain).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, set | frozenset | tuple):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be written into an answer")


def _query_answer(result: dict[str, Any], operation: OperationModel, identifier: str) -> HttpResponse:
    parts = [f'<{operation.name}Response xmlns="{operation.service_model.metadata["xmlNamespace"]}">']
    shape = operation.output_shape
    if shape is not None:
        wrapper = shape.serialization.get("resultWrapper", f"{operation.name}Result")
        _write_xml(parts, wrapper, result, shape)
    parts.append(f"<ResponseMetadata><RequestId>{identifier}</RequestId></ResponseMetadata></{operation.name}Response>")
    return HttpResponse(200, {"Content-Type": "text/xml", "x-amzn-RequestId": identifier}, "".join(parts).encode())


def _write_xml(parts: list[str], name: str, value: Any, shape: Shape) -> None:
    if isinstance(shape, ListShape) and shape.serialization.get("flattened"):
        for each in value:
            _write_xml(parts, name, each, shape.member)
        return
    parts.append(f"<{name}>")
    if isinstance(shape, StructureShape):
        for member_name, member in shape.members.items():
            if value.get(member_name) is not None:
                _write_xml(parts, member.serialization.get("name", member_name), value[member_name], member)
    elif isinstance(shape, ListShape):
        for each in value:
            _write_xml(parts, shape.member.serialization.get("name", "member"), each, shape.member)
    elif isinstance(shape, MapShape):
        for key, each in value.items():
            parts.append("<entry>")
            _write_xml(parts, "key", key, shape.key)
            _write_xml(parts, "value", each, shape.value)
            parts.append("</entry>")
    else:
        parts.append(escape(_xml_text(value, shape)))
    parts.append(f"</{name}>")


def _xml_text(value: Any, shape: Shape) -> str:
    if shape.type_name == "timestamp":
        moment = value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, bool):
        return str(value).lower()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def error(failure: AwsError, service: str, operation: str, dialect: Dialect, identifier: str) -> HttpResponse:
    """The response for an error, as services of ``dialect`` write it."""
    if dialect == "s3":
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{failure.code}</Code><Message>{escape(failure.message)}</Message>"
            + "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in failure.members.items())
            + f"<RequestId>{identifier}</RequestId><HostId>{identifier}</HostId></Error>"
        )
        return HttpResponse(
            failure.status, {"Content-Type": "application/xml", "x-amz-request-id": identifier}, body.encode()
        )
    if dialect == "query":
        model = service_model(service)
        namespace = model.metadata.get("xmlNamespace", "") if model is not None else ""
        kind = "Receiver" if failure.status >= 500 or failure.fault == "server" else "Sender"
        body = (
            f'<ErrorResponse xmlns="{namespace}"><Error><Type>{kind}</Type><Code>{failure.code}</Code>'
            f"<Message>{escape(failure.message)}</Message></Error><RequestId>{identifier}</RequestId></ErrorResponse>"
        )
        return HttpResponse(failure.status, {"Content-Type": "text/xml", "x-amzn-RequestId": identifier}, body.encode())
    content = {"message": failure.message, **failure.members}
    if dialect != "rest":
        content = {"__type": _error_type(failure.code, service, operation), **content}
    headers = {"x-amzn-RequestId": identifier, "x-amzn-errortype": failure.code}
    if dialect == "cbor":
        headers |= {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
        return HttpResponse(failure.status, headers, _cbor(content))
    if dialect == "rest":
        headers["Content-Type"] = "application/json"
        return HttpResponse(failure.status, headers, json_bytes(content))
    model = service_model(service)
    version = model.metadata.get("jsonVersion", "1.1") if model is not None else "1.1"
    headers["Content-Type"] = f"application/x-amz-json-{version}"
    body_bytes = json_bytes(content)
    if service == "dynamodb":
        headers["x-amz-crc32"] = str(zlib.crc32(body_bytes))
    return HttpResponse(failure.status, headers, body_bytes)


def _error_type(code: str, service: str, operation: str) -> str:
    namespace = _NAMESPACES.get(service)
    if namespace is None:
        return code
    declared = _declared_errors(service, operation)
    return (namespace if code in declared else _CORAL.get(code, "com.amazon.coral.service#")) + code


@lru_cache(maxsize=512)
def _declared_errors(service: str, operation: str) -> frozenset[str]:
    model = service_model(service)
    if model is None or operation not in model.operation_names:
        return frozenset()
    return frozenset(shape.name for shape in model.operation_model(operation).error_shapes)


def _cbor(content: Mapping[str, Any]) -> bytes:
    """A map of texts in CBOR (RFC 8949): all that an error needs."""

    def text(value: str) -> bytes:
        encoded = value.encode()
        return b"\x79" + len(encoded).to_bytes(2, "big") + encoded

    return bytes([0xA0 + len(content)]) + b"".join(text(name) + text(str(value)) for name, value in content.items())
