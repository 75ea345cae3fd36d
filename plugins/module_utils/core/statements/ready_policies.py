# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ready policies for the callers of migrations: put together, filled in with accounts and names, and cut so that each
part fits into a managed policy. Documents in, documents out; no call is made."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

Document = dict[str, Any]
# An action, the conditions and the resource that it is allowed under.
Grant = tuple[str, tuple[tuple[str, str], ...], str]

MANAGED = 6144  # characters that a managed policy takes, white space not counted (IAM and STS quotas)
MOST = 10  # managed policies that a user or a role takes by default (the same page)
# What needs a statement, in the order of the policies. A Sid names all that do, and has a number.
PHASES = ("Prepare", "Move", "Plan", "Status", "Verify", "Repair", "CleanUp")
_CALLERS = ("user/CALLER", "role/CALLER")
_OF_ARNS = frozenset({"iam:PolicyARN"})  # keys whose values are ARNs, which are compared as such
_PHASE = re.compile("|".join(PHASES))


def document(needed: Mapping[str, set[Grant]]) -> Document:
    """The policy of what is ``needed`` in each phase, and no more; a phase without a name gives no Sid."""
    users: dict[Grant, str] = {}
    for phase, grants in needed.items():
        for grant in least(grants):
            users[grant] = users.get(grant, "") + phase
    together: dict[str, set[Grant]] = {}
    for grant, names in users.items():
        together.setdefault(names, set()).add(grant)
    first = list(needed)
    statements = [
        {**({"Sid": f"{names}{number}"} if names else {}), **statement}
        for names in sorted(
            together, key=lambda names: ([names.find(phase) != 0 for phase in first], len(names), names)
        )
        for number, statement in enumerate(_statements(together[names]), 1)
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def together(documents: Iterable[Mapping[str, Any]], phases: Collection[str] = PHASES) -> Document:
    """One policy of several of ``document``'s: what any of them allows in one of the ``phases``."""
    needed: dict[str, set[Grant]] = {phase: set() for phase in PHASES}
    for statement in (each for made in documents for each in made["Statement"]):
        for phase in _PHASE.findall(statement["Sid"]):
            if phase in phases:
                needed[phase].update(grants_of(statement))
    return document(needed)


def grants_of(statement: Mapping[str, Any]) -> Iterable[Grant]:
    """What a statement allows, one by one."""
    conditions = tuple(pair for pairs in statement.get("Condition", {}).values() for pair in sorted(pairs.items()))
    for action, resource in itertools.product(statement["Action"], listed(statement["Resource"])):
        yield action, conditions, resource


def listed(value: Any) -> list[str]:
    """What a policy document has as one text or several."""
    return [value] if isinstance(value, str) else list(value)


def least(grants: set[Grant]) -> set[Grant]:
    """Those that no other one covers."""
    return {each for each in grants if not any(other != each and _covers(other, each) for other in grants)}


def _covers(wide: Grant, narrow: Grant) -> bool:
    action, conditions, resource = wide
    expression = ".*".join(re.escape(part) for part in resource.split("*"))
    return (
        action == narrow[0]
        and conditions in ((), narrow[1])
        and re.fullmatch(expression, narrow[2], re.DOTALL) is not None
    )


def _statements(grants: set[Grant]) -> list[dict[str, Any]]:
    """Actions with the same resources and conditions in one statement."""
    resources: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
    for action, conditions, resource in sorted(grants):
        resources.setdefault((action, conditions), []).append(resource)
    actions: dict[tuple[tuple[str, ...], tuple[tuple[str, str], ...]], list[str]] = {}
    for (action, conditions), named in resources.items():
        actions.setdefault((tuple(named), conditions), []).append(action)
    return [
        {
            "Effect": "Allow",
            "Action": done,
            "Resource": _one_or_all(named),
            **({"Condition": _condition(conditions)} if conditions else {}),
        }
        for (named, conditions), done in sorted(actions.items(), key=lambda entry: entry[1])
    ]


def _one_or_all(resources: Sequence[str]) -> str | list[str]:
    return list(resources) if len(resources) > 1 else resources[0]


def _condition(conditions: Iterable[tuple[str, str]]) -> dict[str, dict[str, str]]:
    made: dict[str, dict[str, str]] = {}
    for key, value in conditions:
        made.setdefault("ArnEquals" if key in _OF_ARNS else "StringEquals", {})[key] = value
    return made


def filled(policy: Mapping[str, Any], places: Mapping[str, str | Sequence[str]]) -> Document:
    """A policy with its places, words such as ``TABLE``, filled in.

    A place with several values in a resource gives a resource for each; one with none takes the resource away, and a
    statement whose last one it was. A place that is longer, as ``REGION:SOURCE``, comes before its parts.
    """
    words = "|".join(map(re.escape, sorted(places, key=len, reverse=True)))
    expression = re.compile(rf"(?<!\w)(?:{words})(?!\w)" if words else r"(?!)")
    statements = []
    for statement in policy["Statement"]:
        resources = [made for each in listed(statement["Resource"]) for made in _each(each, expression, places)]
        if not resources:
            continue
        made = {**statement, "Resource": _one_or_all(list(dict.fromkeys(resources)))}
        if "Condition" in statement:
            made["Condition"] = {
                operator: {
                    key: _one_or_all([made for each in listed(value) for made in _each(each, expression, places)])
                    for key, value in pairs.items()
                }
                for operator, pairs in statement["Condition"].items()
            }
        statements.append(made)
    return {**policy, "Statement": statements}


def _each(text: str, expression: re.Pattern[str], places: Mapping[str, str | Sequence[str]]) -> list[str]:
    found = list(dict.fromkeys(expression.findall(text)))
    made = []
    for values in itertools.product(*(listed(places[word]) for word in found)):
        made.append(_with(text, expression, dict(zip(found, values, strict=True))))
    return made


def _with(text: str, expression: re.Pattern[str], values: Mapping[str, str]) -> str:
    return expression.sub(lambda match: values[match[0]], text)


def caller_places(arn: str) -> dict[str, list[str]]:
    """The places of the caller itself, for ``filled``: its user or role by the IAM ``arn``, every one of the account
    where that names neither."""
    kind, _slash, name = arn.rpartition(":")[2].partition("/")
    if kind not in ("user", "role"):
        return {each: [each.replace("CALLER", "*")] for each in _CALLERS}
    return {each: [f"{kind}/{name}"] if each.startswith(kind) else [] for each in _CALLERS}


def size(policy: Mapping[str, Any]) -> int:
    """The characters that IAM counts: all but white space."""
    return len(re.sub(r"\s", "", json.dumps(policy, ensure_ascii=False)))


def parts(policy: Document, places: Mapping[str, str] | None = None) -> list[Document]:
    """The policy in as many as managed policies must hold it, its statements in order. Of one with ``places`` to fill
    in, each holds it with those that are given too."""
    made: list[Document] = [{**policy, "Statement": []}]
    for statement in (each for whole in policy["Statement"] for each in _cut(whole)):
        longer = {**policy, "Statement": [*made[-1]["Statement"], statement]}
        if size(filled(longer, places or {})) <= MANAGED or not made[-1]["Statement"]:
            made[-1] = longer
        else:
            made.append({**policy, "Statement": [statement]})
    return made


def _cut(statement: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A statement that no managed policy takes as several, each with a half of its resources."""
    resources = listed(statement["Resource"]) if "Resource" in statement else []
    if len(resources) < 2 or size({"Version": "2012-10-17", "Statement": [statement]}) <= MANAGED:
        return [statement]
    middle = len(resources) // 2
    halves = [{**statement, "Resource": _one_or_all(half)} for half in (resources[:middle], resources[middle:])]
    named = [{**half, "Sid": f"{half['Sid']}{letter}"} for half, letter in zip(halves, "ab", strict=True)]
    return [each for half in named for each in _cut(half)]
