# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""S3's REST protocol: Regions, settings as documents, headers, ranges and lists."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from lab.client import RunningLab
from tests.unit.lab.s3.conftest import REGION, refused


def test_requests_for_another_region_are_redirected(lab: RunningLab, owner: Any, bucket: str) -> None:
    owner.put_object(Bucket=bucket, Key="a", Body=b"here")
    abroad = lab.client("s3", "destination", region="us-east-1")
    lab.clear_requests()
    assert abroad.get_object(Bucket=bucket, Key="a")["Body"].read() == b"here"
    assert [call["status"] for call in lab.calls("GetObject")] == [301, 200]
    assert abroad.get_bucket_location(Bucket=bucket)["LocationConstraint"] == REGION


def test_settings_are_kept(owner: Any, bucket: str) -> None:
    with refused("NoSuchLifecycleConfiguration"):
        owner.get_bucket_lifecycle_configuration(Bucket=bucket)
    rule = {"Filter": {"Prefix": "tableferry/"}, "Status": "Enabled", "Expiration": {"Days": 30}}
    owner.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    kept = owner.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert len(kept) == 1 and kept[0]["ID"] and {**rule, "ID": kept[0]["ID"]} == kept[0]
    owner.delete_bucket_lifecycle(Bucket=bucket)
    with refused("NoSuchLifecycleConfiguration"):
        owner.get_bucket_lifecycle_configuration(Bucket=bucket)
    with refused("NoSuchTagSet"):
        owner.get_bucket_tagging(Bucket=bucket)
    owner.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b & <c>"}]})
    assert owner.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "a", "Value": "b & <c>"}]
    with refused("NoSuchBucketPolicy"):
        owner.get_bucket_policy(Bucket=bucket)


def test_an_object_says_when_it_expires(owner: Any, bucket: str) -> None:
    assert "Expiration" not in owner.put_object(Bucket=bucket, Key="tableferry/a", Body=b"x")
    rules = [
        {"ID": "left overs", "Filter": {"Prefix": "tableferry/"}, "Status": "Enabled", "Expiration": {"Days": 2}},
        {"ID": "off", "Filter": {"Prefix": ""}, "Status": "Disabled", "Expiration": {"Days": 1}},
        {
            "ID": "tagged",
            "Filter": {"Tag": {"Key": "a", "Value": "b"}},
            "Status": "Enabled",
            "Expiration": {"Days": 1},
        },
    ]
    owner.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    written = owner.put_object(Bucket=bucket, Key="tableferry/b", Body=b"x")["Expiration"]
    date, name = re.fullmatch(r'expiry-date="([^"]+ 00:00:00 GMT)", rule-id="([^"]+)"', written).groups()
    assert name == "left%20overs"
    head = owner.head_object(Bucket=bucket, Key="tableferry/b")
    assert head["Expiration"] == owner.get_object(Bucket=bucket, Key="tableferry/b")["Expiration"] == written
    assert 2 <= (parsedate_to_datetime(date) - head["LastModified"]).total_seconds() / 86400 <= 3
    assert "Expiration" not in owner.put_object(Bucket=bucket, Key="other", Body=b"x")


def test_objects_keep_what_they_were_given(owner: Any, bucket: str) -> None:
    key = "a/ü & <b> +%20.txt"
    owner.put_object(Bucket=bucket, Key=key, Body=b"0123456789", ContentType="text/plain", Metadata={"who": "me"})
    read = owner.get_object(Bucket=bucket, Key=key)
    assert (read["Body"].read(), read["ContentType"], read["Metadata"]) == (b"0123456789", "text/plain", {"who": "me"})
    assert owner.list_objects_v2(Bucket=bucket)["Contents"][0]["Key"] == key
    head = owner.head_object(Bucket=bucket, Key=key)
    assert (head["ContentLength"], head["ETag"]) == (10, '"781e5e245d69b566979b86e28d23f2c7"')
    owner.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert owner.head_object(Bucket=bucket, Key="copy")["Metadata"] == {"who": "me"}


@pytest.mark.parametrize(
    ("asked", "content", "shown"),
    [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
    ],
)
def test_ranges(owner: Any, bucket: str, asked: str, content: bytes, shown: str) -> None:
    owner.put_object(Bucket=bucket, Key="a", Body=b"0123456789")
    read = owner.get_object(Bucket=bucket, Key="a", Range=asked)
    assert (read["Body"].read(), read["ContentRange"]) == (content, shown)
    with refused("InvalidRange"):
        owner.get_object(Bucket=bucket, Key="a", Range="bytes=10-")


def test_listing_pages_and_prefixes(owner: Any, bucket: str) -> None:
    keys = [f"data/{number:02d}" for number in range(5)] + ["data/sub/x", "data/sub/y", "data2", "other"]
    for key in keys:
        owner.put_object(Bucket=bucket, Key=key, Body=b"x")

    def listed(operation: str, **params: Any) -> list[str]:
        pages = owner.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": 2}, **params)
        return [
            each.get("Key") or each["Prefix"]
            for page in pages
            for each in page.get("Contents", []) + page.get("CommonPrefixes", [])
        ]

    assert listed("list_objects_v2") == listed("list_objects") == keys
    assert listed("list_objects_v2", Prefix="data") == keys[:-1]
    divided = [*keys[:5], "data/sub/"]
    assert listed("list_objects_v2", Prefix="data/", Delimiter="/") == divided
    assert listed("list_objects", Prefix="data/", Delimiter="/") == divided


def test_deleting_many(owner: Any, bucket: str) -> None:
    for key in ("a", "b"):
        owner.put_object(Bucket=bucket, Key=key, Body=b"x")
    answer = owner.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in ("a", "b", "gone")]})
    assert [each["Key"] for each in answer["Deleted"]] == ["a", "b", "gone"]
    assert owner.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
