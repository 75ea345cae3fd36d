# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan says of the attributes that global tables of version 2017.11.29 keep in items.

A copy through this machine leaves them out, other methods bring them. How many items have some is known only to what
reads items: the report has the number then.
"""

from __future__ import annotations

from ..account import Account
from ..aws_errors import DENIED
from ..change import NotCarried
from ..items.carried import REPLICATION, REPLICATION_PREFIX
from .definition import TableDefinition

OLD_VERSION = "2017.11.29"  # GlobalTableVersion; a table whose replicas were removed no longer shows it
SAMPLED = 100  # items that are read for a plan


def has_marked_keys(definition: TableDefinition) -> bool:
    """Whether a key of the table or of an index is such an attribute: then a copy keeps all of them."""
    return any(entry["AttributeName"].startswith(REPLICATION_PREFIX) for entry in definition.attribute_definitions)


def kept_by_copy(definition: TableDefinition) -> tuple[str, ...]:
    """The warning that a copy through this machine keeps them."""
    if not has_marked_keys(definition):
        return ()
    return (
        f"{definition.name}: attributes {REPLICATION}, are copied too, because a key of the table or of an index is one"
        " of them.",
    )


def brought_along(definition: TableDefinition) -> tuple[str, ...]:
    """The warning that a method which does not read items brings them."""
    if definition.raw.get("GlobalTableVersion") != OLD_VERSION:
        return ()
    return (
        f"{definition.name}: attributes {REPLICATION}, come along with the items. The method direct leaves them out;"
        " verify: full counts the items that have some.",
    )


def left_by_copy(definition: TableDefinition, source: Account | None = None) -> tuple[NotCarried, ...]:
    """What a copy through this machine leaves out. With ``source`` the first 100 items are looked at, where the caller
    may read them; without it only a table that is still one of that version is known. Raises what Account.explain
    gives."""
    if has_marked_keys(definition):
        return ()
    marked, seen = _sampled(source, definition.name) if source is not None else (0, 0)
    if not marked and definition.raw.get("GlobalTableVersion") != OLD_VERSION:
        return ()
    share = f" ({marked} of the first {seen} items have some)" if marked else ""
    reason = f"the method direct leaves them out of items{share}; the report has the number of all such items"
    return (NotCarried(f"attributes {REPLICATION}", reason),)


def _sampled(source: Account, table: str) -> tuple[int, int]:
    """How many of the first items have such attributes, and how many were looked at."""
    doing = "looking at the first items"
    answer = source.ask("dynamodb", "scan", doing, table, missing=DENIED, TableName=table, Limit=SAMPLED) or {}
    items = answer.get("Items", ())
    return sum(any(name.startswith(REPLICATION_PREFIX) for name in item) for item in items), len(items)
