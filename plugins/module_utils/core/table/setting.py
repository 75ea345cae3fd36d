# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a setting is: how to read it, compare it, and set it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..change import Change, NotCarried
from ..errors import SettingFailed, in_words
from .definition import Shape, TableDefinition
from .patient_calls import Caller, Steps, Target, paces
from .resource_policy import TableLocation
from .transforming import TransformChoices

RECOVERY_TAG = "tableferry:point-in-time-recovery"


@dataclass(frozen=True)
class Settings:
    """A table's definition and the value of each setting (JSON-safe), empty or None where there is nothing to carry.

    ``unreadable`` has the reason for each setting that could not be read.
    """

    definition: TableDefinition
    values: Mapping[str, Any] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> Any:
        """The value of the setting ``name``, None when it was not read."""
        return self.values.get(name)

    def without_indexes(self, names: Collection[str]) -> Settings:
        """These settings without what is of the global secondary indexes ``names``."""
        if not names:
            return self
        owners = {*names, *(f"index/{name}" for name in names)}  # as insights and auto scaling name them
        values = {
            setting: {part: of_part for part, of_part in value.items() if not {part, _owner(part)} & owners}
            if setting in ("autoscaling", "contributor_insights") and value
            else value
            for setting, value in self.values.items()
        }
        definition = self.definition.without_indexes(names)
        if values.get("global_secondary_indexes"):
            values["global_secondary_indexes"] = [index.name for index in definition.global_secondary_indexes]
        return Settings(definition, values, self.unreadable)

    @property
    def location(self) -> TableLocation:
        """Where the table is."""
        return TableLocation.of(self.definition.arn)

    def to_dict(self) -> Shape:
        """As JSON-safe data."""
        return {
            "definition": self.definition.to_dict(),
            "values": dict(self.values),
            "unreadable": dict(self.unreadable),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Settings:
        """Back from ``to_dict``."""
        return cls(TableDefinition.from_dict(data["definition"]), data["values"], data["unreadable"])


def _owner(part: str) -> str:
    """The ``index/<name>`` of ``index/<name>/ReadCapacityUnits``."""
    return part.rpartition("/")[0]


@dataclass(frozen=True)
class SettingsOptions:
    """Options for carrying settings.

    ``kms_key_map``, ``kinesis_map`` and ``principal_map`` map ARNs of the source to ARNs of the destination. Settings
    in ``defer`` wait for the cutover. Without ``warm_throughput`` warm throughput, which is charged once and never
    falls, is not carried. ``indexes_after`` are global secondary indexes that the table is made without and gets as
    settings, ``leave_indexes`` those that it does not get. ``transform`` is what changed the items on their way.
    """

    kms_key_map: Mapping[str, str] = field(default_factory=dict)
    kinesis_map: Mapping[str, str] = field(default_factory=dict)
    principal_map: Mapping[str, str] = field(default_factory=dict)
    defer: tuple[str, ...] = ()
    migration_id: str = "default"
    warm_throughput: bool = True
    indexes_after: tuple[str, ...] = ()
    leave_indexes: tuple[str, ...] = ()
    transform: TransformChoices | None = None

    @property
    def without_indexes(self) -> tuple[str, ...]:
        """The indexes that the table is made without."""
        return (*self.indexes_after, *self.leave_indexes)


class Setting(ABC):
    """One setting. The ``what`` of its changes is its name, or its name, a dot and a part of it."""

    name: ClassVar[str]
    order: ClassVar[int]
    """Changes are applied by ascending order."""
    read_always: ClassVar[bool] = False
    """Whether it is read on the destination even when the source has nothing to carry."""

    @abstractmethod
    def read(self, caller: Caller) -> Steps[Any]:
        """The current value, JSON-safe; empty or None where there is nothing to carry."""

    @abstractmethod
    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterable[Change | NotCarried]:
        """What to change on the destination, and what is not carried. Nothing is ever switched off there."""

    def carries(self, source: Settings, left: Collection[str]) -> bool:
        """Whether the destination gets any of what the source has, where ``left`` names what is not carried."""
        return bool(source.get(self.name)) and self.name not in left

    def apply(self, target: Target, change: Change) -> Steps[None]:
        """Make the change. Raises SettingFailed."""
        raise NotImplementedError(self.name)

    def verify(self, target: Target, change: Change) -> Steps[None]:
        """Wait until AWS shows the change. Raises SettingFailed."""
        yield from ()


class TableUpdate(Setting):
    """A setting in DescribeTable, changed by UpdateTable: each change alone, between two settled states.

    No two are combined: AWS rejects 33 of 35 pairs (measured/settings 2.1).
    """

    @abstractmethod
    def of(self, definition: TableDefinition) -> Any:
        """The value in ``definition``."""

    @abstractmethod
    def members(self, change: Change, definition: TableDefinition) -> Shape:
        """The members of UpdateTable that make the change."""

    def landed(self, definition: TableDefinition, change: Change) -> bool:
        """Whether ``definition`` shows the change."""
        return bool(self.of(definition) == change.after)

    def read(self, caller: Caller) -> Steps[Any]:
        """The value, without a call."""
        yield from ()
        return self.of(caller.definition)

    def apply(self, target: Target, change: Change) -> Steps[None]:
        """One UpdateTable, checked by what DescribeTable shows afterwards."""
        yield from target.update(
            lambda definition: self.landed(definition, change), **self.members(change, target.definition)
        )


class SideCall(Setting):
    """A setting with an API of its own, which no other call locks (measured/settings 2.1, [TABLE-435])."""

    patience_seconds: ClassVar[float] = 120.0

    @abstractmethod
    def request(self, target: Target, change: Change) -> tuple[str, Shape]:
        """The operation (in botocore's snake case) and its parameters."""

    def landed(self, value: Any, change: Change) -> bool:
        """Whether ``value``, as ``read`` returns it, shows the change. Raises SettingFailed when it never will."""
        return bool(value == change.after)

    def apply(self, target: Target, change: Change) -> Steps[None]:
        """One call. Its error is ignored where the value is set: an earlier run may have been killed after the call."""
        operation, parameters = self.request(target, change)
        try:
            yield from target.call(operation, **parameters)
        except SettingFailed:
            if not self.landed((yield from self.read(target)), change):
                raise

    def verify(self, target: Target, change: Change) -> Steps[None]:
        """Read until the value shows: reads are some seconds behind writes."""
        for pause in paces(self.patience_seconds):
            if self.landed((yield from self.read(target)), change):
                return
            yield pause
        raise SettingFailed(
            f"AWS accepted {change.what}, but does not show it after {in_words(self.patience_seconds)}.",
            "Run again.",
            table=target.name,
        )


def part_of(change: Change) -> str:
    """The part of a setting in ``change.what``; "" for the whole."""
    return change.what.partition(".")[2]


def what(name: str, part: str) -> str:
    """The ``what`` of a change of ``part`` of the setting ``name``."""
    return f"{name}.{part}" if part else name


def pages(
    caller: Caller, operation: str, result: str, service: str = "dynamodb", **parameters: Any
) -> Steps[list[Any]]:
    """All entries of a paged list call; a page with a token may be empty (measured/settings 2.6)."""
    entries: list[Any] = []
    token: Shape = {}
    while True:
        answer = yield from caller.call(operation, service=service, **parameters, **token)
        entries += answer.get(result, [])
        if not answer.get("NextToken"):
            return entries
        token = {"NextToken": answer["NextToken"]}


def split(entries: Iterable[Change | NotCarried]) -> tuple[list[Change], list[NotCarried]]:
    """The changes, and what is not carried."""
    both = list(entries)
    return [entry for entry in both if isinstance(entry, Change)], [
        entry for entry in both if isinstance(entry, NotCarried)
    ]


def differing(source: Mapping[str, Any], destination: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(part, before, after) for each part of ``source`` that ``destination`` has too, with another value."""
    for part, after in source.items():
        if part in destination and destination[part] != after:
            yield part, destination[part], after
