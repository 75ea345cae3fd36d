# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters over the staging bucket."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.tableferry.aws.plugins.filter.staging import (
    EXPORT_ACTIONS,
    MARK,
    bucket_plan,
    bucket_policy,
    statement_id,
    without_statement,
)

PRINCIPAL = "arn:aws:iam::111111111111:role/ferry"
THEIRS = {
    "Sid": "Theirs",
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::b/*",
}


def bucket(**more: Any) -> dict[str, Any]:
    """A bucket as s3_bucket_info shows it, in the state that AWS makes buckets in."""
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    return {
        "name": "b",
        "bucket_tagging": {},
        "bucket_policy": {},
        "bucket_ownership_controls": {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}},
        "public_access_block": {"PublicAccessBlockConfiguration": block},
        "bucket_encryption": {"ServerSideEncryptionConfiguration": {"Rules": [rule]}},
        **more,
    }


def test_a_new_bucket_lets_one_principal_export_and_nobody_without_tls() -> None:
    plan = bucket_plan([bucket(name="other")], "b", PRINCIPAL)
    assert (plan["exists"], plan["ours"], plan["problem"]) == (False, True, "")
    assert plan["changes"]
    allowed, denied = plan["policy"]["Statement"]
    assert allowed["Principal"] == {"AWS": PRINCIPAL}
    assert allowed["Action"] == list(EXPORT_ACTIONS)
    assert allowed["Resource"] == "arn:aws:s3:::b/tableferry/*/AWSDynamoDB/*"
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_a_bucket_of_ours_is_left_alone_when_it_is_right() -> None:
    made = bucket_plan([], "b", PRINCIPAL)
    found = bucket(bucket_tagging=dict(MARK), bucket_policy={"Policy": json.dumps(made["policy"])})
    assert bucket_plan([found], "b", PRINCIPAL)["changes"] == []


def test_a_bucket_of_ours_is_mended() -> None:
    found = bucket(bucket_tagging=dict(MARK), public_access_block={}, bucket_encryption={})
    assert len(bucket_plan([found], "b", PRINCIPAL)["changes"]) == 3
    key = "arn:aws:kms:eu-west-1:222222222222:key/1"
    assert any(
        "encryption" in change
        for change in bucket_plan([bucket(bucket_tagging=dict(MARK))], "b", PRINCIPAL, "aws", key)["changes"]
    )


def test_somebody_elses_policy_is_kept() -> None:
    found = bucket(bucket_policy={"Policy": json.dumps({"Version": "2008-10-17", "Id": "x", "Statement": [THEIRS]})})
    plan = bucket_plan([found], "b", PRINCIPAL)
    assert not plan["ours"]
    assert (plan["policy"]["Version"], plan["policy"]["Id"]) == ("2008-10-17", "x")
    assert plan["policy"]["Statement"][0] == THEIRS
    assert [statement["Sid"] for statement in plan["policy"]["Statement"]] == ["Theirs", statement_id(PRINCIPAL)]
    assert len(plan["changes"]) == 1
    again = bucket(bucket_policy={"Policy": json.dumps(plan["policy"])})
    assert bucket_plan([again], "b", PRINCIPAL)["changes"] == []


def test_a_bucket_whose_writers_own_their_objects_is_refused() -> None:
    plan = bucket_plan([bucket(bucket_ownership_controls={})], "b", PRINCIPAL)
    assert "BucketOwnerEnforced" in plan["problem"]
    assert plan["changes"] == []


def test_only_our_statement_is_taken_out() -> None:
    ours = {"Sid": statement_id(PRINCIPAL), "Effect": "Allow"}
    assert without_statement({"Version": "1", "Statement": [THEIRS, ours]}, ours["Sid"]) == {
        "Version": "1",
        "Statement": [THEIRS],
    }
    assert without_statement({"Version": "1", "Statement": ours}, ours["Sid"]) == {}
    assert statement_id(PRINCIPAL).isalnum()
    assert bucket_policy({}) == {}
