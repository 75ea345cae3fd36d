# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps set and replace: constants, texts with the values of attributes in them, and texts by patterns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..answers import Raw, canonical_number, joined
from .flow import MIXED, Known, changed, constant_of
from .paths import Path
from .step import Context, Step, changing
from .tokens import Misread
from .values import Item, Unfit, Value, constant, opened, parts_of

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def set_values(options: Any, context: Context) -> Step:
    """Sets attributes, all of them by what the item was before the step."""
    constants: list[tuple[str, Raw]] = []
    texts: list[tuple[str, Text]] = []
    before: list[tuple[str, Known | None]] = []
    for key, given in context.mapping(options, "names and values"):
        name = context.attribute(key)
        if isinstance(given, str):
            text = _text(str(given), context)
            if text.paths:
                texts.append((name, text))
                before.append((name, _known(name, text, context)))
                continue
            value: Value = {"S": text.start}
        else:
            value = _constant(given, name, context)
        constants.append((name, Raw(joined(value))))
        kind, content = parts_of(value)
        before.append((name, constant_of(kind, content if kind == "S" else "")))
    names = [name for name, _known_now in before]
    if len(set(names)) < len(names):
        raise context.refuse("it is set twice", next(name for name in names if names.count(name) > 1))
    for name, known in before:
        if known is not None:
            context.flow.write(name, known)
    reads = frozenset(path.name for _name, text in texts for path in text.paths)

    def run(item: Item) -> bool:
        if len(texts) > 1:
            made = [text.of(item) for _name, text in texts]
            for (name, _text_of), content in zip(texts, made, strict=True):
                if content is not None:
                    item[name] = {"S": content}
        else:
            for name, text in texts:
                content = text.of(item)
                if content is not None:
                    item[name] = {"S": content}
        for name, value in constants:
            item[name] = value
        return True

    return Step(context.number, context.kind, run, reads, frozenset(names))


class Text:
    """A text with values in it: ``pieces`` are what stands around the ``paths``; ``start`` is the first of them."""

    def __init__(self, pieces: Sequence[str], paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self.start, *ends = pieces
        self._parts = [
            (path.name if path.is_attribute else "", path, end) for path, end in zip(paths, ends, strict=True)
        ]

    def of(self, item: Item) -> str | None:
        """The text for an item; None where a value is missing, or is neither S nor N."""
        made = self.start
        for name, path, end in self._parts:
            value = item.get(name) if name else path.find(item)
            if value is None:
                return None
            value = opened(value)
            content = value.get("S")
            if content is None:
                content = value.get("N")
                if content is None:
                    return None
                content = canonical_number(content)
            made += content + end
        return made


def _text(given: str, context: Context) -> Text:
    """``given`` with its braces read: ``{path}``, and ``{{`` and ``}}`` for braces."""
    pieces, paths, end = [""], [], 0
    for match in _BRACES.finditer(given):
        pieces[-1] += given[end : match.start()]
        end = match.end()
        if match.group() in ("{{", "}}"):
            pieces[-1] += match.group()[0]
        elif match.group(1) is None:
            cause = f"a {match.group()} alone is not expected: write it twice"
            raise context.misread(given, Misread(match.start(), cause))
        else:
            paths.append(context.path(match.group(1)))
            pieces.append("")
    pieces[-1] += given[end:]
    return Text(pieces, paths)


def _known(name: str, text: Text, context: Context) -> Known | None:
    """What is known of the attribute after it is set to a text; None where it never is."""
    parts = [context.flow.at(path) for path in text.paths]
    if any(context.flow.of(path.name).absent for path in text.paths):
        return None
    keys: frozenset[str] | None = frozenset()
    for part in parts:
        keys = None if keys is None or part.keys is None else keys | part.keys
    apart = parts[0].apart if len(parts) == 1 and parts[0].kind in ("S", "N") else frozenset()
    if all(part.sure and part.kind in ("S", "N") for part in parts):
        # Where it begins with a value, it begins as that value does.
        head = text.start + parts[0].head
        return Known("S", sure=True, keys=keys, apart=apart, head=head)
    old = context.flow.of(name)  # which stays where something is missing
    return Known("S" if old.absent or old.kind == "S" else MIXED if old.kind else "")


def _constant(given: Any, name: str, context: Context) -> Value:
    if isinstance(given, bool):
        return {"BOOL": given}
    if isinstance(given, (int, float)):
        given = {"N": str(given)}
    if not isinstance(given, Mapping):
        raise context.refuse(
            f"{given!r} is no value to set",
            name,
            "Give a text, a number, true or false, or DynamoDB's JSON, as {S: text}.",
        )
    try:
        return constant(given)
    except Unfit as error:
        raise context.refuse(
            f"the value {error}", name, "Give a text, a number, true or false, or DynamoDB's JSON, as {S: text}."
        ) from error


def replace(options: Any, context: Context) -> Step:
    """Replaces what patterns match, in texts and in the elements of sets of texts."""
    changes: list[tuple[Path, Callable[[Value], Value]]] = []
    for key, given in context.mapping(options, "paths, each with [regex, text]"):
        path = context.path(key)
        if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != 2:
            raise context.refuse("a regular expression and a text are expected: [regex, text]", str(path))
        pattern, text = (str(each) for each in given)
        changes.append((path, _replaced(_pattern(pattern, text, path, context), text)))
    context.require_apart([path for path, _change in changes])
    for path, _change in changes:
        context.flow.change(path, lambda known: changed(known, known.kind))
    names = frozenset(path.name for path, _change in changes)
    return Step(context.number, context.kind, changing(changes), names, names)


def _pattern(text: str, new: str, path: Path, context: Context) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise context.misread(text, Misread(error.pos or 0, f"the regular expression is wrong: {error.msg}")) from error
    try:
        pattern.sub(new, "")
    except (re.error, IndexError) as error:
        at = error.pos or 0 if isinstance(error, re.error) else 0
        raise context.misread(new, Misread(at, f"the text for {path} is wrong: {error}")) from error
    return pattern


def _replaced(pattern: re.Pattern[str], new: str) -> Callable[[Value], Value]:
    def change(value: Value) -> Value:
        kind, content = parts_of(value)
        if kind == "S":
            made = pattern.sub(new, content)
            return value if made == content else {"S": made}
        if kind == "SS":
            elements = list(dict.fromkeys(pattern.sub(new, each) for each in content))  # equal ones become one
            return value if elements == content else {"SS": elements}
        return value

    return change
