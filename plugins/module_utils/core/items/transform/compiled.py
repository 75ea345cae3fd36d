# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A list of steps, compiled once, and what it makes of items: bytes in, bytes out.

    transform = compiled(Definition(steps, schemas_of(description)))
    tally = Tally()
    for item in items:
        written.extend(transform.of_item(item, tally))

An item is parsed to its attributes, which stay raw; a step decodes only what it reads. Without steps not even that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ...errors import ServiceError
from ..answers import KeyReader, Slice, require_msgspec
from . import casting, functions, hashing, moving, setting
from .definition import Definition, Following, invalid
from .flow import Flow
from .keys import KeysAfter, keys_after
from .sizes import MOST_BYTES, item_size
from .step import Context, Step
from .tally import Failure, Tally
from .values import Item, Unfit, Value, constant, encoded, parsed, whole

BUILDERS: dict[str, Callable[[Any, Context], Step]] = {
    "keep_if": moving.keep_if,
    "drop_expired": moving.drop_expired,
    "drop": moving.drop,
    "keep": moving.keep,
    "rename": moving.rename,
    "set": setting.set_values,
    "replace": setting.replace,
    "cast": casting.cast,
    "hash": hashing.hash_values,
    "python": functions.python,
}


@dataclass(frozen=True)
class Writes:
    """What a change of the source is in the destination: items to put, and keys to delete, in DynamoDB's JSON."""

    puts: tuple[Slice, ...] = ()
    deletes: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Transform:
    """A compiled definition. It travels to other processes as the definition alone."""

    definition: Definition
    steps: tuple[Step, ...] = field(compare=False, repr=False)
    keys: KeysAfter = field(compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return compiled, (self.definition,)

    def of_item(self, item: Slice, tally: Tally) -> list[Slice]:
        """What becomes of an item: one item, none, or several; the same bytes where the steps change nothing.

        Raises ServiceError for anything but an item.
        """
        return self.of_items((item,), tally)

    def of_items(self, items: Sequence[Slice], tally: Tally, odd: dict[int, int] | None = None) -> list[Slice]:
        """What becomes of each of ``items``, in their order; see ``of_item``, which costs more for each.

        ``odd`` gets the positions of those that may not have become one item each, with how many they became.
        """
        odd = {} if odd is None else odd
        tally.read += len(items)
        if not self.steps:
            tally.made += len(items)
            return list(items)
        parse, runs = self._parse, self._runs
        only_leaves_out, unchecked = self._only_leaves_out, not self.keys.checks
        made: list[Slice] = []
        add, simply = made.append, 0  # so many items were made of one each
        for at, item in enumerate(items):
            attributes = parse(item)
            step = 0
            try:
                for run in runs:
                    step += 1
                    result = run(attributes)
                    if result is True:
                        continue
                    if result:
                        parts = self._made_of(item, result, step, tally)
                        made += parts
                        odd[at] = len(parts)
                    else:
                        tally.kept_out[step] += 1
                        odd[at] = 0
                    break
                else:
                    if only_leaves_out:
                        add(item)
                    # JSON is never shorter than what DynamoDB counts.
                    elif unchecked and len(whole_item := encoded(attributes)) <= MOST_BYTES:
                        add(whole_item)
                    else:
                        add(self._finished(attributes))
                    simply += 1
            except _Unfinished as error:
                tally.refuse(item, error.failure)
                odd[at] = 0
            except Unfit as error:
                tally.refuse(item, self._failure(step, str(error)))
                odd[at] = 0
        tally.made += simply
        return made

    def of_change(self, keys: Slice, new: Slice | None, old: Slice | None, tally: Tally) -> Writes:
        """What a change of the source is in the destination: of the item with ``keys``, ``new`` after it, None where it
        was deleted; ``old`` is what it was before.

        An item that is not carried any more, or cannot be, is deleted. The tally counts the new item. Raises
        ServiceError for anything but items and keys, and where an old image is needed and was not there.
        """
        puts = tuple(self.of_item(new, tally)) if new is not None else ()
        if not self.keys.of_keys and new is None and old is None:
            raise ServiceError(
                "A deleted item came without its old image, which tells its key in the destination.",
                "Let the stream have new and old images, and copy the table anew.",
            )
        gone = self._written_under(keys) if self.keys.of_keys else self._keys_of(old)
        left = {self._reader.of(put) for put in puts}
        return Writes(puts, tuple(self._reader.to_wire(key) for key in gone if key not in left))

    # One item

    def _made_of(self, source: Slice, parts: list[Item], step: int, tally: Tally) -> list[Slice]:
        """What becomes of the items that a function made of one: all of them, or none where one cannot be made."""
        counted = Tally(added=len(parts) - 1)
        made: list[Slice] = []
        try:
            for part in parts:
                self._part(part, step, counted, made)
        except _Unfinished as error:
            tally.refuse(source, error.failure)
            return []
        counted.made = len(made)
        tally.add(counted)
        return made

    def _part(self, attributes: Item, done: int, counted: Tally, made: list[Slice]) -> None:
        step = done
        try:
            for run in self._runs[done:]:
                step += 1
                result = run(attributes)
                if result is True:
                    continue
                if not result:
                    counted.kept_out[step] += 1
                else:
                    counted.added += len(result) - 1
                    for part in result:
                        self._part(part, step, counted, made)
                return
            made.append(self._finished(attributes))
        except Unfit as error:
            raise _Unfinished(self._failure(step, str(error))) from error

    def _finished(self, attributes: Item) -> bytes:
        """The item's JSON. Raises _Unfinished for an item that DynamoDB would refuse."""
        for check in self.keys.checks:
            try:
                check.of(attributes)
            except Unfit as error:
                raise _Unfinished(self._failure(check.step, str(error))) from error
        made = encoded(attributes)
        if len(made) > MOST_BYTES and item_size(attributes) > MOST_BYTES:
            raise _Unfinished(self._failure(self._last_writing, "the item is larger than 400 KB"))
        return made

    def _failure(self, step: int, reason: str) -> Failure:
        return Failure(step, self.steps[step - 1].kind if step else "", reason)

    @cached_property
    def _runs(self) -> tuple[Callable[[Item], Any], ...]:
        return tuple(step.run for step in self.steps)

    @cached_property
    def _parse(self) -> Callable[[Slice], Item]:
        return whole if self.steps[0].whole else parsed

    @cached_property
    def _only_leaves_out(self) -> bool:
        return all(step.only_leaves_out for step in self.steps) and not self.keys.checks

    @cached_property
    def _last_writing(self) -> int:
        return max((step.number for step in self.steps if not step.only_leaves_out), default=0)

    # Keys of changes

    @cached_property
    def _reader(self) -> KeyReader:
        return KeyReader(self.keys.destination.table.attributes)

    def _written_under(self, keys: Slice) -> list[tuple[str, ...]]:
        """The key under which the item of these ``keys`` stands, if it does."""
        attributes = parsed(keys)
        try:
            for step in self.keys.makers:
                step.run(attributes)
            made = {name: attributes[name] for attribute in self._reader.key if (name := attribute.name) in attributes}
            for check in self.keys.checks:
                if not check.index:
                    check.of(made)
        except Unfit:
            return []  # it could never be written
        return [self._reader.of(encoded(made))] if len(made) == len(self._reader.key) else []

    def _keys_of(self, old: Slice | None) -> list[tuple[str, ...]]:
        """The keys under which an item stands that was ``old``."""
        return [self._reader.of(made) for made in self.of_item(old, Tally())] if old is not None else []


class _Unfinished(Exception):
    """A failure on its way to where it is counted."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.reason)


def compiled(definition: Definition) -> Transform:
    """The definition's steps as one value. Raises InvalidTransform, naming the step, and MissingLibrary."""
    steps, flow, context = _steps(definition)
    for member, unused in (("names", context.names.unused()), ("values", context.literals.unused())):
        if unused:
            raise invalid(
                0, "", f"no step uses {unused[0]}", f"Remove it from transform_{member}, or correct a step.", unused[0]
            )
    for step in steps:
        if step.several and definition.following is not Following.NOTHING:
            raise invalid(
                step.number,
                step.kind,
                "the function makes several items of one, and changes of the source are to follow",
                "Make one item of each, or do not follow the source: a change does not say which of several it means.",
                "several",
            )
    return Transform(definition, steps, keys_after(definition, flow, steps))


@dataclass(frozen=True)
class Followed:
    """What became of an attribute: its ``name``, "" where it was dropped, and its ``kind``, "" where it is not known.

    ``doubtful``: it was renamed, and another value has its former name.
    """

    name: str
    kind: str
    doubtful: bool = False


def followed(definition: Definition, names: Iterable[str]) -> dict[str, Followed]:
    """What the steps make of these attributes of the source. Raises InvalidTransform and MissingLibrary."""
    names = tuple(names)
    _each, flow, _context = _steps(definition, names)
    found = {}
    for name in names:
        now = flow.where[name] or ""
        found[name] = Followed(now, flow.of(now).kind if now else "", name in flow.doubtful)
    return found


def _steps(definition: Definition, others: Iterable[str] = ()) -> tuple[tuple[Step, ...], Flow, Context]:
    require_msgspec()
    destination = definition.destination.attributes if definition.destination else ()
    flow = Flow(definition.source, (attribute.name for attribute in destination), others)
    context = Context(definition, flow, _values(definition))
    _require_names(definition)
    return tuple(_step(number, each, context) for number, each in enumerate(definition.steps, 1)), flow, context


def _values(definition: Definition) -> dict[str, Value]:
    values = {}
    for alias, value in definition.values.items():
        try:
            values[alias] = constant(value)
        except Unfit as error:
            raise invalid(0, "", f"the value {error}", "Correct transform_values, as in {S: text}.", alias) from error
    return values


def _require_names(definition: Definition) -> None:
    for alias, name in definition.names.items():
        if not isinstance(name, str) or not name:
            raise invalid(0, "", f"{name!r} is no name", "Correct transform_names.", str(alias))


def _step(number: int, given: Any, context: Context) -> Step:
    if not isinstance(given, Mapping) or len(given) != 1:
        raise invalid(number, "", f"one step with its options is expected, not {given!r}", "Write each step by itself.")
    ((kind, options),) = given.items()
    builder = BUILDERS.get(kind) if isinstance(kind, str) else None
    if builder is None:
        raise invalid(number, str(kind), "there is no such step", f"Choose one of {', '.join(BUILDERS)}.")
    context.begin(number, kind)
    return builder(options, context)
