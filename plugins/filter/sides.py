# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The accounts of an inventory, each rendered and asked who it is once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.tableferry.aws.plugins.plugin_utils.hostvars import HostVars, plain
from ansible_collections.tableferry.aws.plugins.plugin_utils.sides import account_name, account_of, options_of, resolved


def inventory_sides(hosts: Iterable[str], hostvars: HostVars) -> dict[str, Any]:
    """The accounts of all hosts: ``accounts``, a list of each one's ``side`` and ``options``, ``hosts``, which of these
    are whose, and ``broken``, the hosts whose accounts cannot be read."""
    return resolved(hosts, hostvars)


def known_sides(sides: Mapping[str, Any], sessions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """``sides`` with ``account_id`` and ``principal_arn`` of the accounts that have answered.

    ``sessions`` are the results of account_session for the accounts in their order; one that failed says nothing here:
    the same failure comes where the account is used.
    """
    known = plain(sides)
    for account, session in zip(known["accounts"], sessions, strict=False):
        if session.get("account_id"):
            account |= {name: str(session[name]) for name in ("account_id", "principal_arn")}
    return {**known}


def side_options(sides: Mapping[str, Any], host: str, variable: str) -> Any:
    """The account ``variable`` of ``host`` as ``inventory_sides`` has rendered it, with its id where that is known, so
    that it is not asked again; empty where it is not set."""
    options = options_of(sides, host).get(variable) or {}
    known = account_of(sides, host, variable).get("account_id")
    return {**options, "account_id": known} if known else options


def pair_name(sides: Mapping[str, Any], host: str) -> str:
    """The accounts of ``host`` for a line: by id where AWS has told it, else by what is written, without secrets."""
    names = {side: account_name(account_of(sides, host, f"ferry_{side}")) for side in ("source", "destination")}
    return f"source account {names['source']}, destination account {names['destination']}"


class FilterModule:
    """Filters for the accounts of an inventory."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {
            "inventory_sides": inventory_sides,
            "known_sides": known_sides,
            "pair_name": pair_name,
            "side_options": side_options,
        }
