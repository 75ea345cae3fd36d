# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several sources become one table, by direct and by real Spark jobs: one part after the other, each compared alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core.data_plane import ItemChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import JudgeChoice, Judgement, judge_job
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import Migration, judge
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import Record, table_key
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import choices_of
from tests.unit.lab.spark.conftest import spark
from tests.unit.on_lab.conftest import hurried
from tests.unit.on_lab.methods.spark.test_glue import Glue, glue
from tests.unit.on_lab.methods.spark.test_glue import Playbook as OnePart

__all__ = ["glue", "spark"]  # fixtures


def tenant(name: str) -> Any:
    """The steps that give a source's items keys of their own."""
    return choices_of([{"set": {"id": f"TENANT#{name}#{{id}}"}}])


class Playbook(OnePart):
    """One run over several hosts with one destination table. Its clock may be another's."""

    def begin(self, table: str, *sources: str, **options: Any) -> dict[str, Migration]:
        """What migration_start does for each source."""
        items = ItemChoices(workers="1")
        chosen = {"merge": True, "destination_table": table, "method": "direct", "items": items, **options}
        return {name: self.start(name, **{"transform": tenant(name), **chosen}) for name in sources}

    def finish(self, table: str, begun: Mapping[str, Migration], **options: Any) -> dict[str, Judgement]:
        """The wait, in which each part is judged."""
        verify = options.get("verify", "counts")
        items = []
        for name, migration in begun.items():
            first, *others = (Job.from_dict(part.to_dict()) for part in (migration.job, *migration.then))
            last = judge_job(JudgeChoice(table, name, verify))
            record = Tracking(self.run, table)
            items.append(WaitItem(name, self.source, self.destination, first, tuple(others), record, last))
        waited = hurried(items)
        found = {}
        for name in begun:
            jobs = waited.ways[name]
            found[name] = judge(table, self.source, self.destination, jobs, source_table=name, verify=verify)
        self.run.end()
        return found

    def merge(self, table: str, *sources: str, **options: Any) -> dict[str, Judgement]:
        """A whole run."""
        return self.finish(table, self.begin(table, *sources, **options), **options)

    def record(self, table: str) -> Record:
        """The record as it stands."""
        found = self.store.read(table_key(table))
        assert found is not None
        return found


def filled(glue: Glue, *names: str, number: int = 12) -> None:
    """Source tables with the same ids."""
    for name in names:
        glue.table(name, [{"id": {"S": f"{at:02d}"}, "of": {"S": name}} for at in range(number)])


def ids(glue: Glue, table: str) -> list[str]:
    return sorted(str(item["id"]["S"]) for item in glue.items("destination", table))


def expected(*names: str, number: int = 12) -> list[str]:
    return sorted(f"TENANT#{name}#{at:02d}" for name in names for at in range(number))


def test_two_sources_become_one_table_and_each_part_is_compared_alone(glue: Glue) -> None:
    filled(glue, "acme", "globex")
    judged = Playbook(glue, 1).merge("all", "acme", "globex", verify="full")
    assert {name: (each.failure, each.status, each.verified) for name, each in judged.items()} == {
        "acme": (None, "migrated", "full"),
        "globex": (None, "migrated", "full"),
    }
    assert [each.items_destination for each in judged.values()] == [12, 12]
    assert ids(glue, "all") == expected("acme", "globex")
    again = Playbook(glue, 2)
    record = again.record("all")
    assert (record.state, record.run) == ("done", "")
    assert {arn.rpartition("/")[2]: part.state for arn, part in record.parts.items()} == {
        "acme": "filled",
        "globex": "filled",
    }
    glue.lab.clear_requests()
    assert {each.status for each in again.merge("all", "acme", "globex").values()} == {"migrated"}
    assert [glue.lab.count(name) for name in ("Scan", "BatchWriteItem", "UpdateTable", "CreateTable")] == [0, 0, 0, 0]


def test_parts_are_added_later_and_by_another_method(glue: Glue, spark: Any) -> None:
    filled(glue, "one", "two", "three")
    assert Playbook(glue, 3).merge("later", "one", method="glue")["one"].verified == "counts"
    judged = Playbook(glue, 4).merge("later", "one", "two", "three", method="glue", verify="full")
    assert {
        name: (each.failure, each.status, each.items_destination) for name, each in judged.items()
    } == dict.fromkeys(("one", "two", "three"), (None, "migrated", 12))
    assert ids(glue, "later") == expected("one", "two", "three")
    filled(glue, "four")
    assert Playbook(glue, 5).merge("later", "four")["four"].status == "migrated"
    assert ids(glue, "later") == expected("one", "two", "three", "four")
    record = Playbook(glue, 6).record("later")
    assert [part.method for part in record.parts.values()] == ["glue", "glue", "glue", "direct"]
    assert record.data_as_of["from"] == min(part.data_as_of["from"] for part in record.parts.values())
