# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SimulatePrincipalPolicy of the lab."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.landscape import SOURCE
from tests.unit.on_lab.callers import user_who_may
from tests.unit.on_lab.staged import Staged

TABLE = f"arn:aws:dynamodb:eu-west-1:{SOURCE}:table/"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": SOURCE}, "Action": "sts:AssumeRole"}],
    }
)


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture
def iam() -> Any:
    return Staged({}).client("iam", "source")


def decisions(iam: Any, arn: str, *actions: str, resources: tuple[str, ...] = (), **keys: str) -> dict[str, Any]:
    entries = [
        {"ContextKeyName": name.replace("__", ":"), "ContextKeyValues": [value], "ContextKeyType": "string"}
        for name, value in keys.items()
    ]
    more = {"ResourceArns": list(resources)} if resources else {}
    answer = iam.simulate_principal_policy(
        PolicySourceArn=arn, ActionNames=list(actions), ContextEntries=entries, **more
    )
    assert not answer["IsTruncated"]
    return {each["EvalActionName"]: each for each in answer["EvaluationResults"]}


def test_what_a_principal_may(iam: Any) -> None:
    user_who_may(
        iam,
        "ann",
        document(
            {"Effect": "Allow", "Action": "dynamodb:Scan", "Resource": f"{TABLE}orders"},
            {"Effect": "Allow", "Action": ["dynamodb:ListTables", "dynamodb:DeleteTable"], "Resource": "*"},
            {"Effect": "Deny", "Action": "dynamodb:DeleteTable", "Resource": "*"},
        ),
    )
    arn = f"arn:aws:iam::{SOURCE}:user/ann"
    found = decisions(iam, arn, "dynamodb:ListTables", "dynamodb:DeleteTable", "dynamodb:Scan")
    assert [each["EvalDecision"] for each in found.values()] == ["allowed", "explicitDeny", "implicitDeny"]
    (scan,) = decisions(iam, arn, "dynamodb:Scan", resources=(f"{TABLE}orders", f"{TABLE}users")).values()
    assert scan["EvalDecision"] == "implicitDeny", "the most restrictive one"
    assert {each["EvalResourceName"]: each["EvalResourceDecision"] for each in scan["ResourceSpecificResults"]} == {
        f"{TABLE}orders": "allowed",
        f"{TABLE}users": "implicitDeny",
    }
    boundary = iam.create_policy(
        PolicyName="little", PolicyDocument=document({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    )["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName="ann", PermissionsBoundary=boundary)
    assert decisions(iam, arn, "dynamodb:ListTables")["dynamodb:ListTables"]["EvalDecision"] == "implicitDeny"


def test_keys_without_a_value_are_named(iam: Any) -> None:
    only = {"StringEquals": {"kms:ViaService": "dynamodb.eu-west-1.amazonaws.com"}}
    user_who_may(iam, "ann", document({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", "Condition": only}))
    arn, key = f"arn:aws:iam::{SOURCE}:user/ann", f"arn:aws:kms:eu-west-1:{SOURCE}:key/1"
    (without,) = decisions(iam, arn, "kms:Decrypt").values()
    assert (without["EvalDecision"], without["MissingContextValues"]) == ("implicitDeny", ["kms:viaservice"])
    (of_key,) = decisions(iam, arn, "kms:Decrypt", resources=(key,)).values()
    assert of_key["MissingContextValues"] == []
    assert of_key["ResourceSpecificResults"][0]["MissingContextValues"] == ["kms:viaservice"]
    given = {"kms__ViaService": "dynamodb.eu-west-1.amazonaws.com"}
    (with_key,) = decisions(iam, arn, "kms:Decrypt", resources=(key,), **given).values()
    assert (with_key["EvalDecision"], with_key["ResourceSpecificResults"][0]["MissingContextValues"]) == ("allowed", [])


def test_only_users_and_roles_are_simulated(iam: Any) -> None:
    role = iam.create_role(RoleName="mover", Path="/teams/", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    assert decisions(iam, role, "s3:GetObject")["s3:GetObject"]["EvalDecision"] == "implicitDeny"
    for arn, code in (
        (f"arn:aws:iam::{SOURCE}:role/mover", "NoSuchEntity"),
        (f"arn:aws:iam::{SOURCE}:user/nobody", "NoSuchEntity"),
        (f"arn:aws:sts::{SOURCE}:assumed-role/mover/me", "InvalidInput"),
        (f"arn:aws:iam::{SOURCE}:root", "InvalidInput"),
    ):
        with pytest.raises(ClientError) as caught:
            decisions(iam, arn, "s3:GetObject")
        assert caught.value.response["Error"]["Code"] == code
