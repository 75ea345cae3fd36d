# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""IAM policies: who may do what, within an account and across accounts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lab import policy
from lab.assembly import build_world
from lab.caller import Caller
from lab.errors import AwsError
from lab.identity import Accounts

SOURCE, DESTINATION = "111111111111", "222222222222"
TABLE = f"arn:aws:dynamodb:eu-west-1:{SOURCE}:table/orders"
ROLE = Caller(
    SOURCE,
    f"arn:aws:sts::{SOURCE}:assumed-role/ferry/night",
    "assumed_role",
    f"arn:aws:iam::{SOURCE}:role/ops/ferry",
    session_name="night",
)
USER = Caller(SOURCE, f"arn:aws:iam::{SOURCE}:user/anna", "user", f"arn:aws:iam::{SOURCE}:user/anna", user_name="anna")
ROOT = Caller(SOURCE, f"arn:aws:iam::{SOURCE}:root", "root", f"arn:aws:iam::{SOURCE}:root")


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: Any = "*", resource: Any = "*", **rest: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **rest}


def deny(action: Any = "*", resource: Any = "*", **rest: Any) -> dict[str, Any]:
    return {**allow(action, resource, **rest), "Effect": "Deny"}


def decide(
    identity: dict[str, Any] | None = None,
    resource: dict[str, Any] | None = None,
    caller: Caller = ROLE,
    **options: Any,
) -> policy.Decision:
    return policy.decide(
        caller,
        options.pop("action", "dynamodb:Scan"),
        options.pop("arn", TABLE),
        identity_policies=[policy.parse(identity)] if identity else [],
        resource_policy=resource,
        **options,
    )


def named(principal: Any, **rest: Any) -> dict[str, Any]:
    return document(allow(Principal=principal, **rest))


def test_same_account() -> None:
    assert not decide().allowed
    assert decide(document(allow())).allowed
    assert decide(None, named({"AWS": ROLE.principal_arn})).allowed
    refused = decide(document(allow()), document(deny(Principal="*")))
    assert not refused.allowed
    assert refused.reason == "with an explicit deny in a resource-based policy"
    assert decide(document(allow(), deny("dynamodb:*"))).reason == "with an explicit deny in an identity-based policy"


@pytest.mark.parametrize(
    "principal",
    ["*", {"AWS": "*"}, {"AWS": [ROLE.arn]}, {"AWS": ROLE.principal_arn}, {"AWS": SOURCE}, {"AWS": ROOT.arn}],
)
def test_cross_account_needs_both_sides(principal: Any) -> None:
    resource = named(principal)
    assert decide(document(allow()), resource, owner_account=DESTINATION).allowed
    refused = decide(None, resource, owner_account=DESTINATION)
    assert refused.reason == "because no identity-based policy allows the dynamodb:Scan action"
    refused = decide(document(allow()), None, owner_account=DESTINATION)
    assert refused.reason == "because no resource-based policy allows the dynamodb:Scan action"


@pytest.mark.parametrize(
    "principal",
    [
        {"AWS": DESTINATION},
        {"AWS": f"arn:aws:iam::{SOURCE}:role/ferry"},
        {"AWS": f"arn:aws:iam::{SOURCE}:role/ops/*"},
        {"AWS": f"arn:aws:sts::{SOURCE}:assumed-role/ferry/day"},
        {"Service": "dynamodb.amazonaws.com"},
    ],
)
def test_other_principals_are_not_meant(principal: Any) -> None:
    assert not decide(document(allow()), named(principal), owner_account=DESTINATION).allowed


def test_root_principal_delegates() -> None:
    delegating = named({"AWS": ROOT.arn})
    assert not decide(None, delegating).allowed
    assert decide(document(allow()), delegating).allowed
    assert decide(None, delegating, caller=ROOT).allowed


def test_key_policy_must_allow_or_delegate() -> None:
    required = {"resource_policy_required": True, "action": "kms:Decrypt"}
    assert not decide(document(allow()), named({"AWS": USER.arn}), **required).allowed
    assert decide(document(allow()), named({"AWS": SOURCE}), **required).allowed
    assert not decide(None, named({"AWS": SOURCE}), **required).allowed
    assert decide(None, named({"AWS": ROLE.principal_arn}), **required).allowed


def test_permissions_boundary() -> None:
    narrow, everything = {"boundary": policy.parse(document(allow("s3:*")))}, document(allow())
    assert decide(everything, action="s3:GetObject", **narrow).allowed
    assert decide(everything, **narrow).reason == "because no permissions boundary allows the dynamodb:Scan action"
    assert not decide(None, action="s3:GetObject", **narrow).allowed  # it gives nothing
    shut = {"boundary": policy.parse(document(allow(), deny("dynamodb:*")))}
    assert decide(everything, **shut).reason == "with an explicit deny in a permissions boundary"
    # A resource policy of the account that names the user goes beyond the boundary, one that names the role does not.
    assert decide(None, named({"AWS": USER.arn}), caller=USER, **narrow).allowed
    assert not decide(None, named({"AWS": ROLE.principal_arn}), **narrow).allowed
    assert not decide(everything, named({"AWS": USER.arn}), caller=USER, owner_account=DESTINATION, **narrow).allowed


@pytest.mark.parametrize(
    ("principal", "direct"),
    [
        (ROLE.arn, True),
        ("*", True),
        (ROLE.principal_arn, False),
        (SOURCE, False),
        ([ROLE.principal_arn, ROLE.arn], True),
    ],
)
def test_a_session_is_granted_directly(principal: Any, direct: bool) -> None:
    """The session's ARN in a resource policy of its account goes beyond its boundary and its session policy."""
    resource, narrow = named({"AWS": principal}), document(allow("s3:*"))
    session = replace(ROLE, session_policies=(json.dumps(narrow),))
    bounded = {"boundary": policy.parse(narrow)}
    assert decide(document(allow()), resource, **bounded).allowed is direct
    assert decide(document(allow()), resource, caller=session).allowed is direct
    assert decide(None, resource, caller=session, **bounded).allowed is direct
    # A Deny holds, and across accounts both limit.
    shut = {"boundary": policy.parse(document(allow(), deny("dynamodb:*")))}
    assert not decide(document(allow()), resource, **shut).allowed
    assert not decide(document(allow()), resource, owner_account=DESTINATION, **bounded).allowed
    assert not decide(document(allow()), resource, caller=session, owner_account=DESTINATION).allowed
    assert not decide(document(allow()), resource, control_policies=[narrow]).allowed


def test_session_policy_narrows() -> None:
    narrowed = Caller(
        SOURCE, ROLE.arn, "assumed_role", ROLE.principal_arn, session_policies=(json.dumps(document(allow("s3:*"))),)
    )
    assert decide(document(allow()), caller=narrowed).reason.startswith("because no session policy allows")
    assert decide(document(allow()), caller=narrowed, action="s3:GetObject").allowed


def test_service_principal_needs_only_the_resource_policy() -> None:
    logs = Caller.service("logs.amazonaws.com", SOURCE)
    assert decide(None, named({"Service": "logs.amazonaws.com"}), caller=logs).allowed
    assert not decide(None, named({"AWS": SOURCE}), caller=logs).allowed


@pytest.mark.parametrize(
    ("statement", "covered"),
    [
        (allow("dynamodb:S*", TABLE), True),
        (allow("DYNAMODB:scan", TABLE), True),
        (allow("dynamodb:Sca?", TABLE), True),
        (allow("dynamodb:Query", TABLE), False),
        (allow(["s3:*", "dynamodb:*"], f"{TABLE}/index/*"), False),
        (allow("*", "arn:aws:dynamodb:*:*:table/ord*"), True),
        ({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}, True),
        ({"Effect": "Allow", "NotAction": "dynamodb:*", "Resource": "*"}, False),
        ({"Effect": "Allow", "Action": "*", "NotResource": TABLE}, False),
        ({"Effect": "Allow", "Action": "*", "NotResource": f"{TABLE}x"}, True),
        (allow("*", "arn:aws:dynamodb:eu-west-1:111111111111:table/${aws:username}"), False),
    ],
)
def test_actions_and_resources(statement: dict[str, Any], covered: bool) -> None:
    assert decide(document(statement)).allowed is covered


def test_policy_variables() -> None:
    mine = document(allow("*", "arn:aws:s3:::home/${aws:username}/*"))
    keys = {"aws:username": "anna"}
    assert decide(mine, caller=USER, arn="arn:aws:s3:::home/anna/a", conditions=keys).allowed
    assert not decide(mine, caller=USER, arn="arn:aws:s3:::home/bert/a", conditions=keys).allowed
    star = document(allow("*", "arn:aws:s3:::home/${*}"))
    assert not decide(document(allow("*", "arn:aws:s3:::${aws:userid}")), arn="arn:aws:s3:::x").allowed
    assert decide(star, arn="arn:aws:s3:::home/*").allowed


def test_not_principal_spares_the_named() -> None:
    bucket_policy = document(
        {"Effect": "Deny", "NotPrincipal": {"AWS": ROLE.principal_arn}, "Action": "*", "Resource": "*"}
    )
    assert decide(document(allow()), bucket_policy).allowed
    assert not decide(document(allow()), bucket_policy, caller=USER).allowed


KEYS = {
    "aws:PrincipalArn": ROLE.principal_arn,
    "aws:SecureTransport": "true",
    "s3:max-keys": "10",
    "aws:CurrentTime": "2026-10-08T12:00:00Z",
    "aws:SourceIp": "127.0.0.1",
    "aws:TagKeys": ["team", "cost"],
}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"StringEquals": {"aws:principalarn": ROLE.principal_arn}}, True),
        ({"StringEquals": {"aws:PrincipalArn": "other"}}, False),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, False),
        ({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}, True),
        ({"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}, True),
        ({"StringNotEquals": {"aws:SecureTransport": ["true", "x"]}}, False),
        ({"StringEqualsIgnoreCase": {"aws:SecureTransport": "TRUE"}}, True),
        ({"StringLike": {"aws:PrincipalArn": ["x", "arn:aws:iam::*:role/ops/*"]}}, True),
        ({"StringNotLike": {"aws:PrincipalArn": "arn:aws:iam::*"}}, False),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/ops/ferry"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:*:role/ops/ferry"}}, False),
        ({"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::*:role/x"}}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, False),
        ({"Bool": {"aws:SecureTransport": True}}, True),
        ({"Null": {"aws:PrincipalOrgID": "true"}}, True),
        ({"Null": {"aws:PrincipalArn": "true"}}, False),
        ({"NumericLessThanEquals": {"s3:max-keys": 10}}, True),
        ({"NumericGreaterThan": {"s3:max-keys": "10"}}, False),
        ({"DateGreaterThan": {"aws:CurrentTime": "2026-10-08T11:59:59Z"}}, True),
        ({"DateLessThan": {"aws:CurrentTime": "2026-10-08"}}, False),
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": "cost"}}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": "cost"}}, False),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["cost", "team", "x"]}}, True),
        ({"ForAllValues:StringEquals": {"missing": "x"}}, True),
        ({"ForAnyValue:StringEquals": {"missing": "x"}}, False),
        ({"Bool": {"aws:SecureTransport": "true"}, "StringEquals": {"s3:max-keys": "11"}}, False),
    ],
)
def test_conditions(condition: dict[str, Any], holds: bool) -> None:
    assert decide(document(allow(Condition=condition)), conditions=KEYS).allowed is holds


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"Statement": [{"Effect": "Maybe", "Action": "*", "Resource": "*"}]}',
        '{"Statement": [{"Effect": "Allow", "Resource": "*"}]}',
        '{"Version": "2013-01-01", "Statement": []}',
        '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Odd": {"a": "b"}}}}',
        '{"Statement": {"Effect": "Allow", "Action": "*", "NotAction": "*", "Resource": "*"}}',
        '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Bool": ["a"]}}}',
        '{"Statement": {"Effect": "Allow", "Action": {"a": 1}, "Resource": "*"}}',
        '{"Statement": {"Effect": "Allow", "Action": "*", "Ressource": "*"}}',
    ],
)
def test_malformed_documents_are_refused(text: str) -> None:
    with pytest.raises(AwsError) as refused:
        policy.parse(text)
    assert refused.value.code == "MalformedPolicyDocument"


def test_service_control_policies() -> None:
    everything = document(allow())
    refused = decide(everything, control_policies=[document(deny("dynamodb:Scan"))])
    assert (refused.reason, refused.explicit) == ("with an explicit deny in a service control policy", True)
    # A policy without Allow stands beside FullAWSAccess, one with it takes its place; each must let the call through.
    assert decide(everything, control_policies=[document(deny("s3:*"))]).allowed
    assert decide(everything, control_policies=[document(allow("dynamodb:*")), document(deny("s3:*"))]).allowed
    left_out = decide(everything, control_policies=[document(allow("dynamodb:*")), document(allow("s3:*"))])
    assert left_out.reason == "because no service control policy allows the dynamodb:Scan action"
    # It allows nothing by itself, and binds the root user and calls across accounts too.
    assert not decide(None, control_policies=[document(allow())]).allowed
    assert not decide(everything, caller=ROOT, control_policies=[document(deny())]).allowed
    open_to_all = {"resource": named("*"), "owner_account": DESTINATION}
    assert not decide(everything, **open_to_all, control_policies=[document(deny())]).allowed
    logs = Caller.service("logs.amazonaws.com", SOURCE)
    assert decide(None, named({"Service": logs.arn}), caller=logs, control_policies=[document(deny())]).allowed


def test_service_control_policies_by_account() -> None:
    accounts = Accounts()
    accounts.add(SOURCE, "source", "o-one")
    accounts.add(DESTINATION, "management", "o-one")
    for account in accounts.values():
        account.control_policies = ["{}"]
    linked = f"arn:aws:iam::{SOURCE}:role/aws-service-role/backup.amazonaws.com/AWSServiceRoleForBackup"
    manager = Caller(DESTINATION, f"arn:aws:iam::{DESTINATION}:user/b", "user", f"arn:aws:iam::{DESTINATION}:user/b")
    assert accounts.control_policies(ROLE) == ["{}"]
    assert accounts.control_policies(manager) == []
    assert accounts.control_policies(Caller(SOURCE, linked, "assumed_role", linked)) == []
    assert accounts.control_policies(Caller.service("logs.amazonaws.com", SOURCE)) == []


def test_resource_control_policies() -> None:
    everything = document(allow())
    outside = {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-one"}}
    perimeter = document(deny("dynamodb:*", Principal="*", Condition=outside))
    ours, theirs = ({"conditions": {"aws:PrincipalOrgID": each}} for each in ("o-one", "o-two"))
    assert decide(everything, **ours, resource_control_policies=[perimeter]).allowed
    refused = decide(everything, **theirs, resource_control_policies=[perimeter])
    assert (refused.reason, refused.explicit) == ("with an explicit deny in a resource control policy", True)
    # It is not overruled by the resource's own policy, binds services too, and allows nothing.
    open_to_all = {"resource": named("*"), "owner_account": DESTINATION}
    assert not decide(everything, **open_to_all, **theirs, resource_control_policies=[perimeter]).allowed
    logs = Caller.service("logs.amazonaws.com", SOURCE)
    asked = named({"Service": logs.arn})
    assert not decide(None, asked, caller=logs, resource_control_policies=[perimeter]).allowed
    assert not decide(None, **ours, resource_control_policies=[perimeter]).allowed
    both = decide(everything, control_policies=[document(deny())], resource_control_policies=[perimeter])
    assert both.reason == "with an explicit deny in a service control policy"


def test_resource_control_policies_by_account() -> None:
    accounts = Accounts()
    accounts.add(SOURCE, "source", "o-one")
    accounts.add(DESTINATION, "management", "o-one")
    for account in accounts.values():
        account.resource_control_policies = ["{}"]
    linked = f"arn:aws:iam::{DESTINATION}:role/aws-service-role/backup.amazonaws.com/AWSServiceRoleForBackup"
    assert accounts.resource_control_policies(ROLE, SOURCE) == ["{}"]
    assert accounts.resource_control_policies(Caller.service("logs.amazonaws.com", SOURCE), SOURCE) == ["{}"]
    assert accounts.resource_control_policies(ROLE, DESTINATION) == []
    assert accounts.resource_control_policies(Caller(DESTINATION, linked, "assumed_role", linked), SOURCE) == []
    assert accounts.resource_control_policies(ROLE, "333333333333") == []


def test_request_tags() -> None:
    assert policy.request_tags({"Tags": [{"Key": "team", "Value": "data"}]}) == {
        "aws:RequestTag/team": "data", "aws:TagKeys": ["team"],
    }  # fmt: skip
    assert policy.request_tags({"Tags": [{"TagKey": "team", "TagValue": ""}]})["aws:RequestTag/team"] == ""
    assert policy.request_tags({"BackupVaultTags": {"a": "1", "b": "2"}})["aws:TagKeys"] == ["a", "b"]
    assert policy.request_tags({"TagKeys": ["a"]}) == {"aws:TagKeys": ["a"]}
    assert policy.request_tags({"TableName": "orders", "Tags": []}) == {}
    tagged = document(
        allow(),
        deny("dynamodb:CreateTable", Condition={"Null": {"aws:RequestTag/team": "true"}}),
        deny(Condition={"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["team", "env"]}}),
    )
    for keys, allowed in (([], False), (["team"], True), (["team", "env"], True), (["team", "z"], False)):
        conditions = policy.request_tags({"Tags": [{"Key": key, "Value": "x"} for key in keys]})
        assert decide(tagged, action="dynamodb:CreateTable", conditions=conditions).allowed == allowed
        assert decide(tagged, conditions=conditions).allowed == ("z" not in keys)


def test_no_vpc_endpoint() -> None:
    world = build_world(services=())
    try:
        keys = world.identity.condition_keys(USER, "eu-west-1")
    finally:
        world.close()
    for key in ("aws:SourceVpce", "aws:SourceVpc"):
        only = document(allow(Condition={"StringEquals": {key: "vpce-1"}}))
        assert not decide(only, conditions=keys).allowed
        outside = document(allow(), deny(Condition={"StringNotEquals": {key: "vpce-1"}}))
        assert decide(outside, conditions=keys).reason == "with an explicit deny in an identity-based policy"
        lenient = document(
            allow(), deny(Condition={"StringNotEqualsIfExists": {key: "vpce-1"}, "Null": {key: "false"}})
        )
        assert decide(lenient, conditions=keys).allowed
