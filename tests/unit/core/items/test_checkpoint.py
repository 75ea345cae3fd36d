# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A checkpoint goes on where it was, says what it is of, and is whole at every moment."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import CheckpointUnusable
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyAttribute
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.checkpoint import Checkpoint, Counts, locked
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Endpoint
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.named import MOST_NAMED, NamedItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.scan import segments_for, spread
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import ItemTable

KEY = (KeyAttribute("id", "S"),)


def table(name: str, table_id: str = "") -> ItemTable:
    return ItemTable(Endpoint(f"https://{name}", "eu-west-1", lambda: None), name, KEY, table_id or f"id-{name}")


SOURCE, DESTINATION = table("source"), table("destination")


@given(st.integers(1, 2000))
def test_segments_are_spread_and_all_there(total):
    order = spread(total)
    assert sorted(order) == list(range(total))
    if total > 8:
        assert abs(order[0] - order[1]) > total // 4


def test_the_number_of_segments_follows_the_size():
    sizes = [segments_for(replace(SOURCE, size_bytes=size)) for size in (0, 1 << 30, 1 << 37, 1 << 50)]
    assert sizes == [16, 16, 2048, 4096]


def test_it_goes_on_where_it_was(tmp_path):
    path = tmp_path / "copy.json"
    first = Checkpoint.load(SOURCE, DESTINATION, 4, path)
    taken = [first.next_segment() for _ in range(3)]
    first.advance(taken[0].number, b'{"id":{"S":"\xc3\xa9"}}', Counts(10, 100, 1.5, None))
    first.advance(taken[0].number, b'{"id":{"S":"b"}}', Counts(10, 100, 1.5, None, resent=2))
    first.advance(taken[1].number, b"", Counts(5, 50, duplicates=1))
    first.save()
    again = Checkpoint.load(SOURCE, DESTINATION, 99, path)
    assert (again.resumed, again.total, again.done, again.complete) == (True, 4, 1, False)
    assert again.counts == Counts(25, 250, 3.0, None, 2, 1)
    segments = [again.next_segment() for _ in range(4)]
    assert segments[0].number == taken[0].number
    assert json.loads(segments[0].start_key) == {"id": {"S": "b"}}
    assert {segment.number for segment in segments[:3]} == {0, 1, 2, 3} - {taken[1].number}
    assert all(not segment.start_key for segment in segments[1:3])
    assert segments[3] is None
    for segment in segments[:3]:
        again.advance(segment.number, b"", Counts())
    again.save()
    assert Checkpoint.load(SOURCE, DESTINATION, 4, path).complete


@given(st.sets(st.integers(0, 60)))
def test_what_is_done_is_kept(tmp_path_factory, done):
    path = tmp_path_factory.mktemp("checkpoint") / "copy.json"
    first = Checkpoint(SOURCE, DESTINATION, 61, path)
    for number in done:
        first.advance(number, b"", Counts())
    first.save()
    again = Checkpoint.load(SOURCE, DESTINATION, 61, path)
    assert again.done == len(done)
    left = set(iter(lambda: getattr(again.next_segment(), "number", None), None))
    assert left == set(range(61)) - done


@pytest.mark.parametrize("other", [(table("source", "made-anew"), DESTINATION), (SOURCE, table("destination", "x"))])
def test_a_checkpoint_of_other_tables_is_refused(tmp_path, other):
    path = tmp_path / "copy.json"
    Checkpoint(SOURCE, DESTINATION, 4, path).save()
    with pytest.raises(CheckpointUnusable, match="another copy"):
        Checkpoint.load(*other, 4, path)


def test_another_way_to_the_same_tables_is_no_other_copy(tmp_path):
    path = tmp_path / "copy.json"
    Checkpoint(SOURCE, DESTINATION, 4, path).save()
    moved = replace(SOURCE, endpoint=replace(SOURCE.endpoint, url="https://elsewhere"))
    assert Checkpoint.load(moved, DESTINATION, 4, path).resumed


def test_h1_a_checkpoint_from_before_something_was_counted_goes_on(tmp_path):
    path = tmp_path / "copy.json"
    first = Checkpoint(SOURCE, DESTINATION, 4, path)
    first.advance(0, b"", Counts(3, 30, shortened=2))
    first.save()
    content = json.loads(path.read_bytes())
    assert Checkpoint.load(SOURCE, DESTINATION, 4, path).counts == Counts(3, 30, shortened=2)
    del content["counts"]["shortened"]
    path.write_text(json.dumps(content))
    assert Checkpoint.load(SOURCE, DESTINATION, 4, path).counts == Counts(3, 30)


def test_a_checkpoint_from_before_there_were_transforms_goes_on_without_one_only(tmp_path):
    path = tmp_path / "copy.json"
    counts = {"items": 3, "bytes": 30, "read_units": None, "write_units": 1.5, "resent": 0, "duplicates": 1}
    tables = {name: {"table": name, "id": f"id-{name}"} for name in ("source", "destination")}
    content = {"version": 1, "tables": tables, "segments": 4, "done": [[0, 1]], "positions": {}, "counts": counts}
    path.write_text(json.dumps(content))
    again = Checkpoint.load(SOURCE, DESTINATION, 4, path)
    assert again.counts == Counts(3, 30, None, 1.5, duplicates=1, read=3) and again.counts.balanced
    with pytest.raises(CheckpointUnusable, match="belongs to a copy without a transform"):
        Checkpoint.load(SOURCE, DESTINATION, 4, path, "a fingerprint")


def test_what_became_of_items_goes_through_the_file(tmp_path):
    path = tmp_path / "copy.json"
    first = Checkpoint(SOURCE, DESTINATION, 4, path, "a fingerprint")
    named = tuple(NamedItem({"id": {"S": f"\u00e9 {number}"}}, "why") for number in range(MOST_NAMED))
    first.advance(0, b"", Counts(3, read=9, added=1, kept_out={1: 2, 10: 1}, refused={0: 1, 2: 3}, named=named[:15]))
    first.advance(1, b"", Counts(1, read=2, refused={2: 1}, named=named[15:] + named))
    first.save()
    again = Checkpoint.load(SOURCE, DESTINATION, 4, path, "a fingerprint").counts
    assert again == Counts(4, read=11, added=1, kept_out={1: 2, 10: 1}, refused={0: 1, 2: 4}, named=named)
    assert again == first.counts and again.balanced
    with pytest.raises(CheckpointUnusable, match="other transform steps"):
        Checkpoint.load(SOURCE, DESTINATION, 4, path, "another")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"version":2}', b'{"version":1,"segments":4}', b"\xff"])
def test_a_file_that_is_no_checkpoint_is_refused_and_left(tmp_path, content):
    path = tmp_path / "copy.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointUnusable, match=r"copy\.json"):
        Checkpoint.load(SOURCE, DESTINATION, 4, path)
    assert path.read_bytes() == content


def test_a_failure_while_writing_leaves_the_file_before(tmp_path, monkeypatch):
    path = tmp_path / "copy.json"
    first = Checkpoint(SOURCE, DESTINATION, 4, path)
    first.save()
    before = path.read_bytes()
    first.advance(0, b"", Counts(1))

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointUnusable, match="No space left"):
        first.save()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_g13_what_a_kill_left_behind_is_replaced(tmp_path, monkeypatch):
    path = tmp_path / "copy.json"
    checkpoint = Checkpoint(SOURCE, DESTINATION, 4, path)
    monkeypatch.setattr(os, "replace", lambda new, _path: os._exit(9))
    for _ in range(2):
        process = os.fork()
        if not process:
            checkpoint.save()
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.undo()
    checkpoint.save()
    assert list(tmp_path.iterdir()) == [path]


def test_c7_a_checkpoint_is_its_owners_alone_and_its_lock_follows_no_link(tmp_path):
    """It holds keys, of where segments stand."""
    path, victim = tmp_path / "copy.json", tmp_path / "victim"
    before = os.umask(0)
    try:
        with locked(path):
            Checkpoint(SOURCE, DESTINATION, 4, path).save()
            assert {each.stat().st_mode & 0o777 for each in tmp_path.iterdir()} == {0o600}
    finally:
        os.umask(before)
    victim.write_text("precious")
    (tmp_path / ".copy.json.lock").symlink_to(victim)
    with pytest.raises(CheckpointUnusable, match=r"cannot be written"), locked(path):
        pass
    assert victim.read_text() == "precious"


def test_without_a_file_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Checkpoint(SOURCE, DESTINATION, 4).save()
    assert not list(tmp_path.iterdir())
