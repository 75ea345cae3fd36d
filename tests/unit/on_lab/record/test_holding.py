# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking a table for work that waits for nobody, while another run takes it too."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.claiming import Records
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.holding import PATIENCE, Patience, hold
from tests.unit.on_lab.recorded import Playbook, world


@pytest.mark.parametrize("times", [1, 99])
def test_a_run_that_was_slower_says_who_holds_the_table(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two repairs at once: the slower one said that the record was written by somebody else, version 7."""
    aws = world()
    Playbook(aws).migrate()
    one, two = Playbook(aws, 2, "one"), Playbook(aws, 3, "two")
    read, left = two.store.read, [times]

    def taken_meanwhile(key: str) -> Any:
        record = read(key)
        if left[0]:
            left[0] -= 1
            other = hold(Records(one.store, lambda: one.run), "orders")
            if left[0] and other is not None:
                other.let_go()
        return record

    monkeypatch.setattr(two.store, "read", taken_meanwhile)
    with pytest.raises(errors.Held if times == 1 else errors.RecordChanged) as refused:
        hold(Records(two.store, lambda: two.run), "orders")
    assert ("held by" if times == 1 else "at the same time") in str(refused.value)


class TestAfterAKill:
    """A repair or a cleanup after a run that was killed on the same machine: it said that the run holds the table."""

    def killed(self, host: str = "here") -> tuple[Any, Playbook]:
        aws = world()
        Playbook(aws).migrate()
        first = Playbook(aws, 2, host)
        assert hold(Records(first.store, lambda: first.run), "orders") is not None
        first.killed()
        return aws, Playbook(aws, 3, "here")

    def test_it_takes_the_table_over_and_says_what_it_waits_for(self) -> None:
        aws, later = self.killed()
        lines: list[str] = []
        began = aws.clock
        held = hold(Records(later.store, lambda: later.run), "orders", Patience(lines.append, aws.sleep))
        assert held is not None and held.record.run == later.run.id
        assert 60 <= aws.clock - began <= PATIENCE  # until nothing that the killed one sent can arrive any more
        assert any("waiting for its former run" in line for line in lines) and "may still arrive" in lines[-1]

    def test_without_patience_it_is_refused_at_once(self) -> None:
        aws, later = self.killed()
        began = aws.clock
        with pytest.raises(errors.Held, match="held by"):
            hold(Records(later.store, lambda: later.run), "orders")
        assert aws.clock == began

    def test_a_run_of_another_machine_is_not_waited_for(self) -> None:
        aws, later = self.killed("there")
        began = aws.clock
        with pytest.raises(errors.Held, match="held by"):
            hold(Records(later.store, lambda: later.run), "orders", Patience(print, aws.sleep))
        assert aws.clock == began
