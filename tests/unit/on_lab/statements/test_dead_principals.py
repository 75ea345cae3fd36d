# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Policies that name users and roles which were deleted: AWS shows their ids, and refuses every change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import ServiceError
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.staging_bucket import (
    StagingOptions,
    apply_bucket,
    apply_leaving,
    export_statement,
    key_statements,
    plan_bucket,
    plan_leaving,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.access import job_role
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.vaults import (
    copy_statement,
    plan_copying,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.bucket_policy import BucketPolicy
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.key_policy import KeyOptions, plan_key
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.role import apply_role, plan_role
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.shared_policy import (
    apply_policy,
    plan_policy,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.users import Uncounted
from lab.client import RunningLab, running

ALONE = Uncounted()
BUCKET = "staging"


def at_once(seconds: float) -> None:
    """No pause."""


class Graveyard:
    """The destination, whose policies name what is deleted a moment later."""

    def __init__(self, lab: RunningLab) -> None:
        self.lab = lab
        keys = lab.landscape["accounts"]["destination"]
        spec = {part: keys[part] for part in ("access_key", "secret_key")}
        spec |= {"region": lab.landscape["region"], "endpoint_url": lab.endpoint_url}
        self.account = Account(AccountSpec.from_mapping("destination", spec))
        self.s3, self.kms, self.iam, self.backup = (
            lab.client(service, "destination") for service in ("s3", "kms", "iam", "backup")
        )
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": lab.landscape["region"]})

    def mover(self, name: str = "mover") -> StagingOptions:
        """The bucket for a new user of the source."""
        user = self.lab.client("iam", "source").create_user(UserName=name)["User"]
        return StagingOptions(BUCKET, user["Arn"])

    def bury(self, name: str = "mover") -> None:
        self.lab.client("iam", "source").delete_user(UserName=name)

    def let_in(self, options: StagingOptions) -> None:
        apply_bucket(plan_bucket(self.account, options), ALONE, sleep=at_once)

    def statements(self) -> list[dict[str, Any]]:
        return json.loads(self.s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]

    def guard(self, action: str, **members: Any) -> tuple[dict[str, Any], str]:
        """A statement of somebody else for a role, and the role's id."""
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        role = self.iam.create_role(RoleName="auditor", AssumeRolePolicyDocument=document(trust))["Role"]
        return {
            "Sid": "Guard", "Effect": "Allow", "Principal": {"AWS": role["Arn"]}, "Action": action, **members
        }, role["RoleId"]  # fmt: skip

    def bury_auditor(self) -> None:
        self.iam.delete_role(RoleName="auditor")


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture
def graveyard() -> Iterator[Graveyard]:
    with running(scale=0.0) as lab:
        yield Graveyard(lab)


def principals(statements: list[dict[str, Any]]) -> list[Any]:
    return [each["Principal"]["AWS"] for each in statements if isinstance(each["Principal"], dict)]


def test_a_statement_of_ours_for_a_deleted_user_goes_with_the_next_run_of_anybody(graveyard):
    first, second = graveyard.mover(), graveyard.mover("other")
    graveyard.let_in(first)
    graveyard.bury()
    assert principals(graveyard.statements())[0].startswith("AIDA")
    graveyard.let_in(second)
    assert principals(graveyard.statements()) == [second.source_principal]


def test_a_user_made_again_is_let_in_again(graveyard):
    """The statement has the right Sid and shows an id: it is for nobody, and the run after says so by writing it."""
    graveyard.let_in(graveyard.mover())
    graveyard.bury()
    again = graveyard.mover()
    assert plan_bucket(graveyard.account, again).policy.changes
    graveyard.let_in(again)
    assert principals(graveyard.statements()) == [again.source_principal]
    assert plan_bucket(graveyard.account, again).changes == []


def test_one_of_ours_that_is_dead_does_not_keep_another_one_from_going(graveyard):
    """Cleaning up wrote the dead one back, and AWS refused it."""
    first, second = graveyard.mover(), graveyard.mover("other")
    graveyard.let_in(first)
    graveyard.let_in(second)
    guard = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{BUCKET}/private/*"}
    graveyard.s3.put_bucket_policy(Bucket=BUCKET, Policy=document(guard, *graveyard.statements()))
    graveyard.bury()
    apply_leaving(plan_leaving(graveyard.account, second), ALONE, sleep=at_once)
    assert graveyard.statements() == [guard]


def bucket(graveyard: Graveyard) -> tuple[str, str, Callable[[], Any]]:
    options = graveyard.mover()
    guard, unique_id = graveyard.guard("s3:GetObject", Resource=f"arn:aws:s3:::{BUCKET}/*")
    graveyard.s3.put_bucket_policy(Bucket=BUCKET, Policy=document(guard))
    return f"policy of the bucket {BUCKET}", unique_id, lambda: plan_bucket(graveyard.account, options)


def key(graveyard: Graveyard) -> tuple[str, str, Callable[[], Any]]:
    arn = graveyard.kms.create_key()["KeyMetadata"]["Arn"]
    own = json.loads(graveyard.kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"])["Statement"]
    guard, unique_id = graveyard.guard("kms:Decrypt", Resource="*")
    graveyard.kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=document(*own, guard))
    statements = key_statements(graveyard.account, graveyard.mover().source_principal)
    return (
        f"policy of the key {arn}",
        unique_id,
        lambda: plan_key(graveyard.account, KeyOptions(arn=arn), present=statements),
    )


def vault(graveyard: Graveyard) -> tuple[str, str, Callable[[], Any]]:
    graveyard.backup.create_backup_vault(BackupVaultName="theirs")
    guard, unique_id = graveyard.guard("backup:CopyIntoBackupVault", Resource="*")
    graveyard.backup.put_backup_vault_access_policy(BackupVaultName="theirs", Policy=document(guard))
    statement = copy_statement("111111111111", "aws")
    return (
        "access policy of the vault theirs",
        unique_id,
        lambda: plan_copying(graveyard.account, "theirs", statement),
    )


def trust(graveyard: Graveyard) -> tuple[str, str, Callable[[], Any]]:
    options = job_role(graveyard.account)
    apply_role(plan_role(graveyard.account, options), ALONE, sleep=at_once)
    guard, unique_id = graveyard.guard("sts:AssumeRole")
    graveyard.iam.update_assume_role_policy(RoleName=options.name, PolicyDocument=document(guard))
    return f"trust policy of the role {options.name}", unique_id, lambda: plan_role(graveyard.account, options)


@pytest.mark.parametrize("place", [bucket, key, vault, trust], ids=lambda place: place.__name__)
def test_a_dead_principal_of_somebody_else_is_named_before_anything_is_written(graveyard, place):
    what, unique_id, plan = place(graveyard)
    plan()
    graveyard.bury_auditor()
    graveyard.lab.clear_requests()
    with pytest.raises(ServiceError) as refused:
        plan()
    text = str(refused.value)
    assert f"The {what} names users or roles that were deleted (Guard: {unique_id})" in text
    assert "remove the statements" in text and "run again" in text
    assert graveyard.lab.mutating_calls() == []


def test_one_that_is_deleted_after_the_plan_is_named_when_aws_refuses(graveyard):
    _what, unique_id, plan = bucket(graveyard)
    made = plan()
    graveyard.bury_auditor()
    waited: list[float] = []
    with pytest.raises(ServiceError, match=rf"AWS refuses the policy of the bucket.*\(Guard: {unique_id}\)"):
        apply_bucket(made, ALONE, sleep=waited.append)
    assert waited == []


def test_what_needs_no_writing_is_not_refused(graveyard):
    options = graveyard.mover()
    graveyard.let_in(options)
    guard, _ = graveyard.guard("s3:GetObject", Resource=f"arn:aws:s3:::{BUCKET}/*")
    graveyard.s3.put_bucket_policy(Bucket=BUCKET, Policy=document(guard, *graveyard.statements()))
    graveyard.bury_auditor()
    assert plan_bucket(graveyard.account, options).changes == []
    statement = export_statement(graveyard.account, options)
    with pytest.raises(ServiceError, match="Guard"):
        plan_policy(BucketPolicy(graveyard.account, BUCKET), absent=[statement])
    graveyard.s3.put_bucket_policy(Bucket=BUCKET, Policy=document(*graveyard.statements()[1:]))
    apply_policy(plan_policy(BucketPolicy(graveyard.account, BUCKET), absent=[statement]), ALONE, sleep=at_once)
