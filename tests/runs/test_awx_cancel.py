# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A job of AWX that is cancelled: AWS goes on with its jobs, the records say so, and the next job finds them. By one
credential and a role on each side."""

from __future__ import annotations

from pathlib import Path

from tests.runs.awx_jobs import awx, until
from tests.runs.playbooks import BUCKET, Migration, client

TABLES = [f"table-{number}" for number in range(2)]
# By the lab's clock, which the test moves on: the exports still run when the job is cancelled.
TIMINGS = {"export.full": 60, "import.visible": 1, "import.creating": 1, "import.completing": 1}


def exports(migration: Migration) -> dict[str, str]:
    """The exports in the source account with their states, by ARN."""
    found = client(migration.lab, "dynamodb", "source").list_exports()["ExportSummaries"]
    return {each["ExportArn"]: each["ExportStatus"] for each in found}


def test_the_next_job_goes_on_with_what_a_cancelled_one_has_begun(migration: Migration, tmp_path: Path) -> None:
    lab = migration.lab
    controller = awx(migration, tmp_path, "hub")
    inventory = controller.update_inventory()
    inventory["all"]["vars"] |= {"ferry_staging_bucket": BUCKET, "ferry_manage_accounts": False}
    with controller.launch("migrate", inventory, ferry_method="s3") as first:
        until(first, lambda: "Wait for the migrations" in first.output and len(lab.jobs("export")) == len(TABLES))
        assert first.cancel() == "canceled"
    # AWS goes on with what the records name.
    begun = {job.arn for record in migration.records().values() for job in record.jobs}
    assert exports(migration) == dict.fromkeys(begun, "IN_PROGRESS")
    migration.clock.advance(1200)  # the exports end, and so do the lease and the signatures of the job
    assert exports(migration) == dict.fromkeys(begun, "COMPLETED")
    with controller.launch("migrate", inventory, ferry_method="s3") as second:
        assert second.wait() == "successful", second.output[-4000:]
    assert second.artifacts["tableferry_report"]["statuses"] == {"migrated": len(TABLES)}
    assert migration.started("export") == migration.started("import") == TABLES
    assert {record.state for record in migration.records().values()} == {"done"}
