# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random items of all types, and the same item in other forms."""

from __future__ import annotations

import base64
import json
import random
from decimal import Context, Decimal
from typing import Any

from hypothesis import strategies as st

EXACT = Context(prec=60, Emax=999, Emin=-999)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
binaries = st.binary(max_size=12).map(lambda value: base64.b64encode(value).decode())
numbers = st.builds(
    lambda digits, exponent, negative: str(Decimal((int(negative), tuple(map(int, str(digits))), exponent))),
    st.integers(0, 10**38 - 1),
    st.integers(-90, 80),
    st.booleans(),
)


def values(children: Any) -> Any:
    """Lists and maps of ``children``."""
    return st.one_of(
        st.lists(children, max_size=3).map(lambda value: {"L": value}),
        st.dictionaries(texts.filter(bool), children, max_size=3).map(lambda value: {"M": value}),
    )


def number_value(text: str) -> Decimal:
    """The exact value of a number's text."""
    return EXACT.create_decimal(text)


scalars = st.one_of(
    texts.map(lambda value: {"S": value}),
    numbers.map(lambda value: {"N": value}),
    binaries.map(lambda value: {"B": value}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
    st.lists(texts, min_size=1, max_size=3, unique=True).map(lambda value: {"SS": value}),
    st.lists(numbers, min_size=1, max_size=3, unique_by=number_value).map(lambda value: {"NS": value}),
    st.lists(binaries, min_size=1, max_size=3, unique=True).map(lambda value: {"BS": value}),
)
attribute_values = st.recursive(scalars, values, max_leaves=6)
attributes = st.dictionaries(
    texts.filter(lambda name: name and name != "id" and not name.startswith("aws:")), attribute_values, max_size=5
)


def to_bytes(item: dict[str, Any], ascii_only: bool = False) -> bytes:
    """The item's JSON, as a server may write it."""
    return json.dumps(item, ensure_ascii=ascii_only, separators=(",", ":")).encode()


def rewritten(value: Any, chance: random.Random) -> Any:
    """The same attributes or attribute value in another form: order and numbers' texts changed."""
    if isinstance(value, dict) and len(value) == 1:
        ((kind, content),) = value.items()
        if kind == "N" and isinstance(content, str):
            return {"N": rewritten_number(content, chance)}
        if kind in ("SS", "BS") and isinstance(content, list):
            return {kind: chance.sample(content, len(content))}
        if kind == "NS" and isinstance(content, list):
            return {kind: [rewritten_number(each, chance) for each in chance.sample(content, len(content))]}
        if kind == "L" and isinstance(content, list):
            return {"L": [rewritten(each, chance) for each in content]}
        if kind == "M" and isinstance(content, dict):
            return {"M": rewritten_attributes(content, chance)}
    return value


def rewritten_attributes(attributes: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """The same attributes in another order and form."""
    names = chance.sample(list(attributes), len(attributes))
    return {name: rewritten(attributes[name], chance) for name in names}


def rewritten_number(text: str, chance: random.Random) -> str:
    """Another text of the same number."""
    value = number_value(text)
    forms = [text, f"{value:f}", f"{value:E}", f"{value:e}"]
    if "." in forms[1]:
        forms.append(f"{forms[1]}00")
    return chance.choice(forms)
