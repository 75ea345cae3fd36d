# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DynamoDB's document paths: what stands at one in an item, and the item without it or with something else there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from .tokens import Misread, Token, Tokens
from .values import Item, Value, opened

Part: TypeAlias = "str | int"  # a name, or a position in a list


class Names:
    """The names behind ``#alias``, and which of these were used."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._used: set[str] = set()

    def behind(self, alias: Token) -> str:
        """The name behind the alias. Raises Misread."""
        if alias.text not in self._names:
            raise Misread(alias.at, f"{alias.text} is not among the names")
        self._used.add(alias.text)
        return self._names[alias.text]

    def unused(self) -> list[str]:
        """The aliases that no path has used."""
        return sorted(set(self._names) - self._used)


@dataclass(frozen=True)
class Path:
    """A document path; ``text`` is how the user wrote it."""

    parts: tuple[Part, ...]
    text: str = field(default="", compare=False)

    @cached_property
    def name(self) -> str:
        """The attribute that it is in."""
        return str(self.parts[0])

    @cached_property
    def is_attribute(self) -> bool:
        """Whether it is an attribute, not a part of one."""
        return len(self.parts) == 1

    def find(self, item: Item) -> Value | None:
        """What stands there, decoded; None where nothing does."""
        value = item.get(self.name)
        if value is None:
            return None
        found = opened(value)
        return found if len(self.parts) == 1 else _within(found, self.parts[1:])

    def removed(self, item: Item) -> Any:
        """Take what stands there out of the item and give it, raw where it is; None where nothing stands there."""
        if len(self.parts) == 1:
            return item.pop(self.name, None)
        return self.change(item, lambda _value: None)

    def change(self, item: Item, make: Callable[[Value], Value | None]) -> Value | None:
        """Change what stands there, within an attribute, or remove it for None; what stood there.

        ``make`` gives the same object where nothing changes.
        """
        whole = item.get(self.name)
        if whole is None:
            return None
        whole = opened(whole)
        value = _within(whole, self.parts[1:])
        if value is None:
            return None
        made = make(value)
        if made is not value:
            item[self.name] = _edited(whole, self.parts[1:], made)
        return value

    def overlaps(self, other: Path) -> bool:
        """Whether one of the two is the other or a part of it."""
        shared = min(len(self.parts), len(other.parts))
        return self.parts[:shared] == other.parts[:shared]

    def __str__(self) -> str:
        return self.text


def innermost_first(paths: Iterable[Path]) -> list[Path]:
    """Paths in an order in which each still means the same after those before it were removed."""
    return sorted(paths, key=lambda path: [part if isinstance(part, int) else -1 for part in path.parts], reverse=True)


def read_path(tokens: Tokens, names: Names, text: str) -> Path:
    """The path that begins at the next of the tokens of ``text``. Raises Misread."""
    first = tokens.peek().at
    parts: list[Part] = [_name(tokens, names)]
    while True:
        end = tokens.peek().at
        if tokens.accept("."):
            parts.append(_name(tokens, names))
        elif tokens.accept("["):
            position = tokens.take()
            if position.kind != "digits":
                raise Misread(position.at, f"a position in a list is expected instead of {position}")
            parts.append(int(position.text))
            tokens.expect("]")
        else:
            return Path(tuple(parts), text[first:end].strip())


def whole_path(text: str, names: Names) -> Path:
    """``text`` as a path and nothing else. Raises Misread."""
    tokens = Tokens(text)
    path = read_path(tokens, names, text)
    left = tokens.peek()
    if left.kind != "end":
        raise Misread(left.at, f"{left} is not expected")
    return path


def _name(tokens: Tokens, names: Names) -> str:
    token = tokens.take()
    if token.kind == "alias":
        return names.behind(token)
    if token.kind != "name":
        raise Misread(token.at, f"a name is expected instead of {token}")
    return token.text


def _within(value: Value, parts: tuple[Part, ...]) -> Value | None:
    """What stands at ``parts`` in a decoded value."""
    for part in parts:
        content = value.get("M" if isinstance(part, str) else "L")
        if content is None:
            return None
        if isinstance(part, str):
            if part not in content:
                return None
        elif part >= len(content):
            return None
        value = content[part]
    return value


def _edited(value: Value, parts: tuple[Part, ...], new: Value | None) -> Value:
    """A copy of ``value`` with ``new`` at ``parts``, where something stands, or without it for None.

    What lies beside the path is shared with ``value``: nobody changes values in place.
    """
    part, rest = parts[0], parts[1:]
    kind = "M" if isinstance(part, str) else "L"
    content = value[kind].copy()
    if rest:
        content[part] = _edited(content[part], rest, new)
    elif new is None:
        del content[part]
    else:
        content[part] = new
    return {kind: content}


# Only what is named


@dataclass(frozen=True)
class Projection:
    """What is left of a value of which only some parts are kept; ``whole`` for all of it."""

    whole: bool = False
    parts: Mapping[Part, Projection] = field(default_factory=dict)

    def of(self, value: Value) -> Value | None:
        """What is left of ``value``, None for nothing: then its path names nothing in it."""
        if self.whole:
            return value
        if "M" in value:
            kept = {name: self._kept(name, each) for name, each in value["M"].items()}
            left = {name: each for name, each in kept.items() if each is not None}
            return {"M": left} if left else None
        if "L" in value:
            elements = [self._kept(at, each) for at, each in enumerate(value["L"])]
            listed = [each for each in elements if each is not None]
            return {"L": listed} if listed else None
        return None

    def _kept(self, part: Part, value: Value) -> Value | None:
        below = self.parts.get(part)
        return below.of(value) if below else None


def projections(paths: Iterable[Path]) -> dict[str, Projection]:
    """Of each attribute that ``paths`` name, what they keep of it."""
    tails: dict[str, list[tuple[Part, ...]]] = {}
    for path in paths:
        tails.setdefault(path.name, []).append(path.parts[1:])
    return {name: _projection(each) for name, each in tails.items()}


def _projection(tails: list[tuple[Part, ...]]) -> Projection:
    if () in tails:
        return Projection(whole=True)
    below: dict[Part, list[tuple[Part, ...]]] = {}
    for tail in tails:
        below.setdefault(tail[0], []).append(tail[1:])
    return Projection(parts={part: _projection(each) for part, each in below.items()})
