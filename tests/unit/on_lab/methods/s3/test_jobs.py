# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table's way: which method goes it, and one job after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    DestinationExists,
    NotInThisVersion,
    UnknownMethod,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export import (
    ExportOptions,
    plan_export,
    start_export,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.importing import (
    ImportKind,
    ImportOptions,
    import_job,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem, WaitResult
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import judge, start, wait_for
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.settings_job import SettingsKind
from tests.unit.on_lab.staged import BUCKET, REGION, Staged


class Ways:
    """Exports and the imports after them, of many tables in one lab."""

    def __init__(self, tables: int, failing: str = "", region: str = REGION, **export_seconds: float) -> None:
        self.names = [f"table{number}" for number in range(tables)]
        self.aws = Staged(dict.fromkeys(self.names, 2), region=region, import__visible=1.0, import__creating=8.0)
        self.source, self.destination = self.aws.account("source"), self.aws.account("destination")
        if failing:
            arn = self.source.table_arn(failing)
            self.aws.fail_next("ExportTableToPointInTime", "S3AccessDenied", "No.", match={"TableArn": arn})
        self.items: list[WaitItem] = []
        for name in self.names:
            self.aws.world.timings.set("export.full", export_seconds.get(name, 15.0))
            plan = plan_export(self.source, self.destination, ExportOptions(table=name, bucket=BUCKET), ImportLoader())
            job = start_export(self.source, self.destination, plan)
            then = import_job(ImportOptions(table=name, bucket=BUCKET, definition=plan.definition))
            self.items.append(WaitItem(name, self.source, self.destination, job, (then,)))

    def wait(self, **how: Any) -> WaitResult:
        return wait_for(self.items, clock=lambda: self.aws.clock, sleep=self.aws.sleep, **how)


@pytest.mark.parametrize(("method", "error"), [("replica", NotInThisVersion), ("S3", UnknownMethod)])
def test_other_methods_are_refused(method: str, error: type[Exception]) -> None:
    aws = Staged({"orders": 1})
    with pytest.raises(error, match="orders"):
        start(aws.account("source"), aws.account("destination"), MigrationOptions("orders", method=method))


def test_imports_start_as_their_exports_end_and_wait_for_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.dynamodb.imports.MOST_IMPORTS", 10)
    ways = Ways(40)
    found = ways.wait()
    assert {tuple(job.state for job in jobs) for jobs in found.ways.values()} == {("completed", "completed")}
    assert found.jobs["table0"].kind == "import"
    assert {kind for _name, kind in found.started} == {"export", "import"}  # AWS throttles exports after the twentieth
    assert len(ways.aws.jobs("import")) == 40
    assert ways.aws.clock - ways.aws.began <= 15 + 15 * 4 * 1.4


@pytest.mark.parametrize("region", ["us-gov-west-1", "cn-north-1"])
def test_tables_move_in_every_partition(region: str) -> None:
    ways = Ways(1, region=region)
    found = ways.wait()
    assert [job.state for job in found.ways["table0"]] == ["completed", "completed"]
    assert found.jobs["table0"].arn.startswith(f"arn:{ways.aws.partition}:dynamodb:{region}:")


def test_no_table_waits_for_another() -> None:
    ways = Ways(3, table1=3600.0)
    found = ways.wait(timeout=60)
    assert [found.jobs[name].state for name in ways.names] == ["completed", "running", "completed"]
    slow, waiting = found.ways["table1"]
    assert (slow.timed_out, waiting.state, waiting.pending_reason) == (True, "pending", "job")


def test_a_failed_job_ends_the_way_of_its_table_only() -> None:
    ways = Ways(2, failing="table0")
    found = ways.wait()
    assert [job.state for job in found.ways["table0"]] == ["failed", "pending"]
    assert [job.state for job in found.ways["table1"]] == ["completed", "completed"]
    judgement = judge("table0", ways.source, ways.destination, found.ways["table0"])
    assert (judgement.status, type(judgement.failure).__name__) == ("failed", "ExportFailed")


def test_what_refuses_a_later_job_is_told_as_what_it_is() -> None:
    """A table that came into being while the export ran."""
    ways = Ways(1)
    ways.aws.add_table("table0", 1, "destination", recovery=False)
    found = ways.wait()
    assert [job.state for job in found.ways["table0"]] == ["completed", "failed"]
    with pytest.raises(DestinationExists, match="was not made by this migration") as refused:
        judge("table0", ways.source, ways.destination, found.ways["table0"])
    assert refused.value.status == "refused"


@pytest.mark.parametrize(
    ("result", "goes_on"),
    [
        ({"imported_items": 7, "errors": 0, "table_id": "id"}, True),
        ({"imported_items": 6, "errors": 0}, False),
        ({"imported_items": 7, "errors": 1}, False),
        ({"table_id": "id"}, True),  # ours, but its import is forgotten
    ],
)
def test_a_table_that_lacks_items_gets_no_settings(result: dict[str, Any], goes_on: bool) -> None:
    job = Job("settings", "orders", "pending", pending_reason="job")
    before = Job("import", "orders", "completed", request={"export": {"item_count": 7}}, result=result)
    following = SettingsKind().after(job, before, ImportKind().made(before))
    assert (following is not None) is goes_on
    if following:
        assert following == replace(job, request={"table_id": "id"})
