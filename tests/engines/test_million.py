# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A million items: copied and verified, none lost, none doubled, each of five differences found."""

from __future__ import annotations

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.comparing import compare_tables
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import copy_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import Difference
from demo.tables import on_demand

MILLION = 1_000_000


def test_a_million_items_arrive_and_five_differences_among_them_are_found(accounts, tables):
    """On dynalite; DynamoDB Local takes three minutes for it, and gets a tenth."""
    items = MILLION if accounts.source.name == "dynalite" else MILLION // 10
    table = accounts.pair(on_demand(("id", "S")))
    accounts.pour("source", table, items)
    assert copy_items(*tables(table)).counts.items == items
    assert accounts.count("destination", table) == items
    changed = [f"item-{number:08d}" for number in (0, items // 3, items - 1)]
    for name in changed:
        accounts.put("destination", table, {"id": {"S": name}, "n": {"N": "-1"}})
    accounts.delete("destination", table, {"id": {"S": "item-00000042"}})
    accounts.put("destination", table, {"id": {"S": "nobody's"}})
    differences: list[Difference] = []
    result = compare_tables(*tables(table), report=differences.append)
    assert (result.items_source, result.items_destination) == (items, items)
    expected = {("different", name) for name in changed} | {("missing", "item-00000042"), ("extra", "nobody's")}
    assert {(difference.kind, difference.key["id"]["S"]) for difference in differences} == expected
    assert len(differences) == len(expected)
