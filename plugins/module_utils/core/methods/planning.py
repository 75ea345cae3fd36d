# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of many tables: each is read once and gets a method, a time and a cost. Nothing is changed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from .. import sdk
from ..account import Account
from ..errors import FerryError, RecordDenied
from ..plan.document import Plan, PlannedTable, named_by_user
from ..plan.facts import Location, Reason, TableFacts
from ..plan.held import held_options
from ..plan.prices import Prices
from ..plan.quotas import account_quotas
from ..plan.warnings import warnings_of
from ..record.merging import require_heads, require_mergeable
from ..record.parts import is_later_part, is_to_come, of_source
from ..record.record import Record, table_key
from ..record.store import RecordStore
from ..report.alike import first_of
from ..steps.claiming import Choice, require_whole
from ..steps.transforms import fingerprint_of, require_same_transform
from ..table.definition import TableDefinition
from ..table.listing import table_names
from ..table.merged import require_same_shape
from ..table.transforming import key_heads, made_shape, require_transform
from .choosing import Chooser, Choosing
from .merging import ToMerge, refused_together, require_merging, source_heads, to_merge
from .method import Method, naming_methods, require_library, require_transforming
from .options import AUTO, MigrationOptions, SparkChoices
from .permitting import Moved, Policies, permissions_of
from .surveying import TAKEN, RecoveryReads, Surveyor, place_of, reason_of, wishes_of

THREADS = 8
ADOPTED = "it stands under the name already, without a record: all items are compared, and none is moved"
HOSTS_NAMED = 3  # of those that wait for one thing to do
# Rules of forecasts by which a start refuses the method that the user names.
REFUSED_BY_METHOD = ("transforms", "local secondary indexes", "indexes")


@dataclass(frozen=True)
class ToPlan:
    """A table to plan. ``problem`` is what is wrong with its variables: then nothing else of it counts. ``prepared``:
    the run prepares its accounts; ``managed``: with the credentials of the organization's management account.
    ``choices`` are what the plan holds besides the options, by name: how accounts are prepared, for example."""

    host: str
    source: Account | None
    destination: Account | None
    options: MigrationOptions
    store: RecordStore | None = None
    prepared: bool = True
    managed: bool = False
    problem: str = ""
    choices: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class _Pairs:
    """What entries share, each asked once: the tables and the records of a destination, and what concerns a pair."""

    methods: Mapping[str, Method]
    prices: Prices
    warnings: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    _standing: dict[int, set[str]] = field(default_factory=dict)
    _records: dict[int, dict[str, Record]] = field(default_factory=dict)
    _rooms: dict[tuple[str, int, SparkChoices], FerryError | None] = field(default_factory=dict)
    choosers: dict[tuple[int, int], Chooser] = field(default_factory=dict)

    def standing(self, account: Account) -> set[str]:
        """The names of the tables in the destination."""
        with self._lock:
            if id(account) not in self._standing:
                self._standing[id(account)] = set(table_names(account))
            return self._standing[id(account)]

    def record(self, store: RecordStore | None, name: str) -> Record | None:
        """The record of the destination table ``name``."""
        if store is None:
            return None
        with self._lock:
            if id(store) not in self._records:
                self._records[id(store)] = self._read(store)
            return self._records[id(store)].get(table_key(name))

    def _read(self, store: RecordStore) -> dict[str, Record]:
        try:
            return {record.key: record for record in store.everything().records}
        except RecordDenied as denied:
            self.warnings.append(f"The records of earlier runs cannot be read: {denied.cause} {denied.next_step}")
            return {}

    def no_room(self, method: Method, entry: ToPlan) -> FerryError | None:
        """What the start of ``entry`` by ``method`` refuses of the place that is chosen for its jobs."""
        if entry.destination is None:
            return None
        key = (method.name, id(entry.destination), entry.options.spark)
        with self._lock:
            if key not in self._rooms:
                self._rooms[key] = None
                try:
                    method.require_room(entry.destination, entry.options)
                except FerryError as error:
                    self._rooms[key] = error
            return self._rooms[key]

    def chooser(self, source: Account, destination: Account) -> Chooser:
        """The one for tables of this pair."""
        standing = self.standing(destination)
        with self._lock:
            key = (id(source), id(destination))
            if key not in self.choosers:
                surveyor = Surveyor(source, destination, standing.__contains__, RecoveryReads(source).of)
                self.choosers[key] = Chooser(self.methods, surveyor, self.prices)
            return self.choosers[key]


@dataclass(frozen=True)
class _Found:
    """One planned table with what its quotas need, and the source's definition where nobody has begun it."""

    table: PlannedTable
    facts: TableFacts | None = None
    definition: TableDefinition | None = None


def make_plan(
    methods: Mapping[str, Method],
    entries: Sequence[ToPlan],
    prices: Prices,
    progress: Callable[[str], None] = lambda line: None,
    warnings: Sequence[str] = (),
    policies: Policies | None = None,
) -> Plan:
    """The plan of ``entries``; ``warnings`` are told before its own. What is wrong with one table is part of it; only a
    fault of ours is raised. With ``policies`` IAM is asked whether the callers may do what these allow."""
    pairs = _Pairs(methods, prices)
    pool = ThreadPoolExecutor(THREADS, "tableferry-plan")
    found: list[_Found] = []
    try:
        for at, each in enumerate(pool.map(lambda entry: _planned(pairs, entry), entries), 1):
            found.append(each)
            if at % 500 == 0:
                progress(f"planned {at} of {len(entries)} tables")
    finally:
        pool.shutdown(cancel_futures=sys.exc_info()[0] is not None)
    found = _going_together(entries, found)
    tables = tuple(each.table for each in found)
    quotas = tuple(_quotas(pairs, entries, found))
    between = [word for chooser in pairs.choosers.values() for each in chooser.asked() for word in each.warnings]
    moved = {table.method_chosen for table in tables if table.goes}
    shared = between if any(methods[name].data_needs == "backed_up" for name in moved) else []
    of_tables = [*_shared_exports(methods, tables), *(word for table in tables for word in table.warnings)]
    permitted = permissions_of(policies, _moved(entries, tables)) if policies is not None else ()
    return Plan(
        tables,
        prices,
        _now(entries),
        (*(each.to_do for each in permitted if each.to_do), *_to_do(tables, quotas)),
        quotas,
        tuple(
            dict.fromkeys(
                [
                    *warnings,
                    *pairs.warnings,
                    *(each.warning for each in permitted if each.warning),
                    *shared,
                    *of_tables,
                ]
            )
        ),
        permitted,
    )


def _moved(entries: Sequence[ToPlan], tables: Sequence[PlannedTable]) -> Iterator[Moved]:
    """The tables that go, each with what its permissions depend on."""
    for entry, table in zip(entries, tables, strict=True):
        if table.goes and table.method and entry.source is not None and entry.destination is not None:
            records = entry.store.table.name if entry.store is not None else ""
            yield Moved(table.method_chosen, entry.options, entry.source, entry.destination, entry.prepared, records)


def _shared_exports(methods: Mapping[str, Method], tables: Sequence[PlannedTable]) -> Iterator[str]:
    """Of which hosts the plan counts an export each although one serves all."""
    found: dict[tuple[str, ...], list[str]] = {}
    for table in tables:
        if table.state == "planned" and not table.adopts and methods[table.method].data_needs == "staged":
            key = (str(table.source), table.table, str(table.destination))
            found.setdefault(key, []).append(table.host)
    for hosts in found.values():
        if len(hosts) > 1:
            yield f"{', '.join(hosts)}: AWS bills one export for all of them, which the plan counts for each."


def _now(entries: Sequence[ToPlan]) -> str:
    account = next((entry.destination for entry in entries if entry.destination is not None), None)
    return account.now().isoformat(timespec="seconds") if account is not None else ""


def _planned(pairs: _Pairs, entry: ToPlan) -> _Found:
    options, source, destination = entry.options, entry.source, entry.destination
    blank = PlannedTable(entry.host, "cannot_go", options.table, options.made_table, asked=options.method)
    if entry.problem or source is None or destination is None:
        return _Found(_stuck(blank, Reason("variables", entry.problem.rstrip("."))))
    try:
        placed = _with(blank, source=place_of(source), destination=place_of(destination))
        options.require_valid()
        record = pairs.record(entry.store, options.made_table)
        standing = options.made_table in pairs.standing(destination)
        parts: Record | None = None
        if record is not None and not record.is_untouched:
            arn = source.table_arn(options.table)
            require_mergeable(
                record, options.migration_id, arn, source_heads(source, options) if options.merge else None
            )
            own = of_source(record, arn)
            if own.is_done and standing:
                settings = settings_of(options, None, entry.choices)
                why = "an earlier run has finished it"
                return _Found(_with(placed, state="done", method=own.method, why=why, settings=settings))
            if is_to_come(record, arn):
                parts = own
            else:
                choice = _choice(options, own, pairs.methods)
                if choice.method in pairs.methods:
                    going_on = replace(options, method=choice.method)
                    require_transforming(pairs.methods[choice.method], pairs.methods.values(), going_on)
                    require_merging(pairs.methods[choice.method], pairs.methods.values(), going_on)
                    require_library(pairs.methods[choice.method], going_on)
                if standing:
                    require_whole(own, choice)
                return _begun(pairs.chooser(source, destination), entry, placed, own, standing=standing)
        chooser = pairs.chooser(source, destination)
        wishes = wishes_of(options, prepared=entry.prepared, managed=entry.managed)
        return _new(pairs, entry, placed, chooser.of(options, wishes), parts)
    except FerryError as error:
        return _Found(_stuck(blank, reason_of(error)))
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        return _Found(_stuck(blank, reason_of(source.explain(error, f"planning the table {options.table}"))))


def _new(pairs: _Pairs, entry: ToPlan, placed: PlannedTable, choosing: Choosing, parts: Record | None) -> _Found:
    """A table that nobody has begun, or the next of the ``parts`` of one that has items of other sources, a record."""
    survey, chosen, options, methods = choosing.survey, choosing.chosen, entry.options, pairs.methods
    facts = survey.facts
    reasons = [reason for reason in survey.reasons if parts is None or reason.rule != TAKEN]
    if facts is None or chosen is None:
        return _Found(_stuck(placed, *reasons))
    seen = _seen(placed, facts, entry, choosing)
    name = options.method if options.method != AUTO or chosen.forecast is None else chosen.forecast.method
    if not reasons and name != AUTO:
        reasons += _refusals(entry, methods[name], methods, seen, facts.definition, parts)
    if chosen.forecast is None and not (reasons and options.method == AUTO):
        known = {reason.rule for reason in reasons}
        reasons += [each for each in _reasons_of(seen, options.method, chosen.why) if each.rule not in known]
    if reasons or chosen.forecast is None:
        return _Found(_stuck(seen, *reasons), definition=facts.definition)
    method = methods[chosen.forecast.method]
    if parts is None and choosing.adoption is not None:
        adopted = _with(seen, state="planned", method=method.name, why=ADOPTED, adoption=choosing.adoption, growth={})
        return _Found(adopted, definition=facts.definition)  # no table is made
    no_room = pairs.no_room(method, entry)
    if no_room is not None:
        return _Found(_stuck(seen, reason_of(no_room)), definition=facts.definition)
    made_plain = method.data_needs == "backed_up" or not method.local_secondary_indexes
    planned = _with(
        seen,
        state="planned",
        method=method.name,
        why=chosen.why,
        warnings=tuple(warnings_of(facts, chosen.forecast, made_plain)),
    )
    return _Found(planned, facts, facts.definition)


def _refusals(
    entry: ToPlan,
    method: Method,
    methods: Mapping[str, Method],
    seen: PlannedTable,
    definition: TableDefinition,
    parts: Record | None,
) -> Iterator[Reason]:
    """Why the start by ``method`` refuses the table whatever AWS answers, in its words: the first reason. Where the
    method's forecast says so too, it has that rule's name."""
    options = entry.options
    own = next((each.reasons for each in seen.forecasts if each.method == method.name), ())
    rule = next((reason.rule for reason in own if reason.rule in REFUSED_BY_METHOD), "")
    checks: tuple[tuple[str, Callable[[], object]], ...] = (
        (rule, lambda: require_transforming(method, methods.values(), options)),
        ("", lambda: require_merging(method, methods.values(), options)),
        ("", lambda: require_library(method, options)),
        ("", lambda: _require_part(entry, definition, parts)),
        (rule, lambda: method.require(definition, options)),
        ("", lambda: require_transform(options.transform, definition) if options.transform is not None else None),
    )
    for named, check in checks:
        try:
            with naming_methods(methods):
                check()
        except FerryError as error:
            reason = reason_of(error)
            yield replace(reason, rule=named or reason.rule)
            return


def _require_part(entry: ToPlan, definition: TableDefinition, parts: Record | None) -> None:
    """Raises what refuses a source that is to be merged as the first one, or into the table of the ``parts`` before
    it."""
    options = entry.options
    if not options.merge or entry.destination is None:
        return
    if parts is None:
        require_heads(key_heads(options.transform, definition), options.table)
    elif is_later_part(parts):
        there = TableDefinition.find(entry.destination, options.made_table)
        if there is not None and there.table_id == parts.table_id:
            whole = made_shape(definition, options.transform, options.leave_indexes)
            require_same_shape(there, whole, options.table)


def _going_together(entries: Sequence[ToPlan], found: Sequence[_Found]) -> list[_Found]:
    """``found`` with sources of one table that do not go together as the start refuses them: all of them."""
    sources: dict[int, ToMerge] = {}
    for at, (entry, each) in enumerate(zip(entries, found, strict=True)):
        if entry.options.merge and each.definition and entry.source is not None and entry.destination is not None:
            with suppress(FerryError):  # which the table cannot go for already
                sources[at] = to_merge(entry.source, entry.destination, entry.options, each.definition)
    refused = refused_together(sources.values())
    together = list(found)
    for at, source in sources.items():
        error = refused.get((source.source, source.into))
        if error is not None:
            table = found[at].table
            together[at] = _Found(_stuck(table, reason_of(error), *table.reasons))
    return together


def _choice(options: MigrationOptions, begun: Record, methods: Mapping[str, Method]) -> Choice:
    """What a run is about to do with a table that was ``begun``: it stays with its method unless another one is named.
    A method that a record names with its end goes on with no table that is not whole."""
    stays = options.method in (AUTO, named_by_user(begun.method))
    name = begun.method if stays else options.method
    return Choice(
        options.table, options.made_table, options.migration_id, name,
        resumes=name in methods and methods[name].resumes, replace_broken=options.replace_failed,
    )  # fmt: skip


def _begun(chooser: Chooser, entry: ToPlan, placed: PlannedTable, record: Record, *, standing: bool) -> _Found:
    """A table that an earlier run began: it stays with its method, whatever that costs. Raises TableBroken for a copy
    that is ``standing`` and has items of other steps."""
    wishes = wishes_of(entry.options, prepared=entry.prepared, managed=entry.managed)
    choosing = chooser.of(entry.options, wishes)
    begun = _with(placed, state="begun", method=record.method, why="an earlier run began it by this method")
    if choosing.survey.facts is None:
        return _Found(_with(begun, settings=settings_of(entry.options, None, entry.choices)))
    definition, options = choosing.survey.facts.definition, entry.options
    if standing and not options.replace_failed:
        require_same_transform(record, fingerprint_of(options.transform, definition), options.table)
    return _Found(_seen(begun, choosing.survey.facts, entry, choosing))


def _seen(placed: PlannedTable, facts: TableFacts, entry: ToPlan, choosing: Choosing) -> PlannedTable:
    return _with(
        placed,
        forecasts=choosing.forecasts,
        settings=settings_of(entry.options, facts.definition, entry.choices),
        shape=shape_of(facts.definition),
        size=facts.size,
        items=facts.definition.item_count,
        growth=choosing.growth,
    )


def _reasons_of(table: PlannedTable, asked: str, why: str) -> tuple[Reason, ...]:
    """Why the table cannot go: by the method that was asked for, or by any."""
    if asked != AUTO:
        return next(each.reasons for each in table.forecasts if each.method == asked)
    return (Reason("no method", why),)


def _stuck(table: PlannedTable, *reasons: Reason) -> PlannedTable:
    why = "; ".join(reason.why for reason in reasons)
    return _with(table, state="cannot_go", method="", reasons=reasons, why=why)


def _with(table: PlannedTable, **members: Any) -> PlannedTable:
    return PlannedTable(**{**vars(table), **members})


def settings_of(
    options: MigrationOptions, definition: TableDefinition | None, choices: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What the user chose and the plan holds, as JSON-safe data without secrets: ``options``, and ``choices`` besides.
    Of steps that change items it has a fingerprint only, and none where the source table was not read."""
    transform = options.transform
    chosen = held_options(options)
    chosen["writes_stopped"] = options.stopped
    chosen["transform_errors"] = transform.errors if transform is not None else ""
    chosen["on_collision"] = transform.on_collision if transform is not None else ""
    if definition is not None:
        chosen["transform"] = fingerprint_of(transform, definition)
    return {**chosen, **(choices or {})}


def shape_of(definition: TableDefinition) -> dict[str, Any]:
    """What the source table is like, as far as a plan depends on it."""
    return {
        "table_id": definition.table_id,
        "key_schema": list(definition.key_schema),
        "attributes": sorted(definition.attribute_definitions, key=lambda entry: str(entry["AttributeName"])),
        "indexes": sorted(index.name for index in definition.global_secondary_indexes),
        "local_indexes": sorted(index.name for index in definition.local_secondary_indexes),
        "billing_mode": definition.billing_mode,
        "capacity": definition.provisioned_throughput,
        "on_demand": definition.on_demand_throughput,
        "table_class": definition.table_class,
        "stream": (definition.stream or {}).get("StreamViewType", ""),
        "key": definition.kms_key_arn,
        "deletion_protection": definition.deletion_protection,
    }


def _quotas(pairs: _Pairs, entries: Sequence[ToPlan], found: Sequence[_Found]) -> Iterator[dict[str, Any]]:
    """The quotas of each destination."""
    destinations: dict[Location, tuple[Account, list[TableFacts]]] = {}
    for entry, each in zip(entries, found, strict=True):
        if each.facts is not None and entry.destination is not None:
            account, facts = destinations.setdefault(each.facts.destination, (entry.destination, []))
            facts.append(each.facts)
    for place, (account, facts) in destinations.items():
        limits: dict[str, int] = {}
        if any(each.definition.provisioned_throughput for each in facts):
            limits = _limits(account)
        yield from account_quotas(place, len(pairs.standing(account)), facts, limits)


def _limits(account: Account) -> dict[str, int]:
    try:
        answer = account.ask("dynamodb", "describe_limits", "reading the quotas of DynamoDB", retries=1)
    except FerryError:
        return {}
    return {name: value for name, value in answer.items() if name.startswith("AccountMax")}


def _to_do(tables: Sequence[PlannedTable], quotas: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the user should do before the tables are moved, each once with the tables that wait for it."""
    steps: dict[tuple[str, str], list[str]] = {}
    for table in tables:
        for reason in table.reasons if table.state == "cannot_go" else ():
            if reason.next_step:
                steps.setdefault((reason.rule, reason.next_step), []).append(table.host)
    for (_rule, step), hosts in steps.items():
        yield f"{first_of(hosts, HOSTS_NAMED)}: {step}"
    for quota in quotas:
        if quota["raise"]:
            yield f"{quota['where']}: {quota['raise']}"
