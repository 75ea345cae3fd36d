# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Words and signs of the texts that a user writes in a step: paths, conditions, texts with paths in them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"(?P<name>[A-Za-z_]\w*)|(?P<alias>#\w+)|(?P<value>:\w+)|(?P<digits>\d+)|(?P<sign><>|<=|>=|[=<>(),.\[\]])", re.ASCII
)
_SPACE = re.compile(r"\s*")


class Misread(Exception):
    """A text that cannot be read: ``at`` is the position in it, from 0."""

    def __init__(self, at: int, cause: str) -> None:
        self.at = at
        self.cause = cause
        super().__init__(cause)


@dataclass(frozen=True)
class Token:
    """``kind`` is ``name``, ``alias`` (#name), ``value`` (:value), ``digits``, ``sign``, or ``end``."""

    kind: str
    text: str
    at: int

    def __str__(self) -> str:
        return f"{self.text!r}" if self.text else "the end"


class Tokens:
    """The tokens of one text, taken from the left."""

    def __init__(self, text: str) -> None:
        """Raises Misread where ``text`` has a character that belongs to no token."""
        self._tokens: list[Token] = []
        at = _space_end(text, 0)
        while at < len(text):
            token = _TOKEN.match(text, at)
            if token is None:
                raise Misread(at, f"{text[at]!r} is not expected")
            self._tokens.append(Token(str(token.lastgroup), token.group(), at))
            at = _space_end(text, token.end())
        self._end = Token("end", "", len(text))
        self._at = 0

    def peek(self, ahead: int = 0) -> Token:
        """The token ``ahead`` of the next one."""
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else self._end

    def keyword(self) -> str:
        """The next token in upper case, if it is a word."""
        token = self.peek()
        return token.text.upper() if token.kind == "name" else ""

    def take(self) -> Token:
        """The next token."""
        token = self.peek()
        self._at += 1
        return token

    def accept(self, sign: str) -> bool:
        """Whether the next token is ``sign``, which is taken then."""
        if self.peek().text != sign:
            return False
        self._at += 1
        return True

    def expect(self, word: str) -> Token:
        """The next token, which must be ``word`` (words in any case). Raises Misread."""
        token = self.peek()
        if token.text.upper() != word:
            raise Misread(token.at, f"{word} is expected instead of {token}")
        return self.take()


def _space_end(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at
