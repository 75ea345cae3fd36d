# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of AWS Backup, what is found again, and how its failures are told."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.destination import read_point_tags
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    BackupFailed,
    BackupNotPossible,
    CopyFailed,
    CountMismatch,
    DestinationExists,
    InvalidInput,
    MissingKeyMapping,
    RestoreFailed,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.backup_jobs import (
    BackupOptions,
    plan_backup,
    start_backup,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.copy_jobs import (
    RecoveryPointCopyOptions,
    plan_copy,
    start_copy,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.failures import hint, is_full
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.restore_jobs import (
    RestoreOptions,
    plan_restore,
    restore_metadata,
    start_restore,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.vaults import read_tags
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import BackupChoices, MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import judge, start, wait_for
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.encryption import Encryption
from tests.unit.on_lab.in_process import InProcessAccount, failure
from tests.unit.on_lab.methods.backup.ready import DESTINATION, SOURCE, Ready
from tests.unit.on_lab.methods.backup.test_kill import migrate, world

HOUR, DAY = 3600.0, 86400.0


def accounts(aws: Ready) -> tuple[InProcessAccount, InProcessAccount]:
    return aws.account("source"), aws.account("destination")


def ended(aws: Ready, job: Job, **how: Any) -> Job:
    item = WaitItem("t", *accounts(aws), job)
    return wait_for([item], clock=lambda: aws.clock, sleep=aws.sleep, **how).jobs["t"]


def backed_up(aws: Ready, migration_id: str = "default", **choices: Any) -> Job:
    source, destination = accounts(aws)
    options = BackupOptions("orders", migration_id=migration_id, choices=BackupChoices(**choices))
    return ended(aws, start_backup(source, plan_backup(source, destination, options)))


def copied(aws: Ready, backup: Job, **options: Any) -> Job:
    source, destination = accounts(aws)
    plan = plan_copy(source, destination, RecoveryPointCopyOptions("orders", backup, choices=BackupChoices(**options)))
    return ended(aws, start_copy(source, plan))


def restored(aws: Ready, copy: Job, **options: Any) -> Job:
    source, destination = accounts(aws)
    plan = plan_restore(source, destination, RestoreOptions("orders", copy=copy, **options))
    return ended(aws, start_restore(destination, plan))


# What is asked


def test_tokens_are_forty_digits_and_the_tag_names_the_migration() -> None:
    aws = world()
    source, destination = accounts(aws)
    plan = plan_backup(source, destination, BackupOptions("orders", migration_id="spring"))
    call = plan.job.request["call"]
    assert len(call["IdempotencyToken"]) == 40
    assert int(call["IdempotencyToken"], 16)
    assert call["RecoveryPointTags"] == {"tableferry:migration": "spring"}
    assert call["Lifecycle"] == {"DeleteAfterDays": 7}
    assert call["IamRoleArn"] == f"arn:aws:iam::{SOURCE}:role/AWSBackup-tableferry"
    again = plan_backup(source, destination, BackupOptions("orders", migration_id="spring"))
    assert again.job.request["call"] == call


@pytest.mark.parametrize(
    ("encryption", "told"),
    [
        (Encryption(), {"encryptionType": "Default"}),
        (Encryption("aws_managed"), {"encryptionType": "KMS"}),
        (Encryption("customer", "arn:k"), {"encryptionType": "KMS", "kmsMasterKeyArn": "arn:k"}),
    ],
)
def test_a_restore_always_says_its_encryption_and_nothing_else(encryption: Encryption, told: dict[str, str]) -> None:
    assert restore_metadata("orders", encryption) == {"targetTableName": "orders", **told}


def test_a_customer_key_without_a_mapping_is_refused_before_the_backup() -> None:
    aws = world()
    key = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": aws.key("source")}
    aws.client("dynamodb", "source").update_table(TableName="orders", SSESpecification=key)
    aws.sleep(60)
    with pytest.raises(MissingKeyMapping, match="kms_key_map"):
        plan_backup(*accounts(aws), BackupOptions("orders"))
    assert aws.mutating() == []


@pytest.mark.parametrize(("end", "cold"), [(30, 10), (-1, 0), (99, 10)])
def test_a_lifecycle_that_aws_refuses_late_is_refused_now(end: int, cold: int) -> None:
    options = BackupOptions(
        "orders", choices=BackupChoices(delete_after_days=end, move_to_cold_storage_after_days=cold)
    )
    with pytest.raises(InvalidInput):
        plan_backup(*accounts(world()), options)


def test_an_air_gapped_vault_takes_the_place_of_a_copy() -> None:
    aws = world()
    aws.add_air_gapped_vault()
    aws.world.accounts[DESTINATION].organization_id = ""
    source, destination = accounts(aws)
    plan = plan_backup(source, destination, BackupOptions("orders", choices=BackupChoices(air_gapped_vault="gapped")))
    assert plan.obstacle is None
    vault = aws.vault("source", "gapped")["BackupVaultArn"]
    assert plan.job.request["call"]["LogicallyAirGappedBackupVaultArn"] == vault
    done = replace(plan.job, state="completed", result={"recovery_point_arn": "arn:point", "end_time": "now"})
    copy = plan_copy(source, destination, RecoveryPointCopyOptions("orders", done))
    assert (copy.job.state, copy.changes) == ("not_needed", [])
    assert copy.job.result["destination_recovery_point_arn"] == "arn:point"
    restore = plan_restore(source, destination, RestoreOptions("orders", copy=copy.job))
    assert restore.job.request["call"]["RecoveryPointArn"] == "arn:point"


# What is found again


def test_a_backup_of_an_earlier_run_serves_while_it_is_young() -> None:
    aws = world()
    first = backed_up(aws)
    aws.sleep(2 * DAY)
    assert backed_up(aws, max_age=3 * DAY).arn == first.arn
    second = backed_up(aws)
    assert second.arn != first.arn
    assert (len(aws.jobs("backup")), second.attempt) == (2, 1)


@pytest.mark.parametrize("ahead", [-900.0, 900.0])
@pytest.mark.parametrize(("age", "serves"), [(3500.0, True), (3700.0, False)])
def test_how_old_a_backup_is_goes_by_the_clock_of_aws(ahead: float, age: float, serves: bool) -> None:
    """The controller's is ``ahead`` of it."""
    aws = world(ago=ahead)
    first = backed_up(aws)
    aws.sleep(datetime.fromisoformat(first.result["end_time"]).timestamp() + age - aws.clock)
    assert (backed_up(aws, max_age=3600).arn == first.arn) is serves


def test_a_backup_of_another_migration_does_not_serve() -> None:
    aws = world()
    first = backed_up(aws, migration_id="other")
    assert backed_up(aws).arn != first.arn


def test_a_backup_of_our_plan_is_known_by_its_tag_with_a_capital() -> None:
    aws = world()
    nightly = BackupOptions("orders", choices=BackupChoices(plan="nightly"))
    call = plan_backup(*accounts(aws), nightly).job.request["call"]
    call |= {"RecoveryPointTags": {"Tableferry:migration": "default"}}
    begun = aws.backup("source").start_backup_job(**call, IdempotencyToken="plan")
    aws.sleep(30)
    assert backed_up(aws, plan="nightly").arn == begun["BackupJobId"]


def test_a_backup_of_the_table_before_it_was_made_anew_does_not_serve() -> None:
    aws = world()
    first = backed_up(aws)
    aws.sleep(HOUR)
    aws.drop("orders", "source")
    aws.add_table("orders", 3, recovery=False)
    assert backed_up(aws).arn != first.arn


def test_a_running_backup_of_our_vault_serves_whoever_began_it() -> None:
    aws = world()
    source, destination = accounts(aws)
    running = start_backup(source, plan_backup(source, destination, BackupOptions("orders", migration_id="other")))
    plan = plan_backup(source, destination, BackupOptions("orders"))
    assert (plan.job.state, plan.job.arn, plan.changes) == ("running", running.arn, [])


def test_b10_the_tags_of_a_recovery_point_are_read_from_all_pages() -> None:
    aws = world()
    for number in range(5):
        aws.tag("orders", f"Owner{number}", "theirs", "source")
    arn = backed_up(aws).result["recovery_point_arn"]
    aws.page = 1
    source = aws.account("source")
    assert len(read_tags(source, arn)) == 6
    assert read_tags(source, arn)["owner3"] == "theirs"
    assert read_point_tags(source, arn, "reading tags")["tableferry:migration"] == "default"
    # Which is on the last page, and tells a later run whose backup it is.
    running = start_backup(source, plan_backup(source, aws.account("destination"), BackupOptions("orders")))
    assert running.result["recovery_point_arn"] == arn


def test_a_spent_token_is_replaced_by_the_next() -> None:
    """AWS forgets jobs in its lists after 30 days, and nobody knows when it forgets their tokens."""
    aws = world()
    first = backed_up(aws)
    aws.sleep(40 * DAY)
    source, destination = accounts(aws)
    second = start_backup(source, plan_backup(source, destination, BackupOptions("orders")))
    assert second.arn != first.arn
    assert second.attempt == 1


def test_a_backup_that_was_deleted_serves_while_its_copy_is_there() -> None:
    aws = world()
    backup = backed_up(aws)
    copy = copied(aws, backup)
    aws.remove_point("source", backup.result["recovery_point_arn"])
    again = backed_up(aws)
    assert again.arn == backup.arn
    assert copied(aws, again).arn == copy.arn
    assert (len(aws.jobs("backup")), len(aws.jobs("copy"))) == (1, 1)


def test_a_failed_job_is_followed_by_another_with_another_token() -> None:
    aws = world()
    aws.fail_next("StartCopyJob", message="no")
    backup = backed_up(aws)
    failed = copied(aws, backup)
    again = copied(aws, backup)
    assert (failed.state, again.state, again.attempt) == ("failed", "completed", 1)
    assert failed.request["call"]["IdempotencyToken"] != again.request["call"]["IdempotencyToken"]


def test_a_table_of_somebody_else_is_refused_and_a_marked_one_is_ours() -> None:
    aws = world()
    aws.add_table("orders", 1, "destination", recovery=False)
    with pytest.raises(DestinationExists, match="overwrites nothing"):
        plan_backup(*accounts(aws), BackupOptions("orders"))
    aws.tag("orders", "tableferry:migration", "default")
    assert plan_backup(*accounts(aws), BackupOptions("orders")).job.state == "not_needed"


def test_a_table_that_was_made_anew_after_its_restore_is_somebody_elses() -> None:
    aws = world()
    assert migrate(aws).status == "migrated"
    aws.sleep(HOUR)
    aws.drop()
    aws.add_table("orders", 1, "destination", recovery=False)
    with pytest.raises(DestinationExists):
        migrate(aws)


def test_a17_a_table_made_within_two_minutes_of_the_restores_end_is_somebody_elses() -> None:
    aws = world()
    assert migrate(aws).status == "migrated"
    aws.drop()
    aws.add_table("orders", 1, "destination", recovery=False)
    ended_at = accounts(aws)[1].client("backup").list_restore_jobs()["RestoreJobs"][0]["CompletionDate"]
    assert (aws.now - ended_at).total_seconds() < 120
    with pytest.raises(DestinationExists):
        migrate(aws)


def test_a17_a_table_made_before_the_restored_one_was_seen_is_not_taken_for_it() -> None:
    aws = world()
    copy = copied(aws, backed_up(aws))
    mine: list[bool] = []

    def take_the_name(when: str, operation: str, at: int) -> None:
        if when == "after" and operation in ("ListRestoreJobs", "DescribeRestoreJob") and not mine:
            listed = aws.client("backup", "destination").list_restore_jobs()["RestoreJobs"]
            if listed and listed[0]["Status"] == "COMPLETED":
                mine.append(True)
                aws.drop()
                aws.add_table("orders", 1, "destination", recovery=False)

    aws.interrupt = take_the_name
    job = restored(aws, copy)
    assert mine
    assert (job.state, job.failure_code) == ("failed", "RestoreFailed")
    assert "was created again" in job.failure_message
    assert not aws.tags("orders", "destination")


# Waiting


def test_the_run_of_a_backup_plan_is_waited_for() -> None:
    aws = world()
    source, destination = accounts(aws)
    nightly = BackupOptions("orders", choices=BackupChoices(plan="nightly"))
    pending = start_backup(source, plan_backup(source, destination, nightly))
    assert (pending.state, pending.pending_reason) == ("pending", "backup_plan")
    begun: list[Any] = []

    def sleep(seconds: float) -> None:
        aws.sleep(seconds)
        if aws.clock - aws.began > HOUR and not begun:
            begun.append(source.client("backup").start_backup_job(**pending.request["call"], IdempotencyToken="plan"))

    item = WaitItem("t", source, destination, pending)
    found = wait_for([item], clock=lambda: aws.clock, sleep=sleep).jobs["t"]
    assert (found.state, found.arn) == ("completed", begun[0]["BackupJobId"])
    assert aws.count("StartBackupJob") == 1
    copy = plan_copy(source, destination, RecoveryPointCopyOptions("orders", found))
    assert (copy.job.state, copy.job.pending_reason) == ("pending", "backup_plan")
    late = ended(aws, copy.job)
    assert (late.state, late.failure_code) == ("failed", "CopyFailed")
    assert "copy action" in late.failure_message


def test_restores_wait_for_a_slot_and_a_quota_that_shows_late_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Ready(backup__restore_starting=30.0)
    copy = copied(aws, backed_up(aws))
    monkeypatch.setattr("lab.backup.restore_jobs.MOST_RESTORES", 0)
    source, destination = accounts(aws)
    job = start_restore(destination, plan_restore(source, destination, RestoreOptions("orders", copy=copy)))
    seen = []

    def sleep(seconds: float) -> None:
        aws.sleep(seconds)
        seen.append(len(aws.jobs("restore")))
        if seen[-1] > 1:
            monkeypatch.setattr("lab.backup.restore_jobs.MOST_RESTORES", 50)

    found = wait_for([WaitItem("t", source, destination, job)], clock=lambda: aws.clock, sleep=sleep).jobs["t"]
    assert (found.state, found.attempt) == ("completed", 1)


@pytest.mark.parametrize("answer", ["failed", "pending"])
def test_more_restores_than_aws_takes_wait_for_a_slot(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the quota shows as a failed job or as one that waits: two tables where one may be restored."""
    monkeypatch.setattr("lab.backup.restore_jobs.MOST_RESTORES", 1)
    names = ["one", "two"]
    aws = Ready(dict.fromkeys(names, 3), backup__restore_running=60.0)
    aws.world.behaviours.choose("backup.restore_over_quota", answer)
    items = []
    for name in names:
        way = start(*accounts(aws), MigrationOptions(table=name, method="backup"))
        items.append(WaitItem(name, *accounts(aws), way.job, way.then))
    ended_ways = wait_for(items, clock=lambda: aws.clock, sleep=aws.sleep).ways
    assert {job.state for name in names for job in ended_ways[name]} == {"completed"}, ended_ways
    assert len(aws.jobs("restore")) >= 2


def test_many_tables_are_listed_and_their_percents_shown() -> None:
    aws = Ready({f"table{number}": 1 for number in range(60)}, backup__running=120.0)
    aws.page = 25
    source, destination = accounts(aws)
    items, lines = [], []
    for number in range(60):
        plan = plan_backup(source, destination, BackupOptions(f"table{number}"))
        items.append(WaitItem(f"table{number}", source, destination, start_backup(source, plan)))
    found = wait_for(items, progress=lines.append, clock=lambda: aws.clock, sleep=aws.sleep)
    assert {job.state for job in found.jobs.values()} == {"completed"}
    calls = found.poll_calls["backup"]
    assert calls["largest_round"] <= calls["bound"]
    shown = [found for line in lines if (found := re.search(r"60 running \((\d+) %, about (\d+)m(\d+)s left\)", line))]
    assert shown, lines
    for percent, minutes, seconds in (map(int, found.groups()) for found in shown):
        assert 60 * minutes + seconds == pytest.approx(120 * (1 - percent / 100), abs=15), lines
    assert any(re.match(r"slowest: (table\d+ \(backup 1m\d+s, \d+ %, .*\)(, |$)){10}", line) for line in lines), lines


# Failures


@pytest.mark.parametrize(
    ("kind", "state", "message", "advice"),
    [
        ("copy", "FAILED", "Copy job failed. Both source and destination account must be a member of the "
         "same organization", "air_gapped_vault"),
        ("copy", "FAILED", "Access Denied trying to call AWS Backup service", "backup:CopyIntoBackupVault"),
        ("copy", "FAILED", "The destination Backup vault is encrypted with the default Backup service managed key",
         "customer managed key"),
        ("copy", "FAILED", "Given key ID is not accessible", "Share the source vault's key"),
        ("copy", "FAILED", "Feature is not supported for provided resource type", "advanced features"),
        ("copy", "FAILED", "The retention specified in the job is not within the range specified for the target Backup "
         "Vault.", "copy_delete_after_days"),
        ("backup", "FAILED", "role/x is not authorized to perform: dynamodb:ListTagsOfResource", "ListTagsOfResource"),
        ("backup", "EXPIRED", "Backup job failed because there was a running job for the same resource.", "wait"),
        ("backup", "EXPIRED", "", "start window"),
        ("backup", "FAILED", "Backup job failed because the lifecycle is outside the valid range for backup vault.",
         "delete_after_days"),
        ("restore", "FAILED", "Table already exists: orders", "destination_table"),
        ("copy", "PARTIAL", "", "not used"),
        ("restore", "FAILED", "something new", "starts a new restore"),
    ],
)  # fmt: skip
def test_known_failures_have_a_next_step(kind: str, state: str, message: str, advice: str) -> None:
    assert advice in hint(state, message, kind)


@pytest.mark.parametrize(
    ("kind", "error"), [("backup", BackupFailed), ("copy", CopyFailed), ("restore", RestoreFailed)]
)
def test_a_failed_job_fails_its_table_with_what_aws_said(kind: str, error: type[Exception]) -> None:
    aws = world()
    aws.fail_next(f"Start{kind.title()}Job", message="AWS said this.")
    judgement = migrate(aws)
    assert judgement.status == "failed"
    assert isinstance(judgement.failure, error)
    assert "orders: " in str(judgement.failure)
    assert "AWS said this." in judgement.reason
    aws.sleep(10)  # until the table of a failed restore is gone
    assert migrate(aws).status == "migrated"


def test_a_table_that_a_failed_restore_left_is_kept_and_told() -> None:
    aws = world()
    aws.fail_next("StartRestoreJob", message="out of luck")
    migrate(aws)
    aws.sleep(10)  # the lab's restores take their tables with them; whether AWS's do nobody has seen
    aws.add_table("orders", 1, "destination", recovery=False)

    def name_the_table(operation: str, answer: dict[str, Any]) -> None:
        for job in answer.get("RestoreJobs", ()):
            job |= {"CreatedResourceArn": accounts(aws)[1].table_arn("orders"), "CompletionDate": aws.now}

    aws.edit = name_the_table
    with pytest.raises(RestoreFailed, match=r"left the table orders: out of luck.*delete exactly this table"):
        migrate(aws)
    assert len(aws.jobs("restore")) == 1


def test_a_start_that_aws_refuses_says_what_to_do() -> None:
    aws = world()
    aws.advance(300)  # its roles are no fresh ones

    def refuse(when: str, operation: str, at: int) -> None:
        if (when, operation) == ("before", "StartBackupJob"):
            raise failure("InvalidParameterValueException", "IAM Role cannot be assumed by AWS Backup", operation)

    aws.interrupt = refuse
    with pytest.raises(BackupNotPossible, match="cannot be assumed by AWS Backup") as refused:
        backed_up(aws)
    assert refused.value.next_step


def test_a_full_quota_is_known_by_its_words() -> None:
    assert is_full("Subscriber limit exceeded: Only 50 restore operations can be done simultaneously")
    assert is_full("Backup is being used to restore another table: arn")
    assert not is_full("Table already exists")


def test_a6_a_backup_says_between_which_instants_it_was_made() -> None:
    aws = world()
    began = aws.now
    data_as_of = migrate(aws).data_as_of
    first, last = (datetime.fromisoformat(data_as_of[name]) for name in ("from", "to"))
    assert began <= first <= last <= aws.now


# Counting


@pytest.mark.parametrize(
    ("backed", "written", "stopped", "status", "verified"),
    [
        (7, 0, True, "migrated", "counts"),
        (7, 2, True, "failed", "none"),
        (7, 2, False, "migrated", "none"),
        (0, 7, False, "failed", "none"),
        (0, 0, False, "migrated", "counts"),
    ],
)
def test_counts_decide_as_far_as_writes_were_stopped(
    backed: int, written: int, stopped: bool, status: str, verified: str
) -> None:
    """``written``: items that came into the source after its backup."""
    aws = Ready({"orders": backed})
    jobs = [backed_up(aws)]
    aws.write("orders", written, first=backed)
    jobs.append(copied(aws, jobs[0]))
    jobs.append(restored(aws, jobs[1]))
    judgement = judge("orders", *accounts(aws), jobs, writes_stopped=stopped)
    assert (judgement.status, judgement.verified) == (status, verified)
    assert (judgement.items_source, judgement.items_destination) == (backed + written, backed)
    if written:
        assert str(backed + written) in judgement.reason
    # The next run only reports a finished table: it compares anew with another copy only.
    advised = written and backed and not stopped
    assert ("delete the copy, and run again with writes_stopped" in judgement.reason) == bool(advised)


def test_a_table_that_lacks_items_lacks_them_in_the_next_run_too() -> None:
    aws = world()

    def write(when: str, operation: str, at: int) -> None:
        if (when, operation) == ("before", "StartCopyJob"):
            aws.write("orders", 2, first=7)

    aws.interrupt = write
    for _run in range(2):
        judgement = migrate(aws)
        assert isinstance(judgement.failure, CountMismatch), judgement
    assert len(aws.jobs("restore")) == 1


def test_only_copied_is_a_status_of_its_own() -> None:
    aws = world()
    options = {"restore": False}
    backup = backed_up(aws, **options)
    judgement = judge("orders", *accounts(aws), [backup, copied(aws, backup)])
    assert (judgement.status, judgement.verified, judgement.bytes) == ("copied", "none", 42)
    assert len(aws.points("destination")) == 1
