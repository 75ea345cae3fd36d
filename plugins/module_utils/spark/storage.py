# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The staging bucket as the job sees it, by botocore: the engine's own, or the one that the package brings along."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..core.errors import ServiceError

CHUNK_BYTES = 128 * 1024
BROKEN_READS = 5  # in a row, of one object, after which its task ends; Spark tries it again


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
        """The bytes of an object in pieces; a connection that breaks is taken up where it broke, in the same version of
        the object. Raises ServiceError."""
        at, etag, broken = 0, "", 0
        while True:
            more = {"Range": f"bytes={at}-", "IfMatch": etag} if at else {}
            try:
                answer = self.client.get_object(Key=key, **self._of, **more)
            except Exception as error:
                raise _failed("GetObject", key, error) from error
            etag, body = answer["ETag"], answer["Body"]
            end = at + int(answer["ContentLength"])
            try:
                for chunk in body.iter_chunks(CHUNK_BYTES):
                    at, broken = at + len(chunk), 0
                    yield chunk
            except OSError as error:
                cause: Exception = error
            except Exception as error:
                if type(error).__module__.partition(".")[0] not in ("botocore", "urllib3"):
                    raise
                cause = error
            else:
                if at >= end:
                    return
                cause = ConnectionError("it ended early")
            finally:
                body.close()
            if at >= end:
                return
            broken += 1
            if broken > BROKEN_READS:
                raise _failed("GetObject", key, cause) from cause

    def write(self, key: str, content: bytes) -> None:
        """Write an object. Raises ServiceError."""
        md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        encryption = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.key_arn}
            if self.key_arn
            else {"ServerSideEncryption": "AES256"}
        )
        try:
            self.client.put_object(
                Key=key,
                Body=content,
                ContentMD5=md5,
                **self._of,
                **encryption,
            )
        except Exception as error:
            raise _failed("PutObject", key, error) from error

    def keys(self, prefix: str) -> set[str]:
        """The keys below a prefix. Raises ServiceError."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Prefix=prefix, **self._of)
        try:
            return {each["Key"] for page in pages for each in page.get("Contents", ())}
        except Exception as error:
            raise _failed("ListObjectsV2", prefix, error) from error


def _failed(operation: str, key: str, error: Exception) -> ServiceError:
    code = getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__)
    return ServiceError(
        f"{operation} of {key} failed in the job: {error}.",
        "Check the permissions of the job's role for the staging bucket and its key, then run again.",
        details={"code": code, "operation": operation, "key": key},
    )
