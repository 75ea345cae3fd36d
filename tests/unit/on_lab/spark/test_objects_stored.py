# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects that the job writes once, in S3: small ones by one request, large ones in parts."""

from __future__ import annotations

import hashlib
import io
import random

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import ServiceError
from ansible_collections.tableferry.aws.plugins.module_utils.spark import storage
from ansible_collections.tableferry.aws.plugins.module_utils.spark.storage import Bucket
from tests.unit.on_lab.conftest import BUCKET, Crossing

SMALL, LARGE = b"a few bytes", random.Random(8).randbytes(13 * 1024 * 1024)


@pytest.fixture
def bucket(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setattr(storage, "PART_BYTES", 5 * 1024 * 1024)
    return Bucket(crossing.s3, BUCKET, crossing.destination.account_id)


def written(bucket: Bucket, key: str, body: bytes, **metadata: str) -> str | None:
    return bucket.write_new(key, io.BytesIO(body), hashlib.md5(body).digest(), metadata)


@pytest.mark.parametrize(("body", "parts"), [(SMALL, ""), (LARGE, "-3")])
def test_an_object_is_written_once(bucket: Bucket, crossing: Crossing, body: bytes, parts: str) -> None:
    key = f"once{parts}"
    etag = written(bucket, key, body, counts="1")
    assert etag and etag.endswith(parts)
    assert written(bucket, key, body[::-1], counts="2") is None
    assert bucket.read(key) == body
    assert bucket.about(key) == (etag, {"counts": "1"})
    assert crossing.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []
    bucket.write(key, b"anew")  # only write_new looks whether there is one
    assert bucket.read(key) == b"anew"


def test_what_fails_leaves_nothing(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PART_BYTES", 1024 * 1024)  # which S3 takes no parts of
    bucket = Bucket(crossing.s3, BUCKET, crossing.destination.account_id)
    with pytest.raises(ServiceError, match=r"EntityTooSmall|smaller than the minimum"):
        written(bucket, "refused", LARGE)
    assert crossing.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []
    with pytest.raises(ServiceError, match="HeadObject"):
        bucket.about("refused")
