# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A statement of ours in a policy that others write too, and the names by which it is found again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..account import Account
from .policy_documents import DELETED, principals_of

_OURS = re.compile(r"TableFerry[A-Z][A-Za-z]*\d{12}To\d{12}[A-Za-z0-9]*")  # the Sids of AccountPair


def is_dead(statement: Mapping[str, Any]) -> bool:
    """Whether a statement of a policy is one of ours that lets in nobody any more: its principals were deleted. AWS
    refuses every policy with such a statement."""
    principal = statement.get("Principal")
    named = principals_of(statement) if isinstance(principal, Mapping) and set(principal) == {"AWS"} else []
    ours = _OURS.fullmatch(str(statement.get("Sid") or "")) is not None
    return ours and bool(named) and all(DELETED.fullmatch(name) for name in named)


@dataclass(frozen=True)
class AccountPair:
    """Whom a statement serves: tables of ``source_account_id`` that go to an account and Region.

    Statements, grants and roles of one pair are not those of another one, even where both pairs share the resource.
    """

    source_account_id: str
    destination_account_id: str
    destination_region: str

    @classmethod
    def of(cls, source_account_id: str, destination: Account) -> AccountPair:
        """The pair of a source and ``destination``. Raises CredentialsError."""
        return cls(source_account_id, destination.account_id, destination.region)

    def sid(self, purpose: str, principal: str = "") -> str:
        """The Sid of the pair's statement for ``purpose`` (letters and digits only, as IAM wants Sids).

        ``principal`` is part of it where a pair's principals have a statement each.
        """
        region = re.sub(r"[^A-Za-z0-9]", "", self.destination_region)
        tail = hashlib.sha256(principal.encode()).hexdigest()[:8] if principal else ""
        return f"TableFerry{purpose}{self.source_account_id}To{self.destination_account_id}{region}{tail}"

    def name(self, migration_id: str) -> str:
        """The name of what the pair's migration makes in the source account, such as a grant."""
        return f"tableferry-{migration_id}-{self.destination_account_id}-{self.destination_region}"


@dataclass(frozen=True)
class OurStatement:
    """A statement of ours. ``formerly`` are Sids under which earlier versions wrote the same, or the same for the wider
    ``former_resource``, or ``former_actions`` without the condition; ``counted`` ones go with their last user, the
    others when they are asked to."""

    sid: str
    principal: Mapping[str, str | list[str]] | str
    actions: tuple[str, ...]
    resource: str | tuple[str, ...] = "*"  # empty: the policy is a role's trust, which names none
    effect: str = "Allow"
    condition: Mapping[str, Any] = field(default_factory=dict)
    formerly: tuple[str, ...] = ()
    former_resource: str = ""
    former_actions: tuple[str, ...] = ()
    counted: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The statement as it stands in a policy document."""
        document: dict[str, Any] = {
            "Sid": self.sid,
            "Effect": self.effect,
            "Principal": self.principal if isinstance(self.principal, str) else dict(self.principal),
            "Action": self.actions[0] if len(self.actions) == 1 else list(self.actions),
        }
        if self.resource:
            document["Resource"] = self.resource if isinstance(self.resource, str) else list(self.resource)
        if self.condition:
            document["Condition"] = dict(self.condition)
        return document

    def former_documents(self) -> list[dict[str, Any]]:
        """The statement as earlier versions wrote it."""
        document = self.to_dict()
        found = []
        if self.former_resource:
            found.append({**document, "Resource": self.former_resource})
        if self.former_actions:
            open_one = {**document, "Action": list(self.former_actions)}
            open_one.pop("Condition", None)
            found.append(open_one)
        return found
