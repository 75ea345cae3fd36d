# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The direct copy on engines that others wrote: what arrives is what boto3 reads on both sides."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import ItemRefused, KeySchemaDiffers
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.comparing import compare_tables
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyOptions, copy_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import CompareOptions
from demo.tables import ITEM_LIMIT, all_types, index, on_demand
from tests.engines.accounts import numbered

BY_ID = on_demand(("id", "S"))
# Written so that engines that compare numbers as text would treat equal numbers as different.
NUMBERS = ("0", "-1", "1E+3", "0.001", "-0.5E-100", "9.9999999999999999999999999999999999999E+125", "1E-130", "42")


def test_every_type_arrives(accounts, tables):
    table = accounts.pair(on_demand(("id", "B"), ("part", "N")))
    accounts.fill("source", table, all_types())
    result = copy_items(*tables(table))
    assert result.counts.items == len(list(all_types()))
    assert accounts.items("destination", table) == accounts.items("source", table)


@pytest.mark.parametrize("kind", ["S", "N", "B"])
def test_keys_of_each_type(accounts, tables, kind):
    table = accounts.pair(on_demand(("id", kind), ("part", kind)))
    values = {
        "S": ["a", "\u00fc", "\U0001f6a2", '"', "\\u0041", "a" * 1024],
        "N": list(NUMBERS),
        "B": [b"\x00", b"\xff" * 1024, b"a", b"\x00\x00"],
    }[kind]
    items = [{"id": {kind: one}, "part": {kind: other}} for one in values for other in values]
    accounts.fill("source", table, items)
    assert copy_items(*tables(table)).counts.items == len(items)
    assert accounts.items("destination", table) == accounts.items("source", table)


@pytest.mark.parametrize("kind", ["S", "B"])
def test_items_of_400_kb_arrive(accounts, tables, kind):
    """More of them than a request may carry (16 MB), and each as large as an item may be."""
    table = accounts.pair(BY_ID)
    key = {"id": {"S": "large-000"}}
    room = ITEM_LIMIT - len("id") - len("large-000") - len("payload")
    payload = "\u00fc" * (room // 2) + "x" * (room % 2) if kind == "S" else os.urandom(room)
    items = [{**key, "id": {"S": f"large-{number:03d}"}, "payload": {kind: payload}} for number in range(50)]
    accounts.fill("source", table, items)
    assert copy_items(*tables(table)).counts.items == len(items)
    assert accounts.items("destination", table) == accounts.items("source", table)


def test_an_empty_table_is_copied_to_an_empty_table(accounts, tables):
    table = accounts.pair(BY_ID)
    assert copy_items(*tables(table)).counts.items == 0
    assert accounts.count("destination", table) == 0


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
# dynalite loses the value of JavaScript's own __proto__, and what old global tables keep is not copied.
names = texts.filter(lambda name: name not in ("", "__proto__") and not name.startswith("aws:rep:"))
numbers = st.integers(-(10**38) + 1, 10**38 - 1).map(str) | st.sampled_from(NUMBERS)


def sets_of(members: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(members, min_size=1, max_size=4, unique=True)


scalars = st.one_of(
    texts.map(lambda value: {"S": value}),
    numbers.map(lambda value: {"N": value}),
    st.binary(max_size=12).map(lambda value: {"B": value}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
    sets_of(texts).map(lambda members: {"SS": members}),
    sets_of(st.integers(-(10**37), 10**37).map(str)).map(lambda members: {"NS": members}),
    sets_of(st.binary(max_size=8)).map(lambda members: {"BS": members}),
)
values = st.recursive(
    scalars,
    lambda members: st.one_of(
        st.lists(members, max_size=4).map(lambda inner: {"L": inner}),
        st.dictionaries(names, members, max_size=4).map(lambda inner: {"M": inner}),
    ),
    max_leaves=12,
)
contents = st.dictionaries(names.filter(lambda name: name != "id"), values, max_size=5)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(contents, max_size=30))
def test_whatever_is_in_a_table_arrives(accounts, tables, items):
    table = accounts.pair(BY_ID)
    accounts.fill("source", table, ({**item, "id": {"S": str(number)}} for number, item in enumerate(items)))
    assert copy_items(*tables(table)).counts.items == len(items)
    assert accounts.items("destination", table) == accounts.items("source", table)


def test_two_workers_copy_and_compare_each_item_once(accounts, tables):
    table = accounts.pair(BY_ID)
    accounts.fill("source", table, numbered(5_000))
    assert copy_items(*tables(table), CopyOptions(workers=2)).counts.items == 5_000
    assert accounts.items("destination", table) == accounts.items("source", table)
    compared = compare_tables(*tables(table), CompareOptions(workers=2))
    assert (compared.equal, compared.items_source, compared.items_destination) == (True, 5_000, 5_000)


def test_what_old_global_tables_keep_in_items_is_not_written(accounts, tables):
    table = accounts.pair(BY_ID)
    kept = {"aws:rep:deleting": {"BOOL": False}, "aws:rep:updateregion": {"S": "eu-west-1"}}
    accounts.fill("source", table, [{**item, **kept} for item in numbered(3)])
    copy_items(*tables(table))
    assert [set(item) for item in accounts.items("destination", table)] == [{"id", "n", "text"}] * 3
    assert compare_tables(*tables(table)).equal


def test_an_item_that_the_destination_refuses_is_named(accounts, tables):
    """Its index wants another type; the source has no such index."""
    table = accounts.pair(BY_ID)
    accounts.fill("source", table, [*numbered(40), {"id": {"S": "odd one"}, "Status": {"N": "1"}}])
    shape = on_demand(("id", "S"), indexes=[index("ByStatus", "Status", "", {"ProjectionType": "ALL"})])
    indexed = accounts.pair(shape)
    with pytest.raises(ItemRefused, match="rejects an item") as refused:
        copy_items(tables(table)[0], tables(indexed)[1])
    assert refused.value.details["items"][0]["key"] == {"id": {"S": "odd one"}}


def test_another_key_schema_is_refused_before_anything_is_written(accounts, tables):
    table, other = accounts.pair(BY_ID), accounts.pair(on_demand(("id", "N")))
    accounts.fill("source", table, numbered(3))
    with pytest.raises(KeySchemaDiffers):
        copy_items(tables(table)[0], tables(other)[1])
    assert accounts.count("destination", other) == 0


def test_a_killed_copy_goes_on(accounts, tables, tmp_path):
    items, checkpoint = 10_000, tmp_path / "checkpoint.json"
    table = accounts.pair(BY_ID)
    accounts.fill("source", table, numbered(items, size=400))
    kill_when_half_done(accounts, table, checkpoint, items)
    done_before = json.loads(checkpoint.read_text())["counts"]["items"]
    assert 0 < done_before < items
    progress = []
    result = copy_items(*tables(table), CopyOptions(checkpoint=checkpoint), progress.append)
    assert (result.resumed, result.counts.items) == (True, items)
    assert progress[0].counts.items >= done_before
    assert accounts.items("destination", table) == accounts.items("source", table)


def kill_when_half_done(accounts, table: str, checkpoint: Path, items: int) -> None:
    """Copy in a process of its own and kill it once its checkpoint knows of something."""
    urls = accounts.source.endpoint_url, accounts.destination.endpoint_url
    process = subprocess.Popen([sys.executable, "-m", "tests.engines.slow_copy", *urls, table, str(checkpoint)])
    try:
        deadline = time.monotonic() + 60
        while not (checkpoint.exists() and json.loads(checkpoint.read_text())["counts"]["items"] > 0):
            assert process.poll() is None and time.monotonic() < deadline, "the copy ended before it could be killed"
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert accounts.count("destination", table) < items
