# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines about runs that hold tables count what the lines about the waits count."""

from __future__ import annotations

from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.run import HeldElsewhere
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.claim_job import ClaimKind
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.claiming import Later


def test_the_first_line_counts_all_tables_that_a_run_holds() -> None:
    lines: list[str] = []
    now = [100.0]
    held = HeldElsewhere("run-1", "held by ann@ci-7", 0.0)
    kind = ClaimKind(lambda _item, _job: Later(10.0, held.words, held=held), lines.append)
    jobs = [Job("claim", name, "pending") for name in ("a", "b")]
    waits = [kind.run(WaitItem(job.name, None, None, job), 0.0, lambda: now[0]) for job in jobs]
    for wait in waits:
        next(wait)
    assert lines == []
    now[0] += 10.0
    for wait in waits:
        wait.send(None)
    assert len(lines) == 1 and lines[0].startswith("waiting: held by ann@ci-7: 2 tables.")
    now[0] += 60.0
    waits[0].send(None)
    assert len(lines) == 2
