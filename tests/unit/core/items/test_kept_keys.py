# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys of large tables are matched on disk, in memory that does not grow, in a file that nobody else can read."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import CheckpointUnusable
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import comparing, kept_keys
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.comparing import compare_tables
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import CompareOptions, Difference
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.digest import BucketSums
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.kept_keys import KeptKeys, entry_bytes
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.repairing import RepairOptions, repair
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.comparison import Verification
from tests.unit.core.items.fake_dynamo import HASTY, FakeDynamo
from tests.unit.core.items.strategies import to_bytes

ITEMS, CHANGED = 3000, 90
values = st.text(min_size=1, max_size=5)
any_keys = st.one_of(st.tuples(values), st.tuples(values, values), st.just(("\ud800",)), st.just(("a", "\0\udfff")))


@given(st.dictionaries(any_keys, st.tuples(st.integers(0, 3), st.integers(0, 3))), st.booleans())
def test_exactly_the_keys_that_are_not_equal_are_given(tmp_path_factory, items, on_disk):
    """Digest 0 stands for an item that is not there."""
    folder = tmp_path_factory.getbasetemp() if on_disk else None
    with KeptKeys(200_000, folder, memory_bytes=40) as kept:
        for key, (mine, theirs) in items.items():
            kept.add("source", [(key, mine << 126)] if mine else [])
            kept.add("destination", [(key, theirs << 126)] if theirs else [])
        given_keys = list(kept.unmatched())
        assert on_disk or kept.bytes_on_disk == 0
    assert sorted(given_keys) == sorted(key for key, (mine, theirs) in items.items() if mine != theirs)


def test_all_but_the_last_keys_are_on_disk_and_none_is_left_there(tmp_path):
    keys = [(f"key {number}",) for number in range(5000)]
    with KeptKeys(5000, tmp_path / "new", memory_bytes=10_000) as kept:
        for key in keys:
            kept.add("source", [(key, 1)])
        assert kept.bytes_on_disk > sum(map(entry_bytes, keys)) - 10_100
        assert os.listdir(tmp_path / "new") == []
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
        assert stat.S_IMODE(os.fstat(kept._file.fileno()).st_mode) == 0o600
        assert sorted(kept.unmatched()) == sorted(keys)


def test_a_killed_comparison_leaves_no_key(tmp_path):
    script = (
        "import os, pathlib, signal, sys\n"
        f"from {kept_keys.__name__} import KeptKeys\n"
        "kept = KeptKeys(1, pathlib.Path(sys.argv[1]), 10)\n"
        "kept.add('source', [(('secret',) , 1)] * 100)\n"
        "assert kept.bytes_on_disk\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment, check=False)
    assert (ended.returncode, os.listdir(tmp_path)) == (-signal.SIGKILL, [])


def test_a_disk_that_takes_no_more_is_named_with_a_next_step(tmp_path):
    (tmp_path / "file").touch()
    with KeptKeys(1, tmp_path / "file", 0) as kept, pytest.raises(CheckpointUnusable, match="work_dir"):
        kept.add("source", [(("key",), 1)])


def test_many_buckets_take_eight_bytes_each_and_show_the_same():
    chance = random.Random(1)
    digests = [chance.getrandbits(128) for _ in range(1000)]
    few, many, other = BucketSums(256), BucketSums(1 << 19), BucketSums(1 << 19)
    for sums in (few, many):
        sums.add(digests[1:])
    for sums in (few, other):
        sums.subtract(digests[:-1])
    many.merge(other.sums)
    assert many.sums.itemsize == 8
    assert list(many.differing()) == sorted({digests[0] & 0x7FFFF, digests[-1] & 0x7FFFF})
    assert few.differing() == sorted({digests[0] & 0xFF, digests[-1] & 0xFF})


# Whole comparisons


def item(number: int, **others) -> bytes:
    return to_bytes({"id": {"S": f"item {number}"}, "tags": {"SS": ["a", "b"]}, **others})


@pytest.fixture
def tables(dynamo):
    """Two tables of 3,000 items, of which 90 are missing, different or extra."""
    for name in ("orders", "copy"):
        dynamo.make(name).put(*[item(number) for number in range(ITEMS)])
    copy = dynamo.tables["copy"]
    for number in range(0, CHANGED, 3):
        del copy.items[(f"item {number}",)]
        copy.put(item(number + 1, changed={"BOOL": True}), item(ITEMS + number))
    return dynamo


def compared(dynamo: FakeDynamo, folder: Path | None, **members):
    options = {"most_listed": 100, "most_buckets": 64, "work_dir": folder, "retry_policy": HASTY, **members}
    differences: list[Difference] = []
    readings: set[int] = set()
    result = compare_tables(
        dynamo.found("orders"),
        dynamo.found("copy", "destination"),
        CompareOptions(**options),
        differences.append,
        lambda progress: readings.add(progress.reading),
    )
    return result, differences, readings


@pytest.mark.parametrize("workers", [1, 2])
def test_g11_many_differences_among_few_buckets_are_found_and_mended_in_two_readings(
    tables, tmp_path, monkeypatch, workers
):
    """In memory hardly any would be; on disk are all of them."""
    on_disk: list[int] = []
    monkeypatch.setattr(kept_keys, "PART_KEYS", 500)

    class Kept(KeptKeys):
        def __init__(self, expected, folder):
            super().__init__(expected, folder, memory_bytes=5000)

        def __exit__(self, *error):
            on_disk.append(self.bytes_on_disk)
            super().__exit__(*error)

    monkeypatch.setattr(comparing, "KeptKeys", Kept)
    few = compared(tables, None, workers=workers)[0]
    assert few.unlisted_buckets > 0 and few.differences < CHANGED
    result, differences, readings = compared(tables, tmp_path, workers=workers)
    assert (result.missing, result.different, result.extra) == (CHANGED // 3,) * 3
    assert (result.unlisted_buckets, readings) == (0, {1, 3})
    assert on_disk[0] == 0 and on_disk[1] > 2 * ITEMS * 30 * 0.7
    there = tables.found("orders"), tables.found("copy", "destination")
    repair(*there, differences, RepairOptions(delete_extra=True, retry_policy=HASTY))
    assert compared(tables, tmp_path)[0].equal
    assert os.listdir(tmp_path) == []


def test_other_forms_of_equal_items_are_no_differences_on_disk_either(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(comparing._TablePair, "form", lambda self: "raw")
    copy = tables.tables["copy"]
    for number in range(1, 300, 4):
        if (key := (f"item {number}",)) in copy.items and b"changed" not in copy.items[key]:
            copy.put(item(number, tags={"SS": ["b", "a"]}))
    looked_up = tables.calls.count("BatchGetItem")
    result, _differences, readings = compared(tables, tmp_path)
    assert (result.differences, result.unlisted_buckets, readings) == (CHANGED, 0, {1, 3})
    assert tables.calls.count("BatchGetItem") - looked_up == 2


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("free", "bound", "words"),
    [(1000, 1 << 30, "bytes in work_dir, which may take 900 bytes"), (1 << 40, 2000, "may take 2,000 bytes")],
)
def test_space_is_looked_at_before_and_what_is_needed_is_said(tables, tmp_path, monkeypatch, free, bound, words):
    monkeypatch.setattr(kept_keys.shutil, "disk_usage", lambda folder: Usage(free, 0, free))
    result = compared(tables, tmp_path, most_work_bytes=bound)[0]
    assert 0 < result.differences < CHANGED and result.unlisted_buckets
    assert result.work_bytes == pytest.approx(2 * ITEMS * 30, rel=0.4)
    assert result.work_bytes_free == min(int(free * 0.9), bound)
    assert words in Verification(result).not_listed_because


def test_a_work_directory_that_cannot_be_used_ends_no_comparison(tables, tmp_path):
    (tmp_path / "file").touch()
    result = compared(tables, tmp_path / "file")[0]
    assert 0 < result.differences < CHANGED and result.unlisted_buckets
    assert "cannot be used: File exists" in Verification(result).not_listed_because


def test_not_every_item_of_a_table_is_listed_when_all_differ(tables, tmp_path):
    """Each of them would be read by its key from both tables, which costs more than the comparison."""
    tables.make("copy")
    result = compared(tables, tmp_path, most_differing=500)[0]
    assert 200 < result.missing < 800
    assert result.unlisted_buckets
    assert Verification(result).not_listed_because == ""
