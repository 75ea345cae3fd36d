# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of IAM that AWS Backup needs: the service-linked role and AWS's own policies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.rules import RuleBroken
from lab.services.iam import LINKED_ROLE
from tests.unit.lab.backup.conftest import FOR_BACKUP, SOURCE, Company, world

__all__ = ["world"]
SERVICE = {"AWSServiceName": "backup.amazonaws.com"}
TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "backup.amazonaws.com"}, '
    '"Action": "sts:AssumeRole"}]}'
)


def test_service_linked_role(world: Any) -> None:
    side = Company(world).source
    role = side("CreateServiceLinkedRole", service="iam", **SERVICE)["Role"]
    path = "/aws-service-role/backup.amazonaws.com/"
    assert (role["Path"], role["RoleName"]) == (path, "AWSServiceRoleForBackup")
    assert role["Arn"] == f"arn:aws:iam::{SOURCE}:role{path}AWSServiceRoleForBackup"
    with pytest.raises(RuleBroken, match=r"InvalidInput: .*has been taken in this account") as caught:
        side("CreateServiceLinkedRole", service="iam", **SERVICE)
    assert caught.value.rule == LINKED_ROLE.name
    with pytest.raises(RuleBroken, match="InvalidInput"):
        side("CreateServiceLinkedRole", service="iam", AWSServiceName="none.amazonaws.com")
    side("DeleteServiceLinkedRole", service="iam", RoleName="AWSServiceRoleForBackup")
    assert side("CreateServiceLinkedRole", service="iam", **SERVICE)["Role"]["Arn"] == role["Arn"]


def test_service_linked_role_needs_permission(world: Any) -> None:
    company = Company(world)
    allowed = {"Effect": "Allow", "Action": "iam:CreateServiceLinkedRole", "Resource": "*"}
    other = {**allowed, "Condition": {"StringEquals": {"iam:AWSServiceName": "dynamodb.amazonaws.com"}}}
    own = {**allowed, "Condition": {"StringEquals": {"iam:AWSServiceName": "backup.amazonaws.com"}}}
    with pytest.raises(RuleBroken, match="AccessDenied"):
        company.outside.as_user(other)("CreateServiceLinkedRole", service="iam", **SERVICE)
    assert company.outside.as_user(own)("CreateServiceLinkedRole", service="iam", **SERVICE)["Role"]["Arn"]


def test_c11_a_service_linked_role_is_allowed_by_its_whole_arn(world: Any) -> None:
    company = Company(world)
    path = f"arn:aws:iam::{company.outside.account}:role/aws-service-role/backup.amazonaws.com/"
    allowed = {"Effect": "Allow", "Action": "iam:CreateServiceLinkedRole"}
    for name in ("", "AWSServiceRoleForOther", "AWSServiceRoleForBackup*x"):
        with pytest.raises(RuleBroken, match="AccessDenied"):
            company.outside.as_user({**allowed, "Resource": path + name})(
                "CreateServiceLinkedRole", service="iam", **SERVICE
            )
    exact = company.outside.as_user({**allowed, "Resource": f"{path}AWSServiceRoleForBackup"})
    assert exact("CreateServiceLinkedRole", service="iam", **SERVICE)["Role"]["Arn"] == f"{path}AWSServiceRoleForBackup"


def test_policies_of_aws(world: Any) -> None:
    side = Company(world).destination
    managed = side("GetPolicy", service="iam", PolicyArn=FOR_BACKUP)["Policy"]
    assert (managed["PolicyName"], managed["Path"]) == ("AWSBackupServiceRolePolicyForBackup", "/service-role/")
    attached = side("ListAttachedRolePolicies", service="iam", RoleName="AWSServiceRoleForBackup")["AttachedPolicies"]
    assert [each["PolicyName"] for each in attached] == ["AWSBackupServiceLinkedRolePolicyForBackup"]


def _boundary(desk: Any, *statements: dict[str, Any]) -> str:
    document = {
        "Version": "2012-10-17",
        "Statement": [*statements] or [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
    made = desk("CreatePolicy", service="iam", PolicyName="boundary", PolicyDocument=json.dumps(document))
    return str(made["Policy"]["Arn"])


def test_a_boundary_is_a_policy_that_exists(world: Any) -> None:
    desk = Company(world).outside
    missing = f"arn:aws:iam::{desk.account}:policy/none"
    for operation, named in (
        ("CreateUser", {"UserName": "new"}),
        ("CreateRole", {"RoleName": "new", "AssumeRolePolicyDocument": TRUST}),
    ):
        with pytest.raises(RuleBroken, match=r"NoSuchEntity: Scope ARN: .*policy/none does not exist"):
            desk(operation, service="iam", PermissionsBoundary=missing, **named)
    desk("CreateUser", service="iam", UserName="new")
    with pytest.raises(RuleBroken, match="NoSuchEntity"):
        desk("PutUserPermissionsBoundary", service="iam", UserName="new", PermissionsBoundary=missing)


def test_a_boundary_limits_a_user(world: Any) -> None:
    company = Company(world)
    user = company.outside.as_user({"Effect": "Allow", "Action": "*", "Resource": "*"})
    boundary = _boundary(company.outside, {"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    user("ListRoles", service="iam")
    company.outside("PutUserPermissionsBoundary", service="iam", UserName=_name(world), PermissionsBoundary=boundary)
    with pytest.raises(RuleBroken, match="because no permissions boundary allows the iam:ListRoles action"):
        user("ListRoles", service="iam")


def test_a_managed_policy_has_a_size(world: Any) -> None:
    desk = Company(world).outside
    many = {"Effect": "Allow", "Action": "*", "Resource": ["arn:aws:s3:::" + "a" * 100] * 60}
    with pytest.raises(RuleBroken, match="LimitExceeded: Cannot exceed quota for PolicySize: 6144"):
        _boundary(desk, many)
    _boundary(desk, {**many, "Resource": many["Resource"][:40]})


def test_c2_a_role_takes_only_the_policy_and_the_boundary_that_conditions_name(world: Any) -> None:
    company = Company(world)
    boundary = _boundary(company.outside)
    role = {"RoleName": "AWSBackup-tableferry"}
    made = {"Effect": "Allow", "Action": "iam:CreateRole", "Resource": "*"}
    attached = {"Effect": "Allow", "Action": "iam:AttachRolePolicy", "Resource": "*"}
    made["Condition"] = {"StringEquals": {"iam:PermissionsBoundary": boundary}}
    attached["Condition"] = {
        "ArnEquals": {"iam:PolicyARN": FOR_BACKUP},
        "StringEquals": {"iam:PermissionsBoundary": boundary},
    }
    trust = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "backup.amazonaws.com"}, "Action": "sts:AssumeRole"}
            ],
        }
    )
    maker = company.outside.as_user(made)
    with pytest.raises(RuleBroken, match="AccessDenied"):
        maker("CreateRole", service="iam", AssumeRolePolicyDocument=trust, **role)
    maker("CreateRole", service="iam", AssumeRolePolicyDocument=trust, PermissionsBoundary=boundary, **role)
    attacher = company.outside.as_user(attached)
    with pytest.raises(RuleBroken, match="AccessDenied"):
        attacher("AttachRolePolicy", service="iam", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess", **role)
    attacher("AttachRolePolicy", service="iam", PolicyArn=FOR_BACKUP, **role)


@pytest.mark.parametrize(
    ("service", "operation", "tagging", "params"),
    [
        ("kms", "CreateKey", "kms:TagResource", {"Tags": [{"TagKey": "a", "TagValue": "b"}]}),
        (
            "iam",
            "CreateRole",
            "iam:TagRole",
            {"RoleName": "new", "AssumeRolePolicyDocument": TRUST, "Tags": [{"Key": "a", "Value": "b"}]},
        ),
        ("backup", "CreateBackupVault", "backup:TagResource", {"BackupVaultName": "v", "BackupVaultTags": {"a": "b"}}),
    ],
)
def test_tags_at_creation(world: Any, service: str, operation: str, tagging: str, params: dict[str, Any]) -> None:
    company = Company(world)
    wide = ["backup-storage:*", "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
    allowed = {
        "Effect": "Allow",
        "Action": [f"{service}:{operation}", *wide, "kms:PutKeyPolicy", "kms:RetireGrant"],
        "Resource": "*",
    }
    with pytest.raises(RuleBroken, match=f"is not authorized to perform: {tagging}"):
        company.source.as_user(allowed)(operation, service=service, **params)
    tags = {"Effect": "Allow", "Action": tagging, "Resource": "*"}
    assert company.source.as_user(allowed, tags)(operation, service=service, **params)
    untagged = {name: value for name, value in params.items() if not name.endswith("Tags")}
    untagged |= {name: f"{untagged[name]}-2" for name in ("RoleName", "BackupVaultName") if name in untagged}
    assert company.source.as_user(allowed)(operation, service=service, **untagged)


def test_a_policy_is_attached_under_its_arn(world: Any) -> None:
    company = Company(world)
    company.source("CreateRole", service="iam", RoleName="r", AssumeRolePolicyDocument=TRUST)
    allowed = {"Effect": "Allow", "Action": ["iam:AttachRolePolicy", "iam:DetachRolePolicy"], "Resource": "*"}
    narrow = company.source.as_user({**allowed, "Condition": {"ArnEquals": {"iam:PolicyARN": FOR_BACKUP}}})
    for operation in ("AttachRolePolicy", "DetachRolePolicy"):
        with pytest.raises(RuleBroken, match=f"AccessDenied: .*iam:{operation}"):
            narrow(operation, service="iam", RoleName="r", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
        narrow(operation, service="iam", RoleName="r", PolicyArn=FOR_BACKUP)


def _inline(user: str, name: str, action: str, resource: str = "*") -> dict[str, Any]:
    """The parameters of PutUserPolicy, with what a call of the test is sent with."""
    document = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": resource}}
    return {"service": "iam", "UserName": user, "PolicyName": name, "PolicyDocument": json.dumps(document)}


def _name(world: Any) -> str:
    return str([*world.identity.users.values()][-1].name)


def test_b4_an_inline_policy_applies_late(world: Any) -> None:
    company = Company(world)
    user = company.source.as_user({"Effect": "Allow", "Action": "x:y", "Resource": "*"})
    name = _name(world)
    world.timings.set("iam.propagation", 10)
    company.source("PutUserPolicy", **_inline(name, "first", "iam:ListRoles"))
    assert company.source("GetUserPolicy", service="iam", UserName=name, PolicyName="first")["PolicyDocument"]
    world.advance(6)
    company.source("PutUserPolicy", **_inline(name, "second", "iam:ListUsers"))
    with pytest.raises(RuleBroken, match="AccessDenied"):
        user("ListRoles", service="iam")
    world.advance(6)
    assert user("ListRoles", service="iam")
    with pytest.raises(RuleBroken, match="AccessDenied"):
        user("ListUsers", service="iam")
    world.advance(6)
    assert user("ListUsers", service="iam")
    company.source("DeleteUserPolicy", service="iam", UserName=name, PolicyName="first")
    assert user("ListRoles", service="iam")
    world.advance(11)
    with pytest.raises(RuleBroken, match="AccessDenied"):
        user("ListRoles", service="iam")


def test_c4_inline_policies_have_a_size_together(world: Any) -> None:
    company = Company(world)
    company.source.as_user({"Effect": "Allow", "Action": "x:y", "Resource": "*"})
    name = _name(world)
    company.source("PutUserPolicy", **_inline(name, "first", "x:y", "a" * 1000))
    with pytest.raises(RuleBroken, match="LimitExceeded: Maximum policy size of 2048 bytes exceeded for user"):
        company.source("PutUserPolicy", **_inline(name, "second", "x:y", "a" * 1000))
    company.source("PutUserPolicy", **_inline(name, "second", "x:y", "a" * 500 + " " * 3000))
