# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup plans, selections, and their runs."""

from __future__ import annotations

from typing import Any

import pytest

from lab.backup import plans
from lab.errors import AwsError
from tests.unit.lab.backup.conftest import DESTINATION, DONE, REGION, TABLE, policy

DAY = 86400
TARGET = f"arn:aws:backup:{REGION}:{DESTINATION}:backup-vault:ferry"


def plan(company: Any, name: str = "ferry", **rule: Any) -> str:
    """Id of a new plan of one rule."""
    content = {"BackupPlanName": name, "Rules": [{"RuleName": "daily", "TargetBackupVaultName": "ferry", **rule}]}
    return str(company.source.backup("CreateBackupPlan", BackupPlan=content)["BackupPlanId"])


def select(company: Any, plan_id: str, **content: Any) -> str:
    """Id of a new selection."""
    selection = {"SelectionName": "tables", "IamRoleArn": company.source.role_arn, **content}
    made = company.source.backup("CreateBackupSelection", BackupPlanId=plan_id, BackupSelection=selection)
    return str(made["SelectionId"])


def run_next(company: Any, plan_id: str) -> None:
    """Let time pass until the plan's next run."""
    shown = company.source.backup("GetBackupPlan", BackupPlanId=plan_id, MaxScheduledRunsPreview=1)
    company.source.wait(shown["ScheduledRunsPreview"][0]["ExecutionTime"] - company.world.clock.now() + 1)


def backups(company: Any) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = company.source.backup("ListBackupJobs")["BackupJobs"]
    return jobs


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"TargetBackupVaultName": "none"}, "none does not exist"),
        ({"ScheduleExpression": "rate(1 day)"}, "Schedule expression is not valid"),
        ({"ScheduleExpression": "cron(61 5 ? * * *)"}, "Schedule expression is not valid"),
        ({"ScheduleExpressionTimezone": "Europe/Atlantis"}, "Atlantis"),
        ({"StartWindowMinutes": 59}, "at least 60"),
        ({"CopyActions": [{"DestinationBackupVaultArn": TARGET}] * 6}, "at most 5 copy actions"),
        ({"CopyActions": [{"DestinationBackupVaultArn": "ferry"}]}, "Invalid backup vault ARN"),
        ({"Lifecycle": {"MoveToColdStorageAfterDays": 1, "DeleteAfterDays": 2}}, "90 days"),
    ],
)
def test_plan_sound(company: Any, rule: dict[str, Any], text: str) -> None:
    with pytest.raises(AwsError, match=f"InvalidParameterValueException: .*{text}"):
        plan(company, **rule)
    company.source.denied(
        plans.SOUND, "InvalidParameterValueException", "BackupPlanName", "CreateBackupPlan",
        BackupPlan={"BackupPlanName": "with blanks", "Rules": []},
    )  # fmt: skip


def test_plan_exists(company: Any) -> None:
    content = {"BackupPlanName": "ferry", "Rules": [{"RuleName": "daily", "TargetBackupVaultName": "ferry"}]}
    made = company.source.backup("CreateBackupPlan", BackupPlan=content, CreatorRequestId="one")
    assert company.source.backup("CreateBackupPlan", BackupPlan=content, CreatorRequestId="one") == made
    company.source.denied(
        plans.EXISTS, "AlreadyExistsException", "same plan document", "CreateBackupPlan", BackupPlan=content
    )
    assert plan(company, "other")


def test_plan_versions(company: Any) -> None:
    plan_id = plan(company)
    first = company.source.backup("GetBackupPlan", BackupPlanId=plan_id)
    assert first["BackupPlan"]["Rules"][0]["ScheduleExpression"] == "cron(0 5 ? * * *)"
    rules = [{"RuleName": "hourly", "TargetBackupVaultName": "ferry", "ScheduleExpression": "cron(30 * ? * * *)"}]
    company.source.backup(
        "UpdateBackupPlan", BackupPlanId=plan_id, BackupPlan={"BackupPlanName": "ferry", "Rules": rules}
    )
    second = company.source.backup("GetBackupPlan", BackupPlanId=plan_id)
    assert [rule["RuleName"] for rule in second["BackupPlan"]["Rules"]] == ["hourly"]
    assert second["VersionId"] != first["VersionId"]
    old = company.source.backup("GetBackupPlan", BackupPlanId=plan_id, VersionId=first["VersionId"])
    assert old["BackupPlan"] == first["BackupPlan"]
    versions = company.source.backup("ListBackupPlanVersions", BackupPlanId=plan_id)["BackupPlanVersionsList"]
    assert [each["VersionId"] for each in versions] == [first["VersionId"], second["VersionId"]]
    company.source.wait(
        3600 - company.source.world.clock.now() % 3600
    )  # to the full hour: one half past it is waited for
    select(company, plan_id, Resources=[TABLE])
    company.source.wait(3600 + 60)
    assert [job["CreatedBy"]["BackupRuleName"] for job in backups(company)] == ["hourly"]
    company.source.wait(DAY)
    assert {job["CreatedBy"]["BackupRuleName"] for job in backups(company)} == {"hourly"}


def test_plan_deleted_after_selections(company: Any) -> None:
    plan_id = plan(company)
    selection = select(company, plan_id, Resources=[TABLE])
    listed = company.source.backup("ListBackupSelections", BackupPlanId=plan_id)["BackupSelectionsList"]
    assert [(each["SelectionId"], each["SelectionName"]) for each in listed] == [(selection, "tables")]
    company.source.denied(
        plans.DELETED, "InvalidRequestException", "selections must be deleted", "DeleteBackupPlan", BackupPlanId=plan_id
    )
    company.source.backup("DeleteBackupSelection", BackupPlanId=plan_id, SelectionId=selection)
    company.source.backup("DeleteBackupPlan", BackupPlanId=plan_id)
    assert company.source.backup("ListBackupPlans")["BackupPlansList"] == []
    kept = company.source.backup("ListBackupPlans", IncludeDeleted=True)["BackupPlansList"]
    assert [each["BackupPlanId"] for each in kept] == [plan_id]
    company.source.wait(2 * DAY)
    assert backups(company) == []


def test_plan_runs_on_schedule(company: Any) -> None:
    company.source.table("other")
    plan_id = plan(company, RecoveryPointTags={"why": "moving"}, Lifecycle={"DeleteAfterDays": 9})
    select(company, plan_id, Resources=[TABLE, TABLE.replace("tbl", "other")])
    assert backups(company) == []
    run_next(company, plan_id)
    jobs = backups(company)
    assert sorted(job["ResourceName"] for job in jobs) == ["other", "tbl"]
    assert {int(job["CreationDate"]) % DAY for job in jobs} == {5 * 3600}
    assert jobs[0]["CreatedBy"]["BackupPlanId"] == plan_id
    assert len(company.world.request_log.jobs("backup")) == 2
    company.source.wait(DONE)
    assert {job["State"] for job in backups(company)} == {"COMPLETED"}
    point = backups(company)[0]["RecoveryPointArn"]
    shown = company.source.backup("DescribeRecoveryPoint", BackupVaultName="ferry", RecoveryPointArn=point)
    assert shown["Lifecycle"] == {"DeleteAfterDays": 9}
    assert company.source.backup("ListTags", ResourceArn=point)["Tags"] == {"why": "moving"}
    by_plan = company.source.backup("ListRecoveryPointsByBackupVault", BackupVaultName="ferry", ByBackupPlanId=plan_id)
    assert len(by_plan["RecoveryPoints"]) == 2
    run_next(company, plan_id)
    assert len(backups(company)) == 4
    assert company.source.backup("GetBackupPlan", BackupPlanId=plan_id)["LastExecutionDate"] > jobs[0]["CreationDate"]


def test_plan_copies(company: Any) -> None:
    action = {"DestinationBackupVaultArn": TARGET, "Lifecycle": {"DeleteAfterDays": 3}}
    plan_id = plan(company, CopyActions=[action])
    select(company, plan_id, Resources=[TABLE])
    run_next(company, plan_id)
    assert company.source.backup("ListCopyJobs")["CopyJobs"] == []
    company.source.wait(2 * DONE)
    (job,) = company.source.backup("ListCopyJobs")["CopyJobs"]
    (backup,) = backups(company)
    assert (job["State"], job["IamRoleArn"]) == ("COMPLETED", company.source.role_arn)
    assert job["CreatedByBackupJobId"] == backup["BackupJobId"]
    assert job["CreatedBy"]["BackupPlanId"] == plan_id
    copy = job["DestinationRecoveryPointArn"]
    shown = company.destination.backup("DescribeRecoveryPoint", BackupVaultName="ferry", RecoveryPointArn=copy)
    assert shown["Lifecycle"] == {"DeleteAfterDays": 3}
    assert company.destination.restored(copy)["Status"] == "COMPLETED"
    assert company.destination.items() == ["a", "b", "c"]


def test_planned_failure_meets_a_plan(company: Any) -> None:
    company.world.faults.add(operation="backup.StartBackupJob", kind="job_failure", values={"state": "EXPIRED"})
    plan_id = plan(company)
    select(company, plan_id, Resources=[TABLE])
    run_next(company, plan_id)
    company.source.wait(DONE)
    assert [job["State"] for job in backups(company)] == ["EXPIRED"]


@pytest.mark.parametrize(
    ("content", "tables"),
    [
        ({"Resources": [TABLE]}, ["tbl"]),
        ({"Resources": ["arn:aws:dynamodb:*:*:table/*"]}, ["red", "tbl"]),
        ({"Resources": ["*"], "NotResources": [TABLE]}, ["red"]),
        (
            {"ListOfTags": [{"ConditionType": "STRINGEQUALS", "ConditionKey": "colour", "ConditionValue": "red"}]},
            ["red"],
        ),
        (
            {
                "Resources": ["*"],
                "Conditions": {
                    "StringLike": [{"ConditionKey": "aws:ResourceTag/colour", "ConditionValue": "r*"}],
                    "StringNotEquals": [{"ConditionKey": "aws:ResourceTag/colour", "ConditionValue": "rose"}],
                },
            },
            ["red"],
        ),
        ({}, ["red", "tbl"]),
    ],
)
def test_selection_of_tables(company: Any, content: dict[str, Any], tables: list[str]) -> None:
    company.source.table("red", Tags=[{"Key": "colour", "Value": "red"}])
    plan_id = plan(company)
    selection = select(company, plan_id, **content)
    shown = company.source.backup("GetBackupSelection", BackupPlanId=plan_id, SelectionId=selection)
    assert shown["BackupSelection"]["SelectionName"] == "tables"
    run_next(company, plan_id)
    assert sorted(job["ResourceName"] for job in backups(company)) == tables


def test_opt_in_for_tags_only(company: Any) -> None:
    company.source.table("red", Tags=[{"Key": "colour", "Value": "red"}])
    company.source.backup("UpdateRegionSettings", ResourceTypeOptInPreference={"DynamoDB": False})
    plan_id = plan(company)
    tag = {"ConditionType": "STRINGEQUALS", "ConditionKey": "colour", "ConditionValue": "red"}
    select(company, plan_id, Resources=[TABLE], ListOfTags=[tag])
    run_next(company, plan_id)
    assert [job["ResourceName"] for job in backups(company)] == ["tbl"]


def test_selection_by_tags_needs_permission(company: Any) -> None:
    company.source.role.attached.clear()
    company.source.role.inline["only"] = policy({"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"})
    tag = {"ConditionType": "STRINGEQUALS", "ConditionKey": "colour", "ConditionValue": "red"}
    plan_id = plan(company)
    selection = {"SelectionName": "tables", "IamRoleArn": company.source.role_arn, "ListOfTags": [tag]}
    company.source.denied(
        plans.ROLE_READS_TAGS, "InvalidParameterValueException", "not authorized to call tag:GetResources",
        "CreateBackupSelection", BackupPlanId=plan_id, BackupSelection=selection,
    )  # fmt: skip
    assert select(company, plan_id, Resources=[TABLE])
