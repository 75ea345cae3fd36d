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
SERVICE_DOMAIN = rule(
    "service-domain-by-partition",
    service="kms",
    says="kms:ViaService ends with .amazonaws.com, in China's Regions with .amazonaws.com.cn as the services' hosts",
    fact="AWS KMS developer guide, kms:ViaService; Amazon Web Services in China, Endpoints; that the condition key "
    "follows the hosts there is a guess",
    test="test_partitions.py::test_service_domain",
    confirmed=False,
)
_DOMAINS = {"aws-cn": "amazonaws.com.cn"}


def partition_of(region: str) -> str:
    """The partition that ``region`` belongs to."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def via_service(service: str, region: str) -> str:
    """The value of kms:ViaService for a call that ``service`` (``s3``) makes for its caller in ``region``."""
    return f"{service}.{region}.{_DOMAINS.get(partition_of(region), 'amazonaws.com')}"


def in_partition(text: str, partition: str) -> str:
    """An ARN, or a policy of AWS, of the partition ``aws`` as it is in ``partition``."""
    domain = _DOMAINS.get(partition, "amazonaws.com")
    return text.replace("arn:aws:", f"arn:{partition}:").replace(".*.amazonaws.com", f".*.{domain}")
