# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report's rows and text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.report import row as rows
from ansible_collections.tableferry.aws.plugins.module_utils.core.report import text as shown

JUDGED = {
    "status": "migrated",
    "items_source": 3,
    "items_destination": 3,
    "bytes": 360,
    "verified": "counts",
    "reason": "",
    "data_as_of": {"from": "2026-10-08T11:55:00+00:00", "to": "2026-10-08T11:55:00+00:00"},
}
SETTINGS = {
    "settings_carried": ["tags"],
    "settings_left": [{"what": "replicas", "reason": "never"}],
    "source_bytes": 240,
}
NOWHERE = {"table": "", "account_id": "", "region": "", "arn": ""}
JOBS = {
    "export": {
        "kind": "export",
        "state": "completed",
        "arn": "arn:e",
        "result": {"start_time": "2026-10-08T12:00:00+00:00", "end_time": "2026-10-08T12:02:00+00:00"},
    },
    "import": {
        "kind": "import",
        "result": {"start_time": "2026-10-08T12:02:01+00:00", "end_time": "2026-10-08T12:04:30.500000+00:00"},
    },
    "settings": {"kind": "settings", "result": SETTINGS},
}


def test_a_row_has_what_the_report_promises() -> None:
    spans = {"settings": ("2026-10-08T14:04:31+02:00", "2026-10-08T12:04:40Z"), "export": ("never", "read")}
    row = rows.row("orders", "s3", judgement=JUDGED, jobs=JOBS, spans=spans)
    assert row == {
        "name": "orders",
        "method": "s3",
        "status": "migrated",
        "migration_id": "default",
        "source": NOWHERE,
        "destination": NOWHERE,
        "items_source": 3,
        "items_destination": 3,
        "bytes": 240,
        "seconds": 270.5,
        "verified": "counts",
        "data_as_of": {"from": "2026-10-08T11:55:00+00:00", "to": "2026-10-08T11:55:00+00:00"},
        "jobs": [
            {
                "kind": "export",
                "state": "completed",
                "arn": "arn:e",
                "start": "2026-10-08T12:00:00.000+00:00",
                "end": "2026-10-08T12:02:00.000+00:00",
            },
            {
                "kind": "import",
                "state": "",
                "arn": "",
                "start": "2026-10-08T12:02:01.000+00:00",
                "end": "2026-10-08T12:04:30.500+00:00",
            },
            {
                "kind": "settings",
                "state": "",
                "arn": "",
                "start": "2026-10-08T12:04:31.000+00:00",
                "end": "2026-10-08T12:04:40.000+00:00",
            },
        ],
        "settings_carried": ["tags"],
        "settings_left": [{"what": "replicas", "reason": "never"}],
        "reason": "",
        "warnings": [],
        "next": "",
    }
    assert json.loads(json.dumps(row)) == row


@pytest.mark.parametrize(("told", "status"), [("refused", "refused"), ("failed", "failed"), (None, "failed")])
def test_a_failure_decides(told: str | None, status: str) -> None:
    row = rows.row("orders", "s3", judgement=JUDGED, failure={"ferry_status": told, "msg": "why"})
    assert (row["status"], row["verified"], row["reason"]) == (status, "none", "why")


def test_a_table_never_judged_has_failed() -> None:
    row = rows.row("orders", "s3")
    assert (row["status"], row["items_source"], row["seconds"]) == ("failed", None, None)
    assert row["reason"]


@pytest.mark.parametrize(
    ("status", "expect", "same"),
    [
        ("migrated", "", True),
        ("migrated", "migrated", True),
        ("refused", "refused", True),
        ("failed", "refused", False),
    ],
)
def test_what_was_expected(status: str, expect: str, same: bool) -> None:
    assert rows.expected({"status": status}, expect) is same


@given(st.lists(st.tuples(st.text(max_size=10), st.text(max_size=200)), max_size=6))
def test_one_line_for_each_table(told: list[tuple[str, str]]) -> None:
    text = shown.text_table([rows.row(name, "s3", failure={"msg": reason}) for name, reason in told])
    assert len(text.split("\n")) == len(told) + 2


def test_the_table_says_each_name_once() -> None:
    text = shown.text_table([rows.row("orders", "s3", failure={"msg": "orders: Gone. Look."})])
    assert text.count("orders") == 1
    assert text.endswith("  Gone. Look.")


def test_what_was_not_carried_is_told_once_for_all_tables() -> None:
    left = {"settings_left": [{"what": "alarms", "reason": "make them anew"}]}
    found = [rows.row(name, "s3", jobs={"settings": {"result": left}}) for name in ("a", "b")]
    assert shown.not_carried(found) == ["alarms: make them anew [a, b]"]
    assert shown.not_carried(found * 2) == ["alarms: make them anew [4 tables]"]
    assert shown.not_carried([rows.row("a", "s3")]) == []


def test_the_summary() -> None:
    rows = [{"status": "migrated"}] * 2 + [{"status": "refused"}]
    assert shown.summary(rows) == "3 tables: 2 migrated, 1 refused"
    assert shown.summary([]) == "0 tables"


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-east-1", "aws-us-gov"), ("us-east-1", "aws"), ("", "")],
)
def test_a_place_has_an_arn_where_account_and_region_are_known(region: str, partition: str) -> None:
    arn = rows.TablePlace("orders", "111111111111", region).arn
    assert arn == (f"arn:{partition}:dynamodb:{region}:111111111111:table/orders" if partition else "")


def test_a_comparison_began_its_seconds_before_its_end() -> None:
    compared = {
        "kind": "verify",
        "state": "completed",
        "result": {"end_time": "2026-10-08T12:00:10+00:00", "seconds": 4},
    }
    (job,) = rows.row("orders", "s3", jobs={"verify": compared})["jobs"]
    assert (job["start"], job["end"]) == ("2026-10-08T12:00:06.000+00:00", "2026-10-08T12:00:10.000+00:00")


def test_the_settings_of_the_source_are_known_from_what_was_carried_and_what_was_not() -> None:
    earlier = {"result": {"evidence": {"settings": {"settings_carried": ["stream"]}}}}
    assert rows.settings_of_source({"settings": {"result": SETTINGS}}) == {"tags", "replicas"}
    assert rows.settings_of_source({"claim": earlier}) == {"stream"}


def test_the_size_is_that_of_the_source_whatever_was_moved_and_unknown_where_dynamodb_does_not_tell_it() -> None:
    earlier = {"claim": {"result": {"evidence": {"settings": {"source_bytes": 240}}}}}
    assert rows.row("orders", "direct", judgement=JUDGED, jobs=earlier)["bytes"] == 240
    young = {"settings": {"result": {**SETTINGS, "source_bytes": 0}}}
    for jobs in (young, {}, {"direct": {"result": {"bytes": 1029}}}):
        assert rows.row("orders", "direct", judgement=JUDGED, jobs=jobs)["bytes"] is None


@pytest.mark.parametrize(
    ("judged", "result", "about"),
    [
        ({"bytes": 300}, {}, [200, 300]),  # the items as text
        ({"bytes": 300}, {"billed_bytes": 0}, [200, 300]),  # AWS bills a tiny table's export with nothing
        ({"bytes": 300}, {"billed_bytes": 250}, [250, 250]),
        ({"bytes": None}, {"billed_bytes": 250}, [250, 250]),
        ({"bytes": None}, {}, None),
        ({"bytes": 300}, {"source_bytes": 240}, None),
    ],
)
def test_the_size_is_about_what_went_where_dynamodb_does_not_tell_it(
    judged: dict[str, Any], result: dict[str, int], about: list[int] | None
) -> None:
    jobs = {"export": {"kind": "export", "result": result}}
    row = rows.row("orders", "s3", judgement={**JUDGED, **judged}, jobs=jobs)
    assert row.get("bytes_about") == about


@pytest.mark.parametrize(("number", "text"), [(999, "999 B"), (1500, "1.5 kB"), (4_800_000_000_000, "4.8 TB")])
def test_amounts_of_bytes(number: int, text: str) -> None:
    assert shown.amount_of_bytes(number) == text
