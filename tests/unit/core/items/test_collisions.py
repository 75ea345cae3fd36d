# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Items that steps make into one are counted exactly, in memory that does not grow, and nothing is written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import CheckpointUnusable, KeySchemaDiffers
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import kept_digests
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyAttribute
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.collisions import (
    CollisionOptions,
    Collisions,
    find_collisions,
    find_collisions_among,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.kept_digests import KeptDigests, packed
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.throttle import Rate
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.compiled import Transform, compiled
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Definition
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import KeySchema, TableSchemas
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.tally import Tally
from tests.unit.core.items.fake_dynamo import HASTY, FakeDynamo, serving
from tests.unit.core.items.strategies import to_bytes

SOURCE = TableSchemas(KeySchema((KeyAttribute("id", "S"),), (KeyAttribute("at", "N"),)))
BY_MAIL = Definition(
    ({"keep_if": "attribute_type(mail, :s)"}, {"cast": {"n": "N"}}),
    SOURCE,
    values={":s": {"S": "S"}},
    destination=KeySchema((KeyAttribute("mail", "S"),)),
)
SPLIT = Definition(
    (
        {"keep_if": "attribute_type(mail, :s)"},
        {"python": {"function": "f.py:split", "attributes": "all", "several": True}},
    ),
    SOURCE,
    values={":s": {"S": "S"}},
    files={"f.py": "def split(item):\n    return [{**item, 'mail': {'S': m}} for m in item['mail']['S'].split('+')]"},
    destination=KeySchema((KeyAttribute("mail", "S"),)),
)


def item(number: int, mail: str, n: str = "1") -> bytes:
    return to_bytes(
        {"id": {"S": f"private {number // 7}"}, "at": {"N": str(number)}, "mail": {"S": mail}, "n": {"S": n}}
    )


def expected(definition: Definition, items: Sequence[bytes]) -> tuple[int, int, dict[str, Counter[str]]]:
    """The numbers of keys and of items that are lost, and how often each source gets each key, by a dictionary of all
    keys."""
    transform = compiled(definition)
    got: dict[str, list[str]] = defaultdict(list)
    for each in items:
        source = json.loads(each)
        for made in outcome(transform, each):
            got[made["mail"]["S"]].append(source["at"]["N"])
    doubled = {mail: numbers for mail, numbers in got.items() if len(numbers) > 1}
    lost = sum(len(numbers) - 1 for numbers in doubled.values())
    return len(doubled), lost, {mail: Counter(numbers) for mail, numbers in doubled.items()}


def outcome(transform: Transform, each: bytes) -> list[dict[str, Any]]:
    return [json.loads(bytes(made)) for made in transform.of_item(each, Tally())]


def require_exact(found: Collisions, definition: Definition, items: Sequence[bytes]) -> None:
    count, lost, sources = expected(definition, items)
    assert (found.count, found.lost, len(found.examples)) == (count, lost, min(10, count))
    for example in found.examples:
        numbers = [source["at"]["N"] for source in example.sources]
        assert len(numbers) == 2 and Counter(numbers) <= sources[example.key["mail"]["S"]]
    assert len({example.key["mail"]["S"] for example in found.examples}) == len(found.examples)


def table(dynamo: FakeDynamo, items: Sequence[bytes]) -> None:
    dynamo.make("orders", [("id", "S"), ("at", "N")]).put(*items)


def found_in(dynamo: FakeDynamo, definition: Definition = BY_MAIL, **members: Any) -> Collisions:
    return find_collisions(dynamo.found("orders"), definition, CollisionOptions(**{"retry_policy": HASTY, **members}))


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from(["a", "b", "a+b", "c+c", "d", "\u00e9", "e+f+a"]), max_size=30),
    st.sampled_from([BY_MAIL, SPLIT]),
    st.integers(1, 7),
    st.booleans(),
)
def test_the_count_is_exact(tmp_path_factory, mails, definition, page_items, on_disk):
    items = [item(number, mail) for number, mail in enumerate(mails)]
    folder = tmp_path_factory.getbasetemp() if on_disk else None
    with serving() as dynamo:
        dynamo.page_items = page_items
        table(dynamo, items)
        require_exact(found_in(dynamo, definition, folder=folder, memory_bytes=50), definition, items)
        assert set(dynamo.calls) == {"DescribeTable", "Scan"}
    portions = [items[start::3] for start in range(3)]
    among = find_collisions_among([lambda each=each: [each] for each in portions], definition)
    require_exact(among, definition, items)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_count_together(dynamo, workers):
    items = [item(number, f"mail {number % 700}") for number in range(750)]
    dynamo.page_items = 10
    table(dynamo, items)
    shown: list[int] = []
    source = dynamo.found("orders")
    options = CollisionOptions(retry_policy=HASTY, workers=workers, read_rate=Rate(100_000))
    found = find_collisions(source, BY_MAIL, options, shown.append)
    require_exact(found, BY_MAIL, items)
    assert (found.count, found.lost, found.read) == (50, 50, 750)
    assert found.read_units and shown[-1] == 750


@pytest.mark.parametrize("kind", ["throttle", "500", "reset", "lost", "half", "crc"])
def test_faults_double_nothing(dynamo, kind):
    items = [item(number, f"mail {number % 700}") for number in range(750)]
    dynamo.page_items = 10
    table(dynamo, items)
    for after in range(0, 60, 3):
        dynamo.plan(kind, "Scan", after=after, times=2)
    require_exact(found_in(dynamo), BY_MAIL, items)
    assert sum(fault.met for fault in dynamo.faults) > 10


def test_items_that_no_step_leaves_or_takes_collide_with_none(dynamo):
    items = [item(1, "a"), item(2, "a", n="none"), to_bytes({"id": {"S": "x"}, "at": {"N": "3"}, "n": {"S": "1"}})]
    table(dynamo, items)
    assert found_in(dynamo) == Collisions(read=3)


def test_an_item_that_a_scan_gives_twice_does_not_collide_with_itself(dynamo):
    items = [item(number, f"mail {number % 90}") for number in range(100)]
    table(dynamo, items)
    source = dynamo.tables["orders"]
    source.extra_scanned = list(source.items.items())
    for page_items in (1000, 3):
        dynamo.page_items = page_items
        found = found_in(dynamo)
        assert (found.count, found.lost, found.read) == (10, 10, 200)
        require_exact(found, BY_MAIL, items)


def test_numbers_are_one_key_by_their_value(dynamo):
    """Of the destination as of the source."""
    by_number = Definition(
        ({"keep_if": "attribute_type(n, :s)"}, {"cast": {"n": "N"}}),
        SOURCE,
        values={":s": {"S": "S"}},
        destination=KeySchema((KeyAttribute("n", "N"),)),
    )
    table(dynamo, [item(1, "a", "1.0"), item(2, "b", "1e0"), item(3, "c", "10")])
    found = found_in(dynamo, by_number)
    assert (found.count, found.lost) == (1, 1)
    assert found.examples[0].key == {"n": {"N": "1"}}


def test_keys_with_the_same_letters_in_two_values_are_two(dynamo):
    two = KeySchema((KeyAttribute("a", "S"),), (KeyAttribute("b", "S"),))
    whole = Definition(
        ({"keep_if": "attribute_type(a, :s) AND attribute_type(b, :s)"},),
        SOURCE, values={":s": {"S": "S"}}, destination=two,
    )  # fmt: skip
    table(
        dynamo,
        [
            to_bytes({"id": {"S": "x"}, "at": {"N": str(number)}, "a": {"S": a}, "b": {"S": b}})
            for number, (a, b) in enumerate([("1:1", "1"), ("1", ":11"), ("1:", "11"), ("\0", "1"), ("\x001", ":")])
        ],
    )
    assert found_in(dynamo, whole) == Collisions(read=5)


def test_where_keys_stay_apart_provably_nothing_is_read(dynamo):
    table(dynamo, [item(1, "a")])
    apart = Definition(({"rename": {"id": "uid"}}, {"drop": ["mail"]}), SOURCE)
    assert found_in(dynamo, apart) == Collisions() == find_collisions_among([], apart)
    assert "Scan" not in dynamo.calls


def test_a_definition_of_another_table_is_refused(dynamo):
    dynamo.make("orders")
    with pytest.raises(KeySchemaDiffers, match="the transform was made for the key id"):
        found_in(dynamo)


def test_attributes_of_replication_are_left_out_before_the_steps(dynamo):
    """What the copy would make of the items counts."""
    function = "def f(item): return {**item, 'mail': {'S': str(len(item))}}"
    by_length = Definition(
        ({"keep_if": "attribute_type(mail, :s)"}, {"python": {"function": "f.py:f", "attributes": "all"}}),
        SOURCE, values={":s": {"S": "S"}}, files={"f.py": function}, destination=BY_MAIL.destination,
    )  # fmt: skip
    marked = {**json.loads(item(2, "b")), "aws:rep:deleting": {"BOOL": False}}
    items = [item(1, "a"), to_bytes(marked)]
    table(dynamo, items)
    assert found_in(dynamo, by_length).count == 1
    assert find_collisions_among([lambda: [items]], by_length).count == 1


# Many keys


MANY = 100_500


def many() -> Iterator[list[bytes]]:
    """Items in pieces, of which the last 500 get keys that are there."""
    template = item(7654321, "mail 1234567")
    for start in range(0, MANY, 500):
        yield [
            template.replace(b"7654321", b"%d" % number).replace(b"1234567", b"%d" % (number % (MANY - 500)))
            for number in range(start, start + 500)
        ]


COUNTING = """
import os, re, sys
from pathlib import Path
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import kept_digests
from tests.unit.core.items.test_collisions import BY_MAIL, CollisionOptions, find_collisions_among, item, many

def most():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

kept_digests.AT_ONCE, kept_digests.FEWEST_PARTS = 10_000, 1
folder, on_disk = Path(sys.argv[1]), []
leave = kept_digests.KeptDigests.__exit__
kept_digests.KeptDigests.__exit__ = lambda kept, *error: (on_disk.append(kept.bytes_on_disk), leave(kept, *error))[1]
options = CollisionOptions(folder=folder, memory_bytes=100_000)
find_collisions_among([lambda: [[item(1, "a")] * 500] * 3], BY_MAIL, options)
before = most()
found = find_collisions_among([many], BY_MAIL, options)
growth = most() - before
print(found.count, found.lost, found.read, len(found.examples), on_disk[-1], os.listdir(folder), growth, sep=";")
"""


def test_more_keys_than_there_is_memory_for_are_counted_exactly(tmp_path):
    command = [sys.executable, "-c", COUNTING, str(tmp_path)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    *counts, on_disk, left, kilobytes = ran.stdout.split(";")
    assert counts == ["500", "500", str(MANY), "10"]
    assert int(on_disk) > MANY * kept_digests.ENTRY_BYTES - 200_000
    assert left == "[]"
    assert int(kilobytes) < 6_000 < MANY * 70 / 1024  # as many objects of bytes would take at least


@pytest.mark.parametrize("at_once", [50, 1_000_000])
@pytest.mark.parametrize(("fewest", "expected_items"), [(1, 0), (1, 1_000_000), (256, 0)])
def test_parts_and_turns_count_the_same(tmp_path, monkeypatch, at_once, fewest, expected_items):
    monkeypatch.setattr(kept_digests, "AT_ONCE", at_once)
    monkeypatch.setattr(kept_digests, "FEWEST_PARTS", fewest)
    digests = [(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % (1 << 128) for number in range(3000)]
    with KeptDigests(expected_items, tmp_path, 10_000) as kept:
        kept.add_packed(packed(digests, range(3000), 1))
        kept.add_packed(packed(digests[:20], range(5000, 5020), 2))
        kept.add_packed(packed(digests[:5], range(6000, 6005), 3))
        kept.add_packed(packed(digests[100:200], range(100, 200), 4))  # the same again
        doubled = kept.doubled(10)
    assert (doubled.count, doubled.more, len(doubled.first)) == (20, 25, 10)
    assert all(portions == {1, 2, 3} if digest in digests[:5] else portions == {1, 2}
               for digest, portions in doubled.first.items())  # fmt: skip


def test_a_disk_that_takes_no_more_is_named_with_a_next_step(tmp_path):
    (tmp_path / "file").touch()
    options = CollisionOptions(folder=tmp_path / "file", memory_bytes=0)
    with pytest.raises(CheckpointUnusable, match="digests of the transformed keys") as refused:
        find_collisions_among([many], BY_MAIL, options)
    assert "work_dir" in refused.value.next_step and "private" not in str(refused.value)


def test_only_segments_with_examples_are_read_again(dynamo):
    items = [item(number, f"mail {number}") for number in range(3000)]
    table(dynamo, [*items, item(4000, "mail 7")])
    dynamo.page_items = 10
    found = found_in(dynamo, segments=100)
    assert (found.count, len(found.examples)) == (1, 1)
    # Each segment has three pages or four.
    assert dynamo.calls.count("Scan") < 100 * 5 + 20


def test_items_that_change_before_they_are_read_again_are_no_examples(dynamo):
    table(dynamo, [item(1, "a"), item(2, "a"), item(3, "b"), item(4, "b")])
    source = dynamo.found("orders")
    segments = 4

    def before(operation: str) -> None:
        if operation == "Scan" and dynamo.calls.count("Scan") == segments + 1:
            dynamo.tables["orders"].put(item(2, "z"))

    dynamo.before = before
    found = find_collisions(source, BY_MAIL, CollisionOptions(retry_policy=HASTY))
    assert (found.count, found.lost) == (2, 2)
    assert [example.key for example in found.examples] == [{"mail": {"S": "b"}}]
