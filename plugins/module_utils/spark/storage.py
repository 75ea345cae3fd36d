# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The staging bucket as the job sees it, by botocore: the engine's own, or the one that the package brings along."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import ServiceError
from ..core.items.object_stream import stream_object


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
