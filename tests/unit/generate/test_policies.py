# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Policies made from the permissions that calls needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.ready_policies import (
    MANAGED,
    filled,
    parts,
    size,
)
from generate import permission_files
from generate.permission_files import LONG, blocks, committed, files_of, with_blocks, write
from generate.permissions import ALSO, pattern, policy
from generate.rehearsal import SIDES, WAYS
from lab.permission_log import Permission

ACCOUNTS = {"111111111111": "SOURCE", "222222222222": "DESTINATION"}
TABLE = "arn:aws:dynamodb:eu-west-1:111111111111:table/orders"
RECORDS = "arn:aws:dynamodb:eu-west-1:222222222222:table/tableferry"
PHASES = {"migrate: a": "Prepare", "migrate: b": "Move", "cleanup: c": "CleanUp"}


def needed(phase: str, action: str, arn: str = TABLE, *conditions: tuple[str, str]) -> Permission:
    return Permission(phase, "111111111111", "arn:aws:iam::111111111111:user/x", action, arn, conditions, True)


def made(*permissions: Permission) -> list[dict[str, Any]]:
    return policy(permissions, ACCOUNTS, "eu-west-1", PHASES)["Statement"]


@pytest.mark.parametrize(
    ("arn", "place"),
    [
        (TABLE, "arn:aws:dynamodb:REGION:SOURCE:table/TABLE"),
        (RECORDS, "arn:aws:dynamodb:REGION:DESTINATION:table/tableferry"),
        (f"{TABLE}/export/01-ab", "arn:aws:dynamodb:REGION:SOURCE:table/TABLE/export/*"),
        ("arn:aws:s3:::b/tableferry/m/AWSDynamoDB/x/y", "arn:aws:s3:::BUCKET/tableferry/*/AWSDynamoDB/*"),
        ("arn:aws:s3:::b/tableferry/spark/222222222222/eu-west-1/x.zip",
         "arn:aws:s3:::BUCKET/tableferry/spark/DESTINATION/REGION/*"),
        ("arn:aws:glue:eu-west-1:222222222222:job/tableferry-m-1", "arn:aws:glue:REGION:DESTINATION:job/tableferry-*"),
        ("arn:aws:emr-serverless:eu-west-1:222222222222:/applications/00a",
         "arn:aws:emr-serverless:REGION:DESTINATION:/applications/*"),
        ("arn:aws:emr-serverless:eu-west-1:222222222222:/applications/00a/jobruns/1",
         "arn:aws:emr-serverless:REGION:DESTINATION:/applications/*/jobruns/*"),
        ("arn:aws:s3:::b", "arn:aws:s3:::BUCKET"),
        ("arn:aws:kms:eu-west-1:222222222222:key/1-2", "arn:aws:kms:REGION:DESTINATION:key/*"),
        ("arn:aws:backup:eu-west-1:111111111111:backup-vault:v", "arn:aws:backup:REGION:SOURCE:backup-vault:VAULT"),
        ("*", "*"),
    ],
)  # fmt: skip
def test_names_become_places(arn: str, place: str) -> None:
    assert pattern(arn, ACCOUNTS, "eu-west-1") == place


def test_a_statement_names_all_phases_that_need_it() -> None:
    statements = made(
        needed("migrate: a", "dynamodb:DescribeTable"),
        needed("migrate: b", "dynamodb:DescribeTable", f"{TABLE}-2"),
        needed("migrate: b", "dynamodb:DescribeTimeToLive"),
        needed("migrate: b", "sts:GetCallerIdentity", "*"),
    )
    assert [(each["Sid"], each["Action"]) for each in statements] == [
        ("PrepareMove1", ["dynamodb:DescribeTable"]),
        ("Move1", ["dynamodb:DescribeTimeToLive"]),
    ]
    with pytest.raises(KeyError):
        made(needed("migrate: unknown", "dynamodb:DescribeTable"))


def test_conditions_are_kept_and_what_is_covered_goes() -> None:
    passed = ("iam:PassedToService", "backup.amazonaws.com")
    via = ("kms:ViaService", "dynamodb.eu-west-1.amazonaws.com")
    key = "arn:aws:kms:eu-west-1:111111111111:key/1"
    (role,) = made(needed("migrate: b", "iam:PassRole", "arn:aws:iam::111111111111:role/r", passed))
    assert role["Condition"] == {"StringEquals": dict([passed])}
    (narrow,) = made(needed("migrate: b", "kms:DescribeKey", key, via))
    assert narrow["Condition"] == {"StringEquals": {"kms:ViaService": "dynamodb.REGION.amazonaws.com"}}
    (wide,) = made(needed("migrate: b", "kms:DescribeKey", key, via), needed("migrate: b", "kms:DescribeKey", key))
    assert "Condition" not in wide
    (everything,) = made(needed("migrate: b", "s3:X", "arn:aws:s3:::b"), needed("migrate: b", "s3:X", "*"))
    assert everything["Resource"] == "*"


def test_what_aws_documents_goes_with_it() -> None:
    assert all(each.fact for each in ALSO)
    export, key = made(needed("migrate: b", "s3:PutObject", "arn:aws:s3:::b/tableferry/m/AWSDynamoDB/x")), made(
        needed("migrate: b", "dynamodb:Scan")
    )  # fmt: skip
    assert export[0]["Action"] == ["s3:AbortMultipartUpload", "s3:PutObject"]
    assert [each["Action"] for each in key] == [["dynamodb:Scan"], ["kms:Decrypt"]]
    assert key[1]["Resource"] == "arn:aws:kms:REGION:SOURCE:key/*"
    records = made(needed("migrate: b", "dynamodb:Scan", RECORDS))
    assert [each["Action"] for each in records] == [["dynamodb:Scan"]]


def test_places_are_filled_in() -> None:
    document = {"Statement": made(needed("migrate: b", "dynamodb:Scan"))[:1]}
    places = {"REGION": "us-east-1", "SOURCE": "999999999999", "TABLE": "shop-*"}
    assert filled(document, places)["Statement"][0]["Resource"] == (
        "arn:aws:dynamodb:us-east-1:999999999999:table/shop-*"
    )


def test_blocks_of_a_page_are_made_new() -> None:
    page = "# x\n\n<!-- permissions: source -->\n<!-- end -->\n\nMore.\n"
    document = {"Version": "2012-10-17", "Statement": made(needed("migrate: b", "dynamodb:Scan"))}
    written = with_blocks(page, {"source": document})
    assert blocks(written) == {"source": document}
    assert written.startswith("# x\n\n<!--") and written.endswith("-->\n\nMore.\n")
    assert with_blocks(written, {"source": document}) == written


@pytest.mark.parametrize("method", WAYS)
@pytest.mark.parametrize("side", SIDES)
def test_each_file_can_be_attached_as_it_is(method: str, side: str) -> None:
    files = [json.loads(file.read_text()) for file in files_of(method, side)]
    assert all(size(filled(document, LONG)) <= MANAGED for document in files)  # with a user's names in it too
    assert files == parts(committed(method, side), LONG)
    identifiers = [statement["Sid"] for statement in committed(method, side)["Statement"]]
    assert all(each.isalnum() for each in identifiers) and len(set(identifiers)) == len(identifiers)


def test_a_policy_that_is_too_long_gets_more_files_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permission_files, "FOLDER", tmp_path)
    (tmp_path / "s3-source.json").write_text("{}")
    long = {"Effect": "Allow", "Action": "s3:GetObject" * 99, "Resource": "*"}
    statements = [{"Sid": f"Move{number}", **long} for number in range(12)]
    document = {"Version": "2012-10-17", "Statement": statements}
    write("s3", "source", document)
    assert [file.name for file in files_of("s3", "source")] == [
        "s3-source-1.json",
        "s3-source-2.json",
        "s3-source-3.json",
    ]
    assert committed("s3", "source") == document
    write("s3", "source", {**document, "Statement": statements[:1]})
    assert [file.name for file in files_of("s3", "source")] == ["s3-source.json"]
