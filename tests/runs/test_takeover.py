# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that are killed on one machine and go on on another, by the lab's clock; and one that is taken over alive."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.record.fence import SIGNATURE, taken_over
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.lease import WAITER, Lease
from lab.client import spawn
from tests.runs.playbooks import Migration, eventually, prepare

TABLES = [f"table-{number}" for number in range(2)]
# By the lab's clock, which a test moves on: the jobs of the first run are still running when it is killed.
TIMINGS = {"export.full": 60, "import.visible": 1, "import.creating": 60, "import.completing": 1}


def killed(migration: Migration) -> Lease:
    """A job of AWX is cancelled while its exports run: all of its processes get SIGKILL. The lease of its run."""
    with migration.run("first", machine="pod-1") as first:
        # By then job_wait keeps the lease, for 90 s.
        first.until(lambda: "Wait for the migrations" in first.output and len(migration.lab.jobs("export")) == 2)
        first.controller.kill()
    (lease,) = migration.leases()
    assert lease.ended is None
    return lease


def now(migration: Migration) -> float:
    """The lab's time."""
    return float(migration.lab.control("GET", "clock")["now"])


def settings_of(migration: Migration, since: float) -> list[float]:
    """When the tables' settings were written, or items: what waits for the fence."""
    return [call["time"] for call in migration.lab.calls("UpdateContinuousBackups") if call["time"] > since]


def assert_all_migrated(migration: Migration) -> None:
    """Every table once."""
    assert migration.started("export") == migration.started("import") == TABLES
    assert {record.state for record in migration.records().values()} == {"done"}


def test_another_pod_goes_on_with_jobs_after_the_lease_and_with_settings_after_the_fence(migration: Migration) -> None:
    lease = killed(migration)
    with migration.run("second", machine="pod-2") as second:
        second.until(lambda: "waiting: held by" in second.output)
        assert f"take_over: {lease.run}" in second.output
        assert migration.lab.jobs("import") == []
        migration.clock.advance(lease.until + 11 - now(migration))
        second.until(lambda: len(migration.lab.jobs("import")) == len(TABLES))
        migration.clock.advance(65)
        second.until(lambda: "when no request of a former run can arrive any more" in second.output)
        fences = {record.fence for record in migration.records().values()}
        assert fences == {lease.until + SIGNATURE}
        assert settings_of(migration, lease.until) == []
        migration.clock.advance(lease.until + SIGNATURE + 1 - now(migration))
        assert second.wait() == 0, second.output[-4000:]
    assert_all_migrated(migration)


def fence_of(lease: Lease, at: float) -> int:
    """The fence of the run with ``lease`` that is taken over ``at`` that time by the user's word."""
    return taken_over(at, min(lease.until, at + WAITER)).at


def test_with_take_over_it_goes_on_at_once_and_with_settings_after_minutes_at_most(migration: Migration) -> None:
    lease = killed(migration)
    begun = now(migration)
    with migration.run("second", machine="pod-2", ferry_take_over=lease.run) as second:
        second.until(lambda: {record.run for record in migration.records().values()}.isdisjoint({lease.run}))
        (fence,) = {record.fence for record in migration.records().values()}
        assert fence_of(lease, begun) <= fence <= fence_of(lease, now(migration)) <= now(migration) + 221
        assert fence < lease.until + SIGNATURE
        migration.clock.advance(62)
        second.until(lambda: len(migration.lab.jobs("import")) == len(TABLES))
        migration.clock.advance(fence + 1 - now(migration))
        assert second.wait() == 0, second.output[-4000:]
    assert_all_migrated(migration)


def test_a_run_that_lives_and_is_taken_over_ends_refused(migration: Migration) -> None:
    """It notices at its next renewal, 20 s later at most, which is long before the fence; nothing is lost."""
    with migration.run("first", machine="pod-1") as first:
        first.until(lambda: "Wait for the migrations" in first.output and len(migration.lab.jobs("export")) == 2)
        (lease,) = migration.leases()
        with migration.run("second", machine="pod-2", ferry_take_over=lease.run) as second:
            second.until(lambda: {record.run for record in migration.records().values()}.isdisjoint({lease.run}))
            migration.clock.advance(21)
            assert first.wait() != 0
            rows = first.rows()
            assert {row["status"] for row in rows.values()} == {"refused"}
            assert all("took over from this one" in row["reason"] for row in rows.values()), rows
            eventually(lambda: len(migration.lab.jobs("export")) == len(TABLES))
            migration.clock.advance(62)
            second.until(lambda: len(migration.lab.jobs("import")) == len(TABLES))
            migration.clock.advance(max(record.fence for record in migration.records().values()) + 1 - now(migration))
            assert second.wait() == 0, second.output[-4000:]
        assert {row["status"] for row in second.rows().values()} == {"migrated"}
    assert_all_migrated(migration)


@pytest.mark.parametrize("window", ["5 minutes", "15 minutes"])
def test_items_of_a_direct_copy_wait_for_dynamodb_alone(tmp_path: Path, window: str) -> None:
    """They go on once DynamoDB refuses the signatures of the former run; the settings wait for all services."""
    with spawn(scale=0.01, timings=TIMINGS) as lab:
        lab.choose_behaviours({"signature.window": window})
        migration = prepare(lab, tmp_path, TABLES, ferry_method="direct", ferry_checkpoint_dir=str(tmp_path))
        hold = lab.hold(operation="BatchWriteItem", when="before")
        with migration.run("first", machine="pod-1") as first:
            first.until(lambda: lab.held(hold))
            first.controller.kill()
        lab.release(hold)
        (lease,) = migration.leases()
        migration.clock.advance(lease.until + 11 - now(migration))
        with migration.run("second", machine="pod-2") as second:
            second.until(lambda: "when no request of a former run can arrive any more" in second.output)
            written = lab.count("BatchWriteItem")
            migration.clock.advance(lease.until + (310 if window == "5 minutes" else 800) - now(migration))
            assert lab.count("BatchWriteItem") == written
            if window == "5 minutes":
                eventually(lambda: lab.count("GetItem", error_code="InvalidSignatureException") > 0)
                migration.clock.advance(16)
                second.until(lambda: lab.count("BatchWriteItem") >= written + len(TABLES))
                assert now(migration) < lease.until + 600
            assert {record.state for record in migration.records().values()}.isdisjoint({"settled", "done"})
            migration.clock.advance(lease.until + SIGNATURE + 1 - now(migration))
            assert second.wait() == 0, second.output[-4000:]
        assert {record.state for record in migration.records().values()} == {"done"}
