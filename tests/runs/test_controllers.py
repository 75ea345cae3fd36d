# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controllers as processes: their clock is off or jumps, they are stopped and woken, their requests come late."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab.client import running
from lab.controller import Controller, SharedClock, controller
from tests.runs import one_table
from tests.unit.on_lab.conftest import BUCKET, Crossing

SECONDS = 120  # of real time that a controller may take
RECORDS = "tableferry"
NOTES = {"UpdateItem"}  # beside the own lease: which request has no answer


class Site:
    """A lab, its table ``orders``, and the clock that its controllers share."""

    def __init__(self, crossing: Crossing, folder: Path) -> None:
        self.crossing, self.lab = crossing, crossing.lab
        crossing.table("orders")
        self.clock = SharedClock(crossing.lab, folder)
        self.lab.clear_requests()

    def start(
        self, skew: float = 0.0, *, skip_sleeps: bool = False, **options: Any
    ) -> AbstractContextManager[Controller]:
        """A controller that migrates the table."""
        sides = {name: self.side(name) for name in ("source", "destination")}
        arguments = json.dumps({"name": "orders", "bucket": BUCKET, **sides, **options})
        command = [sys.executable, str(one_table.__file__), arguments]
        return controller(self.clock, command, skew=skew, skip_sleeps=skip_sleeps, stdout=subprocess.PIPE)

    def side(self, name: str, region: str = "") -> dict[str, str]:
        """The options of an account, in ``region`` or the usual one."""
        keys = {key: self.lab.landscape["accounts"][name][key] for key in ("access_key", "secret_key")}
        return {**keys, "region": region or self.crossing.region, "endpoint_url": self.lab.endpoint_url}

    def run(self, skew: float = 0.0, *, skip_sleeps: bool = False, **options: Any) -> list[Mapping[str, Any]]:
        """What the verbs of one controller say, from its start to its end."""
        with self.start(skew, skip_sleeps=skip_sleeps, **options) as one:
            return ended(one)

    def signed_now(self) -> str:
        """The date of a signature that is made now by the lab's clock, as requests send it."""
        return datetime.fromtimestamp(self.lab.state()["clock"]["now"], UTC).strftime("%Y%m%dT%H%M%SZ")

    def jobs(self) -> list[str]:
        """The kinds of the jobs that AWS bills."""
        return sorted(job["kind"] for job in self.lab.jobs())

    def changes(self) -> list[str]:
        """The calls that changed something."""
        return [call["operation"] for call in self.lab.mutating_calls() if not call["error_code"]]

    def items(self) -> tuple[int, int]:
        """How many items source and destination have."""
        self.lab.control("POST", "clock", {"shared": False})  # this process signs by the machine's clock
        source, destination = (len(self.crossing.items(side, "orders")) for side in ("source", "destination"))
        return source, destination


def ended(run: Controller) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in run.process.communicate(timeout=SECONDS)[0].splitlines()]


def judged(verbs: list[Mapping[str, Any]]) -> list[str]:
    return [verb["status"] for verb in verbs if verb["verb"] == "migration_judge"]


def wait_until(happened: Any) -> None:
    end = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running(scale=0.0) as lab:
        yield Site(Crossing(lab), tmp_path)


class TestClock:
    @pytest.mark.parametrize("skew", [180, -180])
    def test_clock_3_minutes_off_works(self, site: Site, skew: float) -> None:
        assert judged(site.run(skew)) == ["migrated"]

    @pytest.mark.parametrize(("skew", "words"), [(1200, "20 minutes ahead of"), (-1200, "20 minutes behind")])
    def test_clock_20_minutes_off_is_refused_by_the_first_call_and_told(
        self, site: Site, skew: float, words: str
    ) -> None:
        (first,) = site.run(skew)
        assert (first["error"], words in first["msg"], "Set the controller's clock" in first["msg"]) == (
            "ClockOff",
            True,
            True,
        )
        assert (site.changes(), site.lab.count()) == ([], 1)

    def test_clock_jumping_during_a_run_works(self, site: Site) -> None:
        hold = site.lab.hold(operation="dynamodb.ExportTableToPointInTime")
        other = site.lab.hold(operation="dynamodb.ImportTable")
        with site.start() as one:
            one.stop_at(hold)
            one.set_skew(200)
            one.wake()
            one.stop_at(other)
            one.set_skew(-200)
            one.wake()
            assert judged(ended(one)) == ["migrated"]
        assert site.jobs() == ["export", "import"]

    def test_clock_jumping_by_20_minutes_is_told_and_the_next_run_goes_on(self, site: Site) -> None:
        hold = site.lab.hold(operation="dynamodb.ExportTableToPointInTime")
        with site.start() as one:
            one.stop_at(hold)
            one.set_skew(1200)
            one.wake()
            verbs = ended(one)
        assert judged(verbs) in ([], [""])
        assert any(verb["error"] == "ClockOff" and "20 minutes ahead of" in verb["msg"] for verb in verbs), verbs
        assert judged(site.run(skip_sleeps=True)) == ["migrated"]
        assert site.jobs() == ["export", "import"]


class TestStopped:
    """SIGSTOP for 20 minutes between two calls, SIGCONT after another run has done all. The numbers are calls of a run:
    before its lease, in each of its verbs, at its last writes."""

    @pytest.mark.parametrize(
        ("call", "when"), [(1, "after"), (19, "after"), (24, "before"), (30, "before"), (38, "after"), (52, "after")]
    )
    def test_controller_stopped_for_20_minutes_and_woken_changes_nothing_any_more(
        self, site: Site, call: int, when: str
    ) -> None:
        hold = site.lab.hold(after=call, when=when)
        with site.start() as one:
            one.stop_at(hold)
            held = site.lab.count("dynamodb.PutItem") > 1  # its lease, and the record
            site.clock.advance(1200)
            assert judged(site.run(skip_sleeps=True)) == ["migrated"]
            before = len(site.changes())
            one.wake()
            verbs = ended(one)
        changed = site.changes()[before:]
        assert site.jobs() == ["export", "import"]
        assert held or call < 30
        if not held:  # it held nothing: it reports what the other one has done, under a lease of its own
            assert (judged(verbs), set(changed) <= {"PutItem", "UpdateItem"}) == (["migrated"], True)
        else:
            assert set(changed) <= NOTES
            told = [verb for verb in verbs if verb["error"] == "TakenOver"]
            assert told and "took over from this one" in told[0]["msg"], verbs
        assert site.items() == (100, 100)

    @pytest.mark.parametrize("operation", ["CreateTable", "BatchWriteItem"])
    def test_direct_copy_stopped_for_20_minutes_and_woken_writes_nothing_any_more(
        self, site: Site, operation: str
    ) -> None:
        members = {"match": {"TableName": "orders"}} if operation == "CreateTable" else {}
        hold = site.lab.hold(operation=f"dynamodb.{operation}", **members)
        with site.start(method="direct") as one:
            one.stop_at(hold)
            site.clock.advance(1200)
            assert judged(site.run(method="direct")) == ["migrated"]
            before = len(site.changes())
            one.wake()
            verbs = ended(one)
        assert set(site.changes()[before:]) <= NOTES
        assert any(verb["error"] == "TakenOver" for verb in verbs), verbs
        assert site.items() == (100, 100)


class TestRegions:
    def test_two_regions_with_the_same_names_have_a_record_table_and_a_copy_each(self, site: Site) -> None:
        regions = (site.crossing.region, "eu-central-1")
        for region in regions:
            verbs = site.run(method="direct", destination=site.side("destination", region))
            assert judged(verbs) == ["migrated"], verbs
        site.lab.control("POST", "clock", {"shared": False})
        tables = [site.lab.client("dynamodb", "destination", region) for region in regions]
        assert [sorted(each.list_tables()["TableNames"]) for each in tables] == [["orders", RECORDS]] * 2
        homes = {each.describe_table(TableName=RECORDS)["Table"]["TableId"] for each in tables}
        assert [each.scan(TableName="orders", Select="COUNT")["Count"] for each in tables] == [100, 100]
        assert len(homes) == 2


class TestLeaseLost:
    def test_lease_lost_in_the_middle_of_a_direct_copy_stops_the_writing_before_its_end(self, site: Site) -> None:
        """It cannot be renewed: from its ``until`` on no write is signed. When it can again, the copy goes on. A write
        that was signed before it stood may still arrive."""
        hold = site.lab.hold(operation="dynamodb.BatchWriteItem")
        site.lab.add_fault(operation="dynamodb.BatchWriteItem", kind="throttle", after=1, times=-1)
        with site.start(method="direct", items={"workers": 1}) as one:
            one.stop_at(hold)
            site.lab.add_fault(operation="dynamodb.UpdateItem", kind="throttle", times=-1)
            stopped = site.signed_now()
            site.clock.advance(400)
            one.wake()
            wait_until(lambda: site.lab.count("dynamodb.UpdateItem", ok=False) >= 3)
            assert max(call["signed"] for call in site.lab.calls("dynamodb.BatchWriteItem")) <= stopped
            site.lab.clear_faults()
            assert judged(ended(one)) == ["migrated"]
        assert max(call["signed"] for call in site.lab.calls("dynamodb.BatchWriteItem", ok=True)) > stopped
        assert site.items() == (100, 100)


class TestLate:
    @pytest.mark.parametrize(
        "operation", ["ExportTableToPointInTime", "ImportTable", "PutItem", "UpdateContinuousBackups", "TagResource"]
    )
    def test_request_executed_late_after_its_connection_broke_makes_no_difference(
        self, site: Site, operation: str
    ) -> None:
        site.lab.add_fault(operation=f"dynamodb.{operation}", kind="late", values={"seconds": 30.0}, after=0)
        verbs = site.run(skip_sleeps=True)
        site.clock.advance(300)
        if judged(verbs) != ["migrated"]:
            assert all(verb["msg"] for verb in verbs if verb["failed"])
            verbs = site.run(skip_sleeps=True)
        assert judged(verbs) == ["migrated"]
        assert site.jobs() == ["export", "import"]
        before = site.changes()
        again = site.run(skip_sleeps=True)
        assert judged(again) == ["migrated"]
        assert set(site.changes()[len(before) :]) <= {"PutItem", "UpdateItem"}
        assert site.items() == (100, 100)
