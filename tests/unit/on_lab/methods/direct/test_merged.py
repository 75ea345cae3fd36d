# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two sources that become one table by direct copies: killed at any call, broken parts, parts in another order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import JudgeChoice, Judgement, judge_job
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import Migration, judge, wait_for
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import record_table, removal
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import choices_of
from tests.unit.on_lab.in_process import Killed
from tests.unit.on_lab.methods.direct.test_transformed import by_calls
from tests.unit.on_lab.recorded import Playbook, deaths, killed_at
from tests.unit.on_lab.staged import Staged

__all__ = ["by_calls"]  # a fixture
pytestmark = pytest.mark.usefixtures("by_calls")

TABLE, SOURCES = "all", ("acme", "globex")


def world() -> Staged:
    return Staged(dict.fromkeys(SOURCES, 3), False)


def begin(play: Playbook, *sources: str, **options: Any) -> dict[str, Migration]:
    chosen = {"destination_table": TABLE, "merge": True, "method": "direct", **options}
    return {
        name: play.start(name, **{"transform": choices_of([{"set": {"id": f"{name}#{{id}}"}}]), **chosen})
        for name in sources
    }


def finish(play: Playbook, begun: Mapping[str, Migration]) -> dict[str, Judgement]:
    """The wait, in which each part is judged, and the end of the run."""
    items = []
    for name, migration in begun.items():
        first, *others = (Job.from_dict(part.to_dict()) for part in (migration.job, *migration.then))
        last = judge_job(JudgeChoice(TABLE, name))
        record = Tracking(play.run, TABLE)
        items.append(WaitItem(name, play.source, play.destination, first, tuple(others), record, last))
    waited = wait_for(items, 86400.0, play.lines.append, lambda: play.aws.clock, play.sleep)
    judged = {
        name: judge(TABLE, play.source, play.destination, waited.ways[name], source_table=name, sleep=play.aws.sleep)
        for name in begun
    }
    play.end()
    return judged


def merge(aws: Staged, number: int, *sources: str, **options: Any) -> dict[str, str]:
    """A whole run: how each part ends."""
    play = Playbook(aws, number)
    return {name: judged.status for name, judged in finish(play, begin(play, *sources, **options)).items()}


def ids(aws: Staged) -> list[str]:
    found = aws.client("dynamodb", "destination").scan(TableName=TABLE)["Items"]
    return sorted(item["id"]["S"] for item in found)


EXPECTED = sorted(f"{name}#{at:04d}" for name in SOURCES for at in range(3))
BOTH = dict.fromkeys(SOURCES, "migrated")


def test_a_run_that_dies_at_any_call_is_gone_on_with_and_nothing_is_brought_twice() -> None:
    aws = world()
    play = Playbook(aws)
    points = deaths(aws, lambda: finish(play, begin(play, *SOURCES)))
    assert ids(aws) == EXPECTED
    for moment, number in points:
        aws = world()
        died = Playbook(aws)
        killed_at(aws, moment, number, lambda: finish(died, begin(died, *SOURCES)), Killed)  # noqa: B023
        died.killed()
        aws.advance(1200)
        assert merge(aws, 2, *SOURCES) == BOTH, (moment, number)
        assert ids(aws) == EXPECTED
        record = Playbook(aws, 3).record(TABLE)
        assert (record.state, record.run) == ("done", ""), (moment, number)
        assert {part.state for part in record.parts.values()} == {"filled"}
        aws.close()


def half(aws: Staged, number: int, source: str) -> None:
    """The part of one source dies after an item."""
    play, put = Playbook(aws, number), [0]

    def kill(when: str, operation: str, at: int) -> None:
        put[0] += (when, operation, aws.asked.get("TableName")) == ("after", "PutItem", TABLE)
        if put[0]:
            raise Killed(operation)

    aws.interrupt = kill
    with pytest.raises(Killed):
        finish(play, begin(play, source))
    aws.interrupt = lambda *_call: None
    play.killed()
    aws.advance(1200)


def test_the_host_of_the_other_part_does_not_go_on_with_one_that_is_half_done() -> None:
    aws = world()
    half(aws, 1, "acme")
    play = Playbook(aws, 2)
    (judged,) = finish(play, begin(play, "globex")).values()
    assert isinstance(judged.failure, errors.Claimed)
    assert "acme is not done yet (filling)" in judged.failure.cause
    assert len(ids(aws)) == 1
    assert Playbook(aws, 3).record(TABLE).run == ""
    # With its host in the same run it goes on, in whatever order they start.
    assert merge(aws, 4, "globex", "acme") == BOTH
    assert ids(aws) == EXPECTED


def test_a_later_part_that_is_half_done_leaves_the_first_one_finished() -> None:
    aws = world()
    assert merge(aws, 1, "acme") == {"acme": "migrated"}
    half(aws, 2, "globex")
    calls = len(aws.calls)
    assert merge(aws, 3, "acme") == {"acme": "migrated"}  # of its part nothing is left to do, and nothing waits
    assert "PutItem" not in [call for call in aws.calls[calls:] if aws.asked.get("TableName") == TABLE]
    assert Playbook(aws, 4).record(TABLE).state == "filling"
    assert merge(aws, 5, "globex") == {"globex": "migrated"}
    assert ids(aws) == EXPECTED


def test_records_go_when_all_hosts_were_cleaned_up(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = world()
    assert merge(aws, 1, *SOURCES) == BOTH
    arns = frozenset(Playbook(aws, 2).source.table_arn(name) for name in SOURCES)
    for arn in arns:
        assert removal.keeps(Playbook(aws, 2).record(TABLE), "default", frozenset({arn}), aws.clock) == ""
    last = Playbook(aws, 3)
    with monkeypatch.context() as within:
        within.setattr(record_table, "CREATING", 0.0)  # the clock stands still: the end of its deletion never comes
        removed = removal.remove(last.run, [TABLE, TABLE], "default", arns)
    assert len([change for change in removed.changes if change.what.endswith(f".{TABLE}")]) == 1
    assert removed.left == ()
    with pytest.raises(errors.RecordUnusable, match="being deleted"):
        Playbook(aws, 4).store.everything()
