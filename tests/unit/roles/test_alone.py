# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""D8: a role that is used alone refuses a value that is none, before it asks anybody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
ALONE = {
    "move_table": [
        ({"ferry_safe_mode": "tru"}, "'tru' is neither true nor false"),
        ({"move_table_safe_mode": "tru"}, "move_table_safe_mode"),
        ({"ferry_wait_timeout": "soon"}, "move_table_wait_timeout"),
        ({"ferry_verify": "all"}, "move_table_verify must be one of"),
    ],
    "verify_table": [({"ferry_delete_extra": "flase"}, "'flase' is neither true nor false")],
    "cleanup_account": [({"ferry_remove_bucket": "nein"}, "'nein' is neither true nor false")],
}


@pytest.mark.parametrize("role", ALONE)
def test_a_value_that_is_none_is_refused(role: str, tmp_path: Path) -> None:
    sides = {"ferry_source": {"region": "eu-west-1"}, "ferry_destination": {"region": "eu-west-1"}}
    play = {
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable, **sides},
        "tasks": [{"ansible.builtin.import_role": {"name": f"tableferry.aws.{role}"}}],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    hosts = {f"case{number}": values for number, (values, _words) in enumerate(ALONE[role])}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    done = subprocess.run(
        [sys.executable, "-m", "ansible.cli.playbook", "-i", str(tmp_path / "hosts.yml"), str(tmp_path / "play.yml")],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build/collections"),
            "ANSIBLE_HOME": str(tmp_path / "home"),
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout.count("TASK [") == 1, done.stdout  # the validation of the arguments
    for host, (_values, words) in zip(hosts, ALONE[role], strict=True):
        refused = next(line for line in done.stdout.splitlines() if line.startswith(f"fatal: [{host}]"))
        assert words in refused
