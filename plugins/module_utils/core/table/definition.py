# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table as DescribeTable shows it, normalised: members that AWS leaves out get their meaning here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from ..account import Account
from ..aws_errors import NO_RESOURCE
from ..errors import InvalidInput, MissingTable

BillingMode = Literal["PROVISIONED", "PAY_PER_REQUEST"]
Shape = dict[str, Any]  # a structure of the API, with AWS's own member names

_PROVISIONED = ("ReadCapacityUnits", "WriteCapacityUnits")
_ON_DEMAND = ("MaxReadRequestUnits", "MaxWriteRequestUnits")
_WARM = ("ReadUnitsPerSecond", "WriteUnitsPerSecond")


AS_OF = "AWS's own count, up to 6 hours old"  # of items and bytes in DescribeTable (aws.md G)


@dataclass(frozen=True)
class Index:
    """A secondary index. Local ones have no status and no throughput of their own (measured/indexes-capacity 2)."""

    name: str
    arn: str
    key_schema: tuple[Shape, ...]
    projection: Shape
    status: str = "ACTIVE"
    provisioned_throughput: Shape | None = None
    on_demand_throughput: Shape = field(default_factory=dict)
    warm_throughput: Shape = field(default_factory=dict)
    warm_status: str = "ACTIVE"

    @property
    def key_attributes(self) -> tuple[str, ...]:
        """The names of the index's key attributes, hash keys first."""
        return tuple(key["AttributeName"] for key in self.key_schema)


@dataclass(frozen=True)
class TableDefinition:
    """One table. ``raw`` is DescribeTable's ``Table`` as JSON-safe data; everything else is read from it.

    Absent members mean what they mean to AWS: no billing summary PROVISIONED, no class STANDARD, no ``sse`` the
    AWS-owned key, no ``stream`` off (measured/settings 4.6, measured/indexes-capacity 5.6). ``item_count`` and
    ``size_bytes`` are hours old (aws.md G): good for an estimate only.
    """

    name: str
    arn: str
    table_id: str
    status: str
    attribute_definitions: tuple[Shape, ...]
    key_schema: tuple[Shape, ...]
    billing_mode: BillingMode
    provisioned_throughput: Shape | None
    on_demand_throughput: Shape
    warm_throughput: Shape
    warm_status: str
    global_secondary_indexes: tuple[Index, ...]
    local_secondary_indexes: tuple[Index, ...]
    vector_indexes: tuple[Shape, ...]
    table_class: str
    stream: Shape | None
    stream_arn: str
    sse: Shape | None
    deletion_protection: bool
    replicas: tuple[Shape, ...]
    item_count: int
    size_bytes: int
    raw: Shape = field(repr=False)

    @classmethod
    def read(cls, account: Account, name: str) -> TableDefinition:
        """The table ``name`` of ``account``, by one DescribeTable.

        Raises MissingTable, WrongAccount, AccessDenied, CredentialsError, ServiceError.
        """
        doing = f"describing the table {name}"
        answer = account.ask("dynamodb", "describe_table", doing, name, missing=NO_RESOURCE, TableName=name)
        if answer is None:
            raise MissingTable(
                f"There is no such table in {account.region} of the {account.side} account {account.account_id}.",
                f"Check the name (it is case-sensitive), and the Region and the account of {account.side}.",
                table=name,
                details={"side": account.side, "region": account.region},
            )
        definition = cls.from_dict(answer["Table"])
        account.confirm(definition.arn.split(":")[4])
        return definition

    @classmethod
    def find(cls, account: Account, name: str) -> TableDefinition | None:
        """As ``read``, but None where there is no such table."""
        try:
            return cls.read(account, name)
        except MissingTable:
            return None

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> TableDefinition:
        """From the ``Table`` of DescribeTable, or its whole answer. Raises InvalidInput where a member is missing."""
        raw = json_safe(table.get("Table", table))
        missing = [name for name in ("TableName", "AttributeDefinitions", "KeySchema") if not raw.get(name)]
        if missing:
            raise InvalidInput(
                f"The table definition has no {', '.join(missing)}.",
                "Give the Table of DescribeTable, or the value that this collection returned as table.",
                table=str(raw.get("TableName", "")),
            )
        billing_mode: BillingMode = raw.get("BillingModeSummary", {}).get("BillingMode") or "PROVISIONED"
        warm = raw.get("WarmThroughput", {})
        stream = raw.get("StreamSpecification", {})
        return cls(
            name=raw["TableName"],
            arn=raw.get("TableArn", ""),
            table_id=raw.get("TableId", ""),
            status=raw.get("TableStatus", "ACTIVE"),
            attribute_definitions=tuple(raw["AttributeDefinitions"]),
            key_schema=tuple(raw["KeySchema"]),
            billing_mode=billing_mode,
            provisioned_throughput=_provisioned(raw),
            on_demand_throughput=_on_demand(raw),
            warm_throughput=_only(warm, _WARM),
            warm_status=warm.get("Status", "ACTIVE"),
            global_secondary_indexes=tuple(map(_index, raw.get("GlobalSecondaryIndexes", ()))),
            local_secondary_indexes=tuple(map(_index, raw.get("LocalSecondaryIndexes", ()))),
            vector_indexes=tuple(raw.get("VectorIndexes", ())),
            table_class=raw.get("TableClassSummary", {}).get("TableClass") or "STANDARD",
            stream=_only(stream, ("StreamEnabled", "StreamViewType")) if stream.get("StreamEnabled") else None,
            stream_arn=raw.get("LatestStreamArn", "") if stream.get("StreamEnabled") else "",
            sse=dict(raw["SSEDescription"])
            if raw.get("SSEDescription", {}).get("Status", "DISABLED") != "DISABLED"
            else None,
            deletion_protection=bool(raw.get("DeletionProtectionEnabled")),
            replicas=tuple(raw.get("Replicas", ())),
            item_count=int(raw.get("ItemCount", 0)),
            size_bytes=int(raw.get("TableSizeBytes", 0)),
            raw=raw,
        )

    def to_dict(self) -> Shape:
        """The ``Table`` of DescribeTable as JSON-safe data; ``from_dict`` takes it back."""
        return self.raw

    @property
    def key_attributes(self) -> tuple[str, ...]:
        """The names of the table's key attributes, hash key first."""
        return tuple(key["AttributeName"] for key in self.key_schema)

    @property
    def account_id(self) -> str:
        """The account in the ARN."""
        return self.arn.split(":")[4] if self.arn else ""

    @property
    def region(self) -> str:
        """The Region in the ARN."""
        return self.arn.split(":")[3] if self.arn else ""

    @property
    def kms_key_arn(self) -> str:
        """The ARN of the KMS key, customer managed or AWS managed; "" for the AWS-owned key."""
        return str((self.sse or {}).get("KMSMasterKeyArn", ""))

    def index(self, name: str) -> Index | None:
        """The global secondary index ``name``, None where there is none."""
        return next((index for index in self.global_secondary_indexes if index.name == name), None)

    def without_indexes(self, names: Iterable[str]) -> TableDefinition:
        """The table without these global secondary indexes, and without the attributes that only they use."""
        left_out = set(names)
        if not left_out:
            return self
        kept = [index for index in self.raw.get("GlobalSecondaryIndexes", ()) if index["IndexName"] not in left_out]
        used = {*self.key_attributes}
        for index in (*kept, *self.raw.get("LocalSecondaryIndexes", ())):
            used |= {key["AttributeName"] for key in index["KeySchema"]}
        for index in self.vector_indexes:
            used |= {key["AttributeName"] for key in index.get("SearchSchema", ())}
        gone = {
            name
            for index in self.global_secondary_indexes
            if index.name in left_out
            for name in index.key_attributes
            if name not in used
        }
        attributes = [entry for entry in self.attribute_definitions if entry["AttributeName"] not in gone]
        return TableDefinition.from_dict(
            {**self.raw, "AttributeDefinitions": attributes, "GlobalSecondaryIndexes": kept}
        )

    def attributes_of(self, names: Iterable[str]) -> list[Shape]:
        """The definitions of these attributes only, each once. Raises InvalidInput when one is not defined."""
        defined = {entry["AttributeName"]: entry["AttributeType"] for entry in self.attribute_definitions}
        distinct = dict.fromkeys(names)
        unknown = sorted(set(distinct) - set(defined))
        if unknown:
            raise InvalidInput(
                f"The table definition does not define the key attributes {', '.join(unknown)}.",
                "Give the definition as DescribeTable returns it.",
                table=self.name,
            )
        return [{"AttributeName": name, "AttributeType": defined[name]} for name in distinct]

    @property
    def busy(self) -> str:
        """What AWS is still changing, as text; "" when the table is settled.

        TableStatus ACTIVE is not idle: encryption, warm throughput and backfills run beside it
        (measured/indexes-capacity 5.2).
        """
        parts = [("the table", self.status)]
        parts += [(f"index {index.name}", index.status) for index in self.global_secondary_indexes]
        parts += [
            (f"vector index {index.get('IndexName')}", index.get("IndexStatus", "ACTIVE"))
            for index in self.vector_indexes
        ]
        parts += [("warm throughput", self.warm_status)]
        parts += [(f"warm throughput of {index.name}", index.warm_status) for index in self.global_secondary_indexes]
        parts += [("encryption", {"ENABLED": "ACTIVE"}.get(status, status)) for status in [self._sse_status] if status]
        return ", ".join(f"{what} is {status}" for what, status in parts if status != "ACTIVE")

    @property
    def _sse_status(self) -> str:
        return str((self.sse or {}).get("Status", ""))


def json_safe(value: Any) -> Any:
    """``value`` of a botocore answer as plain JSON data: times as ISO 8601, without ResponseMetadata."""
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items() if key != "ResponseMetadata"}
    if isinstance(value, (list, tuple)):
        return [json_safe(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _only(shape: Mapping[str, Any], members: Sequence[str]) -> Shape:
    return {name: shape[name] for name in members if shape.get(name) is not None}


def _provisioned(shape: Mapping[str, Any]) -> Shape | None:
    """Capacity units, None where there are none: on-demand shows 0/0, which no call takes back."""
    throughput = _only(shape.get("ProvisionedThroughput", {}), _PROVISIONED)
    return throughput if any(throughput.values()) else None


def _on_demand(shape: Mapping[str, Any]) -> Shape:
    """On-demand maxima; -1 means none and is left out (measured/indexes-capacity 1)."""
    maxima = _only(shape.get("OnDemandThroughput", {}), _ON_DEMAND)
    return {name: value for name, value in maxima.items() if value != -1}


def _index(shape: Mapping[str, Any]) -> Index:
    warm = shape.get("WarmThroughput", {})
    return Index(
        name=shape["IndexName"],
        arn=shape.get("IndexArn", ""),
        key_schema=tuple(shape["KeySchema"]),
        projection=_only(shape.get("Projection", {}), ("ProjectionType", "NonKeyAttributes")),
        status=shape.get("IndexStatus", "ACTIVE"),
        provisioned_throughput=_provisioned(shape),
        on_demand_throughput=_on_demand(shape),
        warm_throughput=_only(warm, _WARM),
        warm_status=warm.get("Status", "ACTIVE"),
    )
