# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""S3's REST protocol, path style: requests into calls of ``lab.s3.buckets``, answers into headers and XML."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, unquote
from xml.etree import ElementTree

from lab import policy
from lab.errors import AwsError
from lab.messages import HttpRequest, HttpResponse
from lab.rules import rule
from lab.s3 import xml
from lab.s3.buckets import LOCK_WANTS_CHECKSUM, Buckets, is_public, sound_tags
from lab.s3.store import UNVERSIONED, Bucket, StoredObject, WriteOptions
from lab.world import Context

EXPIRATION = rule(
    "s3-expiration-header",
    service="s3",
    says="PutObject, GetObject and HeadObject say in x-amz-expiration when a lifecycle rule removes the object, at a "
    "midnight, and its name; the lab removes nothing",
    fact="AWS API reference s3:GetObject; Amazon S3 user guide, Lifecycle and other bucket configurations",
    test="s3/test_http.py::test_an_object_says_when_it_expires",
)
ANOTHER_REGION = rule(
    "s3-another-region",
    service="s3",
    says="A request signed for another Region than the bucket's is 301 PermanentRedirect with x-amz-bucket-region; "
    "only GetBucketLocation is answered everywhere",
    fact="AWS API reference s3, redirection",
    test="s3/test_http.py::test_requests_for_another_region_are_redirected",
)

PAGE_KEYS = 1000
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Setting:
    """A subresource of a bucket that is kept as the document that was sent.

    ``reads`` and ``writes`` are the IAM actions; ``missing`` is (code, message) of the 404 where nothing was set,
    ``default`` the document that AWS shows instead.
    """

    name: str
    reads: str
    writes: str
    missing: tuple[str, str] = ("", "")
    default: bytes = b""


def _empty(root: str) -> bytes:
    return xml.document(root, "")


_ENCRYPTED_BY_DEFAULT = xml.document(
    "ServerSideEncryptionConfiguration",
    [
        (
            "Rule",
            [
                ("ApplyServerSideEncryptionByDefault", [("SSEAlgorithm", "AES256")]),
                ("BucketKeyEnabled", "false"),
            ],
        )
    ],
)

_SETTINGS = {
    "BucketEncryption": Setting(
        "encryption", "GetEncryptionConfiguration", "PutEncryptionConfiguration", default=_ENCRYPTED_BY_DEFAULT
    ),
    "BucketLifecycleConfiguration": Setting(
        "lifecycle",
        "GetLifecycleConfiguration",
        "PutLifecycleConfiguration",
        ("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
    ),
    "BucketVersioning": Setting(
        "versioning", "GetBucketVersioning", "PutBucketVersioning", default=_empty("VersioningConfiguration")
    ),
    "BucketOwnershipControls": Setting(
        "ownershipControls",
        "GetBucketOwnershipControls",
        "PutBucketOwnershipControls",
        ("OwnershipControlsNotFoundError", "The bucket ownership controls were not found"),
    ),
    "PublicAccessBlock": Setting(
        "publicAccessBlock",
        "GetBucketPublicAccessBlock",
        "PutBucketPublicAccessBlock",
        ("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found"),
    ),
    "BucketTagging": Setting(
        "tagging", "GetBucketTagging", "PutBucketTagging", ("NoSuchTagSet", "The TagSet does not exist")
    ),
    "BucketRequestPayment": Setting(
        "requestPayment",
        "GetBucketRequestPayment",
        "PutBucketRequestPayment",
        default=xml.document("RequestPaymentConfiguration", [("Payer", "BucketOwner")]),
    ),
    "BucketCors": Setting(
        "cors",
        "GetBucketCORS",
        "PutBucketCORS",
        ("NoSuchCORSConfiguration", "The CORS configuration does not exist"),
    ),
    "BucketLogging": Setting("logging", "GetBucketLogging", "PutBucketLogging", default=_empty("BucketLoggingStatus")),
    "BucketNotificationConfiguration": Setting(
        "notification",
        "GetBucketNotification",
        "PutBucketNotification",
        default=_empty("NotificationConfiguration"),
    ),
    "BucketAccelerateConfiguration": Setting(
        "accelerate",
        "GetAccelerateConfiguration",
        "PutAccelerateConfiguration",
        default=_empty("AccelerateConfiguration"),
    ),
    "ObjectLockConfiguration": Setting(
        "object-lock",
        "GetBucketObjectLockConfiguration",
        "PutBucketObjectLockConfiguration",
        ("ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket"),
    ),
    "BucketReplication": Setting(
        "replication",
        "GetReplicationConfiguration",
        "PutReplicationConfiguration",
        ("ReplicationConfigurationNotFoundError", "The replication configuration was not found"),
    ),
    "BucketWebsite": Setting(
        "website",
        "GetBucketWebsite",
        "PutBucketWebsite",
        ("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration"),
    ),
}
# botocore's DeleteBucketLifecycle is the only one that is named otherwise than its Put.
_DELETED_AS = {"BucketLifecycle": "BucketLifecycleConfiguration"}


class S3Http:
    """Answers HTTP requests from the ``Buckets``."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._of_bucket: dict[str, Callable[[Context, HttpRequest, Bucket], HttpResponse]] = {
            "HeadBucket": self._head_bucket,
            "DeleteBucket": self._delete_bucket,
            "GetBucketLocation": self._location,
            "GetBucketPolicy": self._get_policy,
            "PutBucketPolicy": self._put_policy,
            "DeleteBucketPolicy": self._delete_policy,
            "GetBucketPolicyStatus": self._policy_status,
            "GetBucketAcl": self._get_acl,
            "PutBucketAcl": self._put_acl,
            "ListBucketInventoryConfigurations": self._list_inventory,
            "ListObjects": self._list_objects,
            "ListObjectsV2": self._list_objects,
            "ListObjectVersions": self._list_versions,
            "ListMultipartUploads": self._list_uploads,
            "DeleteObjects": self._delete_objects,
        }
        self._of_key: dict[str, Callable[[Context, HttpRequest, Bucket, str], HttpResponse]] = {
            "GetObject": self._get_object,
            "HeadObject": self._get_object,
            "PutObject": self._put_object,
            "CopyObject": self._copy_object,
            "DeleteObject": self._delete_object,
            "CreateMultipartUpload": self._create_upload,
            "UploadPart": self._upload_part,
            "CompleteMultipartUpload": self._complete_upload,
            "AbortMultipartUpload": self._abort_upload,
            "ListParts": self._list_parts,
        }

    def answer(self, context: Context, request: HttpRequest) -> HttpResponse:
        """The response to ``request``; AwsErrors are left to the caller."""
        operation = context.operation
        name, key = request.bucket_and_key
        if operation == "ListBuckets":
            return self._list_buckets(context)
        if operation == "CreateBucket":
            return self._create_bucket(context, request, name)
        bucket = self._buckets.bucket(name, request.headers.get("x-amz-expected-bucket-owner"))
        if operation != "GetBucketLocation" and context.region and context.region != bucket.region:
            return self._redirect(request, bucket)
        if operation in self._of_key:
            return self._of_key[operation](context, request, bucket, key)
        if operation in self._of_bucket:
            return self._of_bucket[operation](context, request, bucket)
        verb, subject = next(
            ((verb, operation.removeprefix(verb)) for verb in ("Get", "Put", "Delete") if operation.startswith(verb)),
            ("", operation),
        )
        setting = _SETTINGS.get(_DELETED_AS.get(subject, subject))
        if not verb or setting is None:
            raise AwsError("NotImplemented", f"The lab's S3 has no {operation or request.method}.", 501)
        return self._setting(context, request, bucket, verb, setting)

    @staticmethod
    def _redirect(request: HttpRequest, bucket: Bucket) -> HttpResponse:
        refusal = ANOTHER_REGION.error(
            "PermanentRedirect",
            "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all "
            "future requests to this endpoint.",
            301,
        )
        content = [("Code", refusal.code), ("Message", refusal.message), ("Bucket", bucket.name)]
        body = b"" if request.method == "HEAD" else xml.document("Error", content)
        return HttpResponse(301, {"x-amz-bucket-region": bucket.region, "Content-Type": "application/xml"}, body)

    # Buckets

    def _list_buckets(self, context: Context) -> HttpResponse:
        context.authorize("s3:ListAllMyBuckets", "*")
        owned = [bucket for bucket in self._buckets.by_name.values() if bucket.owner == context.account_id]
        shown = [
            (
                "Bucket",
                [
                    ("Name", bucket.name),
                    ("CreationDate", xml.timestamp(bucket.created_at)),
                    ("BucketRegion", bucket.region),
                ],
            )
            for bucket in sorted(owned, key=lambda bucket: bucket.name)
        ]
        return _xml("ListAllMyBucketsResult", [("Buckets", shown), ("Owner", _user(context.account_id))])

    def _create_bucket(self, context: Context, request: HttpRequest, name: str) -> HttpResponse:
        self._buckets.create_bucket(
            context.caller,
            name,
            context.region,
            xml.text_in(request.body, "LocationConstraint"),
            request.headers.get("x-amz-object-ownership", ""),
            request.headers.get("x-amz-acl", ""),
            tags=sound_tags(request.body) if request.body else None,
            locking=request.headers.get("x-amz-bucket-object-lock-enabled", "").lower() == "true",
        )
        return HttpResponse(200, {"Location": f"/{name}"})

    def _delete_bucket(self, context: Context, request: HttpRequest, bucket: Bucket) -> HttpResponse:
        self._buckets.allow(context.caller, "s3:DeleteBucket", bucket)
        self._buckets.delete_bucket(bucket)
        return HttpResponse(204)

    def _head_bucket(self, context: Context, request: HttpRequest, bucket: Bucket) -> HttpResponse:
        self._buckets.allow(context.caller, "s3:ListBucket", bucket)
        return HttpResponse(200, {"x-amz-bucket-region": bucket.region})

    def _location(self, context: Context, request: HttpRequest, bucket: Bucket) -> HttpResponse:
        self._buckets.allow(context.caller, "s3:GetBucketLocation", bucket)
        return _xml("LocationConstraint", "" if bucket.region == "us-east-1" else bucket.region)

    def _setting(
        self, context: Context, request: HttpRequest, bucket: Bucket, verb: str, setting: Setting
    ) -> HttpResponse:
        action = setting.reads if verb == "Get" else setting.writes
        self._buckets.allow(context.caller, f"s3:{action}", bucket)
        if verb == "Put":
            document = xml.parse(request.body)
            self._buckets.check_lock_setting(bucket, setting.name, request.body)
            if setting.name == "tagging":
                sound_tags(request.body)
            if setting.name == "lifecycle":
                self._name_lifecycle_rules(document)
            bucket.settings[setting.name] = ElementTree.tostring(document)
            return HttpResponse(200)
        if verb == "Delete":
            bucket.settings.pop(setting.name, None)
            return HttpResponse(204)
        kept = bucket.settings.get(setting.name, setting.default)
        if not kept:
            raise AwsError(*setting.missing, 404, BucketName=bucket.name)
        return HttpResponse(200, {"Content-Type": "application/xml"}, kept)

    def _name_lifecycle_rules(self, document: ElementTree.Element) -> None:
        rules = document.findall("Rule")
        if not rules:
            raise AwsError("MalformedXML", "The XML you provided was not well-formed or did not validate", 400)
        for each in rules:
            if each.find("ID") is None:
                ElementTree.SubElement(each, "ID").text = f"{self._buckets.world.random.getrandbits(128):032x}"

    def _get_policy(self, context: Context, request: HttpRequest, bucket: Bucket) -> HttpResponse:
        self._buckets.allow(context.caller, "s3:GetBucketPolicy", bucket)
        if not bucket.policy:
            raise AwsError("NoSuchBucketPolicy", "The bucket policy does not exist", 404, BucketName=bucket.name)
        return HttpResponse(
            200, {"Content-Type": "application/json"}, self._buckets.world.identity.shown(bucket.policy).encode()
        )

    def _put_policy(self, context: Context, request: HttpRequest, bucket: Bucket) -> HttpResponse:
        self._buckets.allow(context.caller, "s3:PutBucketPolicy", bucket)
        self._buckets.put_policy(bucket, request.body.decode())
        return HttpResponse(204)

    def _delete_policy(self, context: Context, request: HttpRequest, bucket: Bucket) -> HttpResponse:
        self._buckets.allow(context.caller, "s3:DeleteBucketPolicy", bucket)
        bucket.policy = ""
        return HttpResponse(204)

    def _policy_status(self, context: Context, request: HttpRequest, bucket: Bucket) -> HttpResponse:
        self._buckets.allow(context.caller, "s3:GetBucketPolicyStatus", bucket)
        public = any(map(is_public, policy.parse(bucket.policy))) if bucket.policy else False
        return _xml("PolicyStatus", [("IsPublic", str(public).lower())])

    def _get_acl(self, context: Context, request: HttpRequest, bucket: Bucket) -> HttpResponse:
        self._buckets.allow(context.caller, "s3:GetBucketAcl", bucket)
        owner = _user(bucket.owner)[0][1]
        root = ElementTree.Element("AccessControlPolicy", {"xmlns": xml.NAMESPACE})
        ElementTree.SubElement(ElementTree.SubElement(root, "Owner"), "ID").text = owner
        grant = ElementTree.SubElement(ElementTree.SubElement(root, "AccessControlList"), "Grant")
        schema = "http://www.w3.org/2001/XMLSchema-instance"
        grantee = ElementTree.SubElement(grant, "Grantee", {"xmlns:xsi": schema, "xsi:type": "CanonicalUser"})
        ElementTree.SubElement(grantee, "ID").text = owner
        ElementTree.SubElement(grant, "Permission").text = "FULL_CONTROL"
        return HttpResponse(200, {"Content-Type": "application/xml"}, ElementTree.tostring(root))

    def _put_acl(self, context: Context, request: HttpRequest, bucket: Bucket) -> HttpResponse:
        self._buckets.allow(context.caller, "s3:PutBucketAcl", bucket)
        if request.headers.get("x-amz-acl") != "private":
            raise AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs", 400)
        return HttpResponse(200)

    def _list_inventory(self, context: Context, request: HttpRequest, bucket: Bucket) -> HttpResponse:
        self._buckets.allow(context.caller, "s3:GetInventoryConfiguration", bucket)
        return _xml("ListInventoryConfigurationsResult", [("IsTruncated", "false")])

    # Listings

    def _list_objects(self, context: Context, request: HttpRequest, bucket: Bucket) -> HttpResponse:
        asked = request.parameters
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
        self._buckets.allow(
            context.caller, "s3:ListBucket", bucket, conditions={"s3:prefix": prefix, "s3:delimiter": delimiter}
        )
        second = context.operation == "ListObjectsV2"
        limit = min(int(asked.get("max-keys", PAGE_KEYS)), PAGE_KEYS)
        token = asked.get("continuation-token", "")
        after = base64.urlsafe_b64decode(token).decode() if token else asked.get("start-after", asked.get("marker", ""))
        listing = bucket.listing(prefix, delimiter, after, limit)
        encoding = asked.get("encoding-type", "")
        shown = _encoder(encoding)
        content: list[tuple[str, Any]] = [
            ("Name", bucket.name),
            ("Prefix", shown(prefix)),
            ("MaxKeys", limit),
            ("IsTruncated", str(bool(listing.next_after)).lower()),
        ]
        if delimiter:
            content.append(("Delimiter", shown(delimiter)))
        if encoding:
            content.append(("EncodingType", encoding))
        if second:
            content.append(("KeyCount", len(listing.objects) + len(listing.prefixes)))
            if listing.next_after:
                following = base64.urlsafe_b64encode(listing.next_after.encode()).decode()
                content.append(("NextContinuationToken", following))
        else:
            content.append(("Marker", shown(asked.get("marker", ""))))
            if listing.next_after and delimiter:
                content.append(("NextMarker", shown(listing.next_after)))
        content += [("Contents", _entry(stored, shown)) for stored in listing.objects]
        content += [("CommonPrefixes", [("Prefix", shown(each))]) for each in listing.prefixes]
        return _xml("ListBucketResult", content)

    def _list_versions(self, context: Context, request: HttpRequest, bucket: Bucket) -> HttpResponse:
        prefix = request.parameters.get("prefix", "")
        self._buckets.allow(context.caller, "s3:ListBucketVersions", bucket, conditions={"s3:prefix": prefix})
        encoding = request.parameters.get("encoding-type", "")
        shown = _encoder(encoding)
        limit = min(int(request.parameters.get("max-keys", PAGE_KEYS)), PAGE_KEYS)
        after = unquote(request.parameters.get("key-marker", ""))
        content: list[tuple[str, Any]] = [("Name", bucket.name), ("Prefix", shown(prefix)), ("MaxKeys", limit)]
        if encoding:
            content.append(("EncodingType", encoding))
        count, last, truncated = 0, after, False
        for key in bucket.keys_from(prefix, after):
            # All versions of a key stay on one page, so that the key alone says where the next one starts.
            if count >= limit:
                truncated = True
                content.append(("NextKeyMarker", shown(last)))
                break
            for stored in reversed(bucket.versions[key]):
                latest = stored is bucket.versions[key][-1]
                version = [("VersionId", stored.version_id), ("IsLatest", str(latest).lower())]
                content.append(("DeleteMarker" if stored.is_marker else "Version", _entry(stored, shown) + version))
                count += 1
            last = key
        content.append(("IsTruncated", str(truncated).lower()))
        return _xml("ListVersionsResult", content)

    def _list_uploads(self, context: Context, request: HttpRequest, bucket: Bucket) -> HttpResponse:
        self._buckets.allow(context.caller, "s3:ListBucketMultipartUploads", bucket)
        prefix = request.parameters.get("prefix", "")
        shown = [
            (
                "Upload",
                [("Key", each.key), ("UploadId", each.id), ("Initiated", xml.timestamp(each.started_at))],
            )
            for each in bucket.uploads.values()
            if each.key.startswith(prefix)
        ]
        return _xml("ListMultipartUploadsResult", [("Bucket", bucket.name), ("IsTruncated", "false"), *shown])

    # Objects

    def _get_object(self, context: Context, request: HttpRequest, bucket: Bucket, key: str) -> HttpResponse:
        version_id = request.parameters.get("versionId", "")
        if context.operation == "HeadObject":
            stored = self._buckets.head_as(context.caller, bucket.name, key, version_id=version_id)
            body, size = b"", stored.size
        else:
            stored, body = self._buckets.read_as(context.caller, bucket.name, key, version_id=version_id)
            size = len(body)
        headers = {**_headers_of(stored), **_expiration(bucket, key, stored)}
        etag = request.headers.get("if-match", "")
        if etag and etag.strip('"') != stored.etag:
            raise AwsError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412)
        if request.headers.get("if-none-match", "").strip('"') == stored.etag:
            return HttpResponse(304, {"ETag": headers["ETag"]})
        status, first, last = _range_of(request.headers.get("range", ""), size)
        if status == 206:
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        headers["Content-Length"] = str(last - first + 1)
        return HttpResponse(status, headers, body[first : last + 1])

    def _put_object(self, context: Context, request: HttpRequest, bucket: Bucket, key: str) -> HttpResponse:
        expected = request.headers.get("content-md5")
        digest = hashlib.md5(request.body, usedforsecurity=False).digest()
        if expected and base64.b64encode(digest).decode() != expected:
            raise AwsError("BadDigest", "The Content-MD5 you specified did not match what we received.", 400)
        self._demand_checksum(request, bucket)
        options = _options(request)
        stored = self._buckets.put_object_as(context.caller, bucket.name, key, request.body, options=options)
        return HttpResponse(200, {**_written(stored), **_expiration(bucket, key, stored)})

    def _demand_checksum(self, request: HttpRequest, bucket: Bucket) -> None:
        sent = [name for name in request.headers if name == "content-md5" or name.startswith("x-amz-checksum-")]
        if self._buckets.retention(bucket)[0] and not sent:
            raise LOCK_WANTS_CHECKSUM.error(
                "InvalidRequest",
                "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock "
                "parameters",
            )

    def _copy_object(self, context: Context, request: HttpRequest, bucket: Bucket, key: str) -> HttpResponse:
        source, _, query = unquote(request.headers["x-amz-copy-source"]).lstrip("/").partition("?versionId=")
        source_bucket, _, source_key = source.partition("/")
        stored, body = self._buckets.read_as(
            context.caller,
            source_bucket,
            source_key,
            version_id=query,
            expected_owner=request.headers.get("x-amz-source-expected-bucket-owner"),
        )
        options = _options(request)
        if request.headers.get("x-amz-metadata-directive", "COPY") == "COPY":
            options = replace(options, content_type=stored.content_type, metadata=stored.metadata)
        written = self._buckets.put_object_as(context.caller, bucket.name, key, body, options=options)
        content = [("ETag", f'"{written.etag}"'), ("LastModified", xml.timestamp(written.modified_at))]
        return _xml("CopyObjectResult", content, _written(written))

    def _delete_object(self, context: Context, request: HttpRequest, bucket: Bucket, key: str) -> HttpResponse:
        version_id = request.parameters.get("versionId", "")
        marker = self._buckets.delete_as(context.caller, bucket, key, version_id, bypass=_bypasses(request))
        headers = {"x-amz-delete-marker": "true", "x-amz-version-id": marker.version_id} if marker else {}
        return HttpResponse(204, headers)

    def _delete_objects(self, context: Context, request: HttpRequest, bucket: Bucket) -> HttpResponse:
        document = xml.parse(request.body)
        quiet = document.findtext("Quiet") == "true"
        content: list[tuple[str, Any]] = []
        for each in document.findall("Object"):
            key, version_id = each.findtext("Key") or "", each.findtext("VersionId") or ""
            try:
                self._buckets.delete_as(context.caller, bucket, key, version_id, bypass=_bypasses(request))
            except AwsError as error:
                content.append(("Error", [("Key", key), ("Code", error.code), ("Message", error.message)]))
            else:
                if not quiet:
                    content.append(("Deleted", [("Key", key), *([("VersionId", version_id)] if version_id else [])]))
        return _xml("DeleteResult", content)

    # Multipart uploads

    def _create_upload(self, context: Context, request: HttpRequest, bucket: Bucket, key: str) -> HttpResponse:
        upload = self._buckets.start_upload(context.caller, bucket, key, _options(request))
        content = [("Bucket", bucket.name), ("Key", key), ("UploadId", upload.id)]
        return _xml("InitiateMultipartUploadResult", content)

    def _upload_part(self, context: Context, request: HttpRequest, bucket: Bucket, key: str) -> HttpResponse:
        upload = self._buckets.upload(bucket, request.parameters["uploadId"], key)
        self._demand_checksum(request, bucket)
        number = int(request.parameters["partNumber"])
        etag = self._buckets.put_part(context.caller, bucket, upload, number, request.body)
        return HttpResponse(200, {"ETag": f'"{etag}"'})

    def _complete_upload(self, context: Context, request: HttpRequest, bucket: Bucket, key: str) -> HttpResponse:
        upload = self._buckets.upload(bucket, request.parameters["uploadId"], key)
        parts = [
            (int(part.findtext("PartNumber") or 0), part.findtext("ETag") or "")
            for part in xml.parse(request.body).findall("Part")
        ]
        asked = _options(request)
        options = replace(upload.options, if_none_match=asked.if_none_match, if_match=asked.if_match)
        stored = self._buckets.complete_upload(context.caller, bucket, upload, parts, options)
        content = [
            ("Location", f"/{bucket.name}/{key}"),
            ("Bucket", bucket.name),
            ("Key", key),
            ("ETag", f'"{stored.etag}"'),
        ]
        return _xml("CompleteMultipartUploadResult", content, _written(stored))

    def _abort_upload(self, context: Context, request: HttpRequest, bucket: Bucket, key: str) -> HttpResponse:
        upload = self._buckets.upload(bucket, request.parameters["uploadId"], key)
        self._buckets.allow(context.caller, "s3:AbortMultipartUpload", bucket, key)
        self._buckets.drop_upload(bucket, upload)
        return HttpResponse(204)

    def _list_parts(self, context: Context, request: HttpRequest, bucket: Bucket, key: str) -> HttpResponse:
        upload = self._buckets.upload(bucket, request.parameters["uploadId"], key)
        self._buckets.allow(context.caller, "s3:ListMultipartUploadParts", bucket, key)
        shown = [
            ("Part", [("PartNumber", number), ("Size", path.stat().st_size)])
            for number, path in sorted(upload.parts.items())
        ]
        content = [("Bucket", bucket.name), ("Key", key), ("UploadId", upload.id), ("IsTruncated", "false")]
        return _xml("ListPartsResult", [*content, *shown])


# Shapes


def _xml(root: str, content: xml.Value, headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(200, {"Content-Type": "application/xml", **(headers or {})}, xml.document(root, content))


def _user(account_id: str) -> list[tuple[str, str]]:
    """Owner of what belongs to an account: its canonical user id."""
    return [("ID", hashlib.sha256(account_id.encode()).hexdigest())]


def _encoder(encoding: str) -> Callable[[str], str]:
    return (lambda text: quote(text, safe="/")) if encoding == "url" else (lambda text: text)


def _entry(stored: StoredObject, shown: Callable[[str], str]) -> list[tuple[str, Any]]:
    entry: list[tuple[str, Any]] = [("Key", shown(stored.key)), ("LastModified", xml.timestamp(stored.modified_at))]
    if not stored.is_marker:
        entry += [("ETag", f'"{stored.etag}"'), ("Size", stored.size), ("StorageClass", "STANDARD")]
    return entry


def _headers_of(stored: StoredObject) -> dict[str, str]:
    return {
        **_written(stored),
        "Last-Modified": formatdate(stored.modified_at, usegmt=True),
        "Content-Type": stored.content_type,
        "Accept-Ranges": "bytes",
        **{f"x-amz-meta-{name}": value for name, value in stored.metadata.items()},
    }


def _expiration(bucket: Bucket, key: str, stored: StoredObject) -> dict[str, str]:
    """When the first of the bucket's lifecycle rules removes the object; nothing is removed here."""
    document = bucket.settings.get("lifecycle")
    ends: list[tuple[float, str]] = []
    for each in xml.parse(document).findall("Rule") if document else ():
        if any(part.tag != "Prefix" for part in each.findall("Filter/*")):
            continue  # by tags or sizes
        days = each.findtext("Expiration/Days")
        prefix = each.findtext("Filter/Prefix") or each.findtext("Prefix") or ""
        if days and each.findtext("Status") == "Enabled" and key.startswith(prefix):
            midnight = (stored.modified_at + int(days) * 86400) // 86400 * 86400 + 86400
            ends.append((midnight, each.findtext("ID") or ""))
    if not ends:
        return {}
    end, name = min(ends)
    return {
        "x-amz-expiration": f'expiry-date="{formatdate(end, usegmt=True)}", rule-id="{quote(name)}"',
    }


def _written(stored: StoredObject) -> dict[str, str]:
    """What PutObject says about an object, and GetObject too."""
    headers = {"ETag": f'"{stored.etag}"', "x-amz-server-side-encryption": stored.sse_algorithm}
    if stored.kms_key_arn:
        headers["x-amz-server-side-encryption-aws-kms-key-id"] = stored.kms_key_arn
    if stored.version_id != UNVERSIONED:
        headers["x-amz-version-id"] = stored.version_id
    if stored.lock_mode:
        headers["x-amz-object-lock-mode"] = stored.lock_mode
        headers["x-amz-object-lock-retain-until-date"] = xml.timestamp(stored.locked_until)
    return headers


def _bypasses(request: HttpRequest) -> bool:
    return request.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"


def _options(request: HttpRequest) -> WriteOptions:
    headers = request.headers
    condition = headers.get("if-none-match", "")
    if condition not in ("", "*"):
        text = "A header you provided implies functionality that is not implemented"
        raise AwsError("NotImplemented", text, 501, Header="If-None-Match")
    return WriteOptions(
        sse_algorithm=headers.get("x-amz-server-side-encryption", ""),
        kms_key_id=headers.get("x-amz-server-side-encryption-aws-kms-key-id", ""),
        acl=headers.get("x-amz-acl", ""),
        content_type=headers.get("content-type", "binary/octet-stream"),
        metadata={
            name.removeprefix("x-amz-meta-"): value for name, value in headers.items() if name.startswith("x-amz-meta-")
        },
        if_none_match=condition == "*",
        if_match=headers.get("if-match", ""),
    )


def _range_of(header: str, size: int) -> tuple[int, int, int]:
    """Status, first and last byte of a body of ``size`` bytes that a Range header asks for."""
    match = _RANGE.fullmatch(header)
    if match is None or match.groups() == ("", ""):
        return 200, 0, size - 1
    start, end = match.groups()
    first = int(start) if start else max(0, size - int(end))
    last = min(int(end), size - 1) if start and end else size - 1
    if first > last:
        raise AwsError("InvalidRange", "The requested range is not satisfiable", 416)
    return 206, first, last
