# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The destination's key and indexes, as the steps make them of the source's, and whether items stay apart."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import (
    TableSchemas,
    schemas_of,
)
from tests.unit.core.items.transform.building import INDEXED, ONE_KEY, SALTS, TWO_KEYS, outcome, schema, transform

ALL = {"python": {"function": "f.py:f", "attributes": "all"}}
FILES = {"f.py": "def f(item):\n    return item\n"}


@pytest.mark.parametrize(
    ("steps", "key"),
    [
        ([], ["pk:S", "sk:N"]),
        ([{"rename": {"pk": "user", "sk": "at"}}], ["user:S", "at:N"]),
        ([{"rename": {"pk": "sk", "sk": "pk"}}], ["sk:S", "pk:N"]),
        ([{"rename": {"pk": "x"}}, {"rename": {"x": "y"}}, {"cast": {"y": "B", "sk": "iso8601"}}], ["y:B", "sk:S"]),
        ([{"cast": {"sk": "S"}}, {"cast": {"sk": "N"}}], ["pk:S", "sk:N"]),
        ([{"hash": ["sk", "pk"]}], ["pk:S", "sk:S"]),
        ([{"set": {"sk": "{sk}#{pk}"}}], ["pk:S", "sk:S"]),
        ([{"drop": "sk"}, {"set": {"sk": "all"}}], ["pk:S", "sk:S"]),
        ([{"rename": {"pk": "user"}}, {"drop": "pk"}, {"keep": "mail"}], ["user:S", "sk:N"]),
        ([{"set": {"pk": {"B": "aGk="}}}], ["pk:B", "sk:N"]),
        ([{"rename": {"sk": "old", "pk": "sk"}}, {"set": {"sk": "S#{sk}"}}, {"cast": {"sk": "B"}}], ["sk:B", "old:N"]),
        ([ALL], ["pk:S", "sk:N"]),
        ([{"rename": {"pk": "user"}}, ALL], ["user:S", "sk:N"]),
        ([{"rename": {"pk": "user"}}, {"set": {"pk": "P#{user}", "x": "{pk}"}}, {"drop": "pk"}], ["user:S", "sk:N"]),
        ([{"cast": {"sk": "S"}}, {"python": {"function": "f.py:f", "attributes": ["sk"]}}], ["pk:S", "sk:N"]),
    ],
)
def test_the_key_follows_the_steps(steps, key):
    assert transform(*steps, source=INDEXED, files=FILES).keys.destination.table == schema(*key)


def test_indexes_follow_too():
    keys = transform({"rename": {"mail": "address", "pk": "user"}}, {"cast": {"day": "S"}}, source=INDEXED).keys
    assert keys.destination.indexes == {
        "by-mail": schema("address:S"),
        "by-day": schema("day:S", "user:S"),
        "local": schema("user:S", "rank:N", local=True),
    }
    assert keys.lost == {}


def test_indexes_that_lose_their_key_are_named_with_the_reason():
    steps = {"drop": "mail"}, {"rename": {"day": "date"}}, {"set": {"day": "today"}}
    keys = transform(*steps, source=INDEXED).keys
    assert set(keys.destination.indexes) == {"local"}
    assert keys.lost == {
        "by-mail": "a step drops its key attribute mail",
        "by-day": "its key attribute day was renamed to date, and another value has its name now",
    }
    for destination in (schema("sk:N", "pk:S"), schema("pk:S")):
        keys = transform(source=INDEXED, destination=destination).keys
        assert keys.lost == {"local": "a local index has the partition key of its table, which has a sort key"}


def test_an_index_whose_key_attribute_has_another_type_in_the_tables_key_is_lost():
    steps = {"python": {"function": "f.py:f", "attributes": ["mail"]}}
    keys = transform(steps, source=INDEXED, files=FILES, destination=schema("mail:N")).keys
    assert keys.lost["by-mail"] == (
        "its key attribute mail has another type in the key of the table or of another index"
    )


@pytest.mark.parametrize(
    ("apart", "steps"),
    [
        (True, []),
        (
            True,
            [
                {"rename": {"pk": "user"}},
                {"hash": ["user", "sk"]},
                {"drop": "other"},
                {"keep_if": "attribute_exists(a)"},
            ],
        ),
        (True, [{"set": {"pk": "TENANT#acme#{pk}", "sk": "{sk}"}}]),
        (True, [{"cast": {"sk": "S", "pk": "B"}}, {"cast": {"pk": "S"}}]),
        (
            True,
            [
                {"set": {"a": "{pk}"}},
                {"replace": {"a": ["x", "y"]}},
                {"python": {"function": "f.py:f", "attributes": ["a"]}},
            ],
        ),
        (True, [{"cast": {"sk": "iso8601"}}]),
        (False, [{"set": {"pk": "{pk}#{sk}"}}, {"set": {"sk": 5}}]),
        (False, [{"set": {"pk": "{sk}"}}]),
        (False, [{"replace": {"pk": ["^U#", ""]}}]),
        (False, [{"cast": {"sk": "S"}}, {"cast": {"sk": "N"}}]),
        (False, [{"set": {"pk": "same"}}]),
        (False, [{"cast": {"pk": "epoch_seconds"}}]),
        (False, [{"python": {"function": "f.py:f", "attributes": ["pk"]}}]),
        (False, [{"python": {"function": "f.py:f", "attributes": "all"}}]),
        (False, [{"python": {"function": "f.py:f", "attributes": ["a"], "several": True}}]),
    ],
)
def test_whether_two_items_can_become_one(apart, steps):
    assert transform(*steps, source=INDEXED, files=FILES, values={}).keys.apart is apart


@pytest.mark.parametrize(
    ("heads", "steps"),
    [
        ({}, []),
        ({"pk": "TENANT#acme#"}, [{"set": {"pk": "TENANT#acme#{pk}"}}]),
        ({"user": "T#"}, [{"set": {"pk": "T#{pk}"}}, {"rename": {"pk": "user"}}]),
        ({"pk": "A#T#", "sk": "T#"}, [{"set": {"sk": "T#{sk}"}}, {"set": {"pk": "A#{sk}{pk}"}}]),
        ({"pk": "T#"}, [{"set": {"pk": "T#{pk}"}}, {"set": {"pk": "{pk}#{sk}"}}]),
        ({"sk": "acme"}, [{"set": {"sk": "acme"}}]),
        ({"sk": "acme"}, [{"set": {"sk": {"S": "acme"}}}]),
        ({"pk": "T#"}, [{"set": {"pk": "T#{pk}"}}, {"keep_if": "attribute_exists(a)"}, {"drop": "a"}]),
        ({}, [{"set": {"pk": "{pk}#acme"}}]),
        ({}, [{"set": {"sk": 5}}]),
        ({}, [{"set": {"pk": "T#{pk}"}}, {"replace": {"pk": ["^T", "U"]}}]),
        ({}, [{"set": {"pk": "T#{pk}"}}, {"hash": ["pk"]}]),
        ({}, [{"set": {"pk": "T#{pk}"}}, {"cast": {"pk": "B"}}]),
        ({}, [{"set": {"pk": "T#{pk}"}}, {"python": {"function": "f.py:f", "attributes": ["pk"]}}]),
        ({}, [{"set": {"pk": "T#{pk}"}}, {"python": {"function": "f.py:f", "attributes": "all"}}]),
        ({}, [{"set": {"mail": "T#{pk}"}}]),
    ],
)
def test_the_constant_text_that_keys_begin_with(heads, steps):
    assert transform(*steps, source=INDEXED, files=FILES, values={}).keys.heads == heads


def test_another_key_of_the_destination_keeps_items_apart_only_with_the_whole_key_in_it():
    assert not transform(source=TWO_KEYS, destination=schema("pk:S")).keys.apart
    assert transform(source=TWO_KEYS, destination=schema("sk:S", "pk:S")).keys.apart
    assert transform(source=ONE_KEY, destination=schema("pk:S")).keys.apart
    guard = {"keep_if": "attribute_type(user, :s)"}
    made = transform(guard, destination=schema("user:S"), values={":s": {"S": "S"}})
    assert not made.keys.apart and not made.keys.of_keys


def test_a_condition_that_demands_an_attribute_makes_it_fit_for_a_key():
    values = {":s": {"S": "S"}, ":x": {"S": "x"}, ":n": {"N": "1"}}

    def keyed(condition: str, kind: str = "S") -> TableSchemas:
        used = {alias: value for alias, value in values.items() if alias in condition}
        return transform({"keep_if": condition}, destination=schema(f"user:{kind}"), values=used).keys.destination

    for condition in ("attribute_exists(user)", "attribute_type(user, :s)", "user > :x AND attribute_exists(a)",
                      "begins_with(user, :x)", "user IN (:x, :s)", "user BETWEEN :s AND :x",
                      "contains(user, :x)"):  # fmt: skip
        assert keyed(condition).table == schema("user:S")
    assert keyed("user = :n", "N").table == schema("user:N")
    for condition in ("attribute_not_exists(user)", "user <> :x", "NOT attribute_exists(user)", "user = :n",
                      "attribute_exists(user) OR attribute_exists(a)", "size(user) > :n"):  # fmt: skip
        with pytest.raises(Exception, match=r"possibly left unset|has the type N"):
            keyed(condition)


def test_what_never_is_there_brings_no_key_back():
    for step in ({"cast": {"mail": "N"}}, {"rename": {"x": "mail"}}, {"set": {"mail": "{x}"}}, {"hash": ["mail"]}):
        keys = transform({"drop": ["mail", "x"]}, step, source=INDEXED).keys
        assert keys.lost == {"by-mail": "a step drops its key attribute mail"}
    assert transform({"drop": "mail"}, {"rename": {"x": "mail"}}, source=INDEXED).keys.lost == {}


def test_two_key_attributes_of_one_name_are_no_index():
    source = replace(
        INDEXED, indexes={"two": schema("mail:S", "day:N"), "by-mail": schema("mail:S"), "d": schema("day:N")}
    )
    keys = transform(ALL, {"rename": {"mail": "day"}}, source=source, files=FILES).keys
    assert keys.lost == {
        "two": "two of its key attributes get one name",
        "d": "its key attribute day has another type in the key of the table or of another index",
    }


def test_a_condition_tells_which_of_two_types_is_left():
    steps = {"set": {"day": "D#{month}"}}, {"keep_if": "attribute_type(day, :s)"}
    keys = transform(*steps, source=INDEXED, values={":s": {"S": "S"}}).keys
    assert keys.destination.indexes["by-day"] == schema("day:S", "pk:S")


def test_keys_are_looked_at_only_where_steps_write_them():
    assert (
        transform({"rename": {"pk": "user"}}, {"hash": ["sk"]}, {"cast": {"day": "S"}}, source=TWO_KEYS).keys.checks
        == ()
    )
    checks = transform({"set": {"mail": "M#{name}"}}, source=INDEXED).keys.checks
    assert [(check.attribute.name, check.most, check.index, check.step) for check in checks] == [
        ("mail", 2048, "by-mail", 1)
    ]


@pytest.mark.parametrize(
    ("mail", "reason"),
    [
        ({"S": ""}, "mail is empty, a key of the index by-mail"),
        ({"N": "5"}, "mail has the type N, as a key of the index by-mail it must have S"),
        ({"S": "ö" * 1025}, "mail is longer than 2048 bytes, a key of the index by-mail"),
    ],
)
def test_an_indexs_key_that_dynamodb_would_refuse_is_an_error_of_the_item(mail, reason):
    steps = transform({"drop": "mail"}, {"rename": {"x": "mail"}}, source=INDEXED)
    item = {"pk": {"S": "a"}, "sk": {"N": "1"}}
    items, (failure,), _ = outcome(steps, {**item, "x": mail})
    assert (items, str(failure)) == ([], f"step 2 (rename): {reason}")
    assert outcome(steps, item)[0] == [item]
    longest = {"S": "ö" * 1024}
    assert outcome(steps, {**item, "x": longest})[0] == [{**item, "mail": longest}]


def test_a_sort_key_is_shorter_than_a_partition_key():
    made = transform(source=TWO_KEYS, destination=schema("sk:S", "pk:S"))
    item = {"pk": {"S": "x" * 1025}, "sk": {"S": "y"}}
    assert [str(failure) for failure in outcome(made, item)[1]] == []  # without steps nothing is looked at
    made = transform({"drop": "a"}, source=TWO_KEYS, destination=schema("sk:S", "pk:S"))
    assert [str(each) for each in outcome(made, item)[1]] == ["pk is longer than 1024 bytes, a key of the table"]


def test_schemas_of_a_description():
    description = {
        "KeySchema": [{"AttributeName": "sk", "KeyType": "RANGE"}, {"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind} for name, kind in {"pk": "S", "sk": "N", "m": "B"}.items()
        ],
        "GlobalSecondaryIndexes": [{"IndexName": "g", "KeySchema": [{"AttributeName": "m", "KeyType": "HASH"}]}],
        "LocalSecondaryIndexes": [
            {
                "IndexName": "l",
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "m", "KeyType": "RANGE"}],
            }
        ],
    }
    indexes = {"g": schema("m:B"), "l": schema("pk:S", "m:B", local=True)}
    assert schemas_of(description) == TableSchemas(schema("pk:S", "sk:N"), indexes)


def test_a_transform_travels_as_its_definition():
    function = {"python": {"function": "f.py:f", "attributes": ["a"]}}
    made = transform(function, {"hash": ["a"]}, {"keep_if": "attribute_exists(a)"}, files=FILES)
    copy = pickle.loads(pickle.dumps(made))
    item = {"pk": {"S": "k"}, "a": {"S": "x"}}
    assert copy == made and outcome(copy, item)[0] == outcome(made, item)[0]
    assert SALTS["env:FERRY_SALT"].decode() not in repr(made)
