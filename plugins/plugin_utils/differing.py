# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where one host's value of a variable counts for several hosts, and these have different ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

SHOWN = 60  # characters of a value: a plan may be handed on as a long text
MOST_VALUES = MOST_HOSTS = 3  # that are named


def same_text(value: Any) -> str:
    """A text that is equal for equal values."""
    return json.dumps(value, sort_keys=True, default=str)


def differing(values: Mapping[str, Any]) -> str:
    """The ``values`` of hosts by their names, in words: ``true for orders; none for carts, users``; "" where all are
    equal."""
    found: dict[str, tuple[Any, list[str]]] = {}
    for host, value in values.items():
        found.setdefault(same_text(value), (value, []))[1].append(host)
    if len(found) < 2:
        return ""
    words = [f"{_shown(value)} for {named(hosts)}" for value, hosts in found.values()]
    more = len(words) - MOST_VALUES
    return "; ".join([*words[:MOST_VALUES], *([f"and {more} more"] if more > 0 else [])])


def named(hosts: Iterable[str]) -> str:
    """Some hosts by name, and how many others there are."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core.report.alike import first_of

    return first_of(list(hosts), MOST_HOSTS)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = "none" if value in ("", [], {}) else str(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
