# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose table stands at the destination's name, where its tags come on several pages, and what state it is in."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.data_plane import ItemChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.destination import has_mark, is_ours, make_table
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import DestinationExists, TableUnusable
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.cleanup import CleanupOptions, plan_cleanup
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import Pause
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.readiness import count_tags
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.restore_status import (
    look_at_destination as look_at_restored,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import start
from ansible_collections.tableferry.aws.plugins.module_utils.core.route import Route
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.ownership import read_tags
from tests.unit.on_lab.conftest import Crossing
from tests.unit.on_lab.methods.direct.test_copy_job import Direct, fill, make

OWN = [{"Key": f"a{number:02}", "Value": "of the owner"} for number in range(12)]  # all before ours by their names


@pytest.fixture(autouse=True)
def small_pages(crossing: Crossing) -> Iterator[None]:
    """Ten tags to a page: the marks come on the second one."""
    crossing.lab.choose_behaviours({"dynamodb.tags_on_a_page": "10"})
    yield
    crossing.lab.choose_behaviours({"dynamodb.tags_on_a_page": "50"})


def route(crossing: Crossing, table: str, **more: str) -> Route:
    here, there = crossing.source, crossing.destination
    told = {"source_account_id": here.account_id, "source_region": here.region, "source_table": table}
    told |= {"destination_account_id": there.account_id, "destination_region": there.region}
    return Route(**{**told, "destination_table": table, **more})


def marked(crossing: Crossing, name: str) -> TableDefinition:
    """A copy at the destination with many tags of its owner's and our marks after them."""
    place = f"{crossing.source.account_id}/{crossing.region}/{name}"
    ours = {"tableferry:migration": "default", "tableferry:source": place}
    make(crossing, name, "destination", Tags=OWN + [{"Key": key, "Value": value} for key, value in ours.items()])
    return TableDefinition.read(crossing.destination, name)


def test_marks_on_the_second_page_are_seen(crossing: Crossing) -> None:
    table = marked(crossing, "marked")
    way = route(crossing, "marked")
    first = crossing.lab.client("dynamodb", "destination").list_tags_of_resource(ResourceArn=table.arn)
    assert not [tag for tag in first["Tags"] if tag["Key"].startswith("tableferry:")]
    assert len(read_tags(crossing.destination, table.arn)) == 14
    assert is_ours(crossing.destination, table, way)
    assert not is_ours(crossing.destination, table, route(crossing, "another", destination_table="marked"))
    assert has_mark(crossing.destination, table, "default", way.source_arn)
    assert not has_mark(crossing.destination, table, "other", way.source_arn)
    assert look_at_restored(crossing.destination, way, [], set()).state == "done"
    with pytest.raises(DestinationExists, match=r"marked exists in .* and was not made by this migration"):
        look_at_restored(crossing.destination, route(crossing, "marked", migration_id="other"), [], set())


def test_all_tags_of_the_source_count(crossing: Crossing) -> None:
    make(crossing, "counted", Tags=OWN)
    assert count_tags(crossing.source, TableDefinition.read(crossing.source, "counted")) == 12


def test_recovery_of_ours_is_found_by_the_last_tag(crossing: Crossing) -> None:
    recovery = {"Key": "tableferry:point-in-time-recovery", "Value": "default"}
    crossing.table("recovering", [], Tags=[*OWN, recovery])
    plan = plan_cleanup(
        crossing.source, crossing.destination, CleanupOptions("recovering", crossing.bucket), [ImportLoader()]
    )
    assert "point-in-time recovery of recovering" in [left.what for left in plan.left]


@pytest.fixture
def ways(crossing: Crossing, tmp_path: Path) -> Direct:
    return Direct(crossing, tmp_path)


def copied(ways: Direct, hurry: Any, name: str, **more: Any) -> tuple[Job, ...]:
    make(ways.crossing, name, Tags=OWN)
    fill(ways.crossing, name, [{"id": {"S": "1"}}])
    jobs: tuple[Job, ...] = ways.go(hurry, name, **more)
    return jobs


def test_a_copy_with_many_tags_is_not_made_or_compared_again(ways: Direct, hurry: Any) -> None:
    assert copied(ways, hurry, "many-tags", verify="full")[0].state == "completed"
    ways.crossing.lab.clear_requests()
    assert {job.kind: job.state for job in ways.go(hurry, "many-tags", verify="full")} == {
        "direct": "not_needed",
        "verify": "not_needed",
        "settings": "not_needed",
    }
    assert ways.crossing.lab.mutating_calls() == []


def test_a7_a_copy_that_is_being_deleted_is_not_migrated(ways: Direct, hurry: Any) -> None:
    crossing = ways.crossing
    jobs = copied(ways, hurry, "going")
    assert ways.judge(jobs, "counts").status == "migrated"
    s3 = MigrationOptions("going", bucket=crossing.bucket, enable_point_in_time_recovery=True)
    crossing.lab.set_timings({"table.deleting": 600})
    try:
        crossing.lab.client("dynamodb", "destination").delete_table(TableName="going")
        judged = ways.judge(jobs, "counts")
        assert (judged.status, type(judged.failure)) == ("failed", TableUnusable)
        for options in (ways.options("going"), s3):
            with pytest.raises(TableUnusable, match=r"going in .* is DELETING\. Wait until it is gone"):
                start(crossing.source, crossing.destination, options)
        with pytest.raises(TableUnusable, match="is DELETING"):
            look_at_restored(crossing.destination, route(crossing, "going"), [], set())
    finally:
        crossing.lab.set_timings({"table.deleting": 0})
        crossing.lab.advance(600)


@pytest.mark.parametrize("method", ["s3", "direct", "backup"])
@pytest.mark.parametrize("status", ["ARCHIVED", "INACCESSIBLE_ENCRYPTION_CREDENTIALS", "DELETING"])
def test_a7_a_source_that_is_lost_is_refused_before_anything_is_begun(
    crossing: Crossing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, status: str
) -> None:
    name = f"{method}-{status[:5]}"
    make(crossing, name)
    read = TableDefinition.read

    def as_lost(account: Account, table: str) -> TableDefinition:
        definition = read(account, table)
        summary = {"ArchivalSummary": {"ArchivalBackupArn": "arn:of-the-backup"}} if status == "ARCHIVED" else {}
        return TableDefinition.from_dict({**definition.raw, "TableStatus": status, **summary})

    monkeypatch.setattr(TableDefinition, "read", as_lost)
    crossing.lab.clear_requests()
    items = ItemChoices(checkpoint_dir=str(tmp_path))
    options = MigrationOptions(
        name, method=method, bucket=crossing.bucket, items=items, enable_point_in_time_recovery=True
    )
    words = "arn:of-the-backup" if status == "ARCHIVED" else ""
    with pytest.raises(TableUnusable, match=f"is {status}.*{words}"):
        start(crossing.source, crossing.destination, options)
    assert crossing.lab.mutating_calls() == []


def test_a_table_is_made_when_the_one_before_is_gone(crossing: Crossing) -> None:
    make(crossing, "anew")
    make(crossing, "anew", "destination")
    definition = TableDefinition.read(crossing.source, "anew")

    def steps() -> Generator[Pause, str | None, TableDefinition]:
        job = Job("direct", "anew", "running")
        return make_table(crossing.source, crossing.destination, definition, "anew", job, lambda: 0.0, kms_key_map={})

    with pytest.raises(DestinationExists, match="anew exists"):
        next(steps())
    before = crossing.described("anew")["TableId"]
    crossing.lab.set_timings({"table.deleting": 600})
    crossing.lab.client("dynamodb", "destination").delete_table(TableName="anew")
    making = steps()
    assert next(making).until == "time"
    assert crossing.described("anew")["TableStatus"] == "DELETING"
    crossing.lab.set_timings({"table.deleting": 0})
    crossing.lab.advance(601)
    with pytest.raises(StopIteration) as made:
        while True:
            next(making)
    table: TableDefinition = made.value.value
    assert (table.status, table.table_id) == ("ACTIVE", crossing.described("anew")["TableId"])
    assert table.table_id != before
    assert has_mark(crossing.destination, table, "default", definition.arn)
