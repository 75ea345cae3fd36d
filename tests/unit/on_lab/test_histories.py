# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random histories of a table's migration, newly drawn each time; ``make histories`` plays many more of them."""

from __future__ import annotations

import math
import os
import random
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.exports import (
    at_once,
    export,
    export_status,
    shared,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import Comparison
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import intended, intention, rules, transitions
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps import settings_job
from ansible_collections.tableferry.aws.plugins.module_utils.core.table import patient_calls
from tests.histories.broken_rules import BROKEN_RULES, first_found
from tests.histories.history import Violation, ends, plain, play
from tests.histories.plan import BESIDE, METHODS, SPARK_METHODS, TABLE, Fault, Plan, PlannedRun, draw
from tests.histories.promises import Version, difference

FEW = 20  # of those with Spark jobs, which cost more
COUNT = 200  # of each method: one costs up to 0.1 s of CPU
NEAR = 150  # histories within which a rule broken on purpose is found, whatever the product's calls are by then
# Rules of the record, and the first history of a method and theme that finds what comes of doing without one.
FOUND = (
    ("what excludes others is one item under a fixed key", "direct", "together", 3),
    ("every write is over the version that was read", "direct", "", 50),
    ("only after the fence come items, settings, deletions and done", "direct", "gone_writer", 24),
    ("the fence is never below the record's own", "direct", "gone_twice", 6),
    ("who lets go leaves a fence for what has no answer", "direct", "no_answer", 34),
    ("the fence of one that is gone is 60 s", "direct", "no_answer", 74),
    ("the fence of one that cannot be seen is 910 s", "direct", "gone_writer", 24),
    ("the fence of one that the user says is gone is 60 to 220 s", "direct", "taken_over", 16),
    ("the lease is ended first", "direct", "stopped_holder", 41),
    ("nothing leaves after until", "direct", "stopped_holder", 18),
    ("an intention is closed only after fence and answers", "s3", "gone_writer", 4),
    ("a refusal closes an intention only if every attempt was answered", "s3", "no_answer", 6),
    ("the intention is written before the call", "direct", "no_answer", 21),
    ("no step without the same TableId", "backup", "user_between", 50),
    ("settings go only to the table that was filled", "s3", "user_between", 106),
    ("no done with an unanswered request of our own", "direct", "no_answer", 31),
    ("a table is gone only when two looks 30 s apart say so", "direct", "refused_early", 72),
    ("an attempt's number is above all others", "s3", "unwatched", 1),
    ("a restore's table is created before its job ends", "backup", "unwatched", 3),
    ("a waiter sends nothing later than 90 s after its last renewal", "direct", "taken_over", 4),
)


@pytest.mark.parametrize("method", (*METHODS, *SPARK_METHODS))
def test_every_promise_is_kept(method: str) -> None:
    # CI plays the same ones each time: what a new draw finds there would stop somebody else's change.
    first = 50000 if os.environ.get("CI") else random.SystemRandom().randrange(10**9)
    for seed in range(first, first + (COUNT if method in METHODS else FEW)):
        found = play(draw(method, seed))
        assert found is None, f"make histories METHOD={method} SEED={seed} COUNT=1\n{found}"


@pytest.mark.parametrize("method", (*METHODS, *SPARK_METHODS))
def test_a_history_in_which_nothing_goes_wrong(method: str) -> None:
    assert play(plain(method)) is None


def test_the_same_seed_draws_the_same_history() -> None:
    assert draw("s3", 5) == draw("s3", 5) != draw("s3", 6)


class TestBrokenRules:
    """The driver sees what happens where a rule is missing."""

    @pytest.mark.parametrize(("rule", "method", "theme", "seed"), FOUND)
    def test_random_draws_find_it(self, rule: str, method: str, theme: str, seed: int) -> None:
        assert first_found(rule, method, seed, NEAR, theme) is not None

    def test_none_is_left_out(self) -> None:
        assert {rule for rule, _method, _theme, _seed in FOUND} == set(BROKEN_RULES)

    def plan(self, method: str, kind: str, seconds: float, of: str) -> Plan:
        runs = (PlannedRun(method), PlannedRun(method, "two"))
        return Plan(1, method, runs, (Fault(0, 1, kind, seconds, of=of),), window=900.0, switch=0.0)

    def test_a_late_write_after_done(self, monkeypatch: pytest.MonkeyPatch) -> None:
        late = self.plan("direct", "kill late", 600.0, "BatchWriteItem")
        assert play(late) is None
        for room in (rules, intended, transitions):
            monkeypatch.setattr(room, "require_fence", lambda *_args, **_more: None)
        monkeypatch.setattr(Tracking, "fence_left", lambda _self, **_more: 0.0)
        found = play(late)
        assert found is not None and found.kind == "touched after done"

    def test_a_second_billed_job(self, monkeypatch: pytest.MonkeyPatch) -> None:
        late = self.plan("backup", "kill late", 600.0, "StartBackupJob")
        assert play(late) is None
        monkeypatch.setattr(intention, "step", lambda *_args, **_more: "close")
        monkeypatch.setattr(intention, "closable_at", lambda *_args, **_more: 0.0)
        found = play(late)
        assert found is not None and found.kind == "billed twice"

    @pytest.mark.parametrize("after", [True, False])
    def test_a_second_export_for_another_destination(self, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
        runs = (PlannedRun("s3"), PlannedRun("s3", "two", after=after, copy=BESIDE))
        plan = Plan(1, "s3", runs, (), switch=0.0)
        assert play(plan) is None
        monkeypatch.setattr(shared, "_serving", lambda *_args: None)
        found = play(plan)
        assert found is not None and found.kind == "billed twice"

    def test_an_export_at_once_that_lacks_items(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plan = Plan(1, "s3", (PlannedRun("s3"),), (), switch=0.0, just_after="empty")
        assert ends(plan)[0] == "migrated"
        for room in (export, export_status, at_once, shared):
            monkeypatch.setattr(room, "lacks_items", lambda _job: False)

        def believed(_source: Any, job: Job) -> Job:
            return replace(job, result={**job.result, "known_empty": True})

        monkeypatch.setattr(export, "known_empty", believed)
        found = play(plan)
        assert found is not None and found.kind == "migrated without all items"

    @pytest.mark.parametrize("method", METHODS)
    def test_a_table_that_was_adopted_and_differs(self, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
        runs = (PlannedRun(method), PlannedRun(method, delay=60.0, adopt=True))
        written = Fault(0, 1, "source written", of="@done")
        plan = Plan(1, method, runs, (written,), switch=0.0)
        assert ends(plan)[1] != "migrated"
        assert ends(replace(plan, faults=()))[1] == "migrated"
        monkeypatch.setattr(Comparison, "equal", True)
        found = play(plan)
        assert found is not None and found.kind == "migrated without all items"


class TestFound:
    def test_a_copy_that_no_list_shows_yet_is_known_by_the_record(self) -> None:
        runs = (PlannedRun("backup", "two"), PlannedRun("backup", take_over=True))
        fault = Fault(0, 1, "kill late", 5.0, of="StartRestoreJob")
        found = play(Plan(1, "backup", runs, (fault,), stale=20.0, window=900.0, switch=0.0))
        assert found is None, found

    @pytest.mark.parametrize("method", ["s3", "backup"])
    def test_settings_of_a_copy_that_was_replaced_while_they_waited(self, method: str) -> None:
        """The second run takes over, and its settings wait until nothing of the first one can arrive. Meanwhile the
        user replaces the copy, and TagResource meets the user's table."""
        runs = (PlannedRun(method), PlannedRun(method, "two"))
        replaced = Fault(1, 1, "user replaces", of="ListContributorInsights")
        found = play(Plan(1, method, runs, (Fault(0, 32, "kill before"), replaced), window=900.0, switch=0.0))
        assert found is None, found

    def replaced_before_start(self) -> Violation | None:
        """The first run ends before the copy's settings; while the next one looks at the copy and begins their job,
        the user replaces it: at any of its looks."""
        runs, ended = (PlannedRun("direct"), PlannedRun("direct")), Fault(0, 1, "kill before", of="@filled")
        for look in range(1, 15):
            replaced = Fault(1, look, "user replaces", of="DescribeTable")
            found = play(Plan(1, "direct", runs, (ended, replaced), window=900.0, switch=0.0))
            if found is not None:
                return found
        return None

    def test_settings_of_a_copy_that_was_replaced_between_the_look_and_the_start(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.replaced_before_start() is None
        monkeypatch.setattr(settings_job, "_table_id", lambda job, _record: str(job.request.get("table_id", "")))
        found = self.replaced_before_start()
        assert found is not None and found.kind == "a foreign table changed"

    @pytest.mark.parametrize("method", ["s3", "backup"])
    def test_settings_of_a_copy_that_was_replaced_while_their_run_was_stopped(
        self, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        """The first setting meets the user's table; the next one is preceded by a look."""
        of = "@filled changing"
        faults = (Fault(0, 1, "user replaces", of=of), Fault(0, 1, "stop", 60.0, of=of))
        plan = Plan(1, method, (PlannedRun(method),), faults, window=900.0, switch=0.0)
        assert play(plan) is None
        monkeypatch.setattr(patient_calls, "LOOK_SECONDS", math.inf)
        found = play(plan)
        assert found is not None and found.kind == "a foreign table changed"

    def test_an_export_that_was_intended_and_not_begun_does_not_stop_a_new_attempt(self) -> None:
        """Its request was throttled, the source is made anew, and the next attempt needs an export, too."""
        runs = (PlannedRun("s3"), PlannedRun("s3", after=False))
        faults = (
            Fault(1, 1, "throttle", of="ExportTableToPointInTime"),
            Fault(0, 1, "source made anew", of="ExportTableToPointInTime"),
        )
        plan = Plan(30000027, "s3", runs, faults, window=900.0, switch=0.5)
        assert ends(plan)[-1] == "migrated"

    @pytest.mark.parametrize("seconds", [105.0, 290.0])
    @pytest.mark.parametrize("of", ["BatchWriteItem", "UpdateTable"])
    def test_a_waiter_that_was_stopped_sends_nothing_after_a_take_over(self, of: str, seconds: float) -> None:
        """The verb that began the run had its lease for 300 s, and who takes over by the user's word does not wait for
        that."""
        runs = (PlannedRun("direct", "two"), PlannedRun("direct", "one", 7.0, after=False, take_over=True))
        found = play(Plan(1, "direct", runs, (Fault(0, 1, "stop", seconds, of=of),), window=900.0, switch=0.0))
        assert found is None, found

    @pytest.mark.parametrize("of", ["BatchWriteItem", "TagResource", "UpdateTable"])
    def test_a_request_that_hangs_while_its_run_is_taken_over_and_is_executed_later_still(self, of: str) -> None:
        """The run lives, its SDK waits 60 s for the answer, and AWS gets the request 58 s after that."""
        runs = (PlannedRun("direct", "two"), PlannedRun("direct", "one", 7.0, after=False, take_over=True))
        found = play(Plan(1, "direct", runs, (Fault(0, 1, "hangs late", 58.0, of=of),), window=900.0, switch=0.0))
        assert found is None, found

    @pytest.mark.parametrize("just_after", ["current", "empty"])
    @pytest.mark.parametrize("copy", [TABLE, BESIDE])
    @pytest.mark.parametrize("kind", ["", "kill before", "kill after", "kill late", "lost answer", "stop"])
    def test_b9_a_second_controller_while_the_first_exports_at_once(
        self, kind: str, copy: str, just_after: str
    ) -> None:
        """Of the same destination table, or of another one: AWS bills one export, and one more where it was empty."""
        runs = (PlannedRun("s3", "two"), PlannedRun("s3", "one", 4.0, after=False, copy=copy))
        faults = (Fault(0, 1, kind, 60.0, of="ExportTableToPointInTime"),) if kind else ()
        plan = Plan(1, "s3", runs, faults, window=900.0, switch=0.5, just_after=just_after)
        assert ends(plan)[-1] == "migrated"

    def test_an_export_goes_unchanged_to_an_aws_that_was_busy(self) -> None:
        """Recovery was just turned on: its newest instant is another one by then."""
        fault = Fault(0, 1, "throttle", of="ExportTableToPointInTime")
        assert ends(Plan(1, "s3", (PlannedRun("s3"),), (fault,), switch=0.0))[0] == "migrated"


class TestWhole:
    VERSIONS = (Version(100.0, "a", {"1": "x"}), Version(200.0, "a", {"1": "x", "2": "y"}), Version(300.0, "a", {}))

    def at(self, seconds: int) -> str:
        return f"1970-01-01T00:{seconds // 60:02d}:{seconds % 60:02d}+00:00"

    @pytest.mark.parametrize(("have", "right"), [({"1": "x"}, True), ({}, False), ({"1": "x", "2": "y"}, False)])
    def test_as_of_an_instant(self, have: dict[str, str], right: bool) -> None:
        assert (
            difference(have, self.VERSIONS, {"from": self.at(150), "to": self.at(150)}, instant=True) == ""
        ) is right

    @pytest.mark.parametrize(
        ("have", "right"), [({"1": "x"}, True), ({"1": "x", "2": "y"}, True), ({"2": "y"}, False), ({"1": "y"}, False)]
    )
    def test_as_of_a_span(self, have: dict[str, str], right: bool) -> None:
        assert (
            difference(have, self.VERSIONS, {"from": self.at(150), "to": self.at(250)}, instant=False) == ""
        ) is right

    def test_as_of_no_time(self) -> None:
        assert difference({}, self.VERSIONS, {}, instant=True)
