# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which process a run is: the ansible-playbook that a worker or a module works for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.record import process
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.process import Relative

PLAYBOOK = ("/usr/bin/python3.12", "/usr/bin/ansible-playbook", "site.yml")
MODULE = ("/usr/bin/python3", "/root/.ansible/tmp/ansible-tmp-1/AnsiballZ_job_wait.py")
SHELL = ("/bin/sh", "-c", "/usr/bin/ansible-playbook site.yml")


def found(*lineage: tuple[str, ...]) -> int:
    """Of the processes 100, 101 and so on, each the child of the one before it, the one that the last works for."""
    last = 100 + len(lineage) - 1

    def look(pid: int) -> Relative:
        return Relative(pid - 1 if pid > 100 else 0, lineage[pid - 100])

    return process.playbook(last, look)


@pytest.mark.parametrize(
    ("lineage", "pid"),
    [
        pytest.param([("bash",), PLAYBOOK, PLAYBOOK], 101, id="a worker"),
        pytest.param([("bash",), PLAYBOOK, PLAYBOOK, SHELL, MODULE], 101, id="a module"),
        pytest.param([PLAYBOOK, PLAYBOOK], 100, id="the first process of a container"),
        pytest.param([("ansible-runner", "run"), PLAYBOOK, PLAYBOOK], 101, id="below ansible-runner"),
        pytest.param([("python", "/usr/bin/ansible-runner", "worker"), PLAYBOOK, PLAYBOOK], 101, id="below its script"),
        pytest.param([("python", "-m", "ansible", "playbook"), MODULE], 100, id="python -m ansible"),
        pytest.param([("python3", "-Bm", "x"), MODULE], 101, id="another python"),
        pytest.param([("/opt/pypy3.11", "-I", "-m", "ansible.cli.playbook", "a.yml"), MODULE], 100, id="its module"),
        pytest.param([("/opt/bin/ansible-playbook-3.12", "a.yml"), MODULE], 100, id="a frozen one, by its version"),
        pytest.param(
            [PLAYBOOK, PLAYBOOK, MODULE, SHELL, (*PLAYBOOK[:2], "inner.yml"), (*PLAYBOOK[:2], "inner.yml")],
            104,
            id="a playbook within a playbook",
        ),
        pytest.param([("sshd",), ("sshd",), SHELL, MODULE], 103, id="on another machine"),
        pytest.param([("init",), MODULE], 101, id="in the background"),
        pytest.param([("bash",), ("vim", "ansible-playbook")], 101, id="somebody edits a file of that name"),
        pytest.param([()], 100, id="gone"),
    ],
)
def test_the_ansible_command(lineage: list[tuple[str, ...]], pid: int) -> None:
    assert found(*lineage) == pid


def test_real_processes(tmp_path: Path) -> None:
    """A script of that name forks a worker, which asks through a shell, as for a module."""
    script = tmp_path / "ansible-playbook"
    ask = f"from {process.__name__} import playbook; print(playbook())"
    script.write_text(
        "import os, subprocess, sys\n"
        "print(os.getpid(), flush=True)\n"
        "if os.fork() == 0:\n"
        f"    from {process.__name__} import playbook\n"
        "    print(playbook(), flush=True)\n"
        f"    subprocess.run(['/bin/sh', '-c', '\"$0\" -c \"$1\"; true', sys.executable, {ask!r}])\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    own, by_worker, by_module = done.stdout.split()
    assert own == by_worker == by_module


def test_this_process_has_a_parent_and_a_command() -> None:
    here = process.relative(os.getpid())
    assert here.parent == os.getppid()
    assert here.command
    assert process.relative(2**22 + 1) == Relative(0, ())
