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
