# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    CredentialsError,
    Interrupted,
    ItemRefused,
    WorkerLost,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Endpoint
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.permit import Bounds
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.workers import run_in_workers
from tests.unit.core.items.tasks import Desk, Dying, Failing, Summing


def endpoint(credentials=lambda: SimpleNamespace(access_key="A", secret_key="S", session_token="T")) -> Endpoint:
    return Endpoint("https://host", "eu-west-1", credentials)


def test_workers_share_the_work_and_are_processes_of_their_own():
    desk = Desk(1000)
    results = run_in_workers(Summing(endpoint()), desk, 3)
    assert sum(total for total, _, _ in results) == sum(range(1000))
    assert {each[1:] for each in results} == {(3, "S")}
    assert len(desk.pids) >= 1
    assert os.getpid() not in desk.pids


def test_workers_find_a_collection_that_is_not_on_the_path(tmp_path):
    """As in an Ansible worker, whose own loader finds collections."""
    code = """
import importlib.util, sys
from importlib.machinery import PathFinder

root = sys.argv[1]
sys.path = [entry for entry in sys.path if entry != root]

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, [root]) if name == "ansible_collections" else None

sys.meta_path.insert(0, Finder)
from tests.unit.core.items.test_workers import Desk, Summing, endpoint, run_in_workers
assert root not in sys.path
print(sum(total for total, _, _ in run_in_workers(Summing(endpoint()), Desk(100), 2)))
"""
    root = next(entry for entry in sys.path if (Path(entry) / "ansible_collections" / "tableferry").exists())
    told = subprocess.run([sys.executable, "-c", code, root], check=True, capture_output=True, text=True).stdout
    assert int(told) == sum(range(100))


def test_one_worker_is_this_process():
    desk = Desk(10)
    assert run_in_workers(Summing(endpoint()), desk, 1) == [(45, 1, "S")]
    assert desk.pids == {os.getpid()}


def test_the_failure_of_one_is_told_and_ends_the_others():
    with pytest.raises(ItemRefused) as told:
        run_in_workers(Failing("error"), Desk(10), 2)
    assert (told.value.table, told.value.details) == ("orders", {"key": 1})


@pytest.mark.parametrize(
    "deaths",
    [{1}, {500}, {999, 1000}, {2, 3, 4}],
    ids=["one", "one of two", "both", "the one that was started for both too"],
)
def test_the_work_of_workers_that_are_killed_goes_to_others(deaths):
    desk = Desk(1000, deaths)
    results = run_in_workers(Dying(), desk, 2)
    assert sum(total for total, _sharers in results) == sum(range(1000))
    assert desk.lost == ["was ended by SIGKILL"] * len(deaths)
    assert len(desk.pids) == (2 if len(deaths) == 1 else len(deaths) + 1)
    assert results[-1][1] == 1, "whoever is left has all of the rates"


def test_one_worker_too_many_that_is_killed_is_told():
    desk = Desk(10, {1, 2, 3, 4})
    with pytest.raises(WorkerLost, match="was ended by SIGKILL, after 3 others had ended by themselves too") as told:
        run_in_workers(Dying(), desk, 2)
    assert "ran out of memory" in told.value.next_step
    assert len(desk.pids) == 4


def test_a_worker_that_ends_without_a_signal_is_told():
    desk = Desk(10, {1})
    assert sum(total for total, _sharers in run_in_workers(Dying(by_exit=True), desk, 2)) == sum(range(10))
    assert desk.lost == ["ended by itself (exit status 3)"]


def test_a_run_that_is_interrupted_starts_no_other_worker():
    class Stopped:
        until, stopped = 1e12, False

        def left(self) -> float:
            return 1e6

        def leave(self, date: float, subject: str) -> float:
            return date

        def answered(self, attempt: float) -> None:
            lost.append(None)

        def lost(self, attempt: float, date: float | None = None) -> None:
            lost.append(date)

    permit, lost = Stopped(), []

    class Waiting(Desk):
        def wait(self) -> float | None:
            permit.stopped = True
            return 60.0

    desk = Waiting(10, {1, 2})
    with pytest.raises(Interrupted):
        run_in_workers(Dying(), desk, 2, Bounds(permit), writes_to="orders")
    assert len(desk.pids) == 2
    assert len(lost) == 2 and None not in lost, "what they had sent may still arrive"


def test_a_failure_of_the_desk_is_its_own():
    with pytest.raises(OSError, match="a disk of the parent's"):
        run_in_workers(Failing("desk"), Desk(10), 2)


def test_credentials_that_cannot_be_had_are_told_by_the_parent():
    def refuse():
        raise CredentialsError("None.", "Give some.")

    with pytest.raises(CredentialsError):
        run_in_workers(Summing(endpoint(refuse)), Desk(10), 2)


def test_nothing_secret_is_in_arguments_or_environment(monkeypatch):
    module = "ansible_collections.tableferry.aws.plugins.module_utils.core.items.workers"
    started = []
    from subprocess import Popen

    def popen(command, **members):
        started.append((command, members))
        return Popen(command, **members)

    monkeypatch.setattr(f"{module}.subprocess.Popen", popen)
    keys = SimpleNamespace(access_key="AKIASECRET", secret_key="SECRET", session_token="TOKEN")
    run_in_workers(Summing(endpoint(lambda: keys)), Desk(1), 2)
    assert len(started) == 2
    assert all("env" not in members for _, members in started)
    assert "SECRET" not in repr(started)
