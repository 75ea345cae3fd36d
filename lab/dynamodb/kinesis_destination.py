# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kinesis streaming destinations of tables (measured/policy-autoscaling-replicas 2)."""

from __future__ import annotations

from collections.abc import Callable

from lab.dynamodb.model import KinesisDestination, Shape, Table
from lab.dynamodb.registry import registry
from lab.dynamodb.words import belief, validation
from lab.services.kinesis import KinesisService
from lab.world import Context

STATE = belief(
    "test_kinesis_destination", "kinesis-wrong-state",
    "Enable needs DISABLED or ENABLE_FAILED, Disable and Update need ACTIVE, else ValidationException",
    "measured/policy-autoscaling-replicas 2 [TABLE-299, TABLE-302]",
)  # fmt: skip
ONE = belief(
    "test_kinesis_destination", "kinesis-one-destination",
    "A table has one destination that is not DISABLED or ENABLE_FAILED",
    "measured/policy-autoscaling-replicas 2 [TABLE-268]",
)  # fmt: skip
LATE = belief(
    "test_kinesis_destination", "kinesis-stream-checked-late",
    "Enable takes any ARN and turns ENABLE_FAILED later where no ACTIVE stream of this account and Region has it",
    "measured/policy-autoscaling-replicas 2 [TABLE-318]",
)  # fmt: skip
PRECISION = belief(
    "test_kinesis_destination", "kinesis-precision",
    "Precision absent is MILLISECOND; the value that holds is refused, a new one is shown at once, Disable forgets it",
    "measured/policy-autoscaling-replicas 2 [TABLE-300, TABLE-301]",
)  # fmt: skip
NOT_BORN = belief(
    "test_kinesis_destination", "kinesis-after-create",
    "For a second or two after CreateTable the calls do not know the table, then they are admitted while CREATING",
    "measured/policy-autoscaling-replicas 1 [TABLE-234]",
)  # fmt: skip

_ENABLE = "Table is not in a valid state to enable Kinesis Streaming Destination: "
_DISABLE = "Table is not in a valid state to disable Kinesis Streaming Destination: "
_SETTLED = ("DISABLED", "ENABLE_FAILED")
_PRECISION = "ApproximateCreationDateTimePrecision"


def _table(context: Context, params: Shape) -> Table:
    return registry(context).require_known(context, params["TableName"], "policies")


def enable_kinesis_streaming_destination(context: Context, params: Shape) -> Shape:
    """EnableKinesisStreamingDestination."""
    table, arn = _table(context, params), params["StreamArn"]
    entries = table.kinesis.values()
    if any(entry.status not in _SETTLED for entry in entries):
        broken = STATE if arn in table.kinesis else ONE
        raise validation(
            broken,
            f"{_ENABLE}EnableKinesisStreamingDestination must be DISABLED or ENABLE_FAILED to perform ENABLE "
            "operation.",
        )
    configuration = params.get("EnableKinesisStreamingConfiguration", {})
    entry = table.kinesis[arn] = KinesisDestination(arn, precision=configuration.get(_PRECISION))
    problem, timing = _problem(context, table, arn)

    def settle() -> None:
        entry.status, entry.description = ("ENABLE_FAILED", problem) if problem else ("ACTIVE", "")

    context.world.schedule(context.world.timings.seconds(timing), settle)
    return _answer(table, entry, "EnableKinesisStreamingConfiguration" if configuration else "")


def _problem(context: Context, table: Table, arn: str) -> tuple[str, str]:
    """Why no records will flow to ``arn`` (empty: they will), and after which timing this shows."""
    parts = arn.split(":")
    beginning = "The kinesis Arn used to enable kinesis replication belongs to a stream which is not in "
    if len(parts) > 4 and parts[2] == "kinesis" and parts[3] != table.region:
        return f"{beginning}the current region", "kinesis.failing"
    if parts[2] == "firehose" or (len(parts) > 4 and parts[2] == "kinesis" and parts[4] != table.account):
        return f"{beginning}Active state", "kinesis.failing_slowly"
    stream = context.world.part(KinesisService).find(arn)
    if stream is None or stream.status(context.world.clock.now()) != "ACTIVE":
        return "User does not have a permission to use kinesis stream", "kinesis.failing"
    return "", "kinesis.enabling"


def disable_kinesis_streaming_destination(context: Context, params: Shape) -> Shape:
    """DisableKinesisStreamingDestination."""
    table = _table(context, params)
    if params.get("EnableKinesisStreamingConfiguration"):
        raise validation(PRECISION, "Stream cannot be disabled using EnableKinesisStreamingConfiguration parameters")
    entry = table.kinesis.get(params["StreamArn"])
    if entry is None or entry.status not in ("ACTIVE", "DISABLING"):
        raise validation(STATE, f"{_DISABLE}KinesisStreamingDestination must be ACTIVE to perform DISABLE operation.")
    if entry.status == "ACTIVE":
        seconds = context.world.timings.seconds
        entry.status, entry.precision = "DISABLING", None

        def settle() -> None:
            entry.status = "DISABLED"

        context.world.schedule(seconds("kinesis.disabling"), settle)
    return _answer(table, entry)


def update_kinesis_streaming_destination(context: Context, params: Shape) -> Shape:
    """UpdateKinesisStreamingDestination."""
    table, arn = _table(context, params), params["StreamArn"]
    precision = params.get("UpdateKinesisStreamingConfiguration", {}).get(_PRECISION)
    if precision is None:
        raise validation(
            PRECISION,
            "Streaming destination cannot be updated with given parameters: UpdateKinesisStreamingConfiguration cannot "
            "be null or contain only null values",
        )
    entry = table.kinesis.get(arn)
    if entry is None:
        raise validation(STATE, f"No streaming destination with streamArn: {arn} found for table: {table.name}")
    if entry.status != "ACTIVE":
        raise validation(
            STATE,
            "Kinesis streaming is not in ACTIVE state. Updates are only allowed in ACTIVE state. "
            f"TableName: {table.name}",
        )
    if precision == (entry.precision or "MILLISECOND"):
        raise validation(
            PRECISION,
            f"Invalid Request: Precision is already set to the desired value of {precision} for tableId: "
            f"{table.table_id}, kdsArn: {arn}",
        )
    entry.status, entry.precision = "UPDATING", precision

    def settle() -> None:
        if entry.status == "UPDATING":
            entry.status = "ACTIVE"

    context.world.schedule(context.world.timings.seconds("kinesis.updating"), settle)
    return _answer(table, entry, "UpdateKinesisStreamingConfiguration")


def _answer(table: Table, entry: KinesisDestination, configuration: str = "") -> Shape:
    answer: Shape = {"TableName": table.name, "StreamArn": entry.stream_arn, "DestinationStatus": entry.status}
    if configuration:
        answer[configuration] = {_PRECISION: entry.precision} if entry.precision else {}
    return answer


def describe_kinesis_streaming_destination(context: Context, params: Shape) -> Shape:
    """DescribeKinesisStreamingDestination: entries that ended are listed too."""
    table = _table(context, params)
    shown = []
    for entry in table.kinesis.values():
        each = {"StreamArn": entry.stream_arn, "DestinationStatus": entry.status}
        if table.deleting_at is not None and entry.status in ("ACTIVE", "ENABLING"):
            each["DestinationStatus"] = "UPDATING"
        if entry.description:
            each["DestinationStatusDescription"] = entry.description
        if entry.precision:
            each[_PRECISION] = entry.precision
        shown.append(each)
    return {"TableName": table.name, "KinesisDataStreamDestinations": shown}


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "EnableKinesisStreamingDestination": enable_kinesis_streaming_destination,
    "DisableKinesisStreamingDestination": disable_kinesis_streaming_destination,
    "UpdateKinesisStreamingDestination": update_kinesis_streaming_destination,
    "DescribeKinesisStreamingDestination": describe_kinesis_streaming_destination,
}
