# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a run as it is shown: one table that stays readable for any number of tables."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible import constants

from ansible_collections.tableferry.aws.plugins.module_utils.core.report import folder as folders
from ansible_collections.tableferry.aws.plugins.module_utils.core.report import row as rows
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.folder import LOCK
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.page import _template as page_of
from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import outcome
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_report import VERB
from ansible_collections.tableferry.aws.plugins.plugin_utils.verb import for_machines


def row(number: int, status: str = "migrated", **values: Any) -> dict[str, Any]:
    """A row of the report."""
    judgement = {"status": status, "verified": "counts", "reason": values.pop("reason", "")}
    return {**rows.row(f"table-{number:04d}", "s3", judgement=judgement), "changed": True, **values}


def shown(rows: list[dict[str, Any]], check_mode: bool = False, **options: Any) -> tuple[dict[str, Any], list[str]]:
    """What the verb answers, and the lines that it prints."""
    lines: list[str] = []
    params = {
        "tables": rows,
        "changes": [],
        "call_logs": [],
        "others": [],
        "earlier_runs": None,
        "lines": None,
        "dir": None,
        "part": "migration",
        "places": [],
        "iac": [],
        "plan": None,
        "try_only": False,
        **options,
    }
    return outcome(VERB, params, check_mode=check_mode, diff=False, progress=lines.append), lines


def test_each_of_a_few_tables_has_a_line() -> None:
    result, lines = shown([row(1), row(2)], changes=["table-0001: export: none -> started"])
    assert lines[0] == "table-0001: export: none -> started"
    assert [line.split()[0] for line in lines[3:5]] == ["table-0001", "table-0002"]
    assert lines[-2:] == ["changed: table-0001, table-0002", "2 tables: 2 migrated"]
    assert result["changed"] and result["lines"] == lines


def test_where_calls_were_noted_is_said_once() -> None:
    result, lines = shown([row(1)], call_logs=["/report/calls.jsonl", "/report/calls.jsonl"])
    assert lines[-1] == "calls: /report/calls.jsonl" and result["lines"] == lines


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
    assert next(line for line in lines if LONG in line).endswith(f"table-0019 and 40 more: {LONG}")
    groups = [line for line in lines if line.startswith("50 tables (")]
    assert groups[0].endswith(": Short.") and groups[1].endswith("... (see below)")
    assert sum(LONG in line for line in lines) == 1


def test_reasons_without_room_keep_the_report_of_many_tables_short(tmp_path: Path) -> None:
    change = {"what": "tags", "before": None, "after": "x"}
    values = {"warnings": ["n"], "settings_drift": [change], "settings_applied": [change]}
    rows = [row(each, "failed", reason="r", **values) for each in range(99)]
    rows += [row(99 + each, "planned", reason=f"{LONG}{each}") for each in range(99)]
    _, lines = shown(rows, dir=str(tmp_path))
    assert len(lines) < 60 and "and 94 more reasons" in lines


@pytest.mark.parametrize("number", [51, 1000])
def test_many_tables_take_few_lines_and_hide_none_that_needs_attention(number: int) -> None:
    notes = {"warnings": ["Look at this."]}
    rows = [row(each, **notes) for each in range(number - 2)] + [row(number, "refused"), row(number + 1, "failed")]
    _, lines = shown(rows)
    assert lines[:3] == [
        f"{number - 2} tables (table-0000 to table-{number - 3:04d}) migrated by s3, verified counts",
        f"table-{number:04d} refused",
        f"table-{number + 1:04d} failed",
    ]
    (note,) = [line for line in lines if line.startswith("note: ")]
    assert note.startswith("note: table-0000, ") and note.endswith(f"table-0009 and {number - 12} more: Look at this.")
    assert lines[-1] == f"{number} tables: 1 failed, {number - 2} migrated, 1 refused"


def test_a_span_has_all_tables_between_its_ends() -> None:
    rows = [row(each, "refused" if each == 20 else "migrated") for each in range(10, 64)]
    _, lines = shown(rows)
    done = "53 tables (table-0010 to table-0019, table-0021 to table-0063) migrated by s3, verified counts"
    assert lines[:2] == [done, "table-0020 refused"]
    _, lines = shown([row(each, "planned" if each % 2 else "migrated") for each in range(60)])
    assert lines[0] == "30 tables (table-0000, table-0002, table-0004 and 27 more) migrated by s3, verified counts"
    numbered = [{**entry, "name": f"t{at}"} for at, entry in enumerate(row(each) for each in range(60))]
    _, lines = shown([*numbered[:3], {**numbered[3], "status": "refused"}, *numbered[4:]])
    assert lines[0] == "59 tables (t0 to t2, t4 to t59) migrated by s3, verified counts"


def test_each_cause_has_one_line_with_all_its_tables(tmp_path: Path) -> None:
    gone, denied = "There is no such table. Check the name.", "Not allowed. Grant it."
    rows = [row(each, "failed", reason=f"table-{each:04d}: {gone if each % 2 else denied}") for each in range(60)]
    _, lines = shown(rows, dir=str(tmp_path))
    assert [line.partition(" failed: ")[2] for line in lines[:2]] == [denied, gone]
    assert all(f"table-{each:04d}" in lines[each % 2] for each in range(60))
    rows = [row(each, "failed", reason=f"Cause {each}.") for each in range(60)]
    _, lines = shown(rows, dir=str(tmp_path))
    assert lines[14] == "table-0014 failed: Cause 14."
    assert lines[15] == "for 45 more reasons, which the report has: 45 tables (table-0015 to table-0059)"


def test_where_no_report_is_written_all_reasons_are_told() -> None:
    refused = [row(each, "refused", reason=f"Cause {each // 2}.") for each in range(100)]
    planned = [row(100 + each, "planned", reason=f"{LONG}{each}") for each in range(20)]
    for check_mode, options in ((True, {"dir": "report"}), (False, {"dir": None})):
        _, lines = shown(refused + planned, check_mode, **options)
        assert all(any(line.endswith(f" refused: Cause {each}.") for line in lines) for each in range(50))
        assert "2 tables (table-0098, table-0099) refused: Cause 49." in lines
        assert all(any(line.endswith(f": {LONG}{each}") for line in lines) for each in range(20))


def test_a_reason_that_begins_with_another_name_than_the_hosts_is_the_same_reason() -> None:
    found = []
    for each in range(60):
        place = rows.TablePlace(f"shop_{each}", "", "").to_dict()
        found.append(row(each, "refused", reason=f"shop_{each}: There is no such table.", source=place))
    _, lines = shown(found)
    assert lines[0] == "60 tables (table-0000 to table-0059) refused: There is no such table."


def test_tables_that_ended_alike_at_other_times_have_one_line() -> None:
    def finished(each: int) -> str:
        return f"Finished by an earlier run, at 2026-11-29T20:34:{each % 7 + 38}+00:00."

    _, lines = shown([row(each, reason=finished(each), warnings=[finished(each)]) for each in range(62)])
    told = "Finished by an earlier run, at 2026-11-29T20:34:38+00:00 to 2026-11-29T20:34:44+00:00."
    assert lines[0] == f"62 tables (table-0000 to table-0061) migrated by s3, verified counts: {told}"
    assert lines[1].startswith("note: table-0000") and lines[1].endswith(f" and 52 more: {told}")


def test_the_worst_of_1000_tables_is_shown_in_less_than_60_lines(tmp_path: Path) -> None:
    change = {"what": "tags", "before": None, "after": "x"}
    values = {"warnings": ["n"], "settings_drift": [change], "settings_applied": [change]}
    rows = [row(each, "failed", reason="r", **values) for each in range(500)]
    left = {"settings_left": [{"what": "a", "reason": str(each)} for each in range(99)]}
    rows += [row(500 + each, "planned", reason=str(each), **left) for each in range(500)]
    _, lines = shown(rows, dir=str(tmp_path))
    assert len(lines) < 60 and "and 490 more groups" in lines


def places(folder: Path) -> dict[str, tuple[str, str]]:
    """Folders into which no report can be written, and why not."""
    (folder / "file").touch()
    (folder / "taken" / "report.html").mkdir(parents=True)
    return {
        "a file": (str(folder / "file"), "Not a directory"),
        "below a file": (str(folder / "file" / "report"), "Not a directory"),
        "a folder at a file's place": (str(folder / "taken"), "Is a directory"),
        "no parent that can be made": ("/proc/no/report", "No such file or directory|Permission denied"),
        "a device": ("/dev/null", "Not a directory"),
        "too long": (str(folder / ("n" * 300)), "File name too long"),
    }


NOWHERE = ["a file", "below a file", "a folder at a file's place", "no parent that can be made", "a device", "too long"]


@pytest.mark.parametrize("name", NOWHERE)
@pytest.mark.parametrize("check_mode", [False, True])
def test_a_report_that_cannot_be_written_is_known_before_and_a_warning_afterwards(
    tmp_path: Path, name: str, check_mode: bool
) -> None:
    path, why = places(tmp_path)[name]
    before = sorted(tmp_path.rglob("*"))
    tried, lines = shown([], check_mode, dir=path, try_only=True)
    assert tried["failed"] and lines == []
    step = "Nothing was started. Set dir to a folder that can be written to."
    told = f"The report cannot be written to the folder {path}: ({why})."
    assert re.fullmatch(f"{told} {step}", tried["msg"])
    assert sorted(tmp_path.rglob("*")) == before
    result, lines = shown([row(1)], check_mode, dir=path)
    assert "1 table: 1 migrated" in lines[-1]
    assert not result.get("failed") and result["report"] == ""
    assert result["artifact"]["statuses"] == {"migrated": 1}
    if not check_mode:
        (warning,) = result["warnings"]
        assert re.fullmatch(f"{told} It is shown above.", warning)


@pytest.mark.parametrize("place", ["report", "new/folders/report", "there"])
def test_trying_leaves_nothing_and_changes_nothing(tmp_path: Path, place: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "report.json").write_text("of before")
    before = sorted(tmp_path.rglob("*"))
    result, _ = shown([], True, dir=str(tmp_path / place), try_only=True)
    assert not result.get("failed")
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "there" / "report.json").read_text() == "of before"


def test_no_folder_is_nothing_to_try() -> None:
    assert not shown([], dir=None, try_only=True)[0].get("failed")


def test_a_full_disk_leaves_the_report_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "report.json").write_text("of before")
    monkeypatch.setattr(os, "fsync", full)
    result, _ = shown([row(1)], dir=str(tmp_path))
    assert "No space left on device. It is shown above." in result["warnings"][0]
    assert [(each.name, each.read_text()) for each in tmp_path.glob("[!.]*")] == [("report.json", "of before")]
    assert "No space left on device" in shown([], dir=str(tmp_path), try_only=True)[0]["msg"]


def test_check_mode_writes_no_report(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    _, lines = shown([row(1, "planned")], check_mode=True, dir=str(folder))
    assert not folder.exists() and lines[-2] == "would change: table-0001"
    result, lines = shown([row(1)], dir=str(folder))
    assert lines[-1] == f"report: {folder}/report.html" and result["report"] == f"{folder}/report.html"
    assert sorted(path.name for path in folder.glob("[!.]*")) == ["report.html", "report.json", "report.md"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert json.loads((folder / "report.json").read_text())["tables"][0]["name"] == "table-0001"


def test_without_jinja2_there_is_no_page_and_the_rest_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    page_of.cache_clear()
    result, _ = shown([row(1)], dir=str(tmp_path))
    page_of.cache_clear()
    assert result["report"] == f"{tmp_path}/report.md"
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == ["report.json", "report.md"]


@pytest.mark.parametrize("former", ["of before", "[]", "{}", '{"version": "1.0", "tables": [{"name": "x"}]}', None])
@pytest.mark.parametrize("part", ["migration", "comparison"])
def test_whatever_lies_there_is_replaced_by_the_report(tmp_path: Path, former: str | None, part: str) -> None:
    (tmp_path / "report.json").write_text(former) if former is not None else None
    found = compared("table-0001") if part == "comparison" else row(1)
    shown([found], dir=str(tmp_path), part=part, lines=["Compared."] if part == "comparison" else None)
    (table,) = json.loads((tmp_path / "report.json").read_text())["tables"]
    assert table["name"] == "table-0001" and table["status"] == ("unknown" if part == "comparison" else "migrated")


def compared(name: str, result: str = "equal", account: str = "") -> dict[str, Any]:
    """What verify says of a table."""
    numbers = {"items_source": 3, "items_destination": 3, "missing": 0, "different": 0, "extra": 0}
    place = rows.TablePlace("", account, "")
    return {
        "name": name,
        "migration_id": "default",
        "source": place.to_dict(),
        "destination": place.to_dict(),
        "comparison": {"level": "full", **numbers, "result": result, "message": "3 items, all are equal."},
    }


def test_verify_and_cleanup_write_into_the_report_of_the_migration(tmp_path: Path) -> None:
    folder = str(tmp_path)
    shown([row(1), row(2)], dir=folder)
    shown([compared("table-0001", "differs")], dir=folder, part="comparison", lines=["Compared."])
    cleaned = {
        **compared("table-0002"),
        "cleanup": {"removed": 3, "kept": 0, "left": [], "result": "cleaned up", "message": ""},
    }
    del cleaned["comparison"]
    result, lines = shown([cleaned], dir=folder, part="cleanup", lines=["Cleaned."])
    assert lines[0] == "Cleaned."
    found = json.loads((tmp_path / "report.json").read_text())
    first, second = found["tables"]
    assert first["comparison"]["result"] == "differs" and first["cleanup"] is None
    assert second["cleanup"]["removed"] == 3 and second["comparison"] is None
    assert found["playbook"] == "cleanup" and result["artifact"]["failed"] == ["table-0001"]
    # A migration that finds a table finished knows that it is the one that was compared; one that brought it does not.
    finished = {**row(1), "jobs": [{"kind": "claim", "state": "not_needed", "arn": "", "start": "", "end": ""}]}
    shown([finished, row(2)], dir=folder)
    first, second = json.loads((tmp_path / "report.json").read_text())["tables"]
    assert first["comparison"]["result"] == "differs" and second["cleanup"] is None


def test_a_run_waits_for_another_that_writes_the_report_and_both_are_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one has read the report of before, and writes while this one waits."""
    began = shown([], dir=str(tmp_path), try_only=True)[0]["runs"]
    other = tmp_path / "other"
    shown([{**row(1), "run": "0" * 16}], dir=str(other))
    text = (other / "report.json").read_text()
    mine = json.loads(text)["run"]
    lock = os.open(tmp_path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)

    def written(_seconds: float) -> None:
        (tmp_path / "report.json").write_text(text.replace(mine, "0123456789abcdef"))
        os.close(lock)

    monkeypatch.setattr(folders, "SILENT_SECONDS", 0)
    monkeypatch.setattr(folders.time, "sleep", written)
    _, lines = shown([row(2)], dir=str(tmp_path), earlier_runs=began)
    assert lines[0].startswith("Another run writes the report in") or lines[-2].startswith("Another run writes")
    tables = json.loads((tmp_path / "report.json").read_text())["tables"]
    assert [(table["name"], table["run"]) for table in tables] == [
        ("table-0001", "0123456789abcdef"),
        ("table-0002", mine),
    ]
    # To the next run they are nothing new.
    began = shown([], dir=str(tmp_path), try_only=True)[0]["runs"]
    assert began == sorted(["0123456789abcdef", mine])
    text = (tmp_path / "report.json").read_text().replace('"status": "migrated"', '"status": "failed"')
    (tmp_path / "report.json").write_text(text)
    shown([row(2)], dir=str(tmp_path), earlier_runs=began)
    assert len(json.loads((tmp_path / "report.json").read_text())["tables"]) == 1


def test_tables_of_earlier_runs_that_leave_the_report_are_named(tmp_path: Path) -> None:
    shown([row(1), *(row(each, "refused") for each in range(2, 15))], dir=str(tmp_path))
    result, lines = shown([row(14)], dir=str(tmp_path), others=["table-0002"])
    tables = json.loads((tmp_path / "report.json").read_text())["tables"]
    assert [table["name"] for table in tables] == ["table-0001", "table-0002", "table-0014"]
    names = ", ".join(f"table-{each:04d}" for each in range(3, 13))
    said = f"left the report, as they were not moved and are no longer in the inventory: {names} and 1 more"
    assert lines[-2] == said and result["lines"] == lines
    _, lines = shown([row(14)], dir=str(tmp_path), others=["table-0002"])
    assert not any("left the report" in line for line in lines)


@pytest.mark.parametrize("why", ["no locks", "held for long", "no lock file"])
def test_a_report_is_written_without_a_lock_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    errors = {"no locks": OSError(errno.ENOLCK, "No locks available"), "held for long": BlockingIOError()}

    def refuse(*_args: int) -> None:
        raise errors[why]

    if why == "no lock file":
        (tmp_path / LOCK).mkdir()
    else:
        monkeypatch.setattr(fcntl, "flock", refuse)
        monkeypatch.setattr(folders, "LOCK_SECONDS", 0)
    result, _ = shown([row(1)], dir=str(tmp_path))
    assert "warnings" not in result and (tmp_path / "report.json").exists()


def test_the_folder_has_those_files_for_infrastructure_as_code_that_the_report_tells_of(tmp_path: Path) -> None:
    place = "iac/222222222222-eu-west-1"
    shown([row(1)], dir=str(tmp_path))
    found = json.loads((tmp_path / "report.json").read_text())
    ways = [{"name": "Terraform and OpenTofu", "folder": place, "files": ["import.tf"], "commands": [], "traps": []}]
    found["adoption"] = [{"account_id": "222222222222", "region": "eu-west-1", "tables": 1, "ways": ways, "left": []}]
    found["tables"][0]["destination"] |= {"account_id": "222222222222", "region": "eu-west-1"}
    (tmp_path / "report.json").write_text(json.dumps(found))
    kept = ["iac/notes/import.tf", "iac/333333333333-eu-west-1/tables.tf", f"{place}/tables.tf"]
    stale = [f"{place}/cloudformation-template-2.json", "iac/333333333333-eu-west-1/import.tf"]
    stale += ["iac/444444444444-us-east-1/resources-to-import.json"]
    for name in [*kept, *stale, f"{place}/import.tf"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)

    def left() -> list[str]:
        return sorted(str(each.relative_to(tmp_path)) for each in (tmp_path / "iac").rglob("*") if each.is_file())

    shown([row(2)], dir=str(tmp_path), others=["table-0001"])
    assert left() == sorted([*kept, f"{place}/import.tf"]) and not (tmp_path / "iac/444444444444-us-east-1").exists()
    shown([row(1)], dir=str(tmp_path))
    assert left() == sorted(kept)


@pytest.mark.parametrize(
    ("callback", "machine"), [("default", False), ("ansible.posix.json", True), ("json", True), ("a.b.yaml", True)]
)
def test_lines_go_to_standard_error_where_a_callback_writes_a_document(
    callback: str, machine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DEFAULT_STDOUT_CALLBACK", callback)
    assert for_machines() is machine
