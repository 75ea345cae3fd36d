# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The roles of AWS Backup with an inline policy for DynamoDB alone instead of AWS's managed one (found.md C2)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import FerryError, NotOurs, ServiceError
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.access import job_role
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.role_policy import RolePolicy
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.caller_policy import size
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.role import (
    RolePlan,
    apply_role,
    plan_role,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.users import ALONE
from lab.client import running
from tests.unit.on_lab.backup_accounts import MANAGED, ROLE, VAULT, BackupAccounts

REGION = "eu-west-1"
NAMES = {"source": f"tableferry-backup-{REGION}", "destination": f"tableferry-restore-{REGION}"}
VAULTS = tuple(
    f"arn:aws:backup:{REGION}:{account}:backup-vault:{VAULT}" for account in ("111111111111", "222222222222")
)
MARK = [{"Key": "tableferry:managed", "Value": "true"}]


@pytest.fixture(scope="module")
def accounts() -> Iterator[BackupAccounts]:
    """One lab for the file's tests: each uses roles or tables of its own."""
    with running(scale=0.0) as lab:
        ready = BackupAccounts(lab)
        ready.make_ready()
        for side in NAMES:
            lab.client("iam", side).tag_role(RoleName=ROLE, Tags=MARK)
        yield ready


def planned(
    account: Account, policy: RolePolicy, tables: Sequence[str] = (), role: str = ROLE, vaults: Sequence[str] = VAULTS
) -> RolePlan:
    """What becomes of the role."""
    return plan_role(account, job_role(account, role, "", policy, tables, vaults))


def applied(account: Account, policy: RolePolicy, tables: Sequence[str] = (), role: str = ROLE) -> RolePlan:
    """The role made so, and its inline policies known everywhere."""
    plan = planned(account, policy, tables, role)
    apply_role(plan, ALONE, sleep=lambda seconds: None)
    return plan


class Role:
    """A role as IAM shows it."""

    def __init__(self, accounts: BackupAccounts, name: str, side: str = "source") -> None:
        self.iam, self.name = accounts.lab.client("iam", side), name

    @property
    def attached(self) -> list[str]:
        """The names of its managed policies."""
        found = self.iam.list_attached_role_policies(RoleName=self.name)["AttachedPolicies"]
        return sorted(policy["PolicyName"] for policy in found)

    @property
    def inline(self) -> list[str]:
        """The names of its inline policies."""
        return cast(list[str], self.iam.list_role_policies(RoleName=self.name)["PolicyNames"])

    def document(self, name: str) -> dict[str, Any]:
        """An inline policy."""
        answer = self.iam.get_role_policy(RoleName=self.name, PolicyName=name)
        return cast(dict[str, Any], answer["PolicyDocument"])

    def statement(self, name: str, sid: str) -> dict[str, Any]:
        """A statement of an inline policy."""
        [found] = [each for each in self.document(name)["Statement"] if each["Sid"] == sid]
        return cast(dict[str, Any], found)


def tables(*names: str) -> list[str]:
    return [f"arn:aws:dynamodb:{REGION}:111111111111:table/{name}" for name in names]


def test_a_new_role_gets_one_or_the_other(accounts: BackupAccounts) -> None:
    plan = applied(accounts.source, "dynamodb", ["orders"], "AWSBackup-new")
    assert list(plan.changes[0].after) == ["trust", "inline_policies"]
    role = Role(accounts, "AWSBackup-new")
    assert (role.attached, role.inline) == ([], [NAMES["source"]])
    assert plan.changes[0].after["inline_policies"] == {NAMES["source"]: role.document(NAMES["source"])}
    assert role.statement(NAMES["source"], "Tables")["Resource"] == tables("orders")
    assert role.statement(NAMES["source"], "TableBackups")["Resource"] == tables("orders/backup/*")
    assert role.statement(NAMES["source"], "Vaults")["Resource"] == sorted(VAULTS)
    assert planned(accounts.source, "dynamodb", ["orders"], "AWSBackup-new").changes == []
    applied(accounts.source, "managed", role="AWSBackup-usual")
    usual = Role(accounts, "AWSBackup-usual")
    assert (usual.attached, usual.inline) == (["AWSBackupServiceRolePolicyForBackup"], [])


def test_each_run_adds_its_tables_and_what_others_wrote_stays(accounts: BackupAccounts) -> None:
    applied(accounts.source, "dynamodb", ["orders"], "AWSBackup-shared")
    role, name = Role(accounts, "AWSBackup-shared"), NAMES["source"]
    theirs = {"Sid": "Theirs", "Effect": "Deny", "Action": "dynamodb:DeleteBackup", "Resource": "*"}
    document = role.document(name)
    narrow = {"StringEquals": {"aws:RequestedRegion": REGION}}
    for each in document["Statement"]:
        if each["Sid"] == "Tables":
            each["Condition"] = narrow
    document["Statement"].insert(0, theirs)
    role.iam.put_role_policy(RoleName=role.name, PolicyName=name, PolicyDocument=json.dumps(document))
    role.iam.put_role_policy(RoleName=role.name, PolicyName="mine", PolicyDocument=json.dumps(document))
    plan = applied(accounts.source, "dynamodb", ["users", "orders"], role.name)
    assert [change.what for change in plan.changes] == [f"inline policy {name} of the role {role.name}"]
    assert role.statement(name, "Theirs") == theirs
    assert role.statement(name, "Tables")["Resource"] == tables("orders", "users")
    assert role.statement(name, "Tables")["Condition"] == narrow
    assert role.document("mine") == document
    assert planned(accounts.source, "dynamodb", ["users"], role.name).changes == []
    # Where the names do not fit, every table of the account, and then that stays.
    applied(accounts.source, "dynamodb", [f"table-with-quite-a-long-name-{number}" for number in range(80)], role.name)
    assert role.statement(name, "Tables")["Resource"] == tables("*")
    assert role.statement(name, "TableBackups")["Resource"] == tables("*/backup/*")
    assert role.statement(name, "Theirs") == theirs
    assert planned(accounts.source, "dynamodb", ["more"], role.name).changes == []


def test_names_that_do_not_fit_beside_other_policies(accounts: BackupAccounts) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "backup.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = Role(accounts, "AWSBackup-full")
    for length, fits in ((6500, True), (9800, False)):
        name = f"{role.name}-{length}"
        role.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}), Tags=MARK)
        theirs = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{'b' * length}"}
        big = json.dumps({"Version": "2012-10-17", "Statement": [theirs]})
        role.iam.put_role_policy(RoleName=name, PolicyName="big", PolicyDocument=big)
        many = [f"table-{number:03}" for number in range(30)]
        if not fits:
            with pytest.raises(ServiceError, match="does not fit beside the other inline policies"):
                applied(accounts.source, "dynamodb", many, name)
            continue
        applied(accounts.source, "dynamodb", many, name)
        assert Role(accounts, name).statement(NAMES["source"], "Tables")["Resource"] == tables("*")
        assert size(Role(accounts, name).document(NAMES["source"])) < 2000


def test_two_runs_at_once_lose_no_table(accounts: BackupAccounts) -> None:
    role = "AWSBackup-both"
    applied(accounts.source, "dynamodb", ["first"], role)
    plan = planned(accounts.source, "dynamodb", ["mine"], role)
    name, seen = NAMES["source"], []

    def written_over(seconds: float) -> None:
        """Another run, which had read the policy before ours wrote it, writes it right after."""
        if not seen:
            seen.append(seconds)
            before = Role(accounts, role)
            document = before.document(name)
            for each in document["Statement"]:
                each["Resource"] = json.loads(json.dumps(each["Resource"]).replace("mine", "theirs"))
            before.iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))

    apply_role(plan, ALONE, sleep=written_over)
    assert Role(accounts, role).statement(name, "Tables")["Resource"] == tables("first", "mine", "theirs")


def test_a_changed_policy_is_waited_for_and_one_that_stays_is_not(accounts: BackupAccounts) -> None:
    waits: list[float] = []
    for names, waited in ((["a"], True), (["a"], False), (["b"], True)):
        waits.clear()
        plan = planned(accounts.source, "dynamodb", names, "AWSBackup-waits")
        apply_role(plan, ALONE, sleep=waits.append)
        assert (sum(waits) > 10) == waited


def test_the_policies_are_exchanged_and_others_stay(accounts: BackupAccounts) -> None:
    role = Role(accounts, "AWSBackup-changed")
    applied(accounts.source, "managed", role=role.name)
    role.iam.attach_role_policy(RoleName=role.name, PolicyArn="arn:aws:iam::aws:policy/AWSBackupFullAccess")
    role.iam.attach_role_policy(RoleName=role.name, PolicyArn=f"{MANAGED}Restores")
    role.iam.put_role_policy(
        RoleName=role.name, PolicyName="tableferry-backup-eu-north-1", PolicyDocument='{"Statement": []}'
    )
    accounts.lab.clear_requests()
    plan = applied(accounts.source, "dynamodb", ["orders"], role.name)
    assert [(change.what.split(" of ")[0], change.after is None) for change in plan.changes] == [
        (f"inline policy {NAMES['source']}", False),
        ("managed policies", True),
    ]
    calls = [call["operation"] for call in accounts.lab.mutating_calls()]
    assert calls == ["PutRolePolicy", "DetachRolePolicy"]  # jobs may run as the role
    theirs = ["AWSBackupFullAccess", "AWSBackupServiceRolePolicyForRestores"]
    assert (role.attached, role.inline) == (theirs, [NAMES["source"], "tableferry-backup-eu-north-1"][::-1])
    assert planned(accounts.source, "dynamodb", ["orders"], role.name).changes == []
    accounts.lab.clear_requests()
    back = applied(accounts.source, "managed", role=role.name)
    assert [(change.what.split(" of ")[0], change.after is None) for change in back.changes] == [
        ("managed policies", False),
        (f"inline policy {NAMES['source']}", True),
    ]
    assert [call["operation"] for call in accounts.lab.mutating_calls()] == ["AttachRolePolicy", "DeleteRolePolicy"]
    assert role.attached == sorted([*theirs, "AWSBackupServiceRolePolicyForBackup"])
    assert role.inline == ["tableferry-backup-eu-north-1"]
    assert planned(accounts.source, "managed", role=role.name).changes == []


def test_an_account_that_is_both_sides_has_a_policy_for_each(accounts: BackupAccounts) -> None:
    role = Role(accounts, "AWSBackup-sides")
    other = accounts.account("destination", "source")
    applied(accounts.source, "managed", role=role.name)
    applied(other, "managed", role=role.name)
    applied(accounts.source, "dynamodb", ["orders"], role.name)
    assert (role.attached, role.inline) == (["AWSBackupServiceRolePolicyForRestores"], [NAMES["source"]])
    applied(other, "dynamodb", ["users"], role.name)
    assert (role.attached, role.inline) == ([], sorted(NAMES.values()))


def test_a_foreign_role_keeps_its_policies(accounts: BackupAccounts) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "backup.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = Role(accounts, "AWSBackup-theirs")
    role.iam.create_role(RoleName=role.name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    role.iam.attach_role_policy(RoleName=role.name, PolicyArn=f"{MANAGED}Backup")
    accounts.lab.clear_requests()
    for policy in ("dynamodb", "managed"):
        with pytest.raises(NotOurs):
            planned(accounts.source, cast(RolePolicy, policy), role=role.name)
    assert accounts.lab.mutating_calls() == []


def test_a_caller_who_may_not_read_inline_policies_still_attaches_the_managed_one(accounts: BackupAccounts) -> None:
    role = Role(accounts, "AWSBackup-bare")
    applied(accounts.source, "managed", role=role.name)
    role.iam.detach_role_policy(RoleName=role.name, PolicyArn=f"{MANAGED}Backup")
    actions = ["iam:AttachRolePolicy", "iam:GetRole", "iam:ListAttachedRolePolicies", "iam:ListRoleTags"]
    caller = accounts.user("source", "attaches", [{"Effect": "Allow", "Action": actions, "Resource": "*"}])
    applied(caller, "managed", role=role.name)
    assert role.attached == ["AWSBackupServiceRolePolicyForBackup"]


# What the roles are for


def narrow(accounts: BackupAccounts, table: str) -> None:
    """Both roles for this table alone."""
    for account in (accounts.source, accounts.destination):
        applied(account, "dynamodb", [table])
        accounts.lab.advance(60)


def test_a_table_moves_by_roles_for_dynamodb_alone(accounts: BackupAccounts) -> None:
    source, destination = (
        accounts.lab.client("kms", side).create_key()["KeyMetadata"]["Arn"] for side in ("source", "destination")
    )
    encrypted = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": source}
    accounts.table("narrow", SSESpecification=encrypted, Tags=[{"Key": "team", "Value": "shop"}])
    accounts.table("unnamed")
    narrow(accounts, "narrow")
    for side in NAMES:
        assert (Role(accounts, ROLE, side).attached, Role(accounts, ROLE, side).inline) == ([], [NAMES[side]])
    judgement, _jobs = accounts.moved("narrow", kms_key_map={source: destination})
    assert (judgement.status, judgement.verified, judgement.items_destination) == ("migrated", "counts", 100)
    failed, _jobs = accounts.moved("unnamed")
    assert "is not authorized to perform: dynamodb:DescribeTable" in str(failed.failure)


def needed(side: str) -> list[tuple[str, str]]:
    """What the jobs of a side ask for, with the job that says so."""
    by_job = {
        "backup": ["dynamodb:DescribeTable", "dynamodb:ListTagsOfResource", "dynamodb:StartAwsBackupJob"],
        "copy": ["backup:CopyFromBackupVault", "backup:CopyIntoBackupVault"],
        "restore": ["dynamodb:RestoreTableFromAwsBackup", "dynamodb:BatchWriteItem", "dynamodb:Scan"],
    }
    by_job["backup"].append("backup:TagResource")
    jobs = ("backup", "copy") if side == "source" else ("restore",)
    return [(job, action) for job in jobs for action in by_job[job]]


@pytest.mark.parametrize(
    ("side", "job", "action"), [(side, job, action) for side in NAMES for job, action in needed(side)]
)
def test_a_role_that_lacks_an_action_fails_the_job_with_what_aws_says(
    accounts: BackupAccounts, side: str, job: str, action: str
) -> None:
    table = action.replace(":", "-")
    accounts.table(table)
    narrow(accounts, table)
    role = Role(accounts, ROLE, side)
    document = role.document(NAMES[side])
    lacking = json.dumps(document).replace(f'"{action}"', '"dynamodb:ListBackups"')
    role.iam.put_role_policy(RoleName=ROLE, PolicyName=NAMES[side], PolicyDocument=lacking)
    accounts.lab.advance(60)
    try:
        judgement, jobs = accounts.moved(table)
    finally:
        role.iam.put_role_policy(RoleName=ROLE, PolicyName=NAMES[side], PolicyDocument=json.dumps(document))
        accounts.lab.advance(60)
    assert judgement.status == "failed"
    assert [each.kind for each in jobs if each.state == "failed"][:1] == [job]
    assert isinstance(judgement.failure, FerryError)
    if job == "copy":  # AWS names no action there (aws.md C4)
        assert "Access Denied trying to call AWS Backup service" in judgement.failure.cause
    else:
        assert f"is not authorized to perform: {action}" in judgement.failure.cause
        assert judgement.failure.next_step.startswith(f"Allow AWS Backup's role {action}")
