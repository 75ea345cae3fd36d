# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Items with keys that an index does not take, legal where the index came after them (found.md A12).

What ImportTable does with them is not known: both are tried.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.data_plane import ItemChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import ImportFailed, InvalidInput
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.failures import import_hint
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import judge, preview, start, wait_for
from tests.unit.on_lab.conftest import Crossing
from tests.unit.on_lab.staged import BUCKET, Staged

BAD = [
    {"id": {"S": "secret-number"}, "kind": {"N": "1"}},
    {"id": {"S": "secret-empty"}, "kind": {"S": ""}},
    {"id": {"S": "secret-long"}, "kind": {"S": "x" * 2049}},
]
GOOD = [{"id": {"S": "fits"}, "kind": {"S": "a"}}, {"id": {"S": "without"}}]
INDEX = {
    "IndexName": "by-kind",
    "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}
CREATE = {
    "AttributeDefinitions": [{"AttributeName": "kind", "AttributeType": "S"}],
    "GlobalSecondaryIndexUpdates": [{"Create": INDEX}],
}


class World:
    """A table whose index came after its items."""

    def __init__(self, folder: Path, answer: str = "refused") -> None:
        self.path = folder / "private" / "orders-refused.jsonl"
        self.aws = Staged({"orders": 0})
        self.aws.world.behaviours.choose("dynamodb.import_of_index_keys", answer)
        dynamodb = self.aws.client("dynamodb")
        for item in (*BAD, *GOOD):
            dynamodb.put_item(TableName="orders", Item=item)
        dynamodb.update_table(TableName="orders", **CREATE)
        self.aws.advance(2000)
        self.source, self.destination = self.aws.account("source"), self.aws.account("destination")

    def options(self, **more: Any) -> MigrationOptions:
        items = ItemChoices(refused_path=str(self.path))
        return MigrationOptions("orders", method="s3", bucket=BUCKET, items=items, **more)

    def move(self, **more: Any) -> tuple[Job, ...]:
        """The jobs of a whole migration, through plain data as Ansible carries it."""
        way = start(self.source, self.destination, self.options(**more))
        first, *others = (Job.from_dict(json.loads(json.dumps(job.to_dict()))) for job in (way.job, *way.then))
        item = WaitItem("t", self.source, self.destination, first, tuple(others))
        return wait_for([item], clock=lambda: self.aws.clock, sleep=self.aws.sleep).ways["t"]

    def judge(self, jobs: tuple[Job, ...]) -> Judgement:
        return judge("orders", self.source, self.destination, jobs)

    def indexes(self) -> list[str]:
        return [index["IndexName"] for index in self.aws.described("orders").get("GlobalSecondaryIndexes", ())]


def keys_in(path: Path) -> set[str]:
    return {json.loads(line)["key"]["id"]["S"] for line in path.read_text().splitlines()}


def private(path: Path) -> bool:
    return (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)


def test_a12_a_failed_import_names_the_items_in_a_file_and_the_ways_out(tmp_path: Path) -> None:
    world = World(tmp_path)
    jobs = world.move()
    failure = world.judge(jobs).failure
    assert isinstance(failure, ImportFailed)
    assert jobs[1].result["refused_items"] == {
        "items": 3, "without_key": 0, "indexes": {"by-kind": 3}, "path": str(world.path), "more": False,
    }  # fmt: skip
    assert keys_in(world.path) == {item["id"]["S"] for item in BAD}
    assert private(world.path)
    for words in ("3 items", "by-kind (3)", str(world.path), "indexes_after", "leave_indexes"):
        assert words in failure.next_step
    assert "do not edit the files" not in str(failure)
    shown = json.dumps([failure.to_failure(), *(job.to_dict() for job in jobs)])
    assert "secret" not in shown
    later = world.judge(world.move()).failure  # a later run without a record finds that import, and begins nothing
    assert later is not None
    assert jobs[1].arn in str(later)
    assert len(world.aws.jobs("import")) == 1


def test_a12_a_file_that_cannot_be_written_hides_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    (tmp_path / "private").write_text("no folder")
    failure = world.judge(world.move()).failure
    assert failure is not None
    for words in ("3 items", "by-kind (3)", "could not be written", str(world.path)):
        assert words in failure.next_step


@pytest.mark.parametrize("option", ["indexes_after", "leave_indexes"])
def test_a12_the_index_comes_after_the_import_or_not_at_all(tmp_path: Path, option: str) -> None:
    world = World(tmp_path)
    world.move()
    jobs = world.move(**{option: ("by-kind",)}, replace_failed=True)
    judgement = world.judge(jobs)
    assert (judgement.status, judgement.verified, judgement.items_destination) == ("migrated", "counts", 5)
    assert len(world.aws.jobs("export")) == 1
    settings = jobs[-1].result
    left = {entry["what"]: entry["reason"] for entry in settings["settings_left"]}
    assert jobs[-1].state == "completed", settings
    if option == "leave_indexes":
        assert world.indexes() == []
        assert "leave_indexes" in left["global_secondary_indexes.by-kind"]
        assert "global_secondary_indexes" not in settings["settings_carried"]
        return
    assert world.indexes() == ["by-kind"]
    assert "global_secondary_indexes" in settings["settings_carried"]
    found = world.aws.client("dynamodb", "destination").scan(TableName="orders", IndexName="by-kind")["Items"]
    assert [item["id"]["S"] for item in found] == ["fits"]


def test_a12_check_mode_shows_the_replacement_of_what_a_failed_import_left(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.move()
    options = world.options(leave_indexes=("by-kind",), replace_failed=True)
    way = preview(world.source, world.destination, options)
    assert [change.risk for change in way.changes[:2]] == ["destructive", "billed"]
    assert "global_secondary_indexes.by-kind" in {entry.what for entry in way.left}
    assert "DeleteTable" not in world.aws.mutating()


def test_a12_where_imports_take_such_items_nothing_is_to_be_done(tmp_path: Path) -> None:
    world = World(tmp_path, "left_out")
    jobs = world.move()
    judgement = world.judge(jobs)
    assert (judgement.status, judgement.verified, judgement.items_destination) == ("migrated", "counts", 5)
    assert not world.path.exists()
    assert world.indexes() == ["by-kind"]


@pytest.mark.parametrize("option", ["indexes_after", "leave_indexes"])
@pytest.mark.parametrize("method", ["s3", "direct"])
def test_a12_check_mode_shows_the_indexes_that_come_later_or_not(tmp_path: Path, option: str, method: str) -> None:
    world = World(tmp_path)
    options = world.options(**{option: ("by-kind",)})
    way = preview(world.source, world.destination, MigrationOptions(**{**vars(options), "method": method}))
    made = next(change.after for change in way.changes if change.what in ("import into orders", "table orders"))
    table = made.get("table", made)
    assert "GlobalSecondaryIndexes" not in table
    assert [each["AttributeName"] for each in table["AttributeDefinitions"]] == ["id"]
    later = {change.what: change.risk for change in way.changes}
    left = {entry.what for entry in way.left}
    what = "global_secondary_indexes.by-kind"
    assert (later.get(what), what in left) == (("slow", False) if option == "indexes_after" else (None, True))


@pytest.mark.parametrize("method", ["s3", "direct"])
@pytest.mark.parametrize("names", [{"indexes_after": ("no",)}, {"leave_indexes": ("no",)},
                                   {"indexes_after": ("by-kind",), "leave_indexes": ("by-kind",)}])  # fmt: skip
def test_a12_an_index_that_there_is_not_is_refused_before_anything_is_billed(
    tmp_path: Path, method: str, names: dict[str, Any]
) -> None:
    world = World(tmp_path)
    options = MigrationOptions(**{**vars(world.options(**names)), "method": method})
    with pytest.raises(InvalidInput, match=r"orders: .*(indexes_after|leave_indexes)"):
        start(world.source, world.destination, options)
    assert world.aws.mutating() == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Type mismatch for Index Key kind Expected: S Actual: N IndexName: by-kind", "indexes_after"),
        ("A value specified for a secondary index key is not supported.", "indexes_after"),
        ("Missing the key id in the item", "lack the table's key"),
        ("Type mismatch for key id expected: S actual: N", "lack the table's key"),
        ("KMS key was not found", "Fix the cause"),
        ("The keyword is unknown", "Fix the cause"),
    ],
)
def test_a12_not_any_text_with_key_is_about_the_tables_key(text: str, words: str) -> None:
    assert words in import_hint("ItemValidationError", "", [text])


# The method direct


@pytest.fixture
def late_index(crossing: Crossing) -> Iterator[Callable[[str], str]]:
    """A table of the source whose index came after its items."""

    def make(name: str) -> str:
        crossing.table(name, [*BAD, *GOOD])
        dynamodb = crossing.lab.client("dynamodb", "source")
        dynamodb.update_table(TableName=name, **CREATE)
        crossing.lab.advance(2000)
        return name

    yield make


def direct(crossing: Crossing, hurry: Any, name: str, path: Path, **more: Any) -> tuple[Job, ...]:
    items = ItemChoices(refused_path=str(path))
    way = start(crossing.source, crossing.destination, MigrationOptions(name, method="direct", items=items, **more))
    return tuple(hurry([WaitItem(name, crossing.source, crossing.destination, way.job, way.then)]).ways[name])


def test_a12_a_direct_copy_names_the_item_in_a_file_and_the_ways_out(
    crossing: Crossing, hurry: Any, late_index: Callable[[str], str], tmp_path: Path
) -> None:
    name, path = late_index("late-index"), tmp_path / "private" / "refused.jsonl"
    failed, *_others = direct(crossing, hurry, name, path)
    assert (failed.state, failed.failure_code) == ("failed", "ItemRefused")
    assert "secret" not in json.dumps(failed.to_dict())
    assert "indexes_after" in failed.failure_message
    assert str(path) in failed.failure_message
    assert keys_in(path) <= {item["id"]["S"] for item in BAD}
    assert private(path)
    with pytest.raises(InvalidInput, match="already has the index by-kind") as refused:
        direct(crossing, hurry, name, path, indexes_after=("by-kind",))
    assert "aws dynamodb update-table" in refused.value.next_step
    there = crossing.lab.client("dynamodb", "destination")
    there.update_table(TableName=name, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-kind"}}])
    crossing.lab.advance(100)
    jobs = direct(crossing, hurry, name, path, indexes_after=("by-kind",))
    assert [job.state for job in jobs] == ["completed", "completed"], jobs
    assert len(crossing.items("destination", name)) == 5
    assert [item["id"]["S"] for item in there.scan(TableName=name, IndexName="by-kind")["Items"]] == ["fits"]


def test_a12_a_direct_copy_without_the_index_says_what_is_left(
    crossing: Crossing, hurry: Any, late_index: Callable[[str], str], tmp_path: Path
) -> None:
    name = late_index("left-index")
    jobs = direct(crossing, hurry, name, tmp_path / "refused", leave_indexes=("by-kind",))
    assert [job.state for job in jobs] == ["completed", "completed"], jobs
    assert len(crossing.items("destination", name)) == 5
    assert "GlobalSecondaryIndexes" not in crossing.described(name)
    assert "global_secondary_indexes.by-kind" in {entry["what"] for entry in jobs[-1].result["settings_left"]}
