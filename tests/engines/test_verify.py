# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Full verification and repair on engines that others wrote."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.comparing import compare_sample, compare_tables
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import copy_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import CompareOptions, Difference
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.repairing import RepairOptions, repair
from demo.tables import ITEM_LIMIT, all_types, on_demand
from tests.engines.accounts import numbered

BY_ID = on_demand(("id", "S"))
BY_BINARY_AND_NUMBER = on_demand(("id", "B"), ("part", "N"))
# Items whose DynamoDB JSON differs on the way in and which are one all the same.
SAME = [
    ({"SS": ["a", "b", "c"]}, {"SS": ["c", "a", "b"]}),
    ({"NS": ["1", "2", "30"]}, {"NS": ["3E+1", "2.0", "1"]}),
    ({"BS": [b"\x00", b"\xff"]}, {"BS": [b"\xff", b"\x00"]}),
    ({"N": "1000"}, {"N": "1e3"}),
    ({"N": "0.5"}, {"N": ".50"}),
    ({"N": "0"}, {"N": "-0"}),
    ({"M": {"a": {"N": "1"}, "b": {"S": ""}}}, {"M": {"b": {"S": ""}, "a": {"N": "1.0"}}}),
    ({"L": [{"SS": ["x", "y"]}]}, {"L": [{"SS": ["y", "x"]}]}),
]
# One is not the other, however alike they look.
DIFFERENT = [
    ({"N": "1"}, {"S": "1"}),
    ({"S": ""}, {"NULL": True}),
    ({"S": "\u00e9"}, {"S": "e\u0301"}),
    ({"L": [{"S": "a"}, {"S": "b"}]}, {"L": [{"S": "b"}, {"S": "a"}]}),
    ({"SS": ["a"]}, {"L": [{"S": "a"}]}),
    ({"SS": ["1"]}, {"NS": ["1"]}),
    ({"B": b"a"}, {"S": "YQ=="}),
    ({"N": "12345678901234567890123456789012345678"}, {"N": "12345678901234567890123456789012345679"}),
    ({"BOOL": True}, {"BOOL": False}),
    ({"M": {}}, {"L": []}),
    ({"M": {"a": {"S": "b"}}}, {"M": {"a": {"S": "b"}, "c": {"NULL": True}}}),
]


def compared(tables, table, **options):
    """The comparison, and the differences that were reported."""
    differences: list[Difference] = []
    return compare_tables(*tables(table), CompareOptions(**options), differences.append), differences


def test_a_copy_of_every_type_is_equal(accounts, tables):
    table = accounts.pair(BY_BINARY_AND_NUMBER)
    accounts.fill("source", table, all_types())
    copy_items(*tables(table))
    result, differences = compared(tables, table)
    count = len(list(all_types()))
    assert (result.equal, result.items_source, result.items_destination, differences) == (True, count, count, [])


def test_one_value_in_two_forms_is_equal(accounts, tables):
    table = accounts.pair(BY_ID)
    for side, form in (("source", 0), ("destination", 1)):
        accounts.fill(side, table, ({"id": {"S": str(row)}, "v": both[form]} for row, both in enumerate(SAME)))
    result, differences = compared(tables, table)
    assert (result.equal, result.items_source, differences) == (True, len(SAME), [])


def test_two_values_that_look_alike_differ(accounts, tables):
    table = accounts.pair(BY_ID)
    for side, form in (("source", 0), ("destination", 1)):
        accounts.fill(side, table, ({"id": {"S": str(row)}, "v": both[form]} for row, both in enumerate(DIFFERENT)))
    result, differences = compared(tables, table)
    assert {difference.key["id"]["S"] for difference in differences} == {str(row) for row in range(len(DIFFERENT))}
    assert (result.different, result.missing, result.extra) == (len(DIFFERENT), 0, 0)


def test_one_byte_in_400_kb_is_found(accounts, tables):
    table = accounts.pair(BY_ID)
    payload = "x" * (ITEM_LIMIT - 100)
    accounts.fill("source", table, ({"id": {"S": str(row)}, "payload": {"S": payload}} for row in range(12)))
    copy_items(*tables(table))
    accounts.put("destination", table, {"id": {"S": "7"}, "payload": {"S": payload[:-1] + "y"}})
    _, differences = compared(tables, table)
    assert differences == [Difference("different", {"id": {"S": "7"}})]


@pytest.fixture
def with_five_differences(accounts, tables):
    """A copy in which three items were changed, one removed and one added; and the differences that must be found."""
    table = accounts.pair(BY_ID)
    accounts.fill("source", table, numbered(3_000))
    copy_items(*tables(table))
    for number in (0, 1_234, 2_999):
        changed = next(iter(numbered(1, size=39)))
        accounts.put("destination", table, {**changed, "id": {"S": f"item-{number:08d}"}})
    accounts.delete("destination", table, {"id": {"S": "item-00000042"}})
    accounts.put("destination", table, {"id": {"S": "nobody's"}, "n": {"N": "1"}})
    expected = {("different", f"item-{number:08d}") for number in (0, 1_234, 2_999)}
    return table, expected | {("missing", "item-00000042"), ("extra", "nobody's")}


def test_five_differences_are_found_exactly(tables, with_five_differences):
    table, expected = with_five_differences
    result, differences = compared(tables, table)
    assert {(difference.kind, difference.key["id"]["S"]) for difference in differences} == expected
    assert (len(differences), result.different, result.missing, result.extra) == (5, 3, 1, 1)


def test_a_sample_of_all_finds_them_too(tables, with_five_differences):
    table, expected = with_five_differences
    differences: list[Difference] = []
    compare_sample(*tables(table), 10_000, report=differences.append)
    assert {(difference.kind, difference.key["id"]["S"]) for difference in differences} == expected


@pytest.mark.parametrize("delete_extra", [False, True])
def test_repair_fixes_what_was_found(accounts, tables, with_five_differences, delete_extra):
    table, _ = with_five_differences
    _, differences = compared(tables, table)
    repaired = repair(*tables(table), differences, RepairOptions(delete_extra=delete_extra))
    assert (repaired.put, repaired.deleted, repaired.left) == (4, int(delete_extra), int(not delete_extra))
    again, left = compared(tables, table)
    assert again.equal is delete_extra
    assert left == ([] if delete_extra else [Difference("extra", {"id": {"S": "nobody's"}})])
    extra = [] if delete_extra else ["nobody's"]
    arrived = accounts.items("destination", table)
    assert [item for item in arrived if item["id"]["S"] not in extra] == accounts.items("source", table)


def test_repair_of_every_type(accounts, tables):
    """All items of the destination are wrong, each in another way; none is lost and none is left."""
    table = accounts.pair(BY_BINARY_AND_NUMBER)
    accounts.fill("source", table, all_types())
    keys = [{"id": item["id"], "part": item["part"]} for item in all_types()]
    accounts.fill("destination", table, ({**key, "wrong": {"N": str(row)}} for row, key in enumerate(keys[::2])))
    _, differences = compared(tables, table)
    assert len(differences) == len(keys)
    assert repair(*tables(table), differences).put == len(keys)
    assert accounts.items("destination", table) == accounts.items("source", table)


def test_repair_leaves_what_is_equal_by_now(accounts, tables, with_five_differences):
    table, _ = with_five_differences
    _, differences = compared(tables, table)
    copy_items(*tables(table))
    repaired = repair(*tables(table), differences)
    assert (repaired.equal, repaired.left, repaired.put) == (4, 1, 0)
