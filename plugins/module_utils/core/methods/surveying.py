# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading what a plan is made of: one table of the source, what stands at its destination, and what the user wants.

Everything here only reads. What would stop the table whatever its method is comes as a reason, as errors of the same
checks that a start makes.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .. import sdk
from ..account import Account
from ..aws_errors import DENIED
from ..errors import FerryError, InvalidInput, StateUnknown
from ..items.throttle import to_rate
from ..plan.facts import Location, Reason, Sample, TableFacts, Wishes
from ..steps.claiming import Choice, not_known
from ..table.creation import check_indexes
from ..table.definition import TableDefinition
from ..table.encryption import Encryption, map_encryption, read_encryption, resolve_key_map
from ..table.ownership import read_tags
from ..table.quotas import check_quotas
from ..table.refused_items import Keys
from ..table.transforming import made_shape
from ..table_status import require_usable
from .options import MigrationOptions

TAKEN = "destination"  # the rule that another table stands under the name
SAMPLED = 100  # items that are looked at
CROWDED = 0.9  # the share of them with one key of an index that makes it a hot one
# AWS answers about eleven calls of DescribeContinuousBackups in a row on one connection and refuses more; on fresh
# connections it has refused none (measured/more 10, TABLE-403).
CALLS_OF_A_CONNECTION = 10


@dataclass(frozen=True)
class Survey:
    """What was found about a table: its ``facts``, None where it could not be read, and the ``reasons`` that stop it
    whatever its method is. ``adopts``: one with our tags and no record stands under the name, and is to be adopted."""

    facts: TableFacts | None
    reasons: tuple[Reason, ...] = ()
    adopts: bool = False


def recovery_on(source: Account, table: str) -> bool | None:
    """Whether a table has point-in-time recovery on, None where the caller may not ask. Raises what Account.explain
    gives."""
    doing = "reading point-in-time recovery"
    answer = source.ask("dynamodb", "describe_continuous_backups", doing, table, missing=DENIED, TableName=table)
    return None if answer is None else _is_on(answer)


class RecoveryReads:
    """``recovery_on`` for many tables, paced by fresh connections. Safe for threads, each of which has a client of its
    own."""

    def __init__(self, source: Account) -> None:
        self._source, self._own = source, threading.local()

    def of(self, table: str) -> bool | None:
        """As ``recovery_on``."""
        own = self._own
        if getattr(own, "client", None) is None:
            own.client = self._source.own_client("dynamodb", connect_timeout=10, read_timeout=30, attempts=8)
            own.calls = 0
        if own.calls == CALLS_OF_A_CONNECTION:
            own.client.close()  # which ends its connections; the next call opens one
            own.calls = 0
        own.calls += 1
        try:
            return _is_on(own.client.describe_continuous_backups(TableName=table))
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            if sdk.error_code(error) in DENIED:
                return None
            raise self._source.explain(error, "reading point-in-time recovery", table) from error


def _is_on(answer: Mapping[str, Any]) -> bool:
    description = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    return bool(description.get("PointInTimeRecoveryStatus") == "ENABLED")


@dataclass
class Surveyor:
    """Reads tables of one account pair. ``standing`` says whether a table of that name is in the destination, by a list
    that was read once; without it each name is asked for. ``recovery`` says of a table of the source whether it has
    point-in-time recovery on."""

    source: Account
    destination: Account
    standing: Callable[[str], bool] | None = None
    recovery: Callable[[str], bool | None] | None = None
    _keys: dict[str, Encryption] = field(default_factory=dict)

    def look(self, options: MigrationOptions, wishes: Wishes) -> Survey:
        """What a plan has to know of one table. Raises CredentialsError, ServiceError."""
        try:
            definition = TableDefinition.read(self.source, options.table)
            require_usable(definition.raw)
        except FerryError as error:
            if error.status != "refused":
                raise
            return Survey(None, (reason_of(error),))
        taken = None if self._is_the_source(definition, options) else self._taken(options)
        adopts = options.adopt and isinstance(taken, StateUnknown)
        reasons = list(self._reasons(definition, options))
        if taken is not None and not adopts:
            reasons.append(replace(reason_of(taken), rule=TAKEN))
        facts = TableFacts(
            definition=definition,
            source=place_of(self.source),
            destination=place_of(self.destination),
            made_table=options.made_table,
            wishes=_with_rates(wishes, options, definition),
            recovery_on=self.recovery(options.table) if self.recovery else recovery_on(self.source, options.table),
            sample=self._sample(definition, options),
        )
        return Survey(facts, tuple(reasons), adopts)

    def count_tags(self, facts: TableFacts) -> int | None:
        """How many tags the table has; None where they cannot be read."""
        try:
            return len(read_tags(self.source, facts.definition.arn))
        except FerryError:
            return None

    def _reasons(self, definition: TableDefinition, options: MigrationOptions) -> Iterator[Reason]:
        """What stops the table whatever its method is."""
        if self._is_the_source(definition, options):
            yield Reason("same table", "source and destination are the same table", "Set destination_table.")
            return
        shape = definition
        checks: list[Callable[[], Any]] = [
            lambda: check_indexes(definition, options.indexes_after, options.leave_indexes),
            lambda: check_quotas(self.destination, shape, options.leave_indexes),
            lambda: self._check_key(definition, options),
        ]
        if options.transform is not None:
            transform = options.transform
            checks.append(lambda: made_shape(definition, transform, options.leave_indexes))
        for check in checks:
            try:
                check()
            except FerryError as error:
                if error.status != "refused":
                    raise
                yield reason_of(error)

    def _is_the_source(self, definition: TableDefinition, options: MigrationOptions) -> bool:
        here = (self.source.account_id, self.source.region, definition.name)
        return here == (self.destination.account_id, self.destination.region, options.made_table)

    def _taken(self, options: MigrationOptions) -> FerryError | None:
        """What the start refuses for a table that stands under the name in the destination and has no record; None
        where there is none. Raises what Account.explain gives."""
        if self.standing is not None and not self.standing(options.made_table):
            return None
        there = TableDefinition.find(self.destination, options.made_table)
        if there is None:
            return None
        choice = Choice(options.table, options.made_table, options.migration_id, options.method, resumes=False)
        return not_known(self.destination, choice, there, self.source.table_arn(options.table))

    def _check_key(self, definition: TableDefinition, options: MigrationOptions) -> None:
        """Raises MissingKeyMapping and KeyNotUsable for a key that the copy cannot have."""
        arn = definition.kms_key_arn
        if not arn:
            return
        if arn not in self._keys:
            self._keys[arn] = read_encryption(self.source, definition)
        encryption = self._keys[arn]
        mapped = resolve_key_map(self.destination, options.kms_key_map, definition.name, encryption, self.source)
        map_encryption(encryption, mapped, definition.name)

    def _sample(self, definition: TableDefinition, options: MigrationOptions) -> Sample:
        """What the first items show, for a table with indexes whose items may be read."""
        left = (*options.indexes_after, *options.leave_indexes)
        kept = definition.without_indexes(left)
        keys = Keys(kept)
        if not keys.has_indexes or not definition.item_count:
            return Sample()
        doing = "looking at the first items"
        answer = self.source.ask(
            "dynamodb", "scan", doing, definition.name, missing=DENIED, TableName=definition.name, Limit=SAMPLED
        )
        return sample_of(kept, keys, (answer or {}).get("Items", ()))


def sample_of(definition: TableDefinition, keys: Keys, items: Any) -> Sample:
    """What ``items`` of the table show."""
    violating: Counter[str] = Counter()
    for item in items:
        violating.update({index for index, _why in keys.faults(item)})
    crowded = []
    for index in definition.global_secondary_indexes:
        hashes = [key["AttributeName"] for key in index.key_schema if key["KeyType"] == "HASH"]
        found = Counter(str([item[name] for name in hashes]) for item in items if all(name in item for name in hashes))
        if found.total() >= SAMPLED / 2 and max(found.values()) >= CROWDED * found.total():
            crowded.append(index.name)
    return Sample(len(items), dict(violating), tuple(crowded))


def place_of(account: Account) -> Location:
    """Where an account is."""
    return Location(account.account_id, account.region, account.partition)


def reason_of(error: FerryError) -> Reason:
    """An error as the reason for which a table cannot go."""
    return Reason(type(error).__name__, error.cause.rstrip("."), error.next_step)


def wishes_of(options: MigrationOptions, *, prepared: bool, managed: bool) -> Wishes:
    """What the user chose, as the choice of a method sees it."""
    backup, spark = options.backup, options.spark
    return Wishes(
        transforms=options.transform is not None,
        writes_stopped=options.stopped,
        verify=options.verify,
        recovery=options.enable_point_in_time_recovery,
        prepared=prepared,
        managed=managed,
        staging=options.bucket,
        leave_indexes=options.leave_indexes,
        indexes_after=options.indexes_after,
        warm_throughput=options.warm_throughput,
        own_engine=bool(spark.application_id or spark.cluster_id or spark.engine),
        spark_workers=spark.workers,
        spark_end=spark.end,
        backup_days=backup.delete_after_days,
        copy_days=backup.copy_delete_after_days,
        restore=backup.restore,
        air_gapped=bool(backup.air_gapped_vault),
    )


def _with_rates(wishes: Wishes, options: MigrationOptions, definition: TableDefinition) -> Wishes:
    """With the user's rates in capacity units; a share of the table's capacity is looked up."""
    capacity: Mapping[str, Any] = definition.provisioned_throughput or {}
    rates = {}
    for side, text, member in (
        ("read_rate", options.items.read_rate, "ReadCapacityUnits"),
        ("write_rate", options.items.write_rate, "WriteCapacityUnits"),
    ):
        try:
            rate = to_rate(side, text, int(capacity.get(member, 0)))
        except InvalidInput:
            rate = None  # which is refused by the start, in its own words
        rates[side] = rate.units if rate else 0.0
    return Wishes(**{**vars(wishes), **rates})
