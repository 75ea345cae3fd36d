# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several sources in one destination table, as the user asks for it: what keys of one source begin with, and whether
the sources go together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..account import Account
from ..change import Change
from ..errors import FerryError, InvalidInput
from ..record.merging import not_apart, shown
from ..record.parts import kept_apart
from ..record.record import table_key
from ..record.store import RecordStore
from ..table.definition import TableDefinition
from ..table.merged import Form, form_of, not_alike
from ..table.transforming import key_heads, made_shape
from .method import Method, transforming
from .options import MigrationOptions, SparkChoices


@dataclass(frozen=True)
class ToMerge:
    """A source, an ARN, that is to be brought into the table ``into``, an ARN too: what its keys begin with there, and
    the table that its items would make."""

    source: str
    into: str
    heads: Mapping[str, str]
    shape: TableDefinition

    @cached_property
    def form(self) -> Form:
        """What the table's shape is compared by, with that of each other source."""
        return form_of(self.shape)


def to_merge(source: Account, destination: Account, options: MigrationOptions, definition: TableDefinition) -> ToMerge:
    """The source table ``definition`` as one of several. Raises InvalidTransform."""
    return ToMerge(
        source.table_arn(options.table),
        destination.table_arn(options.made_table),
        key_heads(options.transform, definition),
        made_shape(definition, options.transform, options.leave_indexes),
    )


def refused_together(sources: Iterable[ToMerge]) -> dict[tuple[str, str], FerryError]:
    """Why sources, of which none was begun, cannot become one table: by the ARNs of the source and of that table. Keys
    that are not provably apart, and tables that are not alike, concern both: which is right cannot be told here."""
    tables: dict[str, list[ToMerge]] = {}
    for each in sources:
        tables.setdefault(each.into, []).append(each)
    return {
        (one.source, into): error
        for into, found in tables.items()
        for one in found
        if (error := _against_others(into.rpartition("/")[2], one, found)) is not None
    }


def _against_others(name: str, one: ToMerge, found: Sequence[ToMerge]) -> FerryError | None:
    others = [other for other in found if other.source != one.source]
    for other in others:
        if one.form != other.form:
            return not_alike(name, (one.source, one.shape), (other.source, other.shape))
    for other in others:
        if not kept_apart(one.heads, other.heads):
            return not_apart(name, (one.source, one.heads), (other.source, other.heads))
    return None


def begun_parts(store: RecordStore | None, table: str) -> frozenset[str]:
    """The ARNs of the sources of ``table`` that the record in ``store`` knows: they stay as they are, and new ones are
    held to them. None where nothing was begun. Raises RecordDenied and what Account.explain gives."""
    record = store.read(table_key(table)) if store is not None else None
    return frozenset() if record is None or record.is_untouched else frozenset(record.parts)


def require_merging(method: Method, methods: Iterable[Method], options: MigrationOptions) -> None:
    """Raises InvalidInput where a source is to be merged by a ``method`` that cannot, naming those of the ``methods``
    that can."""
    if not options.merge:
        return
    if not method.transforms:
        raise InvalidInput(
            f"The method {method.name} cannot merge several sources in one table: it cannot change keys.",
            f"Methods that can: {', '.join(transforming(methods))}.",
            table=options.table,
        )
    if options.spark.end != SparkChoices().end:
        raise InvalidInput(
            "An import makes its table, and cannot bring more items into one: sources cannot be merged by it.",
            "Leave end out of spark.",
            table=options.table,
        )


def heads_of(
    method: Method, methods: Iterable[Method], source: Account, options: MigrationOptions
) -> Mapping[str, str] | None:
    """The constant texts that attributes of the destination's keys begin with, by their names; None where the source is
    not to be merged, or is not there. Raises as ``require_merging``, and InvalidTransform."""
    require_merging(method, methods, options)
    return source_heads(source, options) if options.merge else None


def source_heads(source: Account, options: MigrationOptions) -> Mapping[str, str] | None:
    """As ``heads_of``, whatever the method is. Raises InvalidTransform."""
    definition = TableDefinition.find(source, options.table)
    return None if definition is None else key_heads(options.transform, definition)


def part_changes(source: Account, options: MigrationOptions) -> tuple[Change, ...]:
    """What check mode says of a source that is merged: where its items are in the table. Raises InvalidTransform."""
    heads = source_heads(source, options) if options.merge else None
    if not heads:
        return ()
    return (Change(f"part of {options.made_table}", None, {"source": options.table, "keys": shown(heads)}),)
