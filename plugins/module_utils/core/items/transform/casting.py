# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The step cast: values of one type as values of another one. What is not of the form is an error of the item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from .documents import to_document, to_json
from .flow import MIXED, Known, changed
from .paths import Path
from .step import Context, Step, changing
from .times import MILLISECONDS, SECONDS, to_epoch, to_iso8601
from .values import SETS, Unfit, Value, binary, members, number, to_base64

Convert: TypeAlias = Callable[[Any], Value]


@dataclass(frozen=True)
class Form:
    """What a value can be cast to: by its type, how. ``kind`` is the type that comes of it, which stays as it is.

    ``apart`` are the types of which two values make two.
    """

    kind: str
    by_kind: dict[str, Convert]
    apart: frozenset[str] = frozenset()

    def of(self, value: Value) -> Value:
        """The value cast; the same one where it is of the type already. Raises Unfit."""
        for kind, content in value.items():
            convert = self.by_kind.get(kind)
            if convert is not None:
                return convert(content)
            if kind != self.kind:
                raise Unfit(f"has the type {kind}, which cannot be cast")
        return value

    def known(self, before: Known) -> Known:
        """What is known of a value after the cast."""
        if before.kind == self.kind and self.kind not in self.by_kind:
            return before
        return changed(before, self.kind, apart=before.kind in self.apart)


def _number_of_text(content: str) -> Value:
    return {"N": number(content)}


def _text_of_number(content: str) -> Value:
    return {"S": number(content)}


def _text_of_binary(content: str) -> Value:
    try:
        return {"S": binary(content).decode()}
    except UnicodeDecodeError:
        raise Unfit("is no text in UTF-8") from None


def _binary_of_text(content: str) -> Value:
    try:
        return {"B": to_base64(content.encode())}
    except UnicodeEncodeError:
        raise Unfit("is no Unicode text") from None


def _truth_of_text(content: str) -> Value:
    if content not in ("true", "false"):
        raise Unfit("is neither true nor false")
    return {"BOOL": content == "true"}


def _set_of_list(kind: str, content: list[Value]) -> Value:
    elements = [each.get(SETS[kind]) for each in content]
    if None in elements:
        raise Unfit(f"has an element of another type than {SETS[kind]}")
    if not elements:
        raise Unfit("is empty, and no set is")
    if len(members(kind, [str(each) for each in elements])) < len(elements):
        raise Unfit("has an element twice")
    return {kind: elements}


def _list_of_set(kind: str, content: list[str]) -> Value:
    return {"L": [{SETS[kind]: each} for each in content]}


def _epoch(power: int, content: str) -> Value:
    return {"N": to_epoch(content, power)}


def _iso8601(power: int, content: str) -> Value:
    return {"S": to_iso8601(content, power)}


def _text_of(kind: str, content: Any) -> Value:
    return {"S": to_json({kind: content})}


FORMS = {
    "S": Form("S", {"N": _text_of_number, "B": _text_of_binary}, frozenset("NB")),
    "N": Form("N", {"S": _number_of_text}),
    "B": Form("B", {"S": _binary_of_text}, frozenset("S")),
    "BOOL": Form("BOOL", {"S": _truth_of_text}),
    **{kind: Form(kind, {"L": partial(_set_of_list, kind)}) for kind in SETS},
    "L": Form("L", {kind: partial(_list_of_set, kind) for kind in SETS}),
    "epoch_seconds": Form("N", {"S": partial(_epoch, SECONDS)}),
    "epoch_millis": Form("N", {"S": partial(_epoch, MILLISECONDS)}),
    "iso8601": Form("S", {"N": partial(_iso8601, SECONDS)}, frozenset("N")),
    "iso8601_from_millis": Form("S", {"N": partial(_iso8601, MILLISECONDS)}, frozenset("N")),
    "json": Form(MIXED, {"S": to_document, "M": partial(_text_of, "M"), "L": partial(_text_of, "L")}),
}


def cast(options: Any, context: Context) -> Step:
    """Casts what stands at paths, each to its form."""
    changes: list[tuple[Path, Callable[[Value], Value]]] = []
    forms: list[tuple[Path, Form]] = []
    for key, name in context.mapping(options, "paths and forms"):
        path = context.path(key)
        form = FORMS.get(name) if isinstance(name, str) else None
        if form is None:
            raise context.refuse(
                f"{name!r} is no form of a value", str(path), f"Choose one of {', '.join(sorted(FORMS))}."
            )
        forms.append((path, form))
        changes.append((path, form.of))
    context.require_apart([path for path, _form in forms])
    for path, form in forms:
        context.flow.change(path, form.known)
    names = frozenset(path.name for path, _form in forms)
    return Step(context.number, context.kind, changing(changes), names, names)
