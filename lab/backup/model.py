# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lab keeps of AWS Backup: vaults, recovery points, jobs, plans. Records only, none of which calls anything.

Times are epoch seconds of the world's clock. ``Shape`` is a structure of the API with AWS's own member names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from lab.clock import Event
from lab.dynamodb.model import Table
from lab.dynamodb.snapshots import Snapshot
from lab.faults import Fault
from lab.partitions import partition_of
from lab.world import Context

Shape = dict[str, Any]
DAY_SECONDS = 86400
VaultType = Literal["BACKUP_VAULT", "LOGICALLY_AIR_GAPPED_BACKUP_VAULT"]
AIR_GAPPED: VaultType = "LOGICALLY_AIR_GAPPED_BACKUP_VAULT"


class Place(NamedTuple):
    """An account and a Region."""

    account: str
    region: str


class RegionalName(NamedTuple):
    """The parts of an ARN of AWS Backup: ``kind`` is ``backup-vault``, ``recovery-point`` or ``backup-plan``."""

    account: str
    region: str
    kind: str
    name: str


@dataclass
class Lock:
    """A vault lock: bounds of the retention in days, and when it can no longer be changed (None: it always can)."""

    min_days: int | None = None
    max_days: int | None = None
    immutable_at: float | None = None


@dataclass(eq=False)
class Vault:
    """A vault. ``key_arn`` is empty where an air-gapped vault is under an AWS-owned key."""

    place: Place
    name: str
    created_at: float
    key_arn: str
    type: VaultType = "BACKUP_VAULT"
    state: Literal["CREATING", "AVAILABLE", "FAILED"] = "AVAILABLE"
    creator_request_id: str = ""
    policy: str | None = None
    lock: Lock | None = None
    tags: dict[str, str] = field(default_factory=dict)
    points: dict[str, RecoveryPoint] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """The vault's ARN."""
        region, account = self.place.region, self.place.account
        return f"arn:{partition_of(region)}:backup:{region}:{account}:backup-vault:{self.name}"


@dataclass(eq=False)
class RecoveryPoint:
    """A recovery point. ``snapshot`` None: nothing is in it yet. ``fully_managed``: made with advanced features.

    ``created_at`` is the moment of the data, which copies keep; ``completed_at`` None while its job runs.
    """

    arn: str
    vault: Vault
    resource_arn: str
    created_at: float
    role_arn: str
    fully_managed: bool
    lifecycle: Shape
    initiated_at: float
    status: Literal["CREATING", "COMPLETED", "AVAILABLE", "PARTIAL", "DELETING", "EXPIRED"] = "CREATING"
    status_message: str = ""
    completed_at: float | None = None
    snapshot: Snapshot | None = None
    source_vault_arn: str = ""
    created_by: Shape = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    restored_at: float | None = None
    expiry: Event | None = None

    @property
    def delete_at(self) -> float | None:
        """When its retention ends; None: never."""
        days = self.lifecycle.get("DeleteAfterDays", -1)
        return None if days < 0 else self.created_at + days * DAY_SECONDS

    @property
    def finished(self) -> bool:
        """Whether it can be copied and restored."""
        return self.status in ("COMPLETED", "AVAILABLE")


@dataclass(eq=False)
class Job:
    """What backup, copy and restore jobs share. ``context`` is the request's, or that of the plan that made it.

    ``waiting`` starts a job that could not start because another of its resource ran.
    """

    context: Context
    id: str
    created_at: float
    request: Shape
    role_arn: str
    resource_arn: str
    state: str = "CREATED"
    message: str = ""
    started_at: float | None = None
    completed_at: float | None = None
    size_bytes: int = 0
    created_by: Shape = field(default_factory=dict)
    planned: Fault | None = None
    waiting: Callable[[], None] | None = None

    @property
    def place(self) -> Place:
        """Account and Region in which it runs."""
        return Place(self.context.account_id, self.context.region)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("COMPLETED", "FAILED", "EXPIRED", "ABORTED", "PARTIAL")

    @property
    def running(self) -> bool:
        """Whether it holds its resource."""
        return self.state in ("RUNNING", "ABORTING")


@dataclass(eq=False)
class BackupJob(Job):
    """A backup. ``point`` is there once it runs; ``copies`` are the copy actions of its plan's rule.

    ``category`` is its MessageCategory where that is not the usual one.
    """

    vault: Vault = field(kw_only=True)
    start_by: float = field(kw_only=True)
    fully_managed: bool = field(kw_only=True)
    point_arn: str = ""
    point: RecoveryPoint | None = None
    table: Table | None = None
    category: str = ""
    copies: tuple[Shape, ...] = ()


@dataclass(eq=False)
class CopyJob(Job):
    """A copy. ``copy_arn`` is the destination's recovery point, once there is one."""

    source: RecoveryPoint = field(kw_only=True)
    copy_arn: str = ""
    backup_job_id: str = ""


@dataclass(eq=False)
class RestoreJob(Job):
    """A restore. ``table`` is there once it runs."""

    point: RecoveryPoint = field(kw_only=True)
    state: str = "PENDING"
    table: Table | None = None


@dataclass(eq=False)
class Selection:
    """What a plan backs up, and with which role."""

    id: str
    created_at: float
    creator_request_id: str
    content: Shape


@dataclass(eq=False)
class PlanVersion:
    """One version of a plan; ``content`` is the BackupPlan with its rules' ids."""

    id: str
    created_at: float
    content: Shape


@dataclass(eq=False)
class Plan:
    """A backup plan, its newest version last; ``runs`` are its rules' next runs by rule id."""

    place: Place
    id: str
    versions: list[PlanVersion]
    creator_request_id: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    selections: dict[str, Selection] = field(default_factory=dict)
    runs: dict[str, Event] = field(default_factory=dict)
    executed_at: float | None = None
    deleted_at: float | None = None

    @property
    def arn(self) -> str:
        """The plan's ARN."""
        region, account = self.place.region, self.place.account
        return f"arn:{partition_of(region)}:backup:{region}:{account}:backup-plan:{self.id}"

    @property
    def current(self) -> PlanVersion:
        """The version that runs."""
        return self.versions[-1]
