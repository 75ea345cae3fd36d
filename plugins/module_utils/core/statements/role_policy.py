# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inline policy of a role that TableFerry created: what one service needs for the resources that are named.

All account pairs of an account and Region share it. Each run adds its tables and vaults to those that stand there, and
what others wrote into it stays. It goes only when the role gets a managed policy instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from ..account import Account
from ..change import Change
from .caller_policy import SIZES, InlinePolicy, named_in, size, write_inline
from .policy_documents import VERSION, Policy, statements_of, with_statements
from .shared_policy import Sleep

# Seconds until what an inline policy says holds everywhere: IAM is eventually consistent, and AWS names no bound
# (IAM user guide, Troubleshoot IAM). Nobody can ask whether it holds yet, as only a service assumes the role.
SETTLED_AFTER = 15.0


@dataclass(frozen=True)
class Allowed:
    """A statement: ``actions`` on ``resources``, or on ``every`` ("" for none) where their names do not fit."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: Mapping[str, Any] = field(default_factory=dict)
    every: str = ""


def inline_of(account: Account, role: str, name: str) -> InlinePolicy:
    """The inline policy ``name`` of a role of ``account``."""
    return InlinePolicy(account, "role", role, name)


def document(before: Policy, wanted: Sequence[Allowed], *, every: bool = False) -> Policy:
    """``before`` with what is ``wanted``: the resources that our statements name already stay, as others need them.

    Where a statement's ``every`` stands already, where the names do not fit, or with ``every``, it stands alone.
    """
    statements = [_statement(before, each, every) for each in wanted]
    made = with_statements(before or {"Version": VERSION}, statements)
    return document(before, wanted, every=True) if not every and size(made) > SIZES["role"] else made


def _statement(before: Policy, allowed: Allowed, every: bool) -> dict[str, Any]:
    names = named_in(before, allowed.sid) | set(allowed.resources)
    old = next((each for each in statements_of(before) if each.get("Sid") == allowed.sid), {})
    # Somebody may have narrowed the statement.
    condition = {**(old.get("Condition") or {}), **allowed.condition}
    if allowed.every and (every or allowed.every in names):
        names = {name for name in names if not fnmatchcase(name, allowed.every)} | {allowed.every}
    return {
        "Sid": allowed.sid,
        "Effect": "Allow",
        "Action": list(allowed.actions),
        "Resource": sorted(names),
        **({"Condition": condition} if condition else {}),
    }


def change_of(policy: InlinePolicy, before: Policy, after: Policy) -> list[Change]:
    """What becomes of the policy, {} for none; nothing where it stays."""
    return [Change(policy.what, before or None, after or None)] if before != after else []


def write_allowed(policy: InlinePolicy, wanted: Sequence[Allowed], *, sleep: Sleep) -> None:
    """Put what is ``wanted`` into the policy, and wait until it holds. Raises what ``write_inline`` does."""
    before, after = write_inline(
        policy,
        lambda found, every: document(found, wanted, every=every),
        "Move those that you added into managed policies, or let the role have AWS's managed policy.",
        sleep,
    )
    if after != before:
        sleep(SETTLED_AFTER)
