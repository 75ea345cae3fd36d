# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

r"""Halves of surrogate pairs in JSON, as in ``"\ud800"``: no text, though some servers store and return it.

DynamoDB Local and dynalite do; msgspec refuses such JSON. An answer with one is parsed with other escapes in their
place, and what is kept of it gets its own bytes back. Only such an answer costs the time for that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_ESCAPES = re.compile(rb"\\(?:u([0-9a-fA-F])([0-9a-fA-F])|.)", re.DOTALL)
_SURROGATE = b"d"  # they are U+D800 to U+DFFF
_OTHERS = (b"e", b"f", b"c", b"b", b"a")  # private characters first: hardly anybody escapes these


def hidden(body: bytes) -> tuple[bytes, Callable[[bytes], bytes]] | None:
    """``body`` with other escapes in place of its surrogates, and what makes parts of it as they were; None where it
    has none, or no characters are free to take their place."""
    firsts = {found[1].lower() for found in _ESCAPES.finditer(body) if _is_far(found)}
    if _SURROGATE not in firsts:
        return None
    present = firsts | {b"%x" % (ord(character) >> 12) for character in set(body.decode("utf-8", "surrogatepass"))}
    free = next((other for other in _OTHERS if other not in present), None)
    if free is None:
        return None
    return _moved(body, _SURROGATE, free), lambda part: _moved(part, free, _SURROGATE)


def _moved(text: bytes, first: bytes, target: bytes) -> bytes:
    """``text`` with another first digit in escapes that begin with ``first`` and belong to the second half of these."""

    def move(found: re.Match[bytes]) -> bytes:
        if not _is_far(found) or found[1].lower() != first:
            return found[0]
        return b"\\u%s%s" % (target if found[1] == first else target.upper(), found[2])

    return _ESCAPES.sub(move, text)


def _is_far(escape: re.Match[bytes]) -> bool:
    """Whether the second digit of an escape is 8 or above, as that of surrogates."""
    return escape[2] is not None and escape[2] not in b"01234567"


def parsed(text: bytes) -> Any:
    """JSON as Python values, whose texts may have surrogates. Raises ValueError."""
    return json.loads(text.decode("utf-8", "surrogatepass"))


def written(value: Any) -> bytes:
    """Python values as JSON, with names in their order; their texts may have surrogates."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
