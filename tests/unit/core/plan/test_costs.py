# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Costs against examples that were computed by hand from the prices and the formulas of docs/plan.md."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.amounts import (
    Span,
    about,
    amount_of_bytes,
    duration,
    durations,
    money,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.facts import Location, Wishes
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.prices import prices_of, usual
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.usual_prices import USUAL

from .tables import GB, LSI, PROVISIONED, facts, forecasts


def cost(method: str, **members: Any) -> Span:
    return forecasts(facts(**members))[method].cost


def lines(method: str, **members: Any) -> dict[str, list[float]]:
    return {line.what: [line.cost.low, line.cost.high] for line in forecasts(facts(**members))[method].costs}


def near(*values: float) -> Any:
    return pytest.approx(list(values), rel=1e-6)


def test_an_export_and_an_import_of_10_gb() -> None:
    found = lines("s3")
    assert found["export to S3"] == near(1.00, 1.00)  # 10 GB at $0.10
    assert found["import"] == near(1.50, 2.25)  # 10 to 15 GB of text at $0.15
    # A tenth of 10 GB for a day, to a half of 15 GB for 14 days, at $0.023 a month of 30 days.
    assert found["files in the staging bucket"] == near(10 * 0.1 * 1 / 30 * 0.023, 15 * 0.5 * 14 / 30 * 0.023)
    assert set(found) == {"export to S3", "import", "files in the staging bucket"}


def test_recovery_that_is_turned_on_costs_for_a_day_to_a_week() -> None:
    # 10 GB at $0.20 a month.
    assert lines("s3", recovery_on=False)["point-in-time recovery"] == near(2 / 30, 2 * 7 / 30)


def test_a_backup_of_10_gb() -> None:
    found = forecasts(facts())["backup"]
    costs = [(line.what, line.cost.low) for line in found.costs]
    assert costs == [
        ("backup in the source", pytest.approx(10 * 0.10 * 7 / 30)),
        ("copy in the destination", pytest.approx(10 * 0.10 * 7 / 30)),
        ("restore", pytest.approx(1.50)),
        # 10 GB are 2,621,440 pages of 4 KB, half a unit each, in both tables, at $0.125 a million.
        ("count both tables", pytest.approx(2 * 1_310_720 * 0.125 / 1e6)),
    ]
    assert found.cost.low == found.cost.high == pytest.approx(0.466667 + 1.5 + 0.32768, rel=1e-5)
    assert lines("backup", wishes=Wishes(verify="none")).keys() == {
        "backup in the source", "copy in the destination", "restore",
    }  # fmt: skip


def test_a_copy_through_this_machine_of_10_million_items_in_10_gb() -> None:
    found = lines("direct")
    assert found["read the items"] == near(1_310_720 * 0.125 / 1e6, 1_310_720 * 0.125 / 1e6)
    # At least a unit for each KB (10,485,760), at most one more for each item, at $0.625 a million.
    assert found["write the items"] == near(10.48576 * 0.625, 20.48576 * 0.625)


def test_indexes_take_write_units_of_their_own_unless_they_are_made_later() -> None:
    index = {
        "IndexName": "by_mail", "KeySchema": [{"AttributeName": "mail", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "KEYS_ONLY"}, "ItemCount": 4_000_000, "IndexSizeBytes": GB,
    }  # fmt: skip
    attributes = [{"AttributeName": name, "AttributeType": "S"} for name in ("id", "mail")]
    members = {"GlobalSecondaryIndexes": [index], "AttributeDefinitions": attributes}
    with_index = lines("direct", **members)["write the items"]
    # The index: at least a unit for each of its 4,000,000 entries, which are less than a KB each.
    assert with_index == near((10.48576 + 4.0) * 0.625, (20.48576 + 4.0 + 1.048576) * 0.625)
    later = lines("direct", wishes=Wishes(indexes_after=("by_mail",)), **members)["write the items"]
    assert later == near(10.48576 * 0.625, 20.48576 * 0.625)


def test_local_indexes_are_part_of_the_size() -> None:
    local = {**LSI["LocalSecondaryIndexes"][0], "IndexSizeBytes": 5 * GB}
    assert lines("glue", **{**LSI, "LocalSecondaryIndexes": [local]})["export to S3"] == near(1.5, 1.5)


def test_provisioned_capacity_costs_the_same_whether_it_is_used_or_not() -> None:
    assert lines("direct", **PROVISIONED) == {}
    assert "count both tables" not in lines("backup", **PROVISIONED)


def test_a_run_of_glue_is_billed_by_its_workers_and_at_least_for_a_minute() -> None:
    found = forecasts(facts(TableSizeBytes=0, ItemCount=0))["glue"]
    hours = next(line.cost for line in found.costs if line.what == "AWS Glue")
    assert hours.low == pytest.approx(2 * 0.44 / 60)  # two workers of one DPU
    assert lines("glue", wishes=Wishes(spark_workers=10))["AWS Glue"][0] == pytest.approx(
        5 * lines("glue")["AWS Glue"][0]
    )


def test_another_region_costs_the_transfer() -> None:
    far = Location("222222222222", "us-east-1")
    assert lines("backup", destination=far)["transfer to another Region"] == near(0.2, 0.2)
    assert lines("direct", destination=far)["transfer to another Region"] == near(0.2, 0.2)


def test_a_full_comparison_scans_both_tables() -> None:
    assert cost("s3", wishes=Wishes(verify="full")).low - cost("s3").low == pytest.approx(2 * 0.16384)


@pytest.mark.parametrize("method", ["glue", "emr"])
def test_a_full_comparison_with_an_export_scans_the_copy_only(method: str) -> None:
    assert cost(method, wishes=Wishes(verify="full")).low - cost(method).low == pytest.approx(0.16384)


def test_a_job_that_ends_with_an_import_takes_no_write_units() -> None:
    found = lines("glue", wishes=Wishes(spark_end="import"))
    assert found["import"] == lines("s3")["import"]
    assert "write the items" not in found
    local = forecasts(facts(**LSI, wishes=Wishes(spark_end="import")))["glue"]
    assert [reason.rule for reason in local.reasons] == ["local secondary indexes"]


def test_steps_may_take_a_second_run_that_looks_for_colliding_keys() -> None:
    with_steps, without = (lines("glue", wishes=Wishes(transforms=each))["AWS Glue"] for each in (True, False))
    assert with_steps == pytest.approx((without[0], 2 * without[1]))


# Prices


def test_every_usual_figure_has_date_and_source() -> None:
    for name, price in usual().figures.items():
        assert price.price > 0, name
        assert price.unit and price.source, name
        assert len(price.date) == 10, name
    unconfirmed = {name for name, price in usual().figures.items() if not price.confirmed}
    assert {"export_gb", "import_gb", "restore_gb"} <= unconfirmed


def test_a_figure_of_the_users_replaces_one_and_counts_as_confirmed() -> None:
    own = prices_of({"export_gb": 0.2})
    assert own.figures["export_gb"].price == 0.2
    assert own.figures["export_gb"].confirmed
    assert own.figures["import_gb"] == usual().figures["import_gb"]
    table = forecasts(facts(), prices=own)["s3"]
    assert next(line.cost.low for line in table.costs if line.what == "export to S3") == pytest.approx(2.0)
    assert "export_gb" not in table.unconfirmed


def test_a_whole_list_is_taken_with_its_region() -> None:
    assert prices_of({**USUAL, "region": "eu-west-1"}).region == "eu-west-1"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"export_gb": -1}, "the price of export_gb is negative"),
        ({"export_gb": "much"}, "the price of export_gb is no number"),
        ({"export_gb": True}, "the price of export_gb is no number"),
        ({"export_gb": float("nan")}, "the price of export_gb is no number"),
        ({"export_gb": None}, "export_gb has no price"),
        ({"export_gb": {"unit": "GB"}}, "export_gb has no price"),
        ({"export_gib": 1}, "export_gib is no figure of them (did you mean export_gb?)"),
        ({"figures": {"export_gb": 1}}, "write_million, read_million"),
        ({"figures": [1]}, "figures is no dictionary"),
    ],
)
def test_wrong_prices_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        prices_of(given)
    assert words in str(refused.value)


# Words


def test_amounts_in_words() -> None:
    assert [duration(seconds) for seconds in (4, 89, 600, 3600, 12000, 200000)] == [
        "4 s", "89 s", "10 min", "1 h", "3 h 20 min", "2 days 7 h",
    ]  # fmt: skip
    assert durations(Span(300, 960)) == "5 to 16 min"
    assert durations(Span(30, 960)) == "30 s to 16 min"
    assert [money(dollars) for dollars in (0, 0.001, 1.5, 1234.5)] == ["$0.00", "under $0.01", "$1.50", "$1,234"]
    assert about(Span(180, 244)) == "about $212 ($180 to $244)"
    assert about(Span(0.0, 0.001)) == "under $0.01"
    assert about(Span(0.001, 3)) == "up to $3.00"
    assert [amount_of_bytes(count) for count in (12, 2048, 3 << 20, 5 << 30, 7 << 40)] == [
        "12 bytes", "2.0 KB", "3.0 MB", "5.0 GB", "7.0 TB",
    ]  # fmt: skip
