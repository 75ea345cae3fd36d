# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The log of permissions: what was asked of whom, in which phase, and whether it was allowed."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.client import running


def test_permissions_are_kept_by_phase_and_caller() -> None:
    with running() as lab:
        iam = lab.client("iam", "source")
        arn = iam.create_user(UserName="anna")["User"]["Arn"]
        key = iam.create_access_key(UserName="anna")["AccessKey"]
        anna = {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}
        statement = '{"Effect": "Allow", "Action": "dynamodb:ListTables", "Resource": "*"}'
        document = f'{{"Version": "2012-10-17", "Statement": [{statement}]}}'
        managed = iam.create_policy(PolicyName="only", PolicyDocument=document)["Policy"]
        iam.attach_user_policy(UserName="anna", PolicyArn=managed["Arn"])
        lab.control("DELETE", "permissions")
        dynamodb = lab.client("dynamodb", anna)
        for phase in ("one", "two"):
            lab.control("POST", "permissions", {"phase": phase})
            dynamodb.list_tables()
            dynamodb.list_tables()
        with pytest.raises(ClientError, match="AccessDenied"):
            dynamodb.describe_table(TableName="orders")
        iam.list_users()

        def shown(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
            return [(row["phase"], row["action"], row["resource_arn"], row["allowed"]) for row in rows]

        table = "arn:aws:dynamodb:eu-west-1:111111111111:table/orders"
        assert shown(lab.permissions(arn)) == [
            ("one", "dynamodb:ListTables", "*", True),
            ("two", "dynamodb:ListTables", "*", True),
            ("two", "dynamodb:DescribeTable", table, False),
        ]
        assert len(lab.permissions()) == 4


def test_conditions_that_policies_compare_are_kept() -> None:
    with running() as lab:
        lab.client("iam", "source").create_service_linked_role(AWSServiceName="backup.amazonaws.com")
        asked = [row for row in lab.permissions() if row["action"] == "iam:CreateServiceLinkedRole"]
        assert [row["conditions"] for row in asked] == [[["iam:AWSServiceName", "backup.amazonaws.com"]]]
