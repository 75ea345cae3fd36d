# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The step hash: HMAC-SHA256 in place of values, the same for the same value, with a secret salt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any

from ..answers import canonical_number
from .flow import Known, changed
from .step import Context, Step, changing
from .values import SCALARS, SETS, Unfit, Value, binary

SALT = "env:FERRY_SALT"  # where a step that names attributes alone has its salt from
HEX_DIGITS = 64


def salts_needed(steps: Iterable[Any]) -> list[str]:
    """The ``salt_from`` of all steps hash, without looking whether the steps are right."""
    options = [step["hash"] for step in steps if isinstance(step, Mapping) and "hash" in step]
    named = (each.get("salt_from", SALT) if isinstance(each, Mapping) else SALT for each in options)
    return sorted({each for each in named if isinstance(each, str)})


def hash_values(options: Any, context: Context) -> Step:
    """Puts hashes in place of values; a list names attributes alone."""
    given = options if isinstance(options, Mapping) else {"attributes": options}
    given = context.options(given, {"attributes"}, {"attributes", "salt_from"})
    salt_from = given.get("salt_from", SALT)
    if not isinstance(salt_from, str) or not salt_from.removeprefix("env:") or not salt_from.startswith("env:"):
        raise context.refuse("the salt is named as env:NAME, by a variable of the environment", "salt_from")
    salt = context.definition.salts.get(salt_from, b"")
    if not salt:
        raise context.refuse(
            f"the environment variable {salt_from.removeprefix('env:')} is not set",
            "salt_from",
            "Set it to a long random text, and to the same one for all tables whose hashes must be alike.",
        )
    paths = context.paths(given["attributes"], apart=True)
    for path in paths:
        context.flow.change(path, _known)
    names = frozenset(path.name for path in paths)
    change = hashed_with(salt)
    return Step(context.number, context.kind, changing([(path, change) for path in paths]), names, names)


def _known(before: Known) -> Known:
    if before.kind in SCALARS:
        return changed(before, "S", apart=True, most=HEX_DIGITS)
    return changed(before, "SS" if before.kind in SETS else "")


def hashed_with(salt: bytes) -> Callable[[Value], Value]:
    """What makes the hash of a value: of texts in UTF-8, of numbers in their one plain form, of binaries' bytes."""
    # HMAC (RFC 2104) with both states after the key made once: a fourth of the time of hmac.digest.
    block = (sha256(salt).digest() if len(salt) > _BLOCK else salt).ljust(_BLOCK, b"\0")
    inner, outer = sha256(block.translate(_INNER)), sha256(block.translate(_OUTER))

    def of(content: bytes) -> str:
        first = inner.copy()
        first.update(content)
        second = outer.copy()
        second.update(first.digest())
        return second.hexdigest()

    def change(value: Value) -> Value:
        for kind, content in value.items():
            if kind in SCALARS:
                return {"S": of(_ENCODE[kind](content))}
            if kind in SETS:
                encode = _ENCODE[SETS[kind]]
                return {"SS": list(dict.fromkeys(of(encode(each)) for each in content))}
            if kind != "NULL":
                raise Unfit(f"has the type {kind}, which cannot be hashed")
        return value

    return change


def _utf8(text: str) -> bytes:
    return text.encode() if text.isascii() else text.encode("utf-8", "surrogatepass")


_ENCODE: dict[str, Callable[[str], bytes]] = {
    "S": _utf8,
    "N": lambda text: canonical_number(text).encode(),
    "B": binary,
}
_BLOCK = 64  # bytes of SHA-256
_INNER, _OUTER = (bytes(each ^ pad for each in range(256)) for pad in (0x36, 0x5C))
