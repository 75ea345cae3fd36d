# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore jobs."""

from __future__ import annotations

from typing import Any

import pytest

from lab.backup import restore_jobs
from lab.dynamodb.model import ON_DEMAND_WARM
from tests.unit.lab.backup.conftest import DESTINATION, DONE, SOURCE, TABLE, policy

KMS = {"encryptionType": "KMS"}


def failure(job: dict[str, Any]) -> str:
    """The text of a restore that must have failed."""
    assert job["Status"] == "FAILED", job
    return str(job["StatusMessage"])


def request(company: Any, point: str, **metadata: str) -> dict[str, Any]:
    return {"RecoveryPointArn": point, "IamRoleArn": company.destination.role_arn, "Metadata": metadata}


def test_restore_in_the_own_account(company: Any) -> None:
    point = company.point()
    company.destination.denied(
        restore_jobs.OWN_POINT, "AccessDeniedException", "Insufficient", "StartRestoreJob",
        **request(company, point, targetTableName="tbl"),
    )  # fmt: skip
    company.destination.denied(
        restore_jobs.OWN_POINT, "ResourceNotFoundException", "none", "StartRestoreJob",
        **request(company, "arn:aws:backup:eu-west-1:222222222222:recovery-point:none", targetTableName="tbl"),
    )  # fmt: skip
    job = company.destination.restored(company.copy())
    assert (job["Status"], job["CreatedResourceArn"]) == ("COMPLETED", TABLE.replace(SOURCE, DESTINATION))
    assert company.destination.items() == ["a", "b", "c"]
    original = company.source("GetItem", TableName="tbl", Key={"pk": {"S": "a"}})
    assert company.destination("GetItem", TableName="tbl", Key={"pk": {"S": "a"}}) == original


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"targetTableName": ""},
        {"targetTableName": "tbl", "billingMode": "PROVISIONED"},
        {"targetTableName": "tbl", "originalTableName": "tbl"},
        {"targetTableName": "tbl", "encryptionType": "AES256"},
        {"targetTableName": "tbl", "encryptionType": "Default", "kmsMasterKeyArn": "arn:aws:kms:::key/x"},
    ],
)
def test_restore_metadata_checked(company: Any, metadata: dict[str, str]) -> None:
    copy = company.copy()
    company.destination.denied(
        restore_jobs.METADATA, "InvalidParameterValueException", "", "StartRestoreJob",
        **request(company, copy, **metadata),
    )  # fmt: skip
    loud = {"TARGETTABLENAME": "tbl", "ENCRYPTIONTYPE": "Default", "aws:backup:request-id": "r"}
    job = company.destination.restored(copy, Metadata=loud)
    assert job["Status"] == "COMPLETED"
    asked = company.destination.backup("GetRestoreJobMetadata", RestoreJobId=job["RestoreJobId"])
    assert asked["Metadata"] == loud


def test_refused_restore_spends_its_token(company: Any) -> None:
    copy = company.copy()
    wrong = request(company, copy, targetTableName="tbl", billingMode="PROVISIONED")
    right = request(company, copy, targetTableName="tbl")
    for asked in (wrong, right):
        company.destination.denied(
            restore_jobs.METADATA, "InvalidParameterValueException", "billingmode", "StartRestoreJob",
            **asked, IdempotencyToken="one",
        )  # fmt: skip
    assert company.destination.backup("StartRestoreJob", **right, IdempotencyToken="two")["RestoreJobId"]


def test_restore_needs_a_role(company: Any) -> None:
    without = request(company, company.copy(), targetTableName="tbl")
    del without["IamRoleArn"]
    company.destination.denied(
        restore_jobs.ROLE_NEEDED, "InvalidParameterValueException", "IamRoleArn", "StartRestoreJob", **without
    )


def test_restore_into_new_name_only(company: Any) -> None:
    copy = company.copy()
    company.destination.table()
    company.destination("PutItem", TableName="tbl", Item={"pk": {"S": "own"}})
    assert failure(company.destination.restored(copy)) == "Table already exists: tbl"
    assert company.destination.items() == ["own"]
    assert company.destination.restored(copy, "other")["Status"] == "COMPLETED"


def test_restore_with_source_tags_fails(company: Any) -> None:
    job = company.destination.restored(company.copy(), CopySourceTagsToRestoredResource=True)
    assert "tags" in failure(job)
    assert company.destination("ListTables")["TableNames"] == []


def encryption(company: Any, copy: str, name: str, **metadata: str) -> Any:
    """SSEDescription of a table restored like this; the text of the failure when it failed."""
    job = company.destination.restored(copy, Metadata={"targetTableName": name, **metadata})
    if job["Status"] == "FAILED":
        return job["StatusMessage"]
    return company.destination.describe(name).get("SSEDescription")


def test_restore_encryption(company: Any) -> None:
    copy = company.copy()
    assert encryption(company, copy, "default", encryptionType="Default") is None
    managed = encryption(company, copy, "managed", encryptionType="KMS")["KMSMasterKeyArn"]
    key = company.destination("DescribeKey", service="kms", KeyId=managed)["KeyMetadata"]
    assert (key["KeyManager"], key["AWSAccountId"]) == ("AWS", DESTINATION)
    own = company.destination.key()
    shown = encryption(company, copy, "own", encryptionType="KMS", kmsMasterKeyArn=own)
    assert shown["KMSMasterKeyArn"] == own
    assert encryption(company, copy, "said-nothing") is None
    closed = company.source.key()
    assert "access denied" in encryption(company, copy, "closed", encryptionType="KMS", kmsMasterKeyArn=closed)


def test_restore_encryption_said_nothing(company: Any) -> None:
    key = company.source.key()
    change = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
    company.source("UpdateTable", TableName="tbl", SSESpecification=change)
    company.source.wait(60)
    # The role reads tables under this key by its own policies, the destination does not.
    copy = company.copy()
    assert "KMS key access denied" in encryption(company, copy, "tbl")
    shared = company.source.key(DESTINATION)
    company.source(
        "UpdateTable", TableName="tbl", SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": shared}
    )
    company.source.wait(60)
    assert encryption(company, company.copy(), "tbl")["KMSMasterKeyArn"] == shared


@pytest.mark.parametrize("choice", ["failed", "pending"])
def test_fifty_restores(company: Any, choice: str) -> None:
    company.behaviours.choose("backup.restore_over_quota", choice)
    copy = company.copy()
    started = [company.destination.start_restore(copy, f"table-{number}") for number in range(51)]
    company.destination.wait(60)

    def states() -> list[str]:
        return [
            company.destination.backup("DescribeRestoreJob", RestoreJobId=each["RestoreJobId"])["Status"]
            for each in started
        ]

    assert states()[:50] == ["RUNNING"] * 50
    assert states()[50] == choice.upper()
    company.destination.wait(2 * DONE)
    assert states()[50] == ("COMPLETED" if choice == "pending" else "FAILED")


@pytest.mark.parametrize(("choice", "state"), [("runs", "COMPLETED"), ("failed", "FAILED")])
def test_one_restore_per_recovery_point(company: Any, choice: str, state: str) -> None:
    company.behaviours.choose("backup.second_restore_of_a_point", choice)
    copy = company.copy()
    first = company.destination.start_restore(copy, "first")
    company.destination.wait(60)
    assert company.destination.restored(copy, "second")["Status"] == state
    done = company.destination.backup("DescribeRestoreJob", RestoreJobId=first["RestoreJobId"])
    assert done["Status"] == "COMPLETED"
    assert company.destination.restored(copy, "third")["Status"] == "COMPLETED"


GLOBAL_INDEX = {
    "IndexName": "gsi",
    "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}
TWO_KEYS = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "g")]


def capacity(company: Any, name: str) -> tuple[Any, ...]:
    """Mode, provisioned units, and maximum of the restored table and its index."""
    table = company.destination.describe(name)
    index = table["GlobalSecondaryIndexes"][0]
    return (
        table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
        table["ProvisionedThroughput"]["ReadCapacityUnits"],
        table.get("OnDemandThroughput"),
        index["ProvisionedThroughput"]["ReadCapacityUnits"],
        index.get("OnDemandThroughput"),
    )


def test_restored_capacity(company: Any) -> None:
    maximum = {"MaxReadRequestUnits": 70, "MaxWriteRequestUnits": 80}
    company.source.table(
        "free", OnDemandThroughput=maximum, AttributeDefinitions=TWO_KEYS,
        GlobalSecondaryIndexes=[{**GLOBAL_INDEX, "OnDemandThroughput": maximum}],
    )  # fmt: skip
    units = {"ReadCapacityUnits": 7, "WriteCapacityUnits": 8}
    company.source.table(
        "paid", BillingMode="PROVISIONED", ProvisionedThroughput=units, AttributeDefinitions=TWO_KEYS,
        GlobalSecondaryIndexes=[{**GLOBAL_INDEX, "ProvisionedThroughput": units}],
    )  # fmt: skip
    free = company.copy(ResourceArn=TABLE.replace("tbl", "free"))
    company.destination.restored(company.copy(ResourceArn=TABLE.replace("tbl", "paid")), "paid")
    assert capacity(company, "paid") == ("PROVISIONED", 7, None, 7, None)
    company.destination.restored(free, "kept")
    assert capacity(company, "kept") == ("PAY_PER_REQUEST", 0, maximum, 0, maximum)
    company.behaviours.choose("backup.restored_on_demand_maximum", "lost")
    company.destination.restored(free, "no-maximum")
    assert capacity(company, "no-maximum") == ("PAY_PER_REQUEST", 0, None, 0, None)
    company.behaviours.choose("backup.restored_billing_mode", "provisioned")
    company.destination.restored(free, "provisioned")
    assert capacity(company, "provisioned") == ("PROVISIONED", 5, None, 5, None)


def test_restored_vector_indexes(company: Any) -> None:
    vector = {"IndexName": "vec", "VectorAttribute": {"AttributeName": "v"}}
    company.source.table("vectors", VectorIndexes=[vector])
    copy = company.copy(ResourceArn=TABLE.replace("tbl", "vectors"))
    company.destination.restored(copy, "kept")
    assert [each["IndexName"] for each in company.destination.describe("kept")["VectorIndexes"]] == ["vec"]
    company.behaviours.choose("backup.restored_vector_indexes", "lost")
    company.destination.restored(copy, "lost")
    assert "VectorIndexes" not in company.destination.describe("lost")


def test_restore_progress(company: Any) -> None:
    started = company.destination.start_restore(company.copy())

    def job() -> dict[str, Any]:
        answer: dict[str, Any] = company.destination.backup("DescribeRestoreJob", RestoreJobId=started["RestoreJobId"])
        return answer

    assert (job()["Status"], job()["PercentDone"]) == ("PENDING", "0.00%")
    company.destination.wait(20 + 247 / 2)
    assert job()["Status"] == "RUNNING"
    assert 49 <= float(job()["PercentDone"].rstrip("%")) <= 51
    assert "CreatedResourceArn" not in job()
    company.destination.wait(DONE)
    assert (job()["Status"], job()["PercentDone"]) == ("COMPLETED", "100.00%")
    assert company.destination.describe()["WarmThroughput"] == {**ON_DEMAND_WARM, "Status": "ACTIVE"}


def test_restore_role_needs_its_actions(company: Any) -> None:
    copy = company.copy()
    company.destination.role.attached.clear()
    keys = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
    company.destination.role.inline["only"] = policy(
        {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "dynamodb:RestoreTableFromAwsBackup", "Resource": "*"},
        keys,
    )
    assert "dynamodb:RestoreTableFromAwsBackup" in failure(company.destination.restored(copy))
    company.destination.role.inline["only"] = policy(
        {"Effect": "Allow", "Action": "dynamodb:*", "Resource": TABLE.replace(SOURCE, DESTINATION)}, keys
    )
    assert company.destination.restored(copy)["Status"] == "COMPLETED"


def test_planned_failure_leaves_no_table(company: Any) -> None:
    copy = company.copy()
    company.world.faults.add(operation="backup.StartRestoreJob", kind="job_failure", message="As planned")
    assert failure(company.destination.restored(copy)) == "As planned"
    assert company.destination("ListTables")["TableNames"] == []
    assert company.destination.restored(copy)["Status"] == "COMPLETED"
