# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DynamoDB and DynamoDB Streams behind the gate: every operation with its handler and the permissions it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from lab.dynamodb import (
    batches,
    continuous_backups,
    contributor_insights,
    export,
    imports,
    items,
    kinesis_destination,
    limits,
    reading,
    resource_policy,
    tables,
    tags,
    time_to_live,
    timings,
    transactions,
    update,
)
from lab.dynamodb.address import TABLE_ARN, address, check_named, check_table_name
from lab.dynamodb.model import Shape, Stream, Table
from lab.dynamodb.registry import TableRegistry
from lab.dynamodb.streams import OUTLIVES
from lab.dynamodb.words import belief
from lab.errors import AwsError
from lab.messages import AuthorizationRequest
from lab.partitions import partition_of
from lab.services.kms import KmsService
from lab.services.paging import page
from lab.world import Context, World

ACTION_PER_TABLE = belief(
    "test_service", "permission-per-table",
    "An operation needs its action on the table's ARN, a query of an index on the index's, a batch on every table",
    "AWS service authorization reference, DynamoDB; aws.md J",
)  # fmt: skip
ACROSS_ACCOUNTS = belief(
    "test_service", "across-accounts-by-arn",
    "Another account's table is reached by its ARN, by some operations, where its policy and the caller's allow",
    "aws.md J",
)  # fmt: skip
CREATION_PERMISSIONS = belief(
    "test_service", "creation-needs-its-parts",
    "CreateTable with tags needs TagResource too, with a resource policy PutResourcePolicy",
    "aws.md B (service authorization reference)",
)  # fmt: skip

LACKING = belief(
    "test_service", "operations-that-the-lab-lacks",
    "The lab has no PartiQL (ExecuteStatement ..), no backups of DynamoDB's own and no global tables of 2017: their "
    "calls are UnknownOperationException, which AWS never says of them",
    "found in the lab", confirmed=False,
)  # fmt: skip
MANAGED_KEY_STAYS_HOME = belief(
    "test_service", "managed-key-closes-table",
    "A table under the account's aws/dynamodb key is closed to other accounts, whatever its resource policy says",
    "aws.md D, J",
)  # fmt: skip

# aws.md J: what a resource policy may open to other accounts.
_FOREIGN_OPERATIONS = frozenset((
    "GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem",
    "TransactGetItems", "TransactWriteItems", "DescribeTable", "UpdateTable", "DeleteTable", "TagResource",
    "UntagResource", "ListTagsOfResource",
))  # fmt: skip
_WITHOUT_RESOURCE = frozenset(
    ["ListTables", "DescribeLimits", "DescribeEndpoints", "ListExports", "ListImports", "ListContributorInsights"]
)
_ARN_MEMBERS = ("ExportArn", "ImportArn", "ResourceArn", "TableArn")
_TRANSACTION_ACTIONS = {
    "Get": "GetItem", "Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}  # fmt: skip

# Each table's store has a lock of its own; nobody waits for the world's.
_DATA_PLANE = (items, batches, reading, transactions)
_MODULES = (
    tables, update, time_to_live, continuous_backups, tags, resource_policy, contributor_insights, kinesis_destination,
    export, imports, *_DATA_PLANE,
)  # fmt: skip


class DynamoDbService:
    """DynamoDB. ``registry`` holds the tables of all accounts and Regions."""

    name = "dynamodb"
    # The data plane is left out, whose long requests would be read twice.
    before_shape: Mapping[str, Callable[[Shape], None]] = {
        **{name: check_named for module in _MODULES if module not in _DATA_PLANE for name in module.OPERATIONS},
        **dict.fromkeys(tags.OPERATIONS, tags.check_named),
        "ExportTableToPointInTime": export.check_named,
    }

    def __init__(self, world: World) -> None:
        self._world = world
        timings.define(world.timings, world.behaviours)
        world.define_quotas(limits.DEFAULTS)
        self.registry = world.put(TableRegistry(world))
        world.put(transactions.Tokens())
        self._handlers: Mapping[str, Callable[[Context, Shape], Any]] = {
            name: handler for module in _MODULES for name, handler in module.OPERATIONS.items()
        }
        self.locks_itself: frozenset[str] = frozenset(name for module in _DATA_PLANE for name in module.OPERATIONS)
        world.services["dynamodbstreams"] = DynamoDbStreamsService(self.registry)

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any] | bytes:
        """Do ``operation``."""
        handler = self._handlers.get(operation)
        if handler is None:
            raise LACKING.error("UnknownOperationException", f"The lab's DynamoDB has no {operation}.")
        return handler(context, params)  # type: ignore[no-any-return]

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """The permissions that ``operation`` needs; for tables of other accounts their resource policies count."""
        return list(self._needed(context, operation, params))

    def _needed(self, context: Context, operation: str, params: Shape) -> Iterator[AuthorizationRequest]:
        if operation not in self._handlers:
            return  # see LACKING
        if operation in _WITHOUT_RESOURCE:
            yield AuthorizationRequest(f"dynamodb:{operation}", "*")
        elif "RequestItems" in params:
            for table in params["RequestItems"]:
                check_table_name(table)
                yield self._on_table(context, operation, operation, table)
        elif "TransactItems" in params:
            for entry in params["TransactItems"]:
                for kind, shape in entry.items():
                    check_table_name(shape["TableName"])
                    yield self._on_table(context, operation, _TRANSACTION_ACTIONS[kind], shape["TableName"])
        elif operation == "ImportTable":
            name = params["TableCreationParameters"]["TableName"]
            yield AuthorizationRequest("dynamodb:ImportTable", context.arn(f"table/{name}", "dynamodb"))
        elif "TableName" in params:
            check_table_name(params["TableName"])
            yield self._on_table(context, operation, operation, params["TableName"], params.get("IndexName", ""))
            if params.get("Tags"):
                yield self._on_table(context, operation, "TagResource", params["TableName"])
            if "ResourcePolicy" in params:
                yield self._on_table(context, operation, "PutResourcePolicy", params["TableName"])
        else:
            yield self._on_arn(context, operation, next(params[name] for name in _ARN_MEMBERS if name in params))

    def _on_table(
        self, context: Context, operation: str, action: str, table: str, index: str = ""
    ) -> AuthorizationRequest:
        where = address(context, table)
        arn = f"arn:{partition_of(where.region)}:dynamodb:{where.region}:{where.account}:table/{where.name}"
        foreign = where.account != context.account_id
        existing = self.registry.find(*where)
        policy = None
        if existing is not None and not (
            foreign and (operation not in _FOREIGN_OPERATIONS or self._is_managed(existing))
        ):
            policy = existing.policy_enforced()
        return AuthorizationRequest(
            f"dynamodb:{action}", f"{arn}/index/{index}" if index else arn, policy, where.account
        )

    def _on_arn(self, context: Context, operation: str, arn: str) -> AuthorizationRequest:
        match = TABLE_ARN.match(arn)
        policy_call = operation.endswith("ResourcePolicy")
        if (
            match is None
            or match["region"] != context.region
            or (policy_call and match["account"] != context.account_id)
        ):
            # The handler refuses malformed and foreign ones, in its own words.
            return AuthorizationRequest(f"dynamodb:{operation}", arn)
        rest = arn[match.end() :]
        if operation in tags.OPERATIONS and match["account"] != context.account_id:
            # What AWS says here is not what it says elsewhere.
            request = self._on_table(context, operation, operation, arn[: match.end()])
            return replace(request, refusal=lambda _: tags.FOREIGN.error("AccessDeniedException", "Access is denied"))
        if not rest:
            return self._on_table(context, operation, operation, arn)
        if not rest.startswith("/stream/"):
            # Exports, imports and backups are never another account's business.
            return AuthorizationRequest(f"dynamodb:{operation}", arn, None, match["account"])
        table = self.registry.find(match["account"], match["region"], match["name"])
        policy = table.policy_enforced(arn) if table is not None else None
        return AuthorizationRequest(f"dynamodb:{operation}", arn, policy, match["account"])

    def _is_managed(self, table: Table) -> bool:
        """Whether the table is encrypted with its account's aws/dynamodb key."""
        if not table.sse.key_arn:
            return False
        kms = self._world.part(KmsService)
        return table.sse.key_arn == kms.managed_key(table.account, table.region, "dynamodb").arn

    def close(self) -> None:
        """Close the stores of all tables."""
        self.registry.close()


class DynamoDbStreamsService:
    """DynamoDB Streams, as far as settings show them: streams are listed and described, records never kept."""

    name = "dynamodbstreams"
    locks_itself: frozenset[str] = frozenset()

    def __init__(self, registry: TableRegistry) -> None:
        self._registry = registry

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """ListStreams and DescribeStream."""
        if operation == "ListStreams":
            return self._list(context, params)
        if operation == "DescribeStream":
            return {"StreamDescription": self._describe(context, params["StreamArn"])}
        raise AwsError("UnknownOperationException", f"The lab's DynamoDB Streams has no {operation}.")

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """The stream's ARN, or ``*`` for lists."""
        arn = params.get("StreamArn")
        if arn is None:
            return [AuthorizationRequest(f"dynamodb:{operation}", "*")]
        match = TABLE_ARN.match(arn)
        table = self._registry.find(match["account"], match["region"], match["name"]) if match else None
        policy = table.policy_enforced(arn) if table is not None else None
        return [AuthorizationRequest(f"dynamodb:{operation}", arn, policy, match["account"] if match else "")]

    def _list(self, context: Context, params: Shape) -> Shape:
        prefix = context.arn("table/", "dynamodb")
        name = params.get("TableName")
        streams = [
            stream
            for stream in self._registry.streams
            if stream.arn.startswith(prefix) and name in (None, stream.table_name)
        ]
        arns = [stream.arn for stream in streams]
        start = params.get("ExclusiveStartStreamArn")
        token = str(arns.index(start) + 1) if start in arns else None
        shown, following = page(streams, params.get("Limit", 100), token)
        answer: Shape = {
            "Streams": [
                {"StreamArn": stream.arn, "StreamLabel": stream.label, "TableName": stream.table_name}
                for stream in shown
            ]
        }
        return answer | ({"LastEvaluatedStreamArn": shown[-1].arn} if following else {})

    def _describe(self, context: Context, arn: str) -> Shape:
        stream: Stream | None = next((each for each in self._registry.streams if each.arn == arn), None)
        if stream is None:
            raise OUTLIVES.error("ResourceNotFoundException", f"Requested resource not found: Stream: {arn} not found")
        return {
            "StreamArn": stream.arn,
            "StreamLabel": stream.label,
            "StreamStatus": stream.status,
            "StreamViewType": stream.view_type,
            "CreationRequestDateTime": stream.created_at,
            "TableName": stream.table_name,
            "KeySchema": stream.key_schema,
            "Shards": [],
        }
