# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's Service Quotas: what an account has, and what AWS gives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from lab.client import RunningLab, running
from lab.landscape import DESTINATION, SOURCE

INDEXES = {"ServiceCode": "dynamodb", "QuotaCode": "L-F7858A77"}


@pytest.fixture
def lab() -> Iterator[RunningLab]:
    with running(scale=0.001) as lab:
        yield lab


def test_quotas_are_read(lab: RunningLab) -> None:
    lab.adjust_quota(DESTINATION, "dynamodb.global_indexes", 25)
    ours, theirs = (lab.client("service-quotas", side) for side in ("source", "destination"))
    assert ours.get_service_quota(**INDEXES)["Quota"] == {
        "ServiceCode": "dynamodb",
        "ServiceName": "Amazon DynamoDB",
        "QuotaArn": f"arn:aws:servicequotas:eu-west-1:{SOURCE}:dynamodb/L-F7858A77",
        "QuotaCode": "L-F7858A77",
        "QuotaName": "Global Secondary Indexes per table",
        "Value": 20.0,
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
        "QuotaAppliedAtLevel": "ACCOUNT",
    }
    assert theirs.get_service_quota(**INDEXES)["Quota"]["Value"] == 25
    default = theirs.get_aws_default_service_quota(**INDEXES)["Quota"]
    assert (default["Value"], default["QuotaArn"]) == (20, "arn:aws:servicequotas:eu-west-1::dynamodb/L-F7858A77")
    pages = theirs.get_paginator("list_service_quotas").paginate(
        ServiceCode="dynamodb", PaginationConfig={"PageSize": 2}
    )
    listed = {each["QuotaCode"]: each["Value"] for page in pages for each in page["Quotas"]}
    units = {"L-CF0CBE56": 40_000, "L-AB614373": 40_000, "L-34F6A552": 80_000, "L-34F8CCC8": 80_000}
    assert listed == {"L-F7858A77": 25, **units}
    limits = lab.client("dynamodb", "destination").describe_limits()
    assert limits["TableMaxReadCapacityUnits"] == listed["L-CF0CBE56"]
    assert ours.list_service_quotas(ServiceCode="dynamodb", QuotaAppliedAtLevel="RESOURCE")["Quotas"] == []
    for wrong, text in (({"ServiceCode": "DynamoDB"}, "service does not exist"), ({"QuotaCode": "L-NONE"}, "quota")):
        with pytest.raises(ClientError, match=f"NoSuchResourceException.*{text}"):
            ours.get_service_quota(**{**INDEXES, **wrong})
    with pytest.raises(ClientError, match="InvalidPaginationTokenException"):
        ours.list_aws_default_service_quotas(ServiceCode="dynamodb", NextToken="made")


def test_a_new_account_has_fewer_vcpus(lab: RunningLab) -> None:
    client = lab.client("service-quotas")
    (quota,) = client.list_service_quotas(ServiceCode="emr-serverless")["Quotas"]
    named = {"ServiceCode": "emr-serverless", "QuotaCode": quota["QuotaCode"]}
    assert (quota["QuotaName"], quota["Value"]) == ("Max concurrent vCPUs per account", 16)
    assert client.get_aws_default_service_quota(**named)["Quota"]["Value"] == 4000
    lab.adjust_quota(SOURCE, "emr-serverless.vcpus", 64)
    assert client.get_service_quota(**named)["Quota"]["Value"] == 64


def test_no_requests(lab: RunningLab) -> None:
    with pytest.raises(ClientError, match="has no RequestServiceQuotaIncrease"):
        lab.client("service-quotas").request_service_quota_increase(**INDEXES, DesiredValue=30)
