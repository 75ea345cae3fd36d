# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the destination may not do is told in check mode and before the export is billed, not afterwards."""

from __future__ import annotations

import json

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import RecordDenied, StagingBucketUnusable
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import preview, start
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.clock import AwsClock
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.store import RecordStore
from tests.unit.on_lab.callers import user_who_may
from tests.unit.on_lab.conftest import BUCKET, Crossing


def without(crossing: Crossing, name: str, *actions: str) -> Account:
    """The destination by a user who may all but ``actions``."""
    statements = [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": list(actions), "Resource": "*"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    keys = user_who_may(crossing.lab.client("iam", "destination"), name, document)
    crossing.lab.advance(60)
    return crossing.account("destination", **keys)


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
