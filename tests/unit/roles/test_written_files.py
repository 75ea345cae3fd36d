# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files that roles write on the controller, by their own tasks: for their owner only, through no planted link."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.unit.roles.test_roles import ROOT

WRITERS = {
    "report_migration": {
        "report_migration_dir": "new",
        "report_migration_rows": [],
        "report_migration_hosts": [],
        "report_migration_iac": [],
        "report_migration_plan": "",
    },
    "show_status": {"show_status_path": "new.json", "show_status_overview": {"tables": [], "record_tables": []}},
}


def test_c7_report_and_status_are_their_owners_alone_and_follow_no_link(tmp_path: Path) -> None:
    """A new file, one that all could read, and a link at its place."""
    tasks = []
    for role, variables in WRITERS.items():
        file = {"report_migration": "show.yml"}.get(role, "main.yml")
        found = yaml.safe_load((ROOT / "roles" / role / "tasks" / file).read_text())
        (task,) = (
            each
            for part in found
            for each in part.get("block", [part])
            if "ansible.builtin.copy" in each or "tableferry.aws.migration_report" in each
        )
        for name in ("new", "open", "link"):
            tasks.append({**task, "vars": {**variables, task_path(role): task_place(role, name)}})
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "folder").symlink_to(real)  # the user's own, to the folder
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for role in WRITERS:
        opened, link = (tmp_path / file_of(role, name) for name in ("open", "link"))
        opened.parent.mkdir(exist_ok=True)
        link.parent.mkdir(exist_ok=True)
        opened.write_text("old")
        opened.chmod(0o644)
        link.symlink_to(victim)
    book = tmp_path / "play.json"
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    book.write_text(json.dumps([{**play, "vars": {"ansible_python_interpreter": sys.executable}}]))
    done = subprocess.run(
        [sys.executable, "-m", "ansible.cli.playbook", "-i", "localhost,", str(book)],
        env={**os.environ, "ANSIBLE_HOME": str(tmp_path / "home"), "ANSIBLE_NOCOLOR": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert victim.read_text() == "precious"
    written = sorted(path for path in real.rglob("*") if not path.is_dir())
    assert len(written) == 3 + 3 * 4  # with the report's lock
    for path in written:
        assert (path.is_symlink(), path.stat().st_mode & 0o777) == (False, 0o600), path
        assert path.suffix != ".json" or json.loads(path.read_text())["tables"] == []


def task_path(role: str) -> str:
    """The variable of the role with the path of its file, or of its folder."""
    return next(name for name in WRITERS[role] if name.endswith(("_path", "_dir")))


def task_place(role: str, name: str) -> str:
    """Where the role is to write."""
    return f"folder/{role}-{name}" if task_path(role).endswith("_dir") else f"folder/{role}-{name}.json"


def file_of(role: str, name: str) -> str:
    """A file that it writes there."""
    place = task_place(role, name)
    return place if place.endswith(".json") else f"{place}/report.json"
