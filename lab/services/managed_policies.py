# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS's own policies and service-linked roles that a migration meets, reduced to what the lab has services for.

Actions and conditions are those of the published policies (MAMIP, AWSBackup*); other services' are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lab.identity import IdentityStore, Role
from lab.partitions import in_partition

_TABLES = "arn:aws:dynamodb:*:*:table/*"
_TABLE_BACKUPS = "arn:aws:dynamodb:*:*:table/*/backup/*"
_RECOVERY_POINTS = "arn:aws:backup:*:*:recovery-point:*"
_VIA_DYNAMODB = {"StringLike": {"kms:ViaService": ["dynamodb.*.amazonaws.com"]}}
_FOR_AWS = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
_OWN_ACCOUNT = {"StringEquals": {"aws:PrincipalAccount": "${aws:ResourceAccount}"}}


def _allow(actions: Sequence[str], resource: str | Sequence[str] = "*", condition: Any = None) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return statement | ({"Condition": condition} if condition else {})


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


_FOR_BACKUP = _document(
    _allow(["dynamodb:DescribeTable", "dynamodb:CreateBackup"], _TABLES),
    _allow(["dynamodb:DescribeBackup", "dynamodb:DeleteBackup"], _TABLE_BACKUPS),
    _allow(["dynamodb:StartAwsBackupJob", "dynamodb:ListTagsOfResource"], _TABLES),
    _allow(["backup:DescribeBackupVault", "backup:CopyIntoBackupVault"], "arn:aws:backup:*:*:backup-vault:*"),
    _allow(["backup:CopyFromBackupVault"]),
    _allow(["backup:TagResource"], _RECOVERY_POINTS, _OWN_ACCOUNT),
    _allow(["kms:Decrypt", "kms:GenerateDataKey"], condition=_VIA_DYNAMODB),
    _allow(["kms:DescribeKey"]),
    _allow(["kms:CreateGrant"], condition=_FOR_AWS),
    _allow(["tag:GetResources"]),
)
_FOR_RESTORES = _document(
    _allow(
        [
            "dynamodb:Scan",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
            "dynamodb:PutItem",
            "dynamodb:GetItem",
            "dynamodb:DeleteItem",
            "dynamodb:BatchWriteItem",
            "dynamodb:DescribeTable",
        ],
        _TABLES,
    ),
    _allow(["dynamodb:RestoreTableFromBackup"], _TABLE_BACKUPS),
    _allow(["dynamodb:RestoreTableFromAwsBackup"], _TABLES),
    _allow(["kms:DescribeKey"]),
    _allow(
        [
            "kms:Decrypt",
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "kms:ReEncryptTo",
            "kms:ReEncryptFrom",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:DescribeKey",
        ],
        condition=_VIA_DYNAMODB,
    ),
    _allow(["kms:CreateGrant"], condition=_FOR_AWS),
)
_LINKED = _document(
    _allow(["tag:GetResources", "dynamodb:ListTables"]),
    _allow(["kms:DescribeKey"]),
    _allow(["dynamodb:DeleteBackup"], _TABLE_BACKUPS),
    _allow(["dynamodb:ListTagsOfResource", "dynamodb:DescribeTable"], _TABLES),
    _allow(["backup:TagResource"], _RECOVERY_POINTS, _OWN_ACCOUNT),
)
_FULL_ACCESS = _document(
    _allow(["backup:*"]),
    _allow(["backup-storage:*"]),
    _allow(["dynamodb:ListBackups", "dynamodb:ListTables"]),
    _allow(["tag:GetTagKeys", "tag:GetTagValues", "tag:GetResources"]),
    _allow(["iam:ListRoles", "iam:GetRole"]),
    _allow(
        ["iam:PassRole"],
        ["arn:aws:iam::*:role/*AwsBackup*", "arn:aws:iam::*:role/*AWSBackup*"],
        {"StringEquals": {"iam:PassedToService": ["backup.amazonaws.com", "restore-testing.backup.amazonaws.com"]}},
    ),
    _allow(["organizations:DescribeOrganization"]),
    _allow(["kms:ListKeys", "kms:DescribeKey", "kms:GenerateDataKey", "kms:ListAliases"]),
    _allow(
        ["kms:CreateGrant"],
        condition={
            "ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "aws:backup:backup-vault"},
            "Bool": {"kms:GrantIsForAWSResource": True},
            "StringLike": {"kms:ViaService": "backup.*.amazonaws.com"},
        },
    ),
    _allow(
        ["iam:CreateServiceLinkedRole"],
        condition={
            "StringEquals": {"iam:AWSServiceName": ["backup.amazonaws.com", "restore-testing.backup.amazonaws.com"]}
        },
    ),
)

_LINKED_POLICY = "arn:aws:iam::aws:policy/aws-service-role/AWSBackupServiceLinkedRolePolicyForBackup"
_CLEANUP_POLICY = "arn:aws:iam::aws:policy/aws-service-role/AmazonEMRCleanupPolicy"
_SERVERLESS_POLICY = "arn:aws:iam::aws:policy/aws-service-role/AmazonEMRServerlessServiceRolePolicy"
_SCALING_POLICY = "arn:aws:iam::aws:policy/aws-service-role/AWSApplicationAutoscalingDynamoDBTablePolicy"
DOCUMENTS: Mapping[str, str] = {
    "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup": _FOR_BACKUP,
    "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForRestores": _FOR_RESTORES,
    "arn:aws:iam::aws:policy/AWSBackupFullAccess": _FULL_ACCESS,
    _LINKED_POLICY: _LINKED,
    _CLEANUP_POLICY: _document(
        _allow(
            [
                "ec2:DescribeInstances",
                "ec2:DescribeLaunchTemplates",
                "ec2:DescribeSpotInstanceRequests",
                "ec2:DeleteLaunchTemplate",
                "ec2:ModifyInstanceAttribute",
                "ec2:TerminateInstances",
                "ec2:CancelSpotInstanceRequests",
                "ec2:DeleteNetworkInterface",
                "ec2:DescribeInstanceAttribute",
                "ec2:DescribeVolumeStatus",
                "ec2:DescribeVolumes",
                "ec2:DetachVolume",
                "ec2:DeleteVolume",
                "ec2:DescribePlacementGroups",
                "ec2:DeletePlacementGroup",
            ]
        )
    ),
    _SERVERLESS_POLICY: _document(
        _allow(
            [
                "ec2:CreateNetworkInterface",
                "ec2:DeleteNetworkInterface",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeRouteTables",
            ]
        ),
        _allow(
            ["cloudwatch:PutMetricData"],
            condition={"StringEquals": {"cloudwatch:namespace": ["AWS/EMRServerless", "AWS/Usage"]}},
        ),
    ),
    _SCALING_POLICY: _document(
        _allow(["dynamodb:DescribeTable", "dynamodb:UpdateTable"]),
        _allow(["cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms"]),
    ),
}
# Service: name of its role, and the policy of AWS that the role has.
AUTO_SCALING = "dynamodb.application-autoscaling.amazonaws.com"
EMR, EMR_SERVERLESS = "elasticmapreduce.amazonaws.com", "ops.emr-serverless.amazonaws.com"
LINKED_ROLES: Mapping[str, tuple[str, str]] = {
    "backup.amazonaws.com": ("AWSServiceRoleForBackup", _LINKED_POLICY),
    EMR: ("AWSServiceRoleForEMRCleanup", _CLEANUP_POLICY),
    EMR_SERVERLESS: ("AWSServiceRoleForAmazonEMRServerless", _SERVERLESS_POLICY),
    AUTO_SCALING: ("AWSServiceRoleForApplicationAutoScaling_DynamoDBTable", _SCALING_POLICY),
}


def add_linked_role(store: IdentityStore, account_id: str, service: str, description: str = "") -> Role:
    """The role that is linked to ``service`` (a key of ``LINKED_ROLES``), new in the account."""
    name, policy_arn = LINKED_ROLES[service]
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return store.add_role(
        account_id,
        name,
        json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        path=linked_path(service),
        description=description,
        attached=(in_partition(policy_arn, store.accounts.partition(account_id)),),
    )


def linked_path(service: str) -> str:
    """The path of the role that is linked to ``service`` (``backup.amazonaws.com``)."""
    return f"/aws-service-role/{service}/"
