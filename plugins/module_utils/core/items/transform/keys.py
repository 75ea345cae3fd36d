# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What steps make of the keys: the destination's key and its indexes, and what each item must be looked at for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..answers import KeyAttribute
from .definition import Definition, Following, invalid
from .flow import MIXED, Flow, Known
from .schemas import KeySchema, TableSchemas
from .sizes import key_size
from .step import Step
from .values import SCALARS, Item, Unfit, opened, parts_of

NAME_KEY = "Give the destination's key in destination_key."
_KEY = "the key"


@dataclass(frozen=True)
class KeyCheck:
    """What an item's attribute must be, as part of the key of the table (``index`` is "" then) or of an index.

    ``step`` is the last step that wrote it.
    """

    attribute: KeyAttribute
    most: int
    index: str
    step: int

    def of(self, item: Item) -> None:
        """Raises Unfit for an item that DynamoDB would refuse for this attribute."""
        name, of = self.attribute.name, f"the index {self.index}" if self.index else "the table"
        value = item.get(name)
        if value is None:
            if self.index:
                return
            raise Unfit(f"{name} is missing, a key of the table")
        found = opened(value)
        if 0 < 4 * len(found.get(self.attribute.type, "")) <= self.most:  # a character has 4 bytes at most
            return
        kind, content = parts_of(found)
        if kind != self.attribute.type:
            raise Unfit(f"{name} has the type {kind}, as a key of {of} it must have {self.attribute.type}")
        if content == "":
            raise Unfit(f"{name} is empty, a key of {of}")
        if kind != "N" and key_size(found) > self.most:
            raise Unfit(f"{name} is longer than {self.most} bytes, a key of {of}")


@dataclass(frozen=True)
class KeysAfter:
    """What comes of the keys.

    ``destination`` has the table's key and the indexes that stay; ``lost`` the others by their names, with the reason;
    ``apart`` says that two items of the source never become one. ``of_keys``: the destination's key is made of the
    source's key alone, by the steps ``makers``. ``heads`` are the constant texts that attributes of the table's key
    begin with, in every item.
    """

    destination: TableSchemas
    apart: bool
    of_keys: bool
    lost: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[KeyCheck, ...] = ()
    makers: tuple[Step, ...] = field(default=(), repr=False)
    heads: Mapping[str, str] = field(default_factory=dict)


def keys_after(definition: Definition, flow: Flow, steps: tuple[Step, ...]) -> KeysAfter:
    """The keys after all steps. Raises InvalidTransform where the table cannot have such a key, or none can be told."""
    return _Resolving(definition, flow, steps).keys()


class _Resolving:
    def __init__(self, definition: Definition, flow: Flow, steps: tuple[Step, ...]) -> None:
        self._definition = definition
        self._flow = flow
        self._kinds = {step.number: step.kind for step in steps}
        self._steps = steps
        self._several = any(step.several for step in steps)

    def keys(self) -> KeysAfter:
        """The keys after all steps."""
        definition = self._definition
        table = definition.destination or self._followed_table()
        self._require_given(table)
        parts = [self._flow.of(attribute.name) for attribute in table.attributes]
        recovered = frozenset[str]().union(*(part.apart for part in parts))
        sources = {attribute.name for attribute in definition.source.table.attributes}
        apart = recovered >= sources and not self._several
        makers = _makers(table, self._steps)
        of_keys = all(part.keys is not None for part in parts) and all(step.kind != "python" for step in makers)
        if definition.following is Following.KEYS and not of_keys:
            others = (each for each in table.attributes if self._flow.of(each.name).keys is None)
            attribute = next(others, table.attributes[0])
            raise self._refused(
                attribute.name,
                f"{attribute.name}, a key of the destination, is made of more than the source's key",
                "Make keys of keys alone, or let the source's stream have old images too: without these, a change"
                " does not say under which key the item stands.",
                self._flow.of(attribute.name).step,
            )
        indexes, lost = self._indexes(table)
        destination = TableSchemas(table, indexes)
        heads = {each.name: known.head for each in table.attributes if (known := self._flow.of(each.name)).head}
        return KeysAfter(destination, apart, of_keys, lost, tuple(self._checks(destination)), makers, heads)

    def _followed_table(self) -> KeySchema:
        """The table's key as the steps have changed it."""
        schema = self._definition.source.table
        for attribute in schema.attributes:
            if self._flow.where[attribute.name] is None:
                raise self._refused(
                    attribute.name,
                    f"it drops {attribute.name}, a key attribute of the table",
                    "Keep it, or give the destination's key in destination_key.",
                    self._flow.of(attribute.name).step,
                )
            if attribute.name in self._flow.doubtful:
                raise self._refused(
                    attribute.name,
                    f"it writes {attribute.name} after the key attribute of that name was renamed to"
                    f" {self._flow.where[attribute.name]}, so it cannot be told which of the two is the key",
                    NAME_KEY,
                    self._flow.doubtful[attribute.name],
                )
        return self._followed(schema)

    def _followed(self, schema: KeySchema) -> KeySchema:
        """A schema, none of whose attributes was dropped, with the names and types that these have now."""

        def now(attribute: KeyAttribute) -> KeyAttribute:
            name = str(self._flow.where[attribute.name])
            known = self._flow.of(name)
            kind = known.kind
            if kind and kind not in SCALARS:
                shown = "more than one type" if kind == MIXED else f"the type {kind}"
                raise self._refused(
                    name,
                    f"{name} gets {shown}, and as a key attribute it must be S, N or B",
                    "Choose another form.",
                    known.kind_by,
                )
            return KeyAttribute(name, kind or attribute.type)

        return KeySchema(tuple(map(now, schema.partition)), tuple(map(now, schema.sort)), schema.local)

    def _require_given(self, table: KeySchema) -> None:
        """Refuse a key that some items surely, or possibly, do not have."""
        names = [attribute.name for attribute in table.attributes]
        if not table.partition or len(set(names)) < len(names):
            raise invalid(0, "", f"{', '.join(names) or 'nothing'} is no key of a table", NAME_KEY, _KEY)
        for attribute in table.attributes:
            known = self._flow.of(attribute.name)
            if attribute.type not in SCALARS:
                raise invalid(0, "", f"a key attribute has one of the types S, N and B, not {attribute.type}", NAME_KEY)
            if known.kind and known.kind != attribute.type:
                raise self._refused(
                    attribute.name,
                    f"{attribute.name} has the type {known.kind}, and as a key attribute it must have {attribute.type}",
                    "Cast it, or correct the type in destination_key.",
                    known.kind_by,
                )
            if not known.sure:
                raise self._refused(
                    attribute.name,
                    f"{attribute.name}, a key attribute of the destination, is possibly left unset",
                    f"Make it of attributes that each item has, or keep only such items before: keep_if with"
                    f" attribute_type, of {attribute.name} or of what it is made of.",
                    known.sure_by,
                )

    def _refused(self, name: str, cause: str, next_step: str, number: int) -> Exception:
        """The error that blames the step of that number."""
        return invalid(number, self._kinds.get(number, ""), cause, next_step, name)

    # Indexes

    def _indexes(self, table: KeySchema) -> tuple[dict[str, KeySchema], dict[str, str]]:
        kept: dict[str, KeySchema] = {}
        types = {attribute.name: attribute.type for attribute in table.attributes}
        lost: dict[str, str] = {}
        for name, schema in self._definition.source.indexes.items():
            reason = self._loss(schema)
            if reason:
                lost[name] = reason
                continue
            followed = self._followed(schema)
            reason = _conflict(followed, table, types)
            if reason:
                lost[name] = reason
                continue
            kept[name] = followed
            types.update((attribute.name, attribute.type) for attribute in followed.attributes)
        return kept, lost

    def _loss(self, schema: KeySchema) -> str:
        for attribute in schema.attributes:
            if self._flow.where[attribute.name] is None:
                return f"a step drops its key attribute {attribute.name}"
            if attribute.name in self._flow.doubtful:
                now = self._flow.where[attribute.name]
                return f"its key attribute {attribute.name} was renamed to {now}, and another value has its name now"
        return ""

    # Items

    def _checks(self, destination: TableSchemas) -> list[KeyCheck]:
        checks = []
        for index, schema in destination:
            for attribute, most in schema.limits:
                known = self._flow.of(attribute.name)
                if not _is_certain(known, attribute, most):
                    checks.append(KeyCheck(attribute, most, index, known.step))
        return checks


def _makers(table: KeySchema, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps of which the table's key depends."""
    needed = {attribute.name for attribute in table.attributes}
    makers = []
    for step in reversed(steps):
        if step.writes is None or step.writes & needed:
            makers.append(step)
            needed |= step.reads
    return tuple(reversed(makers))


def _conflict(index: KeySchema, table: KeySchema, types: Mapping[str, str]) -> str:
    """Why the index cannot be one of a table with that key, "" where it can; ``types`` are those of other keys."""
    if index.local and (index.partition != table.partition or not table.sort):
        return "a local index has the partition key of its table, which has a sort key"
    if len({attribute.name for attribute in index.attributes}) < len(index.attributes):
        return "two of its key attributes get one name"
    for attribute in index.attributes:
        if types.get(attribute.name, attribute.type) != attribute.type:
            return f"its key attribute {attribute.name} has another type in the key of the table or of another index"
    return ""


def _is_certain(known: Known, attribute: KeyAttribute, most: int) -> bool:
    """Whether no item can have another value than a key's; whether it is there, was looked at before."""
    return known.kind == attribute.type and not known.checked and (known.most <= most or attribute.type == "N")
