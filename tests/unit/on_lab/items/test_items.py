# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copying, comparing and repairing against the lab, which is as strict as AWS: signatures, limits, conditions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    AccessDenied,
    CredentialsError,
    DestinationChanging,
    ItemRefused,
    MissingTable,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyAttribute
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Client, Endpoint, RetryPolicy
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.comparing import compare_sample, compare_tables
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyOptions, copy_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import CompareOptions, Difference
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.lanes import Lanes
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.repairing import (
    RepairOptions,
    RepairResult,
    repair,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.scan import count_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import ItemTable, find_table
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.throttle import Rate
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Definition
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import KeySchema, TableSchemas
from lab.client import RunningLab, running

HASTY = RetryPolicy(first=0.001, longest=0.01, seconds=20.0, connecting=5.0)
MANY_TYPES: dict[str, Any] = {
    "s": {"S": 'é\n"\\/\u2028😀'},
    "empty": {"S": ""},
    "n": {"N": "1E+3"},
    "large": {"N": "9.9999999999999999999999999999999999999E+125"},
    "small": {"N": "-1E-130"},
    "b": {"B": b"\x00\xff"},
    "nothing": {"NULL": True},
    "bool": {"BOOL": False},
    "ss": {"SS": ["b", "a"]},
    "ns": {"NS": ["2", "1.50"]},
    "bs": {"BS": [b"\x01", b""]},
    "l": {"L": [{"M": {}}, {"L": []}, {"N": "0"}]},
    "m": {"M": {"with.dot": {"M": {"deep": {"B": b""}}}}},
}


def hash_and_range(hash_type: str, range_type: str) -> dict[str, Any]:
    return {
        "KeySchema": [
            {"AttributeName": "p k", "KeyType": "HASH"},
            {"AttributeName": "sort", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": "sort", "AttributeType": range_type},
            {"AttributeName": "p k", "AttributeType": hash_type},
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }


class Bench:
    """A lab, and tables on both of its sides."""

    def __init__(self, lab: RunningLab) -> None:
        self.lab = lab
        self.clients = {side: lab.client("dynamodb", side) for side in ("source", "destination")}

    def endpoint(self, side: str, keys: dict[str, str] | None = None) -> Endpoint:
        told = keys or self.lab.landscape["accounts"][side]
        credentials = SimpleNamespace(
            access_key=told["access_key"],
            secret_key=told["secret_key"],
            session_token=told.get("session_token", ""),
        )
        return Endpoint(self.lab.endpoint_url, self.lab.landscape["region"], lambda: credentials, side)

    def make(self, name: str, **shape: Any) -> None:
        for client in self.clients.values():
            client.create_table(TableName=name, **{**hash_and_range("S", "N"), **shape})
        self.lab.advance(100)

    def put(self, side: str, name: str, *items: dict[str, Any]) -> None:
        puts = [{"PutRequest": {"Item": item}} for item in items]
        for batch in (puts[start : start + 25] for start in range(0, len(puts), 25)):
            assert not self.clients[side].batch_write_item(RequestItems={name: batch})["UnprocessedItems"]

    def found(self, name: str, side: str = "source", keys: dict[str, str] | None = None) -> ItemTable:
        return find_table(self.endpoint(side, keys), name, HASTY)

    def pair(self, name: str) -> tuple[ItemTable, ItemTable]:
        return self.found(name), self.found(name, "destination")

    def items(self, side: str, name: str) -> list[dict[str, Any]]:
        pages = self.clients[side].get_paginator("scan").paginate(TableName=name, ConsistentRead=True)
        return sorted((item for page in pages for item in page["Items"]), key=repr)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """One lab for all tests, without AWS's pace for control plane calls."""
    with running(scale=0.0, quotas=False) as lab:
        yield Bench(lab)


@pytest.fixture(autouse=True)
def no_faults(bench):
    """What a test planned ends with it."""
    yield
    bench.lab.clear_faults()


def numbered(count: int, **others: Any) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {"p k": {"S": f"p{number % 7}"}, "sort": {"N": str(number)}, **others}


OPTIONS = CopyOptions(retry_policy=HASTY)


@pytest.mark.parametrize(
    ("hash_type", "range_type", "keys"),
    [
        ("S", "N", [("é", "1E+3"), ("x", "-0.5"), ("x", "1e-130")]),
        ("N", "B", [("1000", b"\x00\x01"), ("1.5", b"\xff")]),
        ("B", "S", [(b"\x00", "a"), (b"\x00", "b\n")]),
    ],
)
def test_every_type_and_kind_of_key(bench, hash_type, range_type, keys):
    name = f"types-{hash_type}-{range_type}"
    bench.make(name, **hash_and_range(hash_type, range_type))
    for one, other in keys:
        bench.put("source", name, {**MANY_TYPES, "p k": {hash_type: one}, "sort": {range_type: other}})
    source, destination = bench.pair(name)
    assert copy_items(source, destination, OPTIONS).counts.items == len(keys)
    assert bench.items("destination", name) == bench.items("source", name)
    assert len(bench.items("source", name)) == len(keys)
    assert compare_tables(source, destination).equal
    assert compare_sample(source, destination, 10).items_source == len(keys)


def test_faults_of_the_lab_are_overcome(bench):
    bench.make("faulty")
    bench.put("source", "faulty", *numbered(300))
    lab = bench.lab
    for operation in ("Scan", "BatchWriteItem"):
        for kind in ("throttle", "disconnect", "error"):
            code = {"code": "InternalServerError", "status": 500} if kind == "error" else {}
            lab.add_fault(operation=f"dynamodb.{operation}", kind=kind, times=2, after=1, **code)
    lab.add_fault(operation="dynamodb.BatchWriteItem", kind="disconnect", times=2, when="after")
    lab.add_fault(operation="dynamodb.BatchWriteItem", kind="unprocessed_items", times=3, values={"count": 5})
    source, destination = bench.pair("faulty")
    result = copy_items(source, destination, OPTIONS)
    assert bench.items("destination", "faulty") == bench.items("source", "faulty")
    assert result.counts.items == 300
    assert 0 < result.counts.resent <= 15  # an answer that tells of some may be lost too
    assert result.retries.throttled == 4


STEPS = (
    {"keep_if": "NOT begins_with(#s, :x)"},
    {"drop": ["l", "m.#dot.deep"]},
    {"rename": {"#p": "tenant", "ss": "labels"}},
    {"set": {"tenant": "T#{tenant}", "imported": True}},
    {"cast": {"amount": "N"}},
)


@pytest.mark.parametrize("workers", [1, 2])
def test_items_are_transformed_on_the_way_and_each_is_counted(bench, workers):
    """The lab refuses batches with a key twice, keys of other types and what is no item."""
    name = f"transformed-{workers}"
    bench.make(name)
    renamed = json.loads(json.dumps(hash_and_range("S", "N")).replace("p k", "tenant"))
    bench.clients["destination"].delete_table(TableName=name)
    bench.lab.advance(100)
    bench.clients["destination"].create_table(TableName=name, **renamed)
    bench.lab.advance(100)
    bench.put("source", name, *numbered(200, **MANY_TYPES, amount={"S": "1.50"}))
    bench.put("source", name, {"p k": {"S": "bad"}, "sort": {"N": "1"}, "s": {"S": "a"}, "amount": {"S": "none"}})
    bench.put("source", name, {"p k": {"S": "left out"}, "sort": {"N": "1"}, "s": {"S": "xyz"}, "amount": {"N": "1"}})
    key = KeySchema((KeyAttribute("p k", "S"),), (KeyAttribute("sort", "N"),))
    names = {"#s": "s", "#p": "p k", "#dot": "with.dot"}
    transform = Definition(STEPS, TableSchemas(key), names=names, values={":x": {"S": "x"}})
    source, destination = bench.pair(name)
    with pytest.raises(ItemRefused, match="cannot take an item; all others are copied: step 5") as refused:
        copy_items(source, destination, replace(OPTIONS, transform=transform, workers=workers))
    assert refused.value.details["items"][0]["key"] == {"p k": {"S": "bad"}, "sort": {"N": "1"}}
    counts = copy_items(
        source, destination, replace(OPTIONS, transform=transform, workers=workers, skip_errors=True)
    ).counts
    assert (counts.read, counts.items, counts.kept_out, counts.refused) == (202, 200, {1: 1}, {5: 1})
    expected = []
    for item in bench.items("source", name):
        if len(item) > 5:
            del item["l"], item["m"]["M"]["with.dot"]["M"]["deep"]
            item |= {"labels": item.pop("ss"), "imported": {"BOOL": True}, "amount": {"N": "1.5"}}
            tenant = item.pop("p k")["S"]
            expected.append({**item, "tenant": {"S": f"T#{tenant}"}})
    written = bench.items("destination", name)
    assert sorted(written, key=place) == sorted(expected, key=place)


def place(item: dict[str, Any]) -> int:
    return int(item["sort"]["N"])


def test_a_role_signs_with_its_session_token(bench):
    bench.make("by-role")
    bench.put("source", "by-role", *numbered(30))
    source = bench.found("by-role", "source", bench.lab.assume("source"))
    destination = bench.found("by-role", "destination", bench.lab.assume("destination"))
    assert copy_items(source, destination, OPTIONS).counts.items == 30
    bench.lab.add_fault(operation="dynamodb.Scan", kind="expired_token", times=-1)
    with pytest.raises(CredentialsError, match="the source account"):
        copy_items(source, destination, OPTIONS)


def test_wrong_keys_are_told_without_them(bench):
    bench.make("wrong-keys")
    told = {**bench.lab.landscape["accounts"]["source"], "secret_key": "not-the-secret-of-this-key"}
    with pytest.raises(CredentialsError) as error:
        bench.found("wrong-keys", "source", told)
    assert "not-the-secret" not in str(error.value) + repr(error.value.details)


def test_another_account_has_no_such_table(bench):
    bench.clients["source"].create_table(TableName="only-source", **hash_and_range("S", "N"))
    bench.lab.advance(100)
    with pytest.raises((MissingTable, AccessDenied)):
        bench.found("only-source", "destination")


def test_a_limit_of_the_destination_names_the_item(bench):
    index = {
        "IndexName": "by-state",
        "KeySchema": [{"AttributeName": "state", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }
    shape = hash_and_range("S", "N")
    bench.clients["source"].create_table(TableName="indexed", **shape)
    bench.clients["destination"].create_table(
        TableName="indexed",
        **{
            **shape,
            "AttributeDefinitions": [
                *shape["AttributeDefinitions"],
                {"AttributeName": "state", "AttributeType": "S"},
            ],
            "GlobalSecondaryIndexes": [index],
        },
    )
    bench.lab.advance(100)
    bench.put("source", "indexed", *numbered(60), {"p k": {"S": "x"}, "sort": {"N": "5"}, "state": {"N": "1"}})
    source, destination = bench.pair("indexed")
    with pytest.raises(ItemRefused, match="by-state") as error:
        copy_items(source, destination, OPTIONS)
    refused = {"p k": {"S": "x"}, "sort": {"N": "5"}}
    assert error.value.details["items"][0]["key"] == refused

    # A repair too goes on with the others.
    spoilt = [{name: item[name] for name in ("p k", "sort")} for item in list(numbered(60))[:3]]
    for key in spoilt:
        bench.clients["destination"].delete_item(TableName="indexed", Key=key)
    missing = [Difference("missing", key) for key in [spoilt[0], refused, *spoilt[1:]]]
    with pytest.raises(ItemRefused, match=r"an item; 3 others were put, 0 deleted: .*by-state") as error:
        repair(source, destination, missing, RepairOptions(writes_at_once=1, retry_policy=HASTY))
    assert [each["key"] for each in error.value.details["items"]] == [refused]
    assert len(bench.items("destination", "indexed")) == 60


def test_large_items_and_batches_by_bytes(bench):
    bench.make("large")
    bench.put("source", "large", *numbered(40, x={"S": "x" * 380_000}))
    source, destination = bench.pair("large")
    assert copy_items(source, destination, OPTIONS).counts.items == 40
    assert compare_tables(source, destination).equal
    assert bench.items("destination", "large") == bench.items("source", "large")


def test_counting_is_of_both_sides_and_costs_no_items(bench):
    bench.make("counted")
    bench.put("source", "counted", *numbered(123))
    source, destination = bench.pair("counted")
    assert count_items(Client(source.endpoint), source) == 123
    assert count_items(Client(destination.endpoint), destination, rate=Rate(1000)) == 0


def test_workers_and_rates(bench):
    bench.make("rated")
    bench.put("source", "rated", *numbered(200))
    source, destination = bench.pair("rated")
    result = copy_items(
        source, destination, CopyOptions(workers=2, read_rate=Rate(500), write_rate=Rate(500), retry_policy=HASTY)
    )
    assert (result.counts.items, result.counts.write_units) == (200, 200.0)
    assert result.counts.read_units > 0
    assert compare_tables(source, destination, CompareOptions(workers=2, source_rate=Rate(1000))).equal


# Repairing


@pytest.fixture(scope="module")
def spoilt(bench) -> tuple[ItemTable, ItemTable]:
    """Two tables of which five keys differ; tests mend and spoil them again."""
    bench.make("spoilt")
    bench.put("source", "spoilt", *numbered(50, m=MANY_TYPES["m"], ss=MANY_TYPES["ss"]))
    source, destination = bench.pair("spoilt")
    copy_items(source, destination, OPTIONS)
    return source, destination


@pytest.fixture
def differences(bench, spoilt) -> list[Difference]:
    """Three items changed, one removed, one added."""
    repair(*spoilt, found(spoilt), RepairOptions(delete_extra=True, retry_policy=HASTY))
    changed = [{**item, "ss": {"SS": ["other"]}} for item in list(numbered(3))]
    bench.put("destination", "spoilt", *changed, {"p k": {"S": "extra"}, "sort": {"N": "1"}})
    bench.clients["destination"].delete_item(TableName="spoilt", Key=list(numbered(4))[3])
    return found(spoilt)


def found(tables: tuple[ItemTable, ItemTable]) -> list[Difference]:
    told: list[Difference] = []
    compare_tables(*tables, report=told.append)
    return told


def test_exactly_what_differs_is_mended(spoilt, differences, bench):
    assert sorted(each.kind for each in differences) == ["different"] * 3 + ["extra", "missing"]
    lines = [Difference.from_line(each.to_line()) for each in differences]
    assert repair(*spoilt, lines) == RepairResult(put=4, left=1)
    assert [each.kind for each in found(spoilt)] == ["extra"]
    assert repair(*spoilt, lines, RepairOptions(delete_extra=True)) == RepairResult(deleted=1, equal=4)
    assert found(spoilt) == []
    assert bench.items("destination", "spoilt") == bench.items("source", "spoilt")


@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize("delete_extra", [False, True])
def test_a_newer_item_of_another_writer_is_not_lost(bench, spoilt, differences, monkeypatch, number, delete_extra):
    """Somebody writes to the destination between our look at it and our write; the others are repaired, if the repair
    may race."""
    newer = {**list(numbered(4))[number], "newer": {"BOOL": True}, "ss": {"SS": ["newest"]}}
    extra = {"p k": {"S": "extra"}, "sort": {"N": "1"}, "newer": {"BOOL": True}}
    submit = Lanes.submit
    written = []

    def first_another(self, client, call, *others, **members):
        if call.operation in ("PutItem", "DeleteItem") and not written:
            written.append(True)
            bench.put("destination", "spoilt", newer)
            if delete_extra:
                bench.clients["destination"].delete_item(TableName="spoilt", Key={k: extra[k] for k in ("p k", "sort")})
                bench.put("destination", "spoilt", {**extra, "p k": {"S": "other"}})
        submit(self, client, call, *others, **members)

    monkeypatch.setattr(Lanes, "submit", first_another)
    told = {}
    repair(
        *spoilt,
        differences,
        RepairOptions(delete_extra=delete_extra, racing=True),
        lambda difference, outcome: told.update({difference.key["sort"]["N"] + difference.key["p k"]["S"]: outcome}),
    )
    assert newer in bench.items("destination", "spoilt")
    assert told[f"{number}p{number}"] == "changed"
    assert sorted(told.values()).count("put") == 3


def before_the_first_write(monkeypatch, write: Callable[[], None]) -> None:
    """Another writer's ``write`` comes between a repair's look and its first write."""
    submit = Lanes.submit
    written = []

    def first_another(self, client, call, *others, **members):
        if call.operation in ("PutItem", "DeleteItem") and not written:
            written.append(True)
            write()
        submit(self, client, call, *others, **members)

    monkeypatch.setattr(Lanes, "submit", first_another)


@pytest.mark.parametrize("attributes", [1, 120, 200])
@pytest.mark.parametrize("deleted", [False, True])
def test_g6_what_no_condition_sees_is_given_back(bench, spoilt, differences, monkeypatch, attributes, deleted):
    """Another writer adds an attribute, or changes one beyond those that fit into a condition."""
    key = {"p k": {"S": "extra"}, "sort": {"N": "1"}} if deleted else next(iter(numbered(1)))
    seen = {**key, **{f"a{number:03}": {"S": "seen"} for number in range(attributes)}}
    newer = {**seen, **({"added": {"S": "new"}} if attributes == 1 else {f"a{attributes - 1:03}": {"S": "new"}})}
    bench.put("destination", "spoilt", seen)
    before_the_first_write(monkeypatch, lambda: bench.put("destination", "spoilt", newer))
    about = Difference("extra" if deleted else "different", {name: key[name] for name in ("p k", "sort")})
    assert repair(*spoilt, [about], RepairOptions(delete_extra=True, racing=True)) == RepairResult(changed=1)
    assert newer in bench.items("destination", "spoilt")


def test_g6_a_repair_ends_at_the_first_item_of_another_writer(bench, spoilt, differences, monkeypatch):
    newer = {**next(iter(numbered(1))), "newer": {"BOOL": True}}
    before_the_first_write(monkeypatch, lambda: bench.put("destination", "spoilt", newer))
    mine = [Difference("different", {name: newer[name] for name in ("p k", "sort")})]
    mine += [each for each in differences if each != mine[0]]
    with pytest.raises(DestinationChanging) as caught:
        repair(*spoilt, mine, RepairOptions(writes_at_once=1))
    assert (caught.value.table, caught.value.details["changed"]) == ("spoilt", 1)
    assert "repair: racing" in caught.value.next_step
    assert caught.value.details["put"] < 3
    assert newer in bench.items("destination", "spoilt")


def test_a_write_whose_answer_was_lost_is_known_to_be_ours(bench, spoilt, differences):
    bench.lab.add_fault(operation="dynamodb.PutItem", kind="disconnect", times=3, when="after")
    bench.lab.add_fault(operation="dynamodb.DeleteItem", kind="disconnect", times=1, when="after")
    options = RepairOptions(delete_extra=True, destination_rate=Rate(1000), source_rate=Rate(1000), retry_policy=HASTY)
    assert repair(*spoilt, differences, options) == RepairResult(put=4, deleted=1)
    assert found(spoilt) == []


def test_what_the_source_holds_by_now_counts(bench, spoilt, differences):
    """The source lost an item that was missing, and got one that was extra."""
    bench.clients["source"].delete_item(TableName="spoilt", Key=list(numbered(4))[3])
    bench.put("source", "spoilt", {"p k": {"S": "extra"}, "sort": {"N": "1"}, "now": {"BOOL": True}})
    try:
        assert repair(*spoilt, differences, RepairOptions(delete_extra=True)) == RepairResult(put=4, equal=1)
        assert found(spoilt) == []
    finally:
        bench.put("source", "spoilt", *list(numbered(4, m=MANY_TYPES["m"], ss=MANY_TYPES["ss"]))[3:])
        bench.clients["source"].delete_item(TableName="spoilt", Key={"p k": {"S": "extra"}, "sort": {"N": "1"}})


def test_an_item_of_many_attributes_is_mended(bench, spoilt, differences):
    wide = {f"a{number}": {"S": str(number)} for number in range(400)}
    key = next(iter(numbered(1)))
    bench.put("destination", "spoilt", {**key, **wide})
    assert repair(*spoilt, [Difference("different", {k: key[k] for k in ("p k", "sort")})]) == RepairResult(put=1)
