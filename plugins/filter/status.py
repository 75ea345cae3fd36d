# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far all tables are: whom to ask, and what the answers come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.tableferry.aws.plugins.filter.tables import table_names
from ansible_collections.tableferry.aws.plugins.plugin_utils.differing import same_text
from ansible_collections.tableferry.aws.plugins.plugin_utils.hostvars import HostVars, read
from ansible_collections.tableferry.aws.plugins.plugin_utils.sides import BROKEN, RenderedSides

READ = "show_status_read"  # what the role registers for each host of ``status_places``


def status_places(pairs: Mapping[str, str], hostvars: HostVars) -> dict[str, dict[str, str]]:
    """For the first host of each destination its tables: destination table -> source table.

    Tables of several account pairs may have one destination, which is asked once. ``pairs`` is of ``account_pairs``.
    """
    first: dict[str, str] = {}
    places: dict[str, dict[str, str]] = {}
    rendered = RenderedSides(hostvars)
    for host in pairs:
        variables = hostvars[host]
        asked = first.setdefault(_place(rendered, host, variables), host)
        source, destination = table_names(host, variables)
        places.setdefault(asked, {})[destination] = source
    return places


def _place(rendered: RenderedSides, host: str, variables: Mapping[str, Any]) -> str:
    """A text that is equal for hosts with the same destination and record table."""
    return same_text([rendered.of(host, ["ferry_destination"]), read(variables, "ferry_record_table")])


def status_tables(pairs: Mapping[str, str], hostvars: HostVars, first: str) -> list[dict[str, Any]]:
    """What the inventory says of the tables of the destination that the host ``first`` is asked for: the option
    ``tables`` of migration_status_info. ``pairs`` is of ``account_pairs``."""
    rendered = RenderedSides(hostvars)
    place = _place(rendered, first, hostvars[first])
    found = []
    for host in pairs:
        variables = hostvars[host]
        if _place(rendered, host, variables) == place:
            source, destination = table_names(host, variables)
            migration = str(read(variables, "ferry_migration_id") or "default")
            about = {"name": destination, "source_table": source, "migration_id": migration}
            found.append({**about, **({"source": side} if (side := _source(rendered, host)) else {})})
    return found


def _source(rendered: RenderedSides, host: str) -> Any:
    """The source account of the host; None where it is not set or cannot be read: its jobs are not looked for then."""
    try:
        return rendered.of(host, ["ferry_source"]).get("ferry_source")
    except BROKEN:
        return None


def status_overview(
    places: Mapping[str, Mapping[str, str]], hostvars: HostVars, problems: Mapping[str, str], limited: bool = False
) -> dict[str, Any]:
    """What the destinations answered, as one: ``tables``, ``record_tables``, ``lines`` for a terminal, ``problems``.

    ``places`` is of ``status_places``, ``problems`` of ``inventory_problems``; ``limited`` leaves out records of
    tables that are not in ``places``. A table of the inventory without a record has a row too. ``problems`` says for a
    host why its tables are not shown.
    """
    from ansible_collections.tableferry.aws.plugins.module_utils.core.record import status
    from ansible_collections.tableferry.aws.plugins.module_utils.core.report.text import status_table

    failures: dict[str, str] = dict(problems)
    answers: dict[str, dict[str, Any]] = {}
    wanted: dict[str, dict[str, str]] = {}
    for host, names in places.items():
        answer = read(hostvars[host], READ) or {}
        if "tables" not in answer:
            failures[host] = str(answer.get("msg") or f"{host}: its destination was not asked.")
            continue
        # With other credentials it may be the same account; without a record table nothing says so.
        place = str(answer["record_table_arn"]) or host
        answers.setdefault(place, answer)
        wanted.setdefault(place, {}).update(names)
    tables: list[dict[str, Any]] = []
    words: list[str] = []
    unseen: list[str] = []
    for place, answer in answers.items():
        names = wanted[place]
        known = {row["name"] for row in answer["tables"]}
        rows = [row for row in answer["tables"] if not limited or row["name"] in names]
        rows += [status.missing(name, source) for name, source in names.items() if name not in known]
        unseen += status.unseen_lines(answer.get("unseen", ()))
        tables += [{**row, "record_table": str(answer["record_table_arn"])} for row in rows]
        words += [str(answer["msg"]), *(f"{run['held_by']}: {run['tables']} of them" for run in answer["runs"])]
    tables.sort(key=lambda row: (str(row["name"]), row["record_table"]))
    lines = [*words, *status_table(tables), *unseen, *(f"not shown: {reason}" for reason in failures.values())]
    return {
        "tables": tables,
        "record_tables": [arn for answer in answers.values() if (arn := str(answer["record_table_arn"]))],
        "lines": lines,
        "problems": failures,
    }


class FilterModule:
    """Filters for the status of tables."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {"status_overview": status_overview, "status_places": status_places, "status_tables": status_tables}
