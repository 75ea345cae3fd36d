# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report's rows and text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core import report

JUDGED = {
    "status": "migrated",
    "items_source": 3,
    "items_destination": 3,
    "bytes": 360,
    "verified": "counts",
    "reason": "",
    "data_as_of": {"from": "2026-10-08T11:55:00+00:00", "to": "2026-10-08T11:55:00+00:00"},
}
SETTINGS = {"settings_carried": ["tags"], "settings_left": [{"what": "replicas", "reason": "never"}]}
JOBS = {
    "export": {"result": {"start_time": "2026-10-08T12:00:00+00:00", "end_time": "2026-10-08T12:02:00+00:00"}},
    "import": {"result": {"start_time": "2026-10-08T12:02:01+00:00", "end_time": "2026-10-08T12:04:30.500000+00:00"}},
    "settings": {"result": SETTINGS},
}


def test_a_row_has_what_the_report_promises() -> None:
    row = report.row("orders", "s3", judgement=JUDGED, jobs=JOBS)
    assert row == {
        "name": "orders",
        "method": "s3",
        "status": "migrated",
        "items_source": 3,
        "items_destination": 3,
        "bytes": 360,
        "seconds": 270.5,
        "verified": "counts",
        "data_as_of": {"from": "2026-10-08T11:55:00+00:00", "to": "2026-10-08T11:55:00+00:00"},
        "settings_carried": ["tags"],
        "settings_left": [{"what": "replicas", "reason": "never"}],
        "reason": "",
        "notes": [],
    }
    assert json.loads(json.dumps(report.document([row]))) == {"tables": [row]}


@pytest.mark.parametrize(("told", "status"), [("refused", "refused"), ("failed", "failed"), (None, "failed")])
def test_a_failure_decides(told: str | None, status: str) -> None:
    row = report.row("orders", "s3", judgement=JUDGED, failure={"ferry_status": told, "msg": "why"})
    assert (row["status"], row["verified"], row["reason"]) == (status, "none", "why")


def test_a_table_never_judged_has_failed() -> None:
    row = report.row("orders", "s3")
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
    assert report.expected({"status": status}, expect) is same


@given(st.lists(st.tuples(st.text(max_size=10), st.text(max_size=200)), max_size=6))
def test_one_line_for_each_table(rows: list[tuple[str, str]]) -> None:
    text = report.text_table([report.row(name, "s3", failure={"msg": reason}) for name, reason in rows])
    assert len(text.split("\n")) == len(rows) + 2


def test_the_table_says_each_name_once() -> None:
    text = report.text_table([report.row("orders", "s3", failure={"msg": "orders: Gone. Look."})])
    assert text.count("orders") == 1
    assert text.endswith("  Gone. Look.")


def test_what_was_not_carried_is_told_once_for_all_tables() -> None:
    left = {"settings_left": [{"what": "alarms", "reason": "make them anew"}]}
    rows = [report.row(name, "s3", jobs={"settings": {"result": left}}) for name in ("a", "b")]
    assert report.not_carried(rows) == ["alarms: make them anew [a, b]"]
    assert report.not_carried(rows * 2) == ["alarms: make them anew [4 tables]"]
    assert report.not_carried([report.row("a", "s3")]) == []


def test_the_summary() -> None:
    rows = [{"status": "migrated"}] * 2 + [{"status": "refused"}]
    assert report.summary(rows) == "3 tables: 2 migrated, 1 refused"
    assert report.summary([]) == "0 tables"
