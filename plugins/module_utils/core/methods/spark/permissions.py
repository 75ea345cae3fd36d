# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the Spark job may do: the policy of its role, and the session policy of one run, which leaves it one table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ...account import Account
from ...exports.manifest import FOLDER as EXPORT_FOLDER

ROLE = "tableferry-spark"  # the role that the role destination_account makes
SERVICES = ("glue.amazonaws.com", "emr-serverless.amazonaws.com")  # which run jobs as it
LONGEST = 2048  # characters of a session policy (spark.md 2 and 3)
CHANGED_FOLDER = "spark-"  # what the folders of changed items begin with, where AWS puts those of exports
CHANGED_ITEMS = f"tableferry/*/{EXPORT_FOLDER}{CHANGED_FOLDER}*/data/*"
KEY_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")
# Of the engines: where they write their logs. EMR's go to the bucket.
LOG_ACTIONS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
LOG_GROUPS = "log-group:/aws-glue/*"


def role_arn(account: Account, given: str = "") -> str:
    """The ARN of the job's role: the one that is ``given``, or that of the role destination_account."""
    return given or f"arn:{account.partition}:iam::{account.account_id}:role/{ROLE}"


def session_policy(
    account: Account, bucket: str, table: str, *, writes: Sequence[str], reads: Sequence[str], keys: Iterable[str]
) -> str:
    """The policy of one run, as JSON: it writes below the folders of the ``bucket`` that ``writes`` match, reads there
    and what ``reads`` match, and puts items into the ``table``, "" for none. ``keys`` are the KMS keys of bucket and
    table."""
    root = f"arn:{account.partition}:s3:::{bucket}"
    folders = [f"{each}*" for each in writes]
    written = [f"{root}/{each}" for each in folders]
    listed = {"Condition": {"StringLike": {"s3:prefix": folders if len(folders) > 1 else folders[0]}}}
    into = _allow(["dynamodb:DescribeTable", "dynamodb:BatchWriteItem"], [account.table_arn(table)] if table else [])
    statements: list[dict[str, Any]] = [
        _allow(["s3:GetObject"], [*written, *(f"{root}/{each}" for each in reads)]),
        _allow(["s3:PutObject"], written),
        {**_allow(["s3:ListBucket"], [root]), **listed},
        *([into] if table else []),
        _allow(LOG_ACTIONS, [f"arn:{account.partition}:logs:{account.region}:{account.account_id}:{LOG_GROUPS}"]),
    ]
    if table:
        statements.insert(3, _allow(["dynamodb:DescribeTable", "dynamodb:BatchWriteItem"], [account.table_arn(table)]))
    used = sorted(set(filter(None, keys)))
    if used:
        statements.append(_allow(KEY_ACTIONS, used))
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))


def _allow(actions: Sequence[str], resources: Sequence[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
