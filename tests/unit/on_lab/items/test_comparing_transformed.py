# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Comparing and repairing through a transform against the lab, which stores items in forms of its own, as AWS does."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyAttribute
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Endpoint, RetryPolicy
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.comparing import compare_sample, compare_tables
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.comparing_exports import (
    compare_export,
    sample_export,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyOptions, copy_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import CompareOptions, Difference
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.exported import Export, ExportedFile
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.repairing import (
    RepairOptions,
    RepairResult,
    repair,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.repairing_exports import repair_by_export
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import ItemTable, find_table
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.throttle import Rate
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.compiled import compiled
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Definition
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import KeySchema, TableSchemas
from lab.client import RunningLab, running

HASTY = RetryPolicy(first=0.001, longest=0.01, seconds=20.0, connecting=5.0)
ITEMS = 120
SOURCE = TableSchemas(KeySchema((KeyAttribute("pk", "S"),), (KeyAttribute("sk", "N"),)))
STEPS: list[dict[str, Any]] = [
    {"keep_if": "attribute_exists(price)"},
    {"set": {"pk": "TENANT#acme#{pk}", "imported": True}},
    {"cast": {"price": "N", "tags": "SS", "sk": "S"}},
    {"hash": {"attributes": ["mail"], "salt_from": "env:FERRY_SALT"}},
    {"rename": {"uid": "user_id"}},
]
DEFINITION = Definition(STEPS, SOURCE, salts={"env:FERRY_SALT": b"salt"})
RENAMED = Definition([{"rename": {"pk": "user"}}, {"drop": ["mail"]}], SOURCE)


def item(number: int) -> dict[str, Any]:
    price = {"price": {"S": f"{number}.50"}} if number % 10 else {}
    return {
        "pk": {"S": f"p{number % 7}"},
        "sk": {"N": str(number)},
        "tags": {"L": [{"S": "b"}, {"S": "a"}]},
        "mail": {"S": f"{number}@example.com"},
        "uid": {"NS": ["2", "1.50"]},
        **price,
    }


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with running(scale=0.0, quotas=False) as lab:
        yield lab


def found(lab: RunningLab, side: str, name: str) -> ItemTable:
    account = lab.landscape["accounts"][side]
    keys = SimpleNamespace(access_key=account["access_key"], secret_key=account["secret_key"], session_token="")
    return find_table(Endpoint(lab.endpoint_url, lab.landscape["region"], lambda: keys, side), name, HASTY)


def copied(lab: RunningLab, name: str, definition: Definition) -> tuple[ItemTable, ItemTable]:
    """The source's table and its copy, made through the transform."""
    made = compiled(definition)
    schemas = {"source": SOURCE.table, "destination": made.keys.destination.table}
    clients = {side: lab.client("dynamodb", side) for side in schemas}
    for side, schema in schemas.items():
        roles = zip(schema.attributes, ["HASH", "RANGE"], strict=True)
        clients[side].create_table(
            TableName=name,
            KeySchema=[{"AttributeName": each.name, "KeyType": role} for each, role in roles],
            AttributeDefinitions=[
                {"AttributeName": each.name, "AttributeType": each.type} for each in schema.attributes
            ],
            BillingMode="PAY_PER_REQUEST",
        )
    lab.advance(100)
    for number in range(ITEMS):
        clients["source"].put_item(TableName=name, Item=item(number))
    tables = found(lab, "source", name), found(lab, "destination", name)
    copy_items(*tables, CopyOptions(retry_policy=HASTY, transform=definition))
    return tables


def spoil(lab: RunningLab, destination: ItemTable) -> None:
    """One item changed, one missing, one extra."""
    client = lab.client("dynamodb", "destination")
    first, second = client.scan(TableName=destination.name, ConsistentRead=True)["Items"][:2]
    client.put_item(TableName=destination.name, Item={**first, "price": {"N": "7"}})
    key = {each.name: second[each.name] for each in destination.key}
    client.delete_item(TableName=destination.name, Key=key)
    client.put_item(TableName=destination.name, Item={**second, destination.key[0].name: {"S": "no such"}})


@pytest.mark.parametrize("definition", [DEFINITION, RENAMED])
def test_a_spoilt_copy_is_found_and_mended(lab: RunningLab, definition: Definition) -> None:
    source, destination = copied(lab, f"orders-{len(definition.steps)}", definition)
    options = CompareOptions(retry_policy=HASTY, transform=definition, source_rate=Rate(5000), workers=2)
    result = compare_tables(source, destination, options)
    left = 12 if definition is DEFINITION else 0
    assert (result.equal, result.balanced, result.read) == (True, True, ITEMS)
    assert sum(result.kept_out.values()) == left and result.items_destination == ITEMS - left
    sample = compare_sample(source, destination, 40, options)
    assert (sample.equal, sample.one_way, sample.read) == (True, definition is DEFINITION, 40)
    spoil(lab, destination)
    differences: list[Difference] = []
    result = compare_tables(source, destination, options, differences.append)
    assert (result.missing, result.different, result.extra) == (1, 1, 1)
    exported: list[Difference] = []
    text = b"".join(b'{"Item":%s}\n' % json.dumps(item(number)).encode() for number in range(ITEMS))
    export = Export("2026-11-29T12:00:00+00:00", (ExportedFile("a", ITEMS),), lambda key: [gzip.compress(text)])
    compare_export(export, destination, options, exported.append)
    assert sorted(each.to_line() for each in exported if each.kind != "extra") == sorted(
        each.to_line() for each in differences if each.kind != "extra"
    )
    repairing = RepairOptions(delete_extra=True, retry_policy=HASTY, transform=definition)
    assert repair(source, destination, differences, repairing) == RepairResult(put=2, deleted=1)
    assert compare_tables(source, destination, options).equal
    spoil(lab, destination)
    lab.client("dynamodb", "source").put_item(TableName=source.name, Item={**item(1), "late": {"S": "x"}})
    sampled: list[Difference] = []
    sample = sample_export(export, destination, 400, options, sampled.append)
    assert (sample.missing, sample.different, sample.extra, sample.one_way) == (1, 1, 1, False)
    assert repair_by_export(export, destination, sampled, repairing) == RepairResult(put=2, deleted=1)
    assert compare_export(export, destination, options).equal
