# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cron expressions of backup plans."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lab.backup import schedule


@pytest.mark.parametrize(
    ("expression", "zone", "after", "runs"),
    [
        ("cron(0 5 ? * * *)", "Etc/UTC", "2026-11-26T05:00", ["2026-11-27T05:00", "2026-11-28T05:00"]),
        ("cron(0 5 ? * * *)", "Europe/Berlin", "2026-03-28T00:00", ["2026-03-28T04:00", "2026-03-29T03:00"]),
        ("cron(0/30 10-11 ? * MON-TUE *)", "Etc/UTC", "2026-11-26T00:00", ["2026-11-30T10:00", "2026-11-30T10:30"]),
        ("cron(15 0 1,15 JAN,6 ? *)", "Etc/UTC", "2026-11-26T00:00", ["2027-01-01T00:15", "2027-01-15T00:15"]),
        ("cron(0 0 29 2 ? *)", "Etc/UTC", "2026-11-26T00:00", ["2028-02-29T00:00"]),
        ("cron(0 0 1 1 ? 2027)", "Etc/UTC", "2026-11-26T00:00", ["2027-01-01T00:00", None]),
    ],
)
def test_next_runs(expression: str, zone: str, after: str, runs: list[str | None]) -> None:
    parsed = schedule.parse(expression, zone)
    moment: float | None = datetime.fromisoformat(after).replace(tzinfo=UTC).timestamp()
    for expected in runs:
        assert moment is not None
        moment = parsed.next_after(moment)
        shown = None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="minutes")[:16]
        assert shown == expected


@pytest.mark.parametrize(
    "expression",
    ["", "0 5 ? * * *", "cron(0 5 * * *)", "cron(0 24 ? * * *)", "cron(0 5 L * ? *)", "cron(5-1 5 ? * * *)"],
)
def test_not_an_expression(expression: str) -> None:
    with pytest.raises(ValueError, match=r"not valid|invalid literal"):
        schedule.parse(expression, "Etc/UTC")
