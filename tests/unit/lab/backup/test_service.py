# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Permissions of AWS Backup's operations."""

from __future__ import annotations

from typing import Any

import pytest

from lab.errors import AwsError
from tests.unit.lab.backup.conftest import REGION, SOURCE

FERRY = {"BackupVaultName": "ferry"}


def test_permission_per_resource(company: Any) -> None:
    point = company.point()
    vault = company.source.vault_arn
    plan = f"arn:aws:backup:{REGION}:{SOURCE}:backup-plan:p"
    for operation, params, resource in (
        ("DescribeBackupVault", FERRY, vault),
        ("ListRecoveryPointsByBackupVault", FERRY, vault),
        ("DescribeRecoveryPoint", {**FERRY, "RecoveryPointArn": point}, point),
        ("ListTags", {"ResourceArn": point}, point),
        ("ListTags", {"ResourceArn": vault}, vault),
        ("ListBackupJobs", {}, "*"),
        ("DescribeRegionSettings", {}, "*"),
    ):
        may = {"Effect": "Allow", "Action": f"backup:{operation}", "Resource": resource}
        company.source.as_user(may).backup(operation, **params)
        elsewhere = {**may, "Resource": "arn:aws:backup:eu-west-1:111111111111:backup-vault:other"}
        with pytest.raises(AwsError, match=f"backup:{operation}"):
            company.source.as_user(elsewhere).backup(operation, **params)
    with pytest.raises(AwsError, match=plan):
        company.source.as_user().backup("GetBackupPlan", BackupPlanId="p")
