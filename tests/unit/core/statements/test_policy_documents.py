# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statements of ours go into a policy beside those of others, and come out of it alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import PolicyNotReadable
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.policy_documents import (
    covers,
    dead_principals,
    parse,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.shared_policy import merged
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.statement import (
    AccountPair,
    OurStatement,
)

ROOT = "arn:aws:iam::111111111111:root"
OURS = OurStatement("TableFerryA", {"AWS": ROOT}, ("s3:PutObject",), "arn:aws:s3:::b/*", formerly=("OldA",))
MORE = OurStatement("TableFerryB", {"AWS": "222222222222"}, ("s3:GetObject", "s3:PutObject"))

sids = st.sampled_from(["", "Guard", "OldA", "TableFerryC", "1"])
theirs = st.builds(
    lambda sid, effect, action, resource: {
        **({"Sid": sid} if sid else {}),
        "Effect": effect,
        "Principal": "*",
        "Action": action,
        "Resource": resource,
    },
    sids,
    st.sampled_from(["Allow", "Deny"]),
    st.sampled_from(["s3:*", ["s3:*"], ["s3:GetObject", "s3:PutObject"]]),
    st.sampled_from(["*", ["*", "x"]]),
)
documents = st.one_of(
    st.just({}),
    st.builds(
        lambda version, statements, single: {
            "Version": version,
            "Id": "theirs",
            "Statement": statements[0] if single and statements else statements,
        },
        st.sampled_from(["2008-10-17", "2012-10-17"]),
        st.lists(theirs, min_size=1, max_size=4),
        st.booleans(),
    ),
)


def listed(policy: dict[str, Any]) -> list[Any]:
    found = policy.get("Statement", [])
    return [found] if isinstance(found, dict) else found


@given(documents)
def test_what_was_added_is_taken_back_and_nothing_else(policy: dict[str, Any]) -> None:
    before = copy.deepcopy(policy)
    added = merged(policy, [OURS, MORE])
    assert listed(added) == [*listed(before), OURS.to_dict(), MORE.to_dict()]
    assert merged(added, [OURS, MORE]) == added
    one = merged(added, [], [OURS])
    assert listed(one) == [*listed(before), MORE.to_dict()]
    back = merged(one, [], [MORE, OURS])
    assert listed(back) == listed(before)
    assert {key: value for key, value in back.items() if key != "Statement"} == {
        key: value for key, value in before.items() if key != "Statement"
    }
    assert policy == before


def test_a_former_sid_is_ours_only_if_it_says_the_same() -> None:
    same, other = {**OURS.to_dict(), "Sid": "OldA"}, {**OURS.to_dict(), "Sid": "OldA", "Action": "s3:*"}
    policy = {"Version": "1", "Statement": [same]}
    assert merged(policy, [OURS]) == {"Version": "1", "Statement": [OURS.to_dict()]}
    assert merged(policy, [], [OURS]) == {}
    policy = {"Version": "1", "Statement": [other]}
    assert merged(policy, [], [OURS]) == policy


@pytest.mark.parametrize(
    ("old", "alike"),
    [
        ({}, True),
        ({"Principal": {"AWS": ["111111111111"]}}, True),
        ({"Action": ["s3:PutObject"], "Resource": ["arn:aws:s3:::b/*"]}, True),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True),
        ({"Action": "s3:*"}, False),
        ({"Principal": {"AWS": "AROAEXAMPLE"}}, False),
        ({"Effect": "Deny"}, False),
        ({"NotResource": "x"}, False),
    ],
)
def test_a_statement_in_other_words_or_narrowed_is_left(old: dict[str, Any], alike: bool) -> None:
    found = {**OURS.to_dict(), **old}
    assert covers(found, OURS.to_dict()) is alike
    after = listed(merged({"Statement": [found]}, [OURS]))
    assert after == ([found] if alike else [OURS.to_dict()])


def test_a_condition_of_ours_must_stand() -> None:
    wanted = {"Effect": "Allow", "Principal": "*", "Action": "x", "Condition": {"Bool": {"a": "true"}}}
    assert covers({**wanted, "Principal": {"AWS": "*"}, "Condition": {"Bool": {"a": True}}}, wanted)
    assert covers({**wanted, "Condition": {"Bool": {"a": "true", "b": "x"}}}, wanted)
    assert not covers({**wanted, "Condition": {"Bool": {"b": "x"}}}, wanted)
    assert not covers({**wanted, "Condition": {"Bool": {"a": "false"}}}, wanted)


def test_sids_tell_pairs_apart_and_are_letters_and_digits() -> None:
    pairs = [
        AccountPair(source, destination, region)
        for source in ("111111111111", "333333333333")
        for destination in ("222222222222", "444444444444")
        for region in ("eu-west-1", "eu-west-2")
    ]
    found = {pair.sid("Export", who) for pair in pairs for who in ("", "a", "b")}
    assert len(found) == 24
    assert all(sid.isalnum() and sid.isascii() for sid in found)
    assert len({pair.name("default") for pair in pairs}) == 4


@pytest.mark.parametrize("text", ["[]x", '"text"', "[1]", '{"Statement": "x"}', '{"Statement": [1]}'])
def test_what_is_no_policy_document_is_refused(text: str) -> None:
    with pytest.raises(PolicyNotReadable, match="policy of b"):
        parse(text, "policy of b")
    assert parse("", "it") == parse(None, "it") == {}


PAIR = AccountPair("111111111111", "222222222222", "eu-west-1")
GONE = "AIDAEXAMPLEEXAMPLE1234"


def test_statements_of_ours_whose_principal_was_deleted_go_with_the_next_one() -> None:
    """AWS shows a deleted user by its id, and refuses every policy that has it: all later runs of the pair failed."""
    dead = [
        OurStatement(PAIR.sid("Export", "one"), {"AWS": GONE}, ("s3:PutObject",)).to_dict(),
        {"Sid": PAIR.sid("Copy"), "Effect": "Allow", "Principal": {"AWS": [GONE, GONE]}, "Action": "s3:PutObject"},
    ]
    alive = [
        {"Sid": "Guard", "Effect": "Allow", "Principal": {"AWS": GONE}, "Action": "s3:*"},  # somebody else's
        {"Sid": "TableFerryMine", "Effect": "Allow", "Principal": {"AWS": GONE}, "Action": "s3:*"},
        {"Sid": PAIR.sid("Export", "two"), "Effect": "Allow", "Principal": {"AWS": [GONE, ROOT]}, "Action": "s3:*"},
        {"Sid": PAIR.sid("Export", "three"), "Effect": "Deny", "Principal": "*", "Action": "s3:*"},
        {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "s3:*"},
    ]
    policy = {"Version": "2012-10-17", "Statement": [*dead, *alive]}
    assert merged(policy, [OURS])["Statement"] == [*alive, OURS.to_dict()]
    assert merged(policy, [], [MORE]) == policy  # nothing is written without a cause
    assert merged(policy, [], [OURS]) == policy
    with_ours = {**policy, "Statement": [*dead, *alive, OURS.to_dict()]}
    assert merged(with_ours, [], [OURS])["Statement"] == alive
    assert dead_principals(policy) == (
        f"{dead[0]['Sid']}: {GONE}; {dead[1]['Sid']}: {GONE}, {GONE}; Guard: {GONE}; TableFerryMine: {GONE}; "
        f"{PAIR.sid('Export', 'two')}: {GONE}"
    )
    others = {"Effect": "Deny", "NotPrincipal": {"AWS": [ROOT, GONE]}, "Action": "*"}
    assert dead_principals({"Statement": others}) == f"statement 1 (without a Sid): {GONE}"
    assert dead_principals({"Statement": [alive[-1]]}) == ""
