# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The choice of ``auto``: one row for each rule."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.choice import asked_for
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.facts import (
    Between,
    Location,
    Reason,
    Sample,
    Wishes,
)

from .tables import GB, LSI, chosen, facts, forecasts

CHINA = Location("222222222222", "cn-north-1", "aws-cn")
SELF = Location("111111111111", "us-east-1")
ALONE = {"backup": Between(reasons=(Reason("organization", "222222222222 is in no AWS Organization"),))}
OFF = {"backup": Between(reasons=(Reason("cross-account backup", "Cross-account backup is off"),))}
TINY = {"TableSizeBytes": 1000, "ItemCount": 10}
TB = 1024 * GB

MATRIX: list[tuple[str, dict[str, Any], dict[str, Between], str, dict[str, str]]] = [
    # what is special, facts, between the accounts, the choice, and which rule (or promise) is against which method
    ("nothing", {}, {}, "s3", {"backup": "proved complete", "direct": "one instant"}),
    ("tiny", TINY, {}, "s3", {"direct": "one instant"}),
    ("tiny and still", {**TINY, "wishes": Wishes(writes_stopped=True)}, {}, "direct", {}),
    ("still", {"wishes": Wishes(writes_stopped=True)}, ALONE, "s3", {"backup": "organization"}),
    ("local indexes", LSI, {}, "backup", {"s3": "local secondary indexes"}),
    (
        "local indexes, no organization",
        LSI,
        ALONE,
        "direct",
        {"s3": "local secondary indexes", "backup": "organization"},
    ),
    ("local indexes, switch off", LSI, OFF, "direct", {"backup": "cross-account backup"}),
    (
        "local indexes, no organization, huge",
        {**LSI, "TableSizeBytes": 3 * TB, "ItemCount": 3_000_000_000},
        ALONE,
        "glue",
        {"s3": "local secondary indexes", "direct": "only if asked"},
    ),
    (
        "partitions",
        {"destination": CHINA},
        {},
        "direct",
        {"s3": "partition", "backup": "partition", "glue": "partition"},
    ),
    ("one account", {**LSI, "destination": SELF}, {}, "direct", {"backup": "one account"}),
    ("transform", {"wishes": Wishes(transforms=True)}, {}, "glue", {"s3": "transforms", "backup": "transforms"}),
    (
        "transform, tiny and still",
        {**TINY, "wishes": Wishes(transforms=True, writes_stopped=True)},
        {},
        "direct",
        {"s3": "transforms"},
    ),
    (
        "transform, an application of EMR",
        {"wishes": Wishes(transforms=True, own_engine=True)},
        {},
        "emr",
        {"s3": "transforms"},
    ),
    (
        "transform, accounts that are not prepared",
        {"wishes": Wishes(transforms=True, prepared=False, staging="b")},
        {},
        "direct",
        {"s3": "transforms", "glue": "only if asked", "emr": "only if asked"},
    ),
    (
        "recovery off and to stay so",
        {"recovery_on": False, "wishes": Wishes(recovery=False)},
        {},
        "backup",
        {"s3": "point-in-time recovery", "glue": "point-in-time recovery"},
    ),
    ("recovery off", {"recovery_on": False}, {}, "s3", {}),
    ("recovery not known", {"recovery_on": None, "wishes": Wishes(recovery=False)}, {}, "s3", {}),
    (
        "no bucket",
        {"wishes": Wishes(prepared=False)},
        ALONE,
        "direct",
        {"s3": "staging bucket", "glue": "staging bucket"},
    ),
    ("a bucket of the user's", {"wishes": Wishes(prepared=False, staging="b")}, {}, "s3", {}),
    (
        "items that an index does not take",
        {"sample": Sample(100, {"by_mail": 3})},
        {},
        "backup",
        {"s3": "items that an index does not take"},
    ),
    ("too large for an import", {"TableSizeBytes": 90 * TB, "ItemCount": 9 * 10**10}, {}, "backup", {"s3": "size"}),
    ("tags", {**LSI, "tags": 50}, {}, "direct", {"backup": "tags"}),
    ("tags that fit", {**LSI, "tags": 49}, {}, "backup", {}),
    ("indexes later", {**LSI, "wishes": Wishes(indexes_after=("by_mail",))}, {}, "direct", {"backup": "indexes"}),
    ("compared in full", {**LSI, "wishes": Wishes(verify="full")}, {}, "backup", {}),
]


@pytest.mark.parametrize(
    ("members", "between", "method", "against"), [row[1:] for row in MATRIX], ids=[row[0] for row in MATRIX]
)
def test_auto_takes_the_cheapest_method_that_keeps_every_promise(
    members: dict[str, Any], between: dict[str, Between], method: str, against: dict[str, str]
) -> None:
    table = facts(**members)
    choice = chosen(table, between)
    assert choice.forecast is not None
    assert choice.forecast.method == method, choice.why
    found = forecasts(table, between)
    for other, rule in against.items():
        each = found[other]
        rules = {reason.rule for reason in each.reasons} | set(each.broken)
        assert rule in rules or (rule == "only if asked" and each.by_itself), (other, rules)
    # Each other method is told with what is against it.
    assert all(f"{other}: " in choice.why for other in found if other != method)


# The leaves of the picture in the guide "Choosing a method", from above: a table that comes to each.
LEAVES: list[tuple[str, dict[str, Any], dict[str, Between]]] = [
    ("direct", {"destination": CHINA}, {}),
    ("direct", {**TINY, "wishes": Wishes(transforms=True, writes_stopped=True)}, {}),
    ("emr", {"wishes": Wishes(transforms=True, own_engine=True)}, {}),
    ("glue", {"wishes": Wishes(transforms=True)}, {}),
    ("s3", {}, {}),
    ("backup", LSI, {}),
    ("glue", {**LSI, "TableSizeBytes": 3 * TB, "ItemCount": 3_000_000_000}, ALONE),
    ("direct", LSI, ALONE),
]


def test_the_picture_of_the_guide_shows_what_auto_takes() -> None:
    from tests.unit.house.imports import ROOT

    guide = (ROOT / "docs/docsite/rst/choosing_a_method.rst").read_text()
    assert re.findall(r"-> (\w+)$", guide, re.MULTILINE) == [method for method, _, _ in LEAVES]
    choices = [chosen(facts(**members), between).forecast for _, members, between in LEAVES]
    assert [choice.method for choice in choices if choice] == [method for method, _, _ in LEAVES]
    recovery = chosen(facts(recovery_on=False, wishes=Wishes(recovery=False))).forecast
    assert recovery is not None and recovery.method == "backup"


def test_every_rule_of_the_page_has_a_row() -> None:
    """docs/plan.md lists the rules."""
    from tests.unit.house.imports import ROOT

    page = (ROOT / "docs/plan.md").read_text().split("(`rule` in the JSON)")[1].split("Reasons that stop")[0]
    named = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    rows = {rule for row in MATRIX for rule in row[4].values()}
    assert named - rows <= {"air-gapped vault"}, named - rows


def test_cost_decides_between_methods_that_keep_as_much_and_time_where_it_is_the_same() -> None:
    still = Wishes(writes_stopped=True)
    # 10 GB: AWS Backup about $2.30 with its counts, an export and an import more than $2.50, direct more than $6.
    found = forecasts(facts(wishes=still))
    assert found["backup"].cost.high < found["s3"].cost.low < found["direct"].cost.low
    assert chosen(facts(wishes=still)).forecast == found["backup"]
    tiny = forecasts(facts(wishes=still, **TINY))
    assert tiny["direct"].seconds.high < tiny["s3"].seconds.low
    assert "takes longer" in chosen(facts(wishes=still, **TINY)).why


def test_what_is_asked_for_is_taken_or_its_reasons_are_told() -> None:
    found = list(forecasts(facts(**LSI)).values())
    assert asked_for("glue", found).forecast == found[3]
    refused = asked_for("s3", found)
    assert refused.forecast is None
    assert refused.why == "an import cannot create the local secondary indexes (by_date)"


def test_where_nothing_is_possible_each_method_says_why() -> None:
    table = facts(wishes=Wishes(transforms=True, prepared=False, recovery=False), recovery_on=False)
    nothing = {"direct": Between(reasons=(Reason("no way", "it cannot"),))}
    choice = chosen(table, nothing)
    assert choice.forecast is None
    assert {part.split(":")[0] for part in choice.why.split("; ")} == {"s3", "backup", "direct", "glue", "emr"}


def test_a_reason_that_all_have_is_told_once() -> None:
    same = {
        name: Between(reasons=(Reason("gone", "the table is gone"),))
        for name in ("s3", "backup", "direct", "glue", "emr")
    }
    assert chosen(facts(), same).why == "the table is gone"
