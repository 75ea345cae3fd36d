# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Spark jobs of the lab that threads of this process do, file by file: the states of the engines are real."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.spark.driver import read_arguments
from ansible_collections.tableferry.aws.plugins.module_utils.spark.job import begin, looked, write_share
from lab.client import RunningLab
from lab.spark.runs import OnEnd, Outcome, Submission, spark_runs
from tests.unit.lab.spark_fakes import FakeRun

SECONDS = 120.0  # of real time, after which a job hangs


class CannedRun(FakeRun):
    """A run that works when it may. A stop, or a death, ends it before its next file."""

    def __init__(self, spark: CannedSpark, submission: Submission, on_end: OnEnd) -> None:
        super().__init__(submission, on_end)
        self._spark = spark
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._over = threading.Lock()
        self._ended = False
        self._thread.start()

    def stop(self) -> None:
        self.stopped = True
        self._end(Outcome("stopped", "", 1.0))

    def settle(self) -> None:
        """Wait for its end."""
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()

    def _work(self) -> None:
        self._spark.may_begin.wait(SECONDS)
        if self.stopped:
            return
        try:
            asked = read_arguments(self.submission.arguments)
            work = begin(asked.plan, asked.run, 100, asked.engine_run)
            if work.looks:
                looked(work.plan, [], ())  # no two items get one key
            for number, message in enumerate(work.messages()):
                if number == self._spark.most_files:
                    raise RuntimeError("Container killed on request. Exit code is 137")
                self._spark.may_write.wait(SECONDS)
                if self.stopped:
                    return
                write_share(message)
        except Exception as error:
            self._end(Outcome("failed", f"{error}\n{self._spark.last_words}", 1.0))
        else:
            words = self._spark.last_words
            self._end(Outcome("failed" if words else "succeeded", words, 1.0))

    def _end(self, outcome: Outcome) -> None:
        with self._over:
            ended, self._ended = self._ended, True
        if not ended:
            with self._spark.lab.world.lock:
                self._on_end(outcome)


class CannedSpark:
    """The Spark of a lab. ``may_begin`` and ``may_write`` hold its jobs, which die after ``most_files``; with
    ``last_words`` all of them fail at their end, and print these last."""

    def __init__(self, lab: RunningLab, patch: pytest.MonkeyPatch) -> None:
        self.lab = lab
        self.runs: list[CannedRun] = []
        self.last_words = ""
        self.may_begin, self.may_write = threading.Event(), threading.Event()
        self.go_on()
        keys = lab.landscape["accounts"]["destination"]
        for name, value in {
            "AWS_ACCESS_KEY_ID": keys["access_key"],
            "AWS_SECRET_ACCESS_KEY": keys["secret_key"],
            "AWS_DEFAULT_REGION": lab.landscape["region"],
            "AWS_ENDPOINT_URL": lab.endpoint_url,
        }.items():
            patch.setenv(name, value)
        patch.setattr(spark_runs(lab.world), "submit", self._submit)

    def _submit(self, submission: Submission, on_end: OnEnd) -> CannedRun:
        self.runs.append(CannedRun(self, submission, on_end))
        return self.runs[-1]

    def go_on(self) -> None:
        """Nothing holds jobs."""
        self.most_files: int | None = None
        self.may_begin.set()
        self.may_write.set()

    @property
    def held(self) -> bool:
        """Whether jobs are held."""
        return not (self.may_begin.is_set() and self.may_write.is_set())

    def sleep(self, seconds: float) -> None:
        """As a waiter sleeps: jobs that may work do so meanwhile, and the lab's time goes on."""
        if not self.held:
            for run in self.runs:
                run.settle()
        self.lab.advance(max(seconds, 1.0))
        time.sleep(seconds / 50)

    def told(self) -> dict[str, Any]:
        """Clock and sleep of a waiter."""
        return {"clock": self.lab.world.clock.now, "sleep": self.sleep, "timeout": 7200.0}
