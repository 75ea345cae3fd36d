# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routes and tokens."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.token import canonical, client_token
from ansible_collections.tableferry.aws.plugins.module_utils.core.route import Route

SOURCE, DESTINATION, REGION = "111111111111", "222222222222", "eu-west-1"
ROUTE = Route(SOURCE, REGION, "orders", DESTINATION, REGION, "orders")
VALUES = st.recursive(
    st.one_of(st.text(max_size=8), st.integers(), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
REQUESTS = st.dictionaries(st.text(min_size=1, max_size=6), VALUES, max_size=4)


def token(
    request: dict[str, Any], attempt: int = 0, purpose: str = "export", route: Route = ROUTE, table_id: str = "i"
) -> str:
    return client_token(route, "arn:aws:dynamodb:table", table_id, purpose, attempt, request)


@given(REQUESTS)
def test_a_token_is_forty_digits_and_repeats(request_: dict[str, Any]) -> None:
    assert re.fullmatch("[0-9a-f]{40}", token(request_))
    shuffled = dict(reversed(list(request_.items())))
    assert token(request_) == token(shuffled) == token({**request_, "ClientToken": "whatever"})


@given(REQUESTS, REQUESTS, st.integers(0, 5), st.integers(0, 5))
def test_another_request_or_attempt_has_another_token(
    one: dict[str, Any], other: dict[str, Any], first: int, second: int
) -> None:
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
