# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a copy must have that is called migrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

ROUND = 1.5  # seconds: dates are written in whole ones

Items = dict[str, str]


class Broken(BaseException):
    """A promise was not kept. No code under test may take it for an error of its own."""


class Version(NamedTuple):
    """The items of the table ``table_id`` from ``begun`` (epoch seconds) to the next version."""

    begun: float
    table_id: str
    items: Items


def difference(have: Items, versions: Sequence[Version], as_of: Mapping[str, Any], *, instant: bool) -> str:
    """What is wrong with a copy that has the items ``have`` of a source with these ``versions``; empty if nothing.

    As of one ``instant``, which an export shows, it has just what the source had; as of a span all that stood unchanged
    in the source all the time, and nothing that never stood there.
    """
    if not as_of:
        return "it does not say as of when"
    first, last = _span(as_of)
    ends = [*(version.begun for version in versions[1:]), float("inf")]
    within = [
        version.items
        for version, ended in zip(versions, ends, strict=True)
        if version.begun <= last + ROUND and ended >= first - ROUND
    ]
    if instant:
        return "" if have in within else f"it has {have}, the source had {within}"
    missing = [key for key in within[0] if key not in have and all(key in items for items in within)]
    strange = [key for key, value in have.items() if all(items.get(key) != value for items in within)]
    return f"missing {missing}, not of that time {strange}" if missing or strange else ""


def _span(as_of: Mapping[str, Any]) -> tuple[float, float]:
    first, last = (datetime.fromisoformat(str(as_of[name])).timestamp() for name in ("from", "to"))
    return first, last
