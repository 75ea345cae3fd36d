# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a verb's account options to the accounts of the core."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..core.account import Account, AccountSpec, Side
from ..core.record import lease, process
from .spec import SHARED_OPTIONS, Parameters

_PLACES = ("region", "endpoint_url")
_CREDENTIALS = tuple(name for name in SHARED_OPTIONS if name not in _PLACES)


def settings_of(side: Mapping[str, Any], shared: Parameters) -> dict[str, Any]:
    """The options of a side, completed by the options that both sides share.

    Shared credentials are used as a whole or not at all: a side with a profile or keys of its own uses none of them,
    a side with only a role assumes it with them.
    """
    own = {name: value for name, value in side.items() if value not in (None, "")}
    inherited = _PLACES if any(own.get(name) for name in _CREDENTIALS) else _PLACES + _CREDENTIALS
    return {**{name: shared[name] for name in inherited if shared.get(name)}, **own}


def work_of(shared: Parameters) -> str:
    """The run, then the migration where the verb knows one, in the letters of a session's name: a long migration id is
    cut off, the run never."""
    run = lease.run_id(process.describe(process.playbook()))
    return "-".join(
        filter(None, (run, re.sub(r"[^\w+=,.@-]", "_", str(shared.get("migration_id") or ""), flags=re.ASCII)))
    )


class Accounts:
    """The accounts of one run: one object per account and credentials, so that clients and role sessions are shared."""

    def __init__(self, shared: Parameters) -> None:
        self._shared = shared
        self._made: dict[AccountSpec, Account] = {}

    def get(self, side: Side, given: Mapping[str, Any]) -> Account:
        """The account of ``given``. Raises InvalidInput."""
        spec = AccountSpec.from_mapping(side, settings_of(given, self._shared))
        if spec not in self._made:
            self._made[spec] = Account(spec, work_of(self._shared))
        return self._made[spec]

    def find(self, side: Side, given: Mapping[str, Any] | None) -> Account | None:
        """The account of an optional option; None where it is not given."""
        return None if given is None else self.get(side, given)
