# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts the migrations of many tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ...core import sdk
from ...core.account import Account
from ...core.errors import FerryError
from ...core.jobs.job import Job
from ...core.methods.merging import ToMerge, begun_parts, refused_together, to_merge
from ...core.methods.options import MigrationOptions
from ...core.migration import kinds
from ...core.table.definition import TableDefinition
from ..accounts import Accounts
from ..many import SPEC, run_many, sides_of
from ..records import RecordTables
from ..spec import SHARED_OPTIONS, Parameters, Progress, Verb
from . import migration_start
from .migration_start import options_of


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """What migration_start does, for each of the tables. Their definitions, which are long, are left out."""
    result = run_many(migration_start.VERB, partial(_start_one, _refused_together(params)), params, check_mode)
    begun = [table for table in result["tables"].values() if not table.get("failed")]
    for table in begun:
        del table["table"]
    if check_mode:
        _share(begun, result["diff"])
    return result


# Why a source is not merged: by its ARN, and that of the table.
Refusals = Mapping[tuple[str, str], FerryError]


def _start_one(
    refusals: Refusals, accounts: Accounts, tables: RecordTables, params: Parameters, check_mode: bool
) -> dict[str, Any]:
    if params["merge"] and refusals:
        place = _place(accounts, params, options_of(params))
        if place in refusals:
            raise refusals[place]
    return migration_start.start_one(accounts, tables, params, check_mode)


def _refused_together(params: Parameters) -> Refusals:
    """Sources that do not go together in one table: each is refused before anything of the others is written. Those
    that were begun stay as they are. What is wrong with one of them besides is told when it starts."""
    accounts = Accounts({name: params[name] for name in SHARED_OPTIONS})
    validator = ArgumentSpecValidator(migration_start.SPEC, **migration_start.VERB.rules)
    sources, places = list[ToMerge](), dict[str, tuple[Account, str, str]]()
    for entry in params["tables"]:
        if not entry["options"].get("merge"):
            continue
        checked = validator.validate({**entry["options"], **sides_of(entry)})
        given = checked.validated_parameters
        if checked.error_messages or not given["merge"]:
            continue
        with suppress(FerryError, sdk.ClientError, sdk.BotoCoreError):
            options, destination = options_of(given), accounts.get("destination", given["destination"])
            source = accounts.get("source", given["source"])
            definition = TableDefinition.find(source, options.table)
            if definition is not None:
                sources.append(to_merge(source, destination, options, definition))
                places[sources[-1].into] = (destination, given["record_table"], options.made_table)
    together = refused_together(sources)
    begun = {into: _begun_parts(*places[into]) for into in {into for _source, into in together}}
    return refused_together(each for each in sources if each.source not in begun.get(each.into, ())) if begun else {}


def _begun_parts(destination: Account, record_table: str, table: str) -> Collection[str]:
    """As ``begun_parts``; none where it cannot be read, which each source is refused for when it starts."""
    tables = RecordTables()
    try:
        return begun_parts(tables.to_read(destination, record_table), table)
    except (FerryError, sdk.ClientError, sdk.BotoCoreError):
        return ()
    finally:
        tables.leave()


def _place(accounts: Accounts, params: Parameters, options: MigrationOptions) -> tuple[str, str]:
    source = accounts.get("source", params["source"])
    return source.table_arn(options.table), accounts.get("destination", params["destination"]).table_arn(
        options.made_table
    )


def _share(tables: list[dict[str, Any]], diffs: list[dict[str, Any]]) -> None:
    """Jobs that are foreseen for several of ``tables`` and that one of them will begin for all: the others say so, in
    their changes and in their ``diffs``. A run finds it out when it begins them."""
    made, earlier = kinds(), dict[tuple[str, str, str], list[Job]]()
    for table, diff in zip(tables, diffs, strict=True):
        job = Job.from_dict(table["job"])
        if job.state != "planned":
            continue
        kind, others = made[job.kind], earlier.setdefault((job.kind, job.name, table["record"]["record_table"]), [])
        place = next(filter(None, (kind.shared_place(other, job) for other in others)), "")
        others.append(job)
        for change in table["changes"]:
            if place and change["what"] == f"{kind.noun} of {job.name}":
                change |= {"after": {"shared": place}, "risk": "safe"}
                diff["after"][change["what"]] = change["after"]


VERB = Verb("migration_start_all", SPEC, run, services=migration_start.VERB.services)
