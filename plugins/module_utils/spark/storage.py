# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The staging bucket as the job sees it, by botocore: the engine's own, or the one that the package brings along."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import SEEK_END
from typing import IO, Any

from ..core.aws_errors import OBJECT_THERE
from ..core.errors import ServiceError
from ..core.items.object_stream import stream_object

PART_BYTES = 64 * 1024 * 1024  # of a larger object: S3 takes 10,000 parts
_PART_SUMS = ("ChecksumCRC32", "ChecksumCRC32C", "ChecksumCRC64NVME")  # newer SDKs send one, and want it repeated


@dataclass(frozen=True)
class Bucket:
    """A bucket, whose ``owner`` is checked by AWS with each request, where it is known. ``client`` is botocore's for
    S3; what is written is encrypted with the KMS key ``key_arn`` where there is one."""

    client: Any
    name: str
    owner: str
    key_arn: str = ""

    @property
    def _of(self) -> dict[str, str]:
        return {"Bucket": self.name, **({"ExpectedBucketOwner": self.owner} if self.owner else {})}

    def read(self, key: str) -> bytes:
        """A whole object. Raises ServiceError."""
        return b"".join(self.stream(key))

    def stream(self, key: str) -> Iterator[bytes]:
        """The bytes of an object in pieces; see ``stream_object``. Raises ServiceError."""

        def get(more: Mapping[str, str]) -> Mapping[str, Any]:
            try:
                answer: Mapping[str, Any] = self.client.get_object(Key=key, **self._of, **more)
            except Exception as error:
                raise _failed("GetObject", key, error) from error
            return answer

        return stream_object(get, lambda cause: _failed("GetObject", key, cause))

    def write(self, key: str, content: bytes) -> None:
        """Write an object. Raises ServiceError."""
        md5 = hashlib.md5(content, usedforsecurity=False).digest()
        try:
            self.client.put_object(Key=key, Body=content, ContentMD5=_text(md5), **self._of, **self._encryption)
        except Exception as error:
            raise _failed("PutObject", key, error) from error

    def write_new(self, key: str, body: IO[bytes], md5: bytes, metadata: dict[str, str]) -> str | None:
        """Write ``body``, whose MD5 is known, as an object, unless there is one: its ETag, None where there is one. A
        large one goes in parts and is there with the last (AWS API reference, PutObject and CompleteMultipartUpload,
        If-None-Match). Raises ServiceError."""
        size = body.seek(0, SEEK_END)
        body.seek(0)
        more = {**self._of, **self._encryption, "Metadata": metadata}
        try:
            if size > PART_BYTES:
                return self._write_parts(key, body, more)
            with self._only_new("PutObject"):
                answer = self.client.put_object(Key=key, Body=body.read(), ContentMD5=_text(md5), **more)
            return str(answer["ETag"]).strip('"')
        except Exception as error:
            if _code(error) in OBJECT_THERE:
                return None
            raise _failed("PutObject", key, error) from error

    def _write_parts(self, key: str, body: IO[bytes], more: dict[str, Any]) -> str:
        upload = {**self._of, "Key": key}
        upload["UploadId"] = self.client.create_multipart_upload(Key=key, **more)["UploadId"]
        parts: list[dict[str, Any]] = []
        try:
            while part := body.read(PART_BYTES):
                number = len(parts) + 1
                answer = self.client.upload_part(PartNumber=number, Body=part, **upload)
                sums = {name: value for name, value in answer.items() if name in _PART_SUMS}
                parts.append({"PartNumber": number, "ETag": answer["ETag"], **sums})
            with self._only_new("CompleteMultipartUpload"):
                answer = self.client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)
            return str(answer["ETag"]).strip('"')
        except Exception:
            with suppress(Exception):  # else the bucket's rule for uploads that do not end removes the parts
                self.client.abort_multipart_upload(**upload)
            raise

    @contextmanager
    def _only_new(self, operation: str) -> Iterator[None]:
        """Within, ``operation`` writes no object that is there. By a header: the SDK of AWS Glue 5.0 has no parameter
        for it yet (spark.md 2)."""
        event = f"before-call.s3.{operation}"
        self.client.meta.events.register(event, _demand_none)
        try:
            yield
        finally:
            self.client.meta.events.unregister(event, _demand_none)

    def about(self, key: str) -> tuple[str, dict[str, str]]:
        """ETag and metadata of an object. Raises ServiceError."""
        try:
            answer = self.client.head_object(Key=key, **self._of)
        except Exception as error:
            raise _failed("HeadObject", key, error) from error
        return str(answer["ETag"]).strip('"'), answer.get("Metadata", {})

    @property
    def _encryption(self) -> dict[str, str]:
        """As the staging bucket has it: by its key, or by S3's own."""
        if self.key_arn:
            return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.key_arn}
        return {"ServerSideEncryption": "AES256"}

    def keys(self, prefix: str) -> set[str]:
        """The keys below a prefix. Raises ServiceError."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Prefix=prefix, **self._of)
        try:
            return {each["Key"] for page in pages for each in page.get("Contents", ())}
        except Exception as error:
            raise _failed("ListObjectsV2", prefix, error) from error


def _demand_none(params: dict[str, Any], **_others: Any) -> None:
    params["headers"]["If-None-Match"] = "*"


def _text(md5: bytes) -> str:
    return base64.b64encode(md5).decode()


def _code(error: Exception) -> str:
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__))


def _failed(operation: str, key: str, error: Exception) -> ServiceError:
    code = _code(error)
    return ServiceError(
        f"{operation} of {key} failed in the job: {error}.",
        "Check the permissions of the job's role for the staging bucket and its key, then run again.",
        details={"code": code, "operation": operation, "key": key},
    )
