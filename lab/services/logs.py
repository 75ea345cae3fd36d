# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CloudWatch Logs: groups, streams and events, as far as imports write them and people read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.caller import Caller
from lab.errors import AwsError
from lab.messages import AuthorizationRequest
from lab.partitions import partition_of
from lab.rules import rule
from lab.services.paging import page
from lab.world import Context, World

WRITER_NEEDS_PERMISSIONS = rule(
    "logs-writer-needs-permissions",
    service="logs",
    says="A service that logs for a principal needs the principal's logs:CreateLogGroup, CreateLogStream, "
    "DescribeLogGroups, DescribeLogStreams, PutLogEvents and PutRetentionPolicy; the ARN has a colon after log-group",
    fact="aws.md B3 (AWS lists them all; which of them suffice was not measured)",
    test="test_logs.py::test_writer_needs_permissions",
    confirmed=False,
)
GROUP_MISSING = rule(
    "logs-group-missing",
    service="logs",
    says="A group that does not exist is ResourceNotFoundException `The specified log group does not exist.`",
    fact="AWS API reference logs",
    test="test_logs.py::test_missing_group_and_stream",
)
GROUP_EXISTS = rule(
    "logs-group-exists",
    service="logs",
    says="A second CreateLogGroup of one name is ResourceAlreadyExistsException",
    fact="AWS API reference logs",
    test="test_logs.py::test_group_settings",
)
TAGS_AT_CREATION = rule(
    "logs-tags-at-creation-need-their-permission",
    service="logs",
    says="CreateLogGroup with tags needs logs:TagResource or logs:TagLogGroup too, on the group",
    fact="AWS API reference logs, CreateLogGroup",
    test="test_logs.py::test_tags_at_creation",
)

# What DynamoDB's import does for its caller, in the order of calling.
_WRITER_ACTIONS = (
    "DescribeLogGroups",
    "CreateLogGroup",
    "PutRetentionPolicy",
    "DescribeLogStreams",
    "CreateLogStream",
    "PutLogEvents",
)
_RETENTION_DAYS = frozenset(
    {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
)
_STREAM_OPERATIONS = frozenset({"PutLogEvents", "GetLogEvents", "DeleteLogStream"})
_PAGE_EVENTS = 10_000


@dataclass(frozen=True)
class Event:
    """One message; times in milliseconds of the epoch."""

    id: str
    stream: str
    timestamp: int
    ingested_at: int
    message: str


@dataclass
class Stream:
    """A log stream."""

    name: str
    created_at: int
    events: list[Event] = field(default_factory=list)


@dataclass
class Group:
    """A log group; ``retention`` in days, 0 for ever."""

    name: str
    arn: str
    created_at: int
    retention: int = 0
    kms_key_id: str = ""
    log_class: str = "STANDARD"
    tags: dict[str, str] = field(default_factory=dict)
    streams: dict[str, Stream] = field(default_factory=dict)

    def shape(self) -> dict[str, Any]:
        """As DescribeLogGroups shows it."""
        shown: dict[str, Any] = {
            "logGroupName": self.name,
            "creationTime": self.created_at,
            "metricFilterCount": 0,
            "arn": f"{self.arn}:*",
            "logGroupArn": self.arn,
            "logGroupClass": self.log_class,
            "storedBytes": sum(len(event.message) for stream in self.streams.values() for event in stream.events),
        }
        if self.retention:
            shown["retentionInDays"] = self.retention
        if self.kms_key_id:
            shown["kmsKeyId"] = self.kms_key_id
        return shown


class LogsService:
    """The service behind the gate; ``put_events_as`` is for services that log for their caller."""

    name = "logs"
    locks_itself: frozenset[str] = frozenset()

    def __init__(self, world: World) -> None:
        self._world = world
        self._groups: dict[tuple[str, str], dict[str, Group]] = {}
        self._handlers: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {
            "CreateLogGroup": self._create_group,
            "DeleteLogGroup": self._delete_group,
            "DescribeLogGroups": self._describe_groups,
            "PutRetentionPolicy": self._put_retention,
            "DeleteRetentionPolicy": self._delete_retention,
            "AssociateKmsKey": self._associate_key,
            "DisassociateKmsKey": self._disassociate_key,
            "TagLogGroup": self._tag,
            "TagResource": self._tag,
            "UntagLogGroup": self._untag,
            "UntagResource": self._untag,
            "ListTagsLogGroup": self._list_tags,
            "ListTagsForResource": self._list_tags,
            "CreateLogStream": self._create_stream,
            "DeleteLogStream": self._delete_stream,
            "DescribeLogStreams": self._describe_streams,
            "PutLogEvents": self._put_events,
            "GetLogEvents": self._get_events,
            "FilterLogEvents": self._filter_events,
        }

    # For other services

    def put_events_as(self, caller: Caller, group: str, stream: str, messages: Sequence[str], *, region: str) -> None:
        """Write ``messages`` as ``caller``, creating a missing group or stream; AccessDeniedException without all
        the permissions that AWS lists for it, even for no message."""
        with self._world.lock:
            for action in _WRITER_ACTIONS:
                arn = _arn(caller.account_id, region, action, group, stream)
                needed = AuthorizationRequest(
                    f"logs:{action}",
                    arn,
                    refusal=lambda message: WRITER_NEEDS_PERMISSIONS.error("AccessDeniedException", message),
                )
                self._world.require(caller, needed, region)
            groups = self._groups.setdefault((caller.account_id, region), {})
            if group not in groups:
                arn = _arn(caller.account_id, region, "CreateLogGroup", group)
                groups[group] = Group(group, arn, self._now())
            streams = groups[group].streams
            target = streams.setdefault(stream, Stream(stream, self._now()))
            self._append(target, [(self._now(), message) for message in messages])

    # The gate

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """The group's or the stream's ARN in the caller's account."""
        group = _group_name(params)
        stream = params.get("logStreamName", "")
        arn = _arn(context.account_id, context.region, operation, group, stream)
        needed = [AuthorizationRequest(f"logs:{operation}", arn)]
        if operation == "CreateLogGroup" and params.get("tags"):
            ways = [AuthorizationRequest(f"logs:{action}", arn) for action in ("TagLogGroup", "TagResource")]
            may = [way for way in ways if self._world.decide(context.caller, way, context.region).allowed]
            needed.append([*may, ways[-1]][0])
        return needed

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Do ``operation``; parameters and answer as boto3's."""
        handler = self._handlers.get(operation)
        if handler is None:
            raise AwsError("UnrecognizedClientException", f"The lab's CloudWatch Logs has no {operation}.")
        return handler(context, params)

    def _now(self) -> int:
        return int(self._world.clock.now() * 1000)

    def _of(self, context: Context) -> dict[str, Group]:
        return self._groups.setdefault((context.account_id, context.region), {})

    def _group(self, context: Context, params: dict[str, Any]) -> Group:
        group = self._of(context).get(_group_name(params))
        if group is None:
            raise GROUP_MISSING.error("ResourceNotFoundException", "The specified log group does not exist.")
        return group

    def _stream(self, context: Context, params: dict[str, Any]) -> Stream:
        stream = self._group(context, params).streams.get(params["logStreamName"])
        if stream is None:
            raise GROUP_MISSING.error("ResourceNotFoundException", "The specified log stream does not exist.")
        return stream

    # Groups

    def _create_group(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = params["logGroupName"]
        if name in self._of(context):
            raise GROUP_EXISTS.error("ResourceAlreadyExistsException", "The specified log group already exists")
        self._of(context)[name] = Group(
            name,
            context.arn(f"log-group:{name}"),
            self._now(),
            kms_key_id=params.get("kmsKeyId", ""),
            log_class=params.get("logGroupClass", "STANDARD"),
            tags=dict(params.get("tags") or {}),
        )
        return {}

    def _delete_group(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        del self._of(context)[self._group(context, params).name]
        return {}

    def _describe_groups(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        prefix, part = params.get("logGroupNamePrefix", ""), params.get("logGroupNamePattern", "")
        groups = [
            group.shape()
            for name, group in sorted(self._of(context).items())
            if name.startswith(prefix) and part.lower() in name.lower()
        ]
        return _listing("logGroups", groups, params, 50)

    def _put_retention(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        if params["retentionInDays"] not in _RETENTION_DAYS:
            raise AwsError("InvalidParameterException", "The value of retentionInDays is not one of those allowed.")
        self._group(context, params).retention = params["retentionInDays"]
        return {}

    def _delete_retention(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        self._group(context, params).retention = 0
        return {}

    def _associate_key(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        self._group(context, params).kms_key_id = params["kmsKeyId"]
        return {}

    def _disassociate_key(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        self._group(context, params).kms_key_id = ""
        return {}

    def _tag(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        self._group(context, params).tags.update(params["tags"])
        return {}

    def _untag(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        for name in params.get("tags") or params.get("tagKeys") or ():
            self._group(context, params).tags.pop(name, None)
        return {}

    def _list_tags(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"tags": dict(self._group(context, params).tags)}

    # Streams and events

    def _create_stream(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        streams = self._group(context, params).streams
        if params["logStreamName"] in streams:
            raise GROUP_EXISTS.error("ResourceAlreadyExistsException", "The specified log stream already exists")
        streams[params["logStreamName"]] = Stream(params["logStreamName"], self._now())
        return {}

    def _delete_stream(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        del self._group(context, params).streams[self._stream(context, params).name]
        return {}

    def _describe_streams(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        group = self._group(context, params)
        shown = []
        for name, stream in sorted(group.streams.items()):
            if not name.startswith(params.get("logStreamNamePrefix", "")):
                continue
            entry: dict[str, Any] = {
                "logStreamName": name,
                "creationTime": stream.created_at,
                "arn": f"{group.arn}:log-stream:{name}",
                "storedBytes": 0,
                "uploadSequenceToken": str(len(stream.events)),
            }
            if stream.events:
                entry |= {
                    "firstEventTimestamp": stream.events[0].timestamp,
                    "lastEventTimestamp": stream.events[-1].timestamp,
                    "lastIngestionTime": stream.events[-1].ingested_at,
                }
            shown.append(entry)
        if params.get("orderBy") == "LastEventTime":
            shown.sort(key=lambda entry: entry.get("lastEventTimestamp", 0))
        if params.get("descending"):
            shown.reverse()
        return _listing("logStreams", shown, params, 50)

    def _append(self, stream: Stream, events: Sequence[tuple[int, str]]) -> None:
        for timestamp, message in events:
            number = f"{timestamp:032d}{len(stream.events):024d}"
            stream.events.append(Event(number, stream.name, timestamp, self._now(), message))
        stream.events.sort(key=lambda event: event.timestamp)

    def _put_events(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        stream = self._stream(context, params)
        self._append(stream, [(event["timestamp"], event["message"]) for event in params["logEvents"]])
        return {"nextSequenceToken": str(len(stream.events))}

    def _get_events(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        events = _between(self._stream(context, params).events, params)
        limit = params.get("limit", _PAGE_EVENTS)
        token = params.get("nextToken", "")
        if token:
            direction, _, number = token.partition("/")
            start = int(number) if direction == "f" else max(0, int(number) - limit)
            end = start + limit if direction == "f" else int(number)
        else:
            start = 0 if params.get("startFromHead") else max(0, len(events) - limit)
            end = start + limit
        chosen = events[start:end]
        return {
            "events": [
                {"timestamp": event.timestamp, "message": event.message, "ingestionTime": event.ingested_at}
                for event in chosen
            ],
            "nextForwardToken": f"f/{start + len(chosen)}",
            "nextBackwardToken": f"b/{start}",
        }

    def _filter_events(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        streams = self._group(context, params).streams
        names = params.get("logStreamNames") or [
            name for name in streams if name.startswith(params.get("logStreamNamePrefix", ""))
        ]
        if missing := [name for name in names if name not in streams]:
            raise GROUP_MISSING.error(
                "ResourceNotFoundException", f"The specified log stream does not exist: {missing}"
            )
        terms = params.get("filterPattern", "").replace('"', " ").split()
        events = sorted(
            (
                event
                for name in names
                for event in _between(streams[name].events, params)
                if all(term in event.message for term in terms)
            ),
            key=lambda event: (event.timestamp, event.id),
        )
        shown = [
            {
                "logStreamName": event.stream,
                "timestamp": event.timestamp,
                "message": event.message,
                "ingestionTime": event.ingested_at,
                "eventId": event.id,
            }
            for event in events
        ]
        return {**_listing("events", shown, params, _PAGE_EVENTS), "searchedLogStreams": []}


def _arn(account_id: str, region: str, action: str, group: str, stream: str = "") -> str:
    """The ARN that ``action`` is authorized on; without a group AWS leaves its place empty."""
    arn = f"arn:{partition_of(region)}:logs:{region}:{account_id}:log-group:{group}"
    return f"{arn}:log-stream:{stream}" if not group or action in _STREAM_OPERATIONS else arn


def _group_name(params: dict[str, Any]) -> str:
    """Name of the group that a request is about, given as name, identifier or ARN."""
    name: str = params.get("logGroupName") or params.get("logGroupIdentifier") or params.get("resourceArn") or ""
    if name.startswith("arn:"):
        name = name.split(":log-group:", 1)[-1].removesuffix(":*")
    return name


def _between(events: Sequence[Event], params: dict[str, Any]) -> list[Event]:
    first, last = params.get("startTime", 0), params.get("endTime")
    return [event for event in events if event.timestamp >= first and (last is None or event.timestamp <= last)]


def _listing(name: str, items: list[dict[str, Any]], params: dict[str, Any], size: int) -> dict[str, Any]:
    shown, token = page(items, params.get("limit") or size, params.get("nextToken"), code="InvalidParameterException")
    return {name: shown, **({"nextToken": token} if token else {})}
