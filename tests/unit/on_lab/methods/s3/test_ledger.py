# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ledger entries and locks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    ImportLocked,
    InvalidInput,
    StagingBucketUnusable,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.token import with_token
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.s3.ledger import Ledger
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.s3.staging import (
    ConditionFailed,
    StagingBucket,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.route import Route
from tests.unit.on_lab.staged import BUCKET, DESTINATION, REGION, SOURCE, Staged

ROUTE = Route(SOURCE, REGION, "orders", DESTINATION, REGION, "orders")


def ledger(aws: Staged, route: Route = ROUTE) -> Ledger:
    return Ledger(StagingBucket(aws.account("destination"), BUCKET, DESTINATION), route)


def job(attempt: int = 0, purpose: str = "export", route: Route = ROUTE, **more: object) -> Job:
    request = {"purpose": purpose, "route": route.to_dict(), "call": {}, "source": {"table_arn": "a", "table_id": "i"}}
    return Job("export", "orders", attempt=attempt, request=request, **more)


def test_the_newest_entry_of_each_purpose_is_read() -> None:
    aws = Staged()
    book = ledger(aws)
    assert book.latest() == {}
    for attempt in (0, 2, 10, 9):  # ten is after nine
        book.write(job(attempt))
    book.write(job(1, "import"))
    book.write(job(3, "incremental-20261008t120000z"))
    found = book.latest()
    assert {purpose: entry.attempt for purpose, entry in found.items()} == {
        "export": 10,
        "import": 1,
        "incremental-20261008t120000z": 3,
    }
    assert found["export"] == job(10)


def test_entries_of_another_destination_are_refused() -> None:
    aws = Staged()
    elsewhere = replace(ROUTE, destination_account_id="333333333333")
    ledger(aws, elsewhere).write(job(route=elsewhere))
    with pytest.raises(InvalidInput, match="another destination"):
        ledger(aws).latest()


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"kind": "export"}', b"\xff"])
def test_an_unreadable_entry_stops_the_run(body: bytes) -> None:
    aws = Staged()
    aws.put(f"{ROUTE.ledger_prefix}export-0.json", body)
    with pytest.raises((StagingBucketUnusable, InvalidInput)):
        ledger(aws).latest()


def test_nothing_of_a_secret_is_written() -> None:
    aws = Staged()
    ledger(aws).write(with_token(job()))
    (body,) = aws.objects().values()
    assert b"secret" not in body.lower()


def test_one_name_one_lock() -> None:
    aws = Staged()
    mine, other = ledger(aws), ledger(aws, replace(ROUTE, source_table="other"))
    mine.lock(job())
    mine.lock(job())  # entered again after a kill
    with pytest.raises(ImportLocked) as refused:
        other.lock(job())
    assert refused.value.details["holder"]["source_table"] == "orders"
    held = other.holder()
    assert held is not None
    other.take_over(held.tag)
    with pytest.raises(ConditionFailed):  # whoever saw the same stale lock comes too late
        mine.take_over(held.tag)


def test_the_bucket_must_be_the_owners() -> None:
    aws = Staged()
    aws.remove_bucket()
    aws.make_bucket("management")
    with pytest.raises(StagingBucketUnusable, match="does not belong to account"):
        ledger(aws).latest()
