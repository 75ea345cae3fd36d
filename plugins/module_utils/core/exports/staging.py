# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The staging bucket: the S3 calls that exports, manifest and cleanup need, always with the expected owner."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

from .. import aws_errors, sdk
from ..account import Account
from ..errors import MADE_BY, FerryError, StagingBucketUnusable
from ..items.object_stream import stream_object

CHUNK = 1 << 20
LARGEST = 128 << 20  # bytes of an object read whole: a manifest of some 500,000 data files
DELETE_BATCH = 1000  # keys per DeleteObjects call
# How long files must stay: those of an export that is about to begin, and of one that is about to be imported.
EXPORT_STAYS, IMPORT_STAYS = timedelta(days=2), timedelta(days=1)
_EXPIRES = re.compile(r'expiry-date="([^"]+)"(?:, rule-id="([^"]*)")?')


class BucketMissing(StagingBucketUnusable):
    """The staging bucket does not exist (yet)."""

    @property
    def problems(self) -> list[dict[str, str]]:
        """The bucket is made with the accounts."""
        return [{**problem, MADE_BY: "accounts"} for problem in super().problems]


class ObjectMissing(StagingBucketUnusable):
    """An object of an export is not in the staging bucket (any more)."""


@dataclass(frozen=True)
class StoredObject:
    """One object of a listing; ``size`` in bytes, ``etag`` without its quotes."""

    key: str
    size: int
    etag: str = ""


@dataclass(frozen=True)
class StagingBucket:
    """A bucket as one account sees it. Every call says whose bucket it must be (``owner``, 12 digits).

    ``kms_key_arn`` encrypts what is written here; empty: S3's own key does.
    """

    account: Account = field(repr=False)
    name: str
    owner: str
    kms_key_arn: str = ""

    def to_dict(self) -> dict[str, str]:
        """Where the bucket is, as JSON-safe data: ``from_dict`` with an account makes it again."""
        return {"name": self.name, "owner": self.owner, "kms_key_arn": self.kms_key_arn}

    @classmethod
    def from_dict(cls, account: Account, data: Mapping[str, str]) -> StagingBucket:
        """The bucket of ``to_dict``'s data, seen by ``account``."""
        return cls(account, data["name"], data["owner"], data.get("kms_key_arn", ""))

    def find(self, key: str) -> bytes | None:
        """The whole object, None when there is none. For small objects. Raises StagingBucketUnusable, FerryError."""
        response = self._get(key)
        if response is None:
            return None
        body: bytes = response["Body"].read(LARGEST + 1)
        if len(body) > LARGEST:
            raise StagingBucketUnusable(
                f"s3://{self.name}/{key} has more than {LARGEST >> 20} MB, which no manifest has.",
                "Look at who writes to the bucket, then export the table again.",
            )
        return body

    def read(self, key: str) -> bytes:
        """As ``find``, but a missing object raises ObjectMissing."""
        body = self.find(key)
        if body is None:
            raise self._lacks(key)
        return body

    def stream(self, key: str) -> Iterator[bytes]:
        """The bytes of an object of any size in pieces; see ``stream_object``. Raises ObjectMissing,
        StagingBucketUnusable, FerryError."""

        def get(more: Mapping[str, str]) -> Mapping[str, Any]:
            response = self._get(key, more)
            if response is None:
                raise self._lacks(key)
            return response

        return stream_object(get, lambda cause: self._explain(cause, f"reading {key}"))

    def lines(self, key: str) -> Iterator[bytes]:
        """The lines of a gzipped object of any size, blank ones left out. Raises StagingBucketUnusable, FerryError."""
        response = self._get(key)
        if response is None:
            raise self._lacks(key)
        try:
            with gzip.open(response["Body"]) as lines:
                yield from (line for line in lines if line.strip())
        except (OSError, EOFError, zlib.error, sdk.BotoCoreError) as error:
            raise StagingBucketUnusable(
                f"s3://{self.name}/{key} cannot be read: {error}.", "Export the table again."
            ) from error

    def probe(self, key: str, *, empty: bool = False) -> None:
        """Read one byte of an object: shows that its owner, the bucket's policy and the key allow this account to read.

        An ``empty`` object has no first byte to ask for. Raises StagingBucketUnusable, FerryError.
        """
        response = self._get(key, {} if empty else {"Range": "bytes=0-0"})
        if response is None:
            raise self._lacks(key)
        response["Body"].read()
        self._require_stay(
            key,
            response,
            IMPORT_STAYS,
            "Have the lifecycle rule expire them later, or have the table exported anew with a lower export_max_age.",
        )

    def _require_stay(self, key: str, response: Mapping[str, Any], stays: timedelta, next_step: str) -> None:
        """Raises StagingBucketUnusable where a lifecycle rule of the bucket removes the object within that time: S3
        says so with each object (AWS API reference, GetObject and PutObject, x-amz-expiration)."""
        expires = _EXPIRES.search(str(response.get("Expiration") or ""))
        if expires is None:
            return
        if parsedate_to_datetime(expires[1]) - self.account.now() < stays:
            rule = f" by its lifecycle rule {unquote(expires[2])}" if expires[2] else ""
            raise StagingBucketUnusable(
                f"The bucket {self.name} removes objects such as {key} on {expires[1]}{rule}: files of the export could"
                " be gone before its import has ended.",
                next_step,
                details={"bucket": self.name, "expires": expires[1]},
            )

    def md5(self, key: str) -> str:
        """The base64 MD5 of an object of any size, as export manifests write it."""
        response = self._get(key)
        if response is None:
            raise self._lacks(key)
        digest = hashlib.md5(usedforsecurity=False)
        while chunk := response["Body"].read(CHUNK):
            digest.update(chunk)
        return b64encode(digest.digest()).decode()

    def put(self, key: str, body: bytes, kind: str = "application/json") -> None:
        """Write one object as exports write theirs: with their ACL and their encryption, by the key or by S3's own.
        ``kind`` is its content type.

        The header of the encryption is always sent: buckets may deny uploads without it. Raises StagingBucketUnusable,
        FerryError.
        """
        self._put(key, body, ContentType=kind)

    def put_new(self, key: str, body: bytes) -> bool:
        """Write one object as ``put``, only where there is none of that key: whether it was written (AWS API reference,
        PutObject, If-None-Match)."""
        return self._put(key, body, IfNoneMatch="*")

    def _put(self, key: str, body: bytes, **more: str) -> bool:
        encryption = {"ServerSideEncryption": "AES256"}
        if self.kms_key_arn:
            encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key_arn}
        request: dict[str, Any] = {
            "Bucket": self.name,
            "Key": key,
            "Body": body,
            "ExpectedBucketOwner": self.owner,
            "ContentType": "application/json",
            "ACL": "bucket-owner-full-control",
            **encryption,
            **more,
        }
        try:
            response = self._client.put_object(**request)
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            if "IfNoneMatch" in more and sdk.error_code(error) in aws_errors.OBJECT_THERE:
                return False
            raise self._explain(error, f"writing {key}") from error
        self._require_stay(
            key, response, EXPORT_STAYS, "Have the lifecycle rule expire them later, or use another bucket."
        )
        return True

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """All objects whose key begins with ``prefix``. Raises StagingBucketUnusable, FerryError."""
        request = {"Bucket": self.name, "Prefix": prefix, "ExpectedBucketOwner": self.owner}
        while True:
            try:
                page = self._client.list_objects_v2(**request)
            except (sdk.ClientError, sdk.BotoCoreError) as error:
                raise self._explain(error, f"listing {prefix}") from error
            for entry in page.get("Contents", ()):
                yield StoredObject(entry["Key"], int(entry["Size"]), str(entry.get("ETag", "")).strip('"'))
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def require_listable(self, prefix: str) -> None:
        """Raises StagingBucketUnusable where the bucket may not be listed below ``prefix``: the import, which lists it,
        would fail when the export has been billed. Raises FerryError."""
        try:
            self._client.list_objects_v2(Bucket=self.name, Prefix=prefix, MaxKeys=1, ExpectedBucketOwner=self.owner)
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            raise self._explain(error, f"listing {prefix}") from error

    def delete(self, keys: Iterable[str]) -> int:
        """Delete objects, missing ones included; returns how many. Raises StagingBucketUnusable, FerryError."""
        listed = list(keys)
        for start in range(0, len(listed), DELETE_BATCH):
            batch = [{"Key": key} for key in listed[start : start + DELETE_BATCH]]
            try:
                answer = self._client.delete_objects(
                    Bucket=self.name, Delete={"Objects": batch, "Quiet": True}, ExpectedBucketOwner=self.owner
                )
            except (sdk.ClientError, sdk.BotoCoreError) as error:
                raise self._explain(error, "deleting objects") from error
            for refused in answer.get("Errors", ()):
                raise StagingBucketUnusable(
                    f"s3://{self.name}/{refused.get('Key')} could not be deleted: {refused.get('Message')}"
                    f" ({refused.get('Code')}).",
                    f"Allow s3:DeleteObject on arn:{self.account.partition}:s3:::{self.name}/tableferry/*.",
                )
        return len(listed)

    def region(self) -> str:
        """The Region the bucket lies in. Raises BucketMissing, StagingBucketUnusable, FerryError."""
        try:
            answer = self._client.head_bucket(Bucket=self.name, ExpectedBucketOwner=self.owner)
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            if sdk.error_code(error) in aws_errors.NO_OBJECT:
                raise self._missing() from error
            raise self._explain(error, "looking at the bucket") from error
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        return str(answer.get("BucketRegion") or headers.get("x-amz-bucket-region") or self.account.region)

    def keeps_versions(self) -> bool:
        """Whether what is deleted here stays as an older version; False where the caller may not ask."""
        try:
            answer = self._client.get_bucket_versioning(Bucket=self.name, ExpectedBucketOwner=self.owner)
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            if sdk.error_code(error) in aws_errors.DENIED:
                return False
            raise self._explain(error, "reading the versioning") from error
        return answer.get("Status") in ("Enabled", "Suspended")

    @property
    def _client(self) -> Any:
        return self.account.client("s3")

    def _get(self, key: str, more: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        try:
            response: dict[str, Any] = self._client.get_object(
                Bucket=self.name, Key=key, ExpectedBucketOwner=self.owner, **(more or {})
            )
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            if sdk.error_code(error) in aws_errors.NO_OBJECT:
                return None
            raise self._explain(error, f"reading {key}") from error
        return response

    def _lacks(self, key: str) -> ObjectMissing:
        return ObjectMissing(
            f"s3://{self.name}/{key} does not exist.", "Export the table again: the files of this export are gone."
        )

    def _missing(self) -> BucketMissing:
        return BucketMissing(
            f"The staging bucket {self.name} does not exist.",
            "Create it with the role tableferry.aws.destination_account, or set bucket to another one.",
            details={"bucket": self.name},
        )

    def _explain(self, error: Exception, doing: str) -> FerryError:
        code, refusal = sdk.error_code(error), aws_errors.refusal_of(error)
        if code in aws_errors.NO_BUCKET:
            return self._missing()
        if code in aws_errors.DENIED:
            return StagingBucketUnusable(
                f"The {self.account.side} account may not use the staging bucket {self.name} ({doing}:"
                f" {sdk.told(error) or code}): it does not belong to account {self.owner}, or its policy, its"
                " KMS key or the caller's own policy does not allow it.",
                refusal.next_step
                or "Check the bucket's owner, policy and key: the role tableferry.aws.destination_account sets them.",
                details={"bucket": self.name, "expected_owner": self.owner, "code": code, **refusal.details},
            )
        return self.account.explain(error, f"{doing} in s3://{self.name}")
