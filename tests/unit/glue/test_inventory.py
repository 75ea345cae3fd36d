# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the options of the inventory plugin to places, and from tables to variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.text.formatters import human_to_bytes
from ansible.vars.reserved import get_reserved_names

from ansible_collections.tableferry.aws.plugins.filter.tables import VARIABLES
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.listing import TableListing, Wish
from ansible_collections.tableferry.aws.plugins.module_utils.glue import inventory

PLUGIN = Path(__file__).parents[3] / "plugins/inventory/dynamodb_tables.py"
WRITTEN = set(re.findall(r'"((?:ferry|ansible)_\w+)"', PLUGIN.read_text()))

TABLE = {
    "name": "orders",
    "arn": "arn:aws:dynamodb:eu-west-1:111111111111:table/orders",
    "id": "one",
    "account_id": "111111111111",
    "region": "eu-west-1",
    "tags": {"name": "x"},
}


def regions(options: dict[str, Any]) -> list[tuple[int, Any, str]]:
    return [(place.source, place.settings.get("profile"), place.region) for place in inventory.places(options)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"source": {"profile": "a", "region": "r1"}}, [(0, "a", "r1")]),
        ({"source": {"profile": "a"}, "region": "r0"}, [(0, "a", "r0")]),
        ({"profile": "a", "regions": ["r1", "r2", "r1"]}, [(0, "a", "r1"), (0, "a", "r2")]),
        (
            {"sources": [{"profile": "a", "regions": ["r1"]}, {"profile": "b"}], "regions": ["r2", "r3"]},
            [(0, "a", "r1"), (1, "b", "r2"), (1, "b", "r3")],
        ),
    ],
)
def test_each_source_is_listed_in_its_regions(options: dict[str, Any], expected: list[tuple[int, str, str]]) -> None:
    assert regions(options) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"source": {"profile": "a", "region": "r1"}, "regions": ["r2"]},
        {"sources": [{"profile": "a", "region": "r1"}, {"profile": "b", "regions": ["r1"]}], "regions": ["r2"]},
    ],
)
def test_regions_that_no_source_takes_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="each source has a Region of its own"):
        regions(options)


def test_keys_of_both_are_not_mixed_with_a_profile_of_one() -> None:
    options = {"source": {"profile": "a", "region": "r1"}, "access_key": "AKIA", "secret_key": "s"}
    assert inventory.places(options)[0].settings == {"profile": "a", "region": "r1"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": {"profil": "a"}}, "source has no option profil. Did you mean profile?"),
        ({"sources": [{"profile": "a"}, {"rolearn": "x"}]}, "sources[1] has no option rolearn. Did you mean role_arn?"),
        ({"source": {"profile": "a"}, "sources": [{"profile": "b"}]}, "Give one of them."),
        ({"sources": ["legacy"]}, "sources[0] is not a mapping."),
    ],
)
def test_wrong_sources_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        inventory.places(options)
    assert words in str(refused.value)


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(InvalidInput, match=r"no option exlude\. Did you mean exclude\?"):
        inventory.require_known(["plugin", "exlude"], {"plugin", "include", "exclude"}, "The inventory")
    with pytest.raises(InvalidInput, match="Use only exclude, include"):
        inventory.require_known(["xyz"], {"include", "exclude"}, "The inventory")


def test_sizes_have_units() -> None:
    wish = inventory.wish_of({"min_size": "0", "max_size": "2K"}, human_to_bytes)
    assert (wish.min_bytes, wish.max_bytes) == (0, 2048)
    with pytest.raises(InvalidInput, match="max_size is much"):
        inventory.wish_of({"max_size": "much"}, human_to_bytes)
    with pytest.raises(InvalidInput, match="include_tags is not a mapping"):
        inventory.wish_of({"include_tags": ["team"]}, human_to_bytes)


def test_the_cache_knows_what_was_asked_and_no_secret() -> None:
    place, wish = inventory.Place({"profile": "a", "region": "r1", "secret_key": "s1"}, 0), Wish()
    key = inventory.fingerprint(place, wish, False)
    assert key == inventory.fingerprint(inventory.Place({**place.settings, "secret_key": "s2"}, 0), wish, False)
    assert key != inventory.fingerprint(inventory.Place({**place.settings, "region": "r2"}, 0), wish, False)
    assert key != inventory.fingerprint(place, Wish(include=("a",)), False)
    assert key != inventory.fingerprint(place, wish, True)
    found = [inventory.Found(place, TableListing((TABLE,))), inventory.Found(place, TableListing((), ("no tags",)))]
    assert inventory.to_cache(found[:1], wish, False) == {key: [TABLE]}
    assert inventory.to_cache(found[1:], wish, False) == {}


def row(state: str, table_id: str = "one") -> dict[str, Any]:
    return {"name": "orders", "state": state, "source_table_id": table_id}


@pytest.mark.parametrize(
    ("rows", "state"),
    [
        ([], "none"),
        ([row("done")], "done"),
        ([row("done"), row("filling")], "filling"),
        ([row("done"), row("unreadable", "")], "unreadable"),
        ([row("done", "another")], "source_replaced"),
    ],
)
def test_the_state_is_that_of_the_record_that_is_least_far(rows: list[dict[str, Any]], state: str) -> None:
    variables = inventory.record_variables(TABLE, rows)
    assert variables == {"dynamodb_table_records": rows, "dynamodb_table_record_state": state}


def test_no_variable_is_reserved_or_unknown_to_the_playbooks() -> None:
    names = {*inventory.table_variables(TABLE), *inventory.record_variables(TABLE, []), *WRITTEN}
    assert {"ferry_source", "ferry_table", "ferry_destination"} <= WRITTEN
    assert names & get_reserved_names() == set()
    assert {name for name in WRITTEN if name.startswith("ferry_")} <= set(VARIABLES)


def test_the_account_of_the_tables_is_held_to() -> None:
    place = inventory.Place({"profile": "a", "region": "eu-west-1"}, 0)
    assert inventory.source_variable(place, TABLE) == {**place.settings, "account_id": "111111111111"}
    assert inventory.group_of(TABLE) == "dynamodb_111111111111_eu_west_1"
