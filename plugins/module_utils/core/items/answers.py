# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only door to msgspec, and the answers of DynamoDB in which items stay bytes.

An item is a ``Raw``: the slice of the answer in which it arrived, its numbers, sets and binaries untouched. A slice
keeps its whole page alive; whoever keeps items longer than their page keeps ``bytes(item)``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

from ..errors import FerryError, MissingLibrary, ServiceError
from . import surrogates

try:
    import msgspec
    from msgspec import Raw, Struct

    MSGSPEC_ERROR = ""
except ImportError as missing:
    MSGSPEC_ERROR = str(missing)
    msgspec = None  # type: ignore[assignment]
    Raw = bytes  # type: ignore[assignment,misc]

    class Struct:  # type: ignore[no-redef]
        """A stand-in, so that this module can be imported without msgspec."""

        def __init_subclass__(cls, **_options: Any) -> None:
            """Accepts the options of msgspec's Struct."""


__all__ = [
    "MSGSPEC_ERROR",
    "BatchRead",
    "BatchWritten",
    "Consumed",
    "Key",
    "KeyAttribute",
    "KeyReader",
    "Raw",
    "ScanPage",
    "Single",
    "Slice",
    "Struct",
    "UnprocessedKeys",
    "canonical_number",
    "decode",
    "joined",
    "malformed",
    "msgspec",
    "require_msgspec",
    "split",
]

Slice: TypeAlias = "Raw | bytes"
Key: TypeAlias = tuple[str, ...]  # a key's values in canonical text: equal keys are equal tuples


def require_msgspec() -> None:
    """Raises MissingLibrary where msgspec is not installed."""
    if MSGSPEC_ERROR:
        raise MissingLibrary(
            f"Moving items needs the Python library msgspec ({MSGSPEC_ERROR}).",
            "Install it for the Python that runs Ansible: pip install msgspec.",
        )


class Consumed(Struct, rename="pascal"):
    """ConsumedCapacity of one table, in capacity units."""

    capacity_units: float = 0.0


class ScanPage(Struct, rename="pascal"):
    """An answer of Scan; ``items`` is empty with Select=COUNT, ``last_evaluated_key`` at a segment's end."""

    count: int
    items: tuple[Raw, ...] = ()
    last_evaluated_key: Raw = Raw(b"")
    consumed_capacity: Consumed | None = None


class BatchWritten(Struct, rename="pascal"):
    """An answer of BatchWriteItem; unprocessed are whole requests (``{"PutRequest": ...}``)."""

    unprocessed_items: dict[str, list[Raw]]
    consumed_capacity: tuple[Consumed, ...] = ()


class UnprocessedKeys(Struct, rename="pascal"):
    """The keys of one table that BatchGetItem did not read."""

    keys: list[Raw]


class BatchRead(Struct, rename="pascal"):
    """An answer of BatchGetItem."""

    responses: dict[str, list[Raw]]
    unprocessed_keys: dict[str, UnprocessedKeys] | None = None
    consumed_capacity: tuple[Consumed, ...] = ()


class Single(Struct, rename="pascal"):
    """An answer of PutItem or DeleteItem; ``attributes`` is the item that was there, b"" for none."""

    consumed_capacity: Consumed | None = None
    attributes: Raw = Raw(b"")


def decode(body: Slice, kind: Any, operation: str, table: str) -> Any:
    """``body`` as ``kind``. Raises ServiceError for an answer that is not DynamoDB's."""
    try:
        return split(body, kind)
    except msgspec.MsgspecError as error:
        raise malformed(operation, table, error) from error


def split(text: Slice, kind: Any) -> Any:
    """JSON as ``kind``, whose raw parts are slices of it. Raises MsgspecError."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError:
        whole = surrogates.hidden(bytes(text))
        if whole is None:
            raise
    other, restore = whole
    return _restored(msgspec.json.decode(other, type=kind), restore)


def _restored(value: Any, restore: Callable[[bytes], bytes]) -> Any:
    """``value`` with each raw part and each text as it was."""
    if isinstance(value, str):
        return value if value.isascii() else surrogates.parsed(restore(json.dumps(value).encode()))
    if isinstance(value, Raw):
        return Raw(restore(bytes(value)))
    if isinstance(value, dict):
        return {_restored(name, restore): _restored(each, restore) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_restored(each, restore) for each in value)
    if isinstance(value, Struct):
        for name in value.__struct_fields__:
            msgspec.structs.force_setattr(value, name, _restored(getattr(value, name), restore))
    return value


def joined(value: Any) -> bytes:
    """What ``split`` takes apart as JSON again."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # for halves of surrogate pairs
        if not isinstance(value, dict):
            return json.dumps(value).encode()
        return b"{%s}" % b",".join(b"%s:%s" % (joined(name), joined(each)) for name, each in value.items())


def malformed(operation: str, table: str, error: Exception) -> FerryError:
    """The error for an answer that cannot be read; the parser's text names positions, not contents."""
    return ServiceError(
        f"The answer to {operation} cannot be read: {error}.",
        "Check that the endpoint is DynamoDB and that no proxy answers in its place.",
        table=table,
        details={"code": "MalformedAnswer"},
    )


class _Number(Struct, rename="upper", frozen=True, gc=False):
    n: str = ""


_NO_NUMBER = _Number()


@dataclass(frozen=True)
class KeyAttribute:
    """A key attribute: its name, and its type ``S``, ``N`` or ``B``."""

    name: str
    type: str


class KeyReader:
    """Takes keys out of raw items, without parsing what else is in them.

    Keys are compared as DynamoDB compares them: numbers by value, so that ``1e3`` and ``1000`` are one key
    (emulators.md 9 and 10), text and binary as they are. ``number`` names one more attribute, whose number is read
    too.
    """

    def __init__(self, key: Sequence[KeyAttribute], number: str = "") -> None:
        """Raises MissingLibrary."""
        require_msgspec()
        self.key = tuple(key)
        self._values = [attrgetter(f"key{position}.value") for position in range(len(key))]
        names = {f"key{position}": attribute.name for position, attribute in enumerate(key)}
        fields: list[Any] = [
            (f"key{position}", msgspec.defstruct("Value", [("value", str)], rename={"value": attribute.type}, gc=False))
            for position, attribute in enumerate(key)
        ]
        self._number_in_key = next((at for at, attribute in enumerate(key) if attribute.name == number), -1)
        if number and self._number_in_key < 0:
            names["number"] = number
            fields.append(("number", _Number, _NO_NUMBER))
        item = msgspec.defstruct("Item", fields, rename=names, gc=False)
        page = msgspec.defstruct("Page", [("items", list[item])], rename={"items": "Items"})  # type: ignore[valid-type]
        self._types = item, page
        self._item: Any = msgspec.json.Decoder(item)
        self._page: Any = msgspec.json.Decoder(page)

    def of(self, item: Slice) -> Key:
        """The key of one raw item. Raises ServiceError when it lacks its key."""
        try:
            read = self._item.decode(item)
        except msgspec.MsgspecError:
            read = decode(item, self._types[0], "a read of items", "")
        return self._keys([read])[0]

    def of_page(self, body: bytes) -> list[Key]:
        """The keys of all items of a Scan's answer, in order. Raises ServiceError when an item lacks its key."""
        return self._keys(self._decoded(body))

    def of_items(self, items: Sequence[Slice]) -> list[Key]:
        """The keys of raw items that come from more than one answer. Raises ServiceError as ``of_page``."""
        return self._keys(self._each(items))

    def numbers_of_page(self, body: bytes) -> list[str]:
        """The attribute ``number`` of all items of a Scan's answer, as text: "" where it is absent or not a number."""
        if self._number_in_key >= 0:
            return [key[self._number_in_key] for key in self.of_page(body)]
        return [item.number.n for item in self._decoded(body)]

    def numbers_of_items(self, items: Sequence[Slice]) -> list[str]:
        """The attribute ``number`` of raw items that come from more than one answer, as ``numbers_of_page``."""
        if self._number_in_key >= 0:
            return [key[self._number_in_key] for key in self.of_items(items)]
        return [item.number.n for item in self._each(items)]

    def to_wire(self, key: Key) -> bytes:
        """The key as DynamoDB's JSON."""
        return joined(self.to_json(key))

    def to_json(self, key: Key) -> dict[str, dict[str, str]]:
        """The key in DynamoDB's form, as Python values."""
        return {attribute.name: {attribute.type: value} for attribute, value in zip(self.key, key, strict=True)}

    def from_json(self, key: Mapping[str, Mapping[str, str]]) -> Key:
        """The key of ``to_json``. Raises ServiceError when it is not a key of this table."""
        return self.of(joined(key))

    def _keys(self, items: list[Any]) -> list[Key]:
        """The keys of decoded items, column by column: no Python for each."""
        columns: list[list[str]] = [list(map(value, items)) for value in self._values]
        for position, attribute in enumerate(self.key):
            if attribute.type == "N":
                columns[position] = _canonical_numbers(columns[position])
        return list(zip(*columns, strict=True))

    def _each(self, items: Sequence[Slice]) -> list[Any]:
        try:
            return list(map(self._item.decode, items))
        except msgspec.MsgspecError:
            return [decode(item, self._types[0], "a read of items", "") for item in items]

    def _decoded(self, body: bytes) -> list[Any]:
        try:
            return self._page.decode(body).items  # type: ignore[no-any-return]
        except msgspec.MsgspecError:
            return decode(body, self._types[1], "Scan", "").items  # type: ignore[no-any-return]


def _canonical_numbers(texts: list[str]) -> list[str]:
    """``texts`` as ``canonical_number`` makes them; the same list where all are plain, as they mostly are."""
    if all(map(str.isdigit, texts)) and "0" not in set(map(_FIRST, texts)):
        return texts
    return list(map(canonical_number, texts))


_FIRST = itemgetter(0)


def canonical_number(text: str) -> str:
    """The number ``text`` in the one form that all texts of its value share, exact in every digit.

    The form is DynamoDB's own: plain digits without superfluous zeros, so that what AWS sends stays as it is. Text
    that is not a number stays as it is too.
    """
    if text.isascii() and text.isdigit() and (text[0] != "0" or text == "0"):
        return text
    mantissa, _e, power = text.lower().partition("e")
    negative = mantissa.startswith("-")
    whole, _point, fraction = mantissa.lstrip("+-").partition(".")
    digits = whole + fraction
    if not (digits.isascii() and digits.isdigit()):
        return text
    try:
        exponent = int(power or "0") - len(fraction)
    except ValueError:
        return text
    stripped = digits.lstrip("0").rstrip("0")
    if not stripped:
        return "0"
    exponent += len(digits) - len(digits.rstrip("0"))
    if abs(exponent) > _LARGEST_EXPONENT:
        return text
    if exponent >= 0:
        plain = stripped + "0" * exponent
    elif len(stripped) > -exponent:
        plain = f"{stripped[:exponent]}.{stripped[exponent:]}"
    else:
        plain = f"0.{stripped.rjust(-exponent, '0')}"
    return f"-{plain}" if negative else plain


_LARGEST_EXPONENT = 400  # numbers end at 1E-130 and 9.99E+125 with 38 digits (aws.md H): nothing larger is expanded
