# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the options of the inventory plugin to tables, their accounts and their records, without Ansible."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import InvalidInput, RecordDenied
from ..core.record import record_table, status
from ..core.table.listing import Progress, TableListing, Wish, list_tables, without_duplicates
from .accounts import Accounts, settings_of
from .records import open_to_read
from .spec import ACCOUNT_OPTIONS, Parameters

_SECRETS = ("secret_key", "session_token", "external_id", "tags")  # no part of which tables there are
PREFIX = "dynamodb_table_"
NO_RECORD = "none"
SOURCE_REPLACED = "source_replaced"

Cached = Mapping[str, Sequence[dict[str, Any]]]


@dataclass(frozen=True)
class Place:
    """One account and Region to list, as the options say; ``settings`` are the options of its account."""

    settings: Mapping[str, Any]
    source: int  # which of the sources

    @property
    def region(self) -> str:
        """Its Region; "" where none is given."""
        return str(self.settings.get("region") or "")


@dataclass(frozen=True)
class Found:
    """A place with its tables."""

    place: Place
    listing: TableListing


def require_known(names: Collection[Any], known: Collection[str], where: str) -> None:
    """Raises InvalidInput for the first of ``names`` that is not ``known``, with the nearest right one."""
    for name in map(str, names):
        if name not in known:
            close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
            step = f"Did you mean {close[0]}?" if close else f"Use only {', '.join(sorted(known))}."
            raise InvalidInput(f"{where} has no option {name}.", step)


def places(options: Parameters) -> list[Place]:
    """The places to list: each source in each of its Regions. Raises InvalidInput."""
    several, one = options.get("sources") or [], options.get("source")
    if several and one:
        raise InvalidInput("source and sources are both given.", "Give one of them.")
    sources = several or [one or {}]
    made, everywhere = [], True
    for number, source in enumerate(sources):
        where = f"sources[{number}]" if several else "source"
        if not isinstance(source, Mapping):
            raise InvalidInput(f"{where} is not a mapping.", "Write it as a mapping, with profile and region.")
        require_known(source, {*ACCOUNT_OPTIONS, "regions"}, where)
        everywhere &= bool(source.get("region") or source.get("regions"))
        regions = source.get("regions") or ([] if source.get("region") else options.get("regions") or [])
        if isinstance(regions, str):
            regions = [regions]
        own = {name: value for name, value in source.items() if name != "regions"}
        for settings in [{**own, "region": region} for region in dict.fromkeys(regions)] or [own]:
            made.append(Place(settings_of(settings, options), number))
    if everywhere and options.get("regions"):
        raise InvalidInput(
            "regions is given, and each source has a Region of its own: no table of regions would be listed.",
            "Leave region out of the source, or leave out regions.",
        )
    return made


def wish_of(options: Parameters, size: Callable[[str], int]) -> Wish:
    """Which tables the options ask for; ``size`` reads a number of bytes such as 10G. Raises InvalidInput."""

    def bytes_of(name: str) -> int | None:
        text = options.get(name)
        if text in (None, ""):
            return None
        try:
            return size(str(text))
        except ValueError as error:
            raise InvalidInput(f"{name} is {text}, which is no size.", "Write it as 500M or 10G.") from error

    for name in ("include_tags", "exclude_tags"):
        if not isinstance(options.get(name) or {}, Mapping):
            raise InvalidInput(f"{name} is not a mapping.", "Write a pattern for each key, such as team: shop-*.")
    wish = Wish(
        include=tuple(map(str, options.get("include") or ())),
        exclude=tuple(map(str, options.get("exclude") or ())),
        include_tags={str(key): str(value) for key, value in (options.get("include_tags") or {}).items()},
        exclude_tags={str(key): str(value) for key, value in (options.get("exclude_tags") or {}).items()},
        min_bytes=bytes_of("min_size"),
        max_bytes=bytes_of("max_size"),
        billing_mode=options.get("billing_mode") or "",
    )
    wish.check()
    return wish


def fingerprint(place: Place, wish: Wish, tags: bool) -> str:
    """What the tables of ``place`` are cached under: another one where the options ask for others. Without secrets."""
    shown = {name: str(value) for name, value in place.settings.items() if name not in _SECRETS}
    text = json.dumps([shown, repr(wish), tags], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def find(options: Parameters, wish: Wish, cached: Cached, progress: Progress) -> list[Found]:
    """The tables of all places, those that are ``cached`` without a call. Raises FerryError."""
    accounts, tags = Accounts(options), bool(options.get("read_tags"))
    asked = places(options)
    found = []
    for place in asked:
        known = cached.get(fingerprint(place, wish, tags))
        account = accounts.get("source", place.settings)
        listing = list_tables(account, wish, progress, tags=tags) if known is None else TableListing(tuple(known))
        found.append(Found(place, listing))
    return found


def distinct(found: Sequence[Found]) -> list[Found]:
    """The same with each table once: two sources may be one account."""
    listings = without_duplicates(each.listing for each in found)
    return [Found(each.place, listing) for each, listing in zip(found, listings, strict=True)]


def to_cache(found: Sequence[Found], wish: Wish, tags: bool) -> dict[str, list[dict[str, Any]]]:
    """What ``find`` takes as ``cached`` later. A listing with warnings lacks something, and is listed again."""
    return {
        fingerprint(each.place, wish, tags): list(each.listing.tables) for each in found if not each.listing.warnings
    }


def records(options: Parameters) -> dict[str, list[dict[str, Any]]]:
    """The rows of the destination's record by the ARN of the source table, as ``migration_status_info`` has them, with
    the TableId of the source that each is about; of a table that is merged of several sources one for each of them.
    Reads only. Raises FerryError."""
    destination, name = options["destination"], options["record_table"]
    require_known(destination, ACCOUNT_OPTIONS, "destination")
    account = Accounts(options).get("destination", destination)
    store, now = open_to_read(account, name)
    if store is None:
        return {}
    try:
        everything = store.everything()
    except RecordDenied as denied:
        raise record_table.narrowed(denied, name, store.table.arn, record_table.READING) from denied
    made: dict[str, list[dict[str, Any]]] = {}
    for row in status.rows_of_sources(everything, store.home, now):
        made.setdefault(row["source"], []).append(row)
    return made


def table_variables(table: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a table as variables of its host."""
    return {f"{PREFIX}{name}": value for name, value in table.items()}


def record_variables(table: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The variables that say how far a table is: its rows, and one word for groups.

    The word is the state of the record that is behind the others' (the first in the order of a migration), ``none``
    without a record, and ``source_replaced`` where a record is about a table that was deleted since.
    """
    order = ("unreadable", "broken", "claimed", "filling", "filled", "settled", "following", "handed_over", "done")
    states = {str(row["state"]) for row in rows}
    state = min(states, key=lambda each: order.index(each) if each in order else -1, default=NO_RECORD)
    if any(row["source_table_id"] not in ("", table["id"]) for row in rows):
        state = SOURCE_REPLACED
    return {f"{PREFIX}records": [dict(row) for row in rows], f"{PREFIX}record_state": state}


def source_variable(place: Place, table: Mapping[str, Any]) -> dict[str, Any]:
    """The source account of the tables of a place: its options, held to the account that they were found in."""
    return {**place.settings, "account_id": table["account_id"]}


def group_of(table: Mapping[str, Any]) -> str:
    """The group of the tables in the account and Region of ``table``, which has that account as a variable."""
    return f"dynamodb_{table['account_id']}_{table['region'].replace('-', '_')}"
