# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Contributor Insights of tables and global indexes (measured/settings 2.3, 2.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lab.dynamodb.model import Insights, Shape, Table
from lab.dynamodb.registry import registry
from lab.dynamodb.words import belief, validation
from lab.services.paging import page
from lab.world import Context

UNKNOWN_INDEX = belief(
    "test_contributor_insights", "insights-unknown-index",
    "A local or unknown index is ResourceNotFoundException",
    "measured/settings 2.6 [TABLE-094]",
)  # fmt: skip
NOT_ACTIVE = belief(
    "test_contributor_insights", "insights-need-active",
    "While table or index is CREATING insights cannot be changed",
    "measured/settings 2.3, 2.6 [TABLE-115, TABLE-116]",
)  # fmt: skip
DEFAULT_MODE = belief(
    "test_contributor_insights", "insights-mode-resets",
    "Enabling without a mode is ACCESSED_AND_THROTTLED_KEYS, also where THROTTLED_KEYS was set before",
    "measured/settings 2.6 [TABLE-092]",
)  # fmt: skip
STATES = belief(
    "test_contributor_insights", "insights-states",
    "ENABLE answers ENABLING, DISABLE DISABLING; a settled state repeated is 200; never set reads DISABLED alone",
    "measured/settings 2.6 [TABLE-089, TABLE-090, TABLE-091]",
)  # fmt: skip
RULE_QUOTA = belief(
    "test_contributor_insights", "insights-rule-quota",
    "Beyond CloudWatch's 100 rules ENABLE is 200, then FAILED; only DISABLE or an ENABLE with room mends it",
    "measured/settings 2.6 [TABLE-337, TABLE-338]",
)  # fmt: skip
LISTED = belief(
    "test_contributor_insights", "insights-listed",
    "The list omits what is DISABLED, the table comes before its indexes; account-wide pages may be empty with a token",
    "measured/settings 2.6 [TABLE-095, TABLE-344]",
)  # fmt: skip

RULE_NAMES = belief(
    "test_contributor_insights", "insights-rule-names",
    "Two rules for each key of table or index, half of them for THROTTLED_KEYS, under their old names after a change "
    "of mode and under new ones after off and on",
    "measured/more 11 [TABLE-093, TABLE-341]",
)  # fmt: skip

RULES = 100
DEFAULT = "ACCESSED_AND_THROTTLED_KEYS"
_FAILURE = {
    "ExceptionName": "LimitExceededException",
    "ExceptionDescription": "Amazon CloudWatch Contributor Insights rule limit reached. Please disable Contributor "
    "Insights for other tables/indexes OR disable other CloudWatch Contributor Insights rules before retrying.",
}


def _table(context: Context, params: Shape) -> Table:
    table = registry(context).require_known(context, params["TableName"], "settings")
    name = params.get("IndexName")
    index = table.indexes.get(name) if name else None
    if name and (index is None or not index.is_global or index.backfilling is False):
        raise UNKNOWN_INDEX.error(
            "ResourceNotFoundException",
            f"Requested resource not found: Index: {name} not found for table: {table.name}",
        )
    return table


def update_contributor_insights(context: Context, params: Shape) -> Shape:
    """UpdateContributorInsights."""
    table, world = _table(context, params), context.world
    name = params.get("IndexName", "")
    text = "Table or Index is not in a valid state to update Key Access Insights: {} must be ACTIVE to enable "
    status = table.status(world.clock.now())
    if status == "CREATING":
        raise validation(NOT_ACTIVE, text.format("TableStatus") + "ContributorInsights.")
    if name and table.indexes[name].status == "CREATING":
        raise validation(NOT_ACTIVE, text.format("IndexStatus") + "ContributorInsights.")
    current = table.insights.setdefault(name, Insights())
    if params["ContributorInsightsAction"] == "ENABLE":
        _enable(context, table, current, params.get("ContributorInsightsMode") or DEFAULT, name)
    elif current.status not in ("DISABLED", "DISABLING"):
        _settle(context, current, "DISABLING", "DISABLED", "insights.disabling")
        current.rules, current.failure = 0, None
    answer = {"TableName": table.name, "ContributorInsightsStatus": current.status}
    if current.mode is not None:
        answer["ContributorInsightsMode"] = current.mode
    return answer | ({"IndexName": name} if name else {})


def _enable(context: Context, table: Table, current: Insights, mode: str, name: str) -> None:
    keys = len(table.indexes[name].key_schema if name else table.key_schema)
    needed = (1 if keys == 1 else 2) * (2 if mode == DEFAULT else 1)
    if current.status in ("ENABLED", "ENABLING") and current.mode == mode:
        return
    held = sum(
        insights.rules
        for other in registry(context).all(table.account, table.region)
        for insights in other.insights.values()
        if insights is not current
    )
    if current.status not in ("ENABLED", "ENABLING"):
        current.stamp = str(int(context.world.clock.now() * 1000))
    current.mode = mode
    if context.world.quotas and held + needed > RULES:
        current.failure = dict(_FAILURE)
        _settle(context, current, "ENABLING", "FAILED", "insights.failing")
        return
    current.rules, current.failure = needed, None
    _settle(context, current, "ENABLING", "ENABLED", "insights.enabling")


def _settle(context: Context, current: Insights, now_status: str, later: str, timing: str) -> None:
    current.status = now_status  # type: ignore[assignment]
    current.updated_at = context.world.clock.now()

    def settle() -> None:
        if current.status == now_status:
            current.status = later  # type: ignore[assignment]
            current.updated_at = context.world.clock.now()

    context.world.schedule(context.world.timings.seconds(timing), settle)


def describe_contributor_insights(context: Context, params: Shape) -> Shape:
    """DescribeContributorInsights."""
    table = _table(context, params)
    name = params.get("IndexName", "")
    current = table.insights.get(name, Insights())
    answer: Shape = {"TableName": table.name, "ContributorInsightsStatus": current.status}
    if name:
        answer["IndexName"] = name
    if current.updated_at is not None:
        answer |= {"LastUpdateDateTime": current.updated_at, "ContributorInsightsMode": current.mode}
    if current.failure is not None and current.status == "FAILED":
        answer["FailureException"] = current.failure
    if current.status == "ENABLED":
        answer["ContributorInsightsRuleList"] = list(_rule_names(table, name, current))
    return answer


def _rule_names(table: Table, name: str, current: Insights) -> Iterator[str]:
    keys = len(table.indexes[name].key_schema if name else table.key_schema)
    for kind in ("PKC", "SKC")[:keys]:
        place = f"{table.name}{'-' + name if name else ''}-{current.stamp}"
        yield f"DynamoDBContributorInsights-{kind[0]}KT-{place}"
        if current.mode == DEFAULT:
            yield f"DynamoDBContributorInsights-{kind}-{place}"


def list_contributor_insights(context: Context, params: Shape) -> Shape:
    """ListContributorInsights: the pages are cut before what is DISABLED is left out."""
    tables = (
        [registry(context).require_known(context, params["TableName"], "settings")]
        if "TableName" in params
        else registry(context).all(context.account_id, context.region)
    )
    places = [(table, name) for table in tables for name in ("", *(index.name for index in table.global_indexes))]
    shown, token = page(places, params.get("MaxResults") or 100, params.get("NextToken"), code="ValidationException")
    summaries = []
    for table, name in shown:
        current = table.insights.get(name)
        if current is None or current.status == "DISABLED":
            continue
        summary = {"TableName": table.name, "ContributorInsightsStatus": current.status}
        if name:
            summary["IndexName"] = name
        summaries.append({**summary, "ContributorInsightsMode": current.mode})
    return {"ContributorInsightsSummaries": summaries} | ({"NextToken": token} if token else {})


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "UpdateContributorInsights": update_contributor_insights,
    "DescribeContributorInsights": describe_contributor_insights,
    "ListContributorInsights": list_contributor_insights,
}
