# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in source accounts, for ``status``: jobs that run there for tables without a record, and the tables that
records are of. Reads only: each list once a source, and DescribeTable for each record.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from ..account import Account
from ..errors import FerryError
from ..record.lease import iso
from ..record.record import Record, Source
from ..record.status import Standing, Wanted
from ..table.definition import TableDefinition
from .standing import AT_ONCE, Standings


@dataclass(frozen=True)
class SourceJob:
    """A job that runs in the source account: ``words`` as in "an export", of ``source_table``, ``since`` when (ISO).

    ``migration`` is whose it is, and ``destination``, as in "222222222222/eu-west-1/orders", or ``destination_table``
    alone, what it was begun for; empty where AWS does not say.
    """

    words: str
    source_table: str
    since: str
    migration: str = ""
    destination: str = ""
    destination_table: str = ""

    def may_be_for(self, destination: Account, name: str) -> bool:
        """Whether the table ``name`` of ``destination`` may be what it was begun for, or be served by it, too."""
        return self.destination in ("", f"{destination.account_id}/{destination.region}/{name}")


def in_seconds(time: str) -> str:
    """A JSON-safe time of AWS's as ``status`` shows times: whole seconds, UTC."""
    return iso(datetime.fromisoformat(time).timestamp()) if time else ""


# Finds the jobs that run in a source account, of those of its tables that are named.
FindSourceJobs: TypeAlias = Callable[[Account, Collection[str]], Iterable[SourceJob]]


def look_at_sources(
    destination: Account,
    seen: Standings,
    wanted: Mapping[str, Wanted],
    sources: Mapping[str, Account],
    records: Mapping[str, Record],
    finders: Iterable[FindSourceJobs],
) -> Standings:
    """``seen`` with what runs in the ``sources``, the accounts by destination table, for tables that nothing else
    explains: without a record (``records`` are those that there are), a table, or a job that makes it; and with the
    source tables of those that have a record and a table.

    What may not be read, or cannot now, is ``unseen``.
    """
    asked: dict[Account, dict[str, str]] = {}
    for name, source in sources.items():
        there = seen.standing.get(name)
        if name not in records and there == Standing():
            asked.setdefault(source, {})[name] = wanted[name].source_table or name
    standing, unseen = dict(seen.standing), dict.fromkeys(seen.unseen)
    for source, tables in asked.items():
        jobs: list[SourceJob] = []
        for find in finders:
            try:
                jobs += find(source, set(tables.values()))
            except FerryError as error:
                unseen[error.cause] = None
        for name, table in tables.items():
            of_table = [job for job in jobs if job.source_table == table and job.may_be_for(destination, name)]
            found = _nearest(of_table, name, wanted[name])
            if found is not None:
                standing[name] = _standing(found)
    copies = [
        (name, records[name], sources[name])
        for name in sources
        if name in records and name in standing and standing[name].table_id
    ]
    failed = []
    with ThreadPoolExecutor(AT_ONCE, "tableferry-look") as pool:
        for (name, _record, _account), (source_table, why) in zip(copies, pool.map(_source, copies), strict=True):
            standing[name] = replace(standing[name], source=source_table)
            failed += [f"the source of {name}: {why}"] if why else []
    if failed:
        unseen[failed[0] if len(failed) == 1 else f"{failed[0]} Nor the sources of {len(failed) - 1} more."] = None
    return replace(seen, standing=standing, unseen=tuple(unseen))


def _source(copy: tuple[str, Record, Account]) -> tuple[Source | None, str]:
    """The source table of a record, without a TableId where it is not there, or why it could not be looked at."""
    _name, record, account = copy
    try:
        there = TableDefinition.find(account, record.source.arn.rpartition("/")[2])
        arn = account.table_arn(record.source.arn.rpartition("/")[2])
    except FerryError as error:
        return None, error.cause
    return (Source(arn, "") if there is None else Source(there.arn, there.table_id)), ""


def _nearest(jobs: Iterable[SourceJob], name: str, wanted: Wanted) -> SourceJob | None:
    """The job that the next run is most likely to go on with: of its migration, for the table itself, the newest."""
    return max(
        jobs,
        key=lambda job: (
            wanted.migration in ("", job.migration),
            bool(job.destination) or job.destination_table == name,
            job.since,
        ),
        default=None,
    )


def _standing(job: SourceJob) -> Standing:
    return Standing(running=job.words, running_of=job.migration, in_source_since=job.since)
