# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan is made of: what is known of a table and its accounts, and what its user wants. No call is made here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..table.definition import TableDefinition


@dataclass(frozen=True)
class Location:
    """One side of a table: account, Region and partition."""

    account_id: str
    region: str
    partition: str = "aws"

    def __str__(self) -> str:
        return f"{self.account_id}, {self.region}"


@dataclass(frozen=True)
class Wishes:
    """What the user chose, as far as the choice of a method depends on it. Retentions are days.

    ``prepared``: whether the run prepares the accounts, so that what is missing there is made. ``staging`` is the
    bucket that is named; ``recovery`` whether point-in-time recovery may be turned on; ``own_engine``: an engine that
    the user has is named; ``spark_end`` is ``import`` where a Spark job is to end with an import; ``managed``: the
    credentials of the organization's management account are given. Rates are capacity units a second, 0 for no limit.
    """

    transforms: bool = False
    writes_stopped: bool = False
    verify: str = "counts"
    recovery: bool = True
    prepared: bool = True
    staging: str = ""
    leave_indexes: tuple[str, ...] = ()
    indexes_after: tuple[str, ...] = ()
    warm_throughput: bool = True
    own_engine: bool = False
    spark_workers: int = 2
    spark_end: str = ""
    backup_days: int = 7
    copy_days: int = 7
    restore: bool = True
    air_gapped: bool = False
    managed: bool = False
    read_rate: float = 0.0
    write_rate: float = 0.0


@dataclass(frozen=True)
class Sample:
    """What the first items of a table show: how many were read, and of them those that an index does not take, by
    index. ``crowded``: the indexes nearly all of whose items have one key."""

    items: int = 0
    violating: Mapping[str, int] = field(default_factory=dict)
    crowded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Between:
    """What a method finds out about a pair of accounts: why it cannot move tables between them, and what the user
    should know or do first."""

    reasons: tuple[Reason, ...] = ()
    to_do: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reason:
    """Why something is not possible: the ``rule`` by its name, in words, and what to do about it."""

    rule: str
    why: str
    next_step: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON-safe data."""
        return {"rule": self.rule, "why": self.why, "next_step": self.next_step}


@dataclass(frozen=True)
class TableFacts:
    """One table: its definition in the source, both places, and what the user wants.

    ``recovery_on`` is None where it could not be asked. ``tags`` counts the table's own tags, None where unknown.
    ``key`` is whose the table's key is: ``owned`` (AWS's own, free), ``managed`` by AWS, or a ``customer``'s.
    ``taken``: what stands under the name in the destination that is not ours, "" for nothing.
    """

    definition: TableDefinition
    source: Location
    destination: Location
    made_table: str
    wishes: Wishes = field(default_factory=Wishes)
    recovery_on: bool | None = None
    tags: int | None = None
    key: str = "owned"
    mapped_key: bool = True
    sample: Sample = field(default_factory=Sample)

    @property
    def size(self) -> int:
        """Bytes of the table with its local secondary indexes, which DescribeTable counts apart."""
        indexes = self.definition.raw.get("LocalSecondaryIndexes", ())
        return self.definition.size_bytes + sum(int(index.get("IndexSizeBytes", 0)) for index in indexes)

    def grown(self, size: int, items: int, *, indexes: bool) -> TableFacts:
        """With so many bytes and items more, in the indexes too where these are to grow with the table."""
        raw = dict(self.definition.raw)
        raw["TableSizeBytes"] = self.definition.size_bytes + size
        raw["ItemCount"] = self.definition.item_count + items
        for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes") if indexes else ():
            raw[kind] = [
                {**index, "IndexSizeBytes": index.get("IndexSizeBytes", 0) + size,
                 "ItemCount": index.get("ItemCount", 0) + items}
                for index in raw.get(kind) or ()
            ]  # fmt: skip
        return replace(self, definition=TableDefinition.from_dict(raw))

    @property
    def same_account(self) -> bool:
        """Whether both places are in one account."""
        return self.source.account_id == self.destination.account_id

    @property
    def crosses_partitions(self) -> bool:
        """Whether the places are in two partitions of AWS."""
        return self.source.partition != self.destination.partition

    @property
    def crosses_regions(self) -> bool:
        """Whether the places are in two Regions."""
        return self.source.region != self.destination.region
