# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Resource policies of tables and streams."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.dynamodb import resource_policy as rules
from lab.rules import RuleBroken

INVALID, IN_USE, NONE = "ValidationException", "ResourceInUseException", "PolicyNotFoundException"
STREAM = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
ROOT = "arn:aws:iam::222222222222:root"


def statement(arn: str, **members: Any) -> dict[str, Any]:
    allow = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "dynamodb:GetItem", "Resource": arn}
    return {name: value for name, value in {**allow, **members}.items() if value is not None}


def document(*statements: dict[str, Any], version: str | None = "2012-10-17") -> str:
    return json.dumps({**({"Version": version} if version else {}), "Statement": list(statements)})


@pytest.fixture
def arn(desk):
    return desk.table()["TableArn"]


@pytest.fixture
def put(desk):
    def put(arn, text, **more):
        return desk("PutResourcePolicy", ResourceArn=arn, Policy=text, **more)["RevisionId"]

    return put


@pytest.fixture
def read(desk):
    def read(arn):
        return json.loads(desk("GetResourcePolicy", ResourceArn=arn)["Policy"])

    return read


@pytest.mark.parametrize(
    ("given", "code", "text"),
    [
        ("tbl", INVALID, "ARNs must start with 'arn:': tbl"),
        (
            "arn:aws:dynamodb:eu-west-1:222222222222:table/tbl",
            INVALID,
            "accounts that match the resource owner\u2019s account",
        ),
        ("arn:aws:dynamodb:us-east-1:111111111111:table/tbl", INVALID, "Invalid resource Arn"),
        ("arn:aws:dynamodb:eu-west-1:111111111111:table/tbl/index/i", INVALID, "only table or stream is accepted"),
        ("arn:aws:dynamodb:eu-west-1:111111111111:table/tbl/backup/0", INVALID, "is not a DynamoDB resource arn"),
        (
            "arn:aws:dynamodb:eu-west-1:111111111111:table/Tbl",
            None,
            "Requested resource not found: Table: Tbl not found",
        ),
        (
            "arn:aws:dynamodb:eu-west-1:111111111111:table/tbl/stream/x",
            "ResourceNotFoundException",
            "Stream: x not found",
        ),
    ],
)
def test_policy_arn(desk, arn, given, code, text):
    with pytest.raises(RuleBroken) as caught:
        desk("GetResourcePolicy", ResourceArn=given)
    assert text in caught.value.message
    if code is not None:
        assert (caught.value.rule, caught.value.code) == (rules.ARN.name, code)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda arn: document(statement(arn)) + " " * 20480, "Maximum policy size of 20480 bytes exceeded"),
        (lambda arn: "", "This policy contains invalid Json"),
        (lambda arn: "[]", "This policy contains invalid Json"),
        (lambda arn: document(), "Statement is empty!"),
        (lambda arn: document(statement(arn, Resource=None)), "Missing required field Resource"),
        (
            lambda arn: document(statement(arn, Sid="a"), statement(arn, Sid="a")),
            "Statement Ids in the policy are not unique",
        ),
        (lambda arn: document(statement(arn, Principal="222222222222")), "Syntax error at position (1,94)"),
        (lambda arn: document(statement(f"{arn}/stream/x")), 'The relative-id "table/tbl/stream/x" is invalid for ARN'),
        (
            lambda arn: document(
                statement(arn, Effect="Deny", Principal={"AWS": "arn:aws:iam::222222222222:role/none"})
            ),
            "Invalid principal in policy document.",
        ),
    ],
)
def test_policy_document(desk, arn, put, read, make, text):
    put(arn, document(statement(arn)))
    desk.wait(20)
    desk.refused(rules.DOCUMENT, INVALID, text, "PutResourcePolicy", ResourceArn=arn, Policy=make(arn))
    desk.wait(5)
    assert read(arn)["Statement"][0]["Resource"] == arn


@pytest.mark.parametrize(
    "action", ["dynamodb:GetRecords", "s3:GetObject", "dynamodb:Nonsense", "dynamodb:TransactWriteItems"]
)
def test_policy_action_names(desk, arn, put, action):
    put(arn, document(statement(arn, Action=["dynamodb:ConditionCheckItem", "dynamodb:getitem"])))
    desk.wait(20)
    policy = document(statement(arn, Action=["dynamodb:GetItem", action]))
    text = f'Invalid policy document: The following action names are invalid: "{action}"'
    desk.refused(rules.ACTIONS, INVALID, text, "PutResourcePolicy", ResourceArn=arn, Policy=policy)


def test_policy_not_public(desk, arn, put):
    for principal in ("*", {"AWS": "*"}):
        policy = document(statement(arn, Principal=principal))
        text = "grants unbounded access"
        desk.refused(rules.PUBLIC, INVALID, text, "PutResourcePolicy", ResourceArn=arn, Policy=policy)
    put(arn, document(statement(arn, Effect="Deny", Principal="*")))


def test_policy_read_late(desk, arn, put, read):
    first = put(arn, document(statement(arn)))
    desk.refused(rules.NONE, NONE, arn, "GetResourcePolicy", ResourceArn=arn)
    desk.wait(2)
    assert desk("GetResourcePolicy", ResourceArn=arn)["RevisionId"] == first
    desk.wait(14)
    put(arn, document(statement(arn, Sid="second")))
    assert desk("GetResourcePolicy", ResourceArn=arn)["RevisionId"] == first
    desk.wait(2)
    assert read(arn)["Statement"][0]["Sid"] == "second"
    desk.wait(14)
    desk("DeleteResourcePolicy", ResourceArn=arn)
    assert read(arn)
    desk.wait(2)
    desk.refused(rules.NONE, NONE, arn, "GetResourcePolicy", ResourceArn=arn)


def test_policy_same_is_free(desk, arn, put, read):
    first = put(arn, document(statement(arn)))
    spaced = json.dumps(json.loads(document(statement([arn], Action=["dynamodb:GetItem"]))), indent=4)
    account = document(statement(arn, Principal={"AWS": "222222222222"}))
    assert put(arn, spaced) == put(arn, account) == first
    desk.wait(2)
    assert put(arn, json.dumps(read(arn))) == first


def test_policy_expected_revision(desk, arn, put):
    params = {"ResourceArn": arn, "Policy": document(statement(arn)), "ExpectedRevisionId": "1"}
    desk.refused(rules.REVISION, NONE, "table tbl has no associated", "PutResourcePolicy", **params)
    current = put(arn, document(statement(arn)), ExpectedRevisionId="NO_POLICY")
    text = "the policy associated to target table tbl did not match"
    desk.refused(rules.REVISION, NONE, text, "PutResourcePolicy", **params)
    desk.refused(rules.REVISION, NONE, text, "DeleteResourcePolicy", ResourceArn=arn, ExpectedRevisionId="1")
    desk.wait(16)
    put(arn, document(statement(arn, Sid="new")), ExpectedRevisionId=current)


def test_policy_cooldown(desk, arn, put):
    put(arn, document(statement(arn)))
    other = {"ResourceArn": arn, "Policy": document(statement(arn, Sid="other"))}
    text = "Table is pending previous resource-based policy update: tbl"
    desk.refused(rules.COOLDOWN, IN_USE, text, "PutResourcePolicy", **other)
    desk.refused(rules.COOLDOWN, IN_USE, text, "DeleteResourcePolicy", ResourceArn=arn)
    desk.wait(10)
    throttled = ("ThrottlingException", "for table tbl modified within the previous 15000 milliseconds.")
    message = desk.refused(rules.COOLDOWN, *throttled, "PutResourcePolicy", **other)
    assert message.endswith("Z.")
    desk.wait(5)
    desk("PutResourcePolicy", **other)


def test_policy_of_stream_is_its_own(desk, put, read):
    """measured/policy-autoscaling-replicas 1 [TABLE-213]: an own slot with an own cooldown."""
    table = desk.table(StreamSpecification=STREAM)
    arn, stream = table["TableArn"], table["LatestStreamArn"]
    put(arn, document(statement(arn)))
    put(stream, document(statement(stream, Action="dynamodb:GetRecords")))
    desk.wait(2)
    assert read(arn)["Statement"][0]["Action"] == "dynamodb:GetItem"
    assert read(stream)["Statement"][0]["Action"] == "dynamodb:GetRecords"


def test_policy_canonical_form(desk, arn, put, read):
    text = document(
        {
            "Resource": [arn], "Action": ["dynamodb:GetItem", "dynamodb:Query"], "Effect": "allow",
            "Principal": {"AWS": ["222222222222", ROOT]}, "Condition": {"StringEquals": {"aws:x": ["y"]}},
        },
        version=None,
    )  # fmt: skip
    put(arn, text)
    desk.wait(2)
    raw = desk("GetResourcePolicy", ResourceArn=arn)["Policy"]
    assert ": " not in raw
    assert json.loads(raw) == {
        "Version": "2008-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": ROOT},
                "Action": ["dynamodb:GetItem", "dynamodb:Query"],
                "Resource": arn,
                "Condition": {"StringEquals": {"aws:x": "y"}},
            }
        ],
    }
    # Without a Version it is another document than with the one that is read back.
    throttled = ("ThrottlingException", "modified within", "PutResourcePolicy")
    desk.refused(rules.COOLDOWN, *throttled, ResourceArn=arn, Policy=raw)


def test_policy_lock_out(desk, arn, put):
    me = desk.caller.arn
    deny = statement(arn, Effect="Deny", Principal={"AWS": me}, Action="dynamodb:PutResourcePolicy")
    text = "will not allow you to update the resource policy in the future"
    params = {"ResourceArn": arn, "Policy": document(deny)}
    desk.refused(rules.LOCK_OUT, "AccessDeniedException", text, "PutResourcePolicy", **params)
    desk("PutResourcePolicy", **params, ConfirmRemoveSelfResourceAccess=True)
    desk.wait(5)
    with pytest.raises(Exception, match="explicit deny"):
        desk("PutResourcePolicy", **params)


def test_policy_enforced_late(desk, other_desk, arn, put):
    put(arn, document(statement(arn, Action="dynamodb:DescribeTable")))
    with pytest.raises(Exception, match="not authorized"):
        other_desk.describe(arn)
    desk.wait(3)
    assert other_desk.describe(arn)["TableName"] == "tbl"
    desk.wait(15)
    desk("DeleteResourcePolicy", ResourceArn=arn)
    desk.wait(200)
    assert other_desk.describe(arn)
    desk.wait(40)
    with pytest.raises(Exception, match="not authorized"):
        other_desk.describe(arn)


def test_policy_none(desk, arn):
    desk.refused(rules.NONE, NONE, f"for the provided ResourceArn: {arn}", "GetResourcePolicy", ResourceArn=arn)
    assert desk("DeleteResourcePolicy", ResourceArn=arn) == {}


def test_policy_while_deleting(desk, arn, put, read):
    put(arn, document(statement(arn)))
    desk.wait(20)
    desk.world.timings.set("table.deleting", 10)
    desk("DeleteTable", TableName="tbl")
    assert read(arn)
    text = "Table is being deleted: tbl"
    desk.refused(rules.DELETING, IN_USE, text, "DeleteResourcePolicy", ResourceArn=arn)
    put(arn, document(statement(arn)))  # the same again
    desk.wait(6)
    with pytest.raises(Exception, match="Table: tbl not found"):
        read(arn)


def test_policy_given_at_creation(desk, read):
    arn = "arn:aws:dynamodb:eu-west-1:111111111111:table/made"
    desk.table("made", ResourcePolicy=document(statement(arn)))
    assert read(arn)["Statement"][0]["Resource"] == arn
