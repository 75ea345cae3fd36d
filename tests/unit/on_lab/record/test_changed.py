# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which tables a run has changed: also those whose jobs an earlier run had started, and no finished one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import BackupChoices
from tests.unit.on_lab.methods.backup.ready import Ready
from tests.unit.on_lab.recorded import Playbook, world

pytestmark = pytest.mark.usefixtures("at_once")


@pytest.mark.parametrize(("seconds", "imports"), [(1.0, 0), (40.0, 1)])
def test_a_table_that_an_earlier_run_began_is_changed_by_the_one_that_finishes_it(seconds: float, imports: int) -> None:
    aws = world({"orders": 7}, import__creating=600.0)
    first, second, third = (Playbook(aws, pid, host) for pid, host in enumerate(("one", "two", "three"), 1))
    first.wait({"orders": first.start()}, timeout=seconds, judge={})
    first.end()
    assert len(aws.jobs("import")) == imports
    begun = second.start()
    assert begun.changes == ()
    assert second.wait({"orders": begun}, timeout=0.0).changed == frozenset()
    brought = replace(begun, then=begun.then[:imports])  # without the jobs that this run starts
    assert second.wait({"orders": brought}).changed == {"orders"}
    begun = second.start()
    assert second.wait({"orders": begun}, judge={}).changed == {"orders"}
    assert second.record().state == "done"
    again = third.start()
    assert (again.changes, third.wait({"orders": again}, judge={}).changed) == ((), frozenset())


def test_a_table_that_was_only_waited_for_is_not_changed() -> None:
    aws = world()
    first, second = Playbook(aws, 1, "one"), Playbook(aws, 2, "two")
    begun, later = first.start(), second.start()
    first.wait({"orders": begun}, judge={})
    assert second.wait({"orders": later}, judge={}).changed == frozenset()


def test_a_table_that_an_earlier_run_has_only_copied_is_not_changed() -> None:
    aws = Ready()
    for pid, changed in ((1, {"orders"}), (2, frozenset())):
        playbook = Playbook(aws, pid)
        begun = playbook.start(method="backup", backup=BackupChoices(restore=False))
        assert playbook.wait({"orders": begun}, judge={"verify": "none"}).changed == changed
        playbook.end()
