# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""S3: buckets of all accounts in one namespace; bucket policies, ownership and encryption decide who may do what.

``Buckets`` is what the lab's other services call; ``lab.s3.http`` speaks the REST protocol to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lab import policy
from lab.behaviours import Behaviour
from lab.caller import Caller, ConditionValue
from lab.errors import AwsError
from lab.messages import AuthorizationRequest
from lab.partitions import partition_of
from lab.rules import Rule, rule
from lab.s3 import xml
from lab.s3.store import (
    UNVERSIONED,
    Bucket,
    StoredObject,
    Upload,
    WriteOptions,
    multipart_etag,
    plain_etag,
)
from lab.services.kms import KmsService
from lab.services.policies import PolicyFlaw, checked_policy
from lab.world import World

BUCKET_MISSING = rule(
    "s3-bucket-missing",
    service="s3",
    says="A bucket that nobody has is 404 NoSuchBucket",
    fact="measured/import-export-table 1.3",
    test="s3/test_buckets.py::test_missing_bucket",
)
NAMES_ARE_GLOBAL = rule(
    "s3-names-are-global",
    service="s3",
    says="A bucket's name is taken for all accounts: BucketAlreadyOwnedByYou for its owner, BucketAlreadyExists for "
    "others",
    fact="AWS API reference s3:CreateBucket",
    test="s3/test_buckets.py::test_bucket_names_are_global",
)
REGION_MUST_BE_SAID = rule(
    "s3-region-must-be-said",
    service="s3",
    says="CreateBucket outside us-east-1 needs the endpoint's Region as LocationConstraint: "
    "IllegalLocationConstraintException",
    fact="AWS API reference s3:CreateBucket",
    test="s3/test_buckets.py::test_create_bucket_needs_its_region",
)
TAGGED_WHEN_CREATED = rule(
    "s3-tags-when-created",
    service="s3",
    says="CreateBucket takes tags: they are aws:RequestTag of s3:CreateBucket and s3:TagResource, both of which are "
    "needed. Where a partition's S3 does not take them yet (behaviour s3.tags_when_created) it is 400 "
    "UnsupportedArgument",
    fact="AWS API reference s3:CreateBucketConfiguration; Amazon S3 user guide, Creating general purpose buckets with "
    "tags; hashicorp/terraform-provider-aws issue 45784 for the refusal",
    test="s3/test_bucket_tags.py::test_tags_when_created",
)
OWNERSHIP_NEEDS_PERMISSION = rule(
    "s3-ownership-needs-permission",
    service="s3",
    says="CreateBucket with an object ownership needs s3:PutBucketOwnershipControls too",
    fact="AWS API reference s3:CreateBucket, Permissions",
    test="s3/test_bucket_tags.py::test_ownership_needs_its_permission",
)
SOUND_TAGS = rule(
    "s3-sound-tags",
    service="s3",
    says="A bucket has at most 50 tags, each key once and none that begins with aws:: 400 InvalidTag",
    fact="AWS API reference s3:PutBucketTagging, S3 tagging error codes; the words are a guess",
    test="s3/test_bucket_tags.py::test_sound_tags",
    confirmed=False,
)
POLICY_DECIDES_ACROSS_ACCOUNTS = rule(
    "s3-policy-decides-across-accounts",
    service="s3",
    says="A principal of another account needs the bucket's policy (naming the role, the session, or its account's "
    "root) and its own policies; it gets 403 AccessDenied otherwise",
    fact="aws.md A4, B3",
    test="s3/test_buckets.py::test_bucket_policy_decides_across_accounts",
)
SECURE_TRANSPORT = rule(
    "s3-secure-transport",
    service="s3",
    says="aws:SecureTransport is true for every request of the lab, though it speaks plain HTTP on loopback, so that a "
    "bucket policy that demands TLS lets the SDK's requests pass as on AWS",
    fact="AWS IAM global condition keys",
    test="s3/test_buckets.py::test_policy_that_demands_tls",
)
BUCKET_OWNER_EXPECTED = rule(
    "s3-expected-owner",
    service="s3",
    says="A request that names another expected bucket owner is 403 AccessDenied `Access Denied`",
    fact="measured/import-export-table 1.3",
    test="s3/test_buckets.py::test_expected_bucket_owner",
)
OWNER_ENFORCED = rule(
    "s3-owner-enforced",
    service="s3",
    says="A bucket with BucketOwnerEnforced (the default) owns every object and accepts no ACL but "
    "bucket-owner-full-control, and private from its own account: 400 AccessControlListNotSupported",
    fact="aws.md A4; ansible-collections/amazon.aws issue 863 for private",
    test="s3/test_buckets.py::test_owner_enforced_bucket_takes_no_acl",
)
WRITER_OWNS = rule(
    "s3-writer-owns",
    service="s3",
    says="Without BucketOwnerEnforced an object of a foreign writer is unreadable for the bucket's owner unless it was "
    "written with bucket-owner-full-control",
    fact="aws.md A4",
    test="s3/test_buckets.py::test_foreign_writer_owns_without_enforcement",
)
ACL_NEEDS_PERMISSION = rule(
    "s3-acl-needs-permission",
    service="s3",
    says="Writing with an ACL needs s3:PutObjectAcl besides s3:PutObject",
    fact="aws.md A4",
    test="s3/test_buckets.py::test_acl_needs_its_permission",
)
WRITTEN_ONCE = rule(
    "s3-if-none-match",
    service="s3",
    says="A write with If-None-Match: * onto an existing key is 412 PreconditionFailed and changes nothing",
    fact="AWS API reference s3:PutObject",
    test="s3/test_buckets.py::test_write_only_if_absent",
)
OBJECT_LOCK = rule(
    "s3-object-lock",
    service="s3",
    says="Object Lock turns versioning on for good and keeps locked versions from deletion: 403 AccessDenied; "
    "GOVERNANCE gives way to who sends the bypass and may s3:BypassGovernanceRetention",
    fact="Amazon S3 user guide, Locking objects with Object Lock",
    test="s3/test_buckets.py::test_object_lock_keeps_versions",
)
LOCK_WANTS_CHECKSUM = rule(
    "s3-object-lock-wants-checksum",
    service="s3",
    says="Writing into a bucket with a default retention needs Content-MD5 or a checksum header: 400 InvalidRequest",
    fact="AWS API reference s3:PutObject, Content-MD5",
    test="s3/test_buckets.py::test_object_lock_wants_a_checksum",
)
KEY_HIDDEN = rule(
    "s3-missing-key-hidden",
    service="s3",
    says="A missing key is 404 NoSuchKey only for who may list the bucket, else 403 AccessDenied",
    fact="AWS API reference s3:GetObject",
    test="s3/test_buckets.py::test_missing_key_is_hidden_without_list_permission",
)
ENCRYPTION_NEEDS_THE_KEY = rule(
    "s3-encryption-needs-the-key",
    service="s3",
    says="Writing under a KMS key needs kms:GenerateDataKey, reading needs kms:Decrypt, each for the calling principal",
    fact="aws.md A5, B3",
    test="s3/test_buckets.py::test_customer_key_is_needed_to_write_and_read",
)
DEFAULT_KEY_IS_THE_CALLERS = rule(
    "s3-default-kms-key",
    service="s3",
    says="aws:kms without a key means aws/s3 of the caller's own account, which no other account can read",
    fact="aws.md A5",
    test="s3/test_buckets.py::test_kms_without_a_key_cannot_be_read_across_accounts",
    confirmed=False,
)
PUBLIC_POLICY_BLOCKED = rule(
    "s3-public-policy-blocked",
    service="s3",
    says="A bucket that blocks public policies (the default) refuses a policy that allows everybody",
    fact="AWS S3 user guide, block public access",
    test="s3/test_buckets.py::test_bad_bucket_policies",
)
POLICY_MUST_BE_SOUND = rule(
    "s3-policy-must-be-sound",
    service="s3",
    says="A bucket policy that is malformed, or names another bucket or a principal that does not exist, is "
    "MalformedPolicy",
    fact="AWS API reference s3:PutBucketPolicy",
    test="s3/test_buckets.py::test_bad_bucket_policies",
)

TAGS_WHEN_CREATED = Behaviour("s3.tags_when_created", ("taken", "refused"))
MOST_TAGS = 50
_BUCKET_NAME = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
OWNER_FULL_CONTROL = "bucket-owner-full-control"
SMALLEST_PART_BYTES = 5 * 1024 * 1024

_NEW_BUCKET_SETTINGS = {
    "ownershipControls": xml.document("OwnershipControls", [("Rule", [("ObjectOwnership", "BucketOwnerEnforced")])]),
    "publicAccessBlock": xml.document(
        "PublicAccessBlockConfiguration",
        [
            (name, "true")
            for name in ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        ],
    ),
}


def sound_tags(document: bytes) -> dict[str, str]:
    """The tags in a document, by their keys; AwsError InvalidTag for those that S3 does not take."""
    found = [(tag.findtext("Key") or "", tag.findtext("Value") or "") for tag in xml.parse(document).iter("Tag")]
    tags = dict(found)
    if len(tags) < len(found):
        raise SOUND_TAGS.error("InvalidTag", "Cannot provide multiple Tags with the same key")
    if any(key.lower().startswith("aws:") for key in tags):
        raise SOUND_TAGS.error("InvalidTag", "System tags cannot be added/updated by requester")
    if len(tags) > MOST_TAGS:
        raise SOUND_TAGS.error("InvalidTag", f"Bucket tag count cannot be greater than {MOST_TAGS}")
    return tags


def is_public(statement: policy.Statement) -> bool:
    """Whether a bucket policy's statement allows everybody; S3 counts one with conditions as not public."""
    return statement.allow and ("AWS", "*") in statement.principals and not statement.conditions


class Buckets:
    """The buckets of all accounts. Methods whose names end in ``_as`` work for ``caller`` as S3 would, and raise S3's
    own errors."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.by_name: dict[str, Bucket] = {}
        world.behaviours.define([TAGS_WHEN_CREATED])

    # For other services

    def put_object_as(
        self,
        caller: Caller,
        bucket: str,
        key: str,
        body: bytes,
        *,
        expected_owner: str | None = None,
        sse_algorithm: str | None = None,
        kms_key_id: str | None = None,
        acl: str | None = None,
        multipart: bool = False,
        options: WriteOptions | None = None,
    ) -> StoredObject:
        """Write an object as ``caller``; ``sse_algorithm`` as in ``WriteOptions``, or ``KMS`` as exports say it.

        ``multipart`` is for writers that upload in parts: the ETag then ends in ``-1``. ``options`` are whole
        WriteOptions instead of the single ones. AwsErrors NoSuchBucket (404), AccessDenied (403),
        KMS.NotFoundException, KMS.DisabledException and the others of S3's PutObject.
        """
        chosen = options or WriteOptions(
            "aws:kms" if sse_algorithm == "KMS" else sse_algorithm or "", kms_key_id or "", acl or ""
        )
        with self.world.lock:
            target = self.bucket(bucket, expected_owner)
            self.may_write(caller, target, key, chosen)
            body = self._corrupted("s3.PutObject", caller, target, key, body)
            etag = multipart_etag([body]) if multipart else plain_etag(body)
            return self.store(caller, target, key, body, etag, chosen)

    def get_object_as(self, caller: Caller, bucket: str, key: str, expected_owner: str | None = None) -> bytes:
        """An object's body, read as ``caller``. AwsErrors NoSuchBucket, NoSuchKey, AccessDenied, KMS.*."""
        return self.read_as(caller, bucket, key, expected_owner=expected_owner)[1]

    def read_as(
        self, caller: Caller, bucket: str, key: str, *, version_id: str = "", expected_owner: str | None = None
    ) -> tuple[StoredObject, bytes]:
        """An object and its body, read as ``caller``."""
        with self.world.lock:
            stored = self.head_as(caller, bucket, key, version_id=version_id, expected_owner=expected_owner)
            return stored, self._corrupted("s3.GetObject", caller, self.by_name[bucket], key, stored.read())

    def head_as(
        self, caller: Caller, bucket: str, key: str, *, version_id: str = "", expected_owner: str | None = None
    ) -> StoredObject:
        """An object without its body; permissions as for reading it."""
        with self.world.lock:
            source = self.bucket(bucket, expected_owner)
            action = "s3:GetObjectVersion" if version_id else "s3:GetObject"
            self.allow(caller, action, source, key)
            stored = source.version(key, version_id) if version_id else source.current(key)
            if stored is None or stored.is_marker:
                self._missing_key(caller, source, key)
            assert stored is not None
            foreign = stored.owner != source.owner and caller.account_id != stored.owner
            if foreign and stored.acl not in (OWNER_FULL_CONTROL, "bucket-owner-read"):
                raise WRITER_OWNS.error("AccessDenied", "Access Denied", 403)
            if stored.kms_key_arn:
                self._use_key(caller, stored.kms_key_arn, "Decrypt", source)
            return stored

    def list_objects_as(
        self, caller: Caller, bucket: str, prefix: str, expected_owner: str | None = None
    ) -> list[tuple[str, int, str]]:
        """(key, size in bytes, ETag) of all objects whose keys start with ``prefix``, in order of keys."""
        with self.world.lock:
            source = self.bucket(bucket, expected_owner)
            self.allow(caller, "s3:ListBucket", source, conditions={"s3:prefix": prefix})
            objects = (source.current(key) for key in source.keys_from(prefix))
            return [(stored.key, stored.size, stored.etag) for stored in objects if stored]

    # Buckets

    def bucket(self, name: str, expected_owner: str | None = None) -> Bucket:
        """The bucket called ``name``; AwsErrors NoSuchBucket, AccessDenied when its owner is not the expected one."""
        bucket = self.by_name.get(name)
        if bucket is None:
            raise BUCKET_MISSING.error("NoSuchBucket", "The specified bucket does not exist", 404, BucketName=name)
        if expected_owner and expected_owner != bucket.owner:
            raise BUCKET_OWNER_EXPECTED.error("AccessDenied", "Access Denied", 403)
        return bucket

    def create_bucket(
        self,
        caller: Caller,
        name: str,
        region: str,
        constraint: str,
        ownership: str,
        acl: str,
        *,
        tags: Mapping[str, str] | None = None,
        locking: bool = False,
    ) -> Bucket:
        """A new bucket of the caller's account in ``region``; ``constraint`` is the LocationConstraint as sent."""
        needed = {"s3:CreateBucket": True, "s3:TagResource": tags, "s3:PutBucketOwnershipControls": ownership}
        conditions: dict[str, ConditionValue] = dict(policy.request_tags({"Tags": tags or {}}))
        if ownership:
            conditions["s3:x-amz-object-ownership"] = ownership
        for action in (each for each, asked in needed.items() if asked):
            arn = f"arn:{partition_of(region)}:s3:::{name}"
            self.world.authorize(caller, action, arn, conditions=conditions, region=region)
        if tags and self.world.behaviours[TAGS_WHEN_CREATED.name] == "refused":
            text = "A parameter you provided implies functionality that is not implemented."
            raise TAGGED_WHEN_CREATED.error("UnsupportedArgument", text)
        if not _BUCKET_NAME.fullmatch(name):
            raise AwsError("InvalidBucketName", "The specified bucket is not valid.", 400)
        if constraint != ("" if region == "us-east-1" else region):
            shown = constraint or "unspecified"
            raise REGION_MUST_BE_SAID.error(
                "IllegalLocationConstraintException",
                f"The {shown} location constraint is incompatible for the region specific endpoint this request was "
                "sent to.",
            )
        taken = self.by_name.get(name)
        if taken is not None and taken.owner == caller.account_id:
            text = "Your previous request to create the named bucket succeeded and you already own it."
            raise NAMES_ARE_GLOBAL.error("BucketAlreadyOwnedByYou", text, 409)
        if taken is not None:
            text = (
                "The requested bucket name is not available. The bucket namespace is shared by all users of the system."
            )
            raise NAMES_ARE_GLOBAL.error("BucketAlreadyExists", text, 409)
        if acl not in ("", "private") and ownership in ("", "BucketOwnerEnforced"):
            text = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
            raise OWNER_ENFORCED.error("InvalidBucketAclWithObjectOwnership", text)
        directory = self.world.data_directory / "s3" / name
        bucket = Bucket(name, caller.account_id, region, self.world.clock.now(), directory)
        bucket.settings = dict(_NEW_BUCKET_SETTINGS)
        if ownership:
            rules = [("Rule", [("ObjectOwnership", ownership)])]
            bucket.settings["ownershipControls"] = xml.document("OwnershipControls", rules)
        if tags:
            shown: list[tuple[str, xml.Value]] = [("Tag", [("Key", key), ("Value", tags[key])]) for key in tags]
            bucket.settings["tagging"] = xml.document("Tagging", [("TagSet", shown)])
        if locking:
            bucket.settings["object-lock"] = xml.document("ObjectLockConfiguration", [("ObjectLockEnabled", "Enabled")])
            bucket.settings["versioning"] = xml.document("VersioningConfiguration", [("Status", "Enabled")])
        self.by_name[name] = bucket
        return bucket

    def delete_bucket(self, bucket: Bucket) -> None:
        """Remove an empty bucket; AwsError BucketNotEmpty."""
        if bucket.keys:
            raise AwsError("BucketNotEmpty", "The bucket you tried to delete is not empty", 409)
        for upload in tuple(bucket.uploads.values()):
            self.drop_upload(bucket, upload)
        del self.by_name[bucket.name]

    def put_policy(self, bucket: Bucket, text: str) -> None:
        """Set the bucket's policy; AwsErrors MalformedPolicy, and AccessDenied for a public one that is blocked."""
        try:
            statements = checked_policy(self.world, text)
        except PolicyFlaw as flaw:
            raise POLICY_MUST_BE_SOUND.error("MalformedPolicy", str(flaw)) from None
        for statement in statements:
            for resource in statement.resources:
                if not (resource == bucket.arn or resource.startswith(f"{bucket.arn}/")):
                    raise POLICY_MUST_BE_SOUND.error("MalformedPolicy", "Policy has invalid resource")
            if (
                is_public(statement)
                and xml.text_in(bucket.settings.get("publicAccessBlock"), "BlockPublicPolicy") == "true"
            ):
                raise PUBLIC_POLICY_BLOCKED.error(
                    "AccessDenied",
                    "because public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.",
                    403,
                )
        bucket.policy = self.world.identity.hold(text)

    def versioned(self, bucket: Bucket) -> bool:
        """Whether the bucket keeps versions."""
        return xml.text_in(bucket.settings.get("versioning"), "Status") == "Enabled"

    def check_lock_setting(self, bucket: Bucket, name: str, document: bytes) -> None:
        """Refuse a setting that does not go with Object Lock: 409 InvalidBucketState."""
        if name == "object-lock" and not self.versioned(bucket):
            text = "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
            raise OBJECT_LOCK.error("InvalidBucketState", text, 409)
        suspends = name == "versioning" and xml.text_in(document, "Status") != "Enabled"
        if suspends and "object-lock" in bucket.settings:
            text = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
            raise OBJECT_LOCK.error("InvalidBucketState", text, 409)

    def retention(self, bucket: Bucket) -> tuple[str, float]:
        """Mode and end (epoch seconds) of the retention that a new object gets by default; ("", 0) without one."""
        document = bucket.settings.get("object-lock")
        mode = xml.text_in(document, "Mode")
        days = int(xml.text_in(document, "Days") or 0) + 365 * int(xml.text_in(document, "Years") or 0)
        return (mode, self.world.clock.now() + days * 86400) if mode else ("", 0.0)

    def _refuse_locked(self, caller: Caller, bucket: Bucket, stored: StoredObject | None, bypass: bool) -> None:
        if stored is None or self.world.clock.now() >= stored.locked_until:
            return
        if stored.lock_mode == "GOVERNANCE" and bypass:
            self.allow(caller, "s3:BypassGovernanceRetention", bucket, stored.key, refusing=OBJECT_LOCK)
            return
        raise OBJECT_LOCK.error("AccessDenied", "Access Denied because object protected by object lock.", 403)

    # Permission

    def allow(
        self,
        caller: Caller,
        action: str,
        bucket: Bucket,
        key: str | None = None,
        conditions: Mapping[str, ConditionValue] | None = None,
        refusing: Rule = POLICY_DECIDES_ACROSS_ACCOUNTS,
    ) -> None:
        """AccessDenied unless the caller's and the bucket's policies allow ``action`` on the bucket or its ``key``."""
        self.world.require(caller, self._request(action, bucket, key, conditions, refusing), bucket.region)

    def _request(
        self,
        action: str,
        bucket: Bucket,
        key: str | None,
        conditions: Mapping[str, ConditionValue] | None = None,
        refusing: Rule = POLICY_DECIDES_ACROSS_ACCOUNTS,
    ) -> AuthorizationRequest:
        arn = bucket.arn if key is None else f"{bucket.arn}/{key}"
        return AuthorizationRequest(
            action,
            arn,
            bucket.policy or None,
            bucket.owner,
            conditions={**(conditions or {}), "aws:ResourceAccount": bucket.owner},
            # S3 quotes the ARN where other services do not (measured/import-export-table 1.3).
            refusal=lambda message: refusing.error(
                "AccessDenied", message.replace(f"resource: {arn}", f'resource: "{arn}"'), 403
            ),
        )

    def _missing_key(self, caller: Caller, bucket: Bucket, key: str) -> None:
        listing = self._request("s3:ListBucket", bucket, None, {"s3:prefix": key})
        if not self.world.allows(caller, listing, bucket.region):
            raise KEY_HIDDEN.error("AccessDenied", "Access Denied", 403)
        raise KEY_HIDDEN.error("NoSuchKey", "The specified key does not exist.", 404, Key=key)

    # Objects

    def may_write(self, caller: Caller, bucket: Bucket, key: str, options: WriteOptions) -> None:
        """Raise S3's error when ``caller`` may not write ``key`` this way."""
        conditions: dict[str, ConditionValue] = {}
        for name, value in (
            ("s3:x-amz-acl", options.acl),
            ("s3:x-amz-server-side-encryption", options.sse_algorithm),
            ("s3:x-amz-server-side-encryption-aws-kms-key-id", options.kms_key_id),
        ):
            if value:
                conditions[name] = value
        self.allow(caller, "s3:PutObject", bucket, key, conditions)
        if options.acl:
            self.allow(caller, "s3:PutObjectAcl", bucket, key, conditions, ACL_NEEDS_PERMISSION)
        harmless = {"", OWNER_FULL_CONTROL, "private" if caller.account_id == bucket.owner else ""}
        if self._ownership(bucket) == "BucketOwnerEnforced" and options.acl not in harmless:
            raise OWNER_ENFORCED.error("AccessControlListNotSupported", "The bucket does not allow ACLs")
        current = bucket.current(key)
        if (options.if_none_match and current) or (
            options.if_match and (not current or options.if_match.strip('"') != current.etag)
        ):
            text = "At least one of the pre-conditions you specified did not hold"
            raise WRITTEN_ONCE.error("PreconditionFailed", text, 412)

    def store(
        self, caller: Caller, bucket: Bucket, key: str, body: bytes, etag: str, options: WriteOptions
    ) -> StoredObject:
        """Encrypt and keep an object that ``may_write`` allowed."""
        algorithm, key_arn = self._encryption(caller, bucket, options)
        ownership = self._ownership(bucket)
        given = ownership == "BucketOwnerPreferred" and options.acl == OWNER_FULL_CONTROL
        stored = StoredObject(
            key,
            self._new_version(bucket),
            len(body),
            etag,
            self.world.clock.now(),
            bucket.owner if given or ownership == "BucketOwnerEnforced" else caller.account_id,
            bucket.keep(body),
            algorithm,
            key_arn,
            options.acl,
            options.content_type,
            options.metadata,
            *self.retention(bucket),
        )
        bucket.add(stored)
        return stored

    def delete_as(
        self, caller: Caller, bucket: Bucket, key: str, version_id: str = "", *, bypass: bool = False
    ) -> StoredObject | None:
        """Delete an object or one version; the delete marker where one was made.

        ``bypass``: the caller wants to delete what is locked in mode GOVERNANCE. AccessDenied for what stays locked.
        """
        self.allow(caller, "s3:DeleteObjectVersion" if version_id else "s3:DeleteObject", bucket, key)
        if version_id:
            self._refuse_locked(caller, bucket, bucket.version(key, version_id), bypass)
            bucket.remove(key, version_id)
            return None
        if not self.versioned(bucket):
            bucket.remove(key, UNVERSIONED)
            return None
        marker = StoredObject(
            key, self._new_version(bucket), 0, "", self.world.clock.now(), bucket.owner, None, "", "", "", "", {}
        )
        bucket.add(marker)
        return marker

    def start_upload(self, caller: Caller, bucket: Bucket, key: str, options: WriteOptions) -> Upload:
        """Begin a multipart upload."""
        self.may_write(caller, bucket, key, options)
        self._encryption(caller, bucket, options)
        upload = Upload(self._identifier(), key, caller.account_id, self.world.clock.now(), options)
        bucket.uploads[upload.id] = upload
        return upload

    def upload(self, bucket: Bucket, upload_id: str, key: str) -> Upload:
        """The upload under way; AwsError NoSuchUpload."""
        upload = bucket.uploads.get(upload_id)
        if upload is None or upload.key != key:
            text = (
                "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
                "aborted or completed."
            )
            raise AwsError("NoSuchUpload", text, 404)
        return upload

    def put_part(self, caller: Caller, bucket: Bucket, upload: Upload, number: int, body: bytes) -> str:
        """Keep one part; its ETag."""
        self.allow(caller, "s3:PutObject", bucket, upload.key)
        _, key_arn = self._encryption(caller, bucket, upload.options)
        if key_arn:
            self._use_key(caller, key_arn, "Decrypt", bucket)
        if number in upload.parts:
            upload.parts[number].unlink(missing_ok=True)
        upload.parts[number] = bucket.write_file(body)
        return plain_etag(body)

    def complete_upload(
        self, caller: Caller, bucket: Bucket, upload: Upload, sent_parts: list[tuple[int, str]], options: WriteOptions
    ) -> StoredObject:
        """Join the parts ``sent_parts`` (number, ETag); ``options`` are the upload's with the call's preconditions."""
        self.may_write(caller, bucket, upload.key, options)
        parts: list[bytes] = []
        for number, etag in sent_parts:
            path = upload.parts.get(number)
            body = path.read_bytes() if path else b""
            if path is None or plain_etag(body) != etag.strip('"'):
                raise AwsError("InvalidPart", "One or more of the specified parts could not be found.", 400)
            parts.append(body)
        if [number for number, _ in sent_parts] != sorted({number for number, _ in sent_parts}):
            raise AwsError("InvalidPartOrder", "The list of parts was not in ascending order.", 400)
        if any(len(part) < SMALLEST_PART_BYTES for part in parts[:-1]):
            raise AwsError("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size", 400)
        body = self._corrupted("s3.PutObject", caller, bucket, upload.key, b"".join(parts))
        stored = self.store(caller, bucket, upload.key, body, multipart_etag(parts), options)
        self.drop_upload(bucket, upload)
        return stored

    def drop_upload(self, bucket: Bucket, upload: Upload) -> None:
        """Forget an upload and its parts."""
        for path in upload.parts.values():
            path.unlink(missing_ok=True)
        del bucket.uploads[upload.id]

    def _identifier(self) -> str:
        return f"{self.world.random.getrandbits(128):032x}"

    def _new_version(self, bucket: Bucket) -> str:
        return self._identifier() if self.versioned(bucket) else UNVERSIONED

    @staticmethod
    def _ownership(bucket: Bucket) -> str:
        return xml.text_in(bucket.settings.get("ownershipControls"), "ObjectOwnership") or "ObjectWriter"

    def _encryption(self, caller: Caller, bucket: Bucket, options: WriteOptions) -> tuple[str, str]:
        """Algorithm and key ARN of a write; the key is used once, for the data key."""
        default = bucket.settings.get("encryption")
        algorithm = options.sse_algorithm or xml.text_in(default, "SSEAlgorithm") or "AES256"
        if not algorithm.startswith("aws:kms"):
            if options.kms_key_id:
                text = "The encryption method specified is not supported with a KMS key"
                raise AwsError("InvalidArgument", text, 400)
            return algorithm, ""
        key_id = options.kms_key_id
        if not key_id and not options.sse_algorithm:
            key_id = xml.text_in(default, "KMSMasterKeyID")
        return algorithm, self._use_key(caller, key_id or "alias/aws/s3", "GenerateDataKey", bucket)

    def _use_key(self, caller: Caller, key_id: str, operation: str, bucket: Bucket) -> str:
        kms = self.world.part(KmsService)
        context = {"aws:s3:arn": bucket.arn}
        try:
            used = kms.use_key_as(
                caller, key_id, operation, bucket.region, via_service="s3", encryption_context=context
            )
        except AwsError as error:
            if error.code == "AccessDeniedException":
                raise ENCRYPTION_NEEDS_THE_KEY.error("AccessDenied", error.message, 403) from None
            raise AwsError(f"KMS.{error.code}", error.message, 400) from None
        return used.arn

    def _corrupted(self, operation: str, caller: Caller, bucket: Bucket, key: str, body: bytes) -> bytes:
        """The body, with one byte changed where a fault asks for it."""
        params = {"Bucket": bucket.name, "Key": key}
        if not body or self.world.faults.take("corrupt_object", operation, params, caller.account_id) is None:
            return body
        middle = len(body) // 2
        return body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]
