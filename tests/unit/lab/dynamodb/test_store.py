# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store: order, pages, segments, indexes, transactions, and the past."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.dynamodb import store as store_module
from lab.dynamodb.store import TableStore, after_all, segment_bounds
from lab.dynamodb.values import Item, dump

KEYS = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
DEFINITIONS = [
    {"AttributeName": "pk", "AttributeType": "S"},
    {"AttributeName": "sk", "AttributeType": "N"},
    {"AttributeName": "color", "AttributeType": "S"},
]
BY_COLOR = [{"AttributeName": "color", "KeyType": "HASH"}]


def item(pk: str, sk: int, **others: str) -> Item:
    return {"pk": {"S": pk}, "sk": {"N": str(sk)}, **{name: {"S": value} for name, value in others.items()}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TableStore]:
    made = TableStore(tmp_path / "table", KEYS, DEFINITIONS)
    yield made
    made.close()


def everything(store: TableStore, **options: int) -> list[Item]:
    """All items by pages."""
    entries, after = [], None
    while True:
        page = store.scan(after=after, **options)
        entries += [json.loads(row.body) for row in page.rows]
        if not page.more:
            return entries
        after = page.rows[-1].key


def test_put_get_delete_count(store: TableStore) -> None:
    assert store.put(item("a", 1)) is None
    assert store.put(item("a", 1, color="red")) == dump(item("a", 1))
    assert (store.count(), store.size_bytes()) == (1, 3 + 4 + 8)
    assert store.get(item("a", 1)) == dump(item("a", 1, color="red"))
    assert store.get(item("a", 2)) is None
    assert store.delete(item("a", 1)) == dump(item("a", 1, color="red"))
    assert store.delete(item("a", 1)) is None
    assert (store.count(), store.size_bytes()) == (0, 0)


def test_bodies_come_back_byte_for_byte(store: TableStore) -> None:
    written = {**item("ä", 1), "z": {"S": '\u2028"\\'}, "a": {"L": [{"B": ""}, {"NS": ["3", "1"]}]}}
    store.put(written)
    assert store.scan().rows[0].body == dump(written)


def test_pages_and_segments_cover_everything_once(store: TableStore) -> None:
    for number in range(300):
        store.put(item(f"p{number % 40}", number))
    whole = everything(store)
    assert len(whole) == 300
    assert everything(store, limit=7) == whole
    assert everything(store, limit_bytes=40) == whole
    for total in (1, 2, 3, 7, 1000):
        parts = [each for segment in range(total) for each in everything(store, segment=segment, total_segments=total)]
        assert parts == whole


def test_a_limit_reached_at_the_end_still_says_more(store: TableStore) -> None:
    store.put(item("a", 1))
    assert store.scan(limit=1).more
    assert not store.scan(limit=2).more


def test_one_row_larger_than_the_page_is_given(store: TableStore) -> None:
    store.put(item("a", 1, text="x" * 100))
    store.put(item("b", 1, text="x" * 100))
    assert len(store.scan(limit_bytes=50).rows) == 1


def test_sort_keys_order_as_numbers_both_ways(store: TableStore) -> None:
    for number in (10, -5, 9, 0, 100, -40):
        store.put(item("a", number))
    store.put(item("b", 1))
    lower = store.encoder.partition(item("a", 0))
    bounds = {"lower": lower, "upper": after_all(lower)}
    forward = [int(json.loads(row.body)["sk"]["N"]) for row in store.page(**bounds).rows]
    assert forward == [-40, -5, 0, 9, 10, 100]
    first = store.page(**bounds, backward=True, limit=2)
    then = store.page(**bounds, backward=True, after=first.rows[-1].key)
    assert [int(json.loads(row.body)["sk"]["N"]) for row in first.rows + then.rows] == forward[::-1]


@given(st.integers(1, 1_000_000).flatmap(lambda total: st.tuples(st.integers(0, total - 1), st.just(total))))
@settings(max_examples=100)
def test_segments_meet(part: tuple[int, int]) -> None:
    segment, total = part
    lower, upper = segment_bounds(segment, total)
    assert lower < upper
    assert segment + 1 == total or segment_bounds(segment + 1, total)[0] == upper


def test_index_is_backfilled_and_follows_writes(store: TableStore) -> None:
    store.put(item("a", 1, color="red", size="9"))
    store.put(item("a", 2))
    store.put({**item("a", 3), "color": {"N": "1"}})
    store.add_index("by-color", BY_COLOR, {"ProjectionType": "KEYS_ONLY"})
    assert store.count("by-color") == 1
    store.put(item("b", 1, color="blue"))
    store.put(item("a", 1, color="green", size="9"))
    assert store.count("by-color") == 2
    bodies = [json.loads(row.body) for row in store.scan(index="by-color").rows]
    assert sorted(bodies, key=str) == [item("a", 1, color="green"), item("b", 1, color="blue")]
    assert store.size_bytes("by-color") == sum(row.size for row in store.scan(index="by-color").rows)
    store.delete(item("b", 1))
    assert store.count("by-color") == 1
    store.remove_index("by-color")
    assert store.index_names() == []


def test_index_pages_go_on_behind_their_last_row(store: TableStore) -> None:
    store.add_index("by-color", BY_COLOR, {"ProjectionType": "ALL"})
    for number in range(20):
        store.put(item("a", number, color="red"))
    first = store.scan(index="by-color", limit=8)
    at = store.position(json.loads(first.rows[-1].body), "by-color")
    assert at == first.rows[-1].key
    assert len(store.scan(index="by-color", after=at).rows) == 12
    assert store.key_names("by-color") == ("color", "pk", "sk")


def test_transaction_is_all_or_nothing(store: TableStore) -> None:
    store.add_index("by-color", BY_COLOR, {"ProjectionType": "ALL"})
    store.put(item("a", 1, color="red"))
    with pytest.raises(ValueError, match="stop"), store.transaction():
        store.put(item("a", 2, color="red"))
        store.delete(item("a", 1))
        raise ValueError("stop")
    assert (store.count(), store.count("by-color"), len(store.scan().rows)) == (1, 1, 1)


def test_past_is_restored_with_later_writes_undone(store: TableStore) -> None:
    store.put(item("before", 1, color="old"), time=1)
    store.enable_journal(10)
    store.put(item("before", 1, color="new"), time=20)
    store.put(item("later", 1), time=20)
    store.delete(item("before", 1), time=30)
    store.put(item("later", 1, color="changed"), time=30)

    def at(time: float) -> list[Item]:
        return sorted((json.loads(body) for _, body in store.items_at(time)), key=str)

    assert at(15) == [item("before", 1, color="old")]
    assert at(20) == [item("before", 1, color="new"), item("later", 1)]
    assert at(30) == at(99) == [item("later", 1, color="changed")]


def test_past_stays_the_same_while_writes_go_on(store: TableStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_ITERATED_ROWS", 4)
    store.enable_journal(0)
    for number in range(30):
        store.put(item(f"p{number}", 1), time=1)
    walk = store.items_at(1)
    seen = [next(walk) for _ in range(5)]
    for number in range(0, 30, 2):
        store.delete(item(f"p{number}", 1), time=2)
        store.put(item(f"new{number}", 1), time=2)
        store.put(item(f"p{number + 1}", 1, color="late"), time=2)
    seen += list(walk)
    assert sorted(body for _, body in seen) == sorted(dump(item(f"p{number}", 1)) for number in range(30))


def test_changes_are_compacted_to_one_for_each_key(store: TableStore) -> None:
    store.enable_journal(0)
    store.put(item("kept", 1), time=1)
    store.put(item("gone", 1), time=1)
    store.put(item("kept", 1, color="a"), time=10)
    store.put(item("kept", 1, color="b"), time=12)
    store.put(item("new", 1), time=11)
    store.put(item("brief", 1), time=11)
    store.delete(item("brief", 1), time=12)
    store.delete(item("gone", 1), time=13)
    store.put(item("kept", 1, color="c"), time=20)
    changes = {json.loads(each.after or each.before or b"")["pk"]["S"]: each for each in store.changes_between(10, 20)}
    assert set(changes) == {"kept", "new", "gone"}
    assert changes["kept"] == (dump(item("kept", 1)), dump(item("kept", 1, color="b")), 12)
    assert changes["new"] == (None, dump(item("new", 1)), 11)
    assert changes["gone"] == (dump(item("gone", 1)), None, 13)


def test_journal_starts_anew_when_enabled_again(store: TableStore) -> None:
    store.enable_journal(0)
    store.put(item("a", 1), time=1)
    store.disable_journal()
    store.put(item("b", 1), time=2)
    store.enable_journal(3)
    assert len(list(store.items_at(0))) == 2


def test_large_table_moves_into_a_file(store: TableStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MEMORY_BYTES", 5000)
    store.add_index("by-color", BY_COLOR, {"ProjectionType": "ALL"})
    for number in range(100):
        store.put(item("a", number, color="red", text="x" * 100))
    assert (tmp_path / "table" / "items.sqlite").exists()
    assert (store.count(), len(store.scan().rows), len(store.scan(index="by-color").rows)) == (100, 100, 100)


def test_table_of_20000_items_scans_in_linear_steps(store: TableStore) -> None:
    with store.transaction():
        for number in range(20_000):
            store.put(item(f"p{number}", number, text="x" * 50), 80)
    # Each page reads no more rows than it gives: an index answers, nothing is counted or skipped.
    plan = store._sql.execute(
        "EXPLAIN QUERY PLAN SELECT rowid, key, size FROM items WHERE key >= ? AND key < ? ORDER BY key ASC", (b"", b"")
    ).fetchall()
    assert [row[3] for row in plan] == ["SEARCH items USING COVERING INDEX items_key (key>? AND key<?)"]
    assert len(everything(store)) == 20_000
    assert sum(len(store.scan(segment, 4, bodies=False, limit_bytes=10**9).rows) for segment in range(4)) == 20_000
