# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Export manifests: parsing, checksums, and what may be imported."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    ChecksumMismatch,
    CountMismatch,
    EmptyPrefix,
    PrefixNotData,
    StagingBucketUnusable,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports import staging
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.manifest import (
    check_checksums,
    check_objects,
    check_readable,
    data_prefix,
    parse_manifest,
    read_manifest,
    summary_key,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.staging import StagingBucket
from tests.unit.on_lab.staged import BUCKET, DESTINATION, Staged

FOLDER = "a/b/AWSDynamoDB/0123-ab/"


def md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body).digest()).decode()


def files(counts: list[int], folder: str = FOLDER) -> bytes:
    lines = [
        {"itemCount": count, "md5Checksum": md5(b""), "etag": "x-1", "dataFileS3Key": f"{folder}data/{number}.json.gz"}
        for number, count in enumerate(counts)
    ]
    return "\n".join(json.dumps(line) for line in lines).encode()


def summary(count: int, **more: object) -> bytes:
    told = {
        "exportArn": "arn:export",
        "tableArn": "arn:table",
        "tableId": "id",
        "itemCount": count,
        "manifestFilesS3Key": f"{FOLDER}manifest-files.json",
        "billedSizeBytes": 5,
        "outputFormat": "DYNAMODB_JSON",
    }
    return json.dumps({**told, **more}).encode()


KEY = f"{FOLDER}manifest-summary.json"


@given(st.lists(st.integers(0, 10**9), max_size=20))
def test_counts_are_summed(counts: list[int]) -> None:
    found = parse_manifest(KEY, summary(sum(counts)), files(counts))
    assert [file.items for file in found.files] == counts
    assert (found.item_count, found.data_prefix, found.export_type) == (sum(counts), f"{FOLDER}data/", "FULL_EXPORT")
    with pytest.raises(CountMismatch):
        parse_manifest(KEY, summary(sum(counts) + 1), files(counts))


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_anything_else_is_no_manifest(one: bytes, other: bytes) -> None:
    with pytest.raises((StagingBucketUnusable, CountMismatch)):
        parse_manifest(KEY, one, other)


def test_keys_without_the_prefix_are_understood() -> None:
    """As the documentation's samples have them (aws.md A6)."""
    short = files([1]).replace(b"a/b/AWSDynamoDB", b"AWSDynamoDB")
    assert parse_manifest(KEY, summary(1), short).files[0].key == f"{FOLDER}data/0.json.gz"


def test_incremental_files_lie_elsewhere() -> None:
    shared = files([1], "a/b/AWSDynamoDB/")
    found = parse_manifest(KEY, summary(1, exportType="INCREMENTAL_EXPORT"), shared)
    assert found.files[0].key == "a/b/AWSDynamoDB/data/0.json.gz"
    with pytest.raises(PrefixNotData):
        parse_manifest(KEY, summary(1), shared)


def test_prefix_and_summary_lead_to_each_other() -> None:
    assert data_prefix(KEY) == f"{FOLDER}data/"
    assert summary_key(f"{FOLDER}data/") == KEY
    assert summary_key("AWSDynamoDB/1-a/data/") == "AWSDynamoDB/1-a/manifest-summary.json"


@pytest.mark.parametrize(
    "prefix", ["", "data/", f"{FOLDER}data", FOLDER, f"{FOLDER}data/x", "a/AWSDynamoDB/data/", "x/1/data/"]
)
def test_other_prefixes_are_refused(prefix: str) -> None:
    with pytest.raises(PrefixNotData):
        summary_key(prefix)


def bucket_with_export(bodies: list[bytes]) -> tuple[Staged, StagingBucket]:
    aws = Staged()
    told = files([0] * len(bodies))
    for number, body in enumerate(bodies):
        aws.put(f"{FOLDER}data/{number}.json.gz", body)
        told = told.replace(md5(b"").encode(), md5(body).encode(), 1) if body else told
    aws.put(KEY, summary(0))
    aws.put(f"{FOLDER}manifest-files.json", told)
    return aws, StagingBucket(aws.account("destination"), BUCKET, DESTINATION)


def test_checksums_of_all_files() -> None:
    aws, bucket = bucket_with_export([b"one", b"two", b"three"])
    manifest = read_manifest(bucket, KEY)
    assert len(check_objects(bucket, manifest)) == 3
    assert check_checksums(bucket, manifest) == 3
    aws.put(f"{FOLDER}data/1.json.gz", b"changed")
    with pytest.raises(ChecksumMismatch, match=r"data/1\.json\.gz"):
        check_checksums(bucket, manifest)


def test_a_file_that_was_written_again_is_refused_before_the_import() -> None:
    """found.md C3: another writer of the bucket puts items of its own into the place of an export's."""
    aws, bucket = bucket_with_export([b"one", b"two"])
    told = aws.objects()[f"{FOLDER}manifest-files.json"]
    etag = {stored.key: stored.etag for stored in bucket.objects(FOLDER)}[f"{FOLDER}data/0.json.gz"]
    aws.put(f"{FOLDER}manifest-files.json", told.replace(b"x-1", etag.encode(), 1))
    manifest = read_manifest(bucket, KEY)
    check_readable(bucket, manifest)  # the second file was copied: another ETag, and the same content
    aws.put(f"{FOLDER}data/0.json.gz", b"forged")
    with pytest.raises(ChecksumMismatch, match=r"data/0\.json\.gz"):
        check_readable(bucket, manifest)


@pytest.mark.parametrize("name", ["manifest-summary", "manifest-files"])
def test_the_manifests_own_checksums(name: str) -> None:
    aws, bucket = bucket_with_export([b"one"])
    read_manifest(bucket, KEY)  # none left by AWS: nothing to compare with
    body = aws.objects()[f"{FOLDER}{name}.json"]
    aws.put(f"{FOLDER}{name}.md5", md5(body).encode())
    read_manifest(bucket, KEY)
    aws.put(f"{FOLDER}{name}.md5", md5(b"other").encode())
    with pytest.raises(ChecksumMismatch):
        read_manifest(bucket, KEY)


@pytest.mark.parametrize("name", ["manifest-summary", "manifest-files"])
def test_c10_a_manifest_is_read_up_to_a_bound(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    aws, bucket = bucket_with_export([b"one"])
    monkeypatch.setattr(staging, "LARGEST", 2000)
    read_manifest(bucket, KEY)
    aws.put(f"{FOLDER}{name}.json", b" " * 2001)
    with pytest.raises(StagingBucketUnusable, match="more than"):
        read_manifest(bucket, KEY)


def test_exactly_the_manifests_objects_are_imported() -> None:
    aws, bucket = bucket_with_export([b"one", b""])
    manifest = read_manifest(bucket, KEY)
    aws.put(f"{FOLDER}data/stray.json.gz", b"")
    with pytest.raises(ChecksumMismatch, match="stray"):
        check_objects(bucket, manifest)
    aws.remove(*aws.objects("/data/"))
    with pytest.raises(EmptyPrefix):
        check_objects(bucket, manifest)


def test_a_missing_manifest_is_said() -> None:
    _aws, bucket = bucket_with_export([])
    with pytest.raises(StagingBucketUnusable, match="does not exist"):
        read_manifest(bucket, "other/AWSDynamoDB/1/manifest-summary.json")
