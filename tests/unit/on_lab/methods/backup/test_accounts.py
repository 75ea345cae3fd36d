# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS Backup's settings, vault policies and cleaning up."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    AccessDenied,
    BackupNotPossible,
    InvalidInput,
    ServiceError,
    StillRunning,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.account_settings import (
    AccountSettingsOptions,
    NotManagementAccount,
    apply_settings,
    plan_settings,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.cleanup import (
    BackupCleanupOptions,
    apply_backup_cleanup,
    plan_backup_cleanup,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.copy_jobs import (
    RecoveryPointCopyOptions,
    plan_copy,
    start_copy,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.vaults import (
    copy_statement,
    make_vault,
    plan_copying,
    plan_vault,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.shared_policy import (
    PolicyPlan,
    apply_policy,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.users import Uncounted
from tests.unit.on_lab.methods.backup.ready import SOURCE, VAULT, Ready, allow, root
from tests.unit.on_lab.methods.backup.test_jobs import backed_up, copied
from tests.unit.on_lab.methods.backup.test_kill import migrate, world

ON = AccountSettingsOptions(opt_in=True, advanced_features=True)


def test_only_dynamodb_changes_in_the_maps_and_the_rest_is_sent_back() -> None:
    aws = world()
    aws.backup("source").update_region_settings(
        ResourceTypeOptInPreference={"DynamoDB": False, "EBS": False},
        ResourceTypeManagementPreference={"DynamoDB": False, "EFS": True},
    )
    before = aws.backup("source").describe_region_settings()
    account = aws.account("source")
    plan = plan_settings(account, ON)
    assert [(change.before, change.after) for change in plan.changes] == [(False, True), (False, True)]
    assert aws.mutating() == []
    found = apply_settings(account, ON, plan)
    assert (found.opt_in, found.advanced_features) == (True, True)
    after = aws.backup("source").describe_region_settings()
    for name in ("ResourceTypeOptInPreference", "ResourceTypeManagementPreference"):
        assert after[name] == {**before[name], "DynamoDB": True}
    assert plan_settings(account, ON).changes == []


def test_a_setting_that_moved_beside_ours_is_told() -> None:
    aws = world()
    aws.settings("source", opt_in=False)
    aws.backup("source").update_region_settings(ResourceTypeOptInPreference={"EBS": False})

    def meddle(when: str, operation: str, at: int) -> None:
        if (when, operation) == ("after", "UpdateRegionSettings"):
            aws.backup("source").update_region_settings(ResourceTypeOptInPreference={"EBS": True})

    aws.interrupt = meddle
    account = aws.account("source")
    with pytest.raises(ServiceError, match="EBS"):
        apply_settings(account, ON, plan_settings(account, ON))


def test_a_setting_that_aws_does_not_show_is_told() -> None:
    aws = world()
    aws.settings("source", advanced=False)
    account = aws.account("source")
    plan = plan_settings(account, ON)
    account.client = lambda service, **more: _Deaf(aws.account("source").client(service))  # type: ignore[method-assign]
    with pytest.raises(ServiceError, match="advanced_features=True but shows False"):
        apply_settings(account, ON, plan)


class _Deaf:
    """A client whose UpdateRegionSettings does nothing."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return (lambda **maps: {}) if name == "update_region_settings" else getattr(self._client, name)


@pytest.mark.parametrize("organization", ["", "o-tableferry1"])
def test_the_organization_is_set_in_its_management_account_only(organization: str) -> None:
    aws = world()
    aws.world.accounts[SOURCE].organization_id = organization
    with pytest.raises(NotManagementAccount, match="management account"):
        plan_settings(aws.account("source"), AccountSettingsOptions(cross_account_backup=True))


# Policies


def carry_out(plan: PolicyPlan) -> None:
    apply_policy(plan, Uncounted(), sleep=lambda seconds: None)


def test_a_statement_is_merged_into_a_policy_and_taken_out_again() -> None:
    aws = world()
    other = {**allow({"AWS": root("444444444444")}, "backup:CopyIntoBackupVault")["Statement"][0], "Sid": "Theirs"}
    aws.set_policy({"Version": "2012-10-17", "Statement": [other]})
    account, statement = aws.account("destination"), copy_statement(SOURCE, "aws")
    plan = plan_copying(account, VAULT, statement)
    assert aws.mutating() == []
    carry_out(plan)
    assert aws.policy()["Statement"] == [other, statement.to_dict()]
    assert plan_copying(account, VAULT, statement).changes == []
    carry_out(plan_copying(account, VAULT, statement, present=False))
    assert aws.policy()["Statement"] == [other]


def test_a_policy_of_ours_alone_goes_with_its_statement() -> None:
    aws = world()
    aws.set_policy(None)
    account, statement = aws.account("destination"), copy_statement("", "aws", "o-example")
    assert statement.condition == {"StringEquals": {"aws:PrincipalOrgID": "o-example"}}
    carry_out(plan_copying(account, VAULT, statement))
    carry_out(plan_copying(account, VAULT, statement, present=False))
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        aws.policy()


def test_the_default_vault_and_one_that_is_not_there_are_refused() -> None:
    account, statement = world().account("destination"), copy_statement(SOURCE, "aws")
    with pytest.raises(InvalidInput, match="Default"):
        plan_copying(account, "Default", statement)
    with pytest.raises(BackupNotPossible, match="no vault other"):
        plan_copying(account, "other", statement)


# Cleaning up


def clean(aws: Ready, **more: Any) -> Any:
    options = BackupCleanupOptions("orders", **more)
    source, destination = aws.account("source"), aws.account("destination")
    plan = plan_backup_cleanup(source, destination, options)
    clock = {"clock": lambda: aws.clock, "sleep": aws.sleep}
    return plan, apply_backup_cleanup(source, destination, options, plan, **clock)


def test_recovery_points_stay_unless_asked_for_and_it_is_told_until_when() -> None:
    aws = world()
    migrate(aws)
    plan, done = clean(aws)
    assert done["recovery_points_removed"] == 0
    assert [("kept, until 20" in left.reason, left.what.count("vault tableferry")) for left in plan.left] == [
        (True, 1)
    ] * 2
    assert len(aws.points("source")) == len(aws.points("destination")) == 1


def test_both_recovery_points_go_when_asked_for() -> None:
    aws = world()
    migrate(aws)
    copied(aws, backed_up(aws, migration_id="other", restore=False))
    plan, done = clean(aws, remove_recovery_points=True)
    assert {change.risk for change in plan.changes} == {"destructive"}
    assert (done["recovery_points_removed"], done["left"]) == (2, [])
    assert len(aws.points("source")) == len(aws.points("destination")) == 1
    assert clean(aws, remove_recovery_points=True)[0].changes == []


def test_a_copy_that_still_runs_keeps_its_recovery_point() -> None:
    aws = world()
    backup = backed_up(aws)
    aws.world.timings.set("backup.copy_running", 100.0)
    source, destination = aws.account("source"), aws.account("destination")
    start_copy(source, plan_copy(source, destination, RecoveryPointCopyOptions("orders", backup)))
    with pytest.raises(StillRunning, match="still running"):
        clean(aws, remove_recovery_points=True)


def test_what_aws_does_not_delete_is_told() -> None:
    aws = world()
    migrate(aws)
    source, destination = aws.account("source"), aws.account("destination")
    options = BackupCleanupOptions("orders", remove_recovery_points=True, wait=20.0)
    plan = plan_backup_cleanup(source, destination, options)
    aws.world.timings.set("backup.deleting_point", 3600.0)
    done = apply_backup_cleanup(source, destination, options, plan, clock=lambda: aws.clock, sleep=aws.sleep)
    assert done["recovery_points_removed"] == 0
    assert all("the role that made it must exist" in left.reason for left in done["left"])


@pytest.mark.parametrize(
    ("action", "advice"),
    [
        ("backup-storage:MountCapsule", "backup-storage:MountCapsule on *"),
        ("kms:RetireGrant", "through AWS Backup, kms:CreateGrant"),
        ("backup:CreateBackupVault", "the Deny taken away"),
    ],
)
def test_what_a_new_vault_takes_is_told_where_aws_does_not_say_it(action: str, advice: str) -> None:
    aws = world()
    arn = aws.vault("source")["EncryptionKeyArn"]
    aws.may_not("source", action)
    account = aws.account("source")
    with pytest.raises(AccessDenied, match="refused creating the vault another") as refused:
        make_vault(plan_vault(account, "another", arn))
    assert advice in refused.value.next_step
    assert refused.value.details["side"] == "source"
