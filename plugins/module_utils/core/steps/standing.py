# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands under the names of records, and of tables without one: the records are compared with it by ``status``.

Reads only: DescribeTable for each name; the lists of jobs once, and only where a table has no record.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from ..account import Account
from ..destination import was_filled_by_us
from ..errors import DestinationExists, FerryError, MissingTable
from ..record import rules, status, transitions
from ..record.record import Record, Source
from ..record.status import Standing, Wanted, copy_state, needs_tags
from ..route import Route
from ..table.definition import TableDefinition
from ..table.ownership import OWNERSHIP_TAG, read_tags
from ..table_status import Phase, phase_of

AT_ONCE = 8  # tables that are described at the same time


@dataclass(frozen=True)
class Filling:
    """A job on AWS that makes, or made, the ``table`` of the destination: in words ("an import"), and whether it runs.
    ``route`` is whence; None where AWS does not say of which migration it is, then ``source_table`` is what it is of.
    """

    words: str
    table: str
    runs: bool
    route: Route | None = None
    source_table: str = ""


# Finds all jobs that make tables of the destination: one list for each kind.
FindFillings = Callable[[Account], Iterable[Filling]]


@dataclass(frozen=True)
class Standings:
    """What stands under each name that could be looked at. ``unseen`` says what could not, and why."""

    standing: Mapping[str, Standing] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()


def look_around(
    destination: Account,
    names: Collection[str],
    records: Mapping[str, Record],
    sources: Mapping[str, str],
    finders: Iterable[FindFillings],
) -> Standings:
    """What stands under ``names``; ``records`` are those that there are of them, ``sources`` their source tables where
    they are known, both by name.

    What may not be read, or cannot now, is ``unseen``: the others are looked at all the same.
    """
    unseen: dict[str, None] = {}
    fillings = []
    if any(name not in records for name in names):
        for find in finders:
            try:
                fillings += list(find(destination))
            except FerryError as error:
                unseen[error.cause] = None

    def look(name: str) -> tuple[Standing | None, str]:
        of_name = [
            each
            for each in fillings
            if each.table == name and each.source_table in ("", sources.get(name) or each.source_table)
        ]
        try:
            return _standing(destination, name, records.get(name), of_name), ""
        except FerryError as error:
            return None, error.cause

    with ThreadPoolExecutor(AT_ONCE, "tableferry-look") as pool:
        found = dict(zip(names, pool.map(look, names), strict=True))
    failed = {name: why for name, (standing, why) in found.items() if standing is None}
    if failed:
        first, why = next(iter(failed.items()))
        unseen[f"{first if len(failed) == 1 else f'{len(failed)} tables'}: {why}"] = None
    return Standings(
        {name: standing for name, (standing, _why) in found.items() if standing is not None}, tuple(unseen)
    )


def require_copy(destination: Account, record: Record) -> None:
    """Raises Replaced or MissingTable, in the words of ``status``, where the copy that the ``record`` knows does not
    stand any more; one call."""
    there = TableDefinition.find(destination, record.name)
    seen = "" if there is None else there.table_id
    copy = copy_state(record, Standing(seen))
    if copy == "replaced":
        raise rules.replaced(record, seen, record.table_id)
    if copy == "deleted":
        raise MissingTable(*rules.deleted(record), table=record.name)


def require_own(record: Record, migration: str, source: Account, source_table: str) -> None:
    """Raises DestinationExists, in the words of ``status``, where the ``record`` is of another migration or source
    table, and where the source was made anew since: a repair would bring items of another table. One call."""
    arn = source.table_arn(source_table)
    other = status.other_migration(record, Wanted(source_table, migration))
    details = {"migration": record.migration, "source": record.source.arn}
    if other or (arn not in record.sources and not record.is_untouched):
        raise DestinationExists(
            f"The table {record.name} is the copy that migration {record.migration} makes of {record.source.arn}.",
            f"{other or 'Check source and source_table.'} Nothing was changed.",
            table=record.name,
            details=details,
        )
    there = TableDefinition.find(source, source_table)
    if there is not None and transitions.source_was_replaced(record, Source(arn, there.table_id)):
        raise DestinationExists(
            f"The source table {source_table} was made anew since {record.name} was filled: it is another table"
            f" ({there.table_id}, not {record.source.table_id}), and a repair would bring its items.",
            "Nothing was changed. To have the new table, delete the copy, if nobody needs it, and run migrate; or"
            " choose another destination_table.",
            table=record.name,
            details={**details, "table_id": there.table_id, "source_table_id": record.source.table_id},
        )


def _standing(destination: Account, name: str, record: Record | None, fillings: list[Filling]) -> Standing:
    there = TableDefinition.find(destination, name)
    table_id = "" if there is None else there.table_id
    if record is not None and not needs_tags(record, table_id):
        return Standing(table_id)
    running = next((each for each in fillings if each.runs), None)
    if running is not None:
        of = "" if running.route is None else running.route.migration_id
        return Standing(table_id, running=running.words, running_of=of)
    if there is None:
        return Standing()
    return _marked(destination, there, fillings)


def _marked(destination: Account, there: TableDefinition, fillings: list[Filling]) -> Standing:
    """Of which migration a table is that no record explains: by its tags, or by a job that made just this one."""
    standing = Standing(there.table_id)
    if phase_of(there.status) not in (Phase.MAKING, Phase.GOING):  # when its tags cannot be asked for
        migration = read_tags(destination, there.arn).get(OWNERSHIP_TAG)
        if migration is not None:
            return replace(standing, marked=True, migration=migration)
    routes = dict.fromkeys(each.route for each in fillings if each.route is not None)
    for route in routes:
        if was_filled_by_us(destination, there, route):
            return replace(standing, marked=True, migration=route.migration_id)
    return standing
