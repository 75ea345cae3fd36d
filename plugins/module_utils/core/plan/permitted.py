# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the caller of a side lacks to move the planned tables, as values. No call is made here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..report.alike import first_of

MOST_NAMED = 8  # actions in a line; the JSON has all
Looked = Literal["simulated", "not_allowed", "no_principal", "failed"]
_WHY = {
    "not_allowed": "it may not ask IAM (iam:SimulatePrincipalPolicy)",
    "no_principal": "IAM simulates users and roles, and it is neither, or not to be found",
    "failed": "IAM did not answer",
}


@dataclass(frozen=True)
class Permitted:
    """What IAM says of one caller.

    ``caller`` is the ARN of its user or role, ``methods`` are those of its tables. ``policies`` allow what is
    ``missing`` (actions) for all of its tables, or for ``every`` one where their names do not fit. ``denied`` are
    those of the missing that a policy explicitly denies. ``unknown`` are the condition keys of its own policies that
    have no value before a call is made.
    """

    side: str
    account_id: str
    region: str
    caller: str
    methods: tuple[str, ...]
    looked_at: Looked
    missing: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    policies: tuple[Mapping[str, Any], ...] = ()
    every: bool = False

    @property
    def place(self) -> str:
        """Whose caller it is, for messages."""
        return f"{self.side} account {self.account_id}, {self.region}"

    @property
    def to_do(self) -> str:
        """What the user has to allow first, in a line; "" for nothing."""
        if not self.missing:
            return ""
        count = len(self.missing)
        words = (
            f"{self.place}: {self.caller} lacks {count} permission{'s'[: count != 1]} for {', '.join(self.methods)}:"
            f" {first_of(self.missing, MOST_NAMED)}. Attach {self._which} in permissions of the plan's JSON."
        )
        if self.every:
            words += " It allows every table: the names of all do not fit."
        if self.denied:
            words += f" A policy denies explicitly: {first_of(self.denied, MOST_NAMED)}; that one has to be changed."
        if self.unknown:
            unknown = first_of(self.unknown, MOST_NAMED)
            words += f" Conditions that have no value before a call were taken as not met: {unknown}."
        return words

    @property
    def _which(self) -> str:
        return "the policy" if len(self.policies) == 1 else f"the {len(self.policies)} policies"

    @property
    def warning(self) -> str:
        """Why nothing is known of the caller, in a line; "" where it is."""
        if self.looked_at == "simulated":
            return ""
        return (
            f"{self.place}: whether {self.caller or 'its caller'} may do all that the tables need was not found out:"
            f" {_WHY[self.looked_at]}. What a plan reads it may, unless another line says so."
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON-safe data."""
        return {
            "side": self.side,
            "account_id": self.account_id,
            "region": self.region,
            "caller": self.caller,
            "methods": list(self.methods),
            "looked_at": self.looked_at,
            "missing": list(self.missing),
            "denied": list(self.denied),
            "unknown": list(self.unknown),
            "policies": [dict(each) for each in self.policies],
        }
