# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users and roles that a resource policy names, and that are deleted afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.client import RunningLab, running

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::222222222222:root"}, "Action": "sts:AssumeRole"}
        ],
    }
)
Place = tuple[Callable[[str], Any], Callable[[], dict[str, Any]], dict[str, Any]]


class Held:
    """Each kind of policy in the destination account: how it is put and read, and a statement that it takes."""

    def __init__(self, lab: RunningLab) -> None:
        self.lab = lab
        self.account = lab.landscape["accounts"]["destination"]["account_id"]
        self.iam = lab.client("iam", "destination")

    def place(self, kind: str) -> Place:
        return getattr(self, f"_{kind}")()  # type: ignore[no-any-return]

    def _bucket(self) -> Place:
        s3 = self.lab.client("s3", "destination")
        place = {"LocationConstraint": self.lab.landscape["region"]}
        s3.create_bucket(Bucket="held", CreateBucketConfiguration=place)
        return (
            lambda text: s3.put_bucket_policy(Bucket="held", Policy=text),
            lambda: json.loads(s3.get_bucket_policy(Bucket="held")["Policy"]),
            {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::held/*"},
        )

    def _key(self) -> Place:
        kms = self.lab.client("kms", "destination")
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        return (
            lambda text: kms.put_key_policy(
                KeyId=key, PolicyName="default", Policy=text, BypassPolicyLockoutSafetyCheck=True
            ),
            lambda: json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]),
            {"Action": "kms:*", "Resource": "*"},
        )

    def _trust(self) -> Place:
        self.iam.create_role(RoleName="trusting", AssumeRolePolicyDocument=TRUST)
        return (
            lambda text: self.iam.update_assume_role_policy(RoleName="trusting", PolicyDocument=text),
            lambda: self.iam.get_role(RoleName="trusting")["Role"]["AssumeRolePolicyDocument"],
            {"Action": "sts:AssumeRole"},
        )

    def _vault(self) -> Place:
        backup = self.lab.client("backup", "destination")
        backup.create_backup_vault(BackupVaultName="held")
        return (
            lambda text: backup.put_backup_vault_access_policy(BackupVaultName="held", Policy=text),
            lambda: json.loads(backup.get_backup_vault_access_policy(BackupVaultName="held")["Policy"]),
            {"Action": "backup:CopyIntoBackupVault", "Resource": "*"},
        )

    def _table(self) -> Place:
        dynamodb = self.lab.client("dynamodb", "destination")
        key = {"AttributeName": "pk"}
        arn = dynamodb.create_table(
            TableName="held",
            AttributeDefinitions=[{**key, "AttributeType": "S"}],
            KeySchema=[{**key, "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )["TableDescription"]["TableArn"]
        self.lab.advance(60)

        def put(text: str) -> None:
            self.lab.advance(30)
            dynamodb.put_resource_policy(ResourceArn=arn, Policy=text)
            self.lab.advance(10)

        return (
            put,
            lambda: json.loads(dynamodb.get_resource_policy(ResourceArn=arn)["Policy"]),
            {"Action": "dynamodb:GetItem", "Resource": arn},
        )

    def role(self, name: str = "gone") -> dict[str, Any]:
        return self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]  # type: ignore[no-any-return]

    def as_session(self, service: str, credentials: dict[str, str]) -> Any:
        names = {"access_key": "AccessKeyId", "secret_key": "SecretAccessKey", "session_token": "SessionToken"}
        return self.lab.client(service, {name: credentials[member] for name, member in names.items()})


@pytest.fixture
def held() -> Iterator[Held]:
    with running(scale=0.0) as lab:
        yield Held(lab)


def statement(principal: Any, body: dict[str, Any]) -> dict[str, Any]:
    return {"Sid": "One", "Effect": "Allow", "Principal": {"AWS": principal}, **body}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.mark.parametrize("who", ["role", "user"])
@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        ("bucket", "MalformedPolicy.*: Invalid principal in policy$"),
        ("key", "MalformedPolicyDocumentException.* statement with one or more invalid principals"),
        ("trust", 'MalformedPolicyDocument.*Invalid principal in policy: "AWS":"A'),
        ("vault", "InvalidParameterValueException.*Provided principal is not valid"),
        ("table", r"ValidationException.*Invalid principal in policy document\."),
    ],
)
def test_a_deleted_principal_is_shown_by_its_id(held: Held, kind: str, refused: str, who: str) -> None:
    put, read, body = held.place(kind)
    iam = held.iam
    make, delete = (
        (held.role, lambda: iam.delete_role(RoleName="gone"))
        if who == "role"
        else (lambda: iam.create_user(UserName="gone")["User"], lambda: iam.delete_user(UserName="gone"))
    )
    made = make()
    unique_id = made["RoleId" if who == "role" else "UserId"]
    account = f"arn:aws:iam::{held.account}:root"
    put(document(statement([made["Arn"], account], body)))
    assert read()["Statement"][0]["Principal"] == {"AWS": [made["Arn"], account]}
    delete()
    dead = [unique_id, account]
    assert read()["Statement"][0]["Principal"] == {"AWS": dead}
    made_again = make()
    assert made_again["Arn"] == made["Arn"] and read()["Statement"][0]["Principal"] == {"AWS": dead}
    with pytest.raises(ClientError, match=refused):
        put(document(statement(dead, body)))
    put(document(statement([made["Arn"], account], body)))
    assert read()["Statement"][0]["Principal"] == {"AWS": [made["Arn"], account]}


def test_a_role_made_again_is_not_let_in(held: Held) -> None:
    """The statement names the one that is gone: neither its Allow nor its Deny is about the new one."""
    put, _read, body = held.place("bucket")
    role = held.role()
    s3 = held.lab.client("s3", "destination")
    s3.put_object(Bucket="held", Key="k", Body=b"x")

    def session() -> Any:
        sts = held.lab.client("sts", "destination")
        return held.as_session("s3", sts.assume_role(RoleArn=role["Arn"], RoleSessionName="night")["Credentials"])

    put(document(statement(role["Arn"], body)))
    assert session().get_object(Bucket="held", Key="k")["Body"].read() == b"x"
    held.iam.delete_role(RoleName="gone")
    held.role()
    with pytest.raises(ClientError, match="AccessDenied"):
        session().get_object(Bucket="held", Key="k")


def test_a_session_of_a_deleted_role_may_do_nothing(held: Held) -> None:
    role = held.role()
    sts = held.lab.client("sts", "destination")
    credentials = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="night")["Credentials"]
    kms = held.as_session("kms", credentials)

    def powerful() -> None:
        held.iam.attach_role_policy(RoleName="gone", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")

    powerful()
    assert kms.list_keys()["Keys"] == []
    held.iam.detach_role_policy(RoleName="gone", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    held.iam.delete_role(RoleName="gone")
    held.role()
    powerful()
    with pytest.raises(ClientError, match="AccessDenied"):
        kms.list_keys()
