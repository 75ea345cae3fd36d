# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cleaning up: only ours, only when nothing runs, only what was asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import StillRunning
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.cleanup import (
    CleanupOptions,
    CleanupPlan,
    apply_cleanup,
    plan_cleanup,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export import (
    RECOVERY_TAG,
    ExportOptions,
    plan_export,
    start_export,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from tests.unit.on_lab.in_process import Killed
from tests.unit.on_lab.methods.s3.test_importing import World
from tests.unit.on_lab.recorded import Playbook, world
from tests.unit.on_lab.staged import BUCKET, SOURCE, Staged
from tests.unit.on_lab.test_judgement import Moved

OPTIONS = CleanupOptions(table="orders", bucket=BUCKET)
LOADERS = [ImportLoader()]


def test_staged_data_goes_and_what_0_2_0_kept_stays() -> None:
    world = Moved()
    kept = "tableferry/default/ledger/111111111111/eu-west-1/orders/import-0.json"
    other = "tableferry/default/export/111111111111/eu-west-1/orders!copy/AWSDynamoDB/x"
    for key in (kept, other):
        world.aws.put(key, b"other")
    plan = plan_cleanup(world.source, world.destination, OPTIONS, LOADERS)
    assert [change.risk for change in plan.changes] == ["destructive"]
    apply_cleanup(world.source, world.destination, plan)
    assert sorted(world.aws.objects()) == sorted([kept, other])
    again = plan_cleanup(world.source, world.destination, OPTIONS, LOADERS)
    assert again.changes == []
    # A later run still knows what was done.
    assert world.plan().job.state == "not_needed"


def test_c6_versions_that_a_bucket_keeps_are_named() -> None:
    """found.md C6: what was deleted stayed in the bucket, and nobody said so."""
    world = Moved()
    assert not any(
        "versions" in entry.what for entry in plan_cleanup(world.source, world.destination, OPTIONS, LOADERS).left
    )
    versioned = {"Status": "Enabled"}
    world.aws.client("s3", "destination").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=versioned)
    left = [
        entry
        for entry in plan_cleanup(world.source, world.destination, OPTIONS, LOADERS).left
        if "versions" in entry.what
    ]
    assert "/orders/" in left[0].what and "list-object-versions --bucket" in left[0].reason
    world.aws.may_not("destination", "s3:GetBucketVersioning")
    plan = plan_cleanup(world.source, world.destination, OPTIONS, LOADERS)
    assert plan.changes and not any("versions" in entry.what for entry in plan.left)


@pytest.mark.parametrize("what", ["export", "import"])
def test_nothing_is_removed_under_a_running_job(what: str) -> None:
    world = World()
    if what == "export":
        world.aws.drop("orders", "source")
        world.aws.add_table("orders", 1)
        world.new_export()
    else:
        world.start()
    with pytest.raises(StillRunning):
        plan_cleanup(world.source, world.destination, OPTIONS, LOADERS)


def test_only_our_point_in_time_recovery_is_turned_off_and_only_when_asked() -> None:
    world = Moved()
    asked = replace(OPTIONS, disable_point_in_time_recovery=True)
    assert plan_cleanup(world.source, world.destination, asked, LOADERS).recovery_of == ""
    world.aws.tag("orders", RECOVERY_TAG, "default", "source")
    plan = plan_cleanup(world.source, world.destination, OPTIONS, LOADERS)
    assert plan.recovery_of == ""
    assert any("turned it on" in entry.reason for entry in plan.left)
    plan = plan_cleanup(world.source, world.destination, asked, LOADERS)
    assert "incremental" in plan.warnings[0]
    apply_cleanup(world.source, world.destination, plan)
    world.aws.sleep(5)
    assert (world.aws.recovery("orders")["PointInTimeRecoveryStatus"], world.aws.tags("orders")) == ("DISABLED", {})


def test_planning_removes_nothing_and_a_missing_bucket_is_no_error() -> None:
    world = Moved()
    world.aws.calls.clear()
    plan_cleanup(world.source, world.destination, OPTIONS, LOADERS)
    assert world.aws.mutating() == []
    world.aws.remove_bucket()
    plan = plan_cleanup(
        None, world.destination, replace(OPTIONS, source_account_id=SOURCE, source_region="eu-west-1"), LOADERS
    )
    assert [entry.reason for entry in plan.left] == ["it does not exist"]


class TestB14AnExportWhoseAnswerWasLost:
    """Cleanup leaves the files of an export that runs, though its answer never came."""

    @staticmethod
    def lost(aws: Staged) -> None:
        def lose(when: str, operation: str, _number: int) -> None:
            if (when, operation) == ("after", "ExportTableToPointInTime"):
                raise Killed(operation)

        aws.interrupt = lose

    def test_with_a_record(self) -> None:
        aws = world()
        first = Playbook(aws)
        self.lost(aws)
        with pytest.raises(Killed):
            first.start()
        aws.interrupt = lambda *_call: None
        first.killed()
        later = Playbook(aws, 2)

        def cleaned() -> CleanupPlan:
            record = Tracking(None, "orders", later.record())
            return plan_cleanup(later.source, later.destination, OPTIONS, LOADERS, record, later.store)

        with pytest.raises(StillRunning, match=r"export .* is still running"):
            cleaned()
        with pytest.raises(StillRunning):  # and who has no credentials of the source is not told otherwise
            about = replace(OPTIONS, source_account_id=SOURCE, source_region="eu-west-1")
            plan_cleanup(None, later.destination, about, LOADERS, Tracking(None, "orders", later.record()), later.store)
        aws.advance(600)
        assert [change.risk for change in cleaned().changes] == ["destructive"]

    def test_by_the_verbs_alone(self) -> None:
        aws = Staged({"orders": 3})
        source, destination = aws.account("source"), aws.account("destination")
        plan = plan_export(source, destination, ExportOptions("orders", BUCKET), ImportLoader())
        self.lost(aws)
        with pytest.raises(Killed):
            start_export(source, destination, plan)
        aws.interrupt = lambda *_call: None
        with pytest.raises(StillRunning, match="export"):
            plan_cleanup(source, destination, OPTIONS, LOADERS)
