# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Imports: nothing is overwritten, nothing is imported twice, an empty prefix is no success."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.destination import is_ours
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export import (
    ExportOptions,
    plan_export,
    start_export,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.failures import export_failed
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.failures import (
    parse_log_event,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.importing import (
    ImportOptions,
    explain_failure,
    plan_import,
    start_import,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import wait_for
from ansible_collections.tableferry.aws.plugins.module_utils.core.route import Route
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from tests.unit.on_lab.in_process import failure
from tests.unit.on_lab.staged import BUCKET, DATA, DESTINATION, SOURCE, Staged

pytestmark = pytest.mark.usefixtures("at_once")

FORGOTTEN_SECONDS = 91 * 86400.0  # AWS forgets an import after 90 days


class World:
    """A table whose export has completed."""

    def __init__(self, items: int = 3) -> None:
        self.aws = Staged({"orders": items})
        self.source, self.destination = self.aws.account("source"), self.aws.account("destination")
        self.export = self.wait(self.new_export())

    def new_export(self) -> Job:
        options = ExportOptions(table="orders", bucket=BUCKET)
        return start_export(
            self.source, self.destination, plan_export(self.source, self.destination, options, ImportLoader())
        )

    def options(self, **more: Any) -> ImportOptions:
        return ImportOptions(**{"table": "orders", "bucket": BUCKET, "export": self.export, **more})

    def plan(self, **more: Any):
        return plan_import(self.source, self.destination, self.options(**more))

    def start(self, **more: Any) -> Job:
        return start_import(self.destination, self.plan(**more))

    def wait(self, job: Job) -> Job:
        item = WaitItem("t", self.source, self.destination, job)
        return wait_for([item], clock=lambda: self.aws.clock, sleep=self.aws.sleep).jobs["t"]

    def drop(self) -> None:
        self.aws.drop()


def test_planning_changes_nothing() -> None:
    world = World()
    world.aws.calls.clear()
    plan = world.plan()
    assert (plan.job.state, [change.risk for change in plan.changes]) == ("planned", ["billed"])
    assert world.aws.mutating() == []


def test_what_is_sent() -> None:
    world = World()
    done = world.wait(world.start())
    (call,) = world.aws.imports()
    assert call["S3BucketSource"] == {
        "S3BucketOwner": DESTINATION,
        "S3Bucket": BUCKET,
        "S3KeyPrefix": world.export.result["data_prefix"],
    }
    assert (call["InputFormat"], call["InputCompressionType"]) == ("DYNAMODB_JSON", "GZIP")
    assert call["TableCreationParameters"]["TableName"] == "orders"
    assert (done.state, done.result["imported_items"], done.result["errors"]) == ("completed", 3, 0)
    assert done.request["export"]["item_count"] == 3


def unchecked(world: World) -> Job:
    """The export as the start verb finds it in a later run."""
    job = plan_export(world.source, world.destination, ExportOptions(table="orders", bucket=BUCKET), ImportLoader()).job
    assert "checked" not in job.result
    return job


def reads(world: World) -> int:
    return world.aws.count("GetObject")


def test_a_data_object_is_read_before_the_start() -> None:
    world = World()
    found = unchecked(world)
    world.plan(export=found)
    world.aws.may_not("destination", "s3:GetObject", resource=DATA)
    with pytest.raises(errors.StagingBucketUnusable):
        world.plan(export=found)
    assert world.aws.jobs("import") == []


def test_what_the_waiter_read_is_not_read_again() -> None:
    world = World()
    checked = world.export.result["checked"]
    assert (checked["item_count"], checked["objects"]) == (3, 4)  # one of them empty (measured IMPORT-020)
    assert checked["data_prefix"] == world.export.result["data_prefix"]
    assert json.loads(json.dumps(world.export.to_dict())) == world.export.to_dict()
    world.aws.calls.clear()
    told = world.plan()
    assert reads(world) == 0
    found = world.plan(export=unchecked(world))
    assert reads(world) > 0
    assert found == told


def test_the_definition_of_the_exported_table_is_not_read_again() -> None:
    world = World()
    told = TableDefinition.read(world.source, "orders")
    expected = world.plan().job.request["call"]["TableCreationParameters"]
    world.aws.calls.clear()
    assert world.plan(definition=told).job.request["call"]["TableCreationParameters"] == expected
    assert (SOURCE, "DescribeTable") not in world.aws.calls


@pytest.mark.parametrize(("table_id", "billing_mode"), [("another", "PAY_PER_REQUEST"), ("", "PROVISIONED")])
def test_another_tables_definition_is_read_anew(table_id: str, billing_mode: str) -> None:
    """The copy is described by the table as it is; without an id the definition is written by hand, and meant."""
    world = World()
    told = replace(TableDefinition.read(world.source, "orders"), table_id=table_id, billing_mode="PROVISIONED")
    call = world.plan(definition=told).job.request["call"]
    assert call["TableCreationParameters"]["BillingMode"] == billing_mode


def test_the_table_of_a_known_import_is_ours_without_a_call() -> None:
    world = World()
    done = world.wait(world.start())
    table = TableDefinition.read(world.destination, "orders")
    route = Route.from_dict(done.request["route"])
    world.aws.calls.clear()
    assert is_ours(world.destination, table, route, done.result["table_id"])
    assert world.aws.calls == []
    world.aws.sleep(FORGOTTEN_SECONDS)
    assert not is_ours(world.destination, table, route, "another")


@pytest.mark.parametrize(
    "other",
    [{"key": "another/manifest-summary.json"}, {"bucket": "another"}, {"account_id": SOURCE}, {"table_id": None}],
)
def test_a_look_at_something_else_is_not_trusted(other: dict[str, Any]) -> None:
    world = World()
    checked = {**world.export.result["checked"], **other}
    world.aws.calls.clear()
    world.plan(export=replace(world.export, result={**world.export.result, "checked": checked}))
    assert reads(world) > 0


def test_an_export_that_cannot_be_read_fails_in_the_wait_and_is_kept() -> None:
    world = World()
    world.aws.drop("orders", "source")
    world.aws.remove(*world.aws.objects())
    world.aws.add_table("orders", 3)
    job = world.new_export()
    world.aws.may_not("destination", "s3:GetObject", resource=DATA)
    failed = world.wait(job)
    assert (failed.state, failed.failure_code) == ("failed", "StagingBucketUnusable")
    with pytest.raises(errors.StagingBucketUnusable) as late:
        world.plan(export=unchecked(world))
    with pytest.raises(errors.StagingBucketUnusable) as early:
        world.plan(export=failed)
    assert (early.value.cause, early.value.next_step) == (late.value.cause, late.value.next_step)
    world.aws.may_again("destination")
    assert unchecked(world).arn == job.arn
    assert world.plan(export=unchecked(world)).job.state == "planned"


def test_a_second_run_needs_nothing() -> None:
    world = World()
    done = world.wait(world.start())
    plan = world.plan()
    assert (plan.job.state, plan.changes) == ("not_needed", [])
    assert plan.job.result["imported_items"] == done.result["imported_items"] == 3
    assert world.start().arn == done.arn
    assert len(world.aws.jobs("import")) == 1


def test_a_running_import_is_found() -> None:
    world = World()
    first = world.start()
    assert (world.plan().job.state, world.plan().job.arn, world.plan().changes) == ("running", first.arn, [])
    assert world.start().arn == first.arn


def test_a_table_deleted_after_its_import_is_imported_again() -> None:
    world = World()
    first = world.wait(world.start())
    world.drop()
    second = world.start()
    assert second.attempt == 1
    assert second.arn != first.arn
    assert world.wait(second).state == "completed"


def test_a_foreign_table_is_never_touched() -> None:
    world = World()
    world.aws.add_table("orders", 9, "destination")
    for replace_failed in (False, True):
        with pytest.raises(errors.DestinationExists):
            world.plan(replace_failed=replace_failed)


def test_a_table_made_anew_under_our_name_is_foreign() -> None:
    world = World()
    world.wait(world.start())
    world.drop()
    world.aws.add_table("orders", 9, "destination")
    with pytest.raises(errors.DestinationExists):
        world.plan()


def test_tags_alone_do_not_say_that_a_table_is_complete() -> None:
    """AWS forgets an import after 90 days."""
    world = World()
    world.wait(world.start())
    world.aws.sleep(FORGOTTEN_SECONDS)
    with pytest.raises(errors.DestinationExists):
        world.plan()
    world.aws.tag("orders", "tableferry:migration", "default")
    with pytest.raises(errors.StateUnknown):
        world.plan()


def failed_import(world: World) -> Job:
    world.aws.fail_next("ImportTable", "ItemValidationError", "Some of the items failed validation checks")
    failed = world.wait(world.start())
    assert failed.state == "failed"
    return failed


def test_a_partial_table_is_kept() -> None:
    world = World()
    failed_import(world)
    with pytest.raises(errors.ImportFailed, match=r"replace_failed: true"):
        world.plan()
    assert "DeleteTable" not in world.aws.mutating()


def test_a_partial_table_is_replaced_when_asked() -> None:
    world = World()
    failed = failed_import(world)
    plan = world.plan(replace_failed=True)
    assert [change.risk for change in plan.changes] == ["destructive", "billed"]
    job = start_import(world.destination, plan)
    assert (job.state, job.attempt) == ("pending", 1)
    done = world.wait(job)
    assert (done.state, done.result["table_id"] != failed.result["table_id"]) == ("completed", True)
    assert world.aws.count("DeleteTable") == 1


@pytest.mark.parametrize("words", ["Table tags are being updated: orders", "Table: orders is being updated."])
def test_b4_a_partial_table_that_aws_changes_is_deleted_a_moment_later(words: str) -> None:
    world = World()
    failed_import(world)
    tries: list[float] = []

    def refuse(moment: str, operation: str, number: int) -> None:
        if (moment, operation) == ("before", "DeleteTable"):
            tries.append(world.aws.clock)
            if len(tries) < 3:
                raise failure("ResourceInUseException", words, operation)

    world.aws.interrupt = refuse
    assert world.wait(world.start(replace_failed=True)).state == "completed"
    assert len(tries) == 3


def test_only_the_failed_imports_own_table_is_replaced() -> None:
    world = World()
    failed_import(world)
    plan = world.plan(replace_failed=True)
    world.drop()
    world.aws.add_table("orders", 0, "destination", recovery=False)
    with pytest.raises(errors.DestinationExists):
        start_import(world.destination, plan)
    assert world.aws.count("DeleteTable") == 0


def test_a_replacement_killed_half_way_needs_the_option_again() -> None:
    world = World()
    failed_import(world)
    plan = world.plan(replace_failed=True)

    def die(moment: str, operation: str, number: int) -> None:
        if operation == "DeleteTable":
            raise failure("ServiceUnavailable", status=503)

    world.aws.interrupt = die
    assert start_import(world.destination, plan).state == "pending"
    world.aws.interrupt = lambda *_call: None
    with pytest.raises(errors.ImportFailed):
        world.plan()
    assert world.wait(world.start(replace_failed=True)).state == "completed"
    assert len(world.aws.jobs("import")) == 2


def test_a_failure_that_left_no_table_is_tried_again() -> None:
    world = World()
    failed_import(world)
    world.drop()
    job = world.start()
    assert job.attempt == 1
    assert world.wait(job).state == "completed"


def test_the_loser_of_a_race_says_so() -> None:
    """AWS accepts several imports for one name; the loser hears late (measured 1.8)."""
    world = World()
    plan = world.plan()
    rival = {**plan.job.request["call"], "ClientToken": "rival"}
    rival["S3BucketSource"] = {"S3Bucket": BUCKET, "S3KeyPrefix": "elsewhere/"}
    world.aws.client("dynamodb", "destination").import_table(**rival)
    world.aws.sleep(27)  # the rival's table is there before ours could win
    job = world.wait(start_import(world.destination, plan))
    assert (job.state, job.failure_code) == ("failed", "TableAlreadyExists")
    world.aws.sleep(100)  # until the rival's table is ACTIVE and shows its tags
    with pytest.raises(errors.DestinationExists):
        world.plan()


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda world: world.drop(), "does not exist"),
        (lambda world: (world.drop(), world.aws.add_table("orders", 1, "destination")), "created again"),
    ],
)
def test_completed_alone_proves_nothing(break_it, words: str) -> None:
    world = World()
    job = world.start()

    def when_done(moment: str, operation: str, number: int) -> None:
        if (
            moment == "after"
            and operation == "DescribeImport"
            and world.aws.imports()[0]["ImportStatus"] == "COMPLETED"
        ):
            world.aws.interrupt = lambda *_call: None
            break_it(world)

    world.aws.interrupt = when_done
    done = world.wait(job)
    assert (done.state, done.failure_code) == ("failed", "ImportFailed")
    assert words in done.failure_message


def test_a9_an_import_used_alone_fails_where_it_counts_fewer_items_than_the_export() -> None:
    world = World()

    def lose(operation: str, answer: dict[str, Any]) -> None:
        described = answer.get("ImportTableDescription", {})
        if described.get("ImportStatus") == "COMPLETED":
            described["ImportedItemCount"] = 1

    world.aws.edit = lose
    done = world.wait(world.start())
    assert (done.state, done.failure_code) == ("failed", "CountMismatch")
    assert "The export holds 3 items, the import counts 1." in done.failure_message


def test_one_name_one_import() -> None:
    world = World()
    world.aws.add_table("other", 2)
    options = ExportOptions(table="other", bucket=BUCKET, destination_table="orders")
    other = world.wait(
        start_export(
            world.source, world.destination, plan_export(world.source, world.destination, options, ImportLoader())
        )
    )
    world.start()
    with pytest.raises(errors.ImportLocked) as refused:
        plan_import(world.source, world.destination, ImportOptions("orders", BUCKET, "other", export=other))
    assert refused.value.status == "refused"
    assert len(world.aws.jobs("import")) == 1


def test_an_import_that_has_ended_keeps_no_name() -> None:
    world = World()
    failed_import(world)
    world.drop()
    world.aws.add_table("other", 2)
    options = ExportOptions(table="other", bucket=BUCKET, destination_table="orders")
    other = world.wait(
        start_export(
            world.source, world.destination, plan_export(world.source, world.destination, options, ImportLoader())
        )
    )
    rival = plan_import(world.source, world.destination, ImportOptions("orders", BUCKET, "other", export=other))
    assert world.wait(start_import(world.destination, rival)).state == "completed"


def test_an_export_without_items_under_its_prefix() -> None:
    world = World()
    world.aws.remove(*world.aws.objects("/data/"))
    with pytest.raises(errors.EmptyPrefix):
        world.plan(export=unchecked(world))


@pytest.mark.parametrize("cut", ["data/", "/", ""])
def test_only_the_data_prefix_of_an_export_is_imported(cut: str) -> None:
    world = World()
    prefix = world.export.result["data_prefix"].removesuffix(cut) if cut else "unknown/AWSDynamoDB/1/data/"
    with pytest.raises((errors.PrefixNotData, errors.StagingBucketUnusable)):
        world.plan(export=None, prefix=prefix)


def test_a_prefix_alone_is_enough() -> None:
    world = World()
    job = world.start(export=None, prefix=world.export.result["data_prefix"])
    assert world.wait(job).state == "completed"
    assert job.request["source"]["table_arn"].endswith("/orders")


@pytest.mark.parametrize("wrong", [{"input_format": "ION"}, {"compression": "NONE"}])
def test_what_would_fail_late_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(errors.InvalidInput):
        World().plan(**wrong)


@pytest.mark.parametrize(
    ("state", "error"),
    [("planned", errors.ExportFailed), ("pending", errors.JobTimeout), ("running", errors.JobTimeout)],
)
def test_without_an_export_there_is_only_a_plan(state: str, error: type[Exception]) -> None:
    world = World()
    export = replace(world.export, state=state, result={})
    plan = world.plan(export=export)
    assert plan.changes
    assert plan.obstacle is None if state == "planned" else isinstance(plan.obstacle, error)
    with pytest.raises(error):
        world.start(export=export)


def test_an_old_export_is_not_used() -> None:
    world = World()
    with pytest.raises(errors.ExportFailed, match="export_max_age"):
        world.plan(max_age=-(10**6))
    prefix = world.export.result["data_prefix"]
    assert world.plan(export=None, prefix=prefix, max_age=-(10**6)).job.state == "planned"


@pytest.mark.parametrize("alone", [False, True])
def test_another_tables_key_is_no_reason_to_refuse(alone: bool) -> None:
    world = World()
    key, other = world.aws.key("source"), world.aws.key("source")
    there, disabled = world.aws.key("destination"), world.aws.key("destination", usable=False)
    world.aws.client("dynamodb", "source").update_table(
        TableName="orders", SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
    )
    world.aws.sleep(60)
    options = world.options(
        kms_key_map={key: there, other: disabled}, definition=TableDefinition.read(world.source, "orders")
    )
    plan = plan_import(None if alone else world.source, world.destination, options)
    assert plan.job.request["call"]["TableCreationParameters"]["SSESpecification"]["KMSMasterKeyId"] == there


@pytest.mark.parametrize("bucket", [True, False])
def test_the_first_plan_shows_the_table(bucket: bool) -> None:
    world = World()
    expected = world.plan().changes[0].after["table"]
    if not bucket:
        world.aws.remove_bucket()
    plan = world.plan(export=replace(world.export, state="planned", arn="", result={}))
    assert (plan.job.state, plan.changes[0].after["table"]) == ("planned", expected)
    assert expected["TableName"] == "orders"


def test_a_failed_export_is_explained() -> None:
    world = World()
    export = replace(
        world.export, state="failed", failure=export_failed(world.export.arn, "S3NoSuchBucket", "no").to_failure()
    )
    with pytest.raises(errors.ExportFailed, match="Create the staging bucket"):
        world.plan(export=export)


def test_a_missing_bucket_is_an_obstacle_to_the_start_only() -> None:
    world = World()
    world.aws.remove_bucket()
    assert isinstance(world.plan().obstacle, errors.StagingBucketUnusable)


EVENT = {
    "itemS3Pointer": {"bucket": "b", "key": "x/data/1.json.gz", "itemIndex": 4},
    "importArn": "arn",
    "errorMessages": ["Unexpected token. Remainder of the file will not be processed."],
}


def test_a_failure_is_explained_from_the_log() -> None:
    world = World()
    failed = failed_import(world)
    world.aws.log(f"{failed.arn.rpartition('/')[2]}/error", [json.dumps(EVENT)] * 3)
    error = explain_failure(world.destination, failed)
    assert "s3://b/x/data/1.json.gz: Unexpected token" in error.cause
    assert "3 such entries" in error.cause
    assert "compression" in error.next_step
    assert "replace_failed" in error.next_step
    assert error.details["log"][0]["item"] == 4


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Expected 'Item' top level container. Remainder of the file will not be processed.", "data/ folder"),
        ("One of the required keys was not given a value", "table's key"),
        ("Brand new", "Fix the cause AWS reports"),
    ],
)
def test_known_messages_have_hints(message: str, words: str) -> None:
    world = World()
    failed = failed_import(world)
    world.aws.log(f"{failed.arn.rpartition('/')[2]}/error", [json.dumps({**EVENT, "errorMessages": [message]})])
    assert words in explain_failure(world.destination, failed).next_step


def test_a_failure_that_0_2_0_stored_is_explained() -> None:
    world = World()
    failed = failed_import(world)
    stored = {name: value for name, value in failed.to_dict().items() if name != "failure"}
    assert stored["failure_code"]
    again, now = (explain_failure(world.destination, job) for job in (Job.from_dict(stored), failed))
    assert (type(again), again.cause, again.next_step) == (errors.ImportFailed, now.cause, now.next_step)


def test_an_import_that_could_not_be_followed_is_explained_by_that() -> None:
    """Not by a log that has nothing to say about it."""
    world = World()
    job = world.start()

    def deny(moment: str, operation: str, number: int) -> None:
        if operation == "DescribeImport":
            raise failure("AccessDeniedException", "not authorized to perform: dynamodb:DescribeImport")

    world.aws.interrupt = deny
    error = explain_failure(world.destination, world.wait(job))
    assert isinstance(error, errors.AccessDenied)
    assert "dynamodb:DescribeImport" in error.cause
    assert "may still be running" in error.cause
    assert error.next_step.endswith("The next run finds the import.")


def test_a_log_that_cannot_be_read_is_said() -> None:
    world = World()
    failed = failed_import(world)

    def deny(moment: str, operation: str, number: int) -> None:
        if operation == "GetLogEvents":
            raise failure("AccessDeniedException")

    world.aws.interrupt = deny
    assert "could not be read (AccessDeniedException)" in explain_failure(world.destination, failed).cause


@given(st.text())
def test_any_log_message_is_shown(text: str) -> None:
    found = parse_log_event(text)
    assert found["messages"] == [text] or text.lstrip().startswith("{")


@pytest.mark.parametrize("staged", [True, False])
def test_a_later_run_has_the_counts_of_the_import_and_of_what_is_still_staged(staged: bool) -> None:
    world = World()
    world.wait(world.start())
    if not staged:
        world.aws.remove(*world.aws.objects())
    plan = world.plan()
    assert (plan.job.state, plan.job.result["imported_items"]) == ("not_needed", 3)
    assert plan.job.request["export"].get("item_count") == (3 if staged else None)


def test_what_0_2_0_left_in_the_bucket_is_ignored() -> None:
    world = World()
    world.aws.put("tableferry/default/ledger/111111111111/eu-west-1/orders/import-0.json", b"no job")
    world.aws.put("tableferry/locks/import/222222222222/eu-west-1/orders.json", b"no lock")
    assert world.wait(world.start()).state == "completed"
    assert world.plan().job.state == "not_needed"
    assert len(world.aws.objects("/ledger/")) == len(world.aws.objects("/locks/")) == 1
