# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's KMS: whose policy decides, states, grants, aliases, AWS-managed keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.caller import Caller
from lab.client import RunningLab, running
from lab.errors import AwsError
from lab.services.kms import KmsService

SERVICES = ("lab.services.sts.StsService", "lab.services.iam.IamService", "lab.services.kms.KmsService")
REGION = "eu-west-1"
SOURCE, DESTINATION = "111111111111", "222222222222"
FERRY = f"arn:aws:iam::{SOURCE}:role/ferry"


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with running(services=SERVICES) as lab:
        yield lab


@pytest.fixture(scope="module")
def kms(lab: RunningLab) -> Any:
    """KMS as the administrator of the destination account."""
    return lab.client("kms", "destination")


@pytest.fixture
def foreign(lab: RunningLab) -> Any:
    """KMS as the role ferry of the source account."""
    return lab.client("kms", "source/ferry")


@pytest.fixture
def key(kms: Any) -> str:
    """ARN of a new key of the destination account."""
    return str(kms.create_key(Description="test")["KeyMetadata"]["Arn"])


def refused(code: str, message: str = "") -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)[\s\S]*{message}")


def allow(principal: str, *actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": list(actions), "Resource": "*"}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def user(lab: RunningLab, name: str, *actions: str) -> Any:
    """KMS as a new user of the destination account who may do ``actions`` on everything."""
    with lab.world.lock:
        made = lab.world.identity.add_user(DESTINATION, name)
        if actions:
            statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
            made.inline["only"] = document(statement)
        keys = lab.world.identity.add_access_key(DESTINATION, name)
    return lab.client("kms", {"access_key": keys.id, "secret_key": keys.secret})


def test_key_policy_decides_in_the_own_account(lab: RunningLab, kms: Any, key: str) -> None:
    able, unable = user(lab, "able", "kms:*"), user(lab, "unable")
    assert able.describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key
    with refused("AccessDeniedException", "no identity-based policy"):
        unable.describe_key(KeyId=key)
    administrator = f"arn:aws:iam::{DESTINATION}:user/administrator"
    only_two = document(
        allow(administrator, "kms:*"), allow(f"arn:aws:iam::{DESTINATION}:user/unable", "kms:Describe*")
    )
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=only_two)
    assert unable.describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key
    with refused("AccessDeniedException", "no resource-based policy"):
        able.describe_key(KeyId=key)


def test_foreign_key_needs_both_sides(lab: RunningLab, kms: Any, foreign: Any, key: str) -> None:
    hidden = "the resource does not exist in this Region, no resource-based policies allow access"
    with refused("AccessDeniedException", hidden):
        foreign.describe_key(KeyId=key)
    with refused("AccessDeniedException", hidden):
        foreign.describe_key(KeyId=key[:-4] + "0000")
    root = allow(f"arn:aws:iam::{DESTINATION}:root", "kms:*")
    shared = document(root, allow(FERRY, "kms:DescribeKey", "kms:GenerateDataKey"))
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=shared)
    assert foreign.describe_key(KeyId=key)["KeyMetadata"]["AWSAccountId"] == DESTINATION
    assert len(foreign.generate_data_key(KeyId=key, KeySpec="AES_256")["Plaintext"]) == 32
    with refused("AccessDeniedException", "kms:Encrypt"):
        foreign.encrypt(KeyId=key, Plaintext=b"x")
    with refused("NotFoundException"):
        foreign.describe_key(KeyId=key.rpartition("/")[2])
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=document(root, allow(FERRY, "kms:*")))
    with refused("AccessDeniedException"):
        foreign.get_key_policy(KeyId=key, PolicyName="default")


def test_managed_key_stays_home(lab: RunningLab, kms: Any, foreign: Any) -> None:
    shown = kms.describe_key(KeyId="alias/aws/dynamodb")["KeyMetadata"]
    assert (shown["KeyManager"], shown["AWSAccountId"]) == ("AWS", DESTINATION)
    assert foreign.describe_key(KeyId="alias/aws/dynamodb")["KeyMetadata"]["AWSAccountId"] == SOURCE
    with refused("AccessDeniedException"):
        kms.put_key_policy(KeyId=shown["KeyId"], PolicyName="default", Policy=document(allow("*", "kms:*")))
    with refused("AccessDeniedException"):
        kms.generate_data_key(KeyId="alias/aws/dynamodb", KeySpec="AES_256")
    with refused("AccessDeniedException"):
        foreign.describe_key(KeyId=shown["Arn"])
    service = lab.world.part(KmsService)
    administrator = f"arn:aws:iam::{DESTINATION}:user/administrator"
    caller = Caller(DESTINATION, administrator, "user", administrator, user_name="administrator")
    used = service.use_key_as(caller, "alias/aws/dynamodb", "CreateGrant", REGION, via_service="dynamodb")
    assert used.arn == shown["Arn"]
    with pytest.raises(AwsError, match="AccessDeniedException"):
        service.use_key_as(caller, "alias/aws/dynamodb", "CreateGrant", REGION, via_service="s3")


def test_missing_keys(kms: Any) -> None:
    unknown = f"arn:aws:kms:{REGION}:{DESTINATION}:key/00000000-0000-4000-8000-000000000000"
    with refused("NotFoundException", f"Key '{unknown}' does not exist"):
        kms.describe_key(KeyId=unknown)
    with refused("NotFoundException", f"Alias arn:aws:kms:{REGION}:{DESTINATION}:alias/none is not found."):
        kms.describe_key(KeyId="alias/none")
    with refused("NotFoundException", "Invalid arn us-east-1"):
        kms.describe_key(KeyId=unknown.replace(REGION, "us-east-1"))


def test_key_states(lab: RunningLab, kms: Any, key: str) -> None:
    kms.disable_key(KeyId=key)
    with refused("DisabledException", f"{key} is disabled."):
        kms.encrypt(KeyId=key, Plaintext=b"x")
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    kms.enable_key(KeyId=key)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    with refused("KMSInvalidStateException", f"{key} is pending deletion."):
        kms.encrypt(KeyId=key, Plaintext=b"x")
    kms.cancel_key_deletion(KeyId=key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    kms.create_alias(AliasName="alias/going", TargetKeyId=key)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    lab.advance(8 * 86400)
    with refused("NotFoundException"):
        kms.describe_key(KeyId=key)
    with refused("NotFoundException"):
        kms.describe_key(KeyId="alias/going")


def test_grants_allow(lab: RunningLab, kms: Any, foreign: Any, key: str) -> None:
    granted = kms.create_grant(KeyId=key, GranteePrincipal=FERRY, Operations=["Encrypt"], Name="ferry")
    assert kms.create_grant(KeyId=key, GranteePrincipal=FERRY, Operations=["Encrypt"], Name="ferry") | granted == {
        **granted,
        "ResponseMetadata": granted["ResponseMetadata"],
    }
    blob = foreign.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    with refused("AccessDeniedException"):
        foreign.decrypt(CiphertextBlob=blob)
    shown = kms.list_grants(KeyId=key)["Grants"]
    assert [(each["GranteePrincipal"], each["Operations"]) for each in shown] == [(FERRY, ["Encrypt"])]
    kms.revoke_grant(KeyId=key, GrantId=granted["GrantId"])
    with refused("AccessDeniedException"):
        foreign.encrypt(KeyId=key, Plaintext=b"x")


def test_policy_must_be_sound(kms: Any, key: str) -> None:
    for text in ("{", document(allow(f"arn:aws:iam::{SOURCE}:role/nobody", "kms:*"))):
        with refused("MalformedPolicyDocumentException"):
            kms.put_key_policy(KeyId=key, PolicyName="default", Policy=text)
    lockout = document(allow(FERRY, "kms:*"))
    with refused("MalformedPolicyDocumentException", "will not allow you to update the key policy"):
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=lockout)
    count = len(kms.list_keys()["Keys"])
    with refused("MalformedPolicyDocumentException"):
        kms.create_key(Policy=lockout)
    assert len(kms.list_keys()["Keys"]) == count
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=lockout, BypassPolicyLockoutSafetyCheck=True)


def test_aliases_rotation_and_tags(kms: Any, key: str) -> None:
    kms.create_alias(AliasName="alias/staging", TargetKeyId=key)
    with refused("AlreadyExistsException"):
        kms.create_alias(AliasName="alias/staging", TargetKeyId=key)
    assert kms.describe_key(KeyId="alias/staging")["KeyMetadata"]["Arn"] == key
    assert [each["AliasName"] for each in kms.list_aliases(KeyId=key)["Aliases"]] == ["alias/staging"]
    kms.delete_alias(AliasName="alias/staging")
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False
    kms.enable_key_rotation(KeyId=key)
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is True
    kms.tag_resource(KeyId=key, Tags=[{"TagKey": "a", "TagValue": "1"}, {"TagKey": "b", "TagValue": "2"}])
    kms.untag_resource(KeyId=key, TagKeys=["a"])
    assert kms.list_resource_tags(KeyId=key)["Tags"] == [{"TagKey": "b", "TagValue": "2"}]


def test_ciphertext_opens_with_its_context_only(kms: Any, key: str) -> None:
    blob = kms.encrypt(KeyId=key, Plaintext=b"secret", EncryptionContext={"table": "orders"})["CiphertextBlob"]
    with refused("InvalidCiphertextException"):
        kms.decrypt(CiphertextBlob=blob)
    assert kms.decrypt(CiphertextBlob=blob, EncryptionContext={"table": "orders"})["Plaintext"] == b"secret"
    other = kms.create_key()["KeyMetadata"]["Arn"]
    moved = kms.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext={"table": "orders"}, DestinationKeyId=other)
    assert kms.decrypt(CiphertextBlob=moved["CiphertextBlob"])["KeyId"] == other


def test_listings_have_pages(kms: Any) -> None:
    for _ in range(3):
        kms.create_key()
    pages = list(kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 2}))
    keys = [each["KeyId"] for page in pages for each in page["Keys"]]
    assert len(pages) > 1 and len(keys) == len(set(keys)) == len(kms.list_keys()["Keys"])


def test_multi_region_key(kms: Any) -> None:
    made = kms.create_key(MultiRegion=True)["KeyMetadata"]
    assert made["KeyId"].startswith("mrk-") and made["MultiRegion"] is True
    assert made["MultiRegionConfiguration"]["PrimaryKey"] == {"Arn": made["Arn"], "Region": "eu-west-1"}
    assert kms.describe_key(KeyId=made["KeyId"])["KeyMetadata"]["Arn"] == made["Arn"]
    assert "MultiRegionConfiguration" not in kms.create_key()["KeyMetadata"]
    with refused("UnsupportedOperationException"):
        kms.replicate_key(KeyId=made["KeyId"], ReplicaRegion="us-east-1")
