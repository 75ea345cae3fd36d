# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table with a key and indexes, and steps on its items, for the tests of transforms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyAttribute
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.compiled import Transform, compiled
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Definition
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import KeySchema, TableSchemas
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.tally import Failure, Tally
from tests.unit.core.items.strategies import to_bytes

SALTS = {"env:FERRY_SALT": b"salt of the tests"}
Item = dict[str, Any]


def schema(*attributes: str, local: bool = False) -> KeySchema:
    """A key of attributes written as ``name:TYPE``, the first one the partition key."""
    first, *others = (KeyAttribute(*each.split(":")) for each in attributes)
    return KeySchema((first,), tuple(others), local)


ONE_KEY = TableSchemas(schema("pk:S"))
TWO_KEYS = TableSchemas(schema("pk:S", "sk:S"))
INDEXED = TableSchemas(
    schema("pk:S", "sk:N"),
    {"by-mail": schema("mail:S"), "by-day": schema("day:N", "pk:S"), "local": schema("pk:S", "rank:N", local=True)},
)


def transform(*steps: Mapping[str, Any], source: TableSchemas = ONE_KEY, **more: Any) -> Transform:
    """The steps compiled; ``more`` are other members of Definition."""
    return compiled(replace(Definition(list(steps), source, salts=SALTS), **more))


def outcome(made: Transform, item: Item) -> tuple[list[Item], list[Failure], Tally]:
    """What the transform makes of the item, why it was refused, and the counts."""
    failures: list[Failure] = []
    tally = Tally(on_failure=lambda _item, failure: failures.append(failure))
    items = [json.loads(bytes(each)) for each in made.of_item(to_bytes(item), tally)]
    assert tally.balanced and tally.read == 1 and tally.made == len(items)
    return items, failures, tally


def made(item: Item, *steps: Mapping[str, Any], **more: Any) -> Item | None:
    """The one item that the steps make of an item with the key ``pk``, without it; None where it is left out."""
    items, failures, _ = outcome(transform(*steps, **more), {"pk": {"S": "k"}, **item})
    assert not failures and len(items) <= 1, failures
    return {name: value for name, value in items[0].items() if name != "pk"} if items else None


def reason(item: Item, *steps: Mapping[str, Any], **more: Any) -> str:
    """Why the steps refuse the item."""
    items, failures, _ = outcome(transform(*steps, **more), {"pk": {"S": "k"}, **item})
    assert not items
    (failure,) = failures
    return str(failure)


def table(made_by: Transform, items: Sequence[Item]) -> list[Item]:
    """All that the transform makes of ``items``."""
    return [each for item in items for each in outcome(made_by, item)[0]]
