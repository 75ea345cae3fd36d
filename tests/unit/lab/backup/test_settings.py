# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of Regions and of the organization."""

from __future__ import annotations

from typing import Any

import pytest

from lab.backup import settings
from lab.errors import AwsError


def managed(side: Any) -> dict[str, bool]:
    answer: dict[str, bool] = side.backup("DescribeRegionSettings")["ResourceTypeManagementPreference"]
    return answer


def test_region_settings_known_types(company: Any) -> None:
    company.source.denied(
        settings.KNOWN_TYPES, "InvalidParameterValueException", "Mainframe", "UpdateRegionSettings",
        ResourceTypeOptInPreference={"Mainframe": True},
    )  # fmt: skip
    described = company.outside.backup("DescribeRegionSettings")
    assert set(described["ResourceTypeOptInPreference"]) == set(settings.RESOURCE_TYPES)
    assert managed(company.outside) == {"DynamoDB": False, "EFS": True}
    assert "DynamoDB" in company.source.backup("GetSupportedResourceTypes")["ResourceTypes"]


@pytest.mark.parametrize(("choice", "left"), [("merge", True), ("reset", False)])
def test_region_settings_partial_map(company: Any, choice: str, left: bool) -> None:
    company.behaviours.choose("backup.partial_region_settings", choice)
    company.outside.backup("UpdateRegionSettings", ResourceTypeManagementPreference={"DynamoDB": True})
    assert managed(company.outside) == {"DynamoDB": True, "EFS": left}


def test_region_settings_need_describe(company: Any) -> None:
    may = {"Effect": "Allow", "Action": "backup:UpdateRegionSettings", "Resource": "*"}
    with pytest.raises(AwsError, match="backup:DescribeRegionSettings"):
        company.source.as_user(may).backup("UpdateRegionSettings", ResourceTypeOptInPreference={"DynamoDB": True})
    both = {**may, "Action": ["backup:UpdateRegionSettings", "backup:DescribeRegionSettings"]}
    company.source.as_user(both).backup("UpdateRegionSettings", ResourceTypeOptInPreference={"DynamoDB": True})


def test_global_settings_outside(company: Any) -> None:
    for code in ("ERROR_9601", "InvalidRequestException"):
        company.behaviours.choose("backup.outside_organization", code)
        company.outside.denied(settings.OUTSIDE, code, "not a member of an organization", "DescribeGlobalSettings")
    shown = company.destination.backup("DescribeGlobalSettings")["GlobalSettings"]
    assert shown["isCrossAccountBackupEnabled"] == "true"


def test_global_settings_management_only(company: Any) -> None:
    changes = {"isCrossAccountBackupEnabled": "false"}
    company.source.denied(
        settings.MANAGEMENT_ONLY, "InvalidRequestException", "management account", "UpdateGlobalSettings",
        GlobalSettings=changes,
    )  # fmt: skip
    company.management.backup("UpdateGlobalSettings", GlobalSettings=changes)
    assert company.source.backup("DescribeGlobalSettings")["GlobalSettings"]["isCrossAccountBackupEnabled"] == "false"


@pytest.mark.parametrize("changes", [{"isCrossAccountMonitoringEnabled": "true"}, {"isMpaEnabled": "yes"}])
def test_global_settings_known(company: Any, changes: dict[str, str]) -> None:
    company.management.denied(
        settings.KNOWN_SETTINGS, "InvalidParameterValueException", next(iter(changes)), "UpdateGlobalSettings",
        GlobalSettings=changes,
    )  # fmt: skip


def test_cross_account_disabled_late(company: Any) -> None:
    point = company.point()
    company.management.backup("UpdateGlobalSettings", GlobalSettings={"isCrossAccountBackupEnabled": "false"})
    assert company.source.copied(point, company.destination.vault_arn)["State"] == "COMPLETED"
    company.source.wait(900)
    job = company.source.copied(point, company.destination.vault_arn)
    assert (job["State"], "not enabled" in job["StatusMessage"]) == ("FAILED", True)
