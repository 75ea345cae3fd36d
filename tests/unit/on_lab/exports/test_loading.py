# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an export asks of the method that loads it: nothing is billed for a table that has, gets or cannot get it, and
its data stays while a job reads it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.cleanup import (
    CleanupOptions,
    CleanupPlan,
    plan_cleanup,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export import (
    ExportPlan,
    plan_export,
    start_export,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export_request import ExportOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.loading import Place
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.entries import to_text
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.intention import UNIQUE_NAME, Window
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import (
    JobEntry,
    JobState,
    Record,
    Source,
    table_key,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.route import Route
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from tests.unit.on_lab.staged import BUCKET, REGION, SOURCE, Staged

OPTIONS = ExportOptions(table="orders", bucket=BUCKET)
FREE = Place("free")
FILL = Job("fill", "orders", "failed")


@dataclass
class TableOfOurOwn:
    """Loads exports into a table that it makes by CreateTable: it finds there what ``place`` says, and ``now`` is what
    became of its job."""

    kind: ClassVar[str] = FILL.kind
    window: ClassVar[Window] = UNIQUE_NAME
    kept: ClassVar[Collection[str]] = ("purpose",)

    place: Place = FREE
    refuses: bool = False
    now: Job | None = None
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

    def running(self, destination: Account, route: Route) -> Job | None:
        return self.now

    def look_up(self, destination: Account, job: Job) -> Job:
        return self.now or job


def tracked(state: JobState, arn: str = "") -> Tracking:
    """The record of a table whose fill is in ``state``."""
    entry = JobEntry("fill", FILL.kind, 1, "token", to_text(FILL), 0, 0, arn, state=state)
    source = Source(f"arn:aws:dynamodb:{REGION}:{SOURCE}:table/orders", "id")
    return Tracking(None, "orders", Record(table_key("orders"), "home", "default", source, "s3", jobs=(entry,)))


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


def staged_by(aws: Staged, loader: TableOfOurOwn) -> None:
    """An export of the table, which has ended."""
    start_export(aws.account("source"), aws.account("destination"), plan(aws, loader))
    aws.advance(600)
    assert aws.exports()[0]["ExportStatus"] == "COMPLETED"


def clean_up(aws: Staged, loader: TableOfOurOwn, record: Tracking | None = None) -> CleanupPlan:
    options = CleanupOptions(table="orders", bucket=BUCKET)
    return plan_cleanup(aws.account("source"), aws.account("destination"), options, [loader], record)


def test_data_stays_while_a_job_of_a_loader_reads_it() -> None:
    aws, loader = Staged({"orders": 3}), TableOfOurOwn()
    staged_by(aws, loader)
    loader.now = replace(FILL, state="running", arn="run-1")
    with pytest.raises(errors.StillRunning, match=r"The fill run-1 is still running\."):
        clean_up(aws, loader)
    loader.now = None
    assert [change.risk for change in clean_up(aws, loader).changes] == ["destructive"]


@pytest.mark.parametrize(
    ("state", "now", "words"),
    [
        ("begun", replace(FILL, state="running", arn="run-1"), "run-1 is still running"),
        ("intended", None, "may still be begun"),
        ("begun", replace(FILL, state="completed", arn="run-1"), "no run has looked at its result yet"),
    ],
)
def test_data_stays_while_a_job_of_a_record_needs_it(state: JobState, now: Job | None, words: str) -> None:
    aws, loader = Staged({"orders": 3}), TableOfOurOwn(now=now)
    staged_by(aws, loader)
    with pytest.raises(errors.StillRunning, match=words):
        clean_up(aws, loader, tracked(state, now.arn if now else ""))


def test_a_job_of_a_loader_that_has_ended_in_the_record_needs_the_data_no_more() -> None:
    aws, loader = Staged({"orders": 3}), TableOfOurOwn()
    staged_by(aws, loader)
    cleaned = clean_up(aws, loader, tracked("done", "run-1"))
    assert (cleaned.recorded, [change.risk for change in cleaned.changes]) == (True, ["destructive"])
