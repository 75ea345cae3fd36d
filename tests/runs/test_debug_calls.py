# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``ferry_debug_calls``: each request that reached the lab is in the log of its run, and nothing that is secret."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from tests.runs.playbooks import Migration, group_of

TABLES = ["by-s3", "by-direct"]
TIMINGS = {"export.full": 3, "import.visible": 0.5, "import.creating": 3, "import.completing": 0.5}
CHOICES = {"ferry_debug_calls": True, "ferry_workers": "2", "ferry_verify": "full"}


def lines_of(path: Path) -> list[dict[str, Any]]:
    """A log."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_call_is_noted_also_by_workers_and_when_it_is_interrupted(migration: Migration) -> None:
    lab = migration.lab
    inventory = yaml.safe_load(migration.inventory.read_text())
    inventory["dynamodb_tables"]["vars"] |= {**CHOICES, "ferry_checkpoint_dir": str(migration.folder / "checkpoints")}
    inventory["dynamodb_tables"]["hosts"] = {name: {"ferry_method": name.partition("-")[2]} for name in TABLES}
    migration.inventory.write_text(yaml.safe_dump(inventory))
    hold = lab.hold(operation="BatchWriteItem")
    with migration.run("first") as first:
        first.until(lambda: lab.held(hold))
        group_of(first.pid, signal.SIGINT)
        lab.release(hold)
        assert first.wait() != 0
    with migration.run("second") as second:
        assert second.wait() == 0, second.output[-4000:]

    logs = [path for run in ("first", "second") for path in migration.folder.glob(f"{run}-report/tableferry-calls-*")]
    assert len(logs) == 2
    assert second.output.count(f"calls: {logs[1]}\n") == 1
    assert [path.stat().st_mode & 0o777 for path in logs] == [0o600, 0o600]
    lines = [line for path in logs for line in lines_of(path)]
    answered = {line["call"]: line for line in lines if line["event"] == "answered"}
    open_calls = Counter(
        (line["side"], line["service"], line["operation"])
        for line in lines
        if line["event"] == "sent" and line["call"] not in answered
    )
    noted = {line["request_id"]: line for line in answered.values() if line["request_id"]}
    sides = {account["account_id"]: side for side, account in lab.landscape["accounts"].items()}
    seen = lab.calls()
    assert {call["request_id"] for call in seen} >= set(noted)
    missing = Counter(
        (sides[call["account"]], call["service"], call["operation"]) for call in seen if call["request_id"] not in noted
    )
    unanswered = Counter(
        (line["side"], line["service"], line["operation"]) for line in answered.values() if not line["request_id"]
    )
    assert missing <= open_calls + unanswered, (missing, open_calls, unanswered)
    for call in seen:
        if call["request_id"] in noted:
            line = noted[call["request_id"]]
            assert (line["status"], line["operation"]) == (call["status"], call["operation"]), (line, call)
            assert line["milliseconds"] >= 0
    tables = {line["table"] for line in lines if line["operation"] == "BatchWriteItem"}
    assert tables == {"by-direct"}
    text = "".join(path.read_text() for path in logs)
    for account in lab.landscape["accounts"].values():
        assert account["secret_key"] not in text
        assert account["access_key"] not in text
    assert "by-direct/0" not in text
