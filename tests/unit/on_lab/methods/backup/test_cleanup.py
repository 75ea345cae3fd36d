# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cleaning up by what records say was made: after a change of the method, and of tables that are not finished."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports import cleanup as staged
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup import cleanup as backups
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import BackupChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.removal import Removal, plan_removal, remove
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.store import RecordStore
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.claiming import Records
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.holding import hold
from tests.unit.on_lab.methods.backup.ready import VAULT, Ready
from tests.unit.on_lab.recorded import Playbook
from tests.unit.on_lab.staged import BUCKET, Staged

pytestmark = pytest.mark.usefixtures("at_once")

BACKUP = {"method": "backup", "backup": BackupChoices(writes_stopped=True)}
QUICK = {"export__full": 4.0, "import__visible": 1.0, "import__creating": 2.0, "import__completing": 0.5}


@pytest.fixture(autouse=True)
def record_table_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its deletion is waited for by a clock that stands still here."""
    monkeypatch.setattr(RecordStore, "remove_table", lambda *_arguments: False)


def world(**timings: float) -> Ready:
    return Ready({"orders": 7}, **{**QUICK, "pitr__latest_lag": 6.0, **timings})


def interrupted(aws: Staged, number: int = 1, *, ended: float = 600.0, **options: Any) -> None:
    """A run that has begun its first job and was stopped; its job ends after the run did."""
    run = Playbook(aws, number)
    begun = run.start(**options)
    if begun.job.state == "pending":
        run.wait({"orders": begun}, timeout=2.0)
    run.end()
    aws.advance(ended)


def clean_staged(aws: Staged, number: int, **more: Any) -> staged.CleanupPlan:
    """What migration_cleanup does."""
    playbook = Playbook(aws, number)
    record = hold(Records(playbook.store, lambda: playbook.run), "orders")
    try:
        options = staged.CleanupOptions(table="orders", bucket=BUCKET, **more)
        plan = staged.plan_cleanup(
            playbook.source, playbook.destination, options, [ImportLoader()], record, playbook.store
        )
        staged.apply_cleanup(playbook.source, playbook.destination, plan, record)
        return plan
    finally:
        if record is not None:
            record.let_go()
        playbook.end()


def clean_backups(aws: Staged, number: int, **more: Any) -> backups.BackupCleanupPlan:
    """What backup_cleanup does."""
    playbook = Playbook(aws, number)
    record = hold(Records(playbook.store, lambda: playbook.run), "orders")
    try:
        options = backups.BackupCleanupOptions("orders", **{"remove_recovery_points": True, **more})
        plan = backups.plan_backup_cleanup(playbook.source, playbook.destination, options, record)
        clock = {"clock": lambda: aws.clock, "sleep": aws.sleep}
        backups.apply_backup_cleanup(playbook.source, playbook.destination, options, plan, record, **clock)
        return plan
    finally:
        if record is not None:
            record.let_go()
        playbook.end()


def forget(aws: Staged, number: int, *, abandon: bool = False) -> Removal:
    """What record_cleanup does, after the same as check mode foresees it."""
    playbook = Playbook(aws, number)
    abandoned = frozenset({"orders"} if abandon else ())
    foreseen = plan_removal(playbook.store, ["orders"], "default", frozenset(), aws.clock, abandoned)
    done = remove(playbook.run, ["orders"], "default", frozenset(), abandoned)
    assert [left.to_dict() for left in foreseen.left] == [left.to_dict() for left in done.left]
    return done


def reasons(removal: Removal) -> list[str]:
    return [left.reason for left in removal.left]


def exported(aws: Staged) -> list[str]:
    return [key for key in aws.objects() if "AWSDynamoDB" in key]


class TestChangedMethod:
    """A run with one method was interrupted; another method brought the table to its end."""

    def test_an_export_that_has_ended_is_closed_with_its_files(self) -> None:
        aws = world()
        interrupted(aws)
        assert Playbook(aws, 2).migrate(**BACKUP)["orders"].status == "migrated"
        assert "begun" in [job.state for job in Playbook(aws, 3).record().jobs]
        clean_staged(aws, 4)
        record = Playbook(aws, 5).record()
        assert (record.state, exported(aws), [job for job in record.jobs if job.is_open]) == ("done", [], [])
        assert reasons(forget(aws, 6)) == []

    def test_files_that_are_gone_already_keep_nothing_open(self) -> None:
        aws = world()
        interrupted(aws)
        assert Playbook(aws, 2).migrate(**BACKUP)["orders"].status == "migrated"
        s3 = aws.client("s3", "destination")
        for key in exported(aws):
            s3.delete_object(Bucket=BUCKET, Key=key)
        clean_staged(aws, 3)
        assert not [job for job in Playbook(aws, 4).record().jobs if job.is_open]

    def test_an_export_that_runs_is_named_with_what_to_do(self) -> None:
        aws = world(export__full=4000.0)
        interrupted(aws)
        assert Playbook(aws, 2).migrate(**BACKUP)["orders"].status == "migrated"
        with pytest.raises(errors.StillRunning, match=r"export arn.* still running") as refused:
            clean_staged(aws, 3)
        assert (refused.value.table, refused.value.next_step) == ("orders", "Wait for its end, then clean up again.")
        assert "cleanup" in reasons(forget(aws, 4))[0] and "migrate" not in reasons(forget(aws, 5))[0]
        aws.advance(4000.0)
        clean_staged(aws, 6)
        assert reasons(forget(aws, 7)) == []

    def test_a_backup_that_has_ended_is_closed_and_its_recovery_points_go(self) -> None:
        aws = world()
        interrupted(aws, **BACKUP)
        assert len(aws.points("source")) == 1
        assert Playbook(aws, 2).migrate(method="s3")["orders"].status == "migrated"
        clean_backups(aws, 3)
        record = Playbook(aws, 4).record()
        assert (record.state, [job for job in record.jobs if job.is_open]) == ("done", [])
        assert (aws.points("source"), reasons(forget(aws, 5))) == ([], [])

    @pytest.mark.parametrize("done", [False, True])
    def test_recovery_points_go_from_the_vaults_that_the_record_names(self, done: bool) -> None:
        """The options name other vaults by now."""
        aws = world()
        if done:
            assert Playbook(aws).migrate(**BACKUP)["orders"].status == "migrated"
        else:
            interrupted(aws, **BACKUP)
        others = {"vault": "another", "destination_vault": "elsewhere"}
        kept = clean_backups(aws, 2, remove_recovery_points=False, abandon=True, **others)
        assert [left.what.rpartition(" ")[2] for left in kept.left] == [VAULT] * (2 if done else 1)
        assert len(clean_backups(aws, 3, abandon=True, **others).points) == (2 if done else 1)
        assert (aws.points("source"), aws.points("destination")) == ([], [])

    def test_an_interrupted_export_whose_files_are_gone_is_made_anew(self) -> None:
        aws = world()
        interrupted(aws)
        s3 = aws.client("s3", "destination")
        for key in exported(aws):
            s3.delete_object(Bucket=BUCKET, Key=key)
        clean_staged(aws, 2)
        assert Playbook(aws, 3).migrate()["orders"].status == "migrated"
        assert len(aws.jobs("export")) == 2

    def test_files_of_a_former_method_do_not_make_the_backup_begin_anew(self) -> None:
        aws = world()
        interrupted(aws)
        interrupted(aws, 2, **BACKUP)
        clean_staged(aws, 3)
        assert Playbook(aws, 4).migrate(**BACKUP)["orders"].status == "migrated"
        assert (len(aws.jobs("export")), len(aws.jobs("backup"))) == (1, 1)


class TestUnfinished:
    def test_the_staged_data_of_an_unfinished_table_goes_with_a_warning(self) -> None:
        aws = world()
        interrupted(aws)
        plan = clean_staged(aws, 2)
        assert len(plan.warnings) == 1 and "exports the table again" in plan.warnings[0]
        assert reasons(forget(aws, 3)) == []

    @pytest.mark.parametrize("finished", [False, True])
    def test_what_a_backup_has_made_is_kept_for_the_run_that_goes_on(self, finished: bool) -> None:
        aws = world()
        run = Playbook(aws)
        begun = run.start(**BACKUP)
        if finished:
            run.wait({"orders": begun}, timeout=8.0)  # the copy is begun
        run.end()
        aws.advance(600.0)
        plan = clean_backups(aws, 2)
        assert plan.points == () and all("migrate" in left.reason for left in plan.left)
        assert "abandon: true" in plan.left[0].reason
        why = reasons(forget(aws, 3))
        assert len(why) == 1 and "migrate" in why[0] and "abandon: true" in why[0]
        assert Playbook(aws, 4).migrate(**BACKUP)["orders"].status == "migrated"
        assert (len(aws.jobs("backup")), len(aws.jobs("copy"))) == (1, 1)

    def test_a_backup_that_runs_keeps_everything_even_where_it_is_given_up(self) -> None:
        aws = world(backup__running=4000.0)
        interrupted(aws, ended=10.0, **BACKUP)
        with pytest.raises(errors.StillRunning, match=r"backup .* still running"):
            clean_backups(aws, 2, abandon=True)
        assert "its backup is begun" in reasons(forget(aws, 3, abandon=True))[0]

    def test_a_backup_that_is_given_up_goes_with_its_record(self) -> None:
        aws = world()
        interrupted(aws, **BACKUP)
        assert len(clean_backups(aws, 2, abandon=True).points) == 1
        assert aws.points("source") == []
        assert reasons(forget(aws, 3, abandon=True)) == []

    def test_without_its_recovery_points_the_next_run_begins_anew(self) -> None:
        aws = world()
        interrupted(aws, **BACKUP)
        clean_backups(aws, 2, abandon=True)
        assert Playbook(aws, 3).migrate(**BACKUP)["orders"].status == "migrated"
        assert len(aws.jobs("backup")) == 2

    def test_half_a_table_keeps_its_record_until_it_is_given_up(self) -> None:
        aws = world(import__completing=4000.0)
        run = Playbook(aws)
        run.wait({"orders": run.start()}, timeout=30.0)
        run.end()
        aws.advance(5000.0)
        with pytest.raises(errors.StillRunning, match=r"import .* no run has looked"):
            clean_staged(aws, 2)
        assert "migrate" in reasons(forget(aws, 3))[0]
        assert Playbook(aws, 4).migrate()["orders"].status == "migrated"
        assert reasons(forget(aws, 5)) == []
