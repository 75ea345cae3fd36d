# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that AWS Backup holds, of all accounts and Regions, and how a request's ARNs lead to it."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from lab.backup.model import BackupJob, CopyJob, Job, Place, Plan, RecoveryPoint, RegionalName, RestoreJob, Vault
from lab.errors import AwsError
from lab.world import Context, World

_ARN = re.compile(
    r"arn:aws[a-z-]*:backup:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):(?P<kind>backup-vault|recovery-point|backup-plan)"
    r":(?P<name>[^:/]+)"
)


@dataclass
class RegionSettings:
    """Opt-in and advanced features by resource type."""

    opted_in: dict[str, bool]
    managed: dict[str, bool]


@dataclass
class GlobalSettings:
    """Settings of an organization. ``disabled_at``: cross-account backup still works until then."""

    values: dict[str, str]
    updated_at: float
    disabled_at: float = 0.0


@dataclass
class BackupRegistry:
    """AWS Backup's memory. ``tokens`` maps place, operation and token to the job made, or to the refusal given."""

    world: World
    vaults: dict[tuple[Place, str], Vault] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    backups: list[BackupJob] = field(default_factory=list)
    copies: list[CopyJob] = field(default_factory=list)
    restores: list[RestoreJob] = field(default_factory=list)
    regions: dict[Place, RegionSettings] = field(default_factory=dict)
    organizations: dict[str, GlobalSettings] = field(default_factory=dict)
    tokens: dict[tuple[Place, str, str], Job | AwsError] = field(default_factory=dict)

    def vault(self, place: Place, name: str) -> Vault | None:
        """The vault of that name, or None."""
        return self.vaults.get((place, name))

    def vault_by_arn(self, arn: str) -> Vault | None:
        """The vault that ``arn`` names, or None."""
        parsed = parse_arn(arn)
        if parsed is None or parsed.kind != "backup-vault":
            return None
        return self.vault(Place(parsed.account, parsed.region), parsed.name)

    def vaults_of(self, place: Place) -> list[Vault]:
        """The vaults of an account and Region, by name."""
        return sorted(
            (vault for (where, _), vault in self.vaults.items() if where == place), key=lambda each: each.name
        )

    def point(self, arn: str) -> RecoveryPoint | None:
        """The recovery point of that ARN, in whatever vault, or None."""
        return next((vault.points[arn] for vault in self.vaults.values() if arn in vault.points), None)

    def items_file(self) -> Path:
        """A file for the items of a new snapshot."""
        return self.world.data_directory / "backup" / f"{self.new_id()}.jsonl"

    def new_id(self) -> str:
        """A new id, as jobs and recovery points have them."""
        return str(uuid.UUID(int=self.world.random.getrandbits(128), version=4)).upper()


def backups(context: Context) -> BackupRegistry:
    """AWS Backup's memory in the world that ``context`` belongs to."""
    return registry_of(context.world)


def registry_of(world: World) -> BackupRegistry:
    """AWS Backup's memory in ``world``."""
    return world.part(BackupRegistry)


def here(context: Context) -> Place:
    """The caller's account and the request's Region."""
    return Place(context.account_id, context.region)


def parse_arn(arn: str) -> RegionalName | None:
    """The parts of an ARN of AWS Backup; None for any other text."""
    match = _ARN.fullmatch(arn)
    return RegionalName(match["account"], match["region"], match["kind"], match["name"]) if match else None
