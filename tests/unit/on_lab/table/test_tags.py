# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tags of tables that AWS is making, changing or deleting (B4), and tables that have room for none (B11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.change import Change, NotCarried
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import FerryError, TableUnusable
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export import (
    ExportOptions,
    plan_export,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.recovery import RECOVERY_TAG
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps import comparison
from ansible_collections.tableferry.aws.plugins.module_utils.core.table import ownership
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.own_apis import Tags
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.ownership import put_mark, put_tags, read_tags
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.setting import Settings, SettingsOptions
from tests.unit.on_lab.in_process import failure
from tests.unit.on_lab.recorded import Playbook, world
from tests.unit.on_lab.staged import BUCKET, Staged

BY_NUMBER = {f"Owner{number:02}": "x" for number in range(50)}
BY_BYTES = {f"Owner{number:02}": "x" * 250 for number in range(39)} | {"Rest": "x" * 190}


@pytest.fixture(autouse=True)
def aws() -> Staged:
    return Staged({"orders": 3}, recovery=False)


def give(aws: Staged, tags: Mapping[str, str], table: str = "orders", side: str = "source") -> str:
    arn = str(aws.described(table, side)["TableArn"])
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    aws.client("dynamodb", side).tag_resource(ResourceArn=arn, Tags=listed)
    aws.advance(5)
    return arn


def make(aws: Staged, **more: Any) -> str:
    """A table of the destination that AWS is making now."""
    answer = aws.client("dynamodb", "destination").create_table(
        TableName="copy",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        **more,
    )
    assert answer["TableDescription"]["TableStatus"] == "CREATING"
    return str(answer["TableDescription"]["TableArn"])


class TestB4TagCalls:
    """ResourceNotFound of a tag call says nothing: DescribeTable decides."""

    def test_of_a_table_that_is_being_made_are_made_again(self, aws: Staged) -> None:
        arn = make(aws, Tags=[{"Key": "Owner", "Value": "me"}])
        destination = aws.account("destination")
        put_tags(destination, arn, "", {"mark": "1"}, "marking", "copy")
        assert read_tags(destination, arn)["Owner"] == "me"
        aws.advance(5)
        assert read_tags(destination, arn) == {"Owner": "me", "mark": "1"}

    def test_after_another_change_are_made_again(self, aws: Staged) -> None:
        arn, source = str(aws.described("orders", "source")["TableArn"]), aws.account("source")
        put_tags(source, arn, "", {"one": "1"}, "marking", "orders")
        put_tags(source, arn, "", {"two": "2"}, "marking", "orders")
        aws.advance(5)
        assert read_tags(source, arn) == {"one": "1", "two": "2"}

    def test_of_a_table_that_is_being_deleted_say_so(self, aws: Staged) -> None:
        make(aws)
        aws.advance(20)
        arn = str(aws.described("copy")["TableArn"])
        aws.client("dynamodb", "destination").delete_table(TableName="copy")
        aws.advance(2)
        with pytest.raises(TableUnusable, match="DELETING"):
            read_tags(aws.account("destination"), arn)

    def test_of_a_table_that_is_gone_fail_at_once(self, aws: Staged) -> None:
        arn, began = make(aws).replace("table/copy", "table/none"), aws.clock
        with pytest.raises(FerryError, match="not found"):
            read_tags(aws.account("destination"), arn)
        assert aws.clock == began

    def test_that_hang_are_not_made_again_on_a_table_of_somebody_else(self, aws: Staged) -> None:
        arn = make(aws)
        aws.advance(20)
        mine = str(aws.described("copy")["TableId"])
        began = len(aws.calls)

        def hang(when: str, operation: str, _number: int) -> None:
            if (when, operation) == ("before", "TagResource"):
                aws.interrupt = lambda *_call: None
                aws.client("dynamodb", "destination").delete_table(TableName="copy")
                aws.advance(60)
                make(aws)
                aws.advance(20)
                raise failure("RequestTimeout", status=408)

        aws.interrupt = hang
        with pytest.raises(FerryError, match="RequestTimeout"):
            put_tags(aws.account("destination"), arn, mine, {"mark": "1"}, "marking", "copy")
        assert sum("TagResource" in call for call in aws.calls[began:]) == 1
        assert read_tags(aws.account("destination"), arn) == {}

    def test_that_hang_are_made_again_on_the_same_table(self, aws: Staged) -> None:
        arn, source = str(aws.described("orders", "source")["TableArn"]), aws.account("source")

        def hang(when: str, operation: str, _number: int) -> None:
            if (when, operation) == ("before", "TagResource"):
                aws.interrupt = lambda *_call: None
                raise failure("InternalServerError", status=500)

        aws.interrupt = hang
        put_tags(source, arn, str(aws.described("orders", "source")["TableId"]), {"one": "1"}, "marking", "orders")
        aws.advance(5)
        assert read_tags(source, arn) == {"one": "1"}

    def test_that_keep_failing_are_given_up(self, aws: Staged) -> None:
        def refuse(when: str, operation: str, _number: int) -> None:
            if (when, operation) == ("before", "ListTagsOfResource"):
                raise failure("ResourceNotFoundException", "ResourceArn not found")

        aws.interrupt = refuse
        began = aws.clock
        with pytest.raises(FerryError, match="not found"):
            read_tags(aws.account("source"), str(aws.described("orders", "source")["TableArn"]))
        assert 15 < aws.clock - began < 60


@pytest.mark.parametrize("full", [BY_NUMBER, BY_BYTES], ids=["number", "bytes"])
class TestB11NoRoom:
    """A mark of ours for which there is no room is left out: the record knows what it would say."""

    def test_a_mark_is_left_out(self, aws: Staged, full: Mapping[str, str]) -> None:
        arn, source = give(aws, full), aws.account("source")
        assert not put_mark(source, arn, "", ("tableferry:x", "x" * 100), "marking", "orders")
        assert read_tags(source, arn) == full

    def test_point_in_time_recovery_is_turned_on_all_the_same(self, full: Mapping[str, str], monkeypatch: Any) -> None:
        aws = world(recovery=False)
        give(aws, full)
        first = Playbook(aws)
        begun = first.start()
        assert any(entry.what == f"tag {RECOVERY_TAG} of orders" for entry in begun.left)
        assert not any(RECOVERY_TAG in change.what for change in begun.changes)
        waited = first.wait({"orders": begun}, judge={"verify": "counts"})
        assert first.judge("orders", waited.ways["orders"]).status == "migrated"
        assert aws.tags("orders") == full
        carried = aws.tags("orders", "destination")
        assert {
            key: value for key, value in carried.items() if not key.startswith("tableferry:")
        }.items() < full.items()
        assert carried["tableferry:migration"] == "default"

    def test_an_equal_table_stays_equal(self, aws: Staged, full: Mapping[str, str]) -> None:
        arn = give(aws, full)
        result = {"items_destination": 3, "end_time": "2026-01-01T00:00:00+00:00"}
        comparison._mark(aws.account("source"), arn, comparison.VerifyOptions("orders", "orders"), "id", result)
        assert read_tags(aws.account("source"), arn) == full


def test_b11_a_table_with_room_says_nothing_of_it(aws: Staged) -> None:
    give(aws, {f"Owner{number:02}": "x" for number in range(49)})
    options = ExportOptions("orders", BUCKET, enable_point_in_time_recovery=True)
    plan = plan_export(aws.account("source"), aws.account("destination"), options, ImportLoader())
    assert plan.left == []
    assert f"tag {RECOVERY_TAG} of orders" in [change.what for change in plan.changes]


class TestB11PlannedTags:
    """What is planned fits: by number and by bytes, beside marks that do not show yet."""

    @staticmethod
    def planned(tags: Mapping[str, str], have: Mapping[str, str], aws: Staged) -> tuple[dict[str, str], list[str]]:
        definition = TableDefinition.read(aws.account("source"), "orders")
        entries = list(
            Tags().plan(
                Settings(definition, {"tags": dict(tags)}),
                Settings(definition, {"tags": dict(have)}),
                SettingsOptions(),
            )
        )
        after = [entry.after for entry in entries if isinstance(entry, Change)]
        left = [entry.what for entry in entries if isinstance(entry, NotCarried)]
        return (after[0] if after else {}), left

    # Of 49 and more there is no room for both marks: the source's tags come first then.
    @pytest.mark.parametrize(("have", "fit"), [(0, 48), (30, 18), (47, 1), (48, 0), (49, 1), (50, 0)])
    def test_never_more_than_fifty(self, have: int, fit: int, aws: Staged) -> None:
        there = {f"Theirs{number:02}": "x" for number in range(have)}
        want, left = self.planned(BY_NUMBER, there, aws)
        assert len({**there, **want}) <= 50
        carried = [key for key in want if key.startswith("Owner")]
        assert len(carried) == fit
        assert len([key for key in left if "Owner" in key]) == 50 - len(carried)

    def test_the_mark_of_a_copy_that_does_not_show_yet_has_room(self, aws: Staged) -> None:
        there = ownership.marks("default", "arn:aws:dynamodb:eu-west-1:1:table/orders") | {"tableferry:nonce": "n"}
        want, _left = self.planned(BY_NUMBER, there, aws)
        assert len({**there, **want, ownership.COPY_TAG: "items"}) == 50

    def test_never_more_than_10240_bytes(self, aws: Staged) -> None:
        big = {f"Owner{number:02}": "ü" * 128 for number in range(45)}
        want, left = self.planned(big, {}, aws)
        assert 9900 < ownership.bytes_of(want) <= 10240
        assert len(left) == 45 - len([key for key in want if key.startswith("Owner")]) > 0

    def test_a_longer_value_of_a_tag_that_is_there_counts_too(self, aws: Staged) -> None:
        there = {f"Owner{number:02}": "x" * 240 for number in range(40)}
        want, left = self.planned(dict.fromkeys(there, "y" * 256), there, aws)
        assert ownership.bytes_of({**there, **want}) <= 10240
        assert left
