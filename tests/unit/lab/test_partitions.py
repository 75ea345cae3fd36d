# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Partitions: what ARNs begin with, and what one account sees of another partition."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.client import running
from lab.landscape import SOURCE
from lab.partitions import partition_of, via_service
from lab.services.kms import KmsService

TABLE: dict[str, Any] = {
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.mark.parametrize(("region", "partition"), [("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")])
def test_partition_by_region(region: str, partition: str) -> None:
    with running(scale=0.001, region=region) as lab:
        arn = lab.client("dynamodb").create_table(TableName="tbl", **TABLE)["TableDescription"]["TableArn"]
        key = lab.client("kms").create_key()["KeyMetadata"]["Arn"]
        caller = lab.client("sts", "source/ferry").get_caller_identity()["Arn"]
        (attached,) = lab.client("iam").list_attached_role_policies(RoleName="ferry")["AttachedPolicies"]
        arns = {"dynamodb": arn, "kms": key, "sts": caller, "iam": attached["PolicyArn"]}
        assert {name: each.split(":")[:3] for name, each in arns.items()} == {
            name: ["arn", partition, name] for name in arns
        }
        lab.advance(5)
        assert lab.client("dynamodb").describe_table(TableName=arn)["Table"]["TableArn"] == arn
        lab.client("dynamodb").tag_resource(ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}])
        lab.client("s3").create_bucket(Bucket="staging", CreateBucketConfiguration={"LocationConstraint": region})
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{partition}:iam::{SOURCE}:root"},
            "Action": "s3:GetObject",
            "Resource": f"arn:{partition}:s3:::staging/*",
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        lab.client("s3").put_bucket_policy(Bucket="staging", Policy=policy)


@pytest.mark.parametrize(("region", "domain"), [("us-gov-west-1", "amazonaws.com"), ("cn-north-1", "amazonaws.com.cn")])
def test_service_domain(region: str, domain: str) -> None:
    with running(scale=0.001, region=region) as lab:
        key = lab.world.part(KmsService).managed_key(SOURCE, region, "dynamodb")
        assert f'"dynamodb.{region}.{domain}"' in key.policy
        # AWS's own keys and policies go on fitting each other: a table under aws/dynamodb takes items.
        tables = lab.client("dynamodb")
        tables.create_table(TableName="tbl", **TABLE, SSESpecification={"Enabled": True, "SSEType": "KMS"})
        lab.advance(30)
        tables.put_item(TableName="tbl", Item={"pk": {"S": "a"}})
        prefix = f"arn:{partition_of(region)}:iam::aws:policy/service-role"
        arn = f"{prefix}/AWSBackupServiceRolePolicyForBackup"
        version = lab.client("iam").get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
        assert f"'dynamodb.*.{domain}'" in str(version["Document"])
        assert via_service("s3", region) == f"s3.{region}.{domain}"


def test_partitions_apart() -> None:
    with running(scale=0.001) as lab:
        for region in ("us-gov-west-1", "cn-north-1"):
            with pytest.raises(ClientError, match="UnrecognizedClientException"):
                lab.client("dynamodb", region=region).list_tables()
        with pytest.raises(ClientError, match="does not exist or is not attachable"):
            lab.client("iam").attach_role_policy(
                RoleName="ferry", PolicyArn="arn:aws-cn:iam::aws:policy/AdministratorAccess"
            )
        (shown,) = [
            each["Arn"]
            for page in lab.client("iam").get_paginator("list_policies").paginate(Scope="AWS")
            for each in page["Policies"]
            if each["PolicyName"] == "AdministratorAccess"
        ]
        assert shown == "arn:aws:iam::aws:policy/AdministratorAccess"
