# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of all accounts and Regions: finding one, bringing one into being, and letting it go.

Other parts of the lab use ``TableRegistry`` only: ``find`` for the data plane, ``check_import`` and
``create_from_import`` for ImportTable, ``resolve`` for names that may be ARNs.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from lab.caller import Context
from lab.dynamodb import creation
from lab.dynamodb import encryption as encryption_at_rest
from lab.dynamodb.address import Address, address, registry
from lab.dynamodb.model import (
    ON_DEMAND_WARM,
    Billing,
    Encryption,
    Index,
    Origin,
    PointInTimeRecovery,
    Shape,
    Stream,
    Table,
    TableClass,
    Tags,
    Throughput,
    Warm,
)
from lab.dynamodb.store import TableStore
from lab.dynamodb.words import belief, not_found

if TYPE_CHECKING:
    from lab.dynamodb.jobs import Export, Import
    from lab.world import World

__all__ = ["Address", "TableRegistry", "address", "new_index", "registry", "warm_units"]

# Members of CreateTable and of its indexes that say what a table may do in a second.
CAPACITY = ("ProvisionedThroughput", "OnDemandThroughput")
# The calls of one family learn of a new table, and forget a deleted one, at the same moment.
Family = Literal["settings", "backups", "policies", "tags"]

NOT_FOUND = belief(
    "test_tables", "table-not-found",
    "A missing table is HTTP 400: ResourceNotFoundException, TableNotFoundException in the backup family",
    "measured/import-export-table 1.1",
)  # fmt: skip
BORN_SEPARATELY = belief(
    "test_tables", "backends-learn-separately",
    "After CreateTable, settings, backups, policies and tags do not know the table for their own first seconds",
    "measured/settings 2.3, measured/import-export-table 1.7",
)  # fmt: skip
FORGOTTEN_SEPARATELY = belief(
    "test_tables", "backends-forget-separately",
    "While a table is DELETING, its settings are still answered for a while, each family for its own time",
    "measured/settings 2.3, measured/import-export-table 1.9",
)  # fmt: skip


class TableRegistry:
    """Every table of the world. Callers hold ``world.lock``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._tables: dict[Address, Table] = {}
        self._stores: list[TableStore] = []
        # Every stream there ever was: they outlive their tables (measured/settings 2.9).
        self.streams: list[Stream] = []
        # So do exports and imports (measured/import-export-table 1.4, 1.7).
        self.exports: list[Export] = []
        self.imports: list[Import] = []

    # Finding

    def find(self, account: str, region: str, name: str, visible_only: bool = True) -> Table | None:
        """The table of that name, in whatever status, or None.

        A table is visible once it exists for DescribeTable; with ``visible_only`` False those of running imports that
        were registered early are found too.
        """
        table = self._tables.get(Address(account, region, name))
        if table is None or (visible_only and self.world.clock.now() < table.created_at):
            return None
        return table

    def resolve(self, context: Context, table: str) -> Table | None:
        """The table that a request names by ``table``, a name or an ARN; None where there is none."""
        return self.find(*address(context, table))

    def require(self, context: Context, name: str) -> Table:
        """As ``resolve``, but ResourceNotFoundException where there is no table."""
        table = self.resolve(context, name)
        if table is None:
            raise not_found(NOT_FOUND, f"Table: {address(context, name).name}")
        return table

    def require_known(self, context: Context, name: str, family: Family) -> Table:
        """The table as ``family`` knows it, or that family's not-found (measured/settings 2.3)."""
        table = self.resolve(context, name)
        rule = NOT_FOUND if table is None else BORN_SEPARATELY if table.deleting_at is None else FORGOTTEN_SEPARATELY
        if table is not None and self.knows(table, family):
            return table
        if family == "backups":
            raise rule.error("TableNotFoundException", f"Table not found: {name}")
        if family == "tags":
            raise not_found(rule, f"ResourceArn: {name}")
        raise not_found(rule, f"Table: {address(context, name).name}")

    def knows(self, table: Table, family: Family) -> bool:
        """Whether the backend of ``family`` knows the table: not at first, and no more soon after DeleteTable."""
        now = self.world.clock.now()
        seconds = self.world.timings.seconds
        if table.deleting_at is not None:
            return now < table.deleting_at + seconds(f"table.forgotten.{family}")
        if now >= table.active_at:
            return True
        if table.origin == "create":
            return now >= table.created_at + seconds(f"table.born.{family}")
        return table.origin == "import" and family != "tags"

    def all(self, account: str, region: str) -> list[Table]:
        """The visible tables of an account and Region, in byte order of their names."""
        now = self.world.clock.now()
        found = [
            table for where, table in self._tables.items() if where[:2] == (account, region) and table.created_at <= now
        ]
        return sorted(found, key=lambda table: table.name.encode())

    def __iter__(self) -> Iterator[Table]:
        return iter(tuple(self._tables.values()))

    # Coming into being

    def check_import(self, context: Context, parameters: Shape) -> None:
        """Refuse TableCreationParameters as ImportTable does at the call: shapes, capacity, key, existing name."""
        creation.check(context, parameters)
        creation.refuse_existing(context, parameters["TableName"])

    def create_from_import(
        self, context: Context, parameters: Shape, table_id: str, *, visible_after: float = 0.0
    ) -> Table:
        """The table of an import, CREATING until ``activate``; ``parameters`` are the checked TableCreationParameters.

        ``visible_after`` seconds from now DescribeTable finds it. An import that does not own its name until then
        creates the table only when it becomes visible. ResourceInUseException when the name is taken by then.
        """
        creation.refuse_existing(context, parameters["TableName"])
        return self.create(context, parameters, origin="import", table_id=table_id, visible_after=visible_after)

    def create(
        self,
        context: Context,
        parameters: Shape,
        *,
        origin: Origin,
        encryption: Encryption | None = None,
        table_id: str = "",
        visible_after: float = 0.0,
        active_after: float = math.inf,
    ) -> Table:
        """Register the table that checked ``parameters`` describe, CREATING for ``active_after`` seconds.

        An infinite ``active_after`` leaves it CREATING until ``activate``.
        """
        where = address(context, parameters["TableName"])
        if self.find(*where, visible_only=False) is not None:
            raise creation.EXISTS.error("ResourceInUseException", f"Table already exists: {where.name}")
        if encryption is None:
            encryption = encryption_at_rest.resolve(context, parameters.get("SSESpecification"))
        table_id = table_id or str(uuid.UUID(int=self.world.random.getrandbits(128), version=4))
        now = self.world.clock.now()
        definitions = sorted(parameters["AttributeDefinitions"], key=lambda each: each["AttributeName"])
        store = TableStore(
            self.world.data_directory / "dynamodb" / table_id,
            parameters["KeySchema"],
            parameters["AttributeDefinitions"],
        )
        self._stores.append(store)
        table = Table(
            account=where.account,
            region=where.region,
            name=where.name,
            table_id=table_id,
            created_at=now + visible_after,
            origin=origin,
            key_schema=parameters["KeySchema"],
            attribute_definitions=definitions,
            billing=_billing(parameters, now),
            store=store,
            pitr=PointInTimeRecovery(self.world.timings),
            encryption=encryption,
            counted=(now, 0, 0),
        )
        table.table_class = TableClass(parameters.get("TableClass", "STANDARD"), shown="TableClass" in parameters)
        table.protection.enabled = parameters.get("DeletionProtectionEnabled", False)
        table.tagging = Tags(current={tag["Key"]: tag["Value"] for tag in parameters.get("Tags", ())})
        for kind, member in (("global", "GlobalSecondaryIndexes"), ("local", "LocalSecondaryIndexes")):
            for shape in parameters.get(member, ()):
                index = new_index(table, shape, kind)  # type: ignore[arg-type]
                table.indexes[index.name] = index
                store.add_index(index.name, index.key_schema, index.projection)
        table.first_capacity = {
            shape.get("IndexName", ""): {name: shape[name] for name in CAPACITY if name in shape}
            for shape in (parameters, *parameters.get("GlobalSecondaryIndexes", ()))
        }
        table.vector_indexes = [dict(shape) for shape in parameters.get("VectorIndexes", ())]
        self._tables[where] = table
        if active_after != math.inf:
            table.active_at = now + active_after
            self.world.schedule(active_after, lambda: self.activate(table))
        return table

    def activate(self, table: Table) -> None:
        """Make a table that is CREATING ACTIVE, its indexes and stream with it (measured/indexes-capacity 1)."""
        if table.deleting_at is not None:
            return
        table.active_at = min(table.active_at, self.world.clock.now())
        table.tagging.readable = dict(table.tagging.current)
        for index in table.global_indexes:
            index.status = "ACTIVE"
        for stream in table.streams:
            stream.status = "ENABLED"

    # Going

    def delete(self, table: Table) -> None:
        """Start DELETING; after ``table.deleting`` seconds the name is free. Running jobs still read the items."""
        table.deleting_at = self.world.clock.now()
        for stream in table.streams:
            if stream.status != "DISABLED":
                stream.status = "DISABLING"
        self.world.schedule(self.world.timings.seconds("table.deleting"), lambda: self._forget(table))

    def _forget(self, table: Table) -> None:
        table.gone = True
        for stream in table.streams:
            stream.status = "DISABLED"
        where = Address(table.account, table.region, table.name)
        if self._tables.get(where) is table:
            del self._tables[where]

    def close(self) -> None:
        """Close every table's store, those of deleted tables too."""
        for store in self._stores:
            store.close()


def new_index(table: Table, shape: Shape, kind: Literal["global", "local"]) -> Index:
    """An index, CREATING, from a member of CreateTable or of a Create action."""
    projection = dict(shape["Projection"])
    if "NonKeyAttributes" in projection:
        projection["NonKeyAttributes"] = sorted(projection["NonKeyAttributes"])
    return Index(
        name=shape["IndexName"],
        arn=f"{table.arn}/index/{shape['IndexName']}",
        kind=kind,
        key_schema=shape["KeySchema"],
        projection=projection,
        throughput=Throughput.of(shape.get("ProvisionedThroughput")),
        on_demand=dict(shape.get("OnDemandThroughput", {})),
        warm=Warm(warm_units(table.billing.mode, shape)),
    )


def warm_units(mode: str, shape: Shape) -> Shape:
    """Warm throughput of a new table or index: what was asked for, over what its mode gives by itself."""
    capacity = shape.get("ProvisionedThroughput", {})
    given = dict(ON_DEMAND_WARM)
    if mode == "PROVISIONED":
        given = {
            "ReadUnitsPerSecond": capacity.get("ReadCapacityUnits", 0),
            "WriteUnitsPerSecond": capacity.get("WriteCapacityUnits", 0),
        }
    return {**given, **shape.get("WarmThroughput", {})}


def _billing(parameters: Shape, now: float) -> Billing:
    mode = parameters.get("BillingMode", "PROVISIONED")
    return Billing(
        mode=mode,
        throughput=Throughput.of(parameters.get("ProvisionedThroughput")),
        on_demand=dict(parameters.get("OnDemandThroughput", {})),
        warm=Warm(warm_units(mode, parameters)),
        switched_to_on_demand=now if mode == "PAY_PER_REQUEST" else None,
    )
