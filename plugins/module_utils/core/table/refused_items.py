# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Items that the destination refuses: which of an item's keys an index does not take, and the file that names them.

Item keys are personal data: they stand in that file only, messages and results have counts.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import CollidingKeys, ItemRefused
from ..items.private_files import expanded, in_words, replace_text
from .definition import TableDefinition

MOST_BYTES = {"HASH": 2048, "RANGE": 1024}  # of a key's value, in a table and in an index (aws.md H)

WAYS_OUT = (
    "Set indexes_after to have such indexes created after the copy, which leaves these items out of them as in the"
    " source, or leave_indexes to do without; or correct the items in the source."
)

Item = Mapping[str, Mapping[str, Any]]


class Keys:
    """The keys of a table and its indexes, for judging one item after the other."""

    def __init__(self, definition: TableDefinition) -> None:
        types = {entry["AttributeName"]: entry["AttributeType"] for entry in definition.attribute_definitions}
        indexes = (*definition.global_secondary_indexes, *definition.local_secondary_indexes)
        self._table = [(name, types[name]) for name in definition.key_attributes]
        self._indexes = [
            (index.name, key["AttributeName"], types[key["AttributeName"]], key["KeyType"])
            for index in indexes
            for key in index.key_schema
            if key["AttributeName"] in types and key["AttributeName"] not in definition.key_attributes
        ]

    @property
    def has_indexes(self) -> bool:
        """Whether any index has a key that is not the table's."""
        return bool(self._indexes)

    def key_of(self, item: Item) -> dict[str, Any] | None:
        """The item's key; None where it lacks it or has it with another type."""
        if any(kind not in item.get(name, {}) for name, kind in self._table):
            return None
        return {name: dict(item[name]) for name, _kind in self._table}

    def faults(self, item: Item) -> Iterator[tuple[str, str]]:
        """(index, reason) for each index key of the item that the index does not take."""
        for index, name, kind, key_type in self._indexes:
            value = item.get(name)
            if value is None:
                continue
            if kind not in value:
                yield index, f"its key {name} is of the type {next(iter(value), '')}, not {kind}"
            elif kind != "N" and not value[kind]:
                yield index, f"its key {name} is empty"
            elif kind != "N" and _size(kind, value[kind]) > MOST_BYTES[key_type]:
                yield index, f"its key {name} is longer than {MOST_BYTES[key_type]} bytes"


def _size(kind: str, content: str) -> int:
    try:
        return len(content.encode() if kind == "S" else base64.b64decode(content))
    except (ValueError, binascii.Error):
        return 0


def write_refused(path: str, entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Write ``entries`` to the file ``path`` as lines of JSON. Only its owner may read it (0600, a new folder 0700); a
    file that is there is replaced. Returns {path}, or {unwritten: why not}: that is no reason to hide what failed."""
    try:
        file = expanded(path)
        replace_text(file, "".join(json.dumps(entry) + "\n" for entry in entries))
    except OSError as error:
        return {"unwritten": f"{path}: {in_words(error)}"}
    return {"path": str(file)}


def colliding(
    count: int, lost: int, read: int, entries: Iterable[Mapping[str, Any]], *, table: str, path: str, or_else: str = ""
) -> CollidingKeys:
    """The error for ``count`` keys that steps give to several of the ``read`` items of the source ``table``, so that
    ``lost`` of them would be written over. ``entries`` are the first keys, each with the keys of its ``sources``; they
    go to the file ``path`` ("" for none). ``or_else`` is one more way out."""
    named = [{"reason": "several items get this key", **entry} for entry in entries]
    written = write_refused(path, named) if path else {}
    keys = f"{count:,} keys" if count > 1 else "one key"
    return CollidingKeys(
        f"The transform gives {keys} to several items each: {lost:,} of {read:,} items would be written over by"
        f" others.{where(written)}",
        "Correct the steps so that the key of each item stays apart, or set on_collision to any to let one of such"
        f" items win.{f' {or_else}' if or_else else ''}",
        table=table,
        details={"count": count, "lost": lost, **written},
    )


def without_keys(error: ItemRefused, path: str) -> ItemRefused:
    """``error`` without the keys of its ``items``, which are written to the file ``path`` ("" for none)."""
    details = dict(error.details)
    items = details.pop("items", [])
    written = write_refused(path, items) if path else {}
    cause = f"{error.cause}{where(written)}"
    return ItemRefused(cause, error.next_step, table=error.table, details={**details, **written})


def where(written: Mapping[str, Any]) -> str:
    """Where the keys are, in words: of what ``write_refused`` returned; "" where no file was asked for."""
    if written.get("path"):
        return f" The keys are in {written['path']}."
    return f" The keys could not be written to {written['unwritten']}." if written.get("unwritten") else ""


def refused_in_words(refused: Mapping[str, Any]) -> str:
    """What was refused, in words: counts, and where the keys are. ``refused``: {items, without_key, indexes, more} and
    what ``write_refused`` returned."""
    indexes = ", ".join(f"{name} ({number})" for name, number in sorted(refused.get("indexes", {}).items()))
    count = int(refused.get("items", 0))
    words = f"{'At least ' if refused.get('more') else ''}{count} item{' is' if count == 1 else 's are'} refused"
    words += f", by their keys of the indexes {indexes}" if indexes else ""
    return f"{words}.{where(refused)}"
