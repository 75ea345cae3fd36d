# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of all accounts and Regions: finding one, making it ACTIVE, and deleting it.

Other parts of the lab use ``TableRegistry`` only: ``find`` for the data plane, ``resolve`` for names that may be ARNs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from lab.dynamodb.address import Address, address
from lab.dynamodb.jobs import Export, Import
from lab.dynamodb.model import Stream, Table
from lab.dynamodb.store import TableStore
from lab.dynamodb.words import belief, not_found
from lab.world import Context, World

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
DELETED_UNDER_EXPORT = belief(
    "test_export", "delete-under-an-export",
    "A running export does not block DeleteTable, it is DELETING three times as long, and the export has its items",
    "measured/import-export-table 1.5, 2 [EXPORT-013]",
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
        """Whether the backend of ``family`` knows the table: not at first, and no longer soon after DeleteTable."""
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
        tables = [
            table for where, table in self._tables.items() if where[:2] == (account, region) and table.created_at <= now
        ]
        return sorted(tables, key=lambda table: table.name.encode())

    def __iter__(self) -> Iterator[Table]:
        return iter(tuple(self._tables.values()))

    # Coming into being

    def add(self, table: Table) -> None:
        """Register a new table under its name."""
        self._tables[Address(table.account, table.region, table.name)] = table
        self._stores.append(table.store)

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
        exporting = any(export.running and export.table is table for export in self.exports)
        timing = "table.deleting_under_export" if exporting else "table.deleting"
        self.world.schedule(self.world.timings.seconds(timing), lambda: self._forget(table))

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


def registry(context: Context) -> TableRegistry:
    """The tables of the world that ``context`` belongs to."""
    return context.world.part(TableRegistry)
