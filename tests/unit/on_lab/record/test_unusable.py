# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An export or backup that an earlier run began, and that has ended since, but serves no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.on_lab.methods.backup.conftest import counted_by_calls
from tests.unit.on_lab.methods.backup.ready import Ready
from tests.unit.on_lab.methods.backup.test_record import STOPPED
from tests.unit.on_lab.recorded import Playbook, world
from tests.unit.on_lab.staged import Staged

DATA_PLANE = (counted_by_calls,)  # a fixture: the data plane is calls of the lab's clients
NEVER = -(10**9)  # seconds: nothing is young enough; the lab's clock may be ahead of this machine's
METHODS: dict[str, tuple[str, Callable[[], Staged], dict[str, Any], dict[str, Any]]] = {
    "s3": ("export", world, {}, {"export_max_age": NEVER}),
    "backup": (
        "backup", Ready, {"method": "backup", "backup": STOPPED},
        {"method": "backup", "backup": replace(STOPPED, max_age=NEVER)},
    ),
}  # fmt: skip


def interrupted(kind: str, made: Callable[[], Staged], options: dict[str, Any]) -> Staged:
    """A world in which a run ended while its export or backup ran, which ends after it."""
    aws = made()
    first = Playbook(aws)
    begun = first.start(**options)
    if begun.job.state != "running":
        first.wait({"orders": begun}, timeout=3.0)
    assert [(job.kind, job.state) for job in first.record().jobs] == [(kind, "begun")]
    first.end()
    aws.advance(600.0)
    return aws


@pytest.mark.parametrize("method", sorted(METHODS))
class TestUnusable:
    def test_it_is_too_old_when_the_next_run_comes(self, method: str) -> None:
        kind, made, options, newer = METHODS[method]
        aws = interrupted(kind, made, options)
        assert Playbook(aws, 2).migrate(**newer)["orders"].status == "migrated"
        assert len(aws.jobs(kind)) == 2

    def test_one_run_wants_a_newer_one_and_the_next_does_not(self, method: str) -> None:
        kind, made, options, newer = METHODS[method]
        aws = interrupted(kind, made, options)
        second = Playbook(aws, 2)
        second.start(**newer)
        second.end()
        assert Playbook(aws, 3).migrate(**options)["orders"].status == "migrated"
        assert len(aws.jobs(kind)) == 2
