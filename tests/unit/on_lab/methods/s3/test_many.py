# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""More tables than AWS imports at once, and more exports than a list page holds."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export import plan_export, start_export
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.importing import (
    ImportOptions,
    plan_import,
    start_import,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from demo.tables import on_demand, recovery

TABLES, IMPORTS = 12, 8


@pytest.fixture(scope="module")
def names(crossing):
    """Tiny tables with point-in-time recovery; the limits of AWS hold from then on."""
    crossing.lab.enforce_quotas(False)
    dynamodb = crossing.lab.client("dynamodb")
    found = [f"tiny-{number:02d}" for number in range(TABLES)]
    for name in found:
        dynamodb.create_table(TableName=name, **on_demand(("id", "S")))
    for name in found:
        dynamodb.put_item(TableName=name, Item={"id": {"S": name}})
        dynamodb.update_continuous_backups(TableName=name, **recovery(35))
    crossing.lab.advance(1000)
    crossing.lab.enforce_quotas(True)
    return found


def test_more_tables_arrive_than_may_be_imported_at_once(crossing, hurry, names, monkeypatch):
    monkeypatch.setattr("lab.dynamodb.imports.MOST_IMPORTS", IMPORTS)
    lab, source, destination = crossing.lab, crossing.source, crossing.destination
    lab.set_timings({"export.full": 0.5})
    jobs = {
        name: start_export(
            source, destination, plan_export(source, destination, crossing.export_options(name), ImportLoader())
        )
        for name in names
    }
    waited = hurry([WaitItem(name, source, destination, job) for name, job in jobs.items()])
    assert {job.state for job in waited.jobs.values()} == {"completed"}
    lab.set_timings({"import.creating": 600.0})  # none ends while the others are started, however slow this machine is
    jobs = {
        name: start_import(
            destination,
            plan_import(source, destination, ImportOptions(name, crossing.bucket, export=waited.jobs[name])),
        )
        for name in names
    }
    assert [(job.state, job.pending_reason) for job in jobs.values()].count(("pending", "slot")) >= TABLES - IMPORTS
    lab.set_timings({"import.creating": 0.5})
    lab.advance(600)
    waited = hurry([WaitItem(name, source, destination, job) for name, job in jobs.items()])
    assert {job.state for job in waited.jobs.values()} == {"completed"}, waited.jobs
    assert len(waited.started) >= TABLES - IMPORTS
    assert {job.result["imported_items"] for job in waited.jobs.values()} == {1}
    assert lab.count("ExportTableToPointInTime", ok=True) == TABLES
    assert lab.count("ImportTable", ok=True) == TABLES
    assert lab.count("ImportTable", error_code="LimitExceededException") > 0


def test_an_export_is_found_among_many_of_its_table(crossing, names):
    """Without a destination no ledger can be kept: the export's token is looked for in all pages of the list."""
    source = crossing.source
    lab = crossing.lab
    lab.set_timings({"export.full": 0})
    lab.enforce_quotas(False)
    options = crossing.export_options(names[0], bucket_owner="222222222222", migration_id="alone")
    plan = plan_export(source, None, options, ImportLoader())
    first = start_export(source, None, plan)
    dynamodb = lab.client("dynamodb")
    for number in range(30):
        dynamodb.export_table_to_point_in_time(
            TableArn=source.table_arn(names[0]),
            S3Bucket=crossing.bucket,
            S3BucketOwner="222222222222",
            S3Prefix=f"tableferry/foreign-{number}",
        )
    again = plan_export(source, None, options, ImportLoader())
    assert (again.job.arn, again.changes) == (first.arn, [])
    assert lab.count("ListExports", ok=True) > 1
