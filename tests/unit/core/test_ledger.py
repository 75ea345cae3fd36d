# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tokens, ledger entries and locks."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    ImportLocked,
    InvalidInput,
    StagingBucketUnusable,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.ledger import (
    Ledger,
    Route,
    canonical,
    client_token,
    with_token,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.staging import ConditionFailed, StagingBucket
from tests.unit.core.fake_aws import BUCKET, DESTINATION, REGION, SOURCE, FakeAws

ROUTE = Route(SOURCE, REGION, "orders", DESTINATION, REGION, "orders")
VALUES = st.recursive(
    st.one_of(st.text(max_size=8), st.integers(), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
REQUESTS = st.dictionaries(st.text(min_size=1, max_size=6), VALUES, max_size=4)


def token(request: dict, attempt: int = 0, purpose: str = "export", route: Route = ROUTE, table_id: str = "i") -> str:
    return client_token(route, "arn:aws:dynamodb:table", table_id, purpose, attempt, request)


@given(REQUESTS)
def test_a_token_is_forty_digits_and_repeats(request_: dict) -> None:
    assert re.fullmatch("[0-9a-f]{40}", token(request_))
    shuffled = dict(reversed(list(request_.items())))
    assert token(request_) == token(shuffled) == token({**request_, "ClientToken": "whatever"})


@given(REQUESTS, REQUESTS, st.integers(0, 5), st.integers(0, 5))
def test_another_request_or_attempt_has_another_token(one: dict, other: dict, first: int, second: int) -> None:
    told = [{k: v for k, v in request.items() if k != "ClientToken"} for request in (one, other)]
    same = canonical(told[0]) == canonical(told[1]) and first == second
    assert (token(one, first) == token(other, second)) == same


@given(st.sampled_from([field.name for field in fields(Route)]), st.text("abcdef0123", min_size=1, max_size=6))
def test_the_token_is_about_the_destination(name: str, value: str) -> None:
    told = {"destination_account_id", "destination_region", "destination_table", "migration_id"}
    other = replace(ROUTE, **{name: f"new{value}"})
    if other != ROUTE and name in told:
        assert token({}, route=other) != token({})


def test_the_token_is_about_source_and_purpose() -> None:
    assert len({token({}), token({}, table_id="other"), token({}, purpose="import"), token({}, attempt=1)}) == 4


def test_where_things_are() -> None:
    assert ROUTE.export_prefix == f"tableferry/default/export/{SOURCE}/{REGION}/orders"
    assert ROUTE.ledger_prefix == f"tableferry/default/ledger/{SOURCE}/{REGION}/orders/"
    assert ROUTE.lock_key == f"tableferry/locks/import/{DESTINATION}/{REGION}/orders.json"
    renamed = replace(ROUTE, destination_table="copy")
    # One table copied twice under two names: neither's cleanup may touch the other's data.
    assert not renamed.export_prefix.startswith(f"{ROUTE.export_prefix}/")
    assert Route.from_dict(renamed.to_dict()) == renamed


@pytest.mark.parametrize("migration_id", ["", "a/b", "../x", "x" * 65, "ü"])
def test_malformed_migration_ids_are_refused(migration_id: str) -> None:
    with pytest.raises(InvalidInput):
        replace(ROUTE, migration_id=migration_id)


@pytest.mark.parametrize("name", ["", "ab", "or ders", "a/b/c", "x" * 256])
def test_malformed_table_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        replace(ROUTE, destination_table=name)


def ledger(aws: FakeAws, route: Route = ROUTE) -> Ledger:
    return Ledger(StagingBucket(aws.account("destination"), BUCKET, DESTINATION), route)


def job(attempt: int = 0, purpose: str = "export", route: Route = ROUTE, **more: object) -> Job:
    request = {"purpose": purpose, "route": route.to_dict(), "call": {}, "source": {"table_arn": "a", "table_id": "i"}}
    return Job("export", "orders", attempt=attempt, request=request, **more)


def test_the_newest_entry_of_each_purpose_is_read() -> None:
    aws = FakeAws()
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
    aws = FakeAws()
    elsewhere = replace(ROUTE, destination_account_id="333333333333")
    ledger(aws, elsewhere).write(job(route=elsewhere))
    with pytest.raises(InvalidInput, match="another destination"):
        ledger(aws).latest()


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"kind": "export"}', b"\xff"])
def test_an_unreadable_entry_stops_the_run(body: bytes) -> None:
    aws = FakeAws()
    aws.put(f"{ROUTE.ledger_prefix}export-0.json", body)
    with pytest.raises((StagingBucketUnusable, InvalidInput)):
        ledger(aws).latest()


def test_nothing_of_a_secret_is_written() -> None:
    aws = FakeAws()
    ledger(aws).write(with_token(job()))
    (body, _when), *_ = aws.objects.values()
    assert b"secret" not in body.lower()


def test_one_name_one_lock() -> None:
    aws = FakeAws()
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
    aws = FakeAws()
    aws.bucket_owner = "333333333333"
    with pytest.raises(StagingBucketUnusable, match="another account than"):
        ledger(aws).latest()
