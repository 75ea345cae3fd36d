# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the destination may not do is told in check mode and before the export is billed, not afterwards."""

from __future__ import annotations

import json

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    AccessDenied,
    RecordDenied,
    StagingBucketUnusable,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Verify
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import preview, start
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.clock import AwsClock
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.store import RecordStore
from tests.unit.on_lab.callers import user_who_may
from tests.unit.on_lab.conftest import BUCKET, Crossing


def without(crossing: Crossing, name: str, *actions: str, side: str = "destination") -> Account:
    """The account by a user who may all but ``actions``."""
    statements = [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": list(actions), "Resource": "*"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    keys = user_who_may(crossing.lab.client("iam", side), name, document)
    crossing.lab.advance(60)
    return crossing.account(side, **keys)


@pytest.mark.parametrize("recorded", [False, True])
def test_a_bucket_that_may_not_be_listed_is_told_before_the_export(crossing: Crossing, recorded: bool) -> None:
    name = f"unlisted-{recorded}"
    crossing.table(name)
    denied = without(crossing, name, "s3:ListBucket")
    options = MigrationOptions(name, method="s3", bucket=BUCKET)
    crossing.lab.clear_requests()
    with pytest.raises(StagingBucketUnusable, match="s3:ListBucket"):
        preview(crossing.source, denied, options, by_record=recorded)
    with pytest.raises(StagingBucketUnusable, match="s3:ListBucket"):
        start(crossing.source, denied, options)
    assert not crossing.lab.count("ExportTableToPointInTime")


def test_a_record_that_may_not_be_read_is_told_in_check_mode(crossing: Crossing) -> None:
    crossing.table("unread")
    RecordStore.open(crossing.destination, "tableferry", AwsClock())
    denied = without(crossing, "unread", "dynamodb:GetItem")
    store = RecordStore.open(denied, "tableferry", AwsClock(), create=False)
    with pytest.raises(RecordDenied, match="dynamodb:GetItem"):
        preview(crossing.source, denied, MigrationOptions("unread", method="s3", bucket=BUCKET), store, by_record=True)


def test_a_key_that_may_not_be_described_is_a_risk_that_check_mode_and_the_run_tell(crossing: Crossing) -> None:
    here, there = crossing.key("source"), crossing.key("destination")
    crossing.table("locked", SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": here})
    options = MigrationOptions("locked", method="s3", bucket=BUCKET, kms_key_map={here: there})
    denied = without(crossing, "locked", "kms:DescribeKey")
    for act in (preview, start):
        assert not any(
            "kms:DescribeKey" in text for text in preview(crossing.source, crossing.destination, options).warnings
        )
        warned = [text for text in act(crossing.source, denied, options).warnings if "kms:DescribeKey" in text]
        assert len(warned) == 1 and there in warned[0]


@pytest.mark.parametrize(
    ("method", "verify", "action"),
    [
        ("s3", "sample", "dynamodb:BatchGetItem"),
        ("s3", "full", "dynamodb:Scan"),
        ("backup", "counts", "dynamodb:Scan"),
    ],
)
@pytest.mark.parametrize("side", ["source", "destination"])
def test_items_that_may_not_be_read_for_the_verification_are_told_before_the_bill(
    crossing: Crossing, method: str, verify: Verify, action: str, side: str
) -> None:
    name = f"unread-{method}-{verify}-{side}"
    crossing.table(name)
    denied = without(crossing, name, action, side=side)
    accounts = {"source": crossing.source, "destination": crossing.destination, side: denied}
    options = MigrationOptions(name, method=method, bucket=BUCKET, verify=verify)
    crossing.lab.clear_requests()
    for act in (preview, start):
        with pytest.raises(AccessDenied, match=f"The {side} account refused reading items.*{action}"):
            act(accounts["source"], accounts["destination"], options)
    assert not crossing.lab.count("ExportTableToPointInTime") and not crossing.lab.count("StartBackupJob")


def test_by_s3_nobody_reads_items_to_count_them(crossing: Crossing) -> None:
    crossing.table("counted")
    denied = without(crossing, "counted", "dynamodb:Scan", "dynamodb:BatchGetItem")
    crossing.lab.clear_requests()
    preview(crossing.source, denied, MigrationOptions("counted", method="s3", bucket=BUCKET))
    assert not crossing.lab.count("BatchGetItem")
