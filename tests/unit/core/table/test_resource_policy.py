# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.table.resource_policy import (
    CannotRewrite,
    TableLocation,
    canonical_policy,
    rewrite_policy,
)

HERE = "arn:aws:dynamodb:eu-west-1:111111111111:table/orders"
THERE = "arn:aws:dynamodb:us-east-1:222222222222:table/orders2"
SOURCE, DESTINATION = TableLocation.of(HERE), TableLocation.of(THERE)
APP = "arn:aws:iam::111111111111:role/app"
APP2 = "arn:aws:iam::222222222222:role/app"
PARTNER = "arn:aws:iam::999999999999:role/partner"


def policy(**statement):
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": PARTNER},
                "Action": "dynamodb:GetItem",
                "Resource": HERE,
                **statement,
            }
        ],
    }


def rewritten(document, principal_map=None, source=SOURCE, destination=DESTINATION):
    return rewrite_policy(document, source, destination, principal_map or {})["Statement"][0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (HERE, THERE),
        (f"{HERE}/index/*", f"{THERE}/index/*"),
        (f"{HERE}/stream/2026", f"{THERE}/stream/2026"),
        ([HERE, f"{HERE}/index/a"], [THERE, f"{THERE}/index/a"]),
        (HERE.replace("eu-west-1", "*"), THERE.replace("us-east-1", "*")),
        (HERE + "-old", THERE.replace("orders2", "orders-old")),
        ("arn:aws:dynamodb:*:*:table/orders/*", "arn:aws:dynamodb:*:*:table/orders2/*"),
        (f"{HERE}*", f"{THERE[:-1]}*"),
        ("*", "*"),
        (
            "arn:aws:dynamodb:eu-west-1:999999999999:table/orders",
            "arn:aws:dynamodb:eu-west-1:999999999999:table/orders",
        ),
    ],
)
def test_resources_name_the_copy(before, after):
    assert rewritten(policy(Resource=before))["Resource"] == after


@pytest.mark.parametrize(
    ("principal", "principal_map", "after"),
    [
        ({"AWS": APP}, {APP: APP2}, {"AWS": APP2}),
        ({"AWS": [APP, PARTNER]}, {APP: APP2}, {"AWS": [APP2, PARTNER]}),
        ({"AWS": "111111111111"}, {"arn:aws:iam::111111111111:root": APP2}, {"AWS": APP2}),
        ({"AWS": "arn:aws:iam::111111111111:root"}, {"111111111111": "222222222222"}, {"AWS": "222222222222"}),
        ({"AWS": PARTNER}, {}, {"AWS": PARTNER}),
        ({"AWS": PARTNER}, {PARTNER: APP2}, {"AWS": APP2}),
        ({"Service": "replication.dynamodb.amazonaws.com"}, {}, {"Service": "replication.dynamodb.amazonaws.com"}),
        ("*", {}, "*"),
    ],
)
def test_principals_go_through_the_map(principal, principal_map, after):
    assert rewritten(policy(Principal=principal), principal_map)["Principal"] == after


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ({"Principal": {"AWS": APP}}, "role/app"),
        ({"NotPrincipal": {"AWS": ["111111111111"]}}, "111111111111"),
        ({"Principal": {"AWS": "AIDAEXAMPLEEXAMPLE12"}}, "^it names AIDAEXAMPLEEXAMPLE12, .*deleted"),
        ({"Sid": "Guard", "Principal": {"AWS": "AROAEXAMPLEEXAMPLE12"}}, "statement Guard names AROA.*deleted"),
        ({"Condition": {"ArnLike": {"aws:PrincipalArn": f"{APP}*"}}}, "role/app"),
        ({"Condition": {"StringEquals": {"aws:PrincipalAccount": "111111111111"}}}, "111111111111"),
        ({"Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:eu-west-1:111111111111:t"}}}, "sns"),
        ({"Resource": HERE[:-1] + "?"}, "pattern"),
        ({"Principal": {"CanonicalUser": "x111111111111x"}}, "still names the source account"),
    ],
)
def test_what_has_no_counterpart_leaves_the_policy_out_and_is_named(statement, word):
    with pytest.raises(CannotRewrite, match=word):
        rewritten(policy(**statement))


def test_conditions_on_resources_are_rewritten():
    condition = {"StringEquals": {"aws:SourceAccount": "111111111111"}, "ArnLike": {"aws:SourceArn": [f"{HERE}/*"]}}
    assert rewritten(policy(Condition=condition))["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "222222222222"},
        "ArnLike": {"aws:SourceArn": [f"{THERE}/*"]},
    }


def test_conditions_on_principals_go_through_the_map():
    condition = {"ArnEquals": {"aws:PrincipalArn": APP}}
    assert rewritten(policy(Condition=condition), {APP: APP2})["Condition"] == {"ArnEquals": {"aws:PrincipalArn": APP2}}


def test_within_one_account_principals_stay():
    there = TableLocation.of("arn:aws:dynamodb:us-east-1:111111111111:table/orders")
    assert rewritten(policy(Principal={"AWS": APP}), destination=there)["Principal"] == {"AWS": APP}


def test_what_aws_takes_for_equal_is_equal():
    one = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "allow",
            "Principal": {"AWS": ["111111111111", "111111111111"]},
            "Action": ["dynamodb:GetItem"],
            "Resource": HERE,
            "Condition": {"Bool": {"aws:SecureTransport": True}},
        },
    }
    other = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
                "Action": "dynamodb:GetItem",
                "Resource": [HERE],
                "Condition": {"Bool": {"aws:SecureTransport": ["true"]}},
            }
        ],
    }
    assert canonical_policy(one) == canonical_policy(other)
    without = {"Statement": one["Statement"]}
    assert canonical_policy(without) != canonical_policy(one)


arns = st.sampled_from([HERE, f"{HERE}/index/i", f"{HERE}-x", "*", "arn:aws:dynamodb:eu-west-1:999999999999:table/t"])
users = st.sampled_from([APP, PARTNER, "111111111111", "arn:aws:iam::111111111111:root", "999999999999"])


def some(strategy):
    return strategy | st.lists(strategy, min_size=1, max_size=3)


documents = st.fixed_dictionaries(
    {
        "Version": st.just("2012-10-17"),
        "Statement": st.lists(
            st.fixed_dictionaries(
                {
                    "Effect": st.sampled_from(["Allow", "Deny"]),
                    "Principal": st.just("*") | st.fixed_dictionaries({"AWS": some(users)}),
                    "Action": some(st.sampled_from(["dynamodb:GetItem", "dynamodb:*"])),
                    "Resource": some(arns),
                },
                optional={
                    "Condition": st.fixed_dictionaries(
                        {
                            "StringLike": st.dictionaries(
                                st.sampled_from(["aws:PrincipalArn", "aws:SourceArn"]), some(users)
                            )
                        }
                    )
                },
            ),
            min_size=1,
            max_size=3,
        ),
    }
)
maps = st.dictionaries(users, st.sampled_from([APP2, "222222222222"]))


@given(documents, maps)
def test_a_rewritten_policy_never_names_the_source_and_is_stable(document, principal_map):
    try:
        there = rewrite_policy(document, SOURCE, DESTINATION, principal_map)
    except CannotRewrite:
        assert "111111111111" in json.dumps(document)
        return
    assert "111111111111" not in json.dumps(there)
    assert [entry["Effect"] for entry in there["Statement"]] == [entry["Effect"] for entry in document["Statement"]]
    own = {name: name for name in principal_map.values()}
    assert rewrite_policy(there, SOURCE, DESTINATION, own) == there


@given(documents)
def test_canonical_form_is_canonical(document):
    form = canonical_policy(document)
    assert canonical_policy(form) == form
    assert canonical_policy(json.loads(json.dumps(document))) == form
