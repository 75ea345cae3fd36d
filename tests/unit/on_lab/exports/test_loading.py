# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an export asks of the method that loads it: nothing is billed for a table that has, gets or cannot get it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export import (
    ExportPlan,
    plan_export,
    start_export,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export_request import ExportOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.loading import Place
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.route import Route
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from tests.unit.on_lab.staged import BUCKET, Staged

OPTIONS = ExportOptions(table="orders", bucket=BUCKET)
FREE = Place("free")
FILL = Job("fill", "orders", "failed")


@dataclass
class TableOfOurOwn:
    """Loads exports into a table that it makes by CreateTable: it finds there what ``place`` says."""

    place: Place = FREE
    refuses: bool = False
    looked: list[tuple[Route, Tracking | None]] = field(default_factory=list)

    def require_loadable(self, definition: TableDefinition) -> None:
        if self.refuses:
            raise errors.LocalSecondaryIndexes("It cannot be made.", "Use another method.", table=definition.name)

    def look(self, destination: Account, route: Route, record: Tracking | None) -> Place:
        self.looked.append((route, record))
        return self.place

    def explain(self, destination: Account, job: Job) -> errors.FerryError:
        return errors.CountMismatch(f"The {job.kind} lost items.", "Look at it.", table=job.name)

    def close(self, record: Tracking, listed_at: float) -> None:
        raise AssertionError("a verb alone has no record")


def plan(aws: Staged, loader: TableOfOurOwn, options: ExportOptions = OPTIONS) -> ExportPlan:
    return plan_export(aws.account("source"), aws.account("destination"), options, loader)


@pytest.mark.parametrize("state", ["free", "unfinished"])
def test_a_free_place_gets_an_export(state: str) -> None:
    aws, loader = Staged({"orders": 3}), TableOfOurOwn(Place(state))
    job = start_export(aws.account("source"), aws.account("destination"), plan(aws, loader))
    assert (job.state, len(aws.exports())) == ("running", 1)
    ((route, record),) = loader.looked
    assert (route.source_table, route.destination_table, record) == ("orders", "orders", None)


@pytest.mark.parametrize("state", ["done", "running"])
def test_a_table_that_has_its_items_or_gets_them_needs_no_export(state: str) -> None:
    aws = Staged({"orders": 3})
    planned = plan(aws, TableOfOurOwn(Place(state, replace(FILL, state="completed"))))
    assert (planned.job.state, planned.changes) == ("not_needed", [])
    start_export(aws.account("source"), aws.account("destination"), planned)
    assert aws.exports() == []


def test_a_partial_table_is_explained_by_who_filled_it_and_replaced_when_asked() -> None:
    aws, loader = Staged({"orders": 3}), TableOfOurOwn(Place("partial", FILL))
    with pytest.raises(errors.CountMismatch, match=r"orders: The fill lost items\. Look at it\."):
        plan(aws, loader)
    assert plan(aws, loader, replace(OPTIONS, replace_failed=True)).job.state == "planned"


def test_which_tables_can_be_made_is_asked_of_the_loader() -> None:
    """CreateTable makes local secondary indexes, an import does not."""
    aws = Staged()
    names = ("id", "at")
    keys = [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=True)]
    index = {"IndexName": "local", "KeySchema": keys, "Projection": {"ProjectionType": "ALL"}}
    aws.add_table(
        "orders",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        KeySchema=keys,
        LocalSecondaryIndexes=[index],
    )
    assert plan(aws, TableOfOurOwn()).job.state == "planned"
    with pytest.raises(errors.LocalSecondaryIndexes, match="cannot be made"):
        plan(aws, TableOfOurOwn(refuses=True))
