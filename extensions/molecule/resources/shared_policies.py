# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``shared_policies.py FILE make|show [BUCKET]``: a bucket and a key of others, with their statements."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lab.client import LabClient

BUCKET = "tableferry-a11"
ALIAS = "alias/tableferry-staging"


def make(lab: LabClient, bucket: str) -> None:
    """A bucket with a guard of its owner's, and the key as TableFerry makes it."""
    s3, kms = lab.client("s3", "destination"), lab.client("kms", "destination")
    region = lab.landscape["region"]
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
    guard = {"Sid": "Guard", "Effect": "Deny", "Principal": "*", "Action": "s3:PutBucketVersioning"}
    policy = {"Version": "2012-10-17", "Statement": [{**guard, "Resource": f"arn:aws:s3:::{bucket}"}]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    if ALIAS in {alias["AliasName"] for alias in kms.list_aliases()["Aliases"]}:
        return
    tags = [{"TagKey": "tableferry:managed", "TagValue": "true"}]
    account = lab.landscape["accounts"]["destination"]["account_id"]
    owner = {"Sid": "OwnAccount", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}}
    text = json.dumps({"Version": "2012-10-17", "Statement": [{**owner, "Action": "kms:*", "Resource": "*"}]})
    key = kms.create_key(Tags=tags, Policy=text)["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=ALIAS, TargetKeyId=key)


def show(lab: LabClient, bucket: str) -> dict[str, list[dict[str, Any]]]:
    """The statements of both policies."""
    kms = lab.client("kms", "destination")
    key = kms.describe_key(KeyId=ALIAS)["KeyMetadata"]["Arn"]
    texts = {
        "bucket": lab.client("s3", "destination").get_bucket_policy(Bucket=bucket)["Policy"],
        "key": kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"],
    }
    return {name: json.loads(text)["Statement"] for name, text in texts.items()}


if __name__ == "__main__":
    landscape = json.loads(Path(sys.argv[1]).read_text())
    client = LabClient(landscape["endpoint_url"], landscape)
    shared = sys.argv[3] if len(sys.argv) > 3 else BUCKET
    if sys.argv[2] == "make":
        make(client, shared)
    else:
        print(json.dumps(show(client, shared)))
