# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Resource policies, rewritten for another account and compared as AWS compares them. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..statements.policy_documents import DELETED
from .definition import Shape

_ACCOUNT = re.compile(r"\d{12}")
_ROOT = re.compile(r"arn:[^:]+:iam::(\d{12}):root")
_LABEL = re.compile(r"(arn:[^:]*:dynamodb:[^:]*:[^:]*:table/[^/]+/stream/)[^/]+")


@dataclass(frozen=True)
class TableLocation:
    """Where a table is, from its ARN."""

    partition: str
    region: str
    account_id: str
    table: str

    @classmethod
    def of(cls, table_arn: str) -> TableLocation:
        """From a table's ARN."""
        partition, _service, region, account_id, resource = table_arn.split(":", 5)[1:]
        return cls(partition, region, account_id, resource.partition("/")[2])


class CannotRewrite(Exception):
    """The policy cannot be carried; the text gives the reason."""


def rewrite_policy(
    document: Mapping[str, Any], source: TableLocation, destination: TableLocation, principal_map: Mapping[str, str]
) -> Shape:
    """``document`` of the table at ``source``, for its copy at ``destination``.

    ARNs of the table, its indexes and streams become those of the copy; principals go through ``principal_map`` (an
    account and its root ARN are one); a principal of the source account without a mapping, or one that was deleted,
    keeps the policy from being carried: one deleted principal fails the whole Put (measured/policy 7.4). Conditions on
    principals count as principals, other conditions as resources. Raises CannotRewrite.
    """
    moves_account = source.account_id != destination.account_id
    where = "it"

    def principal(text: str) -> str:
        for name in _names(text, source.partition):
            if principal_map.get(name):
                return principal_map[name]
        if DELETED.fullmatch(text):
            raise CannotRewrite(f"{where} names {text}, a user or role that was deleted")
        if moves_account and source.account_id in text:
            raise CannotRewrite(f"{where} names {text} of the source account, which is not in principal_map")
        return text

    def resource(text: str) -> str:
        return _rewrite_arn(text, source, destination)

    def condition_value(text: str) -> str:
        rewritten = resource(text)
        if rewritten != text:
            return rewritten
        if text == source.account_id:
            return destination.account_id
        return principal(text)

    def condition(entries: Mapping[str, Any]) -> Shape:
        return {
            key: _each(value, principal if key.lower().startswith(("aws:principal", "aws:userid")) else condition_value)
            for key, value in entries.items()
        }

    def principals(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                kind: _each(names, principal) if kind in ("AWS", "Federated") else names
                for kind, names in value.items()
            }
        return value

    def statement(entry: Mapping[str, Any]) -> Shape:
        nonlocal where
        where = f"its statement {entry['Sid']}" if entry.get("Sid") else "it"
        rewritten = dict(entry)
        for name in ("Principal", "NotPrincipal"):
            if name in entry:
                rewritten[name] = principals(entry[name])
        for name in ("Resource", "NotResource"):
            if name in entry:
                rewritten[name] = _each(entry[name], resource)
        if "Condition" in entry:
            rewritten["Condition"] = {operator: condition(keys) for operator, keys in entry["Condition"].items()}
        return rewritten

    rewritten = {**document, "Statement": [statement(entry) for entry in _listed(document.get("Statement", []))]}
    if moves_account and _mentions(rewritten, source.account_id):
        raise CannotRewrite(f"it still names the source account {source.account_id}")
    return rewritten


def with_stream(document: Mapping[str, Any], stream_arn: str) -> Shape:
    """``document`` with the label of ``stream_arn`` for that of each stream which it names; as it is where that is
    empty. Each stream has a label of its own (measured/settings 2.9, TABLE-362)."""
    label = stream_arn.rpartition("/stream/")[2]

    def labelled(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: labelled(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [labelled(each) for each in value]
        return _LABEL.sub(lambda match: match[1] + label, value) if isinstance(value, str) else value

    rewritten: Shape = labelled(document) if label else dict(document)
    return rewritten


def canonical_policy(document: Mapping[str, Any]) -> Shape:
    """``document`` in a form that is equal for documents which AWS takes for the same (measured/policy 1, "Canonical
    read form")."""
    statements = []
    for entry in _listed(document.get("Statement", [])):
        statement = {key: _sorted(value) for key, value in entry.items()}
        statement["Effect"] = str(entry.get("Effect", "")).capitalize()
        for name in ("Principal", "NotPrincipal"):
            if isinstance(entry.get(name), Mapping):
                statement[name] = {kind: _sorted(_each(names, _account_of_root)) for kind, names in entry[name].items()}
        statements.append(statement)
    return {"Version": document.get("Version", "2008-10-17"), "Statement": statements}


def _account_of_root(principal: str) -> str:
    match = _ROOT.fullmatch(principal)
    return match[1] if match else principal


def _names(principal: str, partition: str) -> list[str]:
    """All names of one principal: an account's id and its root ARN are the same."""
    account = _account_of_root(principal)
    if account != principal:
        return [principal, account]
    return [principal, f"arn:{partition}:iam::{principal}:root"] if _ACCOUNT.fullmatch(principal) else [principal]


def _rewrite_arn(text: str, source: TableLocation, destination: TableLocation) -> str:
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or parts[2] != "dynamodb" or parts[4] not in (source.account_id, "*"):
        return text
    kind, _slash, rest = parts[5].partition("/")
    name, slash, below = rest.partition("/")
    if kind == "table" and name == source.table:
        parts[5] = f"table/{destination.table}{slash}{below}"
    elif kind == "table" and fnmatchcase(source.table, name) and not fnmatchcase(destination.table, name):
        raise CannotRewrite(f"it names the table by the pattern {name}, which the destination's name does not match")
    parts[1] = destination.partition if parts[1] == source.partition else parts[1]
    parts[3] = destination.region if parts[3] == source.region else parts[3]
    parts[4] = destination.account_id if parts[4] == source.account_id else parts[4]
    return ":".join(parts)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _each(value: Any, change: Callable[[str], str]) -> Any:
    """``change`` applied to a text or to each of a list of texts, the form kept."""
    if isinstance(value, (list, tuple)):
        return [_each(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def _sorted(value: Any) -> Any:
    """Lists as sets, one-element lists as their element, everything scalar as text."""
    if isinstance(value, Mapping):
        return {key: _sorted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = sorted({str(_sorted(item)) for item in value})
        return items[0] if len(items) == 1 else items
    return str(value).lower() if isinstance(value, bool) else str(value)


def _mentions(value: Any, text: str) -> bool:
    if isinstance(value, Mapping):
        return any(_mentions(item, text) for key, item in value.items() if key not in ("Sid", "Id"))
    if isinstance(value, (list, tuple)):
        return any(_mentions(item, text) for item in value)
    return text in str(value)
