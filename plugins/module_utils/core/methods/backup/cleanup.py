# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removing the recovery points of a table, where that is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ...account import Account
from ...aws_errors import NO_RESOURCE
from ...change import Change, NotCarried
from ...errors import StillRunning
from ...table.definition import Shape
from ..options import VAULT
from .air_gapped import AIR_GAPPED
from .calls import MIGRATION_TAG, vault_arn
from .history import is_completed, is_open, list_copies
from .vaults import find_vault, list_vaults, read_recovery_point, read_tags

LOOK = 3.0  # seconds between looks at a recovery point that is being deleted


@dataclass(frozen=True)
class BackupCleanupOptions:
    """Whose recovery points, and where they are. They stay unless ``remove_recovery_points``; ``wait`` is seconds."""

    table: str
    vault: str = VAULT
    destination_vault: str = VAULT
    migration_id: str = "default"
    remove_recovery_points: bool = False
    wait: float = 300.0


@dataclass(frozen=True)
class Point:
    """A recovery point to remove; ``side`` says whose vault it lies in."""

    side: str
    vault: str
    arn: str


@dataclass(frozen=True)
class BackupCleanupPlan:
    """What goes and what stays, with the reason."""

    points: tuple[Point, ...]
    changes: list[Change]
    left: list[NotCarried]


def plan_backup_cleanup(source: Account, destination: Account, options: BackupCleanupOptions) -> BackupCleanupPlan:
    """What cleaning up would remove; reads only.

    Recovery points are ours by their tag, copies by their copy job or their tag. What lies in an air-gapped vault
    cannot be deleted before it expires, and is listed. Raises StillRunning while a job works on one, AccessDenied,
    CredentialsError, ServiceError.
    """
    arn = source.table_arn(options.table)
    copies = list_copies(source, arn, vault_arn(destination, options.destination_vault))
    running = next((copy for copy in copies if is_open(copy)), None)
    if running is not None:
        raise StillRunning(
            f"The copy {running['CopyJobId']} is still running.",
            "Wait for it to end, then clean up.",
            table=options.table,
        )
    here = _ours(source, options.vault, arn, options.migration_id, ())
    originals = {str(point["RecoveryPointArn"]) for point in here}
    made = {
        str(copy.get("DestinationRecoveryPointArn"))
        for copy in copies
        if is_completed(copy) and copy.get("SourceRecoveryPointArn") in originals
    }
    there = _ours(destination, options.destination_vault, arn, options.migration_id, made)
    points: list[Point] = []
    changes: list[Change] = []
    left: list[NotCarried] = _air_gapped(source, arn, options.migration_id)
    for side, vault, in_vault in (
        ("destination", options.destination_vault, there),
        ("source", options.vault, here),
    ):
        for point in in_vault:
            what = f"recovery point {point['RecoveryPointArn']} in the {side}'s vault {vault}"
            if not options.remove_recovery_points:
                left.append(NotCarried(what, f"kept{_until(point)}; AWS charges for it until then"))
                continue
            before = {"created": point.get("CreationDate", ""), "bytes": int(point.get("BackupSizeInBytes") or 0)}
            changes.append(Change(what, before, None, "destructive"))
            points.append(Point(side, vault, str(point["RecoveryPointArn"])))
    return BackupCleanupPlan(tuple(points), changes, left)


def _ours(account: Account, vault: str, table_arn: str, migration_id: str, known: Iterable[str]) -> list[Shape]:
    """The recovery points of the table in a vault that are of this migration."""
    if find_vault(account, vault) is None:
        return []
    points = account.pages(
        "backup",
        "list_recovery_points_by_backup_vault",
        "RecoveryPoints",
        f"listing recovery points of {vault}",
        BackupVaultName=vault,
        ByResourceArn=table_arn,
    )
    known = set(known)
    return [
        point
        for point in points
        if point["RecoveryPointArn"] in known
        or read_tags(account, point["RecoveryPointArn"]).get(MIGRATION_TAG) == migration_id
    ]


def _air_gapped(source: Account, table_arn: str, migration_id: str) -> list[NotCarried]:
    return [
        NotCarried(
            f"recovery point {point['RecoveryPointArn']} in the air-gapped vault {vault.name}",
            f"nobody can delete it before it expires{_until(point)}",
        )
        for vault in list_vaults(source)
        if vault.kind == AIR_GAPPED
        for point in _ours(source, vault.name, table_arn, migration_id, ())
    ]


def _until(point: Shape) -> str:
    day = str((point.get("CalculatedLifecycle") or {}).get("DeleteAt", ""))[:10]
    return f", until {day}" if day else ", without end: it has no lifecycle"


def apply_backup_cleanup(
    source: Account,
    destination: Account,
    options: BackupCleanupOptions,
    plan: BackupCleanupPlan,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Delete the recovery points of ``plan`` and wait until they are gone: {recovery_points_removed, left}.

    AWS answers 200 to a deletion that it cannot carry out, as without the role that made the point; the point is then
    EXPIRED and still billed (aws.md C3). Raises AccessDenied, CredentialsError, ServiceError.
    """
    accounts = {"source": source, "destination": destination}
    for point in plan.points:
        account = accounts[point.side]
        account.ask(
            "backup",
            "delete_recovery_point",
            f"deleting the recovery point {point.arn}",
            options.table,
            missing=NO_RESOURCE,
            BackupVaultName=point.vault,
            RecoveryPointArn=point.arn,
        )
    end = clock() + options.wait
    open_points = dict.fromkeys(plan.points, "")
    while open_points:
        for point in list(open_points):
            description = read_recovery_point(accounts[point.side], point.vault, point.arn)
            open_points[point] = str((description or {}).get("Status", ""))
            if description is None:
                del open_points[point]
        if not open_points or clock() >= end or all(status == "EXPIRED" for status in open_points.values()):
            break
        sleep(LOOK)
    left = [
        NotCarried(
            f"recovery point {point.arn} in the {point.side}'s vault {point.vault}",
            f"AWS accepted its deletion, but it is {status}: the role that made it must exist and be allowed to delete",
        )
        for point, status in open_points.items()
    ]
    return {"recovery_points_removed": len(plan.points) - len(left), "left": left}
