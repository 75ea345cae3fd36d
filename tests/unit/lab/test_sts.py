# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""STS and IAM: becoming somebody else, and what that somebody may do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

SOURCE, DESTINATION = "111111111111", "222222222222"
FERRY = f"arn:aws:iam::{SOURCE}:role/ops/ferry"
ASSUME = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": FERRY}
Refused = Callable[..., tuple[str, int]]


def trust(lab: Any, principal: Any, **rest: Any) -> str:
    return str(lab.policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **rest}))


def add_role(lab: Any, principal: Any, **rest: Any) -> Any:
    options = {name: rest.pop(name) for name in ("max_session_duration",) if name in rest}
    return lab.world.identity.add_role(SOURCE, "ferry", trust(lab, principal, **rest), path="/ops/", **options)


def assume(lab: Any, key: Any, **params: Any) -> dict[str, Any]:
    given = {"RoleArn": FERRY, "RoleSessionName": "night", **params}
    answer: dict[str, Any] = lab.client("sts", key).assume_role(**given)
    return answer


def test_session_is_the_role(gate_lab: Any, refused: Refused) -> None:
    role = add_role(gate_lab, {"AWS": DESTINATION})
    answer = assume(gate_lab, gate_lab.destination)
    arn = f"arn:aws:sts::{SOURCE}:assumed-role/ferry/night"
    assert answer["AssumedRoleUser"] == {"Arn": arn, "AssumedRoleId": f"{role.id}:night"}
    session = answer["Credentials"]
    left = session["Expiration"].timestamp() - gate_lab.world.clock.now()
    assert 3500 < left <= 3600
    identity = gate_lab.client("sts", session).get_caller_identity()
    assert (identity["Arn"], identity["Account"]) == (arn, SOURCE)
    tables = gate_lab.client("dynamodb", session)
    assert refused(tables.describe_table, TableName="orders") == ("AccessDeniedException", 400)
    role.inline["read"] = gate_lab.policy(
        {"Effect": "Allow", "Action": "dynamodb:DescribeTable", "Resource": "arn:aws:dynamodb:*:*:table/orders"}
    )
    tables.describe_table(TableName="orders")
    assert refused(tables.describe_table, TableName="others") == ("AccessDeniedException", 400)
    with pytest.raises(
        ClientError, match=f"User: {arn} is not authorized to perform: dynamodb:DescribeTable on resource"
    ):
        tables.describe_table(TableName="others")


@pytest.mark.parametrize(
    ("account", "statements", "principal", "allowed"),
    [
        (DESTINATION, [ASSUME], {"AWS": DESTINATION}, True),
        (DESTINATION, [ASSUME], {"AWS": f"arn:aws:iam::{DESTINATION}:user/anna"}, True),
        (DESTINATION, [ASSUME], {"AWS": f"arn:aws:iam::{DESTINATION}:user/bert"}, False),
        (DESTINATION, [], {"AWS": f"arn:aws:iam::{DESTINATION}:user/anna"}, False),
        (DESTINATION, [ASSUME], {"AWS": SOURCE}, False),
        (SOURCE, [], {"AWS": f"arn:aws:iam::{SOURCE}:user/anna"}, True),
        (SOURCE, [], {"AWS": SOURCE}, False),
        (SOURCE, [ASSUME], {"AWS": f"arn:aws:iam::{SOURCE}:root"}, True),
        (SOURCE, [ASSUME], {"Service": "ec2.amazonaws.com"}, False),
    ],
)
def test_trust_policy_decides(
    gate_lab: Any, refused: Refused, account: str, statements: list[dict[str, Any]], principal: Any, allowed: bool
) -> None:
    anna = gate_lab.user("anna", *statements, account=account)
    add_role(gate_lab, principal)
    if allowed:
        assert assume(gate_lab, anna)["Credentials"]
    else:
        assert refused(assume, lab=gate_lab, key=anna) == ("AccessDenied", 403)


def test_missing_role_is_refused_alike(gate_lab: Any) -> None:
    messages = []
    for _ in range(2):
        with pytest.raises(ClientError) as failure:
            assume(gate_lab, gate_lab.destination)
        messages.append(str(failure.value))
        if not messages[1:]:
            add_role(gate_lab, {"AWS": f"arn:aws:iam::{DESTINATION}:user/nobody"})
    assert messages[0] == messages[1]
    assert f"is not authorized to perform: sts:AssumeRole on resource: {FERRY}" in messages[0]


def test_role_is_named_with_its_path(gate_lab: Any, refused: Refused) -> None:
    add_role(gate_lab, {"AWS": DESTINATION})
    without = FERRY.replace("/ops", "")
    assert refused(assume, lab=gate_lab, key=gate_lab.destination, RoleArn=without) == ("AccessDenied", 403)


def test_external_id(gate_lab: Any, refused: Refused) -> None:
    add_role(gate_lab, {"AWS": DESTINATION}, Condition={"StringEquals": {"sts:ExternalId": "sesame"}})
    assert refused(assume, lab=gate_lab, key=gate_lab.destination) == ("AccessDenied", 403)
    assert refused(assume, lab=gate_lab, key=gate_lab.destination, ExternalId="other") == ("AccessDenied", 403)
    assert assume(gate_lab, gate_lab.destination, ExternalId="sesame")["Credentials"]


def test_duration_is_bounded_by_the_role(gate_lab: Any, refused: Refused) -> None:
    add_role(gate_lab, {"AWS": DESTINATION}, max_session_duration=7200)
    assert assume(gate_lab, gate_lab.destination, DurationSeconds=7200)["Credentials"]
    assert refused(assume, lab=gate_lab, key=gate_lab.destination, DurationSeconds=7201) == ("ValidationError", 400)


def test_role_chaining_ends_after_an_hour(gate_lab: Any, refused: Refused) -> None:
    role = add_role(gate_lab, {"AWS": SOURCE}, max_session_duration=7200)
    role.attached.append("arn:aws:iam::aws:policy/AdministratorAccess")
    session = assume(gate_lab, gate_lab.source)["Credentials"]
    assert refused(assume, lab=gate_lab, key=session, DurationSeconds=3601) == ("ValidationError", 400)
    chained = assume(gate_lab, session, RoleSessionName="chained")["Credentials"]
    gate_lab.world.advance(3601)
    assert refused(gate_lab.client("sts", chained).get_caller_identity) == ("ExpiredToken", 403)


def test_session_policy_narrows(gate_lab: Any, refused: Refused) -> None:
    role = add_role(gate_lab, {"AWS": SOURCE})
    role.attached.append("arn:aws:iam::aws:policy/AdministratorAccess")
    narrow = gate_lab.policy({"Effect": "Allow", "Action": "dynamodb:Scan", "Resource": "*"})
    session = assume(gate_lab, gate_lab.source, Policy=narrow)["Credentials"]
    gate_lab.client("dynamodb", session).scan(TableName="orders")
    denied = refused(gate_lab.client("dynamodb", session).describe_table, TableName="orders")
    assert denied == ("AccessDeniedException", 400)


def test_root_may_not_assume_roles(gate_lab: Any, refused: Refused) -> None:
    add_role(gate_lab, {"AWS": SOURCE})
    root = gate_lab.world.identity.add_access_key(SOURCE)
    assert gate_lab.client("sts", root).get_caller_identity()["Arn"] == f"arn:aws:iam::{SOURCE}:root"
    assert refused(assume, lab=gate_lab, key=root) == ("AccessDenied", 403)


def test_session_token_of_a_session(gate_lab: Any, refused: Refused) -> None:
    session = gate_lab.client("sts").get_session_token()["Credentials"]
    assert refused(gate_lab.client("sts", session).get_session_token) == ("AccessDenied", 403)


def test_roles_by_api(gate_lab: Any) -> None:
    iam = gate_lab.client("iam")
    document = json.loads(trust(gate_lab, {"AWS": DESTINATION}))
    made = iam.create_role(
        RoleName="ferry", Path="/ops/", AssumeRolePolicyDocument=json.dumps(document), Tags=[{"Key": "a", "Value": "b"}]
    )["Role"]
    assert made["Arn"] == FERRY
    assert iam.get_role(RoleName="ferry")["Role"]["AssumeRolePolicyDocument"] == document
    iam.put_role_policy(RoleName="ferry", PolicyName="p", PolicyDocument=gate_lab.policy(ASSUME))
    assert iam.list_role_policies(RoleName="ferry")["PolicyNames"] == ["p"]
    assert iam.get_role_policy(RoleName="ferry", PolicyName="p")["PolicyDocument"]["Statement"] == [ASSUME]
    administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
    iam.attach_role_policy(RoleName="ferry", PolicyArn=administrator)
    assert iam.list_attached_role_policies(RoleName="ferry")["AttachedPolicies"] == [
        {"PolicyName": "AdministratorAccess", "PolicyArn": administrator}
    ]
    iam.tag_role(RoleName="ferry", Tags=[{"Key": "c", "Value": "d"}])
    iam.untag_role(RoleName="ferry", TagKeys=["a"])
    assert iam.list_role_tags(RoleName="ferry")["Tags"] == [{"Key": "c", "Value": "d"}]
    assert iam.list_instance_profiles_for_role(RoleName="ferry")["InstanceProfiles"] == []
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_role(RoleName="ferry")
    iam.delete_role_policy(RoleName="ferry", PolicyName="p")
    iam.detach_role_policy(RoleName="ferry", PolicyArn=administrator)
    iam.delete_role(RoleName="ferry")
    assert iam.list_roles()["Roles"] == []


def test_trust_policy_must_name_somebody(gate_lab: Any) -> None:
    iam = gate_lab.client("iam")
    unknown = {"AWS": f"arn:aws:iam::{DESTINATION}:role/nobody"}
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException, match="Invalid principal in policy"):
        iam.create_role(RoleName="ferry", AssumeRolePolicyDocument=trust(gate_lab, unknown))


def test_users_by_api(gate_lab: Any, refused: Refused) -> None:
    iam = gate_lab.client("iam")
    iam.create_user(UserName="anna")
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName="Anna")
    key = iam.create_access_key(UserName="anna")["AccessKey"]
    session = {**key, "SessionToken": None}
    tables = gate_lab.client("dynamodb", session)
    assert refused(tables.scan, TableName="orders") == ("AccessDeniedException", 400)
    iam.put_user_policy(
        UserName="anna",
        PolicyName="p",
        PolicyDocument=gate_lab.policy({"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}),
    )
    gate_lab.world.advance(60)
    tables.scan(TableName="orders")
    assert refused(gate_lab.client("iam", session).get_user, UserName="anna") == ("AccessDenied", 403)
    iam.delete_access_key(UserName="anna", AccessKeyId=key["AccessKeyId"])
    assert refused(tables.scan, TableName="orders") == ("UnrecognizedClientException", 400)


def test_managed_policies_by_api(gate_lab: Any, refused: Refused) -> None:
    iam = gate_lab.client("iam")
    anna = gate_lab.user("anna")
    scan = gate_lab.policy({"Effect": "Allow", "Action": "dynamodb:Scan", "Resource": "*"})
    arn = iam.create_policy(PolicyName="reader", PolicyDocument=scan)["Policy"]["Arn"]
    iam.attach_user_policy(UserName="anna", PolicyArn=arn)
    gate_lab.client("dynamodb", anna).scan(TableName="orders")
    deny = scan.replace("Allow", "Deny")
    version = iam.create_policy_version(PolicyArn=arn, PolicyDocument=deny, SetAsDefault=True)["PolicyVersion"]
    assert (version["VersionId"], iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]) == ("v2", "v2")
    denied = refused(gate_lab.client("dynamodb", anna).scan, TableName="orders")
    assert denied == ("AccessDeniedException", 400)
    users = iam.list_entities_for_policy(PolicyArn=arn)["PolicyUsers"]
    assert [user["UserName"] for user in users] == ["anna"]
