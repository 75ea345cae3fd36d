# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make lab``, and the commands that it prints, in a shell of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SECONDS = 300


def test_what_it_prints_moves_its_tables(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    started = [sys.executable, "-m", "demo.playground", str(folder)]
    with subprocess.Popen(started, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as serving:
        try:
            assert serving.stdout is not None
            printed = []
            while not printed or not printed[-1].startswith("Change the inventory"):
                printed.append(serving.stdout.readline())
                assert printed[-1], f"it ended: {(folder / 'lab.log').read_text()[-2000:]}"
            commands = [line for line in printed if line.startswith((". ", "ansible-playbook "))]
            assert [line.split()[0] for line in commands] == [".", "ansible-playbook", "ansible-playbook"]
            assert (folder / "inventory.yml").stat().st_mode & 0o077 == 0

            # A newcomer's shell: nothing of this one but where programs and homes are.
            environment = {name: os.environ[name] for name in ("PATH", "HOME", "ANSIBLE_HOME") if name in os.environ}
            script = "".join(["set -e\n", *commands])
            shell = subprocess.run(
                ["sh", "-c", script], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=SECONDS, check=False,
            )  # fmt: skip
            assert shell.returncode == 0, shell.stdout[-4000:] + shell.stderr[-2000:]
            assert "4 tables: 4 migrated" in shell.stdout
            assert (tmp_path / "tableferry-report" / "report.html").exists()
        finally:
            serving.terminate()
    assert serving.returncode == 0
