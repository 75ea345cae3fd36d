# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random lists of steps: what is said of the destination's keys before anything starts holds for all items."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidTransform
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.compiled import Transform
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Following
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import KeySchema
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.tally import Tally
from lab.dynamodb import values as lab_values
from tests.unit.core.items.strategies import to_bytes
from tests.unit.core.items.transform.building import INDEXED, Item, outcome, schema, transform
from tests.unit.core.items.transform.test_changes import key_of, replayed

FILES = {
    "f.py": "def same(item):\n    return item\n\n"
    "def none(item):\n    return None if 'n' in item else item\n\n"
    "def turn(item):\n    return {**item, 'pk': {'S': item['pk']['S'][::-1]}} if 'S' in item.get('pk', {}) else item\n"
}
VALUES = {":s": {"S": "S"}, ":b": {"S": "b"}, ":n": {"N": "1"}}
names = st.sampled_from(["pk", "sk", "mail", "day", "rank", "n", "x", "y", "m.a"])
attributes = names.filter(lambda name: "." not in name)
forms = st.sampled_from(["S", "N", "B", "iso8601", "epoch_seconds", "json", "BOOL"])
texts = st.lists(st.one_of(names.map("{{{}}}".format), st.sampled_from(["#", "T", "5"])), min_size=1, max_size=3)
conditions = st.sampled_from(["mail <> :b", "pk < :b OR attribute_exists(n)", "attribute_type(mail, :s) AND n = :n",
                              "attribute_type(x, :s)", "attribute_exists(y)", "NOT sk = :n"])  # fmt: skip


def some(strategy: Any) -> Any:
    return st.lists(strategy, min_size=1, max_size=2, unique=True)


def mapping(values: Any, keys: Any = names) -> Any:
    return st.dictionaries(keys, values, min_size=1, max_size=2)


def python(function: str, attributes: Any) -> Any:
    return attributes.map(lambda each: {"function": f"f.py:{function}", "attributes": each})


steps = st.one_of(
    conditions.map(lambda each: {"keep_if": each}),
    attributes.map(lambda each: {"drop_expired": each}),
    some(names).map(lambda each: {"drop": each}),
    some(names).map(lambda each: {"keep": each}),
    mapping(attributes).map(lambda each: {"rename": each}),
    mapping(st.one_of(texts.map("".join), st.sampled_from([5, True, {"B": "aGk="}])), attributes).map(
        lambda each: {"set": each}
    ),
    mapping(st.sampled_from([["^a", "b"], ["[ab]", ""], ["x", "x"]])).map(lambda each: {"replace": each}),
    mapping(forms).map(lambda each: {"cast": each}),
    some(names).map(lambda each: {"hash": each}),
    st.one_of(
        python("same", st.one_of(st.just("all"), some(attributes))),
        python("none", st.just("all")),
        python("turn", st.just(["pk"])),
    ).map(lambda each: {"python": each}),
)
lists = st.lists(steps, min_size=1, max_size=5)
destinations = st.sampled_from(
    [None, None, schema("sk:N", "pk:S"), schema("pk:S"), schema("x:S"), schema("mail:S", "pk:S")]
)
plain = st.sampled_from([{"S": "a"}, {"S": "5"}, {"S": ""}, {"N": "1"}, {"BOOL": True}, {"M": {"a": {"S": "b"}}}])
others = st.fixed_dictionaries(
    {},
    optional={
        "mail": st.sampled_from([{"S": "a"}, {"S": "b"}, {"S": "1"}]),
        "day": st.sampled_from([{"N": "1"}, {"N": "20"}]),
        "rank": st.just({"N": "3"}),
        "n": plain, "x": plain, "y": plain, "m": plain,
    },
)  # fmt: skip
keys = st.tuples(st.sampled_from(["a", "b", "ab", "5"]), st.sampled_from(["1", "5", "20"]))
histories = st.lists(st.tuples(keys, st.one_of(st.none(), others)), max_size=10)


def compiled(given_steps: list[Item], destination: KeySchema | None, following: Following) -> Transform | None:
    """The steps compiled, None where they are refused."""
    asked = {alias for step in given_steps for alias in re.findall(r":\w+", str(step.get("keep_if", "")))}
    used = {alias: VALUES[alias] for alias in asked}
    try:
        return transform(
            *given_steps,
            source=INDEXED,
            at=1e9,
            values=used,
            files=FILES,
            destination=destination,
            following=following,
        )
    except InvalidTransform as error:
        assert error.next_step
        return None


@settings(max_examples=400)
@given(lists, destinations, st.dictionaries(keys, others, min_size=1, max_size=5))
def test_each_item_has_the_keys_that_were_told(given_steps, destination, source):
    made = compiled(given_steps, destination, Following.NOTHING)
    if made is None:
        return
    seen = set()
    for (pk, sk), attributes_ in source.items():
        items, _, _ = outcome(made, {"pk": {"S": pk}, "sk": {"N": sk}, **attributes_})
        for item in items:
            lab_values.canonical_item(item)
            for index, each in made.keys.destination:
                for attribute in each.attributes:
                    assert not index or attribute.name not in item or attribute.type in item[attribute.name]
                    assert index or item[attribute.name][attribute.type]
            for name, head in made.keys.heads.items():
                assert item[name]["S"].startswith(head)
            key = key_of(made, item)
            assert not made.keys.apart or key not in seen
            seen.add(key)


@settings(max_examples=300)
@given(lists, destinations, histories)
def test_changes_end_in_the_same_table(given_steps, destination, history):
    for following in (Following.KEYS, Following.IMAGES):
        made = compiled(given_steps, destination, following)
        if made is None or not made.keys.apart:
            continue
        source, copied = replayed(made, history, images=following is Following.IMAGES)
        tally = Tally()
        whole = [json.loads(bytes(each)) for item in source for each in made.of_item(to_bytes(item), tally)]
        assert tally.balanced
        assert copied == {key_of(made, item): item for item in whole}
