# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is admitted on a table while something is under way on it (measured/settings 2.2, indexes-capacity 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from lab.dynamodb.model import Table
from lab.dynamodb.words import belief, in_use

ADMITTED = belief(
    "test_update", "admitted-while-running",
    "What is under way refuses some changes as ResourceInUseException, each in its own words, and admits the rest",
    "measured/settings 2.2, measured/indexes-capacity 2",
)  # fmt: skip
NOT_MEASURED = belief(
    "test_update", "updating-refuses-unmeasured",
    "Changes that nobody measured beside one that makes the table UPDATING are ResourceInUseException",
    "aws.md G (UpdateTable: while UPDATING no further UpdateTable)", confirmed=False,
)  # fmt: skip

Running = Literal[
    "throughput", "to_provisioned", "to_on_demand", "stream", "class", "encryption", "warm",
    "index_allocating", "index_backfilling", "index_deleting", "index_updating",
]  # fmt: skip
Change = Literal[
    "throughput", "billing", "on_demand", "warm", "stream", "class", "encryption", "index_create", "index_delete",
    "delete_table",
]  # fmt: skip

_IOPS = "Table IOPS are currently being updated. Table: {table}"
_IOPS_STREAM = "Can't enable or disable stream while table IOPS are being updated. Table: {table}"
_IOPS_INDEX = "Can't create or delete indexes while table IOPS are being updated. Table: {table}"
_BEING_UPDATED = "Table: {table} is in the process of being updated."
_INDEXES_BUSY = "Cannot delete table while indexes are being created, updated, or deleted."
_BILLING = "OnDemandThroughput cannot be updated while BillingMode update is in progress"

# (what runs, what is requested): the text of the refusal. ``{target}`` is the class to come, ``{indexes}`` the indexes.
_REFUSED: Mapping[tuple[Running, Change], str] = {
    ("throughput", "throughput"): _IOPS,
    ("throughput", "billing"): _IOPS,
    ("throughput", "stream"): _IOPS_STREAM,
    ("throughput", "index_create"): _IOPS_INDEX,
    ("throughput", "index_delete"): _IOPS_INDEX,
    ("throughput", "delete_table"): _BEING_UPDATED,
    ("to_provisioned", "throughput"): _IOPS,
    ("to_provisioned", "on_demand"): _BILLING,
    ("to_provisioned", "stream"): _IOPS_STREAM,
    ("to_provisioned", "index_create"): _IOPS_INDEX,
    ("to_provisioned", "index_delete"): _IOPS_INDEX,
    ("to_provisioned", "delete_table"): _BEING_UPDATED,
    ("to_on_demand", "throughput"): _IOPS,
    ("to_on_demand", "billing"): _IOPS,
    ("to_on_demand", "on_demand"): _BILLING,
    ("to_on_demand", "stream"): _IOPS_STREAM,
    ("to_on_demand", "index_create"): _IOPS_INDEX,
    ("to_on_demand", "index_delete"): _IOPS_INDEX,
    ("to_on_demand", "delete_table"): _BEING_UPDATED,
    ("stream", "on_demand"): "OnDemandThroughput cannot be updated while stream status update is in progress",
    ("stream", "stream"): "Can't change stream status when stream status is being updated. Table: {table}",
    ("stream", "class"): "Can't update table class when stream status is being updated. Table: {table}",
    ("stream", "index_create"): "Can't create or delete an index when stream status is being updated.",
    ("stream", "index_delete"): "Can't create or delete an index when stream status is being updated.",
    ("stream", "delete_table"): "Cannot delete table while stream is being enabled/disabled.",
    ("class", "on_demand"): "OnDemandThroughput cannot be updated while TableClass update is in progress. "
    "TableClassUpdateInProgress: {target}",
    ("class", "stream"): "Can't change stream status when a table class update is in progress. Table: {table} "
    "TableClassUpdateInProgress: {target}",
    ("class", "class"): "Can't update table class when a table class update is in progress. Table: {table} "
    "TableClassUpdateInProgress: {target}",
    ("class", "index_create"): "Can't create or delete an index when a table class update is in progress.",
    ("class", "index_delete"): "Can't create or delete an index when a table class update is in progress.",
    ("class", "delete_table"): _BEING_UPDATED,
    ("encryption", "delete_table"): _BEING_UPDATED,
    ("warm", "delete_table"): _BEING_UPDATED,
    ("index_allocating", "throughput"): "Can't change table IOPS when an index is being created. Table: {table} "
    "Indexes: [{indexes}]",
    ("index_allocating", "on_demand"): "OnDemandThroughput cannot be updated while index creation is in progress for "
    "indexes: [{indexes}]",
    ("index_allocating", "stream"): "Can't change stream status when an index is being created",
    ("index_allocating", "delete_table"): _INDEXES_BUSY,
    ("index_backfilling", "delete_table"): _INDEXES_BUSY,
    ("index_deleting", "throughput"): "Can't change table IOPS when an index is being deleted. Table: {table} "
    "Indexes: [{indexes}]",
    ("index_deleting", "billing"): "Can't change table IOPS when an index is being deleted. Table: {table} "
    "Indexes: [{indexes}]",
    ("index_deleting", "on_demand"): "OnDemandThroughput cannot be updated while index deletion is in progress for "
    "indexes: [{indexes}]",
    ("index_deleting", "delete_table"): _INDEXES_BUSY,
    ("index_updating", "delete_table"): _INDEXES_BUSY,
}  # fmt: skip

# Measured as admitted (or answered elsewhere in words of their own) although TableStatus is UPDATING.
_ADMITTED: frozenset[tuple[Running, Change]] = frozenset({
    ("to_provisioned", "billing"), ("to_provisioned", "warm"), ("to_on_demand", "warm"), ("stream", "warm"),
    ("class", "warm"), ("index_allocating", "warm"),
    ("index_allocating", "index_create"), ("index_allocating", "index_delete"),
    ("index_deleting", "index_create"), ("index_deleting", "index_delete"),
    *((running, "encryption") for running in (
        "throughput", "to_provisioned", "to_on_demand", "stream", "class", "index_allocating", "index_deleting",
    )),
})  # fmt: skip
_UPDATING: frozenset[Running] = frozenset(
    {"throughput", "to_provisioned", "to_on_demand", "stream", "class", "index_allocating", "index_deleting"}
)


class UnderWay(NamedTuple):
    """Something that runs. ``names`` are the indexes concerned, ``target`` is the new value."""

    kind: Running
    names: tuple[str, ...] = ()
    target: str = ""


def under_way(table: Table) -> Iterator[UnderWay]:
    """What runs on the table and its indexes now."""
    for job in table.jobs.values():
        yield UnderWay(job.kind, target=str(job.target))
    states: dict[Running, list[str]] = {}
    for index in table.global_indexes:
        if index.status == "CREATING":
            states.setdefault("index_backfilling" if index.backfilling else "index_allocating", []).append(index.name)
        elif index.status == "DELETING":
            states.setdefault("index_deleting", []).append(index.name)
        elif index.status == "UPDATING":
            states.setdefault("index_updating", []).append(index.name)
        if index.warm.target is not None:
            states.setdefault("warm", []).append(index.name)
    for kind, names in states.items():
        yield UnderWay(kind, tuple(names))


def admit(table: Table, change: Change) -> None:
    """ResourceInUseException where ``change`` is refused by something under way on the table."""
    for running in under_way(table):
        text = _REFUSED.get((running.kind, change))
        if text is not None:
            raise in_use(
                ADMITTED, text.format(table=table.name, target=running.target, indexes=", ".join(running.names))
            )
        if running.kind in _UPDATING and (running.kind, change) not in _ADMITTED:
            raise in_use(NOT_MEASURED, _BEING_UPDATED.format(table=table.name))
