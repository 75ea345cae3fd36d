# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several sources in one destination table, as the user asks for it: what keys of one source begin with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..account import Account
from ..change import Change
from ..errors import InvalidInput
from ..record.merging import shown
from ..table.definition import TableDefinition
from ..table.transforming import key_heads
from .method import Method, transforming
from .options import MigrationOptions, SparkChoices


def heads_of(
    method: Method, methods: Iterable[Method], source: Account, options: MigrationOptions
) -> Mapping[str, str] | None:
    """The constant texts that attributes of the destination's keys begin with, by their names; None where the source is
    not to be merged, or is not there. Raises InvalidInput for a method that cannot, and InvalidTransform."""
    if not options.merge:
        return None
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
    return source_heads(source, options)


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
