# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is not known about AWS: each open question with its possible answers, one of which the test chooses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Behaviour:
    """An open question, such as ``backup.copied_tags``; the first of ``choices`` holds until another is chosen."""

    name: str
    choices: tuple[str, ...]


class Behaviours:
    """What was chosen. Services define their questions when they are built, as they do timings."""

    def __init__(self) -> None:
        self._defined: dict[str, Behaviour] = {}
        self._chosen: dict[str, str] = {}

    def define(self, behaviours: Iterable[Behaviour]) -> None:
        """Add open questions."""
        self._defined |= {each.name: each for each in behaviours}

    def choose(self, name: str, choice: str) -> None:
        """Answer a question; KeyError or ValueError, naming the known ones, for an unknown question or answer."""
        if name not in self._defined:
            raise KeyError(f"No behaviour is called {name!r}; there are: {', '.join(sorted(self._defined))}")
        if choice not in self._defined[name].choices:
            raise ValueError(f"{name} is one of {', '.join(self._defined[name].choices)}, not {choice!r}")
        self._chosen[name] = choice

    def __getitem__(self, name: str) -> str:
        """The answer that holds; KeyError for an unknown question."""
        return self._chosen.get(name) or self._defined[name].choices[0]

    def all(self) -> dict[str, str]:
        """Every question with its answer."""
        return {name: self[name] for name in sorted(self._defined)}
