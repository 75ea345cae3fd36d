# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Encryption at rest."""

from __future__ import annotations

import json

import pytest

from lab.dynamodb import encryption as rules

INVALID, LIMIT = "ValidationException", "LimitExceededException"
MANAGED = {"SSESpecification": {"Enabled": True}}
OFF = {"SSESpecification": {"Enabled": False}}


def key_specification(key):
    return {"SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}}


def new_key(desk, **members):
    metadata = desk("CreateKey", "kms", **members)["KeyMetadata"]
    return metadata["KeyId"], metadata["Arn"]


@pytest.fixture
def update(desk):
    def update(**params):
        return desk("UpdateTable", TableName="tbl", **params)["TableDescription"]

    return update


@pytest.fixture
def refuse_create(desk):
    def refuse(rule, text, specification, code=INVALID):
        parameters = {
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        }
        message = desk.refused(
            rule, code, text, "CreateTable", TableName="new", SSESpecification=specification, **parameters
        )
        assert desk("ListTables")["TableNames"] in ([], ["tbl"])
        return message

    return refuse


def description(desk):
    return desk.describe().get("SSEDescription")


@pytest.mark.parametrize(
    ("specification", "text"),
    [
        ({"Enabled": True, "KMSMasterKeyId": "k"}, "SSEType KMS is required if KMSMasterKeyId is specified"),
        ({"Enabled": False, "SSEType": "KMS"}, "SSEType can not be specified if Enabled is false"),
        ({"Enabled": False, "KMSMasterKeyId": "k"}, "KMSMasterKeyId can not be specified"),
        ({"Enabled": True, "SSEType": "AES256"}, "SSEType AES256 is not supported"),
    ],
)
def test_encryption_specification(desk, refuse_create, specification, text):
    refuse_create(rules.SPECIFICATION, text, specification)
    for number, default in enumerate(({}, {"Enabled": False})):
        assert "SSEDescription" not in desk.table(f"default-{number}", SSESpecification=default)
        desk("DeleteTable", TableName=f"default-{number}")
        desk.wait(6)


@pytest.mark.parametrize(
    "specification",
    [
        {"Enabled": True},
        {"SSEType": "KMS"},
        {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/aws/dynamodb"},
    ],
)
def test_encryption_managed_key(desk, other_desk, specification):
    shown = desk.table(SSESpecification=specification)["SSEDescription"]
    assert (shown["Status"], shown["SSEType"]) == ("ENABLED", "KMS")
    assert shown["KMSMasterKeyArn"].startswith("arn:aws:kms:eu-west-1:111111111111:key/")
    theirs = other_desk.table(SSESpecification=specification)["SSEDescription"]
    assert theirs["KMSMasterKeyArn"].startswith("arn:aws:kms:eu-west-1:222222222222:key/")


def test_encryption_key_resolved_once(desk):
    key_id, arn = new_key(desk)
    other_id, _ = new_key(desk)
    desk("CreateAlias", "kms", AliasName="alias/mine", TargetKeyId=key_id)
    for number, name in enumerate((key_id, arn, "alias/mine")):
        table = desk.table(f"t-{number}", **key_specification(name))
        assert table["SSEDescription"] == {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": arn}
    desk("UpdateAlias", "kms", AliasName="alias/mine", TargetKeyId=other_id)
    assert desk.describe("t-2")["SSEDescription"]["KMSMasterKeyArn"] == arn


def test_encryption_key_unusable(desk, other_desk, refuse_create, update):
    disabled, arn = new_key(desk)
    desk("DisableKey", "kms", KeyId=disabled)
    specification = key_specification(disabled)["SSESpecification"]
    refuse_create(
        rules.KEY_UNUSABLE, "KMS key disabled error: com.amazonaws.services.kms.model.Disabled", specification
    )
    dying, _ = new_key(desk)
    desk("ScheduleKeyDeletion", "kms", KeyId=dying)
    refuse_create(rules.KEY_UNUSABLE, "is pending deletion.", key_specification(dying)["SSESpecification"])
    missing = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/none"}
    message = refuse_create(
        rules.KEY_UNUSABLE, "Alias arn:aws:kms:eu-west-1:111111111111:alias/none is not found.", missing
    )
    assert message.startswith("KMS validation error: com.amazonaws.services.kms.model.NotFoundException: ")
    _, foreign = new_key(other_desk)
    text = "KMS key access denied error: com.amazonaws.services.kms.model.AWSKMSException: User: "
    refuse_create(rules.KEY_UNUSABLE, text, key_specification(foreign)["SSESpecification"], "AccessDeniedException")
    storage = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/aws/s3"}
    refuse_create(rules.KEY_UNUSABLE, "access denied", storage, "AccessDeniedException")
    desk.table()
    desk.refused(
        rules.KEY_UNUSABLE,
        INVALID,
        f"{arn} is disabled.",
        "UpdateTable",
        TableName="tbl",
        **key_specification(disabled),
    )
    assert description(desk) is None


def test_encryption_shared_key(desk, other_desk):
    """A foreign key works by its ARN once its policy opens it (aws.md D)."""
    _, arn = new_key(other_desk)
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                "Action": "kms:*",
                "Resource": "*",
            }
            for account in ("222222222222", "111111111111")
        ],
    }
    other_desk("PutKeyPolicy", "kms", KeyId=arn, PolicyName="default", Policy=json.dumps(document))
    assert desk.table(**key_specification(arn))["SSEDescription"]["KMSMasterKeyArn"] == arn


def test_encryption_key_asymmetric(desk, refuse_create):
    key_id, _ = new_key(desk, KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    refuse_create(
        rules.KEY_ASYMMETRIC, "only when creating a grant for a symmetric encryption KMS key",
        key_specification(key_id)["SSESpecification"], "InternalServerError",
    )  # fmt: skip


def test_encryption_resent(desk, update):
    desk.table()
    text = "Table is already encrypted by default"
    desk.refused(rules.RESENT, INVALID, text, "UpdateTable", TableName="tbl", **OFF)
    key_id, arn = new_key(desk)
    update(**key_specification(arn))
    desk.wait(30)
    text = "already encrypted with given KMSMasterKeyId"
    desk.refused(rules.RESENT, INVALID, text, "UpdateTable", TableName="tbl", **key_specification(arn))
    update(**key_specification(key_id))
    assert description(desk)["Status"] == "UPDATING"


def test_encryption_quota(desk, update):
    desk.table()
    key_id, _ = new_key(desk)
    for specification in (MANAGED, key_specification(key_id), MANAGED, OFF):
        update(**specification)
        desk.wait(30)
    text = "Number of updates today: 4."
    # The quota is looked at before the key, which does not exist.
    desk.refused(rules.QUOTA, LIMIT, text, "UpdateTable", TableName="tbl", **key_specification("no-such-key"))
    desk.wait(21600)
    update(**MANAGED)
    desk.wait(30)
    desk.refused(rules.QUOTA, LIMIT, "updates today: 5", "UpdateTable", TableName="tbl", **OFF)
    desk.wait(86400)
    update(**OFF)


def test_encryption_running(desk, update):
    desk.table()
    key_id, _ = new_key(desk)
    update(**MANAGED)
    text = "Server-Side Encryption is still being updated"
    desk.refused(
        rules.RUNNING, "ResourceInUseException", text, "UpdateTable", TableName="tbl", **key_specification(key_id)
    )
    update(**MANAGED)
    desk.wait(30)
    assert description(desk)["Status"] == "ENABLED"


def test_encryption_phases(desk, update):
    desk.table()
    _, first = new_key(desk)
    _, second = new_key(desk)
    answer = update(**key_specification(first))
    assert (answer["TableStatus"], answer["SSEDescription"]) == ("ACTIVE", {"Status": "UPDATING"})
    desk.wait(10)
    assert description(desk) == {"Status": "UPDATING", "SSEType": "KMS", "KMSMasterKeyArn": first}
    desk.wait(15)
    assert description(desk) == {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": first}
    update(**key_specification(second))
    assert description(desk) == {"Status": "UPDATING", "SSEType": "KMS", "KMSMasterKeyArn": first}
    desk.wait(10)
    assert description(desk)["KMSMasterKeyArn"] == second
    desk.wait(15)
    update(**OFF)
    desk.wait(10)
    assert (desk.status(), description(desk)) == ("ACTIVE", {"Status": "UPDATING"})
    desk.wait(15)
    assert description(desk) is None


def test_encryption_key_empty(desk, refuse_create):
    specification = key_specification("")["SSESpecification"]
    text = "Value '' at 'sSESpecification.kMSMasterKeyId' failed to satisfy constraint: Member must have length greater"
    refuse_create(rules.EMPTY_KEY, text, specification)
    desk.refused(rules.EMPTY_KEY, INVALID, text, "UpdateTable", TableName="missing", SSESpecification=specification)
