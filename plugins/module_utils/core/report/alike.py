# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of many tables, once for all of which the same is told. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

# In what texts differ that say the same, besides the name of a table in an ARN or a key: instants, and ids of requests.
_INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"
_REQUEST = "(request "
_OWN = rf"{_INSTANT}|(?<={re.escape(_REQUEST)})[^()\s]+"
_PLACE = "TABLE"  # stands for the names of several tables


def merged(told: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """What is ``told`` of tables, as name and text: each text once with the names, that of most tables first. Texts
    that differ in nothing but instants, ids of requests and the table's own name in an ARN or a key are one, with the
    first and the last of the instants and one of the ids."""
    found: dict[tuple[str, ...], list[tuple[str, str, list[str]]]] = {}
    for name, text in told:
        own = re.compile(rf"{_OWN}|(?<=/){re.escape(name)}(?![\w.-])")
        pieces = [_PLACE if each == name else each for each in own.findall(text)]
        found.setdefault(tuple(own.split(text)), []).append((name, text, pieces))
    lines = [
        (
            alike[0][1] if len(alike) == 1 else _filled(parts, [own for *_told, own in alike]),
            [each[0] for each in alike],
        )
        for parts, alike in found.items()
    ]
    return sorted(lines, key=lambda line: -len(line[1]))


def _filled(parts: Sequence[str], own: Iterable[Sequence[str]]) -> str:
    """The text of ``parts`` with what is between each two of them in one of the texts, or in the first and the last."""
    ends = [(min(each), max(each)) for each in zip(*own, strict=True)]
    between = [
        first if first == last or part.endswith(_REQUEST) else f"{first} to {last}"
        for part, (first, last) in zip(parts, ends, strict=False)
    ]
    return "".join(part for pair in zip(parts, [*between, ""], strict=True) for part in pair)


class Order:
    """The names of all tables of a run in their order, numbers in them by value."""

    def __init__(self, names: Iterable[str]) -> None:
        self._places = {name: at for at, name in enumerate(sorted(names, key=_by_value))}

    def named(self, names: Iterable[str], most: int | None = None) -> str:
        """``names`` with their number. A span is written only where all tables of the run between its ends are in it;
        of the spans, ``most``."""
        found = list(self._spans(names))
        count = sum(map(len, found))
        if count == 1:
            return found[0][0]
        left = sum(map(len, found[most:])) if most is not None else 0
        words = [f"{span[0]} to {span[-1]}" if len(span) > 2 else ", ".join(span) for span in found[:most]]
        return f"{count} tables ({_with_more(', '.join(words), left)})"

    def _spans(self, names: Iterable[str]) -> Iterator[list[str]]:
        span: list[str] = []
        for name in sorted(names, key=self._places.__getitem__):
            if span and self._places[name] != self._places[span[-1]] + 1:
                yield span
                span = []
            span.append(name)
        if span:
            yield span


def first_of(names: Sequence[str], most: int) -> str:
    """The first ``most`` of ``names``, and how many others there are: ``a, b, c and 2 more``."""
    return _with_more(", ".join(names[:most]), len(names) - most)


def _with_more(words: str, more: int) -> str:
    return f"{words} and {more} more" if more > 0 else words


def _by_value(name: str) -> list[tuple[int, str]]:
    """A key to sort by: table2 comes before table10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)] + [(-2, name)]
