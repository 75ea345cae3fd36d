# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which instant of the source a copy shows, and that it shows all once the writes have stopped (found.md A6)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export import (
    ExportOptions,
    plan_export,
    start_export,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import judge, preview, start, wait_for
from tests.unit.on_lab.staged import BUCKET, Staged


class Written:
    """A table of 100 items, into which 7 more were written just now."""

    def __init__(self) -> None:
        self.aws = Staged({"orders": 100})
        self.aws.write("orders", 7, first=100)
        self.source, self.destination = self.aws.account("source"), self.aws.account("destination")

    def options(self, **more: Any) -> MigrationOptions:
        return MigrationOptions("orders", method="s3", bucket=BUCKET, **more)

    def move(self, **more: Any) -> tuple[Job, ...]:
        """The jobs of a whole migration."""
        way = start(self.source, self.destination, self.options(**more))
        item = WaitItem("t", self.source, self.destination, way.job, way.then)
        return wait_for([item], clock=lambda: self.aws.clock, sleep=self.aws.sleep).ways["t"]

    def judge(self, jobs: tuple[Job, ...], stopped: bool) -> Judgement:
        return judge("orders", self.source, self.destination, jobs, writes_stopped=stopped)

    def copied(self) -> int:
        return int(self.aws.client("dynamodb", "destination").scan(TableName="orders", Select="COUNT")["Count"])


def test_a6_an_export_of_stopped_writes_shows_the_moment_the_run_began() -> None:
    world = Written()
    began = world.aws.now
    jobs = world.move(writes_stopped=True)
    judgement = world.judge(jobs, stopped=True)
    assert (judgement.status, judgement.verified, judgement.items_destination) == ("migrated", "counts", 107)
    assert world.copied() == 107
    shown = datetime.fromisoformat(judgement.data_as_of["from"])
    assert began <= shown == datetime.fromisoformat(judgement.data_as_of["to"]) == world.aws.exports()[0]["ExportTime"]
    assert world.aws.count("ExportTableToPointInTime") == 1
    again = world.judge(world.move(writes_stopped=True), stopped=True)  # a later run finds all of it
    assert again == judgement
    assert len(world.aws.jobs("export")) == 1


def test_a6_an_export_says_which_instant_it_shows() -> None:
    world = Written()
    began = world.aws.now
    judgement = world.judge(world.move(), stopped=False)
    assert (judgement.status, judgement.verified, world.copied()) == ("migrated", "counts", 100)
    shown = datetime.fromisoformat(judgement.data_as_of["to"])
    assert timedelta(seconds=300) <= began - shown <= timedelta(seconds=302)
    assert judgement.to_dict()["data_as_of"] == {"from": shown.isoformat(), "to": shown.isoformat()}


def test_a6_an_export_of_a_rehearsal_does_not_serve_once_the_writes_have_stopped() -> None:
    world = Written()
    rehearsed = start(world.source, world.destination, world.options()).job
    jobs = world.move(writes_stopped=True)
    assert jobs[0].arn != rehearsed.arn
    assert (world.judge(jobs, stopped=True).verified, world.copied()) == ("counts", 107)


def test_a6_a_copy_from_before_the_writes_stopped_is_not_verified_by_its_counts() -> None:
    world = Written()
    world.move()
    judgement = world.judge(world.move(writes_stopped=True), stopped=True)
    assert (judgement.status, judgement.verified) == ("migrated", "none")
    assert "later writes are not in it" in judgement.reason
    assert judgement.data_as_of["to"] in judgement.reason


def test_a6_an_incremental_export_of_stopped_writes_ends_no_earlier_either() -> None:
    world = Written()
    began = world.aws.now
    options = ExportOptions(
        "orders", BUCKET, export_type="INCREMENTAL_EXPORT", from_time=began - timedelta(hours=1), writes_stopped=True
    )
    plan = plan_export(world.source, world.destination, options, ImportLoader())
    job = start_export(world.source, world.destination, plan)
    item = WaitItem("t", world.source, world.destination, job)
    wait_for([item], clock=lambda: world.aws.clock, sleep=world.aws.sleep)
    assert world.aws.exports()[0]["IncrementalExportSpecification"]["ExportToTime"] >= began


def test_a6_a_killed_run_goes_on_with_the_export_that_waited() -> None:
    world = Written()
    way = start(world.source, world.destination, world.options(writes_stopped=True))
    assert (way.job.state, way.job.pending_reason) == ("pending", "point_in_time_recovery")
    jobs = world.move(writes_stopped=True)
    again = world.move(writes_stopped=True)
    assert len(world.aws.jobs("export")) == 1
    assert again[0].arn == jobs[0].arn


def test_a6_check_mode_shows_from_when_on_the_export_will_show_the_table() -> None:
    world = Written()
    way = preview(world.source, world.destination, world.options(writes_stopped=True))
    (shown,) = [change.after for change in way.changes if change.what == "export of orders"]
    assert datetime.fromisoformat(shown["not_before"]) >= world.aws.now
    assert world.aws.mutating() == []
