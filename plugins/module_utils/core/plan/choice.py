# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which method a table takes: the cheapest one that keeps every promise; ties by time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .amounts import durations, money
from .forecast import PROMISES, Forecast


@dataclass(frozen=True)
class Chosen:
    """The ``forecast`` of the method that a table takes and why; None where none is possible, and why not."""

    forecast: Forecast | None
    why: str


def choose(forecasts: Sequence[Forecast]) -> Chosen:
    """What ``auto`` comes to among ``forecasts``, one for each method.

    A method that starts what the user has not asked for is taken only where no other is possible. Broken promises
    count by their weight, then dollars to the cent, then the time. Costs that differ by less than a cent are equal:
    nobody chooses by them.
    """
    possible = [each for each in forecasts if each.possible]
    if not possible:
        return Chosen(None, _why_none(forecasts))
    least = min(len(each.by_itself) for each in possible)
    able = [each for each in possible if len(each.by_itself) == least]
    best = min(able, key=_rank)
    return Chosen(best, _why(best, able, forecasts))


def asked_for(name: str, forecasts: Sequence[Forecast]) -> Chosen:
    """The method that the user has named."""
    found = next(each for each in forecasts if each.method == name)
    if found.possible:
        return Chosen(found, "asked for by method")
    return Chosen(None, "; ".join(f"{reason.why}" for reason in found.reasons))


def _rank(forecast: Forecast) -> tuple[list[bool], float, float]:
    broken = [promise in forecast.broken for promise in PROMISES]
    return broken, round(_middle(forecast), 2), sum(forecast.seconds.to_list())


def _middle(forecast: Forecast) -> float:
    return (forecast.cost.low + forecast.cost.high) / 2


def _why(best: Forecast, able: Sequence[Forecast], forecasts: Sequence[Forecast]) -> str:
    """Why ``best``: against the others, each with the first thing that speaks against it."""
    others = [each for each in forecasts if each is not best]
    words = [f"{each.method}: {_against(each, best)}" for each in others]
    kept = "keeps every promise" if not best.broken else f"breaks least ({'; '.join(best.broken.values())})"
    cheapest = f", {_price(best)}" if len(able) > 1 else ""
    head = f"{kept}{cheapest}"
    return f"{head}; {'; '.join(words)}" if words else head


def _price(forecast: Forecast) -> str:
    return f"{money(_middle(forecast))} and {durations(forecast.seconds)}"


def _against(other: Forecast, best: Forecast) -> str:
    if other.reasons:
        return other.reasons[0].why
    if len(other.by_itself) > len(best.by_itself):
        return other.by_itself[-1]
    worse = [why for promise, why in other.broken.items() if promise not in best.broken]
    if worse:
        return worse[0]
    if round(_middle(other), 2) > round(_middle(best), 2):
        return f"costs more, {money(_middle(other))}"
    return f"takes longer, {durations(other.seconds)}"


def _why_none(forecasts: Sequence[Forecast]) -> str:
    """Why no method is possible: what they have in common, or each by itself."""
    every = [{reason.why for reason in each.reasons} for each in forecasts]
    common = set.intersection(*every) if every else set()
    if common:
        return "; ".join(sorted(common))
    return "; ".join(f"{each.method}: {each.reasons[0].why}" for each in forecasts)
