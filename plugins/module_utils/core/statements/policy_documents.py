# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""IAM policy documents as values: statements of ours beside those of others, which stay exactly as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import PolicyNotReadable

Statement = Mapping[str, Any]
Policy = dict[str, Any]

VERSION = "2012-10-17"
# The id by which AWS shows a user or role that was deleted (IAM user guide, AWS JSON policy elements: Principal).
DELETED = re.compile(r"A(?:ID|RO|NP|GP)A[A-Z0-9]{12,}")
_ROOT = re.compile(r"arn:[^:]+:iam::(\d{12}):root")


def parse(text: str | Mapping[str, Any] | None, what: str) -> Policy:
    """The policy document that AWS answered with, {} for none. ``what`` names it in messages.

    Raises PolicyNotReadable for everything that is no policy document: what is taken for empty is written over.
    """
    if not text:
        return {}
    try:
        document = json.loads(text) if isinstance(text, str) else dict(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise _not_readable(what)
    statements = document.get("Statement", [])
    listed = [statements] if isinstance(statements, Mapping) else statements
    if not isinstance(listed, list) or not all(isinstance(statement, Mapping) for statement in listed):
        raise _not_readable(what)
    return document


def _not_readable(what: str) -> PolicyNotReadable:
    return PolicyNotReadable(
        f"The {what} is not a policy document that TableFerry can read, so it is not overwritten.",
        "Look at it with the AWS CLI, and correct it.",
    )


def statements_of(policy: Mapping[str, Any]) -> Sequence[Statement]:
    """The statements of a policy document, one that stands alone too."""
    found = policy.get("Statement") or []
    return [found] if isinstance(found, Mapping) else found


def with_statements(policy: Mapping[str, Any], statements: Iterable[Statement]) -> Policy:
    """``policy`` with ``statements``, each in the place of the one that has its Sid; others stay as they are.

    One of ours stays too where it says the same in other words, or is narrowed by a condition that somebody added.
    """
    wanted = {str(statement["Sid"]): dict(statement) for statement in statements}
    before = statements_of(policy)
    after = []
    for old in before:
        new = wanted.pop(str(old.get("Sid")), None)
        after.append(dict(old) if new is None or covers(old, new) else new)
    after += wanted.values()
    if after == list(before):
        return dict(policy)
    return {**({"Version": VERSION} | dict(policy)), "Statement": after}


def without_statements(policy: Mapping[str, Any], sids: Iterable[str]) -> Policy:
    """``policy`` without the statements named; {} when nothing is left of it."""
    unwanted = set(sids)
    before = statements_of(policy)
    kept = [dict(old) for old in before if old.get("Sid") not in unwanted]
    if len(kept) == len(before):
        return dict(policy)
    return {**policy, "Statement": kept} if kept else {}


def covers(old: Statement, wanted: Statement) -> bool:
    """Whether ``old`` is ``wanted``, in whatever words AWS shows it, or narrowed by conditions besides."""
    conditions = canonical(wanted.get("Condition") or {})
    narrowed = canonical(old.get("Condition") or {})
    alike: bool = _without_condition(old) == _without_condition(wanted)
    return alike and all(
        narrowed.get(operator, {}).get(key) == values
        for operator, keys in conditions.items()
        for key, values in keys.items()
    )


def same_but_sid(old: Statement, wanted: Statement) -> bool:
    """Whether two statements say the same, whatever they are called."""
    alike: bool = _without_sid(old) == _without_sid(wanted)
    return alike


def canonical(element: Any) -> Any:
    """A part of a statement in one form: AWS shows one text for a list of one, an account's root for its digits."""
    if isinstance(element, Mapping):
        return {str(key): canonical(_named(str(key), value)) for key, value in element.items()}
    if isinstance(element, (bool, int, float)):
        return [json.dumps(element)]
    return sorted({_ROOT.sub(r"\1", text) for text in texts(element)})


def _named(key: str, value: Any) -> Any:
    return {"AWS": "*"} if key == "Principal" and value == "*" else value


def principals_of(statement: Statement) -> list[str]:
    """The accounts, users and roles that a statement names, ``*`` for everybody."""
    principal = statement.get("Principal")
    return texts(principal.get("AWS") if isinstance(principal, Mapping) else principal)


def dead_principals(policy: Mapping[str, Any]) -> str:
    """The statements that name users or roles which were deleted, by their Sids or places, with the ids; "" for none.

    AWS refuses every policy with such a statement, whoever wrote it.
    """
    dead = []
    for place, statement in enumerate(statements_of(policy), 1):
        others = statement.get("NotPrincipal")
        named = [*principals_of(statement), *texts(others.get("AWS") if isinstance(others, Mapping) else others)]
        if ids := [name for name in named if DELETED.fullmatch(name)]:
            dead.append(f"{statement.get('Sid') or f'statement {place} (without a Sid)'}: {', '.join(ids)}")
    return "; ".join(dead)


def texts(value: Any) -> list[str]:
    """A policy element that may be one text or a list of them."""
    return [value] if isinstance(value, str) else [str(entry) for entry in value or ()]


def _without_condition(statement: Statement) -> Any:
    return canonical({key: value for key, value in statement.items() if key != "Condition"})


def _without_sid(statement: Statement) -> Any:
    return canonical({key: value for key, value in statement.items() if key != "Sid"})
