# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The export that a table was filled from, where it is still there: a comparison reads it instead of the source table.

It shows what the table was to get, though the source has changed since. ``cleanup`` and lifecycle rules of the bucket
remove it: the source table is all there is then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ..account import Account
from ..errors import ChecksumMismatch, ExportDamaged
from ..items.exported import Export, ExportedFile
from ..jobs.entries import job_of_entry
from ..record.record import Record
from .export_request import PURPOSE
from .manifest import Manifest, read_manifest
from .staging import BucketMissing, ObjectMissing, StagingBucket

EVIDENCE = "export"  # the member of a record's evidence
SDK_SERVICES = ("s3",)  # whose models the look for an export needs


def evidence_of(bucket: StagingBucket, manifest: Manifest) -> dict[str, Any]:
    """Which export a table was filled from, as evidence of its record."""
    return {"bucket": bucket.to_dict(), "manifest_key": manifest.key, "arn": manifest.export_arn}


def find_export(destination: Account, record: Record) -> Export | None:
    """The export that the ``record``'s table was filled from, read by its account, which has the bucket; None where
    there was none, its manifest has gone, or does not say which instant it shows. Looked up for each comparison.

    A table of which only some items came from it, as of a merge, has none, nor has one that got later changes or is in
    use. Raises ChecksumMismatch, CountMismatch,
    PrefixNotData, StagingBucketUnusable for a manifest that was changed or may not be read. Without s3:ListBucket a
    missing object is answered with 403 like one that may not be read (AWS API reference, GetObject): no export is taken
    for gone then.
    """
    known = _known(record)
    if known is None or record.parts or record.state in ("following", "handed_over"):
        return None
    bucket = StagingBucket.from_dict(destination, known["bucket"])
    try:
        if bucket.find(known["manifest_key"]) is None:
            return None
    except BucketMissing:
        return None
    manifest = read_manifest(bucket, known["manifest_key"])
    if (manifest.export_arn, manifest.table_arn) != (known["arn"], record.source.arn):
        raise ChecksumMismatch(
            f"The manifest {manifest.key} is of the export {manifest.export_arn}, the table was filled from"
            f" {known['arn']}: the object was changed.",
            "Find out who writes to the staging bucket.",
            table=record.name,
            details={"key": manifest.key},
        )
    if not manifest.export_time:
        return None
    files = tuple(ExportedFile(file.key, file.items, file.md5) for file in manifest.files)
    time = datetime.fromisoformat(manifest.export_time).isoformat()
    return Export(time, files, lambda key: _stream(bucket, key))


def _known(record: Record) -> Mapping[str, Any] | None:
    """Which export filled the table: as the record says since then; of one that is not whole, its newest one."""
    if EVIDENCE in record.evidence:
        known: Mapping[str, Any] = record.evidence[EVIDENCE]
        return known
    last = record.last_job(PURPOSE)
    if last is None or last.state != "done":
        return None
    export = job_of_entry(last)
    key = export.result.get("manifest_key")
    return {"bucket": export.request["bucket"], "manifest_key": key, "arn": export.arn} if key else None


def _stream(bucket: StagingBucket, key: str) -> Iterator[bytes]:
    try:
        yield from bucket.stream(key)
    except ObjectMissing as error:
        raise ExportDamaged(error.cause, error.next_step, details={"key": key}) from error
