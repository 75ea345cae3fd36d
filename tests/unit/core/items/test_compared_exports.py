# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Comparisons of an export with a copy of its table, by all of its items and by a sample, and repairs by it."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import ExportDamaged
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import (
    comparing_exports,
    repairing_exports,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.comparing_exports import (
    compare_export,
    sample_export,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import (
    CompareOptions,
    Comparison,
    Difference,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.exported import Export, ExportedFile
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.repairing import RepairOptions, RepairResult
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.repairing_exports import repair_by_export
from tests.unit.core.items.fake_dynamo import HASTY, FakeDynamo
from tests.unit.core.items.strategies import rewritten_attributes, to_bytes
from tests.unit.core.items.test_transformed_comparison import (
    GROUPED,
    ITEMS,
    RENAMED,
    SEVERAL,
    TOLD,
    item,
    named,
    pair,
    repaired,
    spoil,
    steps_of,
)


class Stream:
    """The items of an export in ``files``; counts how often their first one is opened."""

    def __init__(self, items: list[bytes], files: int = 1) -> None:
        self.items = items
        self.opened = 0
        parts = [items[start::files] for start in range(files)]
        texts = [b"".join(b'{"Item":%s}\n' % each for each in part) for part in parts]
        self._data = {f"{at}.json.gz": gzip.compress(text, mtime=0) for at, text in enumerate(texts)}
        counts = zip(self._data, parts, strict=True)
        self.export = Export(
            "2026-11-29T12:00:00+00:00", tuple(ExportedFile(key, len(part)) for key, part in counts), self._stream
        )

    def _stream(self, key: str) -> Iterator[bytes]:
        self.opened += key == "0.json.gz"
        data = self._data[key]
        return (data[start : start + 1000] for start in range(0, len(data), 1000))


def exported(
    dynamo: FakeDynamo, stream: Stream, definition: Any, **members: Any
) -> tuple[Comparison, dict[str, str], list[Difference]]:
    options = CompareOptions(**{"retry_policy": HASTY, "transform": definition, **members})
    reported: list[Difference] = []
    there = dynamo.found("copy", "destination")
    result = compare_export(stream.export, there, options, reported.append)
    return result, {named(each.key): each.kind for each in reported}, reported


@pytest.mark.parametrize("steps", [RENAMED, TOLD, SEVERAL, GROUPED])
def test_an_export_is_compared_instead_of_the_source(dynamo, steps):
    """The source goes on changing; what is repaired by it is what it has now."""
    made = steps_of(*steps)
    items = [item(number) for number in range(10, ITEMS)]
    pair(dynamo, made, items)
    stream = Stream(items)
    dynamo.tables["orders"].items.clear()
    calls = len(dynamo.calls)
    result, kinds, _ = exported(dynamo, stream, made.definition, workers=2)
    assert (result.equal, kinds, result.read, result.balanced) == (True, {}, len(items), True)
    assert stream.opened == (2 if steps is not GROUPED else 3)
    assert dynamo.calls[calls:].count("BatchGetItem") <= 2
    wanted = spoil(dynamo)
    result, kinds, differences = exported(dynamo, stream, made.definition)
    assert kinds == wanted and result.balanced
    dynamo.tables["orders"].put(*items)
    repaired(dynamo, made, differences, delete_extra=True)
    assert exported(dynamo, stream, made.definition)[0].equal


def test_an_export_is_compared_without_steps(dynamo):
    items = [item(number) for number in range(ITEMS)]
    chance = random.Random(7)
    dynamo.make("copy", [("pk", "S")]).put(
        *[to_bytes(rewritten_attributes(json.loads(each), chance)) for each in items]
    )
    stream = Stream([*items[:5], item(5, **{"aws:rep:updatetime": {"N": "1.5"}}), *items[6:]])
    result, kinds, _ = exported(dynamo, stream, None)
    assert (kinds, result.items_source, result.items_destination, result.marked_source) == ({}, ITEMS, ITEMS, 1)
    wanted = spoil(dynamo)
    assert exported(dynamo, stream, None)[1] == wanted


def test_more_of_an_export_than_memory_holds_is_kept_on_disk(dynamo, tmp_path):
    made = steps_of(*TOLD)
    items = [item(number) for number in range(ITEMS)]
    pair(dynamo, made, items)
    copy = dynamo.tables["copy"]
    copy.put(*[to_bytes({**json.loads(each), "x": {"S": "changed"}}) for each in copy.items.values()])
    assert exported(dynamo, Stream(items), made.definition, most_listed=20)[0].unlisted_buckets
    result, kinds, _ = exported(dynamo, Stream(items), made.definition, most_listed=20, work_dir=tmp_path)
    assert (set(kinds.values()), result.different, result.unlisted_buckets) == ({"different"}, len(copy.items), 0)


def test_expired_items_of_an_export(dynamo, monkeypatch):
    past, future = {"N": "1760000000"}, {"N": "99999999999"}
    items = [item(number, end=past if number < 10 else future) for number in range(20)]
    dynamo.make("copy", [("pk", "S")]).put(*items[2:9], item(9, end=future))
    monkeypatch.setattr(comparing_exports.time, "time", lambda: 1_760_000_000.0 + 86400)
    result, kinds, _ = exported(dynamo, Stream(items), None, ignore_expired="end")
    assert kinds == {"9": "different"} | {str(number): "missing" for number in range(10, 20)}
    assert (result.expired_source, result.expired_destination) == (10, 7)


def test_all_files_of_an_export_are_read(dynamo):
    made = steps_of(*TOLD)
    items = [item(number) for number in range(ITEMS)]
    pair(dynamo, made, items)
    wanted = spoil(dynamo)
    assert exported(dynamo, Stream(items, files=3), made.definition)[1] == wanted


def test_an_export_that_cannot_be_read_ends_the_comparison(dynamo):
    made = steps_of(*RENAMED)
    pair(dynamo, made, [item(number) for number in range(20)])

    def broken(key: str) -> Iterator[bytes]:
        yield gzip.compress(b"".join(b'{"Item":%s}\n' % item(number) for number in range(20)))
        raise ExportDamaged("Cause.", "Next step.")

    export = Export("", (ExportedFile("0.json.gz", 20),), broken)
    options = CompareOptions(retry_policy=HASTY, transform=made.definition)
    for compare in (compare_export, partial(sample_export, keys=10)):
        with pytest.raises(ExportDamaged):
            compare(export, dynamo.found("copy"), options=options)


# Samples


def sampled(
    dynamo: FakeDynamo, stream: Stream, definition: Any, keys: int = 5000, **members: Any
) -> tuple[Comparison, dict[str, str]]:
    options = CompareOptions(retry_policy=HASTY, transform=definition, **members)
    reported: list[Difference] = []
    result = sample_export(stream.export, dynamo.found("copy", "destination"), keys, options, reported.append)
    return result, {named(each.key): each.kind for each in reported}


@pytest.mark.parametrize("steps", [RENAMED, TOLD, SEVERAL, GROUPED])
def test_a_sample_of_an_export_goes_both_ways_whatever_keys_tell(dynamo, steps):
    made = steps_of(*steps)
    items = [item(number) for number in range(10, ITEMS)]
    pair(dynamo, made, items)
    dynamo.tables["orders"].items.clear()
    stream = Stream(items, files=3)
    few, kinds = sampled(dynamo, stream, made.definition, 7)
    assert (kinds, few.equal, few.read, few.one_way, few.balanced) == ({}, True, 7, False, True)
    assert few.items_destination == 7
    wanted = spoil(dynamo)
    result, kinds = sampled(dynamo, stream, made.definition)
    assert (kinds, result.read, result.one_way, result.undecided) == (wanted, len(items), False, 0)
    assert result.items_destination == len(dynamo.tables["copy"].items)


def test_a_sample_without_steps(dynamo):
    items = [item(number) for number in range(40)]
    dynamo.make("copy", [("pk", "S")]).put(*items)
    result, kinds = sampled(dynamo, Stream(items, files=2), None, 15)
    assert (kinds, result.items_source, result.items_destination, result.read) == ({}, 15, 15, 0)
    wanted = spoil(dynamo)
    assert sampled(dynamo, Stream(items), None)[1] == wanted


def test_a_sample_of_a_large_export_reads_some_of_its_files_and_says_so(dynamo, monkeypatch):
    monkeypatch.setattr(comparing_exports, "LOOKED_THROUGH", 5)
    monkeypatch.setattr(comparing_exports, "FEWEST_FILES", 2)
    items = [item(number) for number in range(100)]
    dynamo.make("copy", [("pk", "S")]).put(*items, item(1000))
    opened: set[str] = set()
    stream = Stream(items, files=10)
    read = stream._stream
    stream.export = Export("", stream.export.files, lambda key: opened.add(key) or read(key))  # type: ignore[func-returns-value]
    result, kinds = sampled(dynamo, stream, None, 6)
    assert (kinds, result.items_source, result.items_destination, result.one_way) == ({}, 6, 0, True)
    assert len(opened) == 3  # 30 items
    dynamo.tables["copy"].items.clear()
    assert set(sampled(dynamo, stream, None, 6)[1].values()) == {"missing"}


def test_a_sample_of_some_files_does_not_take_the_other_of_two_items_for_a_difference(dynamo, monkeypatch):
    """The one that won may be in a file that was not read."""
    monkeypatch.setattr(comparing_exports, "LOOKED_THROUGH", 1)
    monkeypatch.setattr(comparing_exports, "FEWEST_FILES", 1)
    made = steps_of(*GROUPED)
    items = [item(number) for number in range(10, 100)]
    pair(dynamo, made, items)
    result, kinds = sampled(dynamo, Stream(items, files=9), made.definition, 10)
    assert kinds == {} and result.undecided


def test_an_empty_export_has_nothing_for_what_is_there(dynamo):
    dynamo.make("copy", [("pk", "S")]).put(item(1))
    for stream in (Stream([]), Stream([], files=3)):
        assert sampled(dynamo, stream, None)[1] == exported(dynamo, stream, None)[1] == {"1": "extra"}


# Repairs


def mended(dynamo: FakeDynamo, stream: Stream, definition: Any, **members: Any) -> RepairResult:
    """The result of a repair by the export of what differs from it."""
    differences = exported(dynamo, stream, definition)[2]
    options = RepairOptions(retry_policy=HASTY, transform=definition, **members)
    return repair_by_export(stream.export, dynamo.found("copy", "destination"), differences, options)


@pytest.mark.parametrize("steps", [RENAMED, TOLD, SEVERAL, []])
def test_a_repair_writes_what_the_export_holds(dynamo, steps):
    made = steps_of(*steps)
    items = [item(number) for number in range(ITEMS)]
    pair(dynamo, made, items)
    dynamo.tables["orders"].items.clear()
    copy = dynamo.tables["copy"]
    right, stream = dict(copy.items), Stream(items, files=3)
    spoil(dynamo)
    assert mended(dynamo, stream, made.definition) == RepairResult(put=2, left=1)
    assert mended(dynamo, stream, made.definition, delete_extra=True) == RepairResult(deleted=1)
    assert {key: json.loads(each) for key, each in copy.items.items()} == {
        key: json.loads(each) for key, each in right.items()
    }


@pytest.mark.parametrize(("keys", "held"), [(7, 1 << 20), (1000, 300), (11, 1)])
def test_a_repair_of_much_reads_the_export_again(dynamo, monkeypatch, keys, held):
    monkeypatch.setattr(repairing_exports, "KEYS_AT_ONCE", keys)
    monkeypatch.setattr(repairing_exports, "HELD_BYTES", held)
    items = [item(number) for number in range(20)]
    copy = dynamo.make("copy", [("pk", "S")])
    copy.put(item(99), item(98))
    stream = Stream(items, files=2)
    assert mended(dynamo, stream, None, delete_extra=True) == RepairResult(put=20, deleted=2)
    assert sorted(copy.items.values()) == sorted(items)


def test_a_repair_by_an_export_puts_one_of_several_items_that_become_one(dynamo):
    made = steps_of(*GROUPED)
    items = [item(number) for number in range(10, 100)]
    pair(dynamo, made, items)
    copy, stream = dynamo.tables["copy"], Stream(items, files=4)
    copy.put(to_bytes({**json.loads(copy.items["3",]), "secret": {"S": "neither"}}))
    del copy.items["5",]
    assert mended(dynamo, stream, made.definition) == RepairResult(put=2)
    assert exported(dynamo, stream, made.definition)[0].equal


def test_nothing_of_a_file_is_written_that_is_not_what_the_manifest_says(dynamo):
    items = [item(number) for number in range(40)]
    copy = dynamo.make("copy", [("pk", "S")])
    stream = Stream(items, files=2)
    differences = exported(dynamo, stream, None)[2]
    first, second = stream.export.files
    changed = Export("", (first, ExportedFile(second.key, second.items + 1)), stream.export.stream)
    with pytest.raises(Exception, match="the manifest says 21"):
        repair_by_export(changed, dynamo.found("copy"), differences, RepairOptions(retry_policy=HASTY))
    assert sorted(copy.items.values()) == sorted(items[::2])


def test_a_repair_by_an_export_goes_by_what_the_table_holds_now(dynamo):
    """What is equal by now is left, and what somebody else has written is overwritten, as by any repair."""
    items = [item(number) for number in range(10)]
    copy = dynamo.make("copy", [("pk", "S")])
    stream = Stream(items)
    differences = exported(dynamo, stream, None)[2]
    copy.put(item(4), item(3, new={"S": "of somebody else"}))
    options = RepairOptions(retry_policy=HASTY)
    assert repair_by_export(stream.export, dynamo.found("copy"), differences, options) == RepairResult(put=9, equal=1)
    assert sorted(copy.items.values()) == sorted(items)
