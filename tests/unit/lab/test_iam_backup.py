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


def test_c2_a_role_takes_only_the_policy_and_the_boundary_that_conditions_name(world: Any) -> None:
    company = Company(world)
    boundary = f"arn:aws:iam::{company.outside.account}:policy/boundary"
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
