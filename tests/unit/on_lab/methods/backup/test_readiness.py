# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The preflight: everything that AWS Backup would refuse late is told early, and what cannot be asked is a warning."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import BackupNotPossible
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.backup_jobs import (
    BackupOptions,
    PlannedBackup,
    plan_backup,
    start_backup,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.calls import ROLE
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import BackupChoices, MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import preview
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.statement import AccountPair
from tests.unit.on_lab.methods.backup.ready import DESTINATION, SOURCE, VAULT, Ready, allow, root
from tests.unit.on_lab.recorded import Playbook
from tests.unit.on_lab.staged import Staged

Change = Callable[[Ready], Any]


def planned(change: Change, **options: Any) -> tuple[Ready, PlannedBackup]:
    aws = Ready()
    change(aws)
    backup = BackupOptions("orders", choices=BackupChoices(**options))
    plan = plan_backup(aws.account("source"), aws.account("destination"), backup)
    return aws, plan


def organization(account: str, name: str) -> Change:
    return lambda aws: setattr(aws.world.accounts[account], "organization_id", name)


def denied(action: str) -> Change:
    return lambda aws: [aws.may_not(side, action) for side in ("source", "destination")]


def two(*changes: Change) -> Change:
    return lambda aws: [change(aws) for change in changes]


def locked(side: str) -> Change:
    return lambda aws: aws.backup(side).put_backup_vault_lock_configuration(
        BackupVaultName=VAULT, MinRetentionDays=30, MaxRetentionDays=60
    )


def cross_account_off(aws: Ready) -> None:
    aws.backup("management").update_global_settings(GlobalSettings={"isCrossAccountBackupEnabled": "false"})
    aws.sleep(1000)


def managed_vault(side: str) -> Change:
    """The vault is made anew, under the key that AWS manages."""
    return lambda aws: (aws.remove_vault(side), aws.backup(side).create_backup_vault(BackupVaultName=VAULT))


def many_tags(aws: Ready) -> None:
    tags = [{"Key": f"t{number}", "Value": ""} for number in range(50)]
    arn = aws.described("orders", "source")["TableArn"]
    aws.client("dynamodb", "source").tag_resource(ResourceArn=arn, Tags=tags)
    aws.sleep(5)


def unclear(aws: Ready) -> None:
    def show(operation: str, answer: dict[str, Any]) -> None:
        if operation == "DescribeTable":
            answer["Table"]["TableStatus"] = "REPLICATION_NOT_AUTHORIZED"

    aws.edit = show


def trusting(side: str, name: str = ROLE) -> Change:
    """The role trusts another service than AWS Backup; it is made where there is none."""
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [trust]})

    def change(aws: Ready) -> None:
        iam = aws.client("iam", side)
        if name == ROLE:
            iam.update_assume_role_policy(RoleName=name, PolicyDocument=text)
        else:
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=text)

    return change


PROBLEMS: dict[str, tuple[Change, dict[str, Any], str]] = {
    "source in no organization": (organization(SOURCE, ""), {}, f"{SOURCE} is in no AWS Organization"),
    "neither in one": (
        two(organization(SOURCE, ""), organization(DESTINATION, "")),
        {},
        f"{SOURCE} and {DESTINATION} are in no AWS Organization.*air_gapped_vault",
    ),
    "another organization": (organization(DESTINATION, "o-other"), {}, "o-tableferry1, 222222222222 in o-other"),
    "cross-account off": (
        cross_account_off,
        {},
        "Cross-account backup is off.*management account 333333333333.*backup_account_settings",
    ),
    "advanced features off": (
        lambda aws: aws.settings("source", advanced=False),
        {},
        "advanced features for DynamoDB are off in eu-west-1",
    ),
    "no source vault": (lambda aws: aws.remove_vault("source"), {}, "no vault tableferry in .* of the source"),
    "no destination vault": (
        lambda aws: aws.remove_vault("destination"),
        {},
        "no vault tableferry in eu-west-1 of the destination",
    ),
    "Default as a target": (lambda aws: None, {"destination_vault": "Default"}, "Default vault .*takes no copies"),
    "managed destination key": (managed_vault("destination"), {}, "a key that AWS manages"),
    "destination key disabled": (lambda aws: aws.set_key("destination"), {}, "is Disabled"),
    "source key not shared": (
        lambda aws: aws.set_key("source", **allow({"AWS": root(SOURCE)}, "kms:*")),
        {},
        f"not shared with the destination account {DESTINATION}",
    ),
    "vault policy closed": (
        lambda aws: aws.set_policy(None),
        {},
        "does not let the source account 111111111111 copy into it",
    ),
    "vault policy for another organization": (
        lambda aws: aws.set_policy(
            allow("*", "backup:CopyIntoBackupVault", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-other"}})
        ),
        {},
        "does not let the source account",
    ),
    "destination locked": (locked("destination"), {}, "keeps recovery points for at least 30 days, not 7"),
    "destination locked at the top": (
        locked("destination"),
        {"copy_delete_after_days": 0},
        "at most 60 days, not for ever.*copy_delete_after_days",
    ),
    "source locked": (locked("source"), {}, "at least 30 days.*delete_after_days"),
    "no backup role": (lambda aws: aws.remove_role("source"), {}, "role/AWSBackup-tableferry"),
    "backup role that trusts others": (trusting("source"), {}, "role/AWSBackup-tableferry .*cannot be assumed"),
    "restore role that trusts others": (trusting("destination"), {}, "restore jobs cannot be assumed.*restore_role"),
    "restore role of the user's that trusts others": (
        trusting("destination", "theirs"),
        {"restore_role": "theirs"},
        "role/theirs for AWS Backup's restore jobs cannot be assumed",
    ),
    "no restore role": (
        lambda aws: aws.remove_role("destination"),
        {},
        "222222222222:role/AWSBackup-tableferry for AWS Backup's restore jobs does not exist.*restore_role",
    ),
    "too many tags": (many_tags, {}, "50 tags"),
    "table not ACTIVE": (unclear, {}, "The table is REPLICATION_NOT_AUTHORIZED"),
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


def test_b11_all_tags_that_the_recovery_point_gets_are_counted() -> None:
    aws = Ready()
    for number in range(49):
        aws.tag("orders", f"Owner{number}", "theirs", "source")
    first = Playbook(aws)
    with pytest.raises(BackupNotPossible, match=r"49 tags, and its recovery point gets 2 of ours.*Remove a tag"):
        first.start(method="backup")
    assert aws.jobs("backup") == []


def test_all_that_is_wrong_is_told_at_once() -> None:
    def change(aws: Ready) -> None:
        aws.settings("source", advanced=False)
        for side in ("source", "destination"):
            aws.remove_vault(side)
            aws.remove_role(side)

    _aws, plan = planned(change)
    assert plan.obstacle is not None
    assert len(plan.obstacle.details["problems"]) == 5
    # D3: the run makes all of this itself.
    assert [problem["made_by"] for problem in plan.obstacle.problems] == ["accounts"] * 5


MADE = {
    "cross-account off": "management",
    "advanced features off": "accounts",
    "no source vault": "accounts",
    "no destination vault": "accounts",
    "vault policy closed": "accounts",
    "vault policy for another organization": "accounts",
    "no backup role": "accounts",
    "no restore role": "accounts",
    "backup role that trusts others": "accounts",
    "restore role that trusts others": "accounts",
    "no air-gapped vault": "accounts",
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_d3_it_is_known_what_the_run_makes_itself(name: str) -> None:
    change, options, _words = PROBLEMS[name]
    _aws, plan = planned(change, **options)
    assert plan.obstacle is not None
    assert plan.obstacle.problems[0]["made_by"] == MADE.get(name, "")


def test_d3_a_role_with_a_name_of_the_users_is_for_the_user() -> None:
    _aws, plan = planned(lambda aws: None, role="mine", restore_role="mine")
    assert plan.obstacle is not None
    assert [problem["made_by"] for problem in plan.obstacle.problems] == ["", ""]


def test_d3_a_key_that_other_pairs_use_is_shared_by_the_run() -> None:
    other = AccountPair(SOURCE, "333333333333", "eu-west-1").sid("VaultKey")
    policy = allow({"AWS": root(SOURCE)}, "kms:*", Sid=other)
    _aws, plan = planned(lambda aws: aws.set_key("source", **policy))
    assert plan.obstacle is not None
    assert [problem["made_by"] for problem in plan.obstacle.problems] == ["accounts"]


def test_d3_what_only_the_user_can_mend_comes_first() -> None:
    def change(aws: Ready) -> None:
        aws.remove_role("source")
        aws.set_key("destination")

    _aws, plan = planned(change)
    assert plan.obstacle is not None
    assert [problem["made_by"] for problem in plan.obstacle.problems] == ["", "accounts"]
    assert plan.obstacle.cause.startswith("The key ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda aws: aws.settings("destination", advanced=False), "off in the destination account"),
        (managed_vault("source"), "an AWS managed key"),
        (denied("organizations:DescribeOrganization"), "one organization is not known"),
        (denied("backup:DescribeGlobalSettings"), "aws backup describe-global-settings"),
        (denied("backup:DescribeRegionSettings"), "advanced features are on in the source is not known"),
        (denied("kms:GetKeyPolicy"), "key is shared with 222222222222 is not known"),
    ],
)
def test_what_is_not_certain_is_a_warning(change: Change, words: str) -> None:
    _aws, plan = planned(change)
    assert plan.obstacle is None
    assert any(words in warning and warning.startswith("orders: ") for warning in plan.warnings), plan.warnings


@pytest.mark.parametrize(
    "action",
    [
        "iam:GetRole",
        "backup:GetBackupVaultAccessPolicy",
        "dynamodb:ListTagsOfResource",
        "kms:DescribeKey",
        "backup:ListTags",
    ],
)
def test_what_nobody_may_look_at_is_left_to_aws(action: str) -> None:
    _aws, plan = planned(denied(action))
    assert plan.obstacle is None


@pytest.mark.parametrize(
    "principal",
    [
        {"AWS": SOURCE},
        {"AWS": root(SOURCE)},
        {"AWS": f"arn:aws:iam::{SOURCE}:role/ferry"},
        {"AWS": [root(DESTINATION), "*"]},
        "*",
    ],
)
def test_every_way_to_let_an_account_into_a_vault_is_known(principal: Any) -> None:
    _aws, plan = planned(lambda aws: aws.set_policy(allow(principal, "backup:CopyIntoBackupVault")))
    assert plan.obstacle is None


def test_a_copy_alone_needs_no_restore_role() -> None:
    _aws, plan = planned(lambda aws: aws.remove_role("destination"), restore=False)
    assert plan.obstacle is None


def test_an_air_gapped_vault_bounds_what_is_backed_up_into_it() -> None:
    def change(aws: Ready) -> None:
        aws.add_air_gapped_vault(shortest=14)

    _aws, plan = planned(change, air_gapped_vault="gapped")
    assert plan.obstacle is not None
    assert "at least 14 days" in plan.obstacle.cause
    _aws, plan = planned(change, air_gapped_vault="gapped", delete_after_days=14)
    assert plan.obstacle is None


def test_d3_of_accounts_that_never_used_aws_backup_only_one_thing_is_for_the_user() -> None:
    aws = Staged({"orders": 7}, False, 0.0)
    options = MigrationOptions("orders", method="backup")
    found = preview(aws.account("source"), aws.account("destination"), options)
    assert found.obstacle is not None
    left = [problem["cause"] for problem in found.obstacle.problems if problem["made_by"] != "accounts"]
    assert left == ["Cross-account backup is off in the organization."]
