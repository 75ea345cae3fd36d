# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kinesis Data Streams, as far as a stream must exist and be ACTIVE to be a table's destination. No records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lab.errors import AwsError
from lab.messages import AuthorizationRequest
from lab.rules import rule
from lab.world import Context, World

CREATING_FIRST = rule(
    "kinesis-creating-first",
    service="kinesis",
    says="A stream is CREATING before it is ACTIVE; only an ACTIVE one serves as a table's destination",
    fact="measured/policy-autoscaling-replicas 2",
    test="test_kinesis.py::test_stream_is_creating_then_active",
)
STREAM_MISSING = rule(
    "kinesis-stream-missing",
    service="kinesis",
    says="A stream that does not exist is ResourceNotFoundException",
    fact="AWS API reference kinesis",
    test="test_kinesis.py::test_missing_stream",
)


@dataclass
class Stream:
    """A stream; ``active_at`` is when it leaves CREATING (epoch seconds)."""

    name: str
    arn: str
    created_at: float
    active_at: float
    shards: int
    mode: str
    tags: dict[str, str] = field(default_factory=dict)

    def status(self, now: float) -> str:
        """``CREATING`` or ``ACTIVE``."""
        return "ACTIVE" if now >= self.active_at else "CREATING"


class KinesisService:
    """The service behind the gate; ``find`` is for the tables' destinations."""

    name = "kinesis"
    locks_itself: frozenset[str] = frozenset()

    def __init__(self, world: World) -> None:
        self._world = world
        world.timings.define("kinesis.creating", 15.0)
        self._streams: dict[str, Stream] = {}
        self._handlers: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {
            "CreateStream": self._create,
            "DeleteStream": self._delete,
            "DescribeStream": self._describe,
            "DescribeStreamSummary": self._summary,
            "ListStreams": self._list,
            "AddTagsToStream": self._tag,
            "ListTagsForStream": self._list_tags,
        }

    def find(self, arn: str) -> Stream | None:
        """The stream with this ARN, in any state."""
        return self._streams.get(arn)

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """The stream's ARN, or ``*`` for lists."""
        arn = _arn(context, params) if params.get("StreamName") or params.get("StreamARN") else "*"
        return [AuthorizationRequest(f"kinesis:{operation}", arn)]

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Do ``operation``; parameters and answer as boto3's."""
        handler = self._handlers.get(operation)
        if handler is None:
            raise AwsError("InvalidArgumentException", f"The lab's Kinesis has no {operation}.")
        return handler(context, params)

    def _stream(self, context: Context, params: dict[str, Any]) -> Stream:
        arn = _arn(context, params)
        stream = self._streams.get(arn)
        if stream is None:
            account = arn.split(":")[4]
            text = f"Stream {arn.rpartition('/')[2]} under account {account} not found."
            raise STREAM_MISSING.error("ResourceNotFoundException", text)
        return stream

    def _create(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        arn = _arn(context, params)
        if arn in self._streams:
            text = f"Stream {params['StreamName']} under account {context.account_id} already exists."
            raise AwsError("ResourceInUseException", text)
        now = self._world.clock.now()
        mode = (params.get("StreamModeDetails") or {}).get("StreamMode", "PROVISIONED")
        active_at = now + self._world.timings.seconds("kinesis.creating")
        shards = params.get("ShardCount", 4)
        self._streams[arn] = Stream(
            params["StreamName"], arn, now, active_at, shards, mode, dict(params.get("Tags") or {})
        )
        return {}

    def _delete(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        del self._streams[self._stream(context, params).arn]
        return {}

    def _common(self, stream: Stream) -> dict[str, Any]:
        return {
            "StreamName": stream.name,
            "StreamARN": stream.arn,
            "StreamStatus": stream.status(self._world.clock.now()),
            "StreamModeDetails": {"StreamMode": stream.mode},
            "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": stream.created_at,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "EncryptionType": "NONE",
        }

    def _summary(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        stream = self._stream(context, params)
        summary = {**self._common(stream), "OpenShardCount": stream.shards, "ConsumerCount": 0}
        return {"StreamDescriptionSummary": summary}

    def _describe(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        stream = self._stream(context, params)
        return {"StreamDescription": {**self._common(stream), "Shards": [], "HasMoreShards": False}}

    def _list(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        prefix = context.arn("stream/")
        names = sorted(stream.name for arn, stream in self._streams.items() if arn.startswith(prefix))
        return {"StreamNames": names, "HasMoreStreams": False}

    def _tag(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        self._stream(context, params).tags.update(params["Tags"])
        return {}

    def _list_tags(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        tags = self._stream(context, params).tags.items()
        return {"Tags": [{"Key": name, "Value": value} for name, value in tags], "HasMoreTags": False}


def _arn(context: Context, params: dict[str, Any]) -> str:
    arn: str = params.get("StreamARN") or context.arn(f"stream/{params['StreamName']}", "kinesis")
    return arn
