# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A copy of the report in the staging bucket: a container's disk is gone with its job.

It lies below ``tableferry/``, so the lifecycle rule of a bucket of ours removes it with what else is left over, and no
source may write there: those write below ``tableferry/<migration id>/export/`` alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from .staging import StagingBucket

REPORTS = "tableferry/reports/"
_TYPES = {"html": "text/html; charset=utf-8", "md": "text/markdown; charset=utf-8", "json": "application/json"}


def copy_report(bucket: StagingBucket, run: str, files: Mapping[str, str]) -> str:
    """Put ``files``, by name, below the id of the ``run``; the URI of their folder. Raises BucketMissing,
    StagingBucketUnusable, FerryError."""
    folder = f"{REPORTS}{run}/"
    for name, text in files.items():
        kind = _TYPES.get(name.rpartition(".")[2], "text/plain; charset=utf-8")
        bucket.put(f"{folder}{name}", text.encode("utf-8", "replace"), kind)
    return f"s3://{bucket.name}/{folder}"


def remove_reports(bucket: StagingBucket) -> None:
    """Remove all copies of reports, before the bucket itself goes. Raises StagingBucketUnusable, FerryError."""
    bucket.delete([stored.key for stored in bucket.objects(REPORTS)])
