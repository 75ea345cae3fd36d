# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Streams of tables: turned on and off, and what DynamoDB Streams shows of them. Records are not kept."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from lab.dynamodb import admission
from lab.dynamodb.model import Job, Shape, Stream, Table
from lab.dynamodb.registry import registry
from lab.dynamodb.words import belief, invalid, validation
from lab.world import Context

SPECIFICATION = belief(
    "test_streams", "stream-specification",
    "Turning a stream on needs a view type, turning it off takes none",
    "measured/settings 2.9 [TABLE-018, TABLE-050]",
)  # fmt: skip
ALREADY_ON = belief(
    "test_streams", "stream-already-on",
    "A stream that is on is neither sent again nor changed in type, one that is off not turned off",
    "measured/settings 2.9 [TABLE-050]",
)  # fmt: skip
NEW_ARN = belief(
    "test_streams", "stream-new-arn",
    "Each enable makes a new stream with its own ARN; the specification goes when it is off, LatestStreamArn stays",
    "measured/settings 2.9 [TABLE-029, TABLE-362]",
)  # fmt: skip
OUTLIVES = belief(
    "test_streams", "stream-outlives-table",
    "ListStreams still lists the disabled streams of a name, those of deleted tables too",
    "measured/settings 2.9 [TABLE-367, TABLE-386]",
)  # fmt: skip


def plan(context: Context, table: Table, specification: Shape) -> Callable[[], None]:
    """Check a change of the table's stream and return what starts it."""
    admission.admit(table, "stream")
    enable = specification["StreamEnabled"]
    view_type = specification.get("StreamViewType")
    on = table.stream_specification is not None
    if enable and on:
        raise validation(ALREADY_ON, f"Table already has an enabled stream: TableName: {table.name}")
    if enable and view_type is None:
        raise invalid(SPECIFICATION, "If stream is being enabled then UpdateViewType is required")
    if not enable and view_type is not None:
        raise invalid(SPECIFICATION, "If stream is being disabled, then UpdateViewType must not be specified")
    if not enable and not on:
        raise validation(ALREADY_ON, f"Table has no stream to disable: TableName: {table.name}")

    def start() -> None:
        if enable:
            stream = begin(context, table, specification)
            timing = "stream.enabling"
        else:
            stream = table.streams[-1]
            stream.status, table.stream_specification = "DISABLING", None
            timing = "stream.disabling"

        def finish() -> None:
            stream.status = "ENABLED" if enable else "DISABLED"
            table.jobs.pop("stream", None)

        table.jobs["stream"] = Job("stream", updating=True, target=enable)
        context.world.schedule(context.world.timings.seconds(timing), finish)

    return start


def begin(context: Context, table: Table, specification: Shape) -> Stream:
    """A new stream of the table, ENABLING, in its list and in the registry's."""
    now = context.world.clock.now()
    label = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    stream = Stream(
        arn=f"{table.arn}/stream/{label}",
        label=label,
        view_type=specification["StreamViewType"],
        status="ENABLING",
        table_name=table.name,
        key_schema=table.key_schema,
        created_at=now,
    )
    table.streams.append(stream)
    registry(context).streams.append(stream)
    table.stream_specification = {"StreamEnabled": True, "StreamViewType": stream.view_type}
    return stream
