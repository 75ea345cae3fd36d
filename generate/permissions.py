# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Policies from the permissions that migrations on the lab needed: one for each method and side, and each role's.

Account ids, names and ids of what is made become places such as ``TABLE``, which a user fills in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.ready_policies import (
    Document,
    Grant,
    document,
)
from lab.permission_log import Permission

# The phase of each play of the playbooks, in the order of the policies' statements. Those of one phase can be taken
# away when it is over, or never given where somebody else prepares the accounts.
PHASES: Mapping[str, str] = {
    "migrate: Check the inventory": "Prepare",
    "migrate: Prepare the accounts": "Prepare",
    "migrate: Migrate the tables": "Move",
    "migrate: Report on the tables": "Move",
    "migrate: Fail the tables that were not migrated completely": "Move",
    "plan: Check the inventory": "Plan",
    "plan: Plan the tables": "Plan",
    "plan: Fail the tables that cannot go": "Plan",
    "status: Check the inventory": "Status",
    "status: Show how far the tables are": "Status",
    "verify: Check the inventory": "Verify",
    "verify: Compare the tables": "Verify",
    "verify: Fail the tables that differ": "Verify",
    "repair: Check the inventory": "Repair",
    "repair: Compare the tables": "Repair",
    "repair: Fail the tables that differ": "Repair",
    "cleanup: Check the inventory": "CleanUp",
    "cleanup: Find the staging areas": "CleanUp",
    "cleanup: Clean up after the tables": "CleanUp",
    "cleanup: Clean up the accounts": "CleanUp",
    "cleanup: Report on the cleanup": "CleanUp",
    "cleanup: Fail the tables that could not be cleaned up": "CleanUp",
}
# What narrows an action beyond its resource: the condition key whose value in the calls goes into the policy.
CONDITIONS: Mapping[str, str] = {
    "iam:AttachRolePolicy": "iam:PolicyARN",
    "iam:CreateServiceLinkedRole": "iam:AWSServiceName",
    "iam:PassRole": "iam:PassedToService",
    "kms:*": "kms:ViaService",
}
# What the service authorization reference has no resource for: a policy that names one allows nothing. The lab asks for
# it on a resource all the same, as some services do (logs-writer-needs-permissions in docs/lab-rules.md): "*" is right
# either way.
EVERYWHERE = frozenset(
    {
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling:DescribeScalingPolicies",
        "application-autoscaling:DescribeScheduledActions",
        "logs:DescribeLogGroups",
    }
)


@dataclass(frozen=True)
class Also:
    """``actions`` that go with ``action`` on a resource that ``on`` ends, as ``fact`` says.

    They are allowed on ``resource``, where ``ACCOUNT`` is the account of the other (empty: on the same), under
    ``conditions``; with ``via`` both only for that service.
    """

    action: str
    actions: tuple[str, ...]
    fact: str
    resource: str = ""
    on: str = ""
    via: str = ""
    conditions: tuple[tuple[str, str], ...] = ()

    def grants(self, grant: Grant) -> Iterable[Grant]:
        """What goes with ``grant``."""
        action, conditions, resource = grant
        if action != self.action or not resource.endswith(self.on):
            return
        needed = (("kms:ViaService", self.via),) if self.via else ()
        if action.startswith("kms:") and conditions != needed:
            return
        account = resource.split(":")[4] if resource != "*" else ""
        place = self.resource.replace("ACCOUNT", account) or resource
        yield from ((more, needed + self.conditions, place) for more in self.actions)


_DYNAMODB = "dynamodb.REGION.amazonaws.com"

# What AWS documents as needed and asks for only now and then, which no rehearsal on the lab shows.
ALSO: Sequence[Also] = (
    Also(
        "s3:PutObject", ("s3:AbortMultipartUpload",), "DynamoDB developer guide, Requesting a table export: permissions"
    ),
    Also(
        "s3:TagResource",
        ("s3:PutBucketTagging",),
        "Where the Region's S3, or the SDK, takes no tags with CreateBucket, the bucket gets them afterwards",
    ),
    Also(
        "kms:CreateGrant",
        ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"),
        "DynamoDB developer guide, encryption at rest usage notes: the key of a new table",
        via=_DYNAMODB,
    ),
    *(
        Also(
            action,
            ("kms:Decrypt",),
            "DynamoDB developer guide, encryption at rest usage notes: a table under a customer managed key",
            "arn:aws:kms:REGION:ACCOUNT:key/*",
            on="/TABLE",
            via=_DYNAMODB,
        )
        for action in ("dynamodb:BatchGetItem", "dynamodb:Scan")
    ),
    Also(
        "application-autoscaling:PutScalingPolicy",
        ("cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm"),
        "Application Auto Scaling user guide, identity-based policies: target tracking makes alarms",
        "*",
    ),
    Also(
        "dynamodb:EnableKinesisStreamingDestination",
        ("kinesis:DescribeStream", "kinesis:PutRecords"),
        "DynamoDB developer guide, Using IAM for Amazon Kinesis Data Streams and DynamoDB",
        "arn:aws:kinesis:REGION:DESTINATION:stream/STREAM",
    ),
    Also(
        "dynamodb:ImportTable",
        ("logs:GetLogEvents",),
        "Why an import has failed is read from its log",
        "arn:aws:logs:REGION:DESTINATION:log-group:/aws-dynamodb/*",
    ),
    *(
        Also(start, lists, "What was started although its answer was lost is looked for in AWS's lists", "*")
        for start, lists in (
            ("backup:StartBackupJob", ("backup:ListBackupJobs",)),
            ("backup:StartCopyJob", ("backup:ListCopyJobs",)),
            ("backup:StartRestoreJob", ("backup:GetRestoreJobMetadata", "backup:ListRestoreJobs")),
            ("dynamodb:ExportTableToPointInTime", ("dynamodb:ListExports",)),
            ("dynamodb:ImportTable", ("dynamodb:ListImports",)),
            ("elasticmapreduce:RunJobFlow", ("elasticmapreduce:ListClusters",)),
        )
    ),
    *(
        Also(start, lists, "What was started although its answer was lost is looked for in AWS's lists")
        for start, lists in (
            ("elasticmapreduce:AddJobFlowSteps", ("elasticmapreduce:ListSteps",)),
            ("emr-serverless:StartJobRun", ("emr-serverless:ListJobRuns",)),
            ("glue:StartJobRun", ("glue:GetJobRuns",)),
        )
    ),
    Also(
        "elasticmapreduce:RunJobFlow",
        ("iam:CreateServiceLinkedRole",),
        "Amazon EMR management guide, Using service-linked roles for cleanup: the first cluster of an account",
        "arn:aws:iam::DESTINATION:role/aws-service-role/elasticmapreduce.amazonaws.com/AWSServiceRoleForEMRCleanup",
        conditions=(("iam:AWSServiceName", "elasticmapreduce.amazonaws.com"),),
    ),
    Also(
        "iam:SimulatePrincipalPolicy",
        ("iam:SimulatePrincipalPolicy",),
        "The caller may be a role, which asks about itself (service authorization reference, IAM: user, role)",
        "arn:aws:iam::ACCOUNT:role/CALLER",
        on=":user/CALLER",
    ),
    Also(
        "dynamodb:PutItem",
        ("dynamodb:UpdateItem",),
        "Runs renew their lease, and a short one ends before that",
        on="table/tableferry",
    ),
)

# In the order in which they are tried; what comes out of one is not tried by the next.
_ARNS: Sequence[tuple[str, str]] = (
    (r"(arn:aws:dynamodb:[^:]*:\d+:table)/tableferry", r"\1/tableferry"),
    (r"(arn:aws:dynamodb:[^:]*:\d+:table)/[^/]+/(export|import|stream|index|backup)/.*", r"\1/TABLE/\2/*"),
    (r"(arn:aws:dynamodb:[^:]*:\d+:table)/[^/]+", r"\1/TABLE"),
    (r"(arn:aws:s3:::)[^/]+/tableferry/.*/AWSDynamoDB/.*", r"\1BUCKET/tableferry/*/AWSDynamoDB/*"),
    (r"(arn:aws:s3:::)[^/]+/tableferry/spark/\d+/[^/]+/.*", r"\1BUCKET/tableferry/spark/DESTINATION/REGION/*"),
    (r"(arn:aws:s3:::)[^/]+/tableferry/.*", r"\1BUCKET/tableferry/*"),
    (r"(arn:aws:s3:::)[^/]+", r"\1BUCKET"),
    (r"(arn:aws:kms:[^:]*:\d+:key)/.*", r"\1/*"),
    (r"(arn:aws:backup:[^:]*:\d+:backup-vault):.*", r"\1:VAULT"),
    (r"(arn:aws:backup:[^:]*:\d+:(?:recovery-point|backup-plan)):.*", r"\1:*"),
    (r"(arn:aws:kinesis:[^:]*:\d+:stream)/.*", r"\1/STREAM"),
    (r"(arn:aws:logs:[^:]*:\d+:log-group):/aws-dynamodb/.*", r"\1:/aws-dynamodb/*"),
    (r"(arn:aws:application-autoscaling:[^:]*:\d+:scalable-target)/.*", r"\1/*"),
    (r"(arn:aws:logs:[^:]*:\d+:log-group)::log-stream:", r"\1:*"),
    (r"(arn:aws:glue:[^:]*:\d+:job)/tableferry-.*", r"\1/tableferry-*"),
    (r"(arn:aws:emr-serverless:[^:]*:\d+:/applications)/[^/]+(/jobruns)/.*", r"\1/*\2/*"),
    (r"(arn:aws:emr-serverless:[^:]*:\d+:/applications)/.*", r"\1/*"),
    (r"(arn:aws:elasticmapreduce:[^:]*:\d+:cluster)/.*", r"\1/*"),
    (r"(arn:aws:iam::\d+:user)/.*", r"\1/CALLER"),
)


def pattern(arn: str, accounts: Mapping[str, str], region: str) -> str:
    """``arn`` with places for what differs from user to user; ``accounts`` maps account ids to their places."""
    for expression, place in _ARNS:
        if re.fullmatch(expression, arn, re.DOTALL):
            arn = re.sub(expression, place, arn, flags=re.DOTALL)
            break
    for account, name in accounts.items():
        arn = arn.replace(f":{account}:", f":{name}:")
    return arn.replace(f":{region}:", ":REGION:")


def policy(
    permissions: Iterable[Permission], accounts: Mapping[str, str], region: str, phases: Mapping[str, str]
) -> Document:
    """The policy document that allows what was needed, and no more. A ``Sid`` names all phases that need a statement,
    unless they have no name.

    ``phases`` maps the phases of the log to those of the policy, in their order. KeyError where it lacks one.
    """
    needed: dict[str, set[Grant]] = {phase: set() for phase in phases.values()}
    for each in permissions:
        if each.action.startswith("sts:"):
            continue  # who the caller is needs no permission
        narrowed = tuple(
            (key, value.replace(f".{region}.", ".REGION."))
            for key, value in each.conditions
            if key in (CONDITIONS.get(each.action), CONDITIONS.get(f"{each.action.partition(':')[0]}:*"))
        )
        resource = "*" if each.action in EVERYWHERE else pattern(each.resource_arn, accounts, region)
        needed[phases[each.phase]].add((each.action, narrowed, resource))
    for grants in needed.values():
        grants.update([more for grant in grants for each in ALSO for more in each.grants(grant)])
    return document(needed)


def text(policy: Mapping[str, Any]) -> str:
    """A policy as it stands in a file."""
    return json.dumps(policy, indent=2) + "\n"
