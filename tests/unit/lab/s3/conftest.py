# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's S3 and two accounts that use it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.client import RunningLab, running

REGION = "eu-west-1"
SERVICES = (
    "lab.services.sts.StsService",
    "lab.services.iam.IamService",
    "lab.services.kms.KmsService",
    "lab.s3.service.S3Service",
)
FERRY = "arn:aws:iam::111111111111:role/ferry"
WRITES = ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"]


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with running(services=SERVICES) as lab:
        yield lab


@pytest.fixture(scope="module")
def names() -> Iterator[str]:
    return (f"bucket-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def owner(lab: RunningLab) -> Any:
    """S3 as the administrator of the destination account."""
    return lab.client("s3", "destination")


@pytest.fixture(scope="module")
def foreigner(lab: RunningLab) -> Any:
    """S3 as the role ferry of the source account."""
    return lab.client("s3", "source/ferry")


@pytest.fixture
def bucket(owner: Any, names: Iterator[str]) -> str:
    """A new bucket of the destination account."""
    return make(owner, next(names))


def make(client: Any, name: str, **params: Any) -> str:
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}, **params)
    return name


def policy(bucket: str, *actions: str, principal: Any = FERRY, **more: Any) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": list(actions),
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        **more,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def refused(code: str, message: str = "") -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)[\s\S]*{message}")
