# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who still needs a shared statement, grant, key, role or share (``use#<resource ARN>`` / ``users``).

One item for all users of a resource, so that taking it away and beginning to use it exclude each other: an item per
user would race (found.md A11). Values only; ``store`` writes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import RecordTooNew
from .attributes import Item, from_item, to_item

SCHEMA = 1
NAMES_ADDED = 50  # of the users that are counted at once: a report names a few, and an item holds 400 KB


@dataclass(frozen=True)
class Uses:
    """The users of ``arn``. ``closing`` is the run that is taking the resource away; nobody can be added meanwhile.

    ``names`` say of some users who they are (``user_name``), for reports: a user may have no record yet.
    """

    arn: str
    home: str
    users: frozenset[str] = frozenset()
    closing: str = ""
    names: frozenset[str] = frozenset()

    def named_users(self, users: Iterable[str]) -> dict[str, str]:
        """Those of the ``users`` that are known by name, as ``table (migration ..)``."""
        wanted = set(users)
        return {user: f"{table} (migration {migration})" for user, table, migration in self._parts if user in wanted}

    @property
    def tables(self) -> dict[str, str]:
        """The destination table of each user that is known by name."""
        return {user: table for user, table, _migration in self._parts if user in self.users}

    @property
    def _parts(self) -> list[list[str]]:
        return [name.split(" ", 2) for name in sorted(self.names) if name.count(" ") >= 2]

    @property
    def name(self) -> str:
        """The resource in a message."""
        return named(self.arn)

    def to_item(self) -> dict[str, dict[str, Any]]:
        """As DynamoDB's item."""
        values: dict[str, Any] = {"schema": SCHEMA, "home": self.home}
        if self.users:
            values["users"] = self.users
        if self.names:
            values["names"] = self.names
        if self.closing:
            values["closing"] = {"run": self.closing}
        return {**key(self.arn), **to_item(values)}

    @classmethod
    def from_item(cls, item: Item) -> Uses:
        """The uses of DynamoDB's ``item``. Raises RecordTooNew for those of a newer version."""
        values = from_item(item)
        if values.get("schema", 1) > SCHEMA:
            raise RecordTooNew(
                f"A newer version of TableFerry wrote {values['pk']} (schema {values['schema']}).",
                "Use that version, or a newer one, for this account.",
            )
        return cls(
            str(values["pk"]).removeprefix("use#"),
            str(values.get("home", "")),
            values.get("users", frozenset()),
            str(values.get("closing", {}).get("run", "")),
            values.get("names", frozenset()),
        )


def named(resource: str) -> str:
    """A resource (an ARN, ``#`` and a Sid or name) in a message."""
    arn, _separator, name = resource.rpartition("#")
    return f"{name} of {arn}" if arn else name


def key(arn: str) -> dict[str, dict[str, str]]:
    """The key of the uses of ``arn`` in the table of the records."""
    return {"pk": {"S": f"use#{arn}"}, "sk": {"S": "users"}}


def user_id(migration: str, destination_table: str) -> str:
    """A user: 16 hex digits over migration and destination table."""
    return hashlib.sha256(f"{migration}\0{destination_table}".encode()).hexdigest()[:16]


def user_ids(migration: str, destination_tables: Iterable[str]) -> frozenset[str]:
    """The users that a pair of accounts writes at once."""
    return frozenset(user_id(migration, table) for table in destination_tables)


def user_name(migration: str, destination_table: str) -> str:
    """What ``Uses.names`` has of a user."""
    return f"{user_id(migration, destination_table)} {destination_table} {migration}"


def adding(users: frozenset[str], names: Iterable[str], home: str) -> tuple[str, str, dict[str, str], dict[str, Any]]:
    """The update that adds ``users``, with some of their ``names``, unless the uses are closing: expression, condition,
    and the names and values in both."""
    some = frozenset(sorted(names)[:NAMES_ADDED])
    attributes = {"#users": "users", "#home": "home", "#schema": "schema", "#closing": "closing"}
    values: dict[str, Any] = {":users": users, ":home": home, ":schema": SCHEMA}
    change = "ADD #users :users"
    if some:
        change, attributes["#names"], values[":names"] = f"{change}, #names :names", "names", some
    return f"{change} SET #home = :home, #schema = :schema", "attribute_not_exists(#closing)", attributes, values


def removing(users: frozenset[str], names: Iterable[str]) -> tuple[str, str, dict[str, str], dict[str, Any]]:
    """The update that removes ``users``, and of the ``names`` those that are theirs, as ``adding``."""
    theirs = frozenset(name for name in names if name.partition(" ")[0] in users)
    attributes, values = {"#users": "users", "#closing": "closing"}, {":users": users}
    change = "DELETE #users :users"
    if theirs:
        change, attributes["#names"], values[":names"] = f"{change}, #names :names", "names", theirs
    return change, "attribute_exists(pk) AND attribute_not_exists(#closing)", attributes, values
