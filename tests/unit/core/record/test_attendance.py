# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which processes of a machine work for a run."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.record.attendance import Attendance

PRESENT = """
import sys
from pathlib import Path
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.attendance import Attendance
here = Attendance("r", Path(sys.argv[1]))
print("here", flush=True)
sys.stdin.read()
"""


def test_the_last_one_knows_it(tmp_path):
    one, two = Attendance("r", tmp_path), Attendance("r", tmp_path)
    another = Attendance("s", tmp_path)
    assert not one.is_last()
    assert two.is_last()
    assert another.is_last()


def test_of_two_that_leave_at_once_one_is_the_last(tmp_path):
    one, two = Attendance("r", tmp_path), Attendance("r", tmp_path)
    assert [one.is_last(), two.is_last(), one.is_last()] == [False, True, False]


def test_a_process_that_is_killed_is_gone(tmp_path):
    command = [sys.executable, "-c", PRESENT, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"here\n"
        here = Attendance("r", tmp_path)
        assert not here.is_last()
        process.kill()
        process.wait()
        assert here.is_last()


def test_one_that_comes_waits_while_the_last_one_ends_the_run(tmp_path):
    last, come = Attendance("r", tmp_path), threading.Event()
    assert last.is_last()
    thread = threading.Thread(target=lambda: (Attendance("r", tmp_path), come.set()))
    thread.start()
    last.close_run()
    assert not come.is_set()
    last.leave()
    thread.join(60)
    assert come.is_set()


def test_nobody_follows_a_link(tmp_path):
    target = tmp_path / "target"
    target.touch()
    (tmp_path / "tableferry-run-r.lock").symlink_to(target)
    with pytest.raises(OSError):
        Attendance("r", tmp_path)
