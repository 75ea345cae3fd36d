# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every step gives the same items, byte for byte, whichever way the data takes.

Each step alone goes through the code of a task without Spark; all together they run as a job of every engine's release.
"""

from __future__ import annotations

import json
import random
from base64 import b64encode
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.manifest import read_manifest
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.staging import StagingBucket
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyAttribute
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Client, Endpoint
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyOptions, copy_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.exported import ExportedFile
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import ItemTable, find_table
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.compiled import compiled
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Definition
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import KeySchema, TableSchemas
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.tally import Tally
from ansible_collections.tableferry.aws.plugins.module_utils.spark.job import begin, write_share
from ansible_collections.tableferry.aws.plugins.module_utils.spark.package import Package
from ansible_collections.tableferry.aws.plugins.module_utils.spark.plan import JobPlan
from demo.tables import on_demand
from lab.dynamodb.values import canonical_item
from lab.spark.engine import ENGINES, python
from tests.unit.core.items.strategies import to_bytes
from tests.unit.on_lab.conftest import BUCKET, Crossing
from tests.unit.on_lab.spark.jobs import PYTHON_3_11, GlueRun, added_up, emr_run, planned, results

Item = dict[str, Any]
SOURCE = "of-all-types"
SCHEMAS = TableSchemas(KeySchema((KeyAttribute("id", "S"),)))
EXPORTED = 1_795_932_000.0
FUNCTIONS = """
def several(item):
    if "twice" in item:
        return [item, {**item, "id": {"S": item["id"]["S"] + "-again"}}]
    return None if "7" in item["id"]["S"][-3:] else item
"""
STEPS: dict[str, Item] = {
    "keep_if": {"keep_if": "attribute_not_exists(#status) OR #status <> :gone"},
    "drop_expired": {"drop_expired": "expires"},
    "drop": {"drop": ["debug", "meta.trace"]},
    "keep": {"keep": ["price", "made", "mail", "uid", "meta", "tags", "kind", "twice", "any0", "any1"]},
    "rename": {"rename": {"uid": "user_id", "meta.country": "country"}},
    "set": {"set": {"id": "{id}#T", "label": "{kind} of {price}", "imported": True, "version": {"N": "1.50"}}},
    "replace": {"replace": {"id": ["^item-0*", "i"], "tags": ["^old-", ""]}},
    "cast": {"cast": {"price": "N", "made": "epoch_seconds"}},
    "hash": {"hash": {"attributes": ["mail"], "salt_from": "env:FERRY_SALT"}},
    "python": {"python": {"function": "f.py:several", "attributes": "all", "several": True}},
}
COUNT = 240


def any_value(chance: random.Random, depth: int = 2) -> Item:
    """A value of any type, with odd texts and long numbers."""
    kind = chance.choice(["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", *(["L", "M"] if depth else [])])
    count = chance.randint(1, 3)

    def text(number: int) -> str:
        return f"{number}" + "".join(chance.choices('aß\u2028"\\/\n\x00\x7fé😀€ ', k=chance.randint(0, 6)))

    def number(at: int) -> str:
        return f"{chance.choice(['', '-'])}{at + 1}{chance.randint(0, 10**30)}E{chance.randint(-90, 80)}"

    def binary(at: int) -> str:
        return b64encode(bytes([at]) + chance.randbytes(chance.randint(0, 8))).decode()

    single = {"S": text, "N": number, "B": binary}
    if kind in single:
        return {kind: single[kind](0)}
    if kind in ("SS", "NS", "BS"):
        return {kind: [single[kind[0]](each) for each in range(count)]}
    if kind == "L":
        return {kind: [any_value(chance, depth - 1) for _each in range(count)]}
    if kind == "M":
        return {kind: {text(each): any_value(chance, depth - 1) for each in range(count)}}
    return {kind: chance.random() < 0.5 if kind == "BOOL" else True}


def random_items() -> list[Item]:
    """Items with what the steps read, or without it, or with it in a form that they refuse; and with all types."""
    chance = random.Random(20)
    found = []
    for number in range(COUNT):
        attributes: Item = {
            "status": {"S": chance.choice(["gone", "here"])},
            "expires": {"N": str(int(EXPORTED) + chance.choice([-10, 10]))},
            "debug": any_value(chance),
            "price": {"S": chance.choice(["12.50", "-0.0010", "1e10", "not a number"])},
            "made": {"S": chance.choice(["2026-11-29T06:00:00.5+01:00", "2026-11-29T06:00:00Z"])},
            "uid": any_value(chance),
            "meta": {"M": {"trace": any_value(chance), "country": any_value(chance)}},
            "country": {"S": "there already"},
            "tags": {"SS": ["old-x", "x", f"old-{number}"]},
            "kind": chance.choice([{"S": "k"}, {"N": "5"}]),
            "mail": chance.choice([{"S": f"{number}@example.com"}, {"N": str(number)}, {"L": []}]),
            "twice": {"BOOL": True},
        }
        rare = {"country": 0.1, "twice": 0.2}
        kept = {name: value for name, value in attributes.items() if chance.random() < rare.get(name, 0.8)}
        any_ = {f"any{each}": any_value(chance) for each in range(4)}
        found.append({"id": {"S": f"item-{number:04d}"}, **kept, **any_})
    return found


def definition(*names: str) -> Definition:
    """The steps of these names, with what they need and no more."""
    return Definition(
        steps=[STEPS[name] for name in names],
        source=SCHEMAS,
        names={"#status": "status"} if "keep_if" in names else {},
        values={":gone": {"S": "gone"}} if "keep_if" in names else {},
        at=EXPORTED,
        salts={"env:FERRY_SALT": b"salt of the tests"} if "hash" in names else {},
        files={"f.py": FUNCTIONS} if "python" in names else {},
    )


@pytest.fixture(scope="module")
def files(crossing: Crossing) -> tuple[ExportedFile, ...]:
    """The data files of the source's export."""
    crossing.table(SOURCE, random_items())
    export = crossing.export(SOURCE)
    bucket = StagingBucket(crossing.destination, BUCKET, crossing.destination.account_id)
    manifest = read_manifest(bucket, export.result["manifest_key"])
    return tuple(ExportedFile(file.key, file.items, file.md5) for file in manifest.files)


def item_table(crossing: Crossing, side: str, name: str) -> ItemTable:
    keys = crossing.lab.landscape["accounts"][side]
    frozen = SimpleNamespace(access_key=keys["access_key"], secret_key=keys["secret_key"], session_token="")
    return find_table(Endpoint(crossing.lab.endpoint_url, crossing.region, lambda: frozen, side), name)


def empty_table(crossing: Crossing, name: str) -> ItemTable:
    """A new table of the destination."""
    crossing.lab.client("dynamodb", "destination").create_table(TableName=name, **on_demand(("id", "S")))
    crossing.lab.advance(100)
    return item_table(crossing, "destination", name)


def scanned(table: ItemTable) -> dict[str, bytes]:
    """The items of a table as they stand in the service's answers, by their keys."""
    client, found, start = Client(table.endpoint), {}, {}
    try:
        while True:
            request = to_bytes({"TableName": table.name, **start})
            page = json.loads(client.call("Scan", request, table.name))
            found.update({item["id"]["S"]: to_bytes(item) for item in page["Items"]})
            if not page.get("LastEvaluatedKey"):
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    finally:
        client.close()


def by_direct(crossing: Crossing, given: Definition, name: str) -> tuple[dict[str, bytes], Item]:
    """The items that ``direct`` makes, and its counts; they are what the steps make of each item."""
    source, copy = item_table(crossing, "source", SOURCE), empty_table(crossing, name)
    counts = copy_items(source, copy, CopyOptions(transform=given, skip_errors=True)).counts
    made, steps, tally = scanned(copy), compiled(given), Tally()
    expected = [json.loads(bytes(each)) for item in scanned(source).values() for each in steps.of_item(item, tally)]
    assert len(made) == len(expected) == counts.items > 0
    for item in expected:
        assert canonical_item(json.loads(made[item["id"]["S"]])) == canonical_item(item)
    told = {name: getattr(counts, name) for name in ("read", "added", "kept_out", "refused")}
    assert told == {"read": COUNT, "added": tally.added, "kept_out": tally.kept_out, "refused": tally.refused}
    return made, {**told, "written": counts.items}


def plan_for(
    crossing: Crossing, files: tuple[ExportedFile, ...], given: Definition, name: str
) -> tuple[JobPlan, ItemTable]:
    """The plan of a job that fills a new table ``name``, and that table."""
    copy = empty_table(crossing, name)
    plan = JobPlan(
        run=f"run-{name}",
        region=crossing.region,
        bucket=BUCKET,
        bucket_owner=crossing.destination.account_id,
        prefix=f"tableferry/spark/{name}/",
        table=name,
        table_id=copy.table_id,
        files=files,
        definition=given,
        dynamodb_url=crossing.lab.endpoint_url,
    )
    return plan, copy


def as_job(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has what an engine gives a job."""
    keys = crossing.lab.landscape["accounts"]["destination"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["access_key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["secret_key"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", crossing.lab.endpoint_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", crossing.region)


@pytest.mark.parametrize("step", STEPS)
def test_each_step_alone(
    step: str, crossing: Crossing, files: tuple[ExportedFile, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = definition(step)
    plan, copy = plan_for(crossing, files, given, f"task-{step}")
    as_job(crossing, monkeypatch)
    for message in begin(planned(crossing, plan), plan.run, 3).messages():
        write_share(message)
    made, counts = by_direct(crossing, given, f"direct-{step}")
    assert scanned(copy) == made
    assert added_up(results(crossing, plan)) == counts
    if step not in ("keep_if", "drop_expired"):  # these change nothing of an item
        assert made != scanned(item_table(crossing, "source", SOURCE))


@pytest.fixture(scope="module")
def together(crossing: Crossing, files: tuple[ExportedFile, ...]) -> tuple[dict[str, bytes], Item]:
    """What ``direct`` makes with all steps, one after the other."""
    made, counts = by_direct(crossing, definition(*STEPS), "direct-together")
    assert len(counts["kept_out"]) == 3 and len(counts["refused"]) >= 2 and counts["added"]
    return made, counts


def hold(crossing: Crossing, plan: JobPlan, copy: ItemTable, together: tuple[dict[str, bytes], Item]) -> None:
    made, counts = together
    assert scanned(copy) == made
    assert added_up(results(crossing, plan)) == counts
    assert set(results(crossing, plan)) == {file.key for file in plan.files}
    looked = json.load(crossing.s3.get_object(Bucket=BUCKET, Key=plan.collisions_key)["Body"])
    assert looked["lost"] == 0  # the steps do not keep keys apart provably
    assert crossing.lab.state()["event_errors"] == []


@pytest.mark.parametrize(("version", "needs"), [("5.1", "spark"), ("6.0", "spark_4")])
def test_all_steps_on_glue(
    version: str,
    needs: str,
    request: pytest.FixtureRequest,
    crossing: Crossing,
    files: tuple[ExportedFile, ...],
    package: Package,
    together: tuple[dict[str, bytes], Item],
) -> None:
    request.getfixturevalue(needs)
    plan, copy = plan_for(crossing, files, definition(*STEPS), f"glue-{version}")
    ended = GlueRun(crossing, version, package, plan).ended()
    assert (ended.state, ended.message) == ("SUCCEEDED", "")
    hold(crossing, plan, copy, together)


@pytest.mark.parametrize(
    ("release", "parameters", "needs"), [("emr-7.14.0", PYTHON_3_11, "spark"), ("emr-spark-8.1.0", "", "spark_4")]
)
def test_all_steps_on_emr(
    release: str,
    parameters: str,
    needs: str,
    request: pytest.FixtureRequest,
    crossing: Crossing,
    files: tuple[ExportedFile, ...],
    package: Package,
    together: tuple[dict[str, bytes], Item],
) -> None:
    request.getfixturevalue(needs)
    if not parameters and not python("3.12"):
        pytest.skip(f"spark {ENGINES[1].version}: Python 3.12 not found on this machine")
    plan, copy = plan_for(crossing, files, definition(*STEPS), release)
    ended = emr_run(crossing, release, package, plan, parameters)
    assert ended.state == "SUCCESS", ended.message
    hold(crossing, plan, copy, together)


def to_objects(crossing: Crossing, files: tuple[ExportedFile, ...], given: Definition, name: str) -> JobPlan:
    """The plan of a job that writes to objects."""
    plan, _unused = plan_for(crossing, files, given, name)
    folder = f"tableferry/default/export/1/eu-west-1/t/AWSDynamoDB/spark-{name}/data/"
    return replace(plan, table_id="", dynamodb_url="", objects=folder)


def test_a_run_takes_up_the_files_without_object_or_result(
    crossing: Crossing, files: tuple[ExportedFile, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_job(crossing, monkeypatch)
    plan = to_objects(crossing, files, definition("drop"), "left")
    assert len(files) >= 3

    def left() -> list[str]:
        return sorted(file.key for task in begin(planned(crossing, plan), plan.run, 2).tasks for file in task)

    assert left() == sorted(file.key for file in files)
    for message in begin(planned(crossing, plan), plan.run, 2).messages():
        write_share(message)
    assert left() == []
    before = results(crossing, plan)
    versions = {file.key: crossing.s3.head_object(Bucket=BUCKET, Key=plan.object_key(file)) for file in files}
    crossing.s3.delete_object(Bucket=BUCKET, Key=plan.object_key(files[0]))
    crossing.s3.delete_object(Bucket=BUCKET, Key=plan.result_key(files[1]))
    assert left() == sorted([files[0].key, files[1].key])
    for message in begin(planned(crossing, plan), plan.run, 2).messages():
        write_share(message)
    assert left() == []
    assert results(crossing, plan) == before
    for file in files[1:]:  # written once
        now = crossing.s3.head_object(Bucket=BUCKET, Key=plan.object_key(file))
        assert now["LastModified"] == versions[file.key]["LastModified"]
        assert now["ETag"].strip('"') == before[file.key].etag


def test_all_steps_to_objects_that_are_imported(
    spark: None,
    crossing: Crossing,
    files: tuple[ExportedFile, ...],
    package: Package,
    together: tuple[dict[str, bytes], Item],
) -> None:
    """With ``end: import`` the same items, and the same counts: what is imported is what would have been written."""
    plan = to_objects(crossing, files, definition(*STEPS), "imported")
    ended = GlueRun(crossing, "5.1", package, plan).ended()
    assert (ended.state, ended.message) == ("SUCCEEDED", "")
    made, counts = together
    assert added_up(results(crossing, plan)) == counts
    dynamodb = crossing.lab.client("dynamodb", "destination")
    arn = dynamodb.import_table(
        S3BucketSource={"S3Bucket": BUCKET, "S3KeyPrefix": plan.objects},
        InputFormat="DYNAMODB_JSON",
        InputCompressionType="GZIP",
        TableCreationParameters={"TableName": "from-objects", **on_demand(("id", "S"))},
    )["ImportTableDescription"]["ImportArn"]
    crossing.lab.advance(1000)
    description = dynamodb.describe_import(ImportArn=arn)["ImportTableDescription"]
    assert (description["ImportStatus"], description["ImportedItemCount"]) == ("COMPLETED", counts["written"])
    assert scanned(item_table(crossing, "destination", "from-objects")) == made
