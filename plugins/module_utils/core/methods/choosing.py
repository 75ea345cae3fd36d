# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The choice of a method for one table among all there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from threading import Lock

from ..account import Account
from ..errors import FerryError
from ..plan.amounts import GB, Span
from ..plan.choice import Chosen, asked_for, choose
from ..plan.facts import Between, TableFacts, Wishes
from ..plan.forecast import Forecast
from ..plan.prices import Prices, usual
from ..record.parts import of_source
from ..record.record import table_key
from ..record.store import RecordStore
from .forecasting import adopting
from .method import Method
from .options import AUTO, MigrationOptions
from .surveying import Survey, Surveyor, wishes_of


@dataclass(frozen=True)
class Choosing:
    """A table with what was found of it: the ``survey``, each method's forecast, and the choice; ``chosen`` is None
    where the table could not be read. ``adoption``: what it takes to adopt the table that stands under the name, where
    that is to be done. ``growth`` is what the table's items will add to the cost, a ``gb`` and a
    ``million_items``, where DynamoDB has not told its size."""

    survey: Survey
    forecasts: tuple[Forecast, ...] = ()
    chosen: Chosen | None = None
    growth: Mapping[str, Span] = field(default_factory=dict)
    adoption: Forecast | None = None


@dataclass
class Chooser:
    """Chooses methods for tables of one account pair; what concerns the pair is asked once for each kind of wish."""

    methods: Mapping[str, Method]
    surveyor: Surveyor
    prices: Prices
    _lock: Lock = field(default_factory=Lock)
    _between: dict[tuple[str, bool, bool], Between] = field(default_factory=dict)

    def of(self, options: MigrationOptions, wishes: Wishes) -> Choosing:
        """The choice for one table. Raises CredentialsError, ServiceError."""
        survey = self.surveyor.look(options, wishes)
        if survey.facts is None:
            return Choosing(survey)
        found = self._chosen(options.method, survey.facts)
        if found[1].forecast is not None and self.methods[found[1].forecast.method].data_needs == "backed_up":
            # Tags are asked for only where they can stop a table: 10 calls a second are allowed.
            facts = replace(survey.facts, tags=self.surveyor.count_tags(survey.facts))
            survey, found = replace(survey, facts=facts), self._chosen(options.method, facts)
        planned, adoption = found[1].forecast, None
        if survey.adopts and planned is not None and survey.facts is not None:
            adoption = adopting(planned.method, survey.facts, self.prices)
        return Choosing(survey, *found, self._growth(planned, survey.facts), adoption)

    def _chosen(self, asked: str, facts: TableFacts) -> tuple[tuple[Forecast, ...], Chosen]:
        forecasts = tuple(
            method.forecast(facts, self.between(method, facts.wishes), self.prices) for method in self.methods.values()
        )
        return forecasts, choose(forecasts) if asked == AUTO else asked_for(asked, forecasts)

    def _growth(self, planned: Forecast | None, facts: TableFacts | None) -> Mapping[str, Span]:
        """By the forecasts of the planned method for a table of a GB, and of a million items: at least as if its
        indexes had none of them, at most as if each had all."""
        if planned is None or facts is None or facts.size or facts.definition.item_count:
            return {}
        method, between = self.methods[planned.method], self.between(self.methods[planned.method], facts.wishes)

        def added(size: int, items: int) -> Span:
            least, most = (
                method.forecast(facts.grown(size, items, indexes=indexes), between, self.prices).cost
                for indexes in (False, True)
            )
            return Span(max(0.0, least.low - planned.cost.low), max(0.0, most.high - planned.cost.high))

        return {"gb": added(int(GB), 0), "million_items": added(0, 1_000_000)}

    def asked(self) -> tuple[Between, ...]:
        """What was found out about the accounts so far."""
        return tuple(self._between.values())

    def between(self, method: Method, wishes: Wishes) -> Between:
        """What the ``method`` found out about the accounts, asked once."""
        key = (method.name, wishes.air_gapped, wishes.managed)
        with self._lock:
            if key not in self._between:
                try:
                    found = method.between(self.surveyor.source, self.surveyor.destination, wishes)
                except FerryError as error:
                    found = Between(warnings=(f"Whether {method.name} can be used was not found out: {error.cause}",))
                self._between[key] = found
            return self._between[key]


def with_method(
    methods: Mapping[str, Method],
    default: str,
    source: Account,
    destination: Account,
    options: MigrationOptions,
    store: RecordStore | None,
) -> MigrationOptions:
    """``options`` with what ``auto`` comes to for a table that is moved by itself: the method of an earlier run, else
    what a plan chooses by AWS's usual prices, in the accounts as they are. Where no method can move it, the
    ``default``, whose start says why. Raises CredentialsError, ServiceError, RecordDenied."""
    if options.method != AUTO:
        return options
    record = store.read(table_key(options.made_table)) if store is not None else None
    begun = "" if record is None or record.is_untouched else of_source(record, source.table_arn(options.table)).method
    if begun:
        return replace(options, method=begun)
    # What stands under the name is the start's: here only the methods count.
    chooser = Chooser(methods, Surveyor(source, destination, standing=lambda _name: False), usual())
    chosen = chooser.of(options, wishes_of(options, prepared=False, managed=False)).chosen
    return replace(options, method=default if chosen is None or chosen.forecast is None else chosen.forecast.method)
