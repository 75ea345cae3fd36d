# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON texts as documents of DynamoDB, and back."""

from __future__ import annotations

import json
from typing import Any

from .values import Unfit, Value, check, number, parts_of


class _Digits(str):
    """The text of a number in JSON."""

    __slots__ = ()


def to_document(text: str) -> Value:
    """The JSON ``text`` as a value. Raises Unfit."""
    try:
        parsed = json.loads(
            text, parse_int=_Digits, parse_float=_Digits, parse_constant=_refuse, object_pairs_hook=_entries
        )
        value = _value(parsed)
        check([value])
    except ValueError:
        raise Unfit("is not JSON") from None
    except RecursionError:
        raise Unfit("is nested too deeply") from None
    return value


def _refuse(_word: str) -> Any:
    raise Unfit("has a number that JSON does not have")


def _entries(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise Unfit("has a name twice in a map")
    return made


def _value(parsed: Any) -> Value:
    if isinstance(parsed, _Digits):
        return {"N": number(str(parsed))}
    if isinstance(parsed, str):
        return {"S": parsed}
    if isinstance(parsed, bool):
        return {"BOOL": parsed}
    if isinstance(parsed, list):
        return {"L": [_value(each) for each in parsed]}
    if isinstance(parsed, dict):
        return {"M": {name: _value(each) for name, each in parsed.items()}}
    return {"NULL": True}


def to_json(value: Value) -> str:
    """A document as JSON text, compact. Raises Unfit for what JSON does not have: sets and binaries."""
    kind, content = parts_of(value)
    if kind == "S":
        return json.dumps(content, ensure_ascii=False)
    if kind == "N":
        return number(content)
    if kind == "L":
        return f"[{','.join(map(to_json, content))}]"
    if kind == "M":
        named = (f"{json.dumps(name, ensure_ascii=False)}:{to_json(each)}" for name, each in content.items())
        return f"{{{','.join(named)}}}"
    if kind == "BOOL":
        return "true" if content else "false"
    if kind == "NULL":
        return "null"
    raise Unfit(f"has a value of the type {kind}, which JSON does not have")
