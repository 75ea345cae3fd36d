# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports: what is looked at before a cost, what is found again, what is started."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export import (
    RECOVERY_TAG,
    ExportOptions,
    RecoveryWindow,
    plan_export,
    start_export,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export_request import (
    may_still_show,
    to_time,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.failures import export_hint
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.filter import filter_attributes
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.recovery import read_recovery
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.importing import (
    ImportOptions,
    plan_import,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import wait_for
from tests.unit.on_lab.in_process import failure
from tests.unit.on_lab.staged import BUCKET, DESTINATION, REGION, SOURCE, Staged

OPTIONS = ExportOptions(table="orders", bucket=BUCKET)
KEY = f"arn:aws:kms:{REGION}:{DESTINATION}:key/staging"


class World:
    def __init__(self, items: int = 3, recovery: bool = True, ago: float = 0.0) -> None:
        self.aws = Staged({"orders": items}, recovery, ago)
        self.source, self.destination = self.aws.account("source"), self.aws.account("destination")

    def anew(self, items: int = 1, **create: Any) -> None:
        """Make the table anew."""
        self.aws.drop("orders", "source")
        self.aws.add_table("orders", items, **create)

    def plan(self, options: ExportOptions = OPTIONS, alone: bool = False):
        return plan_export(self.source, None if alone else self.destination, options, ImportLoader())

    def start(self, options: ExportOptions = OPTIONS, alone: bool = False) -> Job:
        return start_export(self.source, None if alone else self.destination, self.plan(options, alone))

    def wait(self, job: Job, timeout: float = 86400.0) -> Job:
        item = WaitItem("t", self.source, self.destination, job)
        return wait_for([item], timeout, clock=lambda: self.aws.clock, sleep=self.aws.sleep).jobs["t"]


def test_planning_changes_nothing() -> None:
    world = World()
    plan = world.plan()
    assert world.aws.mutating() == []
    assert plan.job.state == "planned"
    assert [change.risk for change in plan.changes] == ["billed"]
    assert plan.obstacle is None


def test_what_is_sent() -> None:
    world = World()
    job = world.start()
    (export,) = world.aws.exports()
    assert export["S3BucketOwner"] == DESTINATION
    assert export["S3Prefix"] == f"tableferry/default/export/{SOURCE}/{REGION}/orders"
    assert export["S3SseAlgorithm"] == "AES256"
    assert export["ExportTime"].microsecond == 0
    assert export["ExportTime"] <= world.aws.now - timedelta(seconds=300)
    assert (job.state, job.arn) == ("running", export["ExportArn"])
    done = world.wait(job)
    assert done.result["item_count"] == 3
    assert done.result["manifest_key"].endswith("/manifest-summary.json")
    assert done.result["data_prefix"] == done.result["manifest_key"].replace("manifest-summary.json", "data/")


@given(st.floats(0, 10_000), st.floats(0, 10_000))
def test_the_newest_second_lies_in_the_window(earliest: float, length: float) -> None:
    begin = datetime.fromtimestamp(earliest, UTC)
    window = RecoveryWindow(True, begin, begin, begin + timedelta(seconds=length))
    if window.newest is not None:
        assert window.newest.microsecond == 0
        assert begin < window.newest <= window.latest
    else:
        assert length < 2


@pytest.mark.parametrize("ahead", [-900.0, 0.0, 900.0])
@pytest.mark.parametrize(("age", "serves"), [(3500.0, True), (3700.0, False)])
def test_how_old_an_export_is_goes_by_the_clock_of_aws(ahead: float, age: float, serves: bool) -> None:
    """The controller's is ``ahead`` of it."""
    world = World(ago=ahead)
    hour = replace(OPTIONS, max_age=3600)
    done = world.wait(world.start(hour))
    world.aws.sleep(datetime.fromisoformat(done.result["end_time"]).timestamp() + age - world.aws.clock)
    assert (world.plan(hour).job.arn == done.arn) is serves
    options = ImportOptions("orders", bucket=BUCKET, export=done, max_age=3600)
    if serves:
        assert plan_import(world.source, world.destination, options).job.state == "planned"
    else:
        with pytest.raises(errors.ExportFailed, match="export_max_age"):
            plan_import(world.source, world.destination, options)


@pytest.mark.parametrize("ahead", [-900.0, 0.0, 900.0])
@pytest.mark.parametrize(("age", "again"), [(2900.0, True), (3700.0, False)])
def test_how_old_the_instant_of_an_intended_export_is_goes_by_the_clock_of_aws(
    ahead: float, age: float, again: bool
) -> None:
    world = World(ago=ahead)
    hour = replace(OPTIONS, max_age=3600)
    intended = world.plan(hour).job
    world.aws.sleep(to_time(intended.request["call"]["ExportTime"]).timestamp() + age - world.aws.clock)
    assert may_still_show(intended, read_recovery(world.source, "orders"), hour) is again


def test_a_running_export_is_found() -> None:
    world = World()
    first = world.start()
    plan = world.plan()
    assert (plan.job.arn, plan.job.state, plan.changes) == (first.arn, "running", [])
    assert world.start().arn == first.arn
    assert len(world.aws.jobs("export")) == 1


def test_a_completed_export_serves_until_it_is_old() -> None:
    world = World()
    first = world.wait(world.start())
    plan = world.plan()
    assert (plan.job.state, plan.job.arn, plan.changes) == ("completed", first.arn, [])
    old = world.start(replace(OPTIONS, max_age=-(10**6)))
    assert old.arn != first.arn
    assert old.attempt == 1


@pytest.mark.parametrize(
    "other",
    [{"export_format": "ION"}, {"prefix": "mine/elsewhere"}, {"export_time": datetime.now(UTC) - timedelta(hours=3)}],
)
def test_another_export_does_not_serve(other: dict[str, Any]) -> None:
    world = World()
    first = world.start()
    second = world.start(replace(OPTIONS, **other))
    assert first.arn != second.arn
    assert [export["ClientToken"] for export in world.aws.exports()] == [
        job.request["call"]["ClientToken"] for job in (first, second)
    ]


def test_a_new_table_of_the_same_name_is_exported_anew() -> None:
    world = World()
    first = world.wait(world.start())
    world.anew()
    assert world.plan().job.state == "planned"
    assert world.start().arn != first.arn


def test_after_a_failure_comes_a_new_attempt() -> None:
    world = World()
    world.aws.fail_next("ExportTableToPointInTime", "S3AccessDenied", "Access Denied (Service: Amazon S3)")
    failed = world.wait(world.start())
    assert (failed.state, failed.failure_code) == ("failed", "S3AccessDenied")
    again = world.start()
    assert again.attempt == 1
    assert world.wait(again).state == "completed"
    tokens = {export["ClientToken"] for export in world.aws.exports()}
    assert len(tokens) == 2


def test_the_export_alone_finds_its_own_by_the_token() -> None:
    """No destination, no bucket of its own: no ledger can be written."""
    world = World()
    options = replace(OPTIONS, bucket_owner=DESTINATION)
    first = world.start(options, alone=True)
    assert not any("/ledger/" in key for key in world.aws.objects())
    call = {name: world.aws.exports()[0][name] for name in ("TableArn", "S3Bucket", "S3BucketOwner", "S3Prefix")}
    world.aws.client("dynamodb", "source").export_table_to_point_in_time(**call, ClientToken="somebody's")
    assert world.plan(options, alone=True).job.arn == first.arn
    assert world.plan(replace(options, export_format="ION"), alone=True).job.state == "planned"


def test_point_in_time_recovery_off_is_refused() -> None:
    world = World(recovery=False)
    with pytest.raises(errors.PointInTimeRecoveryDisabled):
        world.plan()


def test_point_in_time_recovery_is_turned_on_and_waited_for() -> None:
    world = World(recovery=False)
    options = replace(OPTIONS, enable_point_in_time_recovery=True, point_in_time_recovery_days=7)
    plan = world.plan(options)
    assert [change.what.split(" of ")[0] for change in plan.changes] == [
        f"tag {RECOVERY_TAG}",
        "point-in-time recovery",
        "export",
    ]
    job = world.start(options)
    assert (job.state, job.pending_reason) == ("pending", "point_in_time_recovery")
    world.aws.sleep(2)  # tags show a little later (measured)
    assert world.aws.tags("orders") == {RECOVERY_TAG: "default"}
    done = world.wait(job)
    assert done.state == "completed"
    assert world.aws.exports()[0]["ExportTime"] > world.aws.recovery("orders")["EarliestRestorableDateTime"]


def test_point_in_time_recovery_not_ready_in_time() -> None:
    world = World(recovery=False)
    world.aws.may_not("source", "dynamodb:Scan")  # so that it is not exported at once
    options = replace(OPTIONS, enable_point_in_time_recovery=True, point_in_time_recovery_wait=60)
    job = world.wait(world.start(options))
    assert (job.state, job.failure_code) == ("failed", "PointInTimeRecoveryNotReady")
    assert world.aws.jobs("export") == []
    assert world.aws.clock - world.aws.began < 90


def test_backups_that_are_being_enabled_are_tried_again() -> None:
    world = World(recovery=False)

    def not_yet(moment: str, operation: str, number: int) -> None:
        if operation == "UpdateContinuousBackups" and world.aws.clock - world.aws.began < 10:
            raise failure("ContinuousBackupsUnavailableException", "Backups are being enabled for the table")

    world.aws.interrupt = not_yet
    job = world.start(replace(OPTIONS, enable_point_in_time_recovery=True))
    assert world.wait(job).state == "completed"


def test_an_empty_table() -> None:
    world = World(items=0)
    done = world.wait(world.start())
    assert (done.state, done.result["known_empty"]) == ("completed", True)


def test_an_empty_export_of_a_full_table_is_refused() -> None:
    world = World(items=0)
    job = world.start()
    world.aws.write("orders", 5)
    done = world.wait(job)
    assert (done.state, done.failure_code) == ("failed", "ExportFailed")


def test_a_policy_that_does_not_let_us_write_costs_nothing() -> None:
    world = World()

    def deny(moment: str, operation: str, number: int) -> None:
        if operation == "PutObject":
            raise failure("AccessDenied", "Access Denied", status=403)

    world.aws.interrupt = deny
    with pytest.raises(errors.StagingBucketUnusable):
        world.start()
    assert world.aws.jobs("export") == []


def test_a_missing_bucket_is_an_obstacle_to_the_start_only() -> None:
    world = World()
    world.aws.remove_bucket()
    plan = world.plan()
    assert isinstance(plan.obstacle, errors.StagingBucketUnusable)
    assert plan.changes
    with pytest.raises(errors.StagingBucketUnusable, match="destination_account"):
        world.start()
    assert world.aws.mutating() == []


def test_a_bucket_of_somebody_else_is_refused() -> None:
    world = World()
    world.aws.remove_bucket()
    world.aws.make_bucket("management")
    with pytest.raises(errors.StagingBucketUnusable):
        world.plan()


def test_a_foreign_destination_table_costs_nothing() -> None:
    world = World()
    world.aws.add_table("orders", side="destination")
    with pytest.raises(errors.DestinationExists) as refused:
        world.plan()
    assert refused.value.status == "refused"
    assert world.plan(replace(OPTIONS, destination_table="copy")).job.state == "planned"


def test_a_table_with_our_tag_is_in_a_state_that_nobody_knows() -> None:
    world = World()
    world.aws.add_table("orders", side="destination")
    world.aws.tag("orders", "tableferry:migration", "default")
    with pytest.raises(errors.StateUnknown):
        world.plan()
    assert world.aws.mutating() == []
    with pytest.raises(errors.DestinationExists):
        world.plan(replace(OPTIONS, migration_id="another"))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"sse_algorithm": "KMS"}, errors.KeyNotUsable),
        ({"sse_algorithm": "KMS", "kms_key_arn": "alias/staging"}, errors.KeyNotUsable),
        ({"sse_algorithm": "KMS", "kms_key_arn": KEY.replace(REGION, "us-east-1")}, errors.KeyNotUsable),
        ({"sse_algorithm": "KMS", "kms_key_arn": f"{KEY}-missing"}, errors.KeyNotUsable),
        ({"kms_key_arn": KEY}, errors.InvalidInput),
        ({"export_time": datetime(2020, 1, 1, tzinfo=UTC)}, errors.InvalidInput),
        ({"export_time": datetime.now(UTC) + timedelta(hours=1)}, errors.InvalidInput),
        ({"migration_id": "a/b"}, errors.InvalidInput),
        ({"export_type": "INCREMENTAL_EXPORT"}, errors.InvalidInput),
    ],
)
def test_refused_before_any_cost(options: dict[str, Any], error: type[Exception]) -> None:
    world = World()
    with pytest.raises(error):
        world.plan(replace(OPTIONS, **options))
    assert world.aws.mutating() == []


def test_local_secondary_indexes_are_refused_before_any_cost() -> None:
    world = World()
    key = {"AttributeName": "at", "AttributeType": "S"}
    schema = [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}]
    world.anew(
        items=0,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}, key],
        KeySchema=schema,
        LocalSecondaryIndexes=[{"IndexName": "local", "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}}],
    )
    with pytest.raises(errors.LocalSecondaryIndexes):
        world.plan()
    assert world.aws.mutating() == []


def encrypted(world: World) -> str:
    """The ARN of a key that the table of ``world`` got."""
    key = world.aws.key("source")
    world.anew(SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key})
    return key


def test_keys_that_cannot_be_used_are_refused_before_any_cost() -> None:
    world = World()
    key, there = encrypted(world), world.aws.key("destination")
    disabled = world.aws.key("destination", usable=False)
    managed = world.aws.client("kms", "destination").describe_key(KeyId="alias/aws/dynamodb")["KeyMetadata"]["Arn"]
    with pytest.raises(errors.MissingKeyMapping):
        world.plan()
    with pytest.raises(errors.KeyNotUsable):
        world.plan(replace(OPTIONS, kms_key_map={key: disabled}))
    with pytest.raises(errors.KeyNotUsable):
        world.plan(replace(OPTIONS, kms_key_map={key: there}, sse_algorithm="KMS", kms_key_arn=managed))
    world.aws.client("kms", "source").disable_key(KeyId=key)
    with pytest.raises(errors.KeyNotUsable):
        world.plan(replace(OPTIONS, kms_key_map={key: there}))
    assert world.aws.mutating() == []


def test_another_tables_key_is_no_reason_to_refuse() -> None:
    world = World()
    key, there = encrypted(world), world.aws.key("destination")
    other, disabled = world.aws.key("source"), world.aws.key("destination", usable=False)
    plan = world.plan(replace(OPTIONS, kms_key_map={key: there, other: disabled}))
    assert plan.job.state == "planned"


def test_a_missing_table_is_refused() -> None:
    with pytest.raises(errors.MissingTable):
        World().plan(replace(OPTIONS, table="nowhere"))


def test_the_staging_key_is_sent_in_full() -> None:
    world = World()
    key = world.aws.key("destination", shared=True)
    world.start(replace(OPTIONS, sse_algorithm="KMS", kms_key_arn=key))
    assert (world.aws.exports()[0]["S3SseAlgorithm"], world.aws.exports()[0]["S3SseKmsKeyId"]) == ("KMS", key)


def test_incremental_windows() -> None:
    world = World()
    now = datetime.now(UTC).replace(microsecond=999)
    options = replace(OPTIONS, export_type="INCREMENTAL_EXPORT", from_time=now - timedelta(hours=2))
    plan = world.plan(options)
    window = plan.job.request["call"]["IncrementalExportSpecification"]
    assert "ExportTime" not in plan.job.request["call"]
    begin, end = (datetime.fromisoformat(window[name]) for name in ("ExportFromTime", "ExportToTime"))
    assert timedelta(minutes=110) < end - begin < timedelta(minutes=120)
    for length in (timedelta(minutes=14), timedelta(hours=25), timedelta(hours=-1)):
        with pytest.raises(errors.InvalidInput):
            world.plan(replace(options, to_time=now - timedelta(hours=2) + length))
    long = world.plan(replace(options, from_time=now - timedelta(hours=40)))
    window = long.job.request["call"]["IncrementalExportSpecification"]
    begin, end = (datetime.fromisoformat(window[name]) for name in ("ExportFromTime", "ExportToTime"))
    assert end - begin == timedelta(hours=24)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)), st.integers(-12, 12))
def test_times_are_whole_seconds_of_utc(time: datetime, offset: int) -> None:
    from ansible_collections.tableferry.aws.plugins.module_utils.core.exports import export_request

    text = export_request.to_text(time.replace(tzinfo=timezone(timedelta(hours=offset))))
    assert text.endswith("Z")
    back = export_request.to_time(text)
    assert back.utcoffset() == timedelta(0)
    assert timedelta(0) <= time.replace(tzinfo=timezone(timedelta(hours=offset))) - back < timedelta(seconds=1)
    assert export_request.to_call({"ExportTime": text})["ExportTime"] == back


@pytest.mark.parametrize(
    ("expression", "attributes"),
    [
        ("id = :v", {"id"}),
        ("#i = :id AND begins_with(sk, :p)", {"id", "sk"}),
        ("NOT (a.b[0].c BETWEEN :x AND :y) OR size(#d.#e) > :z", {"a", "data"}),
        ("attribute_exists(x)", {"x"}),
    ],
)
def test_which_attributes_a_filter_looks_at(expression: str, attributes: set[str]) -> None:
    assert filter_attributes(expression, {"#i": "id", "#d": "data", "#e": "e"}) == attributes


@pytest.mark.parametrize(
    "filter_",
    [
        {},
        {"Where": "x"},
        {"FilterExpression": "age > :a"},
        {"FilterExpression": "id = :a", "ProjectionExpression": "id"},
        {"FilterExpression": "id = :a", "KeyConditionExpression": "id = :a"},
    ],
)
def test_filters_that_lose_data_are_refused(filter_: dict[str, str]) -> None:
    with pytest.raises(errors.FilterNotAllowed):
        World().plan(replace(OPTIONS, filter=filter_))


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        ("S3NoSuchBucket", "The specified bucket does not exist", "Create the staging bucket"),
        ("S3AccessDenied", "Access Denied (Service: Amazon S3", "s3:PutObjectAcl"),
        ("S3AccessDenied", "not authorized to perform: kms:GenerateDataKey", "kms:GenerateDataKey"),
        ("KmsNotFoundException", "Key does not exist", "full ARN"),
        ("Brand.New", "what", "starts a new export"),
    ],
)
def test_hints(code: str, message: str, words: str) -> None:
    assert words in export_hint(code, message)
