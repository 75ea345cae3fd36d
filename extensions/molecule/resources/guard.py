# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``guard.py FILE add|show``: statements of others in the policies that a cleanup changes, and what is left there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lab.client import LabClient

BUCKET = "tableferry-cleaned"
KEYS = {"source": "alias/tableferry-backup", "destination": "alias/tableferry-staging"}


def guard(action: str, resource: str) -> dict[str, Any]:
    """What a security team denies to everybody."""
    return {"Sid": "Guard", "Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource}


def main(lab: LabClient, what: str) -> dict[str, list[str]]:
    """The Sids of the bucket's and the keys' policies, with ours added or not."""
    sids = {}
    s3 = lab.client("s3", "destination")
    policy = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])
    if what == "add":
        policy["Statement"].append(guard("s3:PutBucketVersioning", f"arn:aws:s3:::{BUCKET}"))
        s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    sids["bucket"] = [each["Sid"] for each in policy["Statement"]]
    for side, alias in KEYS.items():
        kms = lab.client("kms", side)
        key = kms.describe_key(KeyId=alias)["KeyMetadata"]["Arn"]
        policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
        if what == "add":
            policy["Statement"].append(guard("kms:ScheduleKeyDeletion", "*"))
            kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))
        sids[side] = [each["Sid"] for each in policy["Statement"]]
    return sids


if __name__ == "__main__":
    landscape = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps(main(LabClient(landscape["endpoint_url"], landscape), sys.argv[2])))
