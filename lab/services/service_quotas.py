# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Service Quotas: quotas of DynamoDB and EMR Serverless, AWS's own and an account's. Nothing is raised by a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.dynamodb.limits import ACCOUNT_UNITS, GLOBAL_INDEXES, TABLE_UNITS
from lab.messages import AuthorizationRequest
from lab.partitions import partition_of
from lab.rules import rule
from lab.services.emr_serverless_runs import VCPU_QUOTA
from lab.services.paging import page
from lab.world import Context, World

READ = rule(
    "service-quotas-read",
    service="service-quotas",
    says="The List and Get calls answer the value that an account has, those with AWSDefault in their names AWS's own, "
    "whose ARN has no account; a service or quota that does not exist is NoSuchResourceException",
    fact="Amazon DynamoDB developer guide, Quotas (codes, names and the CLI's answers); aws/aws-cli#4569 (the text of "
    "an unknown service, that of an unknown quota is a guess)",
    test="test_service_quotas.py::test_quotas_are_read",
)
RAISED_ELSEWHERE = rule(
    "service-quotas-no-requests",
    service="service-quotas",
    says="The lab takes no RequestServiceQuotaIncrease, which AWS may grant at once or after days: a test adjusts "
    "the quota of an account; of the quotas of DynamoDB and EMR Serverless the lab lists those that it enforces",
    fact="Service Quotas user guide, Requesting a quota increase",
    test="test_service_quotas.py::test_no_requests",
    confirmed=False,
)

NEW_ACCOUNTS = rule(
    "service-quotas-new-accounts",
    service="service-quotas",
    says="A new account may have less than AWS's own value: of EMR Serverless's vCPUs 16 instead of 4,000",
    fact="spark.md 3; lists of Service Quotas' defaults that users published",
    test="test_service_quotas.py::test_a_new_account_has_fewer_vcpus",
)

_TITLES: Mapping[str, str] = {"dynamodb": "Amazon DynamoDB", "emr-serverless": "Amazon EMR Serverless"}
# AWS's own value where new accounts have another.
_DEFAULTS: Mapping[str, float] = {"L-D05C8A75": 4000.0}
# By service and code: AWS's name of the quota, and that of the lab.
_DYNAMODB: Mapping[str, tuple[str, str]] = {
    "L-F7858A77": ("Global Secondary Indexes per table", GLOBAL_INDEXES),
    "L-CF0CBE56": ("Table-level read throughput limit", TABLE_UNITS),
    "L-AB614373": ("Table-level write throughput limit", TABLE_UNITS),
    "L-34F6A552": ("Account-level read throughput limit (Provisioned mode)", ACCOUNT_UNITS),
    "L-34F8CCC8": ("Account-level write throughput limit (Provisioned mode)", ACCOUNT_UNITS),
}
_QUOTAS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "dynamodb": _DYNAMODB,
    "emr-serverless": {"L-D05C8A75": ("Max concurrent vCPUs per account", VCPU_QUOTA)},
}


class ServiceQuotasService:
    """The service behind the gate."""

    name = "service-quotas"
    locks_itself: frozenset[str] = frozenset()

    def __init__(self, world: World) -> None:
        self._world = world

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """The caller's own policies decide."""
        return [AuthorizationRequest(f"servicequotas:{operation}", "*")]

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Do ``operation``; parameters and answer as boto3's."""
        if operation not in (
            "ListServiceQuotas", "GetServiceQuota", "ListAWSDefaultServiceQuotas", "GetAWSDefaultServiceQuota",
        ):  # fmt: skip
            raise RAISED_ELSEWHERE.error("IllegalArgumentException", f"The lab's Service Quotas has no {operation}.")
        service = params["ServiceCode"]
        if service not in _QUOTAS:
            text = "The request failed because the specified service does not exist."
            raise READ.error("NoSuchResourceException", text)
        account_id = "" if "AWSDefault" in operation else context.account_id
        code = params.get("QuotaCode")
        if code is not None and code not in _QUOTAS[service] and operation.startswith("Get"):
            text = "The request failed because the specified quota does not exist."
            raise READ.error("NoSuchResourceException", text)
        quotas = [self._quota(context, service, each, account_id) for each in _QUOTAS[service] if code in (None, each)]
        if operation.startswith("Get"):
            return {"Quota": quotas[0]}
        if params.get("QuotaAppliedAtLevel") == "RESOURCE":
            quotas = []
        shown, token = page(
            quotas, params.get("MaxResults", 100), params.get("NextToken"), code="InvalidPaginationTokenException"
        )
        return {"Quotas": shown, **({"NextToken": token} if token else {})}

    def _quota(self, context: Context, service: str, code: str, account_id: str) -> dict[str, Any]:
        title, name = _QUOTAS[service][code]
        value = float(self._world.quota(account_id, name)) if account_id or code not in _DEFAULTS else _DEFAULTS[code]
        place = f"arn:{partition_of(context.region)}:servicequotas:{context.region}:{account_id}"
        quota = {
            "ServiceCode": service,
            "ServiceName": _TITLES[service],
            "QuotaArn": f"{place}:{service}/{code}",
            "QuotaCode": code,
            "QuotaName": title,
            "Value": value,
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }
        return quota | ({"QuotaAppliedAtLevel": "ACCOUNT"} if account_id else {})
