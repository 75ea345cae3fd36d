# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Spark jobs need in the destination account: the role that they run as (spark.md 1 to 3).

One role for all Regions and migrations of the account. Each Region has an inline policy of its own in it, which names
the tables and buckets; each run's session policy leaves of it one table and one folder.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ...account import Account
from ...statements.caller_policy import named_in
from ...statements.policy_documents import Policy, statements_of
from ...statements.role import RoleOptions
from ...statements.role_policy import Allowed
from ...statements.statement import OurStatement
from .delivery import folder_of
from .permissions import CHANGED_ITEMS, KEY_ACTIONS, LOG_ACTIONS, LOG_GROUPS, ROLE, SERVICES, role_arn

TABLES = "Tables"  # the statement that names the tables


@dataclass(frozen=True)
class SparkAccess:
    """For the ``tables`` of the destination (none: every table) whose exports are in ``bucket``.

    ``given_role`` is the ARN of the user's own role, "" for ours; ``permissions_boundary`` is that of a role that is
    made here.
    """

    bucket: str
    migration_id: str = "default"
    tables: tuple[str, ...] = ()
    given_role: str = ""
    permissions_boundary: str = ""


def inline_name(account: Account) -> str:
    """The name of the inline policy: the role serves several Regions."""
    return f"tableferry-spark-{account.region}"


def job_role(account: Account, access: SparkAccess) -> RoleOptions:
    """The role of the jobs, which AWS Glue and EMR Serverless may assume."""
    return RoleOptions(
        name=ROLE,
        trust=OurStatement(
            "TableFerrySpark",
            {"Service": list(SERVICES)},
            ("sts:AssumeRole",),
            resource="",
            condition={"StringEqualsIfExists": {"aws:SourceAccount": account.account_id}},  # for this account's jobs
            counted=False,
        ),
        policy_arn="",
        description="Spark jobs of TableFerry write exported items into DynamoDB tables with it",
        permissions_boundary=access.permissions_boundary,
        inline_name=inline_name(account),
        inline=statements(account, access.bucket, access.tables),
    )


def statements(account: Account, bucket: str, tables: Sequence[str]) -> tuple[Allowed, ...]:
    """What the role may do: read what was staged, write below its own folder and into the tables, and
    changed items beside the exports."""
    arn, every = f"arn:{account.partition}:s3:::{bucket}", account.table_arn("*")
    named = tuple(account.table_arn(name) for name in sorted(set(tables)))
    domain = "amazonaws.com.cn" if account.partition == "aws-cn" else "amazonaws.com"
    through = [f"{service}.{account.region}.{domain}" for service in ("dynamodb", "s3")]
    logs = f"arn:{account.partition}:logs:{account.region}:{account.account_id}:{LOG_GROUPS}"
    return (
        Allowed("Staged", ("s3:GetObject",), (f"{arn}/tableferry/*",)),
        Allowed("Results", ("s3:PutObject",), (f"{arn}/{folder_of(account)}work/*",)),
        Allowed("Changed", ("s3:PutObject",), (f"{arn}/{CHANGED_ITEMS}",)),
        Allowed("Buckets", ("s3:ListBucket",), (arn,), {"StringLike": {"s3:prefix": "tableferry/*"}}),
        Allowed(TABLES, ("dynamodb:BatchWriteItem", "dynamodb:DescribeTable"), named or (every,), every=every),
        # Those of tables and of the bucket, whose own policies decide too.
        Allowed("Keys", KEY_ACTIONS, ("*",), {"StringEquals": {"kms:ViaService": through}}),
        Allowed("Logs", LOG_ACTIONS, (logs,)),
    )


def narrowed(account: Account, before: Policy, leaving: Collection[str], needing: Collection[str] | None) -> Policy:
    """The role's policy ``before`` without the tables ``leaving``, but with all that are ``needing`` it: another
    controller may have written in between. As it is where not all of these are known, and where it names every table.
    """
    named = named_in(before, TABLES)
    if not needing or account.table_arn("*") in named:
        return before
    stay = {account.table_arn(name) for name in needing}
    wanted = sorted((named - {account.table_arn(name) for name in leaving}) | stay)
    return {
        **before,
        "Statement": [
            {**each, "Resource": wanted} if each.get("Sid") == TABLES else each for each in statements_of(before)
        ],
    }


def uses(account: Account, access: SparkAccess) -> dict[str, str]:
    """What is counted of the tables that need it, by what it is: the role's policy of this Region, what was delivered
    into the bucket, and what the engines have of the migration."""
    partition, place = account.partition, f"{account.region}:{account.account_id}"
    return {
        "role": f"{role_arn(account)}#{inline_name(account)}",
        "objects": f"arn:{partition}:s3:::{access.bucket}/{folder_of(account)}#spark",
        "jobs": f"arn:{partition}:glue:{place}:job/tableferry-{access.migration_id}#jobs",
    }
