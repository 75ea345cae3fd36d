# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one run of the Spark job may do."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.manifest import DataFile, Manifest
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.access import statements
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.delivery import Payload
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.permissions import LONGEST
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.planning import (
    SparkOptions,
    own_exports,
    plan_of_objects,
    submission_of,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from ansible_collections.tableferry.aws.plugins.module_utils.spark.package import Package
from demo.tables import on_demand

NAME = "t" * 255
BUCKET = "b" * 63
KEY = f"arn:aws:kms:ap-southeast-2:222222222222:key/{'1' * 36}"
PREFIX = f"tableferry/{'m' * 64}/export/111111111111/ap-southeast-2/{NAME}!{'c' * 255}"
DATA = f"{PREFIX}/AWSDynamoDB/01795932000000-abcdef01/data/"


def account() -> Any:
    return SimpleNamespace(
        account_id="222222222222",
        region="ap-southeast-2",
        partition="aws",
        tags={},
        spec=AccountSpec("destination", "ap-southeast-2"),
        table_arn=lambda name: f"arn:aws:dynamodb:ap-southeast-2:222222222222:table/{name}",
    )


def document(**changes: Any) -> tuple[Any, list[dict[str, Any]], str]:
    """The plan, the session policy's statements and its text, for names as long as they may be."""
    here: Account = account()
    options = SparkOptions(NAME, BUCKET, "glue", kms_key_arn=KEY, destination_table="c" * 255, **changes)
    source = TableDefinition.from_dict({"TableName": NAME, **on_demand(("id", "S"))})
    manifest = Manifest(
        f"{DATA.removesuffix('data/')}manifest-summary.json", "", "", "id", "FULL_EXPORT", "DYNAMODB_JSON", 1, 0,
        (DataFile(f"{DATA}a.json.gz", 1, ""),), "2026-11-29T06:00:00+00:00",
    )  # fmt: skip
    plan = plan_of_objects(here, options, source, manifest, PREFIX)
    payload = Payload(b"script", Package(b"package"))
    policy = submission_of(here, options, None, plan, payload, own_exports(plan)).policy
    return plan, json.loads(policy)["Statement"], policy


def may(statements: list[dict[str, Any]], action: str, key: str) -> bool:
    arn = f"arn:aws:s3:::{BUCKET}/{key}"
    return any(
        action in each["Action"] and any(fnmatchcase(arn, pattern) for pattern in each["Resource"])
        for each in statements
    )


def test_a_run_that_writes_to_s3_may_write_there_and_into_no_table() -> None:
    plan, allowed, text = document()
    assert len(text) <= LONGEST
    assert "dynamodb:" not in text
    object_key = plan.object_key(plan.files[0])
    assert object_key.startswith(f"{PREFIX}/AWSDynamoDB/spark-") and object_key.endswith("/data/a.json.gz")
    for key in (object_key, plan.result_key(plan.files[0])):
        assert may(allowed, "s3:PutObject", key) and may(allowed, "s3:GetObject", key)
    assert may(allowed, "s3:GetObject", f"{DATA}a.json.gz")
    other = f"{PREFIX}/AWSDynamoDB/spark-{'0' * 24}/data/a.json.gz"
    for key in (f"{DATA}a.json.gz", other, f"{plan.objects.removesuffix('data/')}manifest-summary.json"):
        assert not may(allowed, "s3:PutObject", key), key


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        (f"{PREFIX}/AWSDynamoDB/spark-{'0' * 24}/data/a.json.gz", True),
        (f"{DATA}a.json.gz", False),
        (f"{PREFIX}/AWSDynamoDB/spark-{'0' * 24}/manifest-summary.json", False),
        ("tableferry/spark/script.py", False),
    ],
)
def test_the_role_of_jobs_writes_changed_items_only_beside_exports(key: str, allowed: bool) -> None:
    given = [
        {"Action": list(each.actions), "Resource": list(each.resources)}
        for each in statements(account(), BUCKET, [NAME])
    ]
    assert may(given, "s3:PutObject", key) is allowed
    assert may(given, "s3:GetObject", key)
