# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recovery points."""

from __future__ import annotations

from typing import Any

import pytest

from lab.backup import recovery_points
from tests.unit.lab.backup.conftest import ROLE, SOURCE, TRUST

FERRY = {"BackupVaultName": "ferry"}


def status(side: Any, point: str) -> Any:
    return side.backup("DescribeRecoveryPoint", **FERRY, RecoveryPointArn=point)["Status"]


def gone(side: Any, point: str) -> None:
    side.denied(
        recovery_points.FOUND, "ResourceNotFoundException", point, "DescribeRecoveryPoint", **FERRY,
        RecoveryPointArn=point,
    )  # fmt: skip


def test_recovery_point_not_found(company: Any) -> None:
    point = company.point()
    gone(company.source, f"{point}x")
    gone(company.destination, point)


@pytest.mark.parametrize("word", ["COMPLETED", "AVAILABLE"])
def test_recovery_point_status(company: Any, word: str) -> None:
    company.behaviours.choose("backup.finished_point", word)
    started = company.source.start_backup()
    company.source.wait(60)
    assert status(company.source, started["RecoveryPointArn"]) == "CREATING"
    company.source.wait(200)
    assert status(company.source, started["RecoveryPointArn"]) == word
    copied = company.source.copied(started["RecoveryPointArn"], company.destination.vault_arn)
    assert status(company.destination, copied["DestinationRecoveryPointArn"]) == word


def test_recovery_point_deleted_late(company: Any) -> None:
    point = company.point()
    company.source.backup("DeleteRecoveryPoint", **FERRY, RecoveryPointArn=point)
    assert status(company.source, point) == "DELETING"
    company.source.wait(15)
    gone(company.source, point)
    company.source.backup("DeleteBackupVault", **FERRY)


def test_recovery_point_without_its_role(company: Any) -> None:
    point = company.point()
    role = company.world.identity.roles.pop((SOURCE, ROLE))
    company.source.backup("DeleteRecoveryPoint", **FERRY, RecoveryPointArn=point)
    company.source.wait(60)
    assert status(company.source, point) == "EXPIRED"
    company.world.identity.add_role(SOURCE, ROLE, TRUST, attached=tuple(role.attached))
    company.source.backup("DeleteRecoveryPoint", **FERRY, RecoveryPointArn=point)
    company.source.wait(60)
    gone(company.source, point)


def test_recovery_point_in_locked_vault(company: Any) -> None:
    point = company.point(Lifecycle={"DeleteAfterDays": 7})
    company.source.backup("PutBackupVaultLockConfiguration", **FERRY, MinRetentionDays=7)
    company.source.denied(
        recovery_points.LOCKED, "InvalidRequestException", "locked", "DeleteRecoveryPoint", **FERRY,
        RecoveryPointArn=point,
    )  # fmt: skip
    company.source.denied(
        recovery_points.LOCKED, "InvalidRequestException", "valid range", "UpdateRecoveryPointLifecycle", **FERRY,
        RecoveryPointArn=point, Lifecycle={"DeleteAfterDays": 1},
    )  # fmt: skip
    company.source.wait(7 * 86400)
    gone(company.source, point)


def test_recovery_point_expires(company: Any) -> None:
    point = company.point(Lifecycle={"DeleteAfterDays": 2})
    shown = company.source.backup("DescribeRecoveryPoint", **FERRY, RecoveryPointArn=point)
    assert shown["CalculatedLifecycle"]["DeleteAt"] == shown["CreationDate"] + 2 * 86400
    company.source.wait(86400)
    copied = company.source.copied(point, company.destination.vault_arn)["DestinationRecoveryPointArn"]
    company.source.wait(86400)
    gone(company.source, point)
    gone(company.destination, copied)


def test_lifecycle_can_be_changed(company: Any) -> None:
    point = company.point(Lifecycle={"DeleteAfterDays": 2})
    changed = company.source.backup(
        "UpdateRecoveryPointLifecycle", **FERRY, RecoveryPointArn=point, Lifecycle={"DeleteAfterDays": 4}
    )
    assert changed["Lifecycle"] == {"DeleteAfterDays": 4}
    company.source.wait(3 * 86400)
    assert status(company.source, point) == "COMPLETED"
    company.source.wait(86400)
    gone(company.source, point)


def test_lifecycle_sound(company: Any) -> None:
    with pytest.raises(Exception, match="90 days apart"):
        company.source.start_backup(Lifecycle={"MoveToColdStorageAfterDays": 10, "DeleteAfterDays": 99})
    assert company.point(Lifecycle={"MoveToColdStorageAfterDays": 10, "DeleteAfterDays": 100})
    assert company.point(Lifecycle={"MoveToColdStorageAfterDays": -1, "DeleteAfterDays": -1})


def test_recovery_point_in_use(company: Any) -> None:
    point = company.point()
    company.source.start_copy(point, company.destination.vault_arn)
    company.source.wait(60)
    company.source.denied(
        recovery_points.BUSY, "InvalidResourceStateException", "in use", "DeleteRecoveryPoint", **FERRY,
        RecoveryPointArn=point,
    )  # fmt: skip


def test_restore_metadata_read(company: Any) -> None:
    copy = company.copy()
    read = company.destination.backup("GetRecoveryPointRestoreMetadata", **FERRY, RecoveryPointArn=copy)
    with pytest.raises(Exception, match="originaltablename"):
        company.destination.start_restore(copy, Metadata={**read["RestoreMetadata"], "targetTableName": "tbl"})


def test_recovery_points_listed(company: Any) -> None:
    first = company.point()
    second = company.point()
    listed = company.source.backup("ListRecoveryPointsByBackupVault", **FERRY)["RecoveryPoints"]
    assert [each["RecoveryPointArn"] for each in listed] == [second, first]
    before = {"ByCreatedBefore": listed[0]["CreationDate"]}
    older = company.source.backup("ListRecoveryPointsByBackupVault", **FERRY, **before)["RecoveryPoints"]
    assert [each["RecoveryPointArn"] for each in older] == [first]
    by_resource = company.source.backup("ListRecoveryPointsByResource", ResourceArn=listed[0]["ResourceArn"])
    assert [each["RecoveryPointArn"] for each in by_resource["RecoveryPoints"]] == [second, first]
    assert company.source.backup("DescribeBackupVault", **FERRY)["NumberOfRecoveryPoints"] == 2
