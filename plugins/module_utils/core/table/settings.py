# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All settings: read them, plan what the destination needs, apply it without sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .. import sdk
from ..account import Account
from ..aws_errors import DENIED
from ..change import Change, NotCarried
from ..errors import RUN_STOPPED, DestinationExists, FerryError, Replaced, SettingFailed
from .autoscaling import AutoScaling
from .definition import Shape, TableDefinition
from .differences import differences
from .encryption import Encryption, resolve_key_map
from .own_apis import (
    ContributorInsights,
    KinesisDestination,
    PointInTimeRecovery,
    ResourcePolicy,
    StreamPolicy,
    StreamTags,
    Tags,
    TimeToLive,
)
from .ownership import OWNERSHIP_TAG
from .patient_calls import Reader, Steps, Target, run_now
from .setting import RECOVERY_TAG, Setting, Settings, SettingsOptions
from .transformed_settings import settings_after
from .update_table import (
    BillingMode,
    DeletionProtection,
    EncryptionSetting,
    GlobalSecondaryIndexes,
    OnDemandThroughput,
    Stream,
    TableClass,
    VectorIndexes,
    WarmThroughput,
)

__all__ = [
    "OWNERSHIP_TAG",
    "RECOVERY_TAG",
    "SETTINGS",
    "Settings",
    "SettingsOptions",
    "SettingsPlan",
    "SettingsResult",
    "apply_settings",
    "plan_settings",
    "prepare_settings",
    "read_settings",
]

SETTINGS: tuple[Setting, ...] = tuple(
    sorted(
        (
            Tags(),
            PointInTimeRecovery(),
            EncryptionSetting(),
            BillingMode(),
            GlobalSecondaryIndexes(),
            VectorIndexes(),
            OnDemandThroughput(),
            WarmThroughput(),
            TableClass(),
            Stream(),
            AutoScaling(),
            ContributorInsights(),
            KinesisDestination(),
            TimeToLive(),
            DeletionProtection(),
            ResourcePolicy(),
            StreamPolicy(),
            StreamTags(),
        ),
        key=lambda setting: setting.order,
    )
)
_BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}

# Not allowed to read, or not offered in this Region: the setting is reported, the others are carried.
_UNREADABLE = DENIED | {"UnknownOperationException"}


@dataclass(frozen=True)
class SettingsPlan:
    """What ``apply_settings`` will do, what is not carried, and the names of the settings that are carried.

    ``differences`` are those of both tables where they were asked for: for people, no part of what is done.
    ``source_bytes`` is the source's size by DescribeTable, up to six hours old (aws.md G); 0 where it has none yet."""

    changes: tuple[Change, ...] = ()
    left: tuple[NotCarried, ...] = ()
    carried: tuple[str, ...] = ()
    differences: tuple[Change, ...] = ()
    source_bytes: int = 0

    def to_dict(self) -> Shape:
        """As JSON-safe data."""
        return {
            "changes": [change.to_dict() for change in self.changes],
            "left": [entry.to_dict() for entry in self.left],
            "carried": list(self.carried),
            "source_bytes": self.source_bytes,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SettingsPlan:
        """Back from ``to_dict``."""
        return cls(
            tuple(Change(**change) for change in data["changes"]),
            tuple(NotCarried(**entry) for entry in data["left"]),
            tuple(data["carried"]),
            source_bytes=int(data.get("source_bytes") or 0),
        )


@dataclass(frozen=True)
class SettingsResult:
    """The outcome of a plan. ``failed`` holds what AWS rejected, each with the reason; the others were applied."""

    applied: tuple[Change, ...] = ()
    failed: tuple[NotCarried, ...] = ()
    left: tuple[NotCarried, ...] = ()
    carried: tuple[str, ...] = ()

    def to_dict(self) -> Shape:
        """As JSON-safe data."""
        return {
            "applied": [change.to_dict() for change in self.applied],
            "failed": [entry.to_dict() for entry in self.failed],
            "left": [entry.to_dict() for entry in self.left],
            "carried": list(self.carried),
        }


def read_settings(
    account: Account, definition: TableDefinition, needed: Settings | None = None, only: Collection[str] = ()
) -> Settings:
    """Every setting of the table, or those whose names are in ``only``.

    Calls after DescribeTable: 6 for an on-demand table (tags, continuous backups, insights, Kinesis, TTL, policy), one
    more each for a KMS key and provisioned capacity, and 2 for a stream and for each resource with auto scaling. With
    ``needed``, the source's settings, only what the source has is read: 1 call (tags) for a plain table.
    Settings that may not be read are in ``unreadable``. Raises what Account.explain gives for other errors.
    """
    reader = Reader(account, definition)
    values: dict[str, Any] = {}
    unreadable: dict[str, str] = {}
    for setting in SETTINGS:
        if needed is not None and not needed.get(setting.name) and not setting.read_always:
            continue
        if only and setting.name not in only:
            continue
        try:
            values[setting.name] = run_now(setting.read(reader))
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            if sdk.error_code(error) not in _UNREADABLE:
                raise account.explain(error, f"reading {setting.name} of {definition.name}", definition.name) from error
            unreadable[setting.name] = (
                f"it could not be read in the {account.side} account: {sdk.told(error)} ({sdk.error_code(error)})"
            )
    return Settings(definition, values, unreadable)


def plan_settings(source: Settings, destination: Settings, options: SettingsOptions) -> SettingsPlan:
    """What gives the destination the source's settings. Pure; nothing is ever switched off or replaced by a default.

    ``kms_key_map`` maps to ARNs (resolve_key_map). Raises MissingKeyMapping, and DestinationExists where the keys of
    the two tables differ: no call can change that (measured/indexes-capacity 5.12).
    """
    _same_keys(source.definition, destination.definition)
    indexes_left = _indexes_left(source, destination, options)
    source = source.without_indexes(options.leave_indexes)
    changes: list[Change] = []
    left: list[NotCarried] = []
    carried: list[str] = []
    for setting in SETTINGS:
        name = setting.name
        reason = source.unreadable.get(name) or (destination.unreadable.get(name) if source.get(name) else None)
        if name in options.defer and source.get(name):
            reason = "deferred until the cutover"
        if reason:
            left.append(NotCarried(name, reason))
        if reason and not isinstance(setting, Tags):  # the ownership tags are set whether or not the others are
            continue
        planned = list(setting.plan(source, destination, options))
        changes += [entry for entry in planned if isinstance(entry, Change)]
        left += [entry for entry in planned if isinstance(entry, NotCarried)]
        if not reason and setting.carries(source, {entry.what for entry in planned if isinstance(entry, NotCarried)}):
            carried.append(name)
    came_along = {index.name for index in destination.definition.local_secondary_indexes}
    if came_along and came_along >= {index.name for index in source.definition.local_secondary_indexes}:
        carried.append("local_secondary_indexes")
    return SettingsPlan(tuple(changes), (*left, *indexes_left, *_never_carried(source, destination)), tuple(carried))


def prepare_settings(
    source: Account,
    destination: Account,
    source_table: str,
    table: str,
    options: SettingsOptions,
    described: TableDefinition | None = None,
    compare: bool = False,
) -> SettingsPlan:
    """Read both tables and plan; ``described`` is the destination table where it was just described.

    The source's are those of the table that the options' transform makes of it. With ``compare`` all settings of the
    destination are read, for the ``differences``.

    Raises MissingTable, MissingKeyMapping, KeyNotUsable, DestinationExists, AccessDenied, CredentialsError,
    ServiceError.
    """
    read = TableDefinition.read(source, source_table)
    here, lost = settings_after(read_settings(source, read), options.transform)
    definition = described or TableDefinition.read(destination, table)
    there = read_settings(destination, definition, None if compare else here)
    if here.get(EncryptionSetting.name):
        encryption = Encryption(**here.get(EncryptionSetting.name))
        key_map = resolve_key_map(destination, options.kms_key_map, source_table, encryption, source)
        options = replace(options, kms_key_map=key_map)
    plan = plan_settings(here, there, options)
    plan = replace(plan, left=(*lost, *plan.left), source_bytes=read.size_bytes)
    return replace(plan, differences=differences(here, there, plan.changes)) if compare else plan


def apply_settings(
    account: Account,
    name: str,
    plan: SettingsPlan,
    table_id: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> Steps[SettingsResult]:
    """Apply ``plan`` to the table ``name``: a generator that yields the seconds until it is to be resumed.

    It never sleeps, so that one process serves hundreds of tables, and never raises for one setting: what AWS rejects
    for good is in ``failed`` and the rest is applied. Applied again, after a kill too, it does only what is missing.
    Raises Replaced where the table is not the one with ``table_id``, if that is known. ``clock`` as for Target.
    """
    if not plan.changes:
        return SettingsResult(left=plan.left, carried=plan.carried)
    target = Target(account, name, table_id, clock)
    applied: list[Change] = []
    failed: list[NotCarried] = []

    def attempt(steps: Steps[Any], change: Change) -> Steps[bool]:
        try:
            yield from steps
        except SettingFailed as error:
            failed.append(NotCarried(change.what, f"{error.cause} {error.next_step}"))
            return False
        return True

    try:
        yield from target.settle()
        for change in plan.changes:
            if (yield from attempt(_setting_of(change).apply(target, change), change)):
                applied.append(change)
        for change in tuple(applied):
            if not (yield from attempt(_setting_of(change).verify(target, change), change)):
                applied.remove(change)
    except (Replaced, *RUN_STOPPED):
        raise
    except FerryError as error:
        # The table or the credentials are gone: no other setting can be applied.
        known = {entry.what for entry in failed} | {change.what for change in applied}
        failed += [
            NotCarried(change.what, f"{error.cause} {error.next_step}")
            for change in plan.changes
            if change.what not in known
        ]
    lost = {entry.what.partition(".")[0] for entry in failed}
    carried = tuple(name for name in plan.carried if name not in lost)
    return SettingsResult(tuple(applied), tuple(failed), plan.left, carried)


def _setting_of(change: Change) -> Setting:
    return _BY_NAME[change.what.partition(".")[0]]


def _same_keys(source: TableDefinition, destination: TableDefinition) -> None:
    here = source.key_schema, source.attributes_of(source.key_attributes)
    there = destination.key_schema, destination.attributes_of(destination.key_attributes)
    if here != there:
        raise DestinationExists(
            f"The destination table {destination.name} has other keys ({there[0]}) than the source ({here[0]}).",
            "It cannot be a copy. Choose another destination table.",
            table=source.name,
        )


def _indexes_left(source: Settings, destination: Settings, options: SettingsOptions) -> list[NotCarried]:
    """The indexes that the user leaves out; one that the destination has all the same is left alone."""
    return [
        NotCarried(
            f"{GlobalSecondaryIndexes.name}.{index.name}",
            "leave_indexes leaves it out"
            + ("; the destination has it all the same" if destination.definition.index(index.name) else ""),
        )
        for index in source.definition.global_secondary_indexes
        if index.name in options.leave_indexes
    ]


def _never_carried(source: Settings, destination: Settings) -> Iterator[NotCarried]:
    """What belongs to a table but has no API with which it could be carried."""
    there = {index.name for index in destination.definition.local_secondary_indexes}
    for index in source.definition.local_secondary_indexes:
        if index.name not in there:
            yield NotCarried(
                f"local_secondary_indexes.{index.name}", "local secondary indexes can only be created with the table"
            )
    if source.definition.replicas:
        regions = ", ".join(str(replica.get("RegionName")) for replica in source.definition.replicas)
        yield NotCarried("replicas", f"the source has replicas in {regions}: add them after the cutover")
    if source.definition.stream or source.get(KinesisDestination.name):
        yield NotCarried("event_source_mappings", "point readers of the source's stream to the ARN of the new stream")
    yield NotCarried(
        "alarms", "CloudWatch alarms on the table stay in the source account: create them in the destination account"
    )
    yield NotCarried("iam_policies", "change the table's ARN in the IAM policies of your applications")
