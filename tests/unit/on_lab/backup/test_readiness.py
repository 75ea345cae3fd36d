# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The preflight: everything that AWS Backup would refuse late is told early, and what cannot be asked is a warning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import BackupNotPossible
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.backup_jobs import (
    BackupOptions,
    BackupPlan,
    plan_backup,
    start_backup,
)
from tests.unit.on_lab.backup.test_kill import world
from tests.unit.core.fake_aws import DESTINATION, SOURCE
from tests.unit.core.fake_backup import VAULT, BackupAws, allow, root

Change = Callable[[BackupAws], Any]


def planned(change: Change, **options: Any) -> tuple[BackupAws, BackupPlan]:
    aws = world()
    change(aws)
    plan = plan_backup(aws.account("source"), aws.account("destination"), BackupOptions("orders", **options))
    return aws, plan


def organization(account: str, name: str) -> Change:
    return lambda aws: aws.organizations.update({account: name})


def features_off(account: str) -> Change:
    return lambda aws: aws.region_settings[account]["ResourceTypeManagementPreference"].update(DynamoDB=False)


def key_of(account: str, **told: Any) -> Change:
    return lambda aws: aws.keys[aws.vaults[account, VAULT]["EncryptionKeyArn"]].update(told)


def vault_of(account: str, **told: Any) -> Change:
    return lambda aws: aws.vaults[account, VAULT].update(told)


LOCKED = {"Locked": True, "MinRetentionDays": 30, "MaxRetentionDays": 60}

PROBLEMS: dict[str, tuple[Change, dict[str, Any], str]] = {
    "source in no organization": (organization(SOURCE, ""), {}, f"{SOURCE} is in no AWS Organization"),
    "neither in one": (
        lambda aws: aws.organizations.clear(),
        {},
        f"{SOURCE} and {DESTINATION} are in no AWS Organization.*ferry_air_gapped_vault",
    ),
    "another organization": (organization(DESTINATION, "o-other"), {}, "o-example, 222222222222 in o-other"),
    "cross-account off": (
        lambda aws: setattr(aws, "cross_account", "false"),
        {},
        "Cross-account backup is off.*management account 333333333333.*ferry_management",
    ),
    "advanced features off": (
        features_off(SOURCE),
        {},
        "advanced features for DynamoDB are off in eu-west-1",
    ),
    "no source vault": (
        lambda aws: aws.vaults.pop((SOURCE, VAULT)),
        {},
        "no vault tableferry in .* of the source",
    ),
    "no destination vault": (
        lambda aws: aws.vaults.pop((DESTINATION, VAULT)),
        {},
        "no vault tableferry in eu-west-1 of the destination",
    ),
    "Default as a target": (lambda aws: None, {"destination_vault": "Default"}, "Default vault .*takes no copies"),
    "managed destination key": (key_of(DESTINATION, KeyManager="AWS"), {}, "a key that AWS manages"),
    "destination key disabled": (key_of(DESTINATION, KeyState="Disabled"), {}, "is Disabled"),
    "source key not shared": (
        key_of(SOURCE, policy=allow({"AWS": root(SOURCE)}, "kms:*")),
        {},
        f"not shared with the destination account {DESTINATION}",
    ),
    "vault policy closed": (
        lambda aws: aws.policies.pop((DESTINATION, VAULT)),
        {},
        "does not let the source account 111111111111 copy into it",
    ),
    "vault policy for another organization": (
        lambda aws: aws.policies.update(
            {
                (DESTINATION, VAULT): allow(
                    "*",
                    "backup:CopyIntoBackupVault",
                    Condition={"StringEquals": {"aws:PrincipalOrgID": "o-other"}},
                )
            }
        ),
        {},
        "does not let the source account",
    ),
    "destination locked": (vault_of(DESTINATION, **LOCKED), {}, "keeps recovery points 30 days at least, 7 are asked"),
    "destination locked at the top": (
        vault_of(DESTINATION, **LOCKED),
        {"copy_delete_after_days": 0},
        "60 days at most, endless are asked for.*ferry_copy_days",
    ),
    "source locked": (vault_of(SOURCE, **LOCKED), {}, "30 days at least.*ferry_backup_days"),
    "no backup role": (
        lambda aws: aws.roles.discard((SOURCE, "AWSBackup-tableferry")),
        {},
        "role/AWSBackup-tableferry",
    ),
    "no restore role": (
        lambda aws: aws.roles.discard((DESTINATION, "AWSBackup-tableferry")),
        {},
        "222222222222:role/AWSBackup-tableferry, with which AWS Backup is to restore.*ferry_restore_role",
    ),
    "too many tags": (
        lambda aws: aws.tables[SOURCE, "orders"].tags.update({f"t{number}": "" for number in range(50)}),
        {},
        "50 tags",
    ),
    "table not ACTIVE": (
        lambda aws: aws.tables[SOURCE, "orders"].extra.update(TableStatus="UPDATING"),
        {},
        "The table is UPDATING",
    ),
    "no air-gapped vault": (lambda aws: None, {"air_gapped_vault": "gapped"}, "no air-gapped vault gapped"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_would_fail_late_is_told_early(name: str) -> None:
    change, options, words = PROBLEMS[name]
    aws, plan = planned(change, **options)
    assert isinstance(plan.obstacle, BackupNotPossible)
    with pytest.raises(BackupNotPossible, match=rf"(?s)^orders: .*{words}") as refused:
        start_backup(aws.account("source"), plan)
    assert refused.value.next_step
    assert refused.value.status == "refused"
    assert aws.mutating() == []


def test_all_is_well_with_accounts_that_are_ready() -> None:
    _aws, plan = planned(lambda aws: None)
    assert (plan.obstacle, plan.warnings) == (None, [])


def test_all_that_is_wrong_is_told_at_once() -> None:
    def change(aws: BackupAws) -> None:
        features_off(SOURCE)(aws)
        aws.vaults.clear()
        aws.roles.clear()

    _aws, plan = planned(change)
    assert plan.obstacle is not None
    assert len(plan.obstacle.details["problems"]) == 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (features_off(DESTINATION), "off in the destination account"),
        (key_of(SOURCE, KeyManager="AWS"), "AWS's own key"),
        (lambda aws: aws.denied.add("DescribeOrganization"), "one organization could not be asked"),
        (lambda aws: aws.denied.add("DescribeGlobalSettings"), "aws backup describe-global-settings"),
        (lambda aws: aws.denied.add("DescribeRegionSettings"), "advanced features are on in the source could not be"),
        (lambda aws: aws.denied.add("GetKeyPolicy"), "key is shared with 222222222222 could not be read"),
    ],
)
def test_what_is_not_certain_is_a_warning(change: Change, words: str) -> None:
    _aws, plan = planned(change)
    assert plan.obstacle is None
    assert any(words in warning and warning.startswith("orders: ") for warning in plan.warnings), plan.warnings


@pytest.mark.parametrize(
    "operation", ["GetRole", "GetBackupVaultAccessPolicy", "ListTagsOfResource", "DescribeKey", "ListTags"]
)
def test_what_nobody_may_look_at_is_left_to_aws(operation: str) -> None:
    _aws, plan = planned(lambda aws: aws.denied.add(operation))
    assert plan.obstacle is None


@pytest.mark.parametrize(
    "principal",
    [{"AWS": SOURCE}, {"AWS": root(SOURCE)}, {"AWS": f"arn:aws:iam::{SOURCE}:role/x"}, {"AWS": ["x", "*"]}, "*"],
)
def test_every_way_to_let_an_account_into_a_vault_is_known(principal: Any) -> None:
    change = lambda aws: aws.policies.update(  # noqa: E731
        {(DESTINATION, VAULT): allow(principal, "backup:CopyIntoBackupVault")}
    )
    _aws, plan = planned(change)
    assert plan.obstacle is None


def test_a_copy_alone_needs_no_restore_role() -> None:
    def change(aws: BackupAws) -> None:
        aws.roles.discard((DESTINATION, "AWSBackup-tableferry"))

    _aws, plan = planned(change, restore=False)
    assert plan.obstacle is None


def test_an_air_gapped_vault_bounds_what_is_backed_up_into_it() -> None:
    def change(aws: BackupAws) -> None:
        kind = {"VaultType": "LOGICALLY_AIR_GAPPED_BACKUP_VAULT", "MinRetentionDays": 14, "MaxRetentionDays": 30}
        aws.add_vault(SOURCE, "gapped", shared=True, **kind)

    _aws, plan = planned(change, air_gapped_vault="gapped")
    assert plan.obstacle is not None
    assert "14 days at least" in plan.obstacle.cause
    _aws, plan = planned(change, air_gapped_vault="gapped", delete_after_days=14)
    assert plan.obstacle is None
