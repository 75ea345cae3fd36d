# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counts and comparisons in the background have the bounds of their run."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.permit import Bounds
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps import comparison, counting
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.background import bounds_of
from tests.unit.on_lab.recorded import Playbook, world


def looked(bounds: Bounds) -> None:
    assert bounds.look is not None
    bounds.look()


def test_work_ends_when_ansible_playbook_is_gone() -> None:
    aws = world()
    playbook = Playbook(aws)
    shown: list[int] = []
    bounds = bounds_of(Tracking(playbook.run, "orders"), lambda: shown.append(1))
    looked(bounds)
    playbook.killed()
    aws.advance(2)
    with pytest.raises(errors.ParentGone):
        looked(bounds)
    assert shown == [1, 1]


def test_work_ends_when_another_run_took_over_and_only_what_writes_is_held_to_the_lease() -> None:
    aws = world()
    first, second = Playbook(aws, 1, "one"), Playbook(aws, 2, "two")
    first.start()
    record = Tracking(first.run, "orders")
    reads, writes = (bounds_of(record, lambda: None, writes=each) for each in (False, True))
    assert (reads.permit, writes.permit) == (None, first.run.gate)
    second.start(take_over=first.run.id)
    with pytest.raises(errors.TakenOver):
        first.run.renew(90)
    for bounds in (reads, writes):
        with pytest.raises(errors.TakenOver):
            looked(bounds)


def test_without_a_record_only_the_waiter_ends_the_work() -> None:
    bounds = bounds_of(None, lambda: None)
    looked(bounds)
    assert bounds.permit is None


@pytest.mark.parametrize("kind", ["count", "verify"])
def test_counts_and_comparisons_read_within_the_bounds_of_the_run(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = world()
    playbook = Playbook(aws)
    playbook.start()
    seen: list[Bounds] = []

    def read(*arguments: object, **named: object) -> None:
        (bounds,) = (each for each in (*arguments, *named.values()) if isinstance(each, Bounds))
        seen.append(bounds)
        playbook.killed()
        aws.advance(2)
        looked(bounds)

    monkeypatch.setattr(counting, "item_table", lambda account, name: name)
    monkeypatch.setattr(counting, "count_items", read)
    monkeypatch.setattr(comparison, "verify_tables", read)
    job: Job
    if kind == "count":
        job, steps = counting.count_job("orders", "orders"), counting.CountKind()
    else:
        options = MigrationOptions("orders")
        job = comparison.verify_job(comparison.VerifyOptions("orders", "orders", "full", options.items))
        steps = comparison.VerifyKind()  # type: ignore[assignment]
    item = WaitItem("orders", playbook.source, playbook.destination, job, record=Tracking(playbook.run, "orders"))
    with pytest.raises(errors.ParentGone):
        for _pause in steps.run(item, 0.0, lambda: aws.clock):
            pass
    assert len(seen) == 1
