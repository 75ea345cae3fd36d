# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's S3: names, policies, ownership, encryption, objects."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.client import RunningLab
from lab.errors import AwsError
from lab.s3.buckets import Buckets
from lab.s3.store import MEMORY_BYTES
from tests.unit.lab.s3.conftest import FERRY, WRITES, make, policy, refused

# Buckets


def test_missing_bucket(owner: Any) -> None:
    with refused("NoSuchBucket", "The specified bucket does not exist"):
        owner.list_objects_v2(Bucket="nobody-has-this")
    with refused("404"):
        owner.head_bucket(Bucket="nobody-has-this")


def test_bucket_names_are_global(lab: RunningLab, owner: Any, bucket: str) -> None:
    with refused("BucketAlreadyOwnedByYou"):
        make(owner, bucket)
    with refused("BucketAlreadyExists"):
        make(lab.client("s3", "source"), bucket)
    assert bucket in [each["Name"] for each in owner.list_buckets()["Buckets"]]
    assert bucket not in [each["Name"] for each in lab.client("s3", "source").list_buckets()["Buckets"]]


def test_create_bucket_needs_its_region(lab: RunningLab, owner: Any, names: Iterator[str]) -> None:
    with refused("IllegalLocationConstraintException"):
        owner.create_bucket(Bucket=next(names))
    abroad = lab.client("s3", "destination", region="us-east-1")
    name = next(names)
    abroad.create_bucket(Bucket=name)
    assert abroad.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    assert abroad.head_bucket(Bucket=name)["BucketRegion"] == "us-east-1"
    with refused("InvalidBucketName"):
        make(owner, "Upper-Case")


def test_new_bucket_is_closed_and_encrypted(owner: Any, bucket: str) -> None:
    controls = owner.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert controls == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    block = owner.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    rules = owner.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


def test_bad_bucket_policies(lab: RunningLab, owner: Any, bucket: str) -> None:
    for text in (
        "{",
        policy(bucket, "s3:GetObject", principal="arn:aws:iam::111111111111:role/nobody"),
        policy(bucket, "s3:GetObject", principal="arn:aws:iam::999999999999:root"),
        policy("another-bucket", "s3:GetObject"),
    ):
        with refused("MalformedPolicy"):
            owner.put_bucket_policy(Bucket=bucket, Policy=text)
    with refused("AccessDenied", "BlockPublicPolicy"):
        owner.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, "s3:GetObject", principal="*"))
    owner.delete_public_access_block(Bucket=bucket)
    owner.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, "s3:GetObject", principal="*"))
    assert owner.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True


def test_bucket_must_be_empty_to_be_deleted(owner: Any, bucket: str) -> None:
    owner.put_object(Bucket=bucket, Key="a", Body=b"")
    with refused("BucketNotEmpty"):
        owner.delete_bucket(Bucket=bucket)
    owner.delete_object(Bucket=bucket, Key="a")
    owner.delete_bucket(Bucket=bucket)
    with refused("404"):
        owner.head_bucket(Bucket=bucket)


# Permission


@pytest.mark.parametrize(
    "principal",
    [FERRY, "arn:aws:iam::111111111111:root", "arn:aws:sts::111111111111:assumed-role/ferry/rehearsal", "111111111111"],
)
def test_bucket_policy_decides_across_accounts(owner: Any, foreigner: Any, bucket: str, principal: str) -> None:
    with refused("AccessDenied", f'assumed-role/ferry/rehearsal is not authorized .* "arn:aws:s3:::{bucket}/a"'):
        foreigner.put_object(Bucket=bucket, Key="a", Body=b"1")
    owner.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, *WRITES, principal=principal))
    foreigner.put_object(Bucket=bucket, Key="a", Body=b"1")
    with refused("AccessDenied"):
        foreigner.get_object(Bucket=bucket, Key="a")


def test_own_policies_are_needed_too(lab: RunningLab, owner: Any, bucket: str) -> None:
    owner.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, "s3:*", principal="arn:aws:iam::111111111111:root"))
    with lab.world.lock:
        lab.world.identity.add_user("111111111111", f"nobody-{bucket}")
        key = lab.world.identity.add_access_key("111111111111", f"nobody-{bucket}")
    nobody = lab.client("s3", {"access_key": key.id, "secret_key": key.secret})
    with refused("AccessDenied", "no identity-based policy"):
        nobody.put_object(Bucket=bucket, Key="a", Body=b"1")


def test_policy_that_demands_tls(owner: Any, bucket: str) -> None:
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    denying = json.loads(policy(bucket, "s3:*", principal="*", Condition=insecure))
    denying["Statement"][0]["Effect"] = "Deny"
    owner.put_bucket_policy(Bucket=bucket, Policy=json.dumps(denying))
    owner.put_object(Bucket=bucket, Key="a", Body=b"1")
    denying["Statement"][0]["Condition"] = {"Bool": {"aws:SecureTransport": "true"}}
    owner.put_bucket_policy(Bucket=bucket, Policy=json.dumps(denying))
    with refused("AccessDenied", "explicit deny"):
        owner.put_object(Bucket=bucket, Key="a", Body=b"1")


def test_prefix_conditions(owner: Any, foreigner: Any, bucket: str) -> None:
    condition = {"StringLike": {"s3:prefix": "mine/*"}}
    owner.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, "s3:ListBucket", Condition=condition))
    assert foreigner.list_objects_v2(Bucket=bucket, Prefix="mine/data")["KeyCount"] == 0
    with refused("AccessDenied"):
        foreigner.list_objects_v2(Bucket=bucket, Prefix="yours/")


def test_expected_bucket_owner(owner: Any, bucket: str) -> None:
    owner.put_object(Bucket=bucket, Key="a", Body=b"1", ExpectedBucketOwner="222222222222")
    with refused("AccessDenied", "Access Denied"):
        owner.put_object(Bucket=bucket, Key="a", Body=b"2", ExpectedBucketOwner="111111111111")
    with refused("403"):
        owner.head_bucket(Bucket=bucket, ExpectedBucketOwner="111111111111")


def test_missing_key_is_hidden_without_list_permission(owner: Any, foreigner: Any, bucket: str) -> None:
    with refused("NoSuchKey"):
        owner.get_object(Bucket=bucket, Key="a")
    owner.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, "s3:GetObject"))
    with refused("AccessDenied"):
        foreigner.get_object(Bucket=bucket, Key="a")
    owner.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, "s3:GetObject", "s3:ListBucket"))
    with refused("NoSuchKey"):
        foreigner.get_object(Bucket=bucket, Key="a")
    with refused("404"):
        foreigner.head_object(Bucket=bucket, Key="a")


# Ownership


def test_owner_enforced_bucket_takes_no_acl(owner: Any, foreigner: Any, bucket: str) -> None:
    with refused("AccessControlListNotSupported", "The bucket does not allow ACLs"):
        owner.put_object(Bucket=bucket, Key="a", Body=b"1", ACL="public-read")
    owner.put_object(Bucket=bucket, Key="a", Body=b"1", ACL="private")
    owner.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, *WRITES))
    foreigner.put_object(Bucket=bucket, Key="a", Body=b"1", ACL="bucket-owner-full-control")
    with refused("AccessControlListNotSupported"):
        foreigner.put_object(Bucket=bucket, Key="a", Body=b"1", ACL="private")


def test_acl_needs_its_permission(owner: Any, foreigner: Any, bucket: str) -> None:
    owner.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, "s3:PutObject"))
    foreigner.put_object(Bucket=bucket, Key="a", Body=b"1")
    with refused("AccessDenied", "s3:PutObjectAcl"):
        foreigner.put_object(Bucket=bucket, Key="a", Body=b"1", ACL="bucket-owner-full-control")


@pytest.mark.parametrize("ownership", ["ObjectWriter", "BucketOwnerPreferred"])
def test_foreign_writer_owns_without_enforcement(
    owner: Any, foreigner: Any, names: Iterator[str], ownership: str
) -> None:
    bucket = make(owner, next(names), ObjectOwnership=ownership)
    owner.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, *WRITES))
    foreigner.put_object(Bucket=bucket, Key="theirs", Body=b"1")
    foreigner.put_object(Bucket=bucket, Key="given", Body=b"2", ACL="bucket-owner-full-control")
    with refused("AccessDenied"):
        owner.get_object(Bucket=bucket, Key="theirs")
    assert owner.get_object(Bucket=bucket, Key="given")["Body"].read() == b"2"


# Encryption


def test_customer_key_is_needed_to_write_and_read(lab: RunningLab, owner: Any, foreigner: Any, bucket: str) -> None:
    owner.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, *WRITES, "s3:GetObject"))
    kms = lab.client("kms", "destination")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    sealed = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    with refused("AccessDenied", "kms:GenerateDataKey"):
        foreigner.put_object(Bucket=bucket, Key="a", Body=b"1", **sealed)
    document = json.loads(kms.get_key_policy(KeyId=key)["Policy"])
    sharing = {"Effect": "Allow", "Principal": {"AWS": FERRY}, "Action": "kms:GenerateDataKey", "Resource": "*"}
    document["Statement"].append(sharing)
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(document))
    assert foreigner.put_object(Bucket=bucket, Key="a", Body=b"1", **sealed)["SSEKMSKeyId"] == key
    with refused("AccessDenied", "kms:Decrypt"):
        foreigner.get_object(Bucket=bucket, Key="a")
    read = owner.get_object(Bucket=bucket, Key="a")
    assert (read["Body"].read(), read["ServerSideEncryption"], read["SSEKMSKeyId"]) == (b"1", "aws:kms", key)
    kms.disable_key(KeyId=key)
    with refused("KMS.DisabledException", "is disabled"):
        owner.get_object(Bucket=bucket, Key="a")


def test_default_encryption_of_the_bucket(lab: RunningLab, owner: Any, bucket: str) -> None:
    key = lab.client("kms", "destination").create_key()["KeyMetadata"]["Arn"]
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    owner.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [default]})
    assert owner.put_object(Bucket=bucket, Key="a", Body=b"1")["SSEKMSKeyId"] == key
    plain = owner.put_object(Bucket=bucket, Key="b", Body=b"1", ServerSideEncryption="AES256")
    assert plain["ServerSideEncryption"] == "AES256" and "SSEKMSKeyId" not in plain


def test_kms_without_a_key_cannot_be_read_across_accounts(owner: Any, foreigner: Any, bucket: str) -> None:
    owner.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, *WRITES))
    written = foreigner.put_object(Bucket=bucket, Key="a", Body=b"1", ServerSideEncryption="aws:kms")
    assert written["SSEKMSKeyId"].startswith("arn:aws:kms:eu-west-1:111111111111:key/")
    with refused("AccessDenied", "kms:Decrypt"):
        owner.get_object(Bucket=bucket, Key="a")


def test_keys_that_s3_cannot_use(owner: Any, bucket: str) -> None:
    for region, text in (("eu-west-1", "does not exist"), ("us-east-1", "Invalid arn us-east-1")):
        arn = f"arn:aws:kms:{region}:222222222222:key/00000000-0000-4000-8000-000000000000"
        with refused("KMS.NotFoundException", text):
            owner.put_object(Bucket=bucket, Key="a", Body=b"1", ServerSideEncryption="aws:kms", SSEKMSKeyId=arn)


# Objects


def test_write_only_if_absent(owner: Any, bucket: str) -> None:
    owner.put_object(Bucket=bucket, Key="lock", Body=b"first", IfNoneMatch="*")
    with refused("PreconditionFailed", "At least one of the pre-conditions"):
        owner.put_object(Bucket=bucket, Key="lock", Body=b"second", IfNoneMatch="*")
    assert owner.get_object(Bucket=bucket, Key="lock")["Body"].read() == b"first"
    owner.delete_object(Bucket=bucket, Key="lock")
    owner.put_object(Bucket=bucket, Key="lock", Body=b"third", IfNoneMatch="*")


@pytest.mark.parametrize("size", [0, 1, MEMORY_BYTES, MEMORY_BYTES + 1])
def test_bodies_of_any_size_stay_until_they_are_replaced(lab: RunningLab, owner: Any, bucket: str, size: int) -> None:
    directory = lab.world.part(Buckets).bucket(bucket).directory
    for byte in (b"a", b"b"):
        owner.put_object(Bucket=bucket, Key="a", Body=byte * size)
        assert owner.get_object(Bucket=bucket, Key="a")["Body"].read() == byte * size
        assert [each["Size"] for each in owner.list_objects_v2(Bucket=bucket)["Contents"]] == [size]
        (version,) = owner.list_object_versions(Bucket=bucket)["Versions"]
        assert version["Size"] == size
        assert len(list(directory.glob("*"))) == (size > MEMORY_BYTES)
    owner.delete_object(Bucket=bucket, Key="a")
    assert "Contents" not in owner.list_objects_v2(Bucket=bucket)
    assert not list(directory.glob("*"))


def test_multipart_upload(owner: Any, bucket: str) -> None:
    body = bytes(range(256)) * 40_000
    owner.upload_fileobj(io.BytesIO(body), bucket, "big")
    assert owner.head_object(Bucket=bucket, Key="big")["ETag"].endswith('-2"')
    back = io.BytesIO()
    owner.download_fileobj(bucket, "big", back)
    assert back.getvalue() == body
    upload = owner.create_multipart_upload(Bucket=bucket, Key="small")["UploadId"]
    assert [each["UploadId"] for each in owner.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    parts = []
    for number in (1, 2):
        tag = owner.upload_part(Bucket=bucket, Key="small", UploadId=upload, PartNumber=number, Body=b"x")["ETag"]
        parts.append({"PartNumber": number, "ETag": tag})
    with refused("EntityTooSmall"):
        owner.complete_multipart_upload(Bucket=bucket, Key="small", UploadId=upload, MultipartUpload={"Parts": parts})
    owner.abort_multipart_upload(Bucket=bucket, Key="small", UploadId=upload)
    with refused("NoSuchUpload"):
        owner.upload_part(Bucket=bucket, Key="small", UploadId=upload, PartNumber=1, Body=b"x")


def test_versions(owner: Any, bucket: str) -> None:
    owner.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = owner.put_object(Bucket=bucket, Key="a", Body=b"1")["VersionId"]
    owner.put_object(Bucket=bucket, Key="a", Body=b"2")
    owner.delete_object(Bucket=bucket, Key="a")
    with refused("NoSuchKey"):
        owner.get_object(Bucket=bucket, Key="a")
    assert owner.get_object(Bucket=bucket, Key="a", VersionId=first)["Body"].read() == b"1"
    with refused("BucketNotEmpty"):
        owner.delete_bucket(Bucket=bucket)
    versions = owner.list_object_versions(Bucket=bucket)
    assert (len(versions["Versions"]), len(versions["DeleteMarkers"])) == (2, 1)
    for each in versions["Versions"] + versions["DeleteMarkers"]:
        owner.delete_object(Bucket=bucket, Key="a", VersionId=each["VersionId"])
    owner.delete_bucket(Bucket=bucket)


# For other services, and faults


def test_services_write_and_read_as_their_caller(lab: RunningLab, owner: Any, bucket: str) -> None:
    s3 = lab.world.part(Buckets)
    role = lab.world.identity.role_by_arn(FERRY)
    assert role is not None
    caller = lab.world.identity.role_caller(role, "export")

    def code(call: Callable[..., Any], *arguments: Any, **params: Any) -> str:
        with pytest.raises(AwsError) as failure:
            call(*arguments, **params)
        return failure.value.code

    assert code(s3.put_object_as, caller, "nobody-has-this", "k", b"") == "NoSuchBucket"
    assert code(s3.put_object_as, caller, bucket, "k", b"") == "AccessDenied"
    owner.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, *WRITES))
    assert code(s3.put_object_as, caller, bucket, "k", b"", expected_owner="111111111111") == "AccessDenied"
    stored = s3.put_object_as(
        caller, bucket, "data/k", b"abc", expected_owner="222222222222", acl="bucket-owner-full-control", multipart=True
    )
    assert stored.etag.endswith("-1") and stored.sse_algorithm == "AES256"
    assert code(s3.get_object_as, caller, bucket, "data/k") == "AccessDenied"
    assert code(s3.list_objects_as, caller, bucket, "data/") == "AccessDenied"
    owner.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, "s3:GetObject", "s3:ListBucket"))
    assert s3.get_object_as(caller, bucket, "data/k") == b"abc"
    assert s3.list_objects_as(caller, bucket, "data/") == [("data/k", 3, stored.etag)]


def test_corrupted_object(lab: RunningLab, owner: Any, bucket: str) -> None:
    owner.put_object(Bucket=bucket, Key="a", Body=b"good")
    lab.add_fault(operation="s3.GetObject", kind="corrupt_object", match={"Key": "a"})
    assert owner.get_object(Bucket=bucket, Key="a")["Body"].read() != b"good"
    assert owner.get_object(Bucket=bucket, Key="a")["Body"].read() == b"good"
    lab.clear_faults()


def locked(owner: Any, name: str, mode: str) -> str:
    made = make(owner, name, ObjectLockEnabledForBucket=True)
    retention = {"DefaultRetention": {"Mode": mode, "Days": 1}}
    owner.put_object_lock_configuration(
        Bucket=made, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention}
    )
    return made


def test_object_lock_keeps_versions(lab: RunningLab, owner: Any, bucket: str, names: Iterator[str]) -> None:
    with refused("InvalidBucketState"):  # not without versioning
        owner.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    for mode in ("GOVERNANCE", "COMPLIANCE"):
        made = locked(owner, next(names), mode)
        assert owner.get_bucket_versioning(Bucket=made)["Status"] == "Enabled"
        with refused("InvalidBucketState"):
            owner.put_bucket_versioning(Bucket=made, VersioningConfiguration={"Status": "Suspended"})
        version = owner.put_object(Bucket=made, Key="a", Body=b"x")["VersionId"]
        owner.delete_object(Bucket=made, Key="a")  # a marker only
        assert owner.head_object(Bucket=made, Key="a", VersionId=version)["ObjectLockMode"] == mode
        with refused("AccessDenied", "protected by object lock"):
            owner.delete_object(Bucket=made, Key="a", VersionId=version)
        bypass = {"Bucket": made, "Key": "a", "VersionId": version, "BypassGovernanceRetention": True}
        if mode == "GOVERNANCE":
            owner.delete_object(**bypass)
        else:
            with refused("AccessDenied", "protected by object lock"):
                owner.delete_object(**bypass)
            lab.advance(86401)
            owner.delete_object(Bucket=made, Key="a", VersionId=version)


def test_object_lock_wants_a_checksum(lab: RunningLab, owner: Any, names: Iterator[str]) -> None:
    made = locked(owner, next(names), "GOVERNANCE")
    plain = lab.client("s3", "destination", request_checksum_calculation="when_required")
    plain.meta.events.register("before-sign.s3.PutObject", without_checksums)
    with refused("InvalidRequest", "Content-MD5 OR x-amz-checksum-"):
        plain.put_object(Bucket=made, Key="a", Body=b"x")
    owner.put_object(Bucket=made, Key="a", Body=b"x")


def without_checksums(request: Any, **_: Any) -> None:
    for name in list(request.headers):
        if name.lower() == "content-md5" or name.lower().startswith("x-amz-checksum-"):
            del request.headers[name]
