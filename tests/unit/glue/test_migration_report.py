# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a run as it is shown: one table that stays readable for any number of tables."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible import constants

from ansible_collections.tableferry.aws.plugins.module_utils.core import report
from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import outcome
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_report import VERB
from ansible_collections.tableferry.aws.plugins.plugin_utils.verb import for_machines


def row(number: int, status: str = "migrated", **values: Any) -> dict[str, Any]:
    """A row of the report."""
    judgement = {"status": status, "verified": "counts", "reason": values.pop("reason", "")}
    return {**report.row(f"table-{number:04d}", "s3", judgement=judgement), "changed": True, **values}


def shown(rows: list[dict[str, Any]], check_mode: bool = False, **options: Any) -> tuple[dict[str, Any], list[str]]:
    """What the verb answers, and the lines that it prints."""
    lines: list[str] = []
    params = {"tables": rows, "changes": [], "lines": None, "path": None, "try_only": False, **options}
    return outcome(VERB, params, check_mode=check_mode, diff=False, progress=lines.append), lines


def test_each_of_a_few_tables_has_a_line() -> None:
    result, lines = shown([row(1), row(2)], changes=["table-0001: export: none -> started"])
    assert lines[0] == "table-0001: export: none -> started"
    assert [line.split()[0] for line in lines[3:5]] == ["table-0001", "table-0002"]
    assert lines[-2:] == ["changed: table-0001, table-0002", "2 tables: 2 migrated"]
    assert result["changed"] and result["lines"] == lines


def test_a_reason_of_a_stopped_table_is_shown_once_and_in_full() -> None:
    reason = f"table-0001: Not allowed{'!' * 200}"
    _, lines = shown([row(1, "refused", reason=reason), row(2, "planned", reason="Check mode.")])
    assert "\n".join(lines).count("Not allowed") == 1 and reason in lines
    assert lines[2].endswith("see below") and lines[3].endswith("Check mode.")


LONG = f"Fix this first: {'The bucket is missing. ' * 9}Make it."
HELD = f"Another run works on this table, {'held by ann. ' * 9}Run again."


def test_a_reason_without_room_in_the_table_is_shown_below_once_with_its_tables() -> None:
    rows = [row(each, "planned", reason=f"table-{each:04d}: {LONG}" if each else LONG) for each in range(3)]
    _, lines = shown([row(3, "planned", reason=HELD), *rows, row(4, "planned", reason="Check mode.")], True)
    assert [line.split("  ")[-1] for line in lines[2:7]] == [*["see below"] * 4, "Check mode."]
    assert lines[7:9] == [f"table-0000, table-0001, table-0002: {LONG}", f"table-0003: {HELD}"]
    assert sum("Fix this" in line for line in lines) == 1


def test_a_reason_of_many_tables_is_shown_in_full_once() -> None:
    _, lines = shown([row(each, "planned", reason=LONG if each % 2 else "Short.") for each in range(100)], True)
    assert next(line for line in lines if LONG in line).endswith(f"table-0019, 40 more: {LONG}")
    groups = [line for line in lines if line.startswith("50 tables (")]
    assert groups[0].endswith(": Short.") and groups[1].endswith("... (see below)")
    assert sum(LONG in line for line in lines) == 1


def test_reasons_without_room_keep_the_report_of_many_tables_short() -> None:
    change = {"what": "tags", "before": None, "after": "x"}
    values = {"notes": ["n"], "settings_drift": [change], "settings_applied": [change]}
    rows = [row(each, "failed", reason="r", **values) for each in range(99)]
    rows += [row(99 + each, "planned", reason=f"{LONG}{each}") for each in range(99)]
    _, lines = shown(rows)
    assert len(lines) < 200 and "and 79 more reasons" in lines


@pytest.mark.parametrize("number", [51, 1000])
def test_many_tables_take_few_lines_and_hide_none_that_needs_attention(number: int) -> None:
    notes = {"notes": ["Look at this."]}
    rows = [row(each, **notes) for each in range(number - 2)] + [row(number, "refused"), row(number + 1, "failed")]
    _, lines = shown(rows)
    assert len(lines) < 60
    assert [line.split()[0] for line in lines[2:4]] == [f"table-{number:04d}", f"table-{number + 1:04d}"]
    assert f"{number - 2} tables (table-0000 to table-{number - 3:04d}) migrated by s3, verified counts" in lines
    assert f"note: {number - 12} more" in lines
    assert lines[-1] == f"{number} tables: 1 failed, {number - 2} migrated, 1 refused"


def test_the_worst_of_1000_tables_is_shown_in_less_than_200_lines() -> None:
    change = {"what": "tags", "before": None, "after": "x"}
    values = {"notes": ["n"], "settings_drift": [change], "settings_applied": [change]}
    rows = [row(each, "failed", reason="r", **values) for each in range(500)]
    left = {"settings_left": [{"what": "a", "reason": str(each)} for each in range(99)]}
    rows += [row(500 + each, "planned", reason=str(each), **left) for each in range(500)]
    _, lines = shown(rows)
    assert len(lines) < 200 and "and 450 more of these" in lines and "and 480 more groups" in lines


def places(folder: Path) -> dict[str, tuple[str, str]]:
    """Paths at which no report can be written, and why not."""
    (folder / "file").touch()
    (folder / "folder").mkdir()
    return {
        "below a file": (str(folder / "file" / "report.json"), "Not a directory"),
        "a folder": (str(folder / "folder"), "Is a directory"),
        "no parent that can be made": ("/proc/no/report.json", "No such file or directory|Permission denied"),
        "not permitted": ("/proc/report.json", "No such file or directory|Permission denied"),
        "no such device": ("/dev/tableferry", "No such file or directory"),
        "too long": (str(folder / ("n" * 300)), "File name too long"),
    }


@pytest.mark.parametrize(
    "name", ["below a file", "a folder", "no parent that can be made", "not permitted", "no such device", "too long"]
)
@pytest.mark.parametrize("check_mode", [False, True])
def test_a_report_that_cannot_be_written_is_known_before_and_a_warning_afterwards(
    tmp_path: Path, name: str, check_mode: bool
) -> None:
    path, why = places(tmp_path)[name]
    before = sorted(tmp_path.rglob("*"))
    tried, lines = shown([], check_mode, path=path, try_only=True)
    assert tried["failed"] and lines == []
    step = "Nothing was started. Set path to a file that can be written."
    assert re.fullmatch(f"The report {path} cannot be written: ({why}). {step}", tried["msg"])
    result, lines = shown([row(1)], check_mode, path=path)
    assert "1 table: 1 migrated" in lines[-1]
    assert not result.get("failed")
    if not check_mode:
        (warning,) = result["warnings"]
        assert re.fullmatch(f"The report {path} cannot be written: ({why}). It is shown above.", warning)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("place", ["report.json", "new/folders/report.json", "there.json"])
def test_trying_leaves_nothing_and_changes_nothing(tmp_path: Path, place: str) -> None:
    (tmp_path / "there.json").write_text("of before")
    result, _ = shown([], True, path=str(tmp_path / place), try_only=True)
    assert not result.get("failed")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("there.json", "of before")]


def test_no_path_is_nothing_to_try() -> None:
    assert not shown([], path=None, try_only=True)[0].get("failed")


def test_a_full_disk_leaves_the_report_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "report.json"
    path.write_text("of before")
    monkeypatch.setattr(os, "fsync", full)
    result, _ = shown([row(1)], path=str(path))
    assert "No space left on device. It is shown above." in result["warnings"][0]
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("report.json", "of before")]
    assert "No space left on device" in shown([], path=str(path), try_only=True)[0]["msg"]


def test_a_device_that_is_full_is_a_warning_too() -> None:
    assert "No space left on device" in shown([row(1)], path="/dev/full")[0]["warnings"][0]
    assert "warnings" not in shown([row(1)], path="/dev/null")[0]


def test_standard_output_is_written_to_wherever_it_leads(tmp_path: Path) -> None:
    """As root the link was replaced where it led to a file."""
    script = (
        "from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_report import run\n"
        "print('before', flush=True)\n"
        "for try_only in (True, False):\n"
        "    params = {'tables': [], 'changes': [], 'lines': None, 'path': '/dev/stdout', 'try_only': try_only}\n"
        "    run(params, False, lambda line: None)\n"
    )
    out = tmp_path / "out"
    with out.open("w") as file:
        subprocess.run([sys.executable, "-c", script], stdout=file, check=True)
    assert out.read_text() == 'before\n{\n  "tables": []\n}\n'
    piped = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert piped.stdout == out.read_text()
    assert Path("/dev/stdout").is_symlink()


def test_check_mode_writes_no_report(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    _, lines = shown([row(1, "planned")], check_mode=True, path=str(path))
    assert not path.exists() and lines[-2] == "would change: table-0001"
    shown([row(1)], path=str(path))
    assert json.loads(path.read_text())["tables"][0]["name"] == "table-0001"


@pytest.mark.parametrize(
    ("callback", "machine"), [("default", False), ("ansible.posix.json", True), ("json", True), ("a.b.yaml", True)]
)
def test_lines_go_to_standard_error_where_a_callback_writes_a_document(
    callback: str, machine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DEFAULT_STDOUT_CALLBACK", callback)
    assert for_machines() is machine
