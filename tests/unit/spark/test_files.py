# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one Spark task does: data files become items of a table, and each file has a result."""

from __future__ import annotations

import gzip
import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    ChecksumMismatch,
    CountMismatch,
    FerryError,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyAttribute, KeyReader
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.carried import CARRIED
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Client
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.exported import ExportedFile
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.lanes import Lanes
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.throttle import Rate, Throttle
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.compiled import compiled
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Definition
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import (
    KeySchema,
    TableSchemas,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.write import Writer
from ansible_collections.tableferry.aws.plugins.module_utils.spark import files as spark_files
from ansible_collections.tableferry.aws.plugins.module_utils.spark.files import FileResult, FilesTask
from tests.unit.core.items.fake_dynamo import HASTY, FakeDynamo, Fault, serving
from tests.unit.core.items.strategies import to_bytes

KEY = KeyAttribute("id", "S")
SOURCE = TableSchemas(KeySchema((KEY,)))


@pytest.fixture
def dynamo() -> Iterator[FakeDynamo]:
    with serving() as server:
        server.make("copy")
        yield server


class Export:
    """Data files in memory, whose bytes arrive in small pieces."""

    def __init__(self, *files: Sequence[bytes]) -> None:
        self.content: dict[str, bytes] = {}
        self.files: list[ExportedFile] = []
        for number, items in enumerate(files):
            data = gzip.compress(b"".join(b'{"Item":%s}\n' % item for item in items))
            name = f"data/{number}.json.gz"
            self.content[name] = data
            self.files.append(ExportedFile(name, len(items), b64encode(hashlib.md5(data).digest()).decode()))

    def stream(self, file: ExportedFile) -> Iterable[bytes]:
        data = self.content[file.key]
        return (data[at : at + 1000] for at in range(0, len(data), 1000))


def numbered(begin: int, end: int, **more: Any) -> list[bytes]:
    return [
        to_bytes({"id": {"S": f"item {n}"}, "n": {"N": str(n)}, "note": {"S": "x" * 200}, **more})
        for n in range(begin, end)
    ]


def written(
    dynamo: FakeDynamo, export: Export, steps: Sequence[Mapping[str, Any]] = (), rate: float = 0.0
) -> dict[str, FileResult]:
    """The results of a task over all files, by their keys."""
    results: dict[str, FileResult] = {}

    def done(result: FileResult) -> None:
        assert result.key not in results
        assert FileResult.from_json(json.loads(json.dumps(result.to_json()))) == result
        results[result.key] = result

    table = dynamo.found("copy", "destination")
    lanes, client = Lanes(), Client(table.endpoint, HASTY)
    throttle = Throttle(Rate(rate)) if rate else None
    writer = Writer(lanes, client, table, 16, throttle)
    transform = compiled(Definition(list(steps), SOURCE))
    try:
        FilesTask(lanes, writer, transform, KeyReader([KEY]), CARRIED, export.stream, done, throttle).run(export.files)
    finally:
        lanes.close()
        client.close()
    return results


def items_of(dynamo: FakeDynamo) -> list[bytes]:
    return sorted(dynamo.tables["copy"].items.values())


def test_all_items_arrive_byte_for_byte(dynamo: FakeDynamo) -> None:
    parts = [numbered(at, at + 300) for at in range(0, 6000, 300)]
    results = written(dynamo, Export(*parts))
    assert items_of(dynamo) == sorted(item for part in parts for item in part)
    assert [result.written for result in results.values()] == [300] * 20
    assert all(result.balanced for result in results.values())


def test_an_empty_export_has_results_too(dynamo: FakeDynamo) -> None:
    assert written(dynamo, Export()) == {}
    assert written(dynamo, Export([])) == {"data/0.json.gz": FileResult("data/0.json.gz")}


def test_items_are_changed_on_the_way_and_counted(dynamo: FakeDynamo) -> None:
    items = numbered(0, 500)
    items[7] = to_bytes({"id": {"S": "seven"}, "n": {"N": "7"}, "code": {"S": "not a number"}})
    steps = [{"keep_if": "n < :most"}, {"cast": {"code": "N"}}, {"drop": ["note"]}]
    export = Export(items[:250], items[250:])
    table = dynamo.found("copy", "destination")
    lanes, client = Lanes(), Client(table.endpoint, HASTY)
    definition = Definition(steps, SOURCE, values={":most": {"N": "400"}})
    results: list[FileResult] = []
    task = FilesTask(
        lanes,
        Writer(lanes, client, table, 16),
        compiled(definition),
        KeyReader([KEY]),
        CARRIED,
        export.stream,
        results.append,
    )
    task.run(export.files)
    lanes.close()
    first, second = sorted(results, key=lambda result: result.key)
    assert (first.read, first.written, first.kept_out, first.refused) == (250, 249, {}, {"2": 1})
    assert (second.read, second.written, second.kept_out, second.refused) == (250, 150, {"1": 100}, {})
    assert [dict(each.key) for each in first.named] == [{"id": {"S": "seven"}}]
    assert "step 2 (cast)" in first.named[0].reason
    assert first.balanced and second.balanced
    assert all(b"note" not in item for item in items_of(dynamo))


def test_attributes_of_replication_stay_behind(dynamo: FakeDynamo) -> None:
    results = written(dynamo, Export(numbered(0, 3), numbered(3, 5, **{"aws:rep:updatetime": {"N": "1"}})))
    assert [results[key].shortened for key in sorted(results)] == [0, 2]
    assert items_of(dynamo) == sorted(numbered(0, 5))


def test_throttling_and_broken_answers_are_overcome(dynamo: FakeDynamo) -> None:
    for kind in ("throttle", "unprocessed", "reset", "lost", "500"):
        dynamo.faults.append(Fault(kind, "BatchWriteItem", times=7, after=5))
    results = written(dynamo, Export(numbered(0, 1000), numbered(1000, 2000)))
    assert items_of(dynamo) == sorted(numbered(0, 2000))
    assert sum(result.written for result in results.values()) == 2000
    assert sum(result.resent for result in results.values()) > 0


def test_a_hot_partition_delays_its_own_file_only(dynamo: FakeDynamo) -> None:
    dynamo.hot = lambda key: key[0] in HOT
    HOT = {f"item {number}" for number in range(200)}
    finished: list[str] = []
    export = Export(*[numbered(at, at + 200) for at in range(0, 4000, 200)])
    table = dynamo.found("copy", "destination")
    lanes, client = Lanes(), Client(table.endpoint, HASTY)

    def done(result: FileResult) -> None:
        finished.append(result.key)
        if len(finished) == 19:
            HOT.clear()

    writer = Writer(lanes, client, table, 16)
    FilesTask(lanes, writer, compiled(Definition([], SOURCE)), KeyReader([KEY]), CARRIED, export.stream, done).run(
        export.files
    )
    lanes.close()
    assert finished[-1] == "data/0.json.gz"
    assert items_of(dynamo) == sorted(numbered(0, 4000))


def test_what_aws_refuses_is_counted_and_named(dynamo: FakeDynamo) -> None:
    items = numbered(0, 100)
    items[50] = to_bytes({"id": {"S": "item 50"}, "huge": {"S": "x" * 420_000}})
    (result,) = written(dynamo, Export(items)).values()
    assert (result.read, result.written, result.rejected) == (100, 99, 1)
    assert result.balanced
    assert [(dict(each.key), "maximum allowed size" in each.reason) for each in result.named] == [
        ({"id": {"S": "item 50"}}, True)
    ]


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (lambda export: export.content.update({"data/1.json.gz": export.content["data/0.json.gz"]}), ChecksumMismatch),
        (lambda export: export.files.__setitem__(1, ExportedFile("data/1.json.gz", 7)), CountMismatch),
    ],
)
def test_a_file_that_is_not_the_manifests_has_no_result(dynamo: FakeDynamo, broken: Any, error: Any) -> None:
    export = Export(numbered(0, 30), numbered(30, 60))
    broken(export)
    with pytest.raises(error):
        written(dynamo, export)


def test_a_rate_asks_for_units_and_cuts_batches(dynamo: FakeDynamo) -> None:
    (result,) = written(dynamo, Export(numbered(0, 40)), rate=400.0).values()
    assert result.units == 40.0
    assert max(body.count(b"PutRequest") for body in dynamo.bodies) < 25


def test_memory_is_bounded(dynamo: FakeDynamo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_files, "POOL_BYTES", 50_000)
    largest = 0
    take = FilesTask._take

    def taken(self: FilesTask, file: Any) -> None:
        nonlocal largest
        take(self, file)
        largest = max(largest, self._bytes)

    monkeypatch.setattr(FilesTask, "_take", taken)
    written(dynamo, Export(*[numbered(at, at + 1000) for at in range(0, 10_000, 1000)]))
    assert largest < 50_000 + 1000 * 300
    assert items_of(dynamo) == sorted(numbered(0, 10_000))


def test_errors_show_no_keys(dynamo: FakeDynamo) -> None:
    export = Export(numbered(0, 30))
    export.content["data/0.json.gz"] = export.content["data/0.json.gz"][:-9]
    with pytest.raises(FerryError) as caught:
        written(dynamo, export)
    assert "item " not in str(caught.value)
