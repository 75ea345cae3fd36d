# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidTransform
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.compiled import compiled
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.tally import Tally
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import (
    choices_from,
    choices_of,
    definition_for,
    fingerprint,
    require_transform,
    time_to_live_after,
    transformed,
)

ORDERS = TableDefinition.from_dict(
    {
        "TableName": "orders",
        "TableArn": "arn:aws:dynamodb:eu-west-1:111111111111:table/orders",
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind}
            for name, kind in {"pk": "S", "sk": "N", "email": "S", "at": "N", "city": "S"}.items()
        ],
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "by_email",
                "KeySchema": [{"AttributeName": "email", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["name", "debug"]},
            },
            {
                "IndexName": "by_city",
                "KeySchema": [{"AttributeName": "city", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["debug"]},
            },
        ],
        "LocalSecondaryIndexes": [
            {
                "IndexName": "by_time",
                "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    }
)


def shape(*steps, **more):
    return transformed(ORDERS, choices_of(steps, **more))


def keys(definition, index=""):
    schemas = {"": definition.key_schema}
    for each in (*definition.global_secondary_indexes, *definition.local_secondary_indexes):
        schemas[each.name] = each.key_schema
    types = {entry["AttributeName"]: entry["AttributeType"] for entry in definition.attribute_definitions}
    return [(key["AttributeName"], key["KeyType"], types[key["AttributeName"]]) for key in schemas[index]]


def test_without_steps_the_table_is_the_source():
    assert choices_of([]) is None
    assert transformed(ORDERS, None) == (ORDERS, ())


def test_keys_indexes_and_projections_follow_renames_and_casts():
    made, left = shape({"rename": {"pk": "id", "email": "mail", "name": "full_name"}}, {"cast": {"sk": "S"}})
    assert not left
    assert keys(made) == [("id", "HASH", "S"), ("sk", "RANGE", "S")]
    assert keys(made, "by_email") == [("mail", "HASH", "S")]
    assert keys(made, "by_time") == [("id", "HASH", "S"), ("at", "RANGE", "N")]
    assert made.index("by_email").projection["NonKeyAttributes"] == ["full_name", "debug"]
    assert {entry["AttributeName"] for entry in made.attribute_definitions} == {"id", "sk", "mail", "at", "city"}
    assert made.arn == ORDERS.arn


def test_a_lost_index_is_left_with_the_reason_and_a_dropped_attribute_leaves_projections():
    made, left = shape({"drop": ["at", "debug"]})
    assert [(each.what, each.reason) for each in left] == [
        ("local_secondary_indexes.by_time", "a step drops its key attribute at")
    ]
    assert made.local_secondary_indexes == ()
    assert "at" not in {entry["AttributeName"] for entry in made.attribute_definitions}
    assert made.index("by_email").projection["NonKeyAttributes"] == ["name"]
    assert made.index("by_city").projection == {"ProjectionType": "KEYS_ONLY"}


def test_an_attribute_that_becomes_a_key_is_projected_once():
    steps = [{"drop": "sk"}, {"rename": {"name": "sk"}}, {"keep_if": "attribute_type(sk, :s)"}]
    key = {"partition": {"pk": "S"}, "sort": {"sk": "S"}}
    made, _left = shape(*steps, values={":s": {"S": "S"}}, destination_key=key)
    assert made.index("by_email").projection["NonKeyAttributes"] == ["debug"]


def test_a_key_that_cannot_be_told_is_given():
    steps = [{"rename": {"pk": "old"}}, {"set": {"pk": "T#{old}"}}]
    with pytest.raises(InvalidTransform, match="which of the two is the key"):
        shape(*steps)
    made, _left = shape(*steps, destination_key={"sort": {"sk": "N"}, "partition": {"pk": "S"}})
    assert keys(made) == [("pk", "HASH", "S"), ("sk", "RANGE", "N")]


@pytest.mark.parametrize(
    "given", [{"partition": "pk"}, {"sort": {"pk": "S"}}, {"hash": {"pk": "S"}}, {"partition": {}}]
)
def test_another_form_of_a_key_is_refused(given):
    with pytest.raises(InvalidTransform, match="destination_key"):
        choices_of([{"drop": "x"}], destination_key=given)


def test_what_belongs_to_steps_is_refused_without_them():
    with pytest.raises(InvalidTransform, match="transform_values is set, and there are no steps"):
        choices_of([], values={":a": {"S": "a"}})


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([{"rename": {"expires": "ttl"}}], ("ttl", "")),
        ([{"cast": {"expires": "N"}}], ("expires", "")),
        ([{"drop": "expires"}], ("", "a step drops its attribute expires")),
        ([{"keep": ["name"]}], ("", "a step drops its attribute expires")),
        ([{"cast": {"expires": "iso8601"}}], ("", "a step makes another type than N of its attribute expires")),
        (
            [{"rename": {"expires": "old"}}, {"set": {"expires": 5}}],
            ("", "its attribute expires was renamed to old, and another value has its name now"),
        ),
    ],
)
def test_time_to_live_follows_its_attribute(steps, expected):
    assert time_to_live_after(ORDERS, choices_of(steps), "expires") == expected


def test_the_shape_needs_no_salt_and_runs_no_function(tmp_path, monkeypatch):
    monkeypatch.delenv("FERRY_SALT", raising=False)
    (tmp_path / "t.py").write_text("raise SystemExit(7)\n")
    steps = [{"hash": ["pk"]}, {"python": {"function": "t.py:f", "attributes": ["x"]}}]
    made, _left = shape(*steps, folders=[str(tmp_path)])
    assert keys(made)[0] == ("pk", "HASH", "S")
    with pytest.raises(InvalidTransform, match=r"FERRY_SALT is not set.*random text") as refused:
        require_transform(choices_of(steps[:1]), ORDERS)
    assert refused.value.details["step"] == 1
    assert refused.value.table == "orders"


def test_salts_and_files_reach_the_definition_and_never_the_choices(tmp_path, monkeypatch):
    monkeypatch.setenv("FERRY_SALT", "pepper and salt")
    file = tmp_path / "files" / "t.py"
    file.parent.mkdir()
    file.write_text("def f(item):\n    return {'x': {'S': 'made'}}\n")
    steps = [{"hash": "name"}, {"python": {"function": "files/t.py:f", "attributes": ["x"]}}, {"drop_expired": "until"}]
    choices = choices_of(steps, folders=[str(tmp_path / "nowhere"), str(tmp_path)])
    assert "pepper" not in json.dumps(asdict(choices))
    again = choices_from(json.loads(json.dumps(asdict(choices))))
    transform = compiled(definition_for(again, ORDERS, 1000.0))
    item = b'{"pk":{"S":"a"},"sk":{"N":"1"},"name":{"S":"Ada"},"until":{"N":"1001"}}'
    (made,) = transform.of_item(item, Tally())
    assert json.loads(made)["x"] == {"S": "made"}
    assert json.loads(made)["name"] != {"S": "Ada"}
    assert transform.of_item(item.replace(b"1001", b"999"), Tally()) == []
    file.write_text("def f(item):\n    return None\n")
    with pytest.raises(InvalidTransform, match="the file was changed") as refused:
        definition_for(again, ORDERS, 1000.0)
    assert refused.value.details["step"] == 2


def test_a_missing_file_is_refused_with_its_step_and_where_it_was_looked_for(tmp_path):
    step = {"python": {"function": "files/t.py:f", "attributes": ["x"]}}
    with pytest.raises(InvalidTransform, match=f"there is no such file.*{tmp_path}") as refused:
        choices_of([{"drop": "y"}, step], folders=[str(tmp_path)])
    assert refused.value.details["step"] == 2


def test_the_fingerprint_tells_transforms_apart(tmp_path, monkeypatch):
    def of(steps, salt="pepper", **more):
        monkeypatch.setenv("FERRY_SALT", salt)
        choices = choices_of(steps, **more)
        return fingerprint(choices, definition_for(choices, ORDERS, None))

    hashed = [{"hash": ["name"]}]
    assert len(of(hashed)) == 16
    assert of(hashed) == of(hashed, errors="skip", on_collision="any", show_values=True)
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, text in ((one, "def f(item):\n    return item\n"), (other, "def f(item):\n    return None\n")):
        folder.mkdir()
        (folder / "t.py").write_text(text)
    python = [{"python": {"function": "t.py:f", "attributes": ["x"]}}]
    found = [
        of(hashed),
        of(hashed, salt="other"),
        of([{"hash": ["debug"]}]),
        of([{"drop": "name"}]),
        of([{"drop": "name"}], destination_key={"partition": {"pk": "S"}}),
        of([{"drop": ["#n"]}], names={"#n": "name"}),
        of([{"drop": ["#n"]}], names={"#n": "debug"}),
        of(python, folders=[str(one)]),
        of(python, folders=[str(other)]),
    ]
    assert len(set(found)) == len(found)


def test_a_vector_index_follows_its_attributes_or_is_left():
    vector_index = {
        "IndexName": "vec",
        "VectorAttribute": {"AttributeName": "embedding"},
        "SearchSchema": [{"AttributeName": "lang", "SearchType": "FILTER"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    attributes = [*ORDERS.attribute_definitions, {"AttributeName": "lang", "AttributeType": "S"}]
    table = TableDefinition.from_dict(
        {**ORDERS.raw, "AttributeDefinitions": attributes, "VectorIndexes": [vector_index]}
    )
    made, left = transformed(table, choices_of([{"rename": {"embedding": "vector", "lang": "language"}}]))
    assert not left
    assert made.vector_indexes[0]["VectorAttribute"] == {"AttributeName": "vector"}
    assert made.vector_indexes[0]["SearchSchema"][0]["AttributeName"] == "language"
    assert {"AttributeName": "language", "AttributeType": "S"} in made.attribute_definitions
    made, left = transformed(table, choices_of([{"drop": "embedding"}]))
    assert [each.what for each in left] == ["vector_indexes.vec"]
    assert made.vector_indexes == ()


def test_texts_and_containers_of_others_become_plain():
    class Text(str):
        __slots__ = ()

    class Mapped(dict):
        pass

    choices = choices_of([Mapped({Text("drop"): (Text("x"),)})], names=Mapped({"#a": Text("b")}))
    assert choices == choices_from(json.loads(json.dumps(asdict(choices))))
    step = choices.steps[0]
    assert {type(step), type(step["drop"]), type(step["drop"][0]), type(choices.names["#a"])} == {dict, list, str}
