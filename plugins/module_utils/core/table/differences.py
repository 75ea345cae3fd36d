# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which settings a copy differs from its source, for people: more than what would be changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..change import Change
from .setting import Settings, what

_TAGS = "tags"
_OUR_TAGS = "tableferry:"
_PARTS = frozenset(
    {_TAGS, "autoscaling", "contributor_insights", "on_demand_throughput", "stream_tags", "vector_indexes"}
)
# Every table has a billing mode; warm throughput never falls again, whoever raised it.
_NEVER_ALONE = frozenset({"billing_mode", "warm_throughput"})
_DEFAULTS: Mapping[str, Any] = {"table_class": "STANDARD", "deletion_protection": False}


def differences(source: Settings, destination: Settings, changes: Iterable[Change]) -> tuple[Change, ...]:
    """``changes``, which would bring the copy to its source, and what the copy alone has: ``after`` is the source's.

    TableFerry's own tags are none. ``destination`` was read in full.
    """
    return (*filter(None, map(without_our_tags, changes)), *_only_there(source, destination))


def without_our_tags(change: Change) -> Change | None:
    """``change``; of one of tags only the user's, and None where only ours differ."""
    if change.what != _TAGS:
        return change
    before, after = change.before or {}, change.after or {}
    keys = [key for key in after if not key.startswith(_OUR_TAGS) and before.get(key) != after[key]]
    if not keys:
        return None
    return Change(_TAGS, {key: before[key] for key in keys if key in before}, {key: after[key] for key in keys})


def _only_there(source: Settings, destination: Settings) -> Iterator[Change]:
    for name, have in destination.values.items():
        if not have or name in _NEVER_ALONE or name in source.unreadable:
            continue
        want = source.get(name)
        if name in _PARTS:
            for part in have:
                if part not in (want or {}) and not (name == _TAGS and part.startswith(_OUR_TAGS)):
                    yield Change(what(name, part), have[part], None)
        elif isinstance(have, list):  # the names of indexes
            for part in have:
                if part not in (want or ()):
                    yield Change(what(name, part), part, None)
        elif not want:
            yield Change(name, have, _DEFAULTS.get(name))
