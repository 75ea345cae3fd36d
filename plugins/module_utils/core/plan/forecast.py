# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a method would do for a table: whether it can, which promises it keeps, how long it takes and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .amounts import Span, total
from .facts import Reason
from .prices import CostLine

# What every method promises, the weightiest first. A method that breaks none is better than one that breaks some.
INSTANT, PROVED = "one instant", "proved complete"
PROMISES: Mapping[str, str] = {
    INSTANT: "the copy shows the source as it was at one instant",
    PROVED: "all items are proved to have arrived, as verify asks",
}


@dataclass(frozen=True)
class Stage:
    """A part of the time that a table takes: ``what`` is done, for how many seconds, and what that rests on."""

    what: str
    seconds: Span
    rests_on: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON-safe data."""
        return {"what": self.what, "seconds": self.seconds.to_list(0), "rests_on": self.rests_on}


@dataclass(frozen=True)
class Forecast:
    """One method for one table. Without ``reasons`` it is possible.

    ``broken`` are the promises that it would not keep, each with why. ``by_itself``: why ``auto`` leaves it to the
    user to ask for it, empty where it does not. ``uses`` is how much of a quota one table takes while its job runs.
    """

    method: str
    reasons: tuple[Reason, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Stage, ...] = ()
    costs: tuple[CostLine, ...] = ()
    uses: Mapping[str, float] = field(default_factory=dict)
    by_itself: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def possible(self) -> bool:
        """Whether the method can move the table."""
        return not self.reasons

    @property
    def seconds(self) -> Span:
        """From the start of its first job to the settled table."""
        return total(part.seconds for part in self.parts)

    @property
    def cost(self) -> Span:
        """In dollars."""
        return total(line.cost for line in self.costs)

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """The prices in it that nobody has confirmed, where they matter."""
        return tuple(dict.fromkeys(line.price.name for line in self.costs if not line.price.confirmed))

    def to_dict(self) -> dict[str, Any]:
        """As JSON-safe data."""
        return {
            "method": self.method,
            "possible": self.possible,
            "reasons": [reason.to_dict() for reason in self.reasons],
            "broken": dict(self.broken),
            "only_if_asked": "; ".join(self.by_itself),
            "seconds": self.seconds.to_list(0),
            "cost": self.cost.to_list(),
        }
