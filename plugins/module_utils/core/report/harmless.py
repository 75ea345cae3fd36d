# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Texts from outside on a page: what cannot be seen, or turns the direction of others, is shown by number."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# Controls, soft hyphen, zero-width and bidirectional marks, line and paragraph separators, tags, halves of pairs.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_ESCAPED = re.compile(r"\\[bfnrtu]")  # how JSON writes them, where it does
_SPACES = re.compile(r"[ \t\r\n]+")


def harmless(text: str) -> str:
    """``text`` on one line, each character that cannot be seen as its number, such as ``[U+202E]``."""
    if text.isprintable():
        return text
    return _UNSEEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", _SPACES.sub(" ", text))


def harmless_all(value: Any) -> Any:
    """JSON ``value`` with all its texts, names of members too, harmless."""
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, Mapping):
        return {harmless(str(name)): harmless_all(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [harmless_all(each) for each in value]
    return value


def harmless_tables(found: Mapping[str, Any]) -> dict[str, Any]:
    """A report with all its texts harmless. Most tables have nothing else: they stay as they are, which saves most of
    the time."""
    tables = [entry if _is_harmless(entry) else harmless_all(entry) for entry in found["tables"]]
    return {**harmless_all({**found, "tables": []}), "tables": tables}


def _is_harmless(value: Any) -> bool:
    text = json.dumps(value, ensure_ascii=False)
    return text.isprintable() and not _ESCAPED.search(text)
