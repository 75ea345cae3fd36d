# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares tables of 10^7 items with 100 times fewer buckets than a comparison takes: as 10^9 items with all of them.

``python -m benchmarks.comparing [--items 10000000] [--differences 1000] [--buckets 32768] [--workers 1]``

A server of canned answers in a process of its own makes both tables up. Every so many items one is missing in the
destination, different or extra there. Prints how many were found, the readings, the keys on disk and the memory of the
comparing process; exits 1 where a difference is not found, or more than two readings were needed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core.items import comparing
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Endpoint
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import CompareOptions, Difference
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.kept_keys import KeptKeys
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import ItemTable, find_table
from benchmarks import canned
from benchmarks.items import number_of, numbered

ITEM_BYTES = 100
KINDS = ("missing", "different", "extra")


def kind_of(number: int, every: int) -> str:
    """How item ``number`` differs, "" where it does not."""
    return KINDS[number // every % len(KINDS)] if number % every == every - 1 else ""


class Tables:
    """Answers for the tables ``source-...`` and ``copy-...``, which differ in one of ``every`` items."""

    def __init__(self, every: int) -> None:
        self.every = every

    def item(self, table: str, number: int) -> bytes:
        """The item, b"" where the table does not have it."""
        kind = kind_of(number, self.every)
        if kind == ("missing" if table.startswith("copy") else "extra"):
            return b""
        item = numbered(number, ITEM_BYTES)
        return item.replace(b'"paid":{"BOOL":true}', b'"paid":{"BOOL":false}') if self._changed(table, kind) else item

    @staticmethod
    def _changed(table: str, kind: str) -> bool:
        return kind == "different" and table.startswith("copy")

    def items(self, table: str, numbers: Iterable[int]) -> list[bytes]:
        """Those of the items that the table has."""
        return [item for number in numbers if (item := self.item(table, number))]

    def scan(self, request: dict[str, Any]) -> bytes:
        """A page, as ``canned.scan`` gives it."""
        table = request["TableName"]
        count = canned.shape(table)[1]
        segment, segments = request.get("Segment", 0), request.get("TotalSegments", 1)
        first, end = count * segment // segments, count * (segment + 1) // segments
        if "ExclusiveStartKey" in request:
            first = number_of(request["ExclusiveStartKey"]) + 1
        last = min(end, first + min(request.get("Limit", canned.PAGE_BYTES), canned.PAGE_BYTES // ITEM_BYTES))
        items = self.items(table, range(first, last))
        more = b""
        if last < end:
            key = {"customer": {"S": f"customer#{last - 1:08d}"}, "order": {"S": f"order#{last - 1:08d}"}}
            more = b',"LastEvaluatedKey":' + json.dumps(key).encode()
        return b'{"Items":[%s],"Count":%d,"ScannedCount":%d%s}' % (b",".join(items), len(items), len(items), more)

    def batch_get_item(self, request: dict[str, Any]) -> bytes:
        """The items of the keys."""
        ((table, keys),) = request["RequestItems"].items()
        items = self.items(table, map(number_of, keys["Keys"]))
        return b'{"Responses":{"%s":[%s]},"UnprocessedKeys":{}}' % (table.encode(), b",".join(items))


def serve(every: int, told: Connection) -> None:
    """Serve until the other end of ``told`` is closed."""
    tables = Tables(every)
    canned.scan = tables.scan
    canned.batch_get_item = tables.batch_get_item
    told.send(canned.listen(lambda connection: connection))
    try:
        told.recv()
    except EOFError:
        return


def megabytes(who: int) -> float:
    """The most memory that this process (or one that has ended) had, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(who).ru_maxrss * unit / 1e6


def main() -> int:
    """Compare; 0 where exactly the differences were found in two readings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--differences", type=int, default=1_000)
    parser.add_argument("--buckets", type=int, default=1 << 15)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    every = given.items // given.differences
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(every, theirs), daemon=True)
    server.start()
    theirs.close()
    keys = SimpleNamespace(access_key="AKIACANNED", secret_key="secret", session_token="")
    endpoint = Endpoint(f"http://127.0.0.1:{ours.recv()}", "eu-west-1", lambda: keys)

    def table(name: str) -> ItemTable:
        return find_table(endpoint, f"{name}-{ITEM_BYTES}-{given.items}")

    readings: dict[int, float] = {}
    on_disk: list[int] = []
    counts: Counter[str] = Counter()
    wrong = 0

    class Kept(KeptKeys):
        """Notes how much was on disk."""

        def __exit__(self, *error: Any) -> None:
            on_disk.append(self.bytes_on_disk)
            super().__exit__(*error)

    def note(difference: Difference) -> None:
        nonlocal wrong
        counts[difference.kind] += 1
        wrong += kind_of(number_of(dict(difference.key)), every) != difference.kind

    comparing.KeptKeys = Kept  # type: ignore[misc]
    before, began = megabytes(resource.RUSAGE_SELF), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        options = CompareOptions(workers=given.workers, work_dir=Path(folder), most_buckets=given.buckets)
        result = comparing.compare_tables(
            table("source"),
            table("copy"),
            options,
            note,
            lambda progress: readings.update({progress.reading: time.monotonic() - began}),
        )
    seconds = time.monotonic() - began
    ours.close()
    server.join(10)
    wanted = Counter(kind_of(number, every) for number in range(every - 1, given.items, every))
    good = counts == wanted and not wrong and not result.unlisted_buckets and len(readings) == 2
    print(f"items of each table  {given.items:,}, in {given.buckets:,} buckets, {given.workers} workers")
    print(f"differences          {result.differences:,} of {wanted.total():,}, wrong {wrong}")
    print(f"readings             {len(readings)}, in {seconds:.0f} s")
    print(f"keys on disk         {sum(on_disk) / 1e6:.0f} MB, {result.work_bytes / 1e6:.0f} MB were expected")
    print(f"memory               {before:.0f} MB before, {megabytes(resource.RUSAGE_SELF):.0f} MB at most")
    print("all found" if good else "MISSED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
