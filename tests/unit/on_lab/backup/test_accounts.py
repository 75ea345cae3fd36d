# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS Backup's settings, vault policies and cleaning up."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    BackupNotPossible,
    InvalidInput,
    ServiceError,
    StillRunning,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.account_settings import (
    NotManagementAccount,
    SettingsOptions,
    apply_settings,
    plan_settings,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.cleanup import (
    BackupCleanupOptions,
    apply_backup_cleanup,
    plan_backup_cleanup,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.copy_jobs import (
    CopyOptions,
    plan_copy,
    start_copy,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.vaults import (
    apply_policy,
    copy_statement,
    plan_policy,
)
from tests.unit.on_lab.backup.test_kill import migrate, world
from tests.unit.on_lab.backup.test_way import backed_up, copied
from tests.unit.core.fake_aws import DESTINATION, SOURCE
from tests.unit.core.fake_backup import VAULT, BackupAws, allow

ON = SettingsOptions(opt_in=True, advanced_features=True)


def test_only_dynamodb_changes_in_the_maps_and_the_rest_is_sent_back() -> None:
    aws = world()
    settings = aws.region_settings[SOURCE]
    settings["ResourceTypeOptInPreference"]["DynamoDB"] = False
    settings["ResourceTypeManagementPreference"].pop("DynamoDB")
    account = aws.account("source")
    plan = plan_settings(account, ON)
    assert [(change.before, change.after) for change in plan.changes] == [(False, True), (False, True)]
    assert aws.mutating() == []
    found = apply_settings(account, ON, plan)
    assert (found.opt_in, found.advanced_features) == (True, True)
    assert settings == {
        "ResourceTypeOptInPreference": {"DynamoDB": True, "EBS": False},
        "ResourceTypeManagementPreference": {"DynamoDB": True, "EFS": True},
    }
    assert plan_settings(account, ON).changes == []


def test_a_setting_that_moved_beside_ours_is_told() -> None:
    aws = world()
    aws.region_settings[SOURCE]["ResourceTypeOptInPreference"]["DynamoDB"] = False

    def meddle(when: str, operation: str, at: int) -> None:
        if (when, operation) == ("after", "UpdateRegionSettings"):
            aws.region_settings[SOURCE]["ResourceTypeOptInPreference"]["EBS"] = True

    aws.interrupt = meddle
    account = aws.account("source")
    with pytest.raises(ServiceError, match="EBS"):
        apply_settings(account, ON, plan_settings(account, ON))


def test_a_setting_that_aws_does_not_show_is_told() -> None:
    aws = world()
    aws.region_settings[SOURCE]["ResourceTypeManagementPreference"]["DynamoDB"] = False
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


@pytest.mark.parametrize("organization", ["", "o-example"])
def test_the_organization_is_set_in_its_management_account_only(organization: str) -> None:
    aws = world()
    aws.organizations[SOURCE] = organization
    with pytest.raises(NotManagementAccount, match="management account"):
        plan_settings(aws.account("source"), SettingsOptions(cross_account_backup=True))


# Policies


def test_a_statement_is_merged_into_a_policy_and_taken_out_again() -> None:
    aws = world()
    other = {**allow({"AWS": "123456789012"}, "backup:CopyIntoBackupVault")["Statement"][0], "Sid": "Theirs"}
    aws.policies[DESTINATION, VAULT] = {"Version": "2012-10-17", "Statement": [other]}
    account, statement = aws.account("destination"), copy_statement(SOURCE, "aws")
    plan = plan_policy(account, VAULT, statement)
    assert aws.mutating() == []
    apply_policy(account, plan)
    assert aws.policies[DESTINATION, VAULT]["Statement"] == [other, statement]
    assert plan_policy(account, VAULT, statement).changes == []
    apply_policy(account, plan_policy(account, VAULT, statement, present=False))
    assert aws.policies[DESTINATION, VAULT]["Statement"] == [other]


def test_a_policy_of_ours_alone_goes_with_its_statement() -> None:
    aws = world()
    del aws.policies[DESTINATION, VAULT]
    account, statement = aws.account("destination"), copy_statement("", "aws", "o-example")
    assert statement["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": "o-example"}}
    apply_policy(account, plan_policy(account, VAULT, statement))
    apply_policy(account, plan_policy(account, VAULT, statement, present=False))
    assert (DESTINATION, VAULT) not in aws.policies


def test_the_default_vault_and_one_that_is_not_there_are_refused() -> None:
    account, statement = world().account("destination"), copy_statement(SOURCE, "aws")
    with pytest.raises(InvalidInput, match="Default"):
        plan_policy(account, "Default", statement)
    with pytest.raises(BackupNotPossible, match="no vault other"):
        plan_policy(account, "other", statement)


# Cleaning up


def clean(aws: BackupAws, **more: Any) -> Any:
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
    assert len(aws.points) == 2


def test_both_recovery_points_go_when_asked_for() -> None:
    aws = world()
    migrate(aws)
    copied(aws, backed_up(aws, migration_id="other", restore=False))
    plan, done = clean(aws, remove_recovery_points=True)
    assert {change.risk for change in plan.changes} == {"destructive"}
    assert (done["recovery_points_removed"], done["left"]) == (2, [])
    assert len(aws.points) == 2
    assert clean(aws, remove_recovery_points=True)[0].changes == []


def test_a_copy_that_still_runs_keeps_its_recovery_point() -> None:
    aws = world()
    backup = backed_up(aws)
    aws.job_seconds = 100.0
    source, destination = aws.account("source"), aws.account("destination")
    start_copy(source, plan_copy(source, destination, CopyOptions("orders", backup)))
    with pytest.raises(StillRunning, match="still running"):
        clean(aws, remove_recovery_points=True)


def test_what_aws_does_not_delete_is_told() -> None:
    aws = world()
    migrate(aws)
    source, destination = aws.account("source"), aws.account("destination")
    options = BackupCleanupOptions("orders", remove_recovery_points=True, wait=20.0)
    plan = plan_backup_cleanup(source, destination, options)
    kept = dict(aws.points)

    def keep(when: str, operation: str, at: int) -> None:
        aws.points.update(kept)

    aws.interrupt = keep
    done = apply_backup_cleanup(source, destination, options, plan, clock=lambda: aws.clock, sleep=aws.sleep)
    assert done["recovery_points_removed"] == 0
    assert all("the role that made it must exist" in left.reason for left in done["left"])
