# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS's partitions: each has Regions, accounts and managed policies of its own, and its name in every ARN."""

from __future__ import annotations

from lab.rules import rule

PARTITIONS = ("aws", "aws-cn", "aws-us-gov")
BY_REGION = rule(
    "partition-by-region",
    service="iam",
    says="ARNs begin with arn:aws-cn: in China's Regions and arn:aws-us-gov: in GovCloud's, managed policies' too",
    fact="AWS General Reference, ARN format",
    test="test_partitions.py::test_partition_by_region",
)
APART = rule(
    "partitions-apart",
    service="iam",
    says="An account belongs to one partition: its keys are unknown in the others' Regions, and it sees only its own "
    "partition's managed policies",
    fact="AWS documentation, Fault isolation boundaries: partitions",
    test="test_partitions.py::test_partitions_apart",
)


def partition_of(region: str) -> str:
    """The partition that ``region`` belongs to."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def in_partition(arn: str, partition: str) -> str:
    """``arn``, or every ARN in a text, of the partition ``aws`` as it is in ``partition``."""
    return arn.replace("arn:aws:", f"arn:{partition}:")
