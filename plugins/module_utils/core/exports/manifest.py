# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An export's files on S3: manifest, data files, checksums (aws.md A6)."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ..errors import ChecksumMismatch, CountMismatch, EmptyPrefix, PrefixNotData, StagingBucketUnusable
from .staging import StagingBucket, StoredObject

SUMMARY = "manifest-summary.json"
FILES = "manifest-files.json"
CHANGED = "tableferry"  # the member of a summary that AWS's own do not have
FOLDER = "AWSDynamoDB/"
READERS = 8  # data files hashed at once


@dataclass(frozen=True)
class DataFile:
    """One data file: its key in the bucket, how many items it holds, its base64 MD5, its ETag without quotes."""

    key: str
    items: int
    md5: str
    etag: str = ""


@dataclass(frozen=True)
class Manifest:
    """What an export wrote. ``export_type`` is absent from the files of full exports (aws.md A6). ``changed`` is what a
    job of ours says that has written changed items in the form of an export; {} for what AWS exported."""

    key: str
    export_arn: str
    table_arn: str
    table_id: str
    export_type: str
    output_format: str
    item_count: int
    billed_bytes: int
    files: tuple[DataFile, ...]
    export_time: str = ""  # the instant that it shows
    changed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def data_prefix(self) -> str:
        """The prefix that an import of a full export takes: exactly its data files."""
        return data_prefix(self.key)


def data_prefix(summary_key: str) -> str:
    """``.../AWSDynamoDB/<id>/data/`` beside the summary of a full export."""
    return f"{summary_key.removesuffix(SUMMARY)}data/"


def summary_key(prefix: str) -> str:
    """The summary's key for an import prefix. Raises PrefixNotData for any other prefix than a full export's data."""
    parts = prefix.split("/")
    if len(parts) < 4 or parts[-1] or parts[-2] != "data" or parts[-4] != FOLDER.rstrip("/"):
        raise PrefixNotData(
            f"The prefix {prefix!r} is not the data of a full export.",
            "Set prefix to .../AWSDynamoDB/<export id>/data/ with the slash at the end: the export's data_prefix.",
        )
    return "/".join([*parts[:-2], SUMMARY])


def parse_manifest(key: str, summary: bytes, files: bytes) -> Manifest:
    """The manifest from its two files. Raises StagingBucketUnusable when they are not a manifest, CountMismatch when
    the files' items are not the summary's, PrefixNotData when a full export's file lies elsewhere."""
    try:
        data: dict[str, Any] = json.loads(summary)
        entries = [json.loads(line) for line in files.splitlines() if line.strip()]
        root = key.split(FOLDER)[0]
        manifest = Manifest(
            key=key,
            export_arn=data["exportArn"],
            table_arn=data["tableArn"],
            table_id=data.get("tableId", ""),
            export_type=data.get("exportType", "FULL_EXPORT"),
            output_format=data.get("outputFormat", "DYNAMODB_JSON"),
            item_count=int(data["itemCount"]),
            billed_bytes=int(data.get("billedSizeBytes") or 0),
            files=tuple(
                DataFile(
                    _rooted(entry["dataFileS3Key"], root),
                    int(entry["itemCount"]),
                    entry.get("md5Checksum", ""),
                    str(entry.get("etag", "")).strip('"'),
                )
                for entry in entries
            ),
            export_time=data.get("exportTime") or "",
            changed=dict(data.get(CHANGED) or {}),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StagingBucketUnusable(
            f"{key} is not the manifest of an export ({type(error).__name__}: {error}).", "Export the table again."
        ) from error
    counted = sum(file.items for file in manifest.files)
    if counted != manifest.item_count:
        raise CountMismatch(
            f"The manifest {key} says {manifest.item_count} items, but its files hold {counted}.",
            "Export the table again, and report this export to AWS Support.",
            details={"export_arn": manifest.export_arn},
        )
    strangers = [file.key for file in manifest.files if not file.key.startswith(manifest.data_prefix)]
    if manifest.export_type == "FULL_EXPORT" and strangers:
        raise PrefixNotData(
            f"The export has the file {strangers[0]} outside {manifest.data_prefix}.", "Export the table again."
        )
    return manifest


def write_manifest(bucket: StagingBucket, manifest: Manifest) -> None:
    """Write ``manifest`` as AWS writes that of a full export, so that ``read_manifest`` reads it. Raises
    StagingBucketUnusable, FerryError."""
    files_key = f"{manifest.key.removesuffix(SUMMARY)}{FILES}"
    entries = [
        {"itemCount": file.items, "md5Checksum": file.md5, "etag": file.etag, "dataFileS3Key": file.key}
        for file in manifest.files
    ]
    summary = {
        "version": "2020-06-30",
        "exportArn": manifest.export_arn,
        "tableArn": manifest.table_arn,
        "tableId": manifest.table_id,
        "exportTime": manifest.export_time,
        "s3Bucket": bucket.name,
        "manifestFilesS3Key": files_key,
        "billedSizeBytes": manifest.billed_bytes,
        "itemCount": manifest.item_count,
        "outputFormat": manifest.output_format,
        CHANGED: dict(manifest.changed),
    }
    bucket.put(files_key, "".join(f"{json.dumps(entry)}\n" for entry in entries).encode())
    bucket.put(manifest.key, json.dumps(summary).encode())


def _rooted(key: str, root: str) -> str:
    """A key from the bucket's root: AWS writes the prefix in, its documentation leaves it out (aws.md A6)."""
    return key if key.startswith(root) else root + key


def read_manifest(bucket: StagingBucket, key: str) -> Manifest:
    """The manifest whose summary is at ``key``, its own files checked against their ``.md5`` where AWS left one.

    Raises StagingBucketUnusable, ChecksumMismatch, CountMismatch, PrefixNotData.
    """
    summary = _checked(bucket, key)
    try:
        root = key.split(FOLDER)[0]
        files_key = _rooted(json.loads(summary)["manifestFilesS3Key"], root)
    except (ValueError, KeyError, TypeError) as error:
        raise StagingBucketUnusable(f"{key} is not the summary of an export.", "Export the table again.") from error
    return parse_manifest(key, summary, _checked(bucket, files_key))


def _checked(bucket: StagingBucket, key: str) -> bytes:
    body = bucket.read(key)
    checksum = bucket.find(f"{key.removesuffix('.json')}.md5")
    if checksum is not None:
        _same(key, checksum.decode().strip(), b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode())
    return body


def _same(key: str, expected: str, md5: str) -> None:
    if expected != md5:
        raise ChecksumMismatch(
            f"{key} has the MD5 {md5}, the manifest says {expected}: the object was changed.",
            "Export the table again, and make sure that nobody else writes to the staging bucket.",
            details={"key": key},
        )


def check_objects(bucket: StagingBucket, manifest: Manifest) -> list[StoredObject]:
    """The objects under the data prefix, which must be the manifest's files and no others: all would be imported.

    Each has the ETag that the manifest names, or else, where it was copied from another place, its MD5. AWS completes
    an import of an empty prefix with an empty table (measured/import-export-table 1.6). Raises EmptyPrefix,
    ChecksumMismatch, StagingBucketUnusable.
    """
    objects = list(bucket.objects(manifest.data_prefix))
    if not objects:
        raise EmptyPrefix(
            f"There are no objects under s3://{bucket.name}/{manifest.data_prefix}.",
            "Export the table again: its files are gone.",
        )
    differing = sorted({stored.key for stored in objects} ^ {file.key for file in manifest.files})
    if differing:
        raise ChecksumMismatch(
            f"The objects under {manifest.data_prefix} are not those of the manifest; {differing[0]} is one"
            f" of {len(differing)} that differ.",
            "Remove the objects that do not belong there, or export the table again.",
            details={"keys": differing[:10]},
        )
    etags = {stored.key: stored.etag for stored in objects}
    written_again = [file for file in manifest.files if file.etag != etags[file.key]]
    check_checksums(bucket, replace(manifest, files=tuple(written_again)))
    return objects


def check_readable(bucket: StagingBucket, manifest: Manifest) -> dict[str, Any]:
    """Check that the export's objects are there and that ``bucket``'s account may read one of them, which AWS would
    check only after an import's start, or never. Returns what ``checked_manifest`` takes, JSON-safe.

    Raises EmptyPrefix, ChecksumMismatch, StagingBucketUnusable.
    """
    stored = check_objects(bucket, manifest)
    sample = next((entry for entry in stored if entry.size), stored[0])
    bucket.probe(sample.key, empty=not sample.size)
    return {
        **_whose(bucket),
        **{name: getattr(manifest, name) for name in _RECORDED},
        "data_prefix": manifest.data_prefix,
        "objects": len(stored),
        "bytes": sum(entry.size for entry in stored),
    }


def checked_manifest(bucket: StagingBucket, key: str, checked: Mapping[str, Any]) -> Manifest | None:
    """The manifest at ``key``, without its files, from what ``check_readable`` returned; None when that was of
    another export, bucket or account."""
    values: dict[str, Any] = {name: checked.get(name) for name in _RECORDED}
    known = all(checked.get(name) == value for name, value in _whose(bucket).items())
    if not known or values["key"] != key or None in values.values():
        return None
    return Manifest(**values, files=())


_RECORDED = tuple(member.name for member in fields(Manifest) if member.name != "files")


def _whose(bucket: StagingBucket) -> dict[str, str]:
    return {"account_id": bucket.account.account_id, "bucket": bucket.name, "bucket_owner": bucket.owner}


def check_checksums(
    bucket: StagingBucket, manifest: Manifest, progress: Callable[[int], None] = lambda done: None
) -> int:
    """Read every data file and compare its MD5 with the manifest's; how many were read. Raises ChecksumMismatch."""
    with ThreadPoolExecutor(READERS) as pool:
        for done, (file, md5) in enumerate(
            zip(manifest.files, pool.map(lambda file: bucket.md5(file.key), manifest.files), strict=True), 1
        ):
            _same(file.key, file.md5, md5)
            progress(done)
    return len(manifest.files)
