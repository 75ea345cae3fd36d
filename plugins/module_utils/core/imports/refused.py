# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The items that failed an import, found in the staged data: the error log does not name them (aws.md B4)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ..account import Account
from ..errors import FerryError
from ..exports.staging import StagingBucket
from ..jobs.job import Job
from ..table.definition import TableDefinition
from ..table.refused_items import Keys, write_refused

ITEMS = "ItemValidationError"  # the FailureCode of an import of which AWS refused items
MOST_NAMED = 100_000  # items that are named at most
MOST_READ = 20 * 1024**3  # bytes of objects that are read at most, compressed
LOOK_EVERY = 10_000  # items between looks whether the waiter has stopped


def has_bad_items(job: Job) -> bool:
    """Whether AWS refused items of the failed import ``job``, in data that can be looked through."""
    call = job.request.get("call", {})
    return bool(job.reported and job.reported[0] == ITEMS and call.get("InputFormat") == "DYNAMODB_JSON")


def name_refused(destination: Account, job: Job, show: Callable[[Job], None]) -> Job:
    """The failed import ``job`` with ``result["refused_items"]``: {items, without_key, indexes, more, path}.

    Items are judged here, by the table's keys: what AWS's log says of them is not documented, nor how it counts them.
    Their keys are in the file at ``path``; ``more`` says that not everything was looked through. Problems are no reason
    to hide why the import failed: ``unread`` has them then. ``show`` is called from time to time, as Workbench says.
    """
    keys = Keys(TableDefinition.from_dict(job.request["call"]["TableCreationParameters"]))
    entries: list[dict[str, Any]] = []
    indexes: Counter[str] = Counter()
    without_key, more = 0, False
    try:
        for number, (item, complete) in enumerate(_items(destination, job)):
            if not number % LOOK_EVERY:
                show(job)
            if len(entries) >= MOST_NAMED or not complete:
                more = True
                break
            key, faults = keys.key_of(item), list(keys.faults(item))
            if key is None:
                without_key += 1
                entries.append({"item": number, "reason": "it lacks the table's key"})
            elif faults:
                indexes.update({index for index, _reason in faults})
                reason = "; ".join(f"index {index}: {words}" for index, words in faults)
                entries.append({"key": key, "reason": reason})
    except FerryError as error:
        return replace(job, result={**job.result, "refused_items": {"unread": error.cause}})
    path = job.request.get("refused_path", "")
    refused = {"items": len(entries), "without_key": without_key, "indexes": dict(indexes), "more": more}
    written = write_refused(path, entries) if entries and path else {}
    return replace(job, result={**job.result, "refused_items": {**refused, **written}})


def _items(destination: Account, job: Job) -> Iterator[tuple[dict[str, Any], bool]]:
    """The imported items, with whether they are still within ``MOST_READ``; objects that are no lines of items are left
    to the error log. Raises what StagingBucket raises."""
    bucket = StagingBucket.from_dict(destination, job.request["bucket"])
    read = 0
    for stored in bucket.objects(job.request["call"]["S3BucketSource"]["S3KeyPrefix"]):
        if not stored.size:
            continue
        read += stored.size
        try:
            for line in bucket.lines(stored.key):
                yield json.loads(line)["Item"], read <= MOST_READ
        except (ValueError, KeyError, TypeError):
            continue
