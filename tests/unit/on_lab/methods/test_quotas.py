# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Quotas of the destination account: seen before anything is billed, final where AWS names them later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.data_plane import ItemChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import QuotaTooSmall
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import preview, start, wait_for
from lab.dynamodb import limits
from tests.unit.on_lab.in_process import failure
from tests.unit.on_lab.staged import BUCKET, DESTINATION, SOURCE, Staged

CAPACITY = (
    "The requested ReadCapacityUnits, 40001, is above the per table maximum for the account in eu-west-1. Per table"
    " maximum: 40000."
)
SLOTS = "The limit of 50 concurrent imports was reached"


def options(method: str, folder: Path, table: str = "wide", **more: Any) -> MigrationOptions:
    return MigrationOptions(table, method=method, bucket=BUCKET, items=ItemChoices(checkpoint_dir=str(folder)), **more)


def wide(count: int) -> Staged:
    """A source table with ``count`` global secondary indexes, which the source's quota allows."""
    aws = Staged()
    aws.world.adjust_quota(SOURCE, limits.GLOBAL_INDEXES, count)
    names = [f"by{number}" for number in range(count)]
    aws.add_table(
        "wide",
        3,
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", *names)],
        GlobalSecondaryIndexes=[
            {
                "IndexName": name,
                "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
            for name in names
        ],
    )
    aws.world.advance(600)
    return aws


def quota_of_indexes(monkeypatch: pytest.MonkeyPatch, value: int | None) -> None:
    """What Service Quotas, which the lab does not have, answers; None where it may not be asked."""
    ask = Account.ask

    def asked(self: Account, service: str, operation: str, doing: str, *more: Any, **params: Any) -> Any:
        if service != "service-quotas":
            return ask(self, service, operation, doing, *more, **params)
        assert (self.side, operation, params["QuotaCode"]) == ("destination", "get_service_quota", "L-F7858A77")
        if value is None:
            raise self.explain(failure("AccessDeniedException", "not authorized", "GetServiceQuota"), doing)
        return {"Quota": {"Value": float(value)}}

    monkeypatch.setattr(Account, "ask", asked)


def billed(aws: Staged) -> int:
    return sum(map(aws.count, ("ExportTableToPointInTime", "ImportTable", "CreateTable", "StartBackupJob")))


@pytest.mark.parametrize("method", ["s3", "direct"])
def test_h2_more_indexes_than_the_quota_are_said_before_anything_is_billed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str
) -> None:
    aws = wide(25)
    quota_of_indexes(monkeypatch, None)
    source, destination = aws.account("source"), aws.account("destination")
    before = billed(aws)
    for act in (preview, start):
        with pytest.raises(QuotaTooSmall, match="25 global secondary indexes") as refused:
            act(source, destination, options(method, tmp_path))
        assert "Name 5 or more in leave_indexes" in refused.value.next_step
    assert billed(aws) == before
    left = tuple(f"by{number}" for number in range(5))
    preview(source, destination, options(method, tmp_path, leave_indexes=left))


def test_h2_a_quota_of_indexes_that_was_raised_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aws = wide(25)
    quota_of_indexes(monkeypatch, 25)
    preview(aws.account("source"), aws.account("destination"), options("s3", tmp_path))


@pytest.mark.parametrize("method", ["s3", "direct"])
def test_b1_capacity_above_the_accounts_limit_is_said_before_anything_is_billed(tmp_path: Path, method: str) -> None:
    aws = Staged()
    aws.world.adjust_quota(SOURCE, limits.TABLE_UNITS, 50000)
    throughput = {"ReadCapacityUnits": 40001, "WriteCapacityUnits": 5}
    aws.add_table("wide", 3, BillingMode="PROVISIONED", ProvisionedThroughput=throughput)
    source, destination = aws.account("source"), aws.account("destination")
    before = billed(aws)
    for act in (preview, start):
        with pytest.raises(QuotaTooSmall, match=r"40001 ReadCapacityUnits.*may have 40000"):
            act(source, destination, options(method, tmp_path))
    assert billed(aws) == before
    aws.world.adjust_quota(DESTINATION, limits.TABLE_UNITS, 50000)
    preview(source, destination, options(method, tmp_path))


def test_b1_an_import_over_a_quota_fails_at_once_and_one_without_a_slot_stops_no_other(tmp_path: Path) -> None:
    names = ["first", "second", "third", "fourth"]
    aws = Staged(dict.fromkeys(names, 2), export__full=15.0, import__visible=1.0, import__creating=8.0)
    source, destination = aws.account("source"), aws.account("destination")
    items = []
    for name in names:
        way = start(source, destination, options("s3", tmp_path, name))
        items.append(WaitItem(name, source, destination, way.job, way.then))
    tries = {"first": 0, "second": 0}

    def refuse(moment: str, operation: str, number: int) -> None:
        if (moment, operation) != ("before", "ImportTable"):
            return
        table = aws.asked["TableCreationParameters"]["TableName"]
        if table in tries:
            tries[table] += 1
            raise failure("LimitExceededException", CAPACITY if table == "first" else SLOTS, "ImportTable")

    aws.interrupt = refuse
    jobs = wait_for(items, 1800.0, lambda line: None, lambda: aws.clock, aws.sleep).jobs
    assert [jobs[name].state for name in names] == ["failed", "pending", "completed", "completed"]
    assert tries["first"] == 1
    assert tries["second"] > 10
    assert CAPACITY.rstrip(".") in jobs["first"].failure["cause"]
    assert "quota raised" in jobs["first"].failure["next_step"]


def test_b1_an_account_that_is_full_of_tables_is_told_so_and_a_slot_is_not_waited_for(tmp_path: Path) -> None:
    aws = Staged({"orders": 2}, export__full=15.0, import__visible=1.0)
    aws.add_table("other", 1, side="destination")
    aws.world.adjust_quota(DESTINATION, limits.TABLES, 1)
    source, destination = aws.account("source"), aws.account("destination")
    way = start(source, destination, options("s3", tmp_path, "orders"))
    item = WaitItem("orders", source, destination, way.job, way.then)
    failed = wait_for([item], 1800.0, lambda line: None, lambda: aws.clock, aws.sleep).jobs["orders"]
    assert failed.state == "failed" and "limit of 1 tables per account" in failed.failure["cause"]
    assert "quota of tables raised" in failed.failure["next_step"]
    # With room the same export goes on.
    aws.world.adjust_quota(DESTINATION, limits.TABLES, 2)
    way = start(source, destination, options("s3", tmp_path, "orders"))
    item = WaitItem("orders", source, destination, way.job, way.then)
    assert wait_for([item], 1800.0, lambda line: None, lambda: aws.clock, aws.sleep).jobs["orders"].state == "completed"
    assert aws.count("ExportTableToPointInTime") == 1
