# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Direct copies whose items steps change: the table that is made, the record, and runs with another transform.

Most go by calls of a lab in process, as in test_record; the data plane's part is tested there. One goes the real way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.data_plane import ItemChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.checkpoint import Counts
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Retries
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.collisions import Collisions
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyResult
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.compiled import compiled
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.tally import Tally
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import Pause, WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.direct import copy_job
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import judge, preview, start
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.clock import AwsClock
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.process import Process
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.run import Run
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.store import RecordStore
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.claiming import Records
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.comparison import (
    VerifyOptions,
    repair_differences,
    verify_tables,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import choices_of
from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import outcome
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import dynamodb_table_settings, dynamodb_verify
from tests.unit.on_lab.conftest import Crossing
from tests.unit.on_lab.in_process import Killed, failure
from tests.unit.on_lab.methods.direct.test_copy_job import Direct, fill, make
from tests.unit.on_lab.methods.direct.test_record import Bench, count_items, drop, item_table, item_tables
from tests.unit.on_lab.recorded import Playbook
from tests.unit.on_lab.staged import BUCKET, Staged

RENAMED = [{"rename": {"id": "key"}}]


def copy_items(here: Any, there: Any, options: Any, tell: Callable[[Any], None]) -> Any:
    """As the data plane's, by calls."""
    items = here.client.scan(TableName=here.name)["Items"]
    if options.transform is None:
        for item in items:
            there.client.put_item(TableName=there.name, Item=item)
        return CopyResult(Counts(len(items), 10, read=len(items)), Retries(), resumed=False)
    transform, tally = compiled(options.transform), Tally()
    made = [json.loads(each) for item in items for each in transform.of_item(json.dumps(item).encode(), tally)]
    for item in made:
        there.client.put_item(TableName=there.name, Item=item)
    counts = Counts(
        tally.made, 10, read=tally.read, added=tally.added, kept_out=dict(tally.kept_out), refused=dict(tally.refused)
    )
    return CopyResult(counts, Retries(), resumed=False)


@pytest.fixture
def by_calls(monkeypatch: pytest.MonkeyPatch, at_once: Any) -> None:
    for room in (item_table, item_tables, copy_items, count_items):
        monkeypatch.setattr(copy_job, room.__name__, room)
    monkeypatch.setattr(copy_job, "Workbench", Bench)


def world(items: int = 7) -> Staged:
    return Staged({"orders": items}, False)


def migrate(aws: Staged, *steps: Any, number: int = 1, verify: str = "counts", **more: Any) -> Any:
    return Playbook(aws, number).migrate(method="direct", transform=choices_of(steps, **more), verify=verify)["orders"]


def half(aws: Staged, *steps: Any, items: int = 3, number: int = 1) -> None:
    """A copy that dies after some items."""
    first, put = Playbook(aws, number), [0]

    def kill(when: str, operation: str, at: int) -> None:
        if (when, operation, aws.asked.get("TableName")) == ("after", "PutItem", "orders"):
            put[0] += 1
        if put[0] >= items:
            raise Killed(operation)

    aws.interrupt = kill
    with pytest.raises(Killed):
        first.migrate(method="direct", transform=choices_of(steps))
    aws.interrupt = lambda *_call: None
    first.end()


def items(aws: Staged, side: str = "destination") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = aws.client("dynamodb", side).scan(TableName="orders")["Items"]
    return found


@pytest.mark.usefixtures("by_calls")
def test_a_table_that_could_not_be_made_is_made_by_the_next_run() -> None:
    aws = world()

    def refuse(when: str, operation: str, at: int) -> None:
        if (when, operation, aws.asked.get("TableName")) == ("before", "CreateTable", "orders"):
            raise failure("ValidationException", operation=operation)

    aws.interrupt = refuse
    assert migrate(aws, *RENAMED).status == "failed"
    aws.interrupt = lambda *_call: None
    assert [job.state for job in Playbook(aws, 2).record().jobs] == ["closed"]
    assert migrate(aws, *RENAMED, number=3).status == "migrated"


@pytest.mark.usefixtures("by_calls")
class TestRecorded:
    def test_a_table_is_made_with_the_key_of_its_items_and_counts_say_what_became_of_them(self) -> None:
        aws = world()
        steps = [*RENAMED, {"keep_if": "key <> :none"}, {"set": {"new": True}}]
        judged = migrate(aws, *steps, values={":none": {"S": "0003"}})
        assert (judged.status, judged.items_source, judged.items_destination) == ("migrated", 7, 6)
        assert judged.verified == "counts"
        assert tuple(judged.notes) == ("transformed: 7 items read, 1 kept out by step 2 (keep_if), 6 written",)
        assert aws.described("orders")["KeySchema"] == [{"AttributeName": "key", "KeyType": "HASH"}]
        assert all(item["new"] == {"BOOL": True} for item in items(aws))
        record = Playbook(aws, 2).record()
        assert record.state == "done"
        assert record.evidence["items_source"] == 7
        assert record.evidence["items_written"] == 6
        assert len(record.evidence["transform"]["fingerprint"]) == 16

    def test_run_again_with_the_same_transform_changes_nothing(self) -> None:
        aws = world()
        migrate(aws, *RENAMED)
        before = list(aws.calls)
        judged = migrate(aws, *RENAMED, number=2)
        assert judged.status == "migrated"
        made = [operation for _account, operation in list(aws.calls)[len(before) :]]
        assert "CreateTable" not in made
        assert len(items(aws)) == 7

    @pytest.mark.parametrize("then", [[{"rename": {"id": "other"}}], []])
    def test_a_finished_table_with_another_transform_is_said_to_be_so_and_left(self, then: list[Any]) -> None:
        aws = world()
        migrate(aws, *RENAMED)
        for show in (
            lambda options: Playbook(aws, 2).start(**options),
            lambda options: preview(
                aws.account("source"), aws.account("destination"), MigrationOptions("orders", **options),
                Playbook(aws, 3).store,
            ),
        ):  # fmt: skip
            found = show({"method": "direct", "transform": choices_of(then)})
            assert found.job.state == "not_needed"
            (warning,) = found.warnings
            assert "its transform has changed since it was migrated" in warning
        assert all("key" in item for item in items(aws))

    def test_a_finished_table_whose_salt_is_not_set_is_no_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        aws = world()
        monkeypatch.setenv("FERRY_SALT", "pepper")
        migrate(aws, {"hash": ["name"]})
        monkeypatch.delenv("FERRY_SALT")
        found = Playbook(aws, 2).start(method="direct", transform=choices_of([{"hash": ["name"]}]))
        assert found.job.state == "not_needed"
        assert "FERRY_SALT is not set" in found.warnings[0]

    @pytest.mark.parametrize(
        ("then", "words"),
        [
            ([{"rename": {"id": "key"}}, {"set": {"new": True}}], "by other transform steps, salts or functions"),
            ([], "by a transform, and there is none now"),
        ],
    )
    def test_half_a_table_is_never_mixed(self, then: list[Any], words: str) -> None:
        aws = world()
        half(aws, *RENAMED)
        with pytest.raises(errors.TableBroken, match=words) as refused:
            Playbook(aws, 2).start(method="direct", transform=choices_of(then))
        assert "delete the copy orders" in refused.value.next_step
        assert refused.value.status == "refused"
        with pytest.raises(errors.TableBroken, match=words):
            preview(
                aws.account("source"), aws.account("destination"),
                MigrationOptions("orders", method="direct", transform=choices_of(then)), Playbook(aws, 3).store,
            )  # fmt: skip
        assert len(items(aws)) == 3
        Playbook(aws, 2).end()
        judged = migrate(aws, *RENAMED, number=4)
        assert (judged.status, len(items(aws))) == ("migrated", 7)

    def test_half_a_table_without_a_transform_is_not_gone_on_with_by_one(self) -> None:
        aws = world()
        half(aws)
        with pytest.raises(errors.TableBroken, match="without a transform, and there is one now"):
            Playbook(aws, 2).start(method="direct", transform=choices_of([{"set": {"new": True}}]))

    def test_a_table_that_another_method_broke_before_it_had_items_goes_on_with_any_transform(self) -> None:
        aws = world()
        first, made = Playbook(aws), [False]

        def kill(when: str, operation: str, at: int) -> None:
            made[0] |= (when, operation, aws.asked.get("TableName")) == ("after", "CreateTable", "orders")
            if made[0] and operation == "DescribeTable" and first.record().state == "filling":
                raise Killed(operation)

        aws.interrupt = kill
        with pytest.raises(Killed):
            first.migrate(method="direct", transform=choices_of(RENAMED))
        aws.interrupt = lambda *_call: None
        first.end()
        assert Playbook(aws, 2).record().open_job("items") is None
        with pytest.raises(errors.TableBroken, match="the method is now s3"):
            Playbook(aws, 2).migrate(method="s3")
        assert Playbook(aws, 3).record().state == "broken"
        assert migrate(aws, *RENAMED, number=3).status == "migrated"
        assert len(items(aws)) == 7

    def test_another_salt_is_another_transform(self, monkeypatch: pytest.MonkeyPatch) -> None:
        aws = world()
        monkeypatch.setenv("FERRY_SALT", "pepper")
        half(aws, {"hash": ["id"]})
        monkeypatch.setenv("FERRY_SALT", "sugar")
        with pytest.raises(errors.TableBroken, match="salts"):
            Playbook(aws, 2).start(method="direct", transform=choices_of([{"hash": ["id"]}]))

    def test_after_the_half_copy_was_deleted_another_transform_begins_anew(self) -> None:
        aws = world()
        half(aws, *RENAMED)
        drop(aws)
        judged = migrate(aws, {"rename": {"id": "other"}}, number=2)
        assert judged.status == "migrated"
        assert all("other" in item for item in items(aws))

    def test_items_expire_by_the_time_of_the_first_run(self) -> None:
        aws = world(0)
        dynamodb = aws.client("dynamodb", "source")
        for number in range(5):
            until = str(int(aws.clock) + 1000)
            dynamodb.put_item(TableName="orders", Item={"id": {"S": f"{number:04d}"}, "until": {"N": until}})
        half(aws, {"drop_expired": "until"})
        aws.advance(3000)
        judged = migrate(aws, {"drop_expired": "until"}, number=2)
        assert (judged.status, judged.items_destination) == ("migrated", 5)

    def test_a_salt_that_changes_while_the_run_waits_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        aws = world()
        monkeypatch.setenv("FERRY_SALT", "pepper")
        first = Playbook(aws)
        way = first.start(method="direct", transform=choices_of([{"hash": ["id"]}]))
        monkeypatch.setenv("FERRY_SALT", "sugar")
        jobs = first.wait({"orders": way}).ways["orders"]
        assert jobs[0].state == "failed"
        assert "changed since the run began" in str(jobs[0].failure)
        assert items(aws) == []

    def test_time_to_live_is_set_on_the_renamed_attribute_and_indexes_are_left_with_the_reason(self) -> None:
        aws = Staged({}, False)
        attributes = [{"AttributeName": name, "AttributeType": "S"} for name in ("id", "mail", "city")]
        indexes = [
            {
                "IndexName": f"by_{name}",
                "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
            for name in ("mail", "city")
        ]
        aws.add_table("orders", 3, recovery=False, AttributeDefinitions=attributes, GlobalSecondaryIndexes=indexes)
        aws.client("dynamodb", "source").update_time_to_live(
            TableName="orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"}
        )
        aws.advance(60)
        steps = [{"rename": {"until": "ttl", "mail": "email"}}, {"drop": "city"}]
        first = Playbook(aws)
        jobs = first.wait({"orders": first.start(method="direct", transform=choices_of(steps))}).ways["orders"]
        settings = next(job for job in jobs if job.kind == "settings")
        assert settings.state == "completed"
        left = {entry["what"]: entry["reason"] for entry in settings.result["settings_left"]}
        assert left["global_secondary_indexes.by_city"] == "a step drops its key attribute city"
        (index,) = aws.described("orders")["GlobalSecondaryIndexes"]
        assert index["KeySchema"][0]["AttributeName"] == "email"
        described = aws.client("dynamodb", "destination").describe_time_to_live(TableName="orders")
        assert described["TimeToLiveDescription"]["AttributeName"] == "ttl"

    @pytest.mark.parametrize("option", ["indexes_after", "leave_indexes"])
    def test_indexes_that_come_later_or_not_have_the_renamed_key(self, option: str) -> None:
        aws = Staged({}, False)
        index = {
            "IndexName": "by_mail",
            "KeySchema": [{"AttributeName": "mail", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
        attributes = [{"AttributeName": name, "AttributeType": "S"} for name in ("id", "mail")]
        aws.add_table("orders", 3, recovery=False, AttributeDefinitions=attributes, GlobalSecondaryIndexes=[index])
        first = Playbook(aws)
        steps = [{"rename": {"mail": "email"}}]
        transform = choices_of(steps, without_indexes=["by_mail"])
        way = first.start(method="direct", transform=transform, **{option: ("by_mail",)})
        jobs = first.wait({"orders": way}).ways["orders"]
        assert [job.state for job in jobs] == ["completed", "completed"]
        keys = [
            each["KeySchema"][0]["AttributeName"] for each in aws.described("orders").get("GlobalSecondaryIndexes", ())
        ]
        assert keys == (["email"] if option == "indexes_after" else [])

    def test_a_table_that_another_method_has_filled_is_not_gone_on_with_by_a_transform(self) -> None:
        aws = Staged({"orders": 3})
        first = Playbook(aws)
        first.wait({"orders": first.start(method="s3", bucket=BUCKET)})
        first.end()
        with pytest.raises(errors.InvalidInput, match=r"method s3 cannot .* it brings the items of this table already"):
            Playbook(aws, 2).start(method="direct", transform=choices_of(RENAMED))

    @pytest.mark.parametrize("asked", ["report", "apply"])
    def test_the_settings_of_a_finished_table_are_compared_with_those_that_the_steps_make(self, asked: Any) -> None:
        aws = Staged({}, False)
        attributes = [{"AttributeName": name, "AttributeType": "S"} for name in ("id", "mail", "city")]
        indexes = [
            {
                "IndexName": f"by_{name}",
                "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
            for name in ("mail", "city")
        ]
        aws.add_table("orders", 3, recovery=False, AttributeDefinitions=attributes, GlobalSecondaryIndexes=indexes)
        aws.client("dynamodb", "source").update_time_to_live(
            TableName="orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"}
        )
        aws.advance(60)
        steps = [{"rename": {"id": "key", "until": "ttl", "mail": "email"}}, {"drop": "city"}]
        assert migrate(aws, *steps).status == "migrated"
        found = Playbook(aws, 2).start(method="direct", transform=choices_of(steps), finished_settings=asked)
        assert (found.drift, found.warnings, [job.state for job in found.then]) == ((), (), ["not_needed"])
        other = Playbook(aws, 3).start(method="direct", transform=choices_of(RENAMED), finished_settings=asked)
        assert other.warnings and other.drift == () and [job.state for job in other.then] == ["not_needed"]


def test_auto_takes_a_method_that_can_change_items(at_once: Any) -> None:
    aws = world(1)
    options = MigrationOptions("orders", bucket=BUCKET, transform=choices_of(RENAMED))
    assert preview(aws.account("source"), aws.account("destination"), options).method == "direct"


@pytest.mark.parametrize("method", ["s3", "backup"])
def test_methods_that_cannot_change_items_are_refused_by_one_sentence(method: str, at_once: Any) -> None:
    aws = world(1)
    options = MigrationOptions("orders", method=method, bucket=BUCKET, transform=choices_of(RENAMED))
    for run in (start, preview):
        with pytest.raises(errors.InvalidInput, match=r"cannot change items on the way\. Methods that can: direct"):
            run(aws.account("source"), aws.account("destination"), options)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([{"drop": "x"}, {"shuffle": "x"}], r"Step 2 \(shuffle\): there is no such step"),
        ([{"drop": "id"}], r"Step 1 \(drop\), id: it drops id, a key attribute of the table"),
        ([{"hash": {"attributes": ["x"], "salt_from": "env:NO_SUCH_SALT"}}], "NO_SUCH_SALT is not set"),
    ],
)
def test_a_step_that_cannot_be_is_refused_before_anything_is_made(steps: list[Any], words: str, at_once: Any) -> None:
    aws = world(1)
    options = MigrationOptions("orders", method="direct", transform=choices_of(steps))
    for run in (start, preview):
        with pytest.raises(errors.InvalidTransform, match=words) as refused:
            run(aws.account("source"), aws.account("destination"), options)
        assert refused.value.table == "orders"
        assert refused.value.status == "refused"


def test_options_travel_as_json() -> None:
    options = MigrationOptions("orders", method="direct", transform=choices_of(RENAMED, errors="skip"))
    assert MigrationOptions.from_dict(json.loads(json.dumps(options.to_dict()))).transform == options.transform


def test_the_real_way_is_verified_in_full(
    crossing: Crossing, hurry: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ways = Direct(crossing, tmp_path)
    monkeypatch.setenv("FERRY_SALT", "pepper")
    (tmp_path / "t.py").write_text(
        "def fix(item):\n    item['zip'] = {'S': item['zip']['N'].zfill(5)}\n    return item\n"
    )
    make(crossing, "people")
    fill(
        crossing,
        "people",
        [
            {
                "id": {"S": str(n)},
                "mail": {"S": f"{n}@x"},
                "zip": {"N": str(n)},
                "until": {"N": "1" if n % 4 else "99999999999"},
            }
            for n in range(40)
        ],
    )
    steps = [
        {"keep_if": "id <> :no"},
        {"rename": {"id": "pk"}},
        {"hash": ["mail"]},
        {"python": {"function": "t.py:fix", "attributes": ["zip"]}},
    ]
    transform = choices_of(steps, values={":no": {"S": "7"}}, folders=[str(tmp_path)])
    jobs = ways.go(hurry, "people", verify="full", transform=transform)
    assert [(job.kind, job.state) for job in jobs[:2]] == [("direct", "completed"), ("verify", "completed")], jobs
    judged = ways.judge(jobs)
    assert (judged.status, judged.verified, judged.items_source, judged.items_destination) == (
        "migrated",
        "full",
        40,
        39,
    )
    made = {item["pk"]["S"]: item for item in crossing.items("destination", "people")}
    assert "7" not in made
    assert made["8"]["zip"] == {"S": "00008"}
    assert len(made["8"]["mail"]["S"]) == 64


SHORTENED = [{"replace": {"id": [".$", ""]}}]


def test_without_a_record_the_tags_say_by_which_transform_a_table_may_be_repaired(
    crossing: Crossing, hurry: Any, tmp_path: Path
) -> None:
    make(crossing, "tagged")
    fill(crossing, "tagged", [{"id": {"S": str(number)}} for number in range(5)])
    transform = choices_of([{"set": {"new": 1}}])
    Direct(crossing, tmp_path).go(hurry, "tagged", transform=transform)
    fill(crossing, "tagged", [{"id": {"S": "more"}}])

    def repaired(transform: Any) -> Any:
        options = VerifyOptions("tagged", "tagged", transform=transform)
        found = verify_tables(crossing.source, crossing.destination, options)
        return repair_differences(crossing.source, crossing.destination, options, found, delete_extra=False)

    for other in (None, choices_of([{"set": {"new": 2}}])):
        with pytest.raises(errors.TableBroken, match="tagged was filled, or begun, by"):
            repaired(other)
    assert repaired(transform).put == 1
    assert {"id": {"S": "more"}, "new": {"N": "1"}} in crossing.items("destination", "tagged")


@pytest.mark.parametrize("choice", ["refuse", "any"])
def test_items_that_become_one_are_found_before_anything_is_made(
    crossing: Crossing, hurry: Any, tmp_path: Path, choice: Any
) -> None:
    ways = Direct(crossing, tmp_path)
    name = f"short_{choice}"
    make(crossing, name)
    fill(crossing, name, [{"id": {"S": f"{n:02d}"}} for n in range(15)] + [{"id": {"S": "xy"}}])
    jobs = ways.go(hurry, name, verify="full", transform=choices_of(SHORTENED, on_collision=choice))
    judged = ways.judge(jobs)
    if choice == "refuse":
        assert jobs[0].state == "failed"
        assert judged.status == "failed"
        assert "2 keys to several items each: 13 of 16 items" in judged.reason
        assert judged.failure.status == "refused"
        names = crossing.lab.client("dynamodb", "destination").list_tables()["TableNames"]
        assert name not in names
    else:
        assert (judged.status, judged.verified, judged.items_source, judged.items_destination) == (
            "migrated",
            "full",
            16,
            3,
        ), judged
        assert "13 written over by others of the same key" in judged.notes[0]


BRINGS = {
    "direct": "items of orders",
    "glue": "job run of AWS Glue into orders",
    "emr": "job run of EMR Serverless into orders",
}


def foreseen(aws: Staged, method: str, transform: Any) -> Any:
    options = MigrationOptions(
        "orders", method=method, transform=transform, bucket=BUCKET, enable_point_in_time_recovery=True
    )
    return preview(aws.account("source"), aws.account("destination"), options)


@pytest.mark.parametrize("shows", [False, True])
@pytest.mark.parametrize(("method", "brings"), BRINGS.items())
def test_check_mode_shows_the_table_the_keys_and_what_becomes_of_a_sample(
    at_once: Any, shows: bool, method: str, brings: str
) -> None:
    aws = world(0)
    for number in range(4):
        item = {
            "id": {"S": f"a{number}"},
            "price": {"S": "1.50" if number else "secret"},
            "raw": {"B": b"x"},
            "name": {"S": "Adam"},
        }
        aws.client("dynamodb", "source").put_item(TableName="orders", Item=item)
    steps = [
        {"keep_if": "id <> :no"},
        {"cast": {"price": "N"}},
        {"rename": {"raw": "cooked"}},
        {"replace": {"id": [".$", ""], "name": ["m$", "n"]}},
    ]
    transform = choices_of(steps, values={":no": {"S": "a3"}}, show_values=shows)
    scans = []
    aws.interrupt = lambda when, operation, _n: scans.append(dict(aws.asked)) if operation == "Scan" else None
    found = foreseen(aws, method, transform)
    assert found.warnings == ()
    assert scans
    assert all(asked == {"TableName": "orders", "Limit": 100} for asked in scans)
    changes = {change.what: change for change in found.changes}
    assert changes[brings].risk == "billed"
    assert {"about", "bytes", "write_units_about"} < changes[brings].after.keys()
    assert changes["table orders"].after["KeySchema"][0]["AttributeName"] == "id"
    assert changes["key of orders"].before == "id (S)"
    assert changes["key of orders"].after.startswith("id (S), items are read first: where two get the same, the table")
    sample = changes["the first 4 items"]
    assert (sample.before, sample.after) == (
        4, "2; 1 kept out by step 1 (keep_if); 1 refused, step 2 (cast): price is not a number",
    )  # fmt: skip
    shown = {
        what.split(" ")[1]: (change.before, change.after)
        for what, change in changes.items()
        if what.startswith("attribute ")
    }
    assert set(shown) == {"id", "name", "price", "raw", "cooked"}
    assert shown["raw"][1] is None
    assert shown["cooked"][0] is None
    assert shown["price"][0].startswith("S in 2")
    assert shown["price"][1].startswith("N in 2")
    assert shown["name"][1].startswith("S in 2, 2 with another value")
    assert ("Adan" in str(shown)) is shows
    assert "secret" not in str(found.changes)
    looks = [what for what in changes if what.endswith("that looks for colliding keys of orders")]
    kinds = [job.kind for job in (found.job, *found.then)]
    assert (len(looks), kinds.count("spark_look")) == ((0, 0) if method == "direct" else (1, 1))


@pytest.mark.parametrize("method", BRINGS)
def test_check_mode_goes_on_where_the_source_may_not_be_scanned(at_once: Any, method: str) -> None:
    aws = world(3)
    aws.may_not("source", "dynamodb:Scan")
    found = foreseen(aws, method, choices_of(RENAMED))
    (warning,) = found.warnings
    assert warning.startswith("orders: what the steps make of its items is not shown, because no sample can be read")
    whats = [change.what for change in found.changes]
    assert ("key of orders" in whats, "the first 3 items" in whats) == (True, False)


@pytest.mark.usefixtures("by_calls")
def test_a_table_that_is_refused_for_colliding_keys_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pausing(Bench):
        def steps(self, job: Any, work: Callable[[Any], Any]) -> Any:
            yield Pause(job, "time", 1.0)
            return work(lambda now: None)

    monkeypatch.setattr(copy_job, "Workbench", Pausing)
    found = Collisions(1, 2, (), 3)
    monkeypatch.setattr(copy_job, "look_for_collisions", lambda *_how: found)
    aws = world()
    for number in (1, 2):
        playbook = Playbook(aws, number)
        begun = playbook.start(method="direct", transform=choices_of(SHORTENED))
        assert begun.changes == ()
        waited = playbook.wait({"orders": begun})
        assert (waited.changed, waited.started) == (frozenset(), frozenset()), waited.started
        assert waited.jobs["orders"].failure["error"] == "CollidingKeys"
        playbook.end()
    assert ("destination", "CreateTable") not in aws.calls


class Recorded:
    """Runs on a lab by the data plane's own requests, with records."""

    def __init__(self, crossing: Crossing, folder: Path, hurry: Any, name: str) -> None:
        self.crossing = crossing
        self.folder = folder
        self.hurry = hurry
        self.name = name
        self.runs = 0

    def run(self) -> tuple[Records, Run]:
        """A process of its own."""
        self.runs += 1
        clock = AwsClock()
        store = RecordStore.open(self.crossing.destination, "records", clock)
        assert store is not None
        here = Process("ann", "here", "boot", "ns", self.runs, f"start {self.name}")
        run = Run.join(store, clock, here, start_of=lambda pid: here.started)
        return Records(store, lambda: run), run

    def options(self, transform: Any, **more: Any) -> MigrationOptions:
        items = ItemChoices(refused_path=str(self.folder / "refused.jsonl"), checkpoint_dir=str(self.folder / "points"))
        return MigrationOptions(self.name, method="direct", items=items, transform=transform, **more)

    def migrate(self, transform: Any, **more: Any) -> tuple[Any, Any]:
        """The judgement, and the record after it."""
        records, run = self.run()
        source, destination = self.crossing.source, self.crossing.destination
        way = start(source, destination, self.options(transform, **more), records)
        tracking = Tracking(run, self.name)
        jobs = self.hurry([WaitItem(self.name, source, destination, way.job, way.then, tracking)]).ways[self.name]
        tracking = Tracking(run, self.name)
        judged = judge(self.name, source, destination, jobs, record=tracking, verify=more.get("verify", "counts"))
        run.end()
        return judged, tracking.find()


CASTS = [{"cast": {"price": "N"}}]


def test_items_that_a_step_cannot_take_fail_the_table_until_they_may_be_skipped(
    crossing: Crossing, hurry: Any, tmp_path: Path
) -> None:
    table = Recorded(crossing, tmp_path, hurry, "prices")
    make(crossing, "prices")
    prices = [str(number) if number % 10 else "free" for number in range(40)]
    fill(crossing, "prices", [{"id": {"S": str(at)}, "price": {"S": price}} for at, price in enumerate(prices)])
    judged, record = table.migrate(choices_of(CASTS))
    assert judged.status == "failed"
    assert "The transform cannot take 4 items" in judged.reason
    assert "free" not in str(judged)
    assert record.state == "broken"
    assert "transform_errors" in record.next and "to correct the steps, delete the copy" in record.next
    lines = [json.loads(line) for line in (tmp_path / "refused.jsonl").read_text().splitlines()]
    assert {line["key"]["id"]["S"] for line in lines} == {"0", "10", "20", "30"}
    with pytest.raises(errors.TableBroken, match="by other transform steps"):
        table.migrate(choices_of([{"drop": "price"}]))
    judged, record = table.migrate(choices_of(CASTS, errors="skip"), verify="full")
    assert (judged.status, judged.verified, judged.items_source, judged.items_destination) == (
        "migrated",
        "full",
        40,
        36,
    ), judged
    assert judged.notes == ("transformed: 40 items read, 4 refused by step 1 (cast), 36 written",)
    assert judged.reason == "4 items were left out: 4 refused by step 1 (cast)."
    assert (record.state, dict(record.evidence["refused"])) == ("done", {"1": 4})


def test_a_table_without_a_record_is_adopted_by_the_transform_that_brought_it(
    crossing: Crossing, hurry: Any, tmp_path: Path
) -> None:
    make(crossing, "lost")
    fill(crossing, "lost", [{"id": {"S": str(number)}} for number in range(10)])
    Direct(crossing, tmp_path).go(hurry, "lost", transform=choices_of(RENAMED))
    table = Recorded(crossing, tmp_path, hurry, "lost")
    judged, _record = table.migrate(choices_of([*RENAMED, {"set": {"new": 1}}]), adopt=True)
    assert judged.status == "failed"
    assert "it differs" in judged.reason
    judged, record = table.migrate(choices_of(RENAMED), adopt=True)
    assert (judged.status, judged.verified, record.state) == ("migrated", "full", "done"), judged
    records, run = table.run()
    for steps, warned in ((RENAMED, 0), ([], 1)):
        found = start(crossing.source, crossing.destination, table.options(choices_of(steps)), records)
        assert (found.job.state, len(found.warnings)) == ("not_needed", warned)
    run.end()


def test_a_broken_table_is_repaired_by_its_transform_and_goes_on(
    crossing: Crossing, hurry: Any, tmp_path: Path
) -> None:
    table = Recorded(crossing, tmp_path, hurry, "mended")
    make(crossing, "mended")
    fill(crossing, "mended", [{"id": {"S": str(at)}, "price": {"S": str(at or "free")}} for at in range(10)])
    steps = [*RENAMED, *CASTS]
    judged, record = table.migrate(choices_of(steps))
    assert (judged.status, record.state) == ("failed", "broken")
    fill(crossing, "mended", [{"id": {"S": "0"}, "price": {"S": "0.5"}}])
    sides = {
        side: {
            "endpoint_url": crossing.lab.endpoint_url,
            "region": crossing.region,
            **{name: crossing.lab.landscape["accounts"][side][name] for name in ("access_key", "secret_key")},
        }
        for side in ("source", "destination")
    }

    def verify(steps: Any) -> dict[str, Any]:
        arguments = {"name": "mended", **sides, "record_table": "records", "transform": steps, "repair": "true"}
        params = ArgumentSpecValidator(dynamodb_verify.SPEC).validate(arguments).validated_parameters
        result: dict[str, Any] = outcome(dynamodb_verify.VERB, params, check_mode=False, diff=False, progress=print)
        return result

    other = verify([*RENAMED, {"drop": "price"}])
    assert (other["failed"], other["ferry_error"]) == (True, "TransformChanged")
    mended = verify(steps)
    assert (mended["clean"], mended["filled"], mended["repaired"]["put"]) == (True, True, 1), mended
    with pytest.raises(errors.TableBroken, match="there is none now"):
        table.migrate(None)
    judged, record = table.migrate(choices_of(steps))
    assert (judged.status, record.state) == ("migrated", "done"), judged
    items = {item["key"]["S"]: item["price"] for item in crossing.items("destination", "mended")}
    assert items["0"] == {"N": "0.5"}

    def settle(steps: Any) -> dict[str, Any]:
        arguments = {"name": "mended", **sides, "transform": steps}
        params = ArgumentSpecValidator(dynamodb_table_settings.SPEC).validate(arguments).validated_parameters
        return outcome(dynamodb_table_settings.VERB, params, check_mode=False, diff=False, progress=print)

    same, other = settle(steps), settle([])
    assert (same["changed"], same.get("failed", False)) == (False, False), same
    assert (other["failed"], other["ferry_error"]) == (True, "DestinationExists")
