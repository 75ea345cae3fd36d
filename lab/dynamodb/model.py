# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lab keeps of a table: one record for each setting, none of which calls anything.

Lifecycles are driven from outside (``registry``, ``tables``, ``indexes`` and the settings' modules) by the world's
agenda; these records only hold the current state. Times are epoch seconds of the world's clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from lab.clock import Event, Timings
from lab.dynamodb.store import TableStore
from lab.partitions import partition_of

Shape = dict[str, Any]  # a structure of the API, with AWS's own member names
BillingMode = Literal["PROVISIONED", "PAY_PER_REQUEST"]
Origin = Literal["create", "import", "restore"]
# What may be under way on a table; indexes add theirs (measured/settings 2.2, measured/indexes-capacity 2).
JobKind = Literal["throughput", "to_provisioned", "to_on_demand", "stream", "class", "encryption", "warm"]

ON_DEMAND_WARM = {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000}


@dataclass
class Job:
    """What AWS is still doing to the table. ``updating``: TableStatus shows it; ``target`` is the new value."""

    kind: JobKind
    updating: bool
    target: Any
    event: Event | None = None


@dataclass
class Throughput:
    """Provisioned capacity of a table or index, 0/0 on demand, and the times of its accepted decreases."""

    read: int = 0
    write: int = 0
    decreases: list[float] = field(default_factory=list)
    last_decrease: float | None = None
    last_increase: float | None = None
    # A decrease that runs is dated already, but counted only once it is done (measured/more 6 [TABLE-184]).
    uncounted: int = 0

    @classmethod
    def of(cls, shape: Shape | None) -> Throughput:
        """From ``ProvisionedThroughput`` or its absence."""
        shape = shape or {}
        return cls(shape.get("ReadCapacityUnits", 0), shape.get("WriteCapacityUnits", 0))

    def decreases_today(self, now: float, timings: Timings) -> int:
        """NumberOfDecreasesToday: since midnight UTC; a scaled world has shorter days."""
        day = timings.seconds("throughput.day")
        return sum(each // day == now // day for each in self.decreases) if day else 0


@dataclass
class Warm:
    """Warm throughput: what holds, and what is being reached (None: nothing)."""

    units: Shape
    target: Shape | None = None
    raised: bool = False
    event: Event | None = None


@dataclass
class Index:
    """A secondary index. The API shows no status of local ones. ``backfilling`` None: the member is absent."""

    name: str
    arn: str
    kind: Literal["global", "local"]
    key_schema: list[Shape]
    projection: Shape
    throughput: Throughput = field(default_factory=Throughput)
    on_demand: Shape = field(default_factory=dict)
    warm: Warm = field(default_factory=lambda: Warm(dict(ON_DEMAND_WARM)))
    status: Literal["CREATING", "UPDATING", "DELETING", "ACTIVE"] = "CREATING"
    backfilling: bool | None = None
    pending_on_demand: Shape | None = None
    event: Event | None = None

    @property
    def is_global(self) -> bool:
        """Whether it is a global secondary index."""
        return self.kind == "global"

    @property
    def key_attributes(self) -> list[str]:
        """Names of the key attributes, hash keys first."""
        return [key["AttributeName"] for key in self.key_schema]


@dataclass
class Billing:
    """Billing mode and the table's capacity. ``switched_to_on_demand`` is LastUpdateToPayPerRequestDateTime."""

    mode: BillingMode
    throughput: Throughput
    on_demand: Shape
    warm: Warm
    switched_to_on_demand: float | None = None
    # -1 of an OnDemandThroughput is still shown until this moment, then omitted (measured/indexes-capacity 3).
    clearing_until: float = 0.0


@dataclass
class TableClass:
    """``shown``: TableClassSummary is present; ``changes`` are the times of real changes (two in 30 days)."""

    value: Literal["STANDARD", "STANDARD_INFREQUENT_ACCESS"] = "STANDARD"
    shown: bool = False
    changes: list[float] = field(default_factory=list)
    updated_at: float | None = None


@dataclass
class Tags:
    """``current`` is what holds, ``readable`` what ListTagsOfResource shows; ``in_flight`` locks writes until then."""

    current: dict[str, str] = field(default_factory=dict)
    readable: dict[str, str] = field(default_factory=dict)
    in_flight: Shape | None = None
    locked: bool = False


@dataclass
class Stream:
    """One stream of a table; a table gathers one for each time it is turned on."""

    arn: str
    label: str
    view_type: str
    status: Literal["ENABLING", "ENABLED", "DISABLING", "DISABLED"]
    table_name: str
    key_schema: list[Shape]
    created_at: float
    tagging: Tags = field(default_factory=Tags)


@dataclass
class Encryption:
    """``type`` None is the AWS-owned key. ``shown`` replaces SSEDescription while a change runs."""

    type: Literal["KMS"] | None = None
    key_arn: str = ""
    status: Literal["ENABLED", "UPDATING"] = "ENABLED"
    changes: list[float] = field(default_factory=list)
    shown: Shape | None = None

    def description(self) -> Shape | None:
        """SSEDescription; None where DescribeTable has none (the AWS-owned key)."""
        if self.shown is not None:
            return dict(self.shown)
        if self.type is None:
            return None
        return {"Status": self.status, "SSEType": self.type, "KMSMasterKeyArn": self.key_arn}


@dataclass
class DeletionProtection:
    """The switch, and when it was last flipped."""

    enabled: bool = False
    flipped_at: float = -math.inf


@dataclass
class PointInTimeRecovery:
    """PITR of one table. ``window_days`` is RecoveryPeriodInDays."""

    timings: Timings
    enabled: bool = False
    enabled_at: float = 0.0
    window_days: int = 35

    def earliest(self, now: float) -> float:
        """EarliestRestorableDateTime at ``now``."""
        return max(self.enabled_at, now - self.window_days * 86400)

    def latest(self, now: float) -> float:
        """LatestRestorableDateTime: pinned to the enable time, then trailing (measured/settings 2.5)."""
        return max(self.enabled_at, now - self.timings.seconds("pitr.latest_lag"))


@dataclass
class PolicySlot:
    """The resource policy of one ARN: what was written, what Get shows, and what is enforced. Each may lag."""

    document: str | None = None
    revision: str = ""
    changed_at: float = -math.inf
    readable_document: str | None = None
    readable_revision: str = ""
    enforced: str | None = None
    ever_written: bool = False


@dataclass
class TimeToLive:
    """``changed_at`` starts the cooldown."""

    swept_at: float = float("-inf")

    attribute: str | None = None
    changed_at: float = -math.inf


@dataclass
class Insights:
    """Contributor Insights of a table or of one of its indexes."""

    status: Literal["ENABLING", "ENABLED", "DISABLING", "DISABLED", "FAILED"] = "DISABLED"
    mode: str | None = None
    updated_at: float | None = None
    failure: Shape | None = None
    rules: int = 0
    stamp: str = ""  # ends the names of the rules of one enabling


@dataclass
class KinesisDestination:
    """One entry of DescribeKinesisStreamingDestination. ``precision`` None means MILLISECOND."""

    stream_arn: str
    status: Literal["ENABLING", "ACTIVE", "DISABLING", "DISABLED", "ENABLE_FAILED", "UPDATING"] = "ENABLING"
    description: str = ""
    precision: str | None = None


@dataclass(eq=False)
class Table:
    """One table. ``active_at`` is infinite while nobody knows (an import), ``deleting_at`` None until DeleteTable.

    ``indexes`` holds global and local ones by name, in the order given. ``backfill`` is True where the items were there
    before the index.
    """

    account: str
    region: str
    name: str
    table_id: str
    created_at: float
    origin: Origin
    key_schema: list[Shape]
    attribute_definitions: list[Shape]
    billing: Billing
    store: TableStore
    pitr: PointInTimeRecovery
    indexes: dict[str, Index] = field(default_factory=dict)
    vector_indexes: list[Shape] = field(default_factory=list)
    active_at: float = math.inf
    deleting_at: float | None = None
    gone: bool = False
    table_class: TableClass = field(default_factory=TableClass)
    streams: list[Stream] = field(default_factory=list)
    stream_specification: Shape | None = None
    encryption: Encryption = field(default_factory=Encryption)
    protection: DeletionProtection = field(default_factory=DeletionProtection)
    tagging: Tags = field(default_factory=Tags)
    policies: dict[str, PolicySlot] = field(default_factory=dict)
    ttl: TimeToLive = field(default_factory=TimeToLive)
    insights: dict[str, Insights] = field(default_factory=dict)
    kinesis: dict[str, KinesisDestination] = field(default_factory=dict)
    jobs: dict[JobKind, Job] = field(default_factory=dict)
    # Item count and bytes as DescribeTable last learnt them, and when (measured/import-export-table 1.7).
    counted: tuple[float, int, int] = (0.0, 0, 0)
    # RestoreSummary of a restore's target, until it is ACTIVE.
    restore_summary: Shape | None = None
    # Capacity as of the creation, by index name, the table's own under "".
    first_capacity: dict[str, Shape] = field(default_factory=dict)
    # Jobs of AWS Backup that are reading the table.
    backups_running: int = 0

    @property
    def arn(self) -> str:
        """The table's ARN."""
        return f"arn:{partition_of(self.region)}:dynamodb:{self.region}:{self.account}:table/{self.name}"

    @property
    def tags(self) -> dict[str, str]:
        """The tags that hold, readable or not yet."""
        return self.tagging.current

    @property
    def deletion_protection(self) -> bool:
        """Whether DeleteTable is refused."""
        return self.protection.enabled

    @property
    def sse(self) -> Encryption:
        """Encryption at rest: ``type`` (None: the AWS-owned key), ``key_arn``, ``status``."""
        return self.encryption

    @property
    def billing_mode(self) -> BillingMode:
        """Billing mode, the target one while a switch runs (measured/indexes-capacity 3)."""
        return self.billing.mode

    @property
    def key_attributes(self) -> list[str]:
        """Names of the key attributes, the hash key first."""
        return [key["AttributeName"] for key in self.key_schema]

    @property
    def global_indexes(self) -> list[Index]:
        """The global secondary indexes, in order."""
        return [index for index in tuple(self.indexes.values()) if index.is_global]

    @property
    def local_indexes(self) -> list[Index]:
        """The local secondary indexes, in order."""
        return [index for index in tuple(self.indexes.values()) if not index.is_global]

    def status(self, now: float) -> Literal["CREATING", "UPDATING", "DELETING", "ACTIVE"]:
        """TableStatus at ``now``."""
        if self.deleting_at is not None:
            return "DELETING"
        if now < self.active_at:
            return "CREATING"
        # Snapshots: the data plane asks without the world's lock.
        changing = any(job.updating for job in tuple(self.jobs.values())) or any(
            index.status == "DELETING" or (index.status == "CREATING" and not index.backfilling)
            for index in self.global_indexes
        )
        return "UPDATING" if changing else "ACTIVE"

    def usable(self, now: float) -> bool:
        """Whether the data plane knows the table: ACTIVE or UPDATING."""
        return self.status(now) in ("ACTIVE", "UPDATING")

    def stream(self) -> Stream | None:
        """The latest stream, be it on or off."""
        return self.streams[-1] if self.streams else None

    def policy_enforced(self, arn: str = "") -> str | None:
        """The resource policy that binds callers now, of the table or of its stream ``arn``."""
        slot = self.policies.get(arn or self.arn)
        return slot.enforced if slot else None
