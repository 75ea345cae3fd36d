# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of the source through the steps: the destination ends as if the end of the source had been copied."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidTransform, ServiceError
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.compiled import Transform, Writes
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Following
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import TableSchemas
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.tally import Tally
from tests.unit.core.items.strategies import to_bytes
from tests.unit.core.items.transform.building import Item, schema, table, transform

SOURCE = TableSchemas(schema("pk:S", "sk:N"), {"by-mail": schema("mail:S")})
FILE = """
def change(item):
    if item.get("n", {}).get("N") == "1":
        return None
    return {**item, "made": {"S": "by a function"}, "pk": {"S": "F" + item["pk"]["S"]}}

def keys(item):
    return {"pk": {"S": item["pk"]["S"] + "/f"}}
"""
VALUES = {":gone": {"S": "gone"}, ":s": {"S": "S"}, ":k": {"S": "b"}}

OF_KEYS: list[list[Item]] = [
    [],
    [{"keep_if": "mail <> :gone"}, {"cast": {"n": "N"}}],
    [{"rename": {"pk": "user", "mail": "address"}}, {"hash": ["user"]}, {"set": {"sk": "S#{sk}", "x": "{address}"}}],
    [{"keep_if": "pk < :k"}, {"set": {"pk": "T#{pk}"}}, {"drop": "n"}, {"cast": {"pk": "B"}}],
    [{"rename": {"n": "mail"}}, {"keep": ["mail"]}],
    [{"replace": {"pk": ["^a", "aa"]}}, {"cast": {"sk": "S"}}],
]
OF_IMAGES: list[list[Item]] = [
    [{"keep_if": "attribute_type(mail, :s)"}, {"set": {"pk": "{mail}#{pk}"}}],
    [{"python": {"function": "f.py:change", "attributes": "all"}}, {"cast": {"n": "S"}}],
    [{"python": {"function": "f.py:keys", "attributes": ["pk"]}}, {"keep_if": "mail <> :gone"}],
    [
        {"keep_if": "attribute_type(mail, :s)"},
        {"rename": {"pk": "old"}},
        {"set": {"pk": "{mail}"}},
        {"cast": {"n": "N"}},
    ],
]

keys = st.tuples(st.sampled_from("abc"), st.sampled_from(["1", "2"]))
others = st.fixed_dictionaries(
    {},
    optional={
        "mail": st.sampled_from([{"S": "gone"}, {"S": "m"}, {"S": ""}, {"N": "1"}]),
        "n": st.sampled_from([{"N": "1"}, {"S": "1"}, {"S": "x"}, {"NULL": True}]),
    },
)
histories = st.lists(st.tuples(keys, st.one_of(st.none(), others)), max_size=14)


def key_of(made: Transform, item: Item) -> str:
    return json.dumps([item[attribute.name] for attribute in made.keys.destination.table.attributes])


def compiled(steps: list[Item], following: Following) -> Transform:
    used = re.findall(r"[ (](:\w)", str(steps))
    values = {alias: value for alias, value in VALUES.items() if any(alias.startswith(each) for each in used)}
    old = schema("pk:S", "sk:N") if "old" in str(steps) else None
    return transform(*steps, source=SOURCE, values=values, files={"f.py": FILE}, following=following, destination=old)


def replayed(
    made: Transform, history: list[tuple[tuple[str, str], Item | None]], images: bool
) -> tuple[list[Item], dict]:
    """The source at the end, and the destination after all changes."""
    source: dict[tuple[str, str], Item] = {}
    destination: dict[str, Item] = {}
    for (pk, sk), attributes in history:
        key = {"pk": {"S": pk}, "sk": {"N": sk}}
        old = source.pop((pk, sk), None)
        new = None if attributes is None else {**key, **attributes}
        if new is not None:
            source[pk, sk] = new
        elif old is None:
            continue  # a delete of what is not there is no change
        old_image = to_bytes(old) if images and old else None
        writes = made.of_change(to_bytes(key), to_bytes(new) if new else None, old_image, Tally())
        for each in writes.deletes:
            destination.pop(key_of(made, json.loads(each)), None)
        for put in writes.puts:
            item = json.loads(bytes(put))
            destination[key_of(made, item)] = item
    return list(source.values()), destination


@pytest.mark.parametrize("steps", OF_KEYS, ids=str)
@settings(max_examples=60)
@given(histories, st.booleans())
def test_changes_end_in_the_same_table_as_the_end_of_the_source(steps, history, images):
    made = compiled(steps, Following.KEYS)
    source, destination = replayed(made, history, images)
    assert destination == {key_of(made, item): item for item in table(made, source)}


@pytest.mark.parametrize("steps", OF_IMAGES, ids=str)
@settings(max_examples=60)
@given(histories)
def test_with_old_images_keys_may_be_made_of_all_attributes(steps, history):
    made = compiled(steps, Following.IMAGES)
    assert not made.keys.of_keys
    if "old" in str(steps):  # items of one mail would be one item
        history = [each for each in history if each[0] == ("a", "1")]
    source, destination = replayed(made, history, images=True)
    assert destination == {key_of(made, item): item for item in table(made, source)}


def test_what_a_change_is_in_the_destination():
    made = compiled(OF_KEYS[2], Following.KEYS)
    tally = Tally()
    key = b'{"pk":{"S":"a"},"sk":{"N":"1.0"}}'
    (delete,) = made.of_change(key, None, None, tally).deletes
    assert json.loads(delete)["sk"] == {"S": "S#1"} and set(json.loads(delete)) == {"user", "sk"}
    writes = made.of_change(key, b'{"pk":{"S":"a"},"sk":{"N":"1"},"n":{"N":"1"}}', None, tally)
    assert writes.deletes == () and len(writes.puts) == 1
    assert (tally.read, tally.made) == (1, 1)


def test_without_steps_a_change_is_what_it_was():
    new = b'{ "pk":{"S":"a"}, "sk":{"N":"1"} }'
    writes = transform(source=SOURCE).of_change(b'{"pk":{"S":"a"},"sk":{"N":"1"}}', new, None, Tally())
    assert writes == Writes((new,), ()) and writes.puts[0] is new


def test_an_item_that_is_kept_out_or_refused_is_deleted_and_counted():
    made = compiled(OF_KEYS[1], Following.KEYS)
    tally = Tally()
    key = {"pk": {"S": "a"}, "sk": {"N": "1"}}
    for new in ({**key, "mail": {"S": "gone"}}, {**key, "n": {"S": "x"}}):
        assert made.of_change(to_bytes(key), to_bytes(new), None, tally) == Writes((), (to_bytes(key),))
    assert (tally.kept_out, tally.refused) == ({1: 1}, {2: 1})


def test_a_deleted_item_without_the_old_image_that_its_key_needs():
    made = compiled(OF_IMAGES[0], Following.IMAGES)
    with pytest.raises(ServiceError, match="came without its old image"):
        made.of_change(b'{"pk":{"S":"a"},"sk":{"N":"1"}}', None, None, Tally())


def test_a_function_whose_work_on_the_key_is_undone_is_not_called_with_keys_alone():
    """It may need more than these."""
    steps = {"python": {"function": "f.py:change", "attributes": "all"}}, {"set": {"pk": "same", "sk": 5}}
    made = transform(*steps, source=SOURCE, files={"f.py": FILE}, following=Following.IMAGES)
    key = b'{"pk":{"S":"a"},"sk":{"N":"1"}}'
    assert not made.keys.of_keys
    assert made.of_change(key, None, key, Tally()).deletes == (b'{"pk":{"S":"same"},"sk":{"N":"5"}}',)
    with pytest.raises(InvalidTransform, match="made of more"):
        transform(*steps, source=SOURCE, files={"f.py": FILE}, following=Following.KEYS)


def test_an_item_that_can_have_no_key_stands_nowhere():
    steps = {"drop": "x"}, {"keep_if": "attribute_type(x, :s)"}
    made = transform(
        *steps, source=SOURCE, values={":s": {"S": "S"}}, destination=schema("x:S"), following=Following.KEYS
    )
    item = b'{"pk":{"S":"a"},"sk":{"N":"1"},"x":{"S":"y"}}'
    assert made.of_change(b'{"pk":{"S":"a"},"sk":{"N":"1"}}', item, None, Tally()) == Writes()
