# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings that UpdateTable changes: encryption, capacity, indexes, class, stream, deletion protection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict
from typing import Any

from .. import sdk
from ..change import Change, NotCarried
from .creation import index_parameters, initial_warm, vector_index_parameters, warm_above
from .definition import Index, Shape, TableDefinition
from .encryption import UNANSWERED, Encryption, classify, map_encryption
from .patient_calls import Caller, Steps
from .setting import Settings, SettingsOptions, TableUpdate, differing, part_of, what


class EncryptionSetting(TableUpdate):
    """The key. Early, so that data has the right key before anything else happens; about 22 s, 4 changes a day
    (measured/settings 2.10). The source's key is never used: the same kind of key, or the one mapped to it."""

    name = "encryption"
    order = 10

    def read(self, caller: Caller) -> Steps[Any]:
        """{kind, key_arn}, {} for the AWS-owned key; one call to KMS when there is another."""
        arn = caller.definition.kms_key_arn
        if not arn:
            return {}
        try:
            answer = yield from caller.call("describe_key", service="kms", KeyId=arn)
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            if sdk.error_code(error) not in UNANSWERED:
                raise
            return asdict(Encryption("unknown", arn))
        return asdict(classify(answer["KeyMetadata"]))

    def of(self, definition: TableDefinition) -> str:
        """The key's ARN; "" for the AWS-owned key."""
        return definition.kms_key_arn

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterator[Change | NotCarried]:
        """Raises MissingKeyMapping."""
        want = map_encryption(
            Encryption(**(source.get(self.name) or {})), options.kms_key_map, destination.definition.name
        )
        have = Encryption(**(destination.get(self.name) or {}))
        if want.kind == "customer" and not _same_key(have.key_arn, want.key_arn):
            yield Change(self.name, asdict(have), asdict(want), "slow")
        if want.kind == "aws_managed" and have.kind == "aws_owned":
            yield Change(self.name, asdict(have), asdict(want), "slow")

    def members(self, change: Change, definition: TableDefinition) -> Shape:
        """SSESpecification."""
        return {"SSESpecification": Encryption(**change.after).specification()}

    def landed(self, definition: TableDefinition, change: Change) -> bool:
        """Whether the table has the key; any KMS key where the change is from the AWS-owned to the AWS-managed key."""
        encryption = Encryption(**change.after)
        return bool(definition.kms_key_arn) and (
            encryption.kind == "aws_managed" or _same_key(definition.kms_key_arn, encryption.key_arn)
        )


def _same_key(arn: str, key: str) -> bool:
    return arn == key or (not key.startswith(("arn:", "alias/")) and arn.endswith(f":key/{key}"))


class BillingMode(TableUpdate):
    """Billing mode and provisioned capacity of table and indexes, in one call as AWS requires.

    Where the mode is right, capacity is compared only where the destination has no auto scaling: there the bounds
    count (measured/policy 7.9). Decreases: 4 a day, then one an hour (measured/indexes-capacity 3).
    """

    name = "billing_mode"
    order = 20

    def of(self, definition: TableDefinition) -> Shape:
        """{mode, capacity: {"": table's, index name: index's}}."""
        parts = {"": definition.provisioned_throughput} | {
            index.name: index.provisioned_throughput for index in definition.global_secondary_indexes
        }
        return {
            "mode": definition.billing_mode,
            "capacity": {name: units for name, units in parts.items() if units},
        }

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterator[Change | NotCarried]:
        """One change with the parts that differ."""
        want, have = self.of(source.definition), self.of(destination.definition)
        table = want["capacity"].get("")
        if want["mode"] != have["mode"]:
            # The same call has to name every index, those that only the destination has too.
            names = ["", *(index.name for index in destination.definition.global_secondary_indexes)]
            capacity = {name: want["capacity"].get(name, table) for name in names} if table else {}
            yield Change(self.name, have, {"mode": want["mode"], "capacity": capacity}, "slow")
            return
        scaled = destination.get("autoscaling") or {}
        capacity = {}
        for part, before, after in differing(want["capacity"], have["capacity"]):
            owner = f"index/{part}" if part else "table"
            mixed = {unit: before[unit] if f"{owner}/{unit}" in scaled else after[unit] for unit in after}
            if mixed != before:
                capacity[part] = mixed
        if capacity:
            before_parts = {part: have["capacity"][part] for part in capacity}
            yield Change(
                self.name,
                {"mode": have["mode"], "capacity": before_parts},
                {"mode": want["mode"], "capacity": capacity},
            )

    def members(self, change: Change, definition: TableDefinition) -> Shape:
        """BillingMode only where it changes; capacity of table and indexes."""
        after = change.after
        members: Shape = {} if definition.billing_mode == after["mode"] else {"BillingMode": after["mode"]}
        if "" in after["capacity"]:
            members["ProvisionedThroughput"] = after["capacity"][""]
        updates = [
            {"Update": {"IndexName": part, "ProvisionedThroughput": units}}
            for part, units in after["capacity"].items()
            if part
        ]
        return members | ({"GlobalSecondaryIndexUpdates": updates} if updates else {})

    def landed(self, definition: TableDefinition, change: Change) -> bool:
        """Whether the table has the mode and every capacity."""
        have = self.of(definition)
        return bool(
            have["mode"] == change.after["mode"] and change.after["capacity"].items() <= have["capacity"].items()
        )


class GlobalSecondaryIndexes(TableUpdate):
    """Indexes that the destination lacks, one at a time: 8 to 17 minutes each even when empty
    (measured/indexes-capacity 5.1). Keys and projection of an existing one cannot be changed, only reported."""

    name = "global_secondary_indexes"
    order = 30

    def of(self, definition: TableDefinition) -> list[str]:
        """The names."""
        return [index.name for index in definition.global_secondary_indexes]

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterator[Change | NotCarried]:
        """A change for each missing index."""
        provisioned = source.definition.billing_mode == "PROVISIONED"
        for index in source.definition.global_secondary_indexes:
            there = destination.definition.index(index.name)
            if there and (there.key_schema, _projection(there)) != (index.key_schema, _projection(index)):
                yield NotCarried(
                    what(self.name, index.name),
                    "the destination's index of this name has other keys or another projection; delete it there to have"
                    " it created again",
                )
            if not there:
                after = {
                    "index": index_parameters(index, provisioned, options.warm_throughput),
                    "attributes": source.definition.attributes_of(index.key_attributes),
                }
                yield Change(what(self.name, index.name), None, after, "slow")

    def members(self, change: Change, definition: TableDefinition) -> Shape:
        """One Create, with the attributes it uses."""
        return {
            "AttributeDefinitions": change.after["attributes"],
            "GlobalSecondaryIndexUpdates": [{"Create": change.after["index"]}],
        }

    def landed(self, definition: TableDefinition, change: Change) -> bool:
        """Whether the index exists; a settled table has it ACTIVE."""
        return definition.index(part_of(change)) is not None


def _projection(index: Index) -> tuple[str, frozenset[str]]:
    return index.projection.get("ProjectionType", ""), frozenset(index.projection.get("NonKeyAttributes", ()))


class VectorIndexes(TableUpdate):
    """Vector indexes that the destination lacks, one at a time, where botocore supports them (1.43.64)."""

    name = "vector_indexes"
    order = 35

    def read(self, caller: Caller) -> Steps[Any]:
        """The definitions by name; None where this botocore does not return them."""
        yield from ()
        update = caller.account.client("dynamodb").meta.service_model.operation_model("UpdateTable")
        return self.of(caller.definition) if "VectorIndexUpdates" in update.input_shape.members else None

    def of(self, definition: TableDefinition) -> dict[str, Shape]:
        """The definitions by name."""
        return {index["IndexName"]: vector_index_parameters(index) for index in definition.vector_indexes}

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterator[Change | NotCarried]:
        """A change for each missing index."""
        want = source.get(self.name)
        if want is None:
            yield NotCarried(
                self.name,
                "the installed botocore does not support vector indexes (1.43.64 does): see whether the table has any",
            )
            return
        have = self.of(destination.definition)
        for name, index in want.items():
            if name not in have:
                yield Change(what(self.name, name), None, index, "slow")
            elif have[name] != index:
                yield NotCarried(what(self.name, name), "the destination's vector index of this name is different")

    def members(self, change: Change, definition: TableDefinition) -> Shape:
        """One Create."""
        return {"VectorIndexUpdates": [{"Create": change.after}]}

    def landed(self, definition: TableDefinition, change: Change) -> bool:
        """Whether the index exists."""
        return part_of(change) in self.of(definition)


class OnDemandThroughput(TableUpdate):
    """Maxima of an on-demand table and its indexes, each on its own (measured/indexes-capacity 3)."""

    name = "on_demand_throughput"
    order = 40

    def of(self, definition: TableDefinition) -> Shape:
        """{"": table's, index name: index's}, {} where there is no maximum anywhere."""
        return _parts(definition, definition.on_demand_throughput, "on_demand_throughput")

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterator[Change | NotCarried]:
        """A change for the table and for each index; a new index brings its own."""
        if source.definition.billing_mode == "PAY_PER_REQUEST":
            yield from self.raised(source, destination)

    def raised(self, source: Settings, destination: Settings) -> Iterator[Change]:
        """The members that differ."""
        have = self.of(destination.definition)
        for part, maxima in self.of(source.definition).items():
            after = {name: value for name, value in maxima.items() if have.get(part, {}).get(name) != value}
            if after and (not part or destination.definition.index(part)):
                before = {name: have.get(part, {}).get(name) for name in after}
                yield Change(what(self.name, part), before, after)

    def members(self, change: Change, definition: TableDefinition) -> Shape:
        """The table's member, or one index Update."""
        return _throughput_members("OnDemandThroughput", change)

    def landed(self, definition: TableDefinition, change: Change) -> bool:
        """Whether each maximum has its value."""
        return bool(change.after.items() <= self.of(definition).get(part_of(change), {}).items())


class WarmThroughput(TableUpdate):
    """Warm throughput above the destination's, unless switched off: it is charged once and never falls
    (measured/indexes-capacity 5.8)."""

    name = "warm_throughput"
    order = 50

    def of(self, definition: TableDefinition) -> dict[str, dict[str, int]]:
        """{"": table's, index name: index's}, what is above that which a new table of this capacity has by itself."""
        parts = {}
        for part, (units, provisioned) in _warm_parts(definition).items():
            bought, once = warm_above(units, provisioned)
            if bought or once:
                parts[part] = {**bought, **once}
        return parts

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterator[Change | NotCarried]:
        """A change for the table and for each index where the source is warmer; a new index brings its own.

        That a provisioned table was on demand once is named only: AWS would charge for what nobody asked for.
        """
        there = _warm_parts(destination.definition)
        for part, (units, provisioned) in _warm_parts(source.definition).items():
            before = _warm(*there[part]) if part in there else {}
            bought, once = (
                {name: value for name, value in wanted.items() if value > before.get(name, 0)}
                for wanted in warm_above(units, provisioned)
            )
            if bought and options.warm_throughput and part not in there:
                pass  # it is created with it
            elif bought and options.warm_throughput:
                yield Change(what(self.name, part), {name: before.get(name) for name in bought}, bought, "billed")
            elif bought:
                reason = f"raising it to {bought} is charged, and warm_throughput is off"
                yield NotCarried(what(self.name, part), reason)
            if once:
                reason = f"{once} only says that the table was on demand once: raise it yourself if you need it"
                yield NotCarried(what(self.name, part), reason)

    def carries(self, source: Settings, left: Collection[str]) -> bool:
        """Unless every part that the source has is left."""
        return any(what(self.name, part) not in left for part in self.of(source.definition))

    def members(self, change: Change, definition: TableDefinition) -> Shape:
        """The table's member, or one index Update."""
        return _throughput_members("WarmThroughput", change)

    def landed(self, definition: TableDefinition, change: Change) -> bool:
        """Whether it is at least as warm."""
        have = _warm(*_warm_parts(definition).get(part_of(change), ({}, None)))
        return all(have.get(name, 0) >= value for name, value in change.after.items())


def _warm_parts(definition: TableDefinition) -> dict[str, tuple[Shape, Shape | None]]:
    """{"": table's, index name: index's} warm throughput and capacity; no capacity on demand."""
    provisioned = definition.billing_mode == "PROVISIONED"
    parts = {"": (definition.warm_throughput, definition.provisioned_throughput)} | {
        index.name: (index.warm_throughput, index.provisioned_throughput)
        for index in definition.global_secondary_indexes
    }
    return {part: (units, capacity if provisioned else None) for part, (units, capacity) in parts.items()}


def _warm(units: Shape, provisioned_throughput: Shape | None) -> dict[str, int]:
    """The warm throughput of a table or index: what DescribeTable shows, or a table yet to be made will have."""
    return {**initial_warm(provisioned_throughput), **units}


def _parts(definition: TableDefinition, table: Shape, attribute: str) -> dict[str, Shape]:
    parts = {"": table} | {index.name: getattr(index, attribute) for index in definition.global_secondary_indexes}
    return {name: units for name, units in parts.items() if units}


def _throughput_members(member: str, change: Change) -> Shape:
    part = part_of(change)
    if not part:
        return {member: change.after}
    return {"GlobalSecondaryIndexUpdates": [{"Update": {"IndexName": part, member: change.after}}]}


class TableClass(TableUpdate):
    """STANDARD_INFREQUENT_ACCESS. 2 changes in 30 days; further ones fail for good (measured/settings 2.7)."""

    name = "table_class"
    order = 60

    def of(self, definition: TableDefinition) -> str:
        """The class; "" for STANDARD."""
        return "" if definition.table_class == "STANDARD" else definition.table_class

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterator[Change | NotCarried]:
        """A change where the source's class is not the default and the destination has another."""
        want = self.of(source.definition)
        if want and want != destination.definition.table_class:
            yield Change(self.name, destination.definition.table_class, want)

    def members(self, change: Change, definition: TableDefinition) -> Shape:
        """TableClass."""
        return {"TableClass": change.after}


class Stream(TableUpdate):
    """The DynamoDB stream. A view type changes only by off and on, which breaks readers: then it is not carried."""

    name = "stream"
    order = 65

    def of(self, definition: TableDefinition) -> Shape | None:
        """StreamSpecification while enabled."""
        return definition.stream

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterable[Change | NotCarried]:
        """A change where the destination has no stream."""
        want, have = source.definition.stream, destination.definition.stream
        if want and have and want != have:
            yield NotCarried(
                self.name,
                f"the destination's stream has the view type {have['StreamViewType']}; changing it means to turn the"
                " stream off and on",
            )
        elif want and not have:
            yield Change(self.name, None, want)

    def members(self, change: Change, definition: TableDefinition) -> Shape:
        """StreamSpecification."""
        return {"StreamSpecification": change.after}


class DeletionProtection(TableUpdate):
    """The last UpdateTable (measured/settings 4.14)."""

    name = "deletion_protection"
    order = 90

    def of(self, definition: TableDefinition) -> bool:
        """Whether it is on."""
        return definition.deletion_protection

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterable[Change | NotCarried]:
        """On where the source has it on."""
        if source.definition.deletion_protection and not destination.definition.deletion_protection:
            yield Change(self.name, False, True)

    def members(self, change: Change, definition: TableDefinition) -> Shape:
        """DeletionProtectionEnabled."""
        return {"DeletionProtectionEnabled": True}
