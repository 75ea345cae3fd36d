# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the linter ``parliament`` finds in a policy, without what it cannot know and what is meant."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

# parliament knows the actions of April 2025. Newer ones, with the source that has them; none of ours so far.
NEWER: Mapping[str, str] = {}
# What the policies need all the same.
MEANT: Mapping[str, str] = {
    "RESOURCE_POLICY_PRIVILEGE_ESCALATION": "Who sets the policy of the staging bucket can let itself in. It is ours,"
    " and the source has to be let in.",
}
# The alarms are Application Auto Scaling's, whose names no fact gives. The keys are those of tables and bucket, which
# may be another account's: they are used through DynamoDB and S3 alone.
EVERYWHERE = frozenset({"cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm"})
THROUGH_SERVICES = frozenset({"kms:Decrypt", "kms:GenerateDataKey"})


def findings(policy: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a policy whose places are filled in, a sentence each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports pkg_resources
        from parliament import analyze_policy_string
    statements = [
        {**each, "Action": known} for each in policy["Statement"] if (known := sorted(set(each["Action"]) - set(NEWER)))
    ]
    through = {
        action
        for each in statements
        if "kms:ViaService" in each.get("Condition", {}).get("StringEquals", {})
        for action in THROUGH_SERVICES.intersection(each["Action"])
    }
    for found in analyze_policy_string(json.dumps({**policy, "Statement": statements})).findings:
        if found.issue in MEANT or (found.issue == "RESOURCE_STAR" and set(found.detail) <= EVERYWHERE | through):
            continue
        yield f"{found.issue}: {found.detail}"
