# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Service Quotas: DynamoDB's quotas as AWS has them and as an account has them. Nothing is raised by a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.dynamodb.limits import ACCOUNT_UNITS, GLOBAL_INDEXES, TABLE_UNITS
from lab.messages import AuthorizationRequest
from lab.partitions import partition_of
from lab.rules import rule
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
    "the quota of an account; of DynamoDB's quotas the lab lists those that it enforces",
    fact="Service Quotas user guide, Requesting a quota increase",
    test="test_service_quotas.py::test_no_requests",
    confirmed=False,
)

_SERVICE, _TITLE = "dynamodb", "Amazon DynamoDB"
# By code: AWS's name of the quota, and that of the lab.
_QUOTAS: Mapping[str, tuple[str, str]] = {
    "L-F7858A77": ("Global Secondary Indexes per table", GLOBAL_INDEXES),
    "L-CF0CBE56": ("Table-level read throughput limit", TABLE_UNITS),
    "L-AB614373": ("Table-level write throughput limit", TABLE_UNITS),
    "L-34F6A552": ("Account-level read throughput limit (Provisioned mode)", ACCOUNT_UNITS),
    "L-34F8CCC8": ("Account-level write throughput limit (Provisioned mode)", ACCOUNT_UNITS),
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
        if params["ServiceCode"] != _SERVICE:
            text = "The request failed because the specified service does not exist."
            raise READ.error("NoSuchResourceException", text)
        account_id = "" if "AWSDefault" in operation else context.account_id
        code = params.get("QuotaCode")
        if code is not None and code not in _QUOTAS and operation.startswith("Get"):
            text = "The request failed because the specified quota does not exist."
            raise READ.error("NoSuchResourceException", text)
        quotas = [self._quota(context, each, account_id) for each in _QUOTAS if code in (None, each)]
        if operation.startswith("Get"):
            return {"Quota": quotas[0]}
        if params.get("QuotaAppliedAtLevel") == "RESOURCE":
            quotas = []
        shown, token = page(
            quotas, params.get("MaxResults", 100), params.get("NextToken"), code="InvalidPaginationTokenException"
        )
        return {"Quotas": shown, **({"NextToken": token} if token else {})}

    def _quota(self, context: Context, code: str, account_id: str) -> dict[str, Any]:
        title, name = _QUOTAS[code]
        place = f"arn:{partition_of(context.region)}:servicequotas:{context.region}:{account_id}"
        quota = {
            "ServiceCode": _SERVICE,
            "ServiceName": _TITLE,
            "QuotaArn": f"{place}:{_SERVICE}/{code}",
            "QuotaCode": code,
            "QuotaName": title,
            "Value": float(self._world.quota(account_id, name)),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }
        return quota | ({"QuotaAppliedAtLevel": "ACCOUNT"} if account_id else {})
