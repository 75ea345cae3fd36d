# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""IAM policy documents as values: statements of ours beside those of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Statement = Mapping[str, Any]


def statements_of(policy: Mapping[str, Any]) -> Sequence[Statement]:
    """The statements of a policy document, one that stands alone too."""
    found = policy.get("Statement") or []
    return [found] if isinstance(found, Mapping) else found


def with_statements(policy: Mapping[str, Any], statements: Iterable[Statement]) -> dict[str, Any]:
    """``policy`` with ``statements``, each in the place of the one that has its Sid; others stay as they are."""
    wanted = {str(statement["Sid"]): dict(statement) for statement in statements}
    kept = [wanted.pop(str(old.get("Sid")), dict(old)) for old in statements_of(policy)]
    return {**({"Version": "2012-10-17"} | dict(policy)), "Statement": [*kept, *wanted.values()]}


def without_statement(policy: Mapping[str, Any], sid: str) -> dict[str, Any]:
    """``policy`` without the statement ``sid``; empty when nothing is left of it."""
    kept = [dict(old) for old in statements_of(policy) if old.get("Sid") != sid]
    return {**policy, "Statement": kept} if kept else {}


def texts(value: Any) -> list[str]:
    """A policy element that may be one text or a list of them."""
    return [value] if isinstance(value, str) else [str(entry) for entry in value or ()]
