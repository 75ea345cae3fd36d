# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's S3: tags of buckets, and what creating one with them needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.client import RunningLab
from tests.unit.lab.s3.conftest import REGION, make, refused

TAGS = [{"Key": "team", "Value": "data"}, {"Key": "env", "Value": ""}]


def create(client: Any, name: str, tags: list[dict[str, str]], **params: Any) -> None:
    place = {"LocationConstraint": REGION, "Tags": tags}
    client.create_bucket(Bucket=name, CreateBucketConfiguration=place, **params)


@pytest.fixture
def maker(lab: RunningLab, names: Iterator[str]) -> Any:
    """S3 as a user of the destination, and what lets it do just these actions; a condition is for all of them."""
    iam, user = lab.client("iam", "destination"), next(names)
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]

    def let(*actions: str, **more: Any) -> Any:
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=document)
        lab.advance(60)  # IAM takes its time
        return lab.client("s3", {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]})

    return let


def test_tags_when_created(lab: RunningLab, owner: Any, maker: Any, names: Iterator[str]) -> None:
    name = next(names)
    with refused("AccessDenied", "s3:TagResource"):
        create(maker("s3:CreateBucket"), name, TAGS)
    demanded = {"Condition": {"StringEquals": {"aws:RequestTag/team": "data"}}}
    client = maker("s3:CreateBucket", "s3:TagResource", **demanded)
    with refused("AccessDenied", "s3:CreateBucket"):
        make(client, name)
    create(client, name, TAGS)
    assert owner.get_bucket_tagging(Bucket=name)["TagSet"] == TAGS
    lab.choose_behaviours({"s3.tags_when_created": "refused"})
    with refused("UnsupportedArgument"):
        create(owner, next(names), TAGS)
    lab.choose_behaviours({"s3.tags_when_created": "taken"})


def test_ownership_needs_its_permission(owner: Any, maker: Any, names: Iterator[str]) -> None:
    name, ownership = next(names), {"ObjectOwnership": "BucketOwnerEnforced"}
    with refused("AccessDenied", "s3:PutBucketOwnershipControls"):
        make(maker("s3:CreateBucket"), name, **ownership)
    make(maker("s3:CreateBucket", "s3:PutBucketOwnershipControls"), name, **ownership)
    with refused("NoSuchTagSet"):
        owner.get_bucket_tagging(Bucket=name)


@pytest.mark.parametrize(
    "tags",
    [
        [*TAGS, {"Key": "team", "Value": "x"}],
        [{"Key": "aws:team", "Value": "x"}],
        [{"Key": str(number), "Value": ""} for number in range(51)],
    ],
)
def test_sound_tags(owner: Any, bucket: str, names: Iterator[str], tags: list[dict[str, str]]) -> None:
    with refused("InvalidTag"):
        create(owner, next(names), tags)
    with refused("InvalidTag"):
        owner.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
