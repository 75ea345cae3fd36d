# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What AWS charges, figure by figure, each with its date and its source."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from ..errors import InvalidInput
from .amounts import Span
from .usual_prices import USUAL

MEMBERS = ("price", "unit", "date", "source", "confirmed")


@dataclass(frozen=True)
class Price:
    """One figure: dollars for a ``unit``. One that nobody has confirmed is marked wherever it is used."""

    name: str
    price: float
    unit: str
    date: str = ""
    source: str = ""
    confirmed: bool = True

    def to_dict(self) -> dict[str, Any]:
        """As JSON-safe data, as in the file."""
        return {member: getattr(self, member) for member in MEMBERS}


@dataclass(frozen=True)
class CostLine:
    """A part of what a table costs: so much of what ``price`` is for."""

    what: str
    price: Price
    quantity: Span

    @property
    def cost(self) -> Span:
        """In dollars."""
        return self.quantity.times(self.price.price)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-safe data."""
        return {
            "what": self.what,
            "price": self.price.name,
            "unit": self.price.unit,
            "quantity": self.quantity.to_list(6),
            "cost": self.cost.to_list(6),
            "confirmed": self.price.confirmed,
        }


@dataclass(frozen=True)
class Prices:
    """All figures, by name."""

    figures: Mapping[str, Price]
    currency: str = "USD"
    region: str = "us-east-1"

    def line(self, what: str, name: str, quantity: Span) -> CostLine:
        """What ``quantity`` of the figure ``name`` costs."""
        return CostLine(what, self.figures[name], quantity)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-safe data, as in the file."""
        return {
            "currency": self.currency,
            "region": self.region,
            "figures": {name: price.to_dict() for name, price in self.figures.items()},
        }


def usual() -> Prices:
    """The figures that come with the collection (``prices.yml``)."""
    return prices_of(USUAL)


def prices_of(given: Mapping[str, Any] | None) -> Prices:
    """The prices that a user gives: single figures (``{export_gb: 0.11}``), which replace those that come with the
    collection, or a whole list in the form of ``prices.yml``, in which every figure must be. None and {} are the usual
    ones.

    Raises InvalidInput for a figure that is missing, unknown, negative, or no number.
    """
    given = given or {}
    whole = "figures" in given
    wanted = given["figures"] if whole else given
    if not isinstance(wanted, Mapping):
        raise _wrong("figures is no dictionary of names and prices")
    known = {name: Price(name, **entry) for name, entry in USUAL["figures"].items()}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        close = "".join(get_close_matches(str(unknown[0]), known, n=1))
        raise _wrong(f"{unknown[0]} is no figure of them{f' (did you mean {close}?)' if close else ''}")
    missing = [name for name in known if name not in wanted] if whole else []
    if missing:
        raise _wrong(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    figures = {**known, **dict(_replaced(known, wanted))}
    place = str(given.get("region") or "") if whole else USUAL["region"]
    return Prices(figures, str(given.get("currency") or USUAL["currency"]) if whole else USUAL["currency"], place)


def _replaced(known: Mapping[str, Price], wanted: Mapping[str, Any]) -> Iterator[tuple[str, Price]]:
    for name, entry in wanted.items():
        about = dict(entry) if isinstance(entry, Mapping) else {"price": entry, "source": "prices", "date": ""}
        price = _number(name, about.get("price"))
        said = {member: about[member] for member in MEMBERS[1:] if member in about}
        yield name, replace(known[name], **{"confirmed": True, **said, "price": price})


def _number(name: str, value: Any) -> float:
    if value is None or value == "":
        raise _wrong(f"{name} has no price")
    try:
        price = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        price = math.nan
    if not math.isfinite(price):
        raise _wrong(f"the price of {name} is no number")
    if price < 0:
        raise _wrong(f"the price of {name} is negative")
    return price


def _wrong(what: str) -> InvalidInput:
    return InvalidInput(
        f"The prices cannot be used: {what}.",
        "Correct prices: docs/plan.md has the figures and their units.",
    )
