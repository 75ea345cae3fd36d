# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys that collide are counted exactly, wherever their digests meet."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyAttribute
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.carried import CARRIED
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.exported import ExportedFile
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Definition
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import (
    KeySchema,
    TableSchemas,
)
from ansible_collections.tableferry.aws.plugins.module_utils.spark.collisions import (
    Collisions,
    collisions,
    digests_of,
    first_digests,
    named,
    places_for,
    shared,
)
from ansible_collections.tableferry.aws.plugins.module_utils.spark.plan import JobPlan
from ansible_collections.tableferry.aws.plugins.module_utils.spark.storage import Bucket

STEPS = [{"set": {"pk": "{a}{b}"}}]
SOURCE = TableSchemas(KeySchema((KeyAttribute("a", "S"),), (KeyAttribute("b", "S"),)))
KEY = KeySchema((KeyAttribute("pk", "S"),))


class Files:
    """A bucket of files in memory."""

    def __init__(self, *files: list[tuple[str, str]]) -> None:
        self.content = {f"{number}.json.gz": _file(keys) for number, keys in enumerate(files)}
        self.names = tuple(ExportedFile(f"{number}.json.gz", len(keys)) for number, keys in enumerate(files))

    def stream(self, key: str) -> Iterator[bytes]:
        yield self.content[key]


def _file(keys: list[tuple[str, str]]) -> bytes:
    lines = (json.dumps({"Item": {"a": {"S": a}, "b": {"S": b}}}) for a, b in keys)
    return gzip.compress("".join(f"{line}\n" for line in lines).encode())


def look(files: Files, places: int, slots: int = 2) -> Collisions:
    """The whole look, each file by a task of its own."""
    definition = Definition(STEPS, SOURCE, destination=KEY)
    storage = cast(Bucket, files)
    plans = [
        JobPlan("run", "r", "staging", "", "p/", "t", "id", (file,), definition, "http://127.0.0.1")
        for file in files.names
    ]
    pairs = [pair for plan in plans for pair in digests_of(plan, storage, CARRIED, places)]
    found = [shared(blob for at, blob in pairs if at == place) for place in range(places)]
    first = first_digests(found)
    return collisions(found, [name for plan in plans for name in named(plan, storage, CARRIED, first)])


KEYS = st.lists(st.tuples(st.text("xy", min_size=1, max_size=3), st.text("xy", min_size=1, max_size=3)), unique=True)


@settings(max_examples=200, deadline=None)
@given(keys=KEYS, cut=st.integers(0, 20), places=st.integers(1, 9))
def test_as_many_are_lost_as_items_are_more_than_keys(keys: list[tuple[str, str]], cut: int, places: int) -> None:
    counts = Counter(a + b for a, b in keys)
    found = look(Files(keys[:cut], keys[cut:]), places)
    assert found.lost == len(keys) - len(counts)
    for entry in found.first:
        made = entry["key"]["pk"]["S"]
        sources = [(source["a"]["S"], source["b"]["S"]) for source in entry["sources"]]
        assert len(sources) == min(10, counts[made]) > 1
        assert {a + b for a, b in sources} == {made}
    assert len(found.first) == min(10, sum(1 for count in counts.values() if count > 1))
    assert Collisions.from_json(found.to_json()) == found


def test_keys_of_several_attributes_are_not_joined_to_one_text() -> None:
    """("x", "yz") and ("xy", "z") are two keys."""
    definition = Definition([{"set": {"n": "1"}}], SOURCE)
    files = Files([("x", "yz"), ("xy", "z")])
    plan = JobPlan("run", "r", "staging", "", "p/", "t", "id", files.names, definition, "http://127.0.0.1")
    pairs = list(digests_of(plan, cast(Bucket, files), CARRIED, 1))
    assert shared(blob for _place, blob in pairs).lost == 0


def test_many_digests_are_handed_on_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.tableferry.aws.plugins.module_utils.spark.collisions.HELD_DIGESTS", 1000)
    numbers = list(range(20_000))
    random.Random(1).shuffle(numbers)
    keys = [(f"k{number % 15_000}", "z" * (1 + number // 15_000)) for number in numbers]
    definition = Definition([{"set": {"pk": "{a}", "sort": "x"}}], SOURCE, destination=KEY)
    files = Files(*(keys[at : at + 2_000] for at in range(0, len(keys), 2_000)))
    plan = JobPlan("run", "r", "staging", "", "p/", "t", "id", files.names, definition, "http://127.0.0.1")
    pairs = list(digests_of(plan, cast(Bucket, files), CARRIED, 3))
    assert len(pairs) == 3 * 10
    assert sum(shared(blob for at, blob in pairs if at == place).lost for place in range(3)) == 5_000


def test_places_grow_with_the_items() -> None:
    assert places_for(0, 2) == 2
    assert places_for(250_001, 1) == 2
    assert places_for(10**9, 8) == 4000
