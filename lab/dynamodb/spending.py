# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a call of the data plane costs in capacity units, and how its answer says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lab.dynamodb.model import Index, Shape, Table
from lab.dynamodb.store import Row, segment_bounds
from lab.dynamodb.values import Item, item_size
from lab.dynamodb.words import belief

ITEM_BY_ITEM = belief(
    "test_spending", "reads-cost-by-item",
    "GetItem and BatchGetItem cost a unit for each 4096 bytes begun of each item, half of it when read eventually, "
    "whatever is projected; an absent item costs as an empty one",
    "ScyllaDB's tests, which run on AWS: alternator/test_returnconsumedcapacity.py; AWS developer guide, Read "
    "consistency and capacity (absent items)",
)  # fmt: skip
LARGER_OF_BOTH = belief(
    "test_spending", "writes-cost-the-larger-item",
    "A write costs a unit for each 1024 bytes begun of the old or the new item, whichever is larger, in batches too",
    "ScyllaDB's tests, which run on AWS: alternator/test_returnconsumedcapacity.py",
)  # fmt: skip
INDEX_WRITES = belief(
    "test_spending", "index-writes-cost",
    "An index that a write changes costs by what it projects: once, or twice where the entry moves to another key",
    "AWS developer guide, Using Global Secondary Indexes: write capacity",
)  # fmt: skip
SCANNED_PARTITIONS = belief(
    "test_spending", "scans-cost-by-partition",
    "A Scan of a tiny on-demand table costs 4 units, 2 read eventually: the lab says, one for each of four partitions",
    "tests of others that ran on AWS, second-hand; why it is so is a guess", confirmed=False,
)  # fmt: skip
TWICE = belief(
    "test_spending", "transactions-cost-twice",
    "Reads and writes of a transaction cost twice those of single items",
    "AWS developer guide, Managing complex workflows with transactions",
)  # fmt: skip

_PARTITIONS = 4  # of an on-demand table that never had more to do
_READ_BYTES, _WRITE_BYTES = 4096, 1024


@dataclass
class Spent:
    """Capacity units of the table itself and of its indexes by name."""

    table: float = 0.0
    indexes: dict[str, float] = field(default_factory=dict)

    def add(self, other: Spent, factor: float = 1.0) -> None:
        """Add ``factor`` times another's units."""
        self.table += other.table * factor
        for name, units in other.indexes.items():
            self.indexes[name] = self.indexes.get(name, 0.0) + units * factor


def read_units(size: int, consistent: bool) -> float:
    """Read units that ``size`` bytes cost."""
    return max(1, -(-size // _READ_BYTES)) * (1.0 if consistent else 0.5)


def _write_units(*sizes: int) -> float:
    return float(max(1, -(-max(sizes) // _WRITE_BYTES)))


def read(units: float, index: Index | None, fetched: float = 0.0) -> Spent:
    """What a page cost: ``units`` on the table or the index, ``fetched`` on the table behind a local index."""
    return Spent(units) if index is None else Spent(fetched, {index.name: units})


def scan_units(table: Table, rows: Sequence[Row], start: bytes, end: bytes, consistent: bool) -> float:
    """What a page of Scan cost that read ``rows`` and went from the key ``start`` to ``end``."""
    size = sum(row.size for row in rows)
    if table.billing.mode != "PAY_PER_REQUEST":
        return read_units(size, consistent)
    units = 0.0
    for lower, upper in (segment_bounds(number, _PARTITIONS) for number in range(_PARTITIONS)):
        if start < upper and lower < end:
            units += read_units(sum(row.size for row in rows if lower <= row.key < upper), consistent)
    return units


def written(table: Table, old: Item | None, new: Item | None) -> Spent:
    """What a write cost that found ``old`` and left ``new`` (None: no item)."""
    spent = Spent(_write_units(*(item_size(item) if item is not None else 0 for item in (old, new))))
    before, after = table.store.index_entries(old), table.store.index_entries(new)
    for name in sorted(before.keys() | after.keys()):
        there, here = before.get(name), after.get(name)
        if there is None or here is None or there[0] != here[0]:
            spent.indexes[name] = sum(_write_units(entry[2]) for entry in (there, here) if entry is not None)
        elif there[1] != here[1]:
            spent.indexes[name] = _write_units(there[2], here[2])
    return spent


def consumed_capacity(params: Shape, table: Table, spent: Spent | Callable[[], Spent]) -> Shape | None:
    """ConsumedCapacity as asked for: None, the sum, or with its parts. ``spent`` may be reckoned when asked for."""
    detail = params.get("ReturnConsumedCapacity", "NONE")
    if detail == "NONE":
        return None
    units = spent if isinstance(spent, Spent) else spent()
    consumed: Shape = {"TableName": table.name, "CapacityUnits": units.table + sum(units.indexes.values())}
    if detail == "INDEXES":
        consumed["Table"] = {"CapacityUnits": units.table}
        for name, part in units.indexes.items():
            kind = "GlobalSecondaryIndexes" if table.indexes[name].is_global else "LocalSecondaryIndexes"
            consumed.setdefault(kind, {})[name] = {"CapacityUnits": part}
    return consumed
