# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan as JSON and as lines, and an approved one against that of now."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.forecasting import adopting
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.planning import settings_of, shape_of
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.approved import check_approved, refusals
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.document import Plan, PlannedTable, lines_of
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.facts import Reason, TableFacts
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.handed_on import is_packed, pack, unpack
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.prices import usual
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.warnings import warnings_of
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.planned import is_plan, with_plan
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import choices_of

from .tables import HERE, LSI, PROVISIONED, THERE, chosen, facts, forecasts

TRANSFORMED = MigrationOptions("orders", transform=choices_of([{"set": {"n": 1}}]))


def planned(host: str, found: TableFacts | None = None, **members: Any) -> PlannedTable:
    found = found or facts()
    forecast = chosen(found).forecast
    assert forecast is not None
    values: dict[str, Any] = {
        "state": "planned", "table": "orders", "made_table": "orders", "source": HERE, "destination": THERE,
        "asked": "auto", "method": forecast.method, "why": "because", "forecasts": tuple(forecasts(found).values()),
        "settings": settings_of(TRANSFORMED, found.definition, {"staging_days": 30}),
        "shape": shape_of(found.definition),
        "size": found.size, "items": found.definition.item_count, **members,
    }  # fmt: skip
    return PlannedTable(host, **values)


def data(*tables: PlannedTable, to_do: tuple[str, ...] = ()) -> dict[str, Any]:
    """A plan as it is read from its file."""
    made: dict[str, Any] = json.loads(json.dumps(Plan(tables, usual(), "2026-11-29T12:00:00+00:00", to_do).to_dict()))
    return made


STUCK = PlannedTable(
    "stuck", "cannot_go", "stuck", "stuck", reasons=(Reason("MissingKeyMapping", "no key", "Add the key."),)
)


def test_one_line_counts_all() -> None:
    tables = [planned(f"t{number}") for number in range(3)]
    tables += [planned("local", facts(**LSI)), planned("old", state="done"), STUCK]
    plan = data(*tables, to_do=("Add the key.",))
    assert plan["line"].startswith(
        "6 tables: 3 by s3, 1 by backup (local secondary indexes), 1 done already, 1 cannot go (MissingKeyMapping); "
    )
    assert plan["line"].endswith("; 1 thing for you to do")
    assert plan["totals"]["by_method"] == {"backup": 1, "s3": 3}
    assert (plan["totals"]["planned"], plan["totals"]["done"], plan["totals"]["cannot_go"]) == (4, 1, 1)
    assert plan["totals"]["cost"] == pytest.approx(
        [sum(table["cost"][end] for table in plan["tables"]) for end in (0, 1)]
    )
    assert list(lines_of(plan))[-1] == plan["line"]


def test_the_example_of_the_issue_is_worded_so() -> None:
    tables = [planned(f"a{number}") for number in range(88)]
    tables += [planned(f"b{number}", facts(**LSI)) for number in range(9)]
    tables += [planned(f"c{number}", asked="direct", method="direct") for number in range(4)]
    line = data(*tables, *[STUCK] * 3, to_do=("one", "two"))["line"]
    assert line.startswith(
        "104 tables: 88 by s3, 9 by backup (local secondary indexes), 4 by direct, 3 cannot go (MissingKeyMapping); "
    )
    assert line.endswith("; 2 things for you to do")
    assert "; about $" in line


def test_a_table_that_is_adopted_is_counted_as_such_and_costs_its_comparison() -> None:
    whole = planned("t")
    adopted = replace(whole, host="there", adoption=adopting("s3", facts(), usual()))
    plan = data(whole, adopted, replace(adopted, host="stuck", state="cannot_go"), STUCK)
    assert plan["line"].startswith("4 tables: 1 by s3, 1 adopted, 2 cannot go (")
    assert (plan["totals"]["by_method"], plan["totals"]["adopted"], plan["totals"]["planned"]) == ({"s3": 1}, 1, 2)
    moved, found, *others = plan["tables"]
    assert found["adopts"] and not any("adopts" in table for table in (moved, *others))
    assert [line["what"] for line in found["costs"]] == ["compare all items"] and found["cost"] != moved["cost"]
    assert any(line.startswith("there: adopted, ") for line in lines_of(plan))


@pytest.mark.parametrize("before", [True, False])
def test_a_table_that_was_to_be_adopted_is_not_moved_nor_the_other_way_round(before: bool) -> None:
    """Both may cost nearly nothing, so that the cost does not tell."""
    free = replace(adopting("s3", facts(), usual()), costs=())
    approved = data(planned("t", forecasts=(free,), adoption=free if before else None))
    now = data(planned("t", forecasts=(free,), adoption=None if before else free))
    for each in (approved, unpack(pack(approved))):
        (words,) = refusals(each, now).values()
        ways = ["adopted, as it stands under the name", "moved"]
        wanted, planned_so = ways[::-1] if before else ways
        assert f"the table would be {wanted}, not {planned_so}" in words
    assert refusals(approved, approved) == {}


def test_tables_that_cannot_go_are_always_named_and_others_up_to_fifty() -> None:
    lines = list(lines_of(data(*[planned(f"t{number}") for number in range(60)], STUCK)))
    assert "stuck: cannot go: no key. Add the key." in lines
    assert not any(line.startswith("t1: ") for line in lines)
    assert any("60 tables that can go are not listed here" in line for line in lines)
    assert any(line.startswith("t1: by s3") for line in lines_of(data(planned("t1"), STUCK)))


def test_of_many_tables_those_that_cannot_go_for_one_reason_have_one_line() -> None:
    stuck = [replace(STUCK, host=f"stuck{number}") for number in range(60)]
    other = replace(STUCK, host="other", reasons=(Reason("Other", "no way", "Ask."),))
    lines = list(lines_of(data(planned("t"), *stuck, other)))
    assert lines[:2] == [
        "60 tables (stuck0 to stuck59): cannot go: no key. Add the key.",
        "other: cannot go: no way. Ask.",
    ]


def test_unconfirmed_prices_are_named_where_they_count() -> None:
    assert any("UNCONFIRMED: export_gb, import_gb" in line for line in lines_of(data(planned("t"))))
    assert not any("UNCONFIRMED" in line for line in lines_of(data(STUCK)))


def test_a_table_that_was_begun_costs_up_to_the_whole() -> None:
    begun, whole = data(planned("t", state="begun"))["tables"][0], data(planned("t"))["tables"][0]
    assert begun["cost"] == [0, whole["cost"][1]]
    assert begun["seconds"] == [0, whole["seconds"][1]]


def test_warnings_of_a_table() -> None:
    found = facts(
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        TableClassSummary={"TableClass": "STANDARD_INFREQUENT_ACCESS"},
        Replicas=[{"RegionName": "eu-west-2"}],
        WarmThroughput={"ReadUnitsPerSecond": 50000, "WriteUnitsPerSecond": 20000},
    )
    words = " ".join(warnings_of(found, forecasts(found)["direct"], True))
    for part in (
        "read while others write",
        "24 hours",
        "eu-west-2",
        "two changes of class",
        "WriteUnitsPerSecond 20000",
    ):
        assert part in words, part
    assert list(warnings_of(facts(), forecasts(facts())["s3"], True)) == []


# Approved plans


def change(**members: Any) -> Callable[[dict[str, Any]], None]:
    return lambda table: table.update(members)


def setting(**members: Any) -> Callable[[dict[str, Any]], None]:
    return lambda table: table["settings"].update(members)


def shape(**members: Any) -> Callable[[dict[str, Any]], None]:
    return lambda table: table["shape"].update(members)


def test_what_is_as_approved_is_not_refused() -> None:
    plan = data(planned("t"), planned("old", state="done"))
    assert refusals(plan, copy.deepcopy(plan)) == {}


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (change(method="direct", why="cheaper"), "the method would be direct, not s3 (cheaper)"),
        (change(cost=[30.0, 40.0]), "it would cost about $35, and $2.50 to $3.33 was planned"),
        (change(cost=[0.1, 0.2]), "it would cost about $0.15, and $2.50 to $3.33 was planned"),
        (setting(verify="full"), "verify is full, not counts"),
        (setting(kms_key_map={"a": "b"}), "kms_key_map is {'a': 'b'}, not none"),
        (setting(on_collision="any"), "on_collision is any, not refuse"),
        (setting(transform_errors="skip", adopt=True), "adopt is True, not False; transform_errors is skip, not fail"),
        (setting(transform="b"), "transform has other steps, names, values, salts or functions (fingerprint b, not "),
        (setting(staging_days=1), "staging_days is 1, not 30"),
        (shape(indexes=["by_mail"]), "indexes is ['by_mail'], not none"),
        (shape(billing_mode="PROVISIONED"), "billing_mode is PROVISIONED, not PAY_PER_REQUEST"),
        (change(destination={"arn": "arn:other"}), "the destination is arn:other, not arn:aws:dynamodb:eu-west-1:2222"),
        (change(host="other"), "the table is not in it"),
    ],
)
def test_what_differs_is_refused_with_the_difference(now: Callable[[dict[str, Any]], None], words: str) -> None:
    plan = data(planned("t"))
    changed = copy.deepcopy(plan)
    now(changed["tables"][0])
    (refused,) = refusals(plan, changed).values()
    assert words in refused
    assert "the plan of 2026-11-29T12:00:00+00:00" in refused


@pytest.mark.parametrize(
    "now",
    [
        change(cost=[2.6, 3.4]),
        change(cost=[2.4, 3.3]),
        change(state="done", method="direct"),
        lambda table: (change(state="done")(table), setting(finished_settings="report", warm_throughput=False)(table)),
    ],
)
def test_a_little_more_or_less_and_what_is_done_are_not_refused(now: Callable[[dict[str, Any]], None]) -> None:
    plan = data(planned("t"))
    changed = copy.deepcopy(plan)
    now(changed["tables"][0])
    assert refusals(plan, changed) == {}


def test_a_table_that_could_not_go_was_not_approved() -> None:
    approved = data(replace(STUCK, why="there are local indexes"))
    words = refusals(approved, data(planned("stuck")))["stuck"]
    assert "it says that the table cannot go: there are local indexes." in words


def test_a_table_that_cannot_go_any_more_is_refused_with_the_reason() -> None:
    """It was left to the start, which the rest of the plan was then not held against."""
    words = refusals(data(planned("stuck")), data(replace(STUCK, why="no key")))["stuck"]
    assert words.endswith("says: it cannot go now: no key. Add the key.")
    found = data(replace(STUCK, reasons=(Reason("variables", "ferry_x is wrong"),), why="ferry_x is wrong"))
    assert "it cannot go now: ferry_x is wrong. Make a new plan" in refusals(data(planned("stuck")), found)["stuck"]


def test_what_applies_settings_to_a_finished_table_is_compared() -> None:
    options = MigrationOptions("orders")
    done = planned("t", state="done", settings=settings_of(options, None), shape={})
    changed = replace(done, settings=settings_of(replace(options, finished_settings="apply"), None))
    for approved in (done, planned("t")):
        words = refusals(data(approved), data(changed))["t"]
        assert "finished_settings is apply, not once" in words
    other = replace(options, finished_settings="apply", kms_key_map={"a": "b"})
    words = refusals(data(changed), data(replace(done, settings=settings_of(other, None))))["t"]
    assert "says: kms_key_map is {'a': 'b'}, not none." in words
    assert refusals(data(changed), data(changed)) == {}
    elsewhere = replace(changed, destination=replace(THERE, region="us-east-1"))
    assert "the destination is arn:aws:dynamodb:us-east-1:" in refusals(data(changed), data(elsewhere))["t"]


def test_a_finished_table_that_would_be_moved_again_is_refused() -> None:
    done = planned("t", state="done", settings=settings_of(MigrationOptions("orders"), None), shape={})
    words = refusals(data(done), data(planned("t")))["t"]
    assert "says: it says that the table is done already, and it would be moved again. Make a new plan" in words


def test_whatever_is_wrong_in_a_plan_gives_no_raw_error() -> None:
    plan = data(planned("t"), planned("old", state="done"), STUCK)
    rows = [{"name": name, "status": "migrated", "bytes": 7} for name in ("t", "old", "stuck")]
    wrong = 0
    for junk in (
        None,
        7,
        -1,
        "text",
        [],
        ["text"],
        {},
        {"a": 1},
        True,
        [1, 2],
        [True, 2],
        math.nan,
        [0, math.inf],
        [None, None],
    ):
        for at in range(3):
            for part in (plan, plan["tables"][at], *(plan["tables"][at][each] for each in ("source", "settings"))):
                for name in part:
                    kept, part[name] = part[name], junk
                    try:
                        check_approved(plan, "p.json")
                        refusals(plan, data(planned("t"), planned("old"), STUCK))
                        with_plan(rows, plan)
                    except InvalidInput:
                        wrong += 1
                    finally:
                        part[name] = kept
    assert wrong > 100


def test_a_source_that_cannot_be_read_any_more_is_refused() -> None:
    begun = planned("t", state="begun", settings=settings_of(TRANSFORMED, None, {"staging_days": 30}), shape={})
    words = refusals(data(planned("t", state="begun")), data(begun))["t"]
    assert "says: the source table cannot be read now. Make a new plan" in words


def test_a_plan_without_accounts_is_named_without_a_time() -> None:
    approved = {**data(STUCK), "made_at": ""}
    check_approved(approved, "p.json")
    assert "Not as the plan says: it says that the table cannot go" in refusals(approved, data(STUCK))["stuck"]


def test_a_source_that_was_made_anew_is_told_in_words() -> None:
    plan = data(planned("t"))
    changed = copy.deepcopy(plan)
    shape(table_id="id-2", billing_mode="PROVISIONED")(changed["tables"][0])
    words = refusals(plan, changed)["t"]
    assert "the source table was deleted and created anew since the plan was made" in words
    assert words.endswith("Look whether the new table is the one to move, then make a new plan and have it approved.")
    assert "billing_mode is PROVISIONED" in words
    assert "id-2" not in words


@pytest.mark.parametrize("approved", [None, [], {}, 7, "plan", {"schema": "other", "version": 2, "tables": []}])
def test_what_is_no_plan_is_refused(approved: Any) -> None:
    with pytest.raises(InvalidInput, match=r"The approved plan p\.json is no plan of TableFerry\. Give the JSON file"):
        check_approved(approved, "p.json")


@pytest.mark.parametrize("version", [1, 3, "2", None])
def test_a_plan_of_another_version_is_refused(version: Any) -> None:
    words = f"p.json is of version {version}, and this collection reads 2. Make the plan again with this version"
    with pytest.raises(InvalidInput, match=words):
        check_approved({**data(planned("t")), "version": version}, "p.json")


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda part: part.pop(name)


def of_table(wrong: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    return lambda plan: wrong(plan["tables"][0])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (without("made_at"), "made_at, the time at which it was made, is missing or no time"),
        (change(made_at="yesterday"), "made_at, the time"),
        (change(made_at=7), "made_at, the time"),
        (without("tables"), "tables is missing or no list"),
        (change(tables={}), "tables is missing or no list"),
        (change(tables=["orders"]), "table 1 is no dictionary with a host"),
        (change(tables=[{}]), "table 1 is no dictionary with a host"),
        (of_table(change(host=["orders"])), "table 1 is no dictionary with a host"),
        (of_table(change(host="")), "table 1 is no dictionary with a host"),
        (lambda plan: plan["tables"].append(plan["tables"][0]), "it has the table t twice"),
        (of_table(change(state="ready")), "the table t has no state, or a wrong one"),
        (of_table(change(state=["done"])), "the table t has no state, or a wrong one"),
        (of_table(change(source="here", destination={})), "the table t has no source, destination, or a wrong one"),
        (of_table(change(cost=["1", 2])), "the table t has no cost, or a wrong one"),
        (of_table(change(cost=[2, 1])), "the table t has no cost, or a wrong one"),
        (of_table(change(cost=[1])), "the table t has no cost, or a wrong one"),
        (of_table(change(method=None)), "the table t has no method, or a wrong one"),
        *[
            (of_table(without(name)), f"the table t has no {name}, or a wrong one")
            for name in (
                *("state", "source", "destination", "method", "why", "bytes", "seconds", "cost", "wave"),
                *("unconfirmed", "settings", "shape"),
            )
        ],
        (without("prices"), "prices is missing or no dictionary"),
    ],
)
def test_a_plan_that_is_not_whole_is_refused_in_a_sentence(wrong: Callable[[dict[str, Any]], None], words: str) -> None:
    plan = data(planned("t"))
    check_approved(plan, "p.json")
    wrong(plan)
    with pytest.raises(InvalidInput) as refused:
        check_approved(plan, "p.json")
    assert str(refused.value).startswith(f"The approved plan p.json is not whole: {words}")
    assert str(refused.value).endswith(
        ". Give the file as the playbook plan has written it, or make the plan again and have it approved."
    )


def test_settings_say_nothing_of_a_transform_but_its_mark() -> None:
    found = facts(**PROVISIONED)
    options = MigrationOptions("orders", indexes_after=("by_mail",))
    made = settings_of(options, found.definition)
    assert (made["transform"], made["indexes_after"]) == ("", ["by_mail"])
    marked = settings_of(TRANSFORMED, found.definition)
    assert (len(marked["transform"]), marked["on_collision"]) == (16, "refuse")


def test_a_plan_that_was_handed_on_is_compared_and_shown_as_its_file_is() -> None:
    plan = data(planned("orders"), planned("local", facts(**LSI)), STUCK)
    text = pack(plan)
    assert is_packed(text)
    assert not is_packed("tableferry-plan.json")
    handed = unpack(text)
    check_approved(handed, "that was handed on")
    other = data(planned("orders", method="direct"), planned("late"), STUCK)
    assert refusals(handed, other) == refusals(plan, other) != {}
    assert refusals(handed, plan) == refusals(plan, plan)
    rows = [{"name": "orders", "status": "migrated", "bytes": 1 << 30}]
    assert is_plan(handed)  # of the version that the report reads
    assert with_plan(rows, handed) == with_plan(rows, plan)


def test_a_plan_of_thousands_of_tables_can_be_handed_on() -> None:
    plan = data(*[planned(f"table-{number}", made_table=f"table-{number}") for number in range(2500)])
    assert len(pack(plan)) < 500_000


@pytest.mark.parametrize("cut", [-3, 40])
def test_a_text_that_is_not_whole_is_refused(cut: int) -> None:
    with pytest.raises(InvalidInput, match="is not whole"):
        unpack(pack(data(planned("orders")))[:cut])
