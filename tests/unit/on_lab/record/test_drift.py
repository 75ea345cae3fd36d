# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of finished tables in later runs: left alone, shown, or applied (found.md A3)."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.change import Change
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import Migration, preview
from ansible_collections.tableferry.aws.plugins.module_utils.core.report import text
from tests.unit.on_lab.in_process import Killed
from tests.unit.on_lab.recorded import Playbook, killed_at, world
from tests.unit.on_lab.staged import BUCKET, Staged

METHODS = ("s3", "direct", "backup")


def handed_over() -> Staged:
    """A table that was migrated; then its users wrote to the copy, and both sides' settings changed."""
    aws = world()
    Playbook(aws).migrate()
    aws.write("orders", 2, "destination", first=100)
    aws.erase("orders", 1)
    aws.client("dynamodb").update_time_to_live(
        TableName="orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ends"}
    )
    aws.client("dynamodb").update_table(TableName="orders", DeletionProtectionEnabled=True)
    aws.client("dynamodb", "destination").update_table(TableName="orders", TableClass="STANDARD_INFREQUENT_ACCESS")
    aws.advance(3700)
    aws.calls.clear()
    return aws


def shown(aws: Staged) -> tuple[Any, ...]:
    """Items and settings of the copy."""
    client = aws.client("dynamodb", "destination")
    items = sorted(item["id"]["S"] for item in client.scan(TableName="orders")["Items"])
    ttl = client.describe_time_to_live(TableName="orders")["TimeToLiveDescription"].get("AttributeName")
    table = aws.described("orders")
    return items, ttl, table.get("DeletionProtectionEnabled"), table.get("TableClassSummary"), table["TableId"]


def settings_of(migration: Migration) -> Job:
    return migration.then[-1]


@pytest.mark.parametrize("method", METHODS)
class TestAnotherMethodAndOtherSettings:
    def test_once_leaves_everything_as_the_users_left_it(self, method: str) -> None:
        aws = handed_over()
        before = shown(aws)
        aws.calls.clear()
        again = Playbook(aws, 2)
        begun = again.start(method=method)
        assert (begun.changes, begun.drift, settings_of(begun).state) == ((), (), "not_needed")
        assert not any(job.open for job in (begun.job, *begun.then))
        assert aws.mutating() == []
        assert "DescribeTimeToLive" not in [operation for _account, operation in aws.calls]
        assert shown(aws) == before

    def test_report_shows_the_drift_and_changes_nothing(self, method: str) -> None:
        aws = handed_over()
        before = shown(aws)
        aws.calls.clear()
        again = Playbook(aws, 2)
        begun = again.start(method=method, finished_settings="report")
        assert (begun.changes, settings_of(begun).state, aws.mutating()) == ((), "not_needed", [])
        drift = {change.what: change.after for change in begun.drift}
        assert drift.keys() >= {"time_to_live", "deletion_protection"}
        assert [change["what"] for change in settings_of(begun).result["drift"]] == list(drift)
        assert shown(aws) == before
        judged = again.judge("orders", (begun.job, *begun.then))
        assert (judged.status, Playbook(aws, 3).record().state) == ("migrated", "done")

    def test_apply_sets_what_the_source_has(self, method: str) -> None:
        aws = handed_over()
        items = shown(aws)[0]
        again = Playbook(aws, 2)
        begun = again.start(method=method, finished_settings="apply")
        assert (begun.changes, settings_of(begun).state) == ((), "pending")
        waited = again.wait({"orders": begun})
        settings = waited.ways["orders"][-1]
        assert (settings.state, ("orders", settings.kind) in waited.started) == ("completed", True)
        assert waited.changed == {"orders"}
        assert [change["what"] for change in settings.result["drift"]] == ["table_class"]  # which only the copy has
        applied = {change["what"] for change in settings.result["drift_applied"]}
        assert applied >= {"time_to_live", "deletion_protection"}
        assert again.judge("orders", waited.ways["orders"]).status == "migrated"
        assert shown(aws)[:3] == (items, "ends", True)
        record = Playbook(aws, 3).record()
        assert (record.state, record.run) == ("done", "")
        assert record.evidence["settings"]["changes"]
        assert settings_of(Playbook(aws, 4).start(finished_settings="apply")).state == "not_needed"


class TestWhatIsShown:
    def test_our_own_tags_are_no_drift(self) -> None:
        """Neither beside a tag of the source that the copy lacks, nor alone, where somebody took them off."""
        aws = world()
        Playbook(aws).migrate()
        aws.client("dynamodb").tag_resource(
            ResourceArn=aws.client("dynamodb").describe_table(TableName="orders")["Table"]["TableArn"],
            Tags=[{"Key": "team", "Value": "shop"}],
        )
        aws.advance(20)
        drift = {change.what: (change.before, change.after) for change in drift_of(aws)}
        assert drift == {"tags": ({}, {"team": "shop"})}
        copy = aws.client("dynamodb", "destination")
        arn = aws.described("orders")["TableArn"]
        copy.tag_resource(ResourceArn=arn, Tags=[{"Key": "team", "Value": "shop"}, {"Key": "cost", "Value": "7"}])
        aws.advance(20)
        copy.untag_resource(ResourceArn=arn, TagKeys=["tableferry:migration", "tableferry:source"])
        aws.advance(20)
        drift = {change.what: (change.before, change.after) for change in drift_of(aws)}
        assert drift == {"tags.cost": ("7", None)}

    def test_an_applied_tag_is_shown_without_those_of_the_user(self) -> None:
        """Neither the report nor the record may look as if TagResource had taken tags of the copy away."""
        aws = world()
        Playbook(aws).migrate()
        copy = aws.client("dynamodb", "destination")
        arn = aws.described("orders")["TableArn"]
        copy.tag_resource(ResourceArn=arn, Tags=[{"Key": "team", "Value": "old"}, {"Key": "cost", "Value": "7"}])
        aws.client("dynamodb").tag_resource(
            ResourceArn=aws.described("orders", "source")["TableArn"], Tags=[{"Key": "team", "Value": "shop"}]
        )
        aws.advance(20)
        again = Playbook(aws, 2)
        begun = again.start(finished_settings="apply")
        assert [(change.before, change.after) for change in begun.settings] == [({"team": "old"}, {"team": "shop"})]
        settings = again.wait({"orders": begun}).ways["orders"][-1]
        (applied,) = settings.result["drift_applied"]
        assert (applied["before"], applied["after"]) == ({"team": "old"}, {"team": "shop"})
        assert text.applied([{"name": "orders", "settings_applied": [applied]}]) == [
            "orders: tags: {'team': 'old'} -> {'team': 'shop'}"
        ]
        tags = {tag["Key"]: tag["Value"] for tag in copy.list_tags_of_resource(ResourceArn=arn)["Tags"]}
        assert (tags["team"], tags["cost"]) == ("shop", "7")

    @pytest.mark.parametrize("asked", ["report", "apply"])
    def test_what_only_the_copy_has_is_shown_and_stays(self, asked: str) -> None:
        aws = world()
        Playbook(aws).migrate()
        copy = aws.client("dynamodb", "destination")
        copy.update_time_to_live(TableName="orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ends"})
        copy.update_table(TableName="orders", DeletionProtectionEnabled=True)
        aws.advance(20)
        aws.calls.clear()
        again = Playbook(aws, 2)
        begun = again.start(finished_settings=asked)
        drift = {change.what: (change.before, change.after) for change in begun.drift}
        assert drift == {"time_to_live": ("ends", None), "deletion_protection": (True, False)}
        assert (settings_of(begun).state, begun.settings, aws.mutating()) == ("not_needed", (), [])
        lines = text.drifted([{"name": "orders", "settings_drift": settings_of(begun).result["drift"]}])
        assert "orders: time_to_live: ends in the copy, none in the source" in lines


def drift_of(aws: Staged) -> tuple[Change, ...]:
    return Playbook(aws, 2).start(finished_settings="report").drift


class TestApply:
    def test_check_mode_shows_the_changes(self) -> None:
        aws = handed_over()
        playbook = Playbook(aws, 2)
        options = MigrationOptions("orders", bucket=BUCKET, finished_settings="apply")
        foreseen = preview(playbook.source, playbook.destination, options, playbook.store, by_record=True)
        assert {change.what for change in foreseen.changes} >= {"time_to_live", "deletion_protection"}
        assert (settings_of(foreseen).state, aws.mutating()) == ("planned", [])

    def test_settings_that_another_run_has_applied_meanwhile_are_no_change(self) -> None:
        aws = handed_over()
        first, second = Playbook(aws, 2, "one"), Playbook(aws, 3, "two")
        begun = [playbook.start(finished_settings="apply") for playbook in (first, second)]
        assert first.wait({"orders": begun[0]}).changed == {"orders"}
        first.end()
        waited = second.wait({"orders": begun[1]})
        settings = waited.ways["orders"][-1]
        assert (waited.changed, settings.state) == (frozenset(), "not_needed")
        assert [change["what"] for change in settings.result["drift"]] == ["table_class"]
        assert settings.result["drift_applied"] == []

    def test_it_waits_for_the_run_that_holds_the_table_and_for_the_fence(self) -> None:
        aws = handed_over()
        other = Playbook(aws, 2, "two")
        other.run.hold(other.record())
        until = other.run.until
        again = Playbook(aws, 3, "three")
        begun = again.start(finished_settings="apply")
        waited = again.wait({"orders": begun})
        assert waited.ways["orders"][-1].state == "completed"
        assert aws.clock >= until + 910
        assert Playbook(aws, 4).record().run == ""

    def test_a_wait_that_times_out_changes_nothing(self) -> None:
        aws = handed_over()
        before = shown(aws)
        other = Playbook(aws, 2, "two")
        other.run.hold(other.record())
        again = Playbook(aws, 3, "three")
        waited = again.wait({"orders": again.start(finished_settings="apply")}, timeout=40.0)
        assert waited.ways["orders"][-1].timed_out
        assert shown(aws) == before

    def test_a_copy_that_was_made_anew_meanwhile_is_left_alone(self) -> None:
        aws = handed_over()
        again = Playbook(aws, 2)
        begun = again.start(finished_settings="apply")
        aws.drop()
        aws.add_table("orders", 1, "destination", recovery=False)
        before = shown(aws)
        waited = again.wait({"orders": begun})
        assert waited.ways["orders"][-1].state == "failed"
        assert shown(aws) == before
        with pytest.raises(errors.Replaced):
            Playbook(aws, 3).start(finished_settings="apply")

    @pytest.mark.parametrize("asked", ["report", "apply"])
    def test_the_settings_of_a_source_that_was_made_anew_are_shown_only(self, asked: str) -> None:
        aws = handed_over()
        aws.client("dynamodb").update_table(TableName="orders", DeletionProtectionEnabled=False)
        aws.advance(20)
        aws.drop("orders", "source")
        aws.add_table("orders", 1, DeletionProtectionEnabled=True)
        begun = Playbook(aws, 2).start(finished_settings=asked)
        assert "deletion_protection" in [change.what for change in begun.drift]
        assert settings_of(begun).state == "not_needed"

    def test_a_source_that_is_gone_is_no_failure(self) -> None:
        aws = handed_over()
        aws.client("dynamodb").update_table(TableName="orders", DeletionProtectionEnabled=False)
        aws.advance(20)
        aws.drop("orders", "source")
        begun = Playbook(aws, 2).start(finished_settings="report")
        assert (begun.drift, settings_of(begun).state) == ((), "not_needed")
        assert settings_of(begun).result["drift_unknown"]

    def test_a_run_that_dies_meanwhile_is_continued(self) -> None:
        aws = handed_over()
        aws.calls.clear()

        def run(playbook: Playbook) -> Any:
            return playbook.wait({"orders": playbook.start(finished_settings="apply")})

        run(Playbook(aws, 2))
        for number in range(6, len(aws.calls) + 1, 4):
            aws = handed_over()
            first = Playbook(aws, 2)
            killed_at(aws, "after", number, lambda first=first: run(first), Killed)
            first.killed()
            run(Playbook(aws, 3))
            assert shown(aws)[1:3] == ("ends", True)
            assert Playbook(aws, 4).record().state == "done"
            aws.close()
