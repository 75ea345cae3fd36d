# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What check mode shows of a transform, whatever the method: whether keys can collide, and what the steps make of the
first items of the source."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..account import Account
from ..change import Change
from ..errors import AccessDenied, MissingLibrary, ServiceError
from ..items.answers import require_msgspec
from ..items.carried import REPLICATION_PREFIX
from ..items.transform.compiled import Transform, compiled
from ..items.transform.tally import Failure, Tally
from ..table.definition import TableDefinition
from ..table.replication import has_marked_keys
from ..table.transforming import TransformChoices, definition_for

SAMPLED = 100  # items, the first of a Scan
MOST_LETTERS = 60  # of a value that is shown

Item = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class TransformPreview:
    """What is shown, each change a line of check mode, and why a part of it is not."""

    changes: tuple[Change, ...] = ()
    warnings: tuple[str, ...] = ()


def preview_transform(source: Account, definition: TableDefinition, choices: TransformChoices) -> TransformPreview:
    """The key, and whether two items can get the same; what becomes of a sample, and of each of its attributes that
    changes. Reads up to 100 items, by one page of a Scan that is not strongly consistent; where that is not possible
    the warnings say so.

    Raises InvalidTransform, CredentialsError.
    """
    transform = compiled(definition_for(choices, definition, source.now().timestamp()))
    keys, table = _keys(definition, transform, choices), definition.name
    try:
        require_msgspec()
        page = source.ask("dynamodb", "scan", "looking at the first items", table, TableName=table, Limit=SAMPLED)
    except (AccessDenied, MissingLibrary, ServiceError) as error:
        why = f"{table}: what the steps make of its items is not shown, because no sample can be read: {error.cause}"
        return TransformPreview((keys,), (why,))
    return TransformPreview((keys, *_sample(definition, page.get("Items", ()), transform, choices.show_values)))


def _keys(definition: TableDefinition, transform: Transform, choices: TransformChoices) -> Change:
    types = {entry["AttributeName"]: entry["AttributeType"] for entry in definition.attribute_definitions}
    before = ", ".join(f"{name} ({types[name]})" for name in definition.key_attributes)
    after = ", ".join(f"{each.name} ({each.type})" for each in transform.keys.destination.table.attributes)
    what = f"key of {definition.name}"
    if transform.keys.apart:
        return Change(what, before, f"{after}, never the same for two items")
    then = "the table is refused" if choices.on_collision == "refuse" else "one of them wins"
    return Change(what, before, f"{after}, items are read first: where two get the same, {then}", "billed")


@dataclass
class _Attribute:
    """An attribute in a sample: how many values of each type, how many that are not on the other side, and one."""

    kinds: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    example: str = ""

    def text(self, show_value: bool) -> str:
        words = ", ".join(f"{kind} in {count}" for kind, count in sorted(self.kinds.items()))
        changed = f", {self.changed} with another value" if self.changed else ""
        return f"{words}{changed}{f', as {self.example}' if show_value and self.example else ''}"


def _sample(
    definition: TableDefinition, items: Collection[Item], transform: Transform, show_values: bool
) -> Iterator[Change]:
    if not items:
        return
    failures: Counter[str] = Counter()

    def note(_item: object, failure: Failure) -> None:
        failures[str(failure)] += 1

    tally = Tally(on_failure=note)
    before: dict[str, _Attribute] = {}
    after: dict[str, _Attribute] = {}
    keeps = has_marked_keys(definition)
    for item in items:
        carried = {name: value for name, value in item.items() if keeps or not name.startswith(REPLICATION_PREFIX)}
        raw = json.dumps(carried, default=_text)
        made = [json.loads(each) for each in transform.of_item(raw.encode(), tally)]
        if made:  # of one that is left out no attribute changes
            _count(before, json.loads(raw), {})
        for each in made:
            _count(after, each, json.loads(raw))
    steps = [kind for step in transform.definition.steps for kind in step]
    words = [f"{count} kept out by step {step} ({steps[step - 1]})" for step, count in sorted(tally.kept_out.items())]
    words += [f"{count} refused, {reason}" for reason, count in failures.most_common()]
    yield Change(f"the first {tally.read} items", tally.read, "; ".join([str(tally.made), *words]))
    for name in {**before, **after}:
        here, there = before.get(name), after.get(name)
        if _differs(here, there):
            shown = [side.text(show_values) if side is not None else None for side in (here, there)]
            yield Change(f"attribute {name} in the first {tally.read} items", shown[0], shown[1])


def _count(attributes: dict[str, _Attribute], item: Item, other: Item) -> None:
    for name, value in item.items():
        attribute = attributes.setdefault(name, _Attribute())
        attribute.kinds[next(iter(value))] += 1
        differs = bool(other) and name in other and other[name] != value and other[name].keys() == value.keys()
        attribute.changed += differs
        if differs or not attribute.example:
            text = json.dumps(value, ensure_ascii=False)
            attribute.example = text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}..."


def _differs(before: _Attribute | None, after: _Attribute | None) -> bool:
    return before is None or after is None or before.kinds != after.kinds or bool(after.changed)


def _text(value: Any) -> str:
    """Bytes, as the SDK gives binaries, in base64."""
    return b64encode(bytes(value)).decode()
