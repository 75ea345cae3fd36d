# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which tables a user wants, and what their hosts are called."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.listing import (
    Pace,
    TableListing,
    Wish,
    facts_of,
    host_names,
    without_duplicates,
)


def table(
    name: str = "orders", region: str = "eu-west-1", account: str = "111111111111", **more: Any
) -> dict[str, Any]:
    return {
        "TableName": name,
        "TableArn": f"arn:aws:dynamodb:{region}:{account}:table/{name}",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        **more,
    }


def facts(*args: str) -> dict[str, Any]:
    return facts_of(TableDefinition.from_dict(table(*args)))


@pytest.mark.parametrize(
    ("wish", "taken"),
    [
        (Wish(), ["orders", "orders-archive", "Orders", "tmp_1"]),
        (Wish(include=("orders*",)), ["orders", "orders-archive"]),
        (Wish(include=("orders",)), ["orders"]),
        (Wish(exclude=("*-archive", r"~tmp_\d+")), ["orders", "Orders"]),
        (Wish(include=("~(?i)orders", "tmp_?")), ["orders", "Orders", "tmp_1"]),
        (Wish(include=("orders*",), exclude=("orders*",)), []),
    ],
)
def test_names_are_taken_by_patterns(wish: Wish, taken: list[str]) -> None:
    assert [name for name in ("orders", "orders-archive", "Orders", "tmp_1") if wish.takes_name(name)] == taken


@pytest.mark.parametrize(
    ("wish", "taken"),
    [
        (Wish(), True),
        (Wish(min_bytes=100, max_bytes=100), True),
        (Wish(min_bytes=101), False),
        (Wish(max_bytes=99), False),
        (Wish(max_bytes=0), False),
        (Wish(billing_mode="PROVISIONED"), True),
        (Wish(billing_mode="PAY_PER_REQUEST"), False),
    ],
)
def test_size_and_billing_mode_decide(wish: Wish, taken: bool) -> None:
    assert wish.takes_table(TableDefinition.from_dict(table(TableSizeBytes=100))) is taken


@pytest.mark.parametrize(
    ("tags", "taken"),
    [
        ({"team": "shop-1", "env": "prod"}, True),
        ({"team": "shop-1", "env": "prod", "keep": "no"}, True),
        ({"team": "shop-1", "env": "prod", "keep": "here"}, False),
        ({"team": "shop-1"}, False),
        ({"team": "bank", "env": "prod"}, False),
        ({}, False),
    ],
)
def test_tags_decide(tags: dict[str, str], taken: bool) -> None:
    wish = Wish(include_tags={"team": "shop*", "env": "prod"}, exclude_tags={"keep": "here"})
    assert wish.takes_tags(tags) is taken
    assert wish.needs_tags and not Wish(include=("orders",)).needs_tags


@pytest.mark.parametrize(
    "wish", [Wish(exclude=("~(",)), Wish(include_tags={"a": "~["}), Wish(min_bytes=2, max_bytes=1)]
)
def test_what_nothing_can_match_is_refused(wish: Wish) -> None:
    with pytest.raises(InvalidInput):
        wish.check()


def test_hosts_are_named_by_the_settings_and_not_by_the_neighbours() -> None:
    tables = [facts("orders"), facts("orders", "us-east-1"), facts("carts", "eu-west-1", "333333333333")]
    assert host_names(tables[:1], (), regions=False, accounts=False) == ["orders"]
    assert host_names(tables[:2], (), regions=True, accounts=False) == ["orders.eu-west-1", "orders.us-east-1"]
    assert host_names(tables[:1], (), regions=True, accounts=True) == ["orders.eu-west-1.111111111111"]
    assert len(set(host_names(tables, (), regions=True, accounts=True))) == 3


def test_names_that_mean_something_to_ansible_are_changed_and_stay_unique() -> None:
    tables = [facts(name) for name in ("all", "table_all", "localhost", "-x-", "fine")]
    names = host_names(tables, ("all", "localhost"), regions=False, accounts=False)
    assert names == ["table_table_all", "table_all", "table_localhost", "table_-x-", "fine"]


def test_a_table_of_two_sources_is_one() -> None:
    listings = [TableListing((facts("orders"),), ("first",)), TableListing((facts("orders"), facts("carts")))]
    assert [[each["name"] for each in listing.tables] for listing in without_duplicates(listings)] == [
        ["orders"],
        ["carts"],
    ]


def test_calls_are_paced() -> None:
    now = [0.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(10, sleep, lambda: now[0])
    for _call in range(4):
        pace.wait()
    now[0] += 5
    pace.wait()
    assert slept == pytest.approx([0.1, 0.1, 0.1])


def test_facts_have_tags_only_where_they_were_read() -> None:
    definition = TableDefinition.from_dict(
        table(
            LocalSecondaryIndexes=[{"IndexName": "by-day", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}],
            ItemCount=3,
        )
    )
    assert "tags" not in facts_of(definition)
    read = facts_of(definition, {})
    assert (read["tags"], read["local_indexes"], read["item_count"], read["account_id"], read["key"]) == (
        {},
        ["by-day"],
        3,
        "111111111111",
        ["id"],
    )
