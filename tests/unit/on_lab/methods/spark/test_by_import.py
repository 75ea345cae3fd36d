# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table that goes by glue with ``end: import``: export, a real Spark job that writes to S3, import."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.planning import ToPlan, make_plan
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import METHODS
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.prices import usual
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import choices_of
from demo.tables import on_demand
from tests.unit.on_lab.conftest import BUCKET
from tests.unit.on_lab.methods.spark.test_glue import STEPS, Glue, Playbook, glue, runs, spark
from tests.unit.on_lab.methods.spark.test_import_steps import BY_IMPORT, of_people

__all__ = ["glue", "spark"]  # fixtures


def test_the_items_are_those_of_a_job_that_writes_into_the_table(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRY_SALT", "salt")
    transform = choices_of(STEPS, values={":few": {"N": "10"}})
    shape = on_demand(("id", "S"))
    shape["AttributeDefinitions"].append({"AttributeName": "mail", "AttributeType": "S"})
    by_mail = {
        "IndexName": "by-mail",
        "KeySchema": [{"AttributeName": "mail", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    for name in ("imported", "written"):
        glue.table(name, of_people(), **shape, GlobalSecondaryIndexes=[by_mail])
    playbook = Playbook(glue, 1)
    judged = playbook.migrate("imported", transform=transform, spark=BY_IMPORT)
    assert judged.failure is None, judged.failure
    assert (judged.status, judged.verified) == ("migrated", "counts")
    assert (judged.items_source, judged.items_destination) == (30, 20)
    assert judged.notes == ("transformed: 30 items read, 10 kept out by step 1 (keep_if), 20 written",)
    assert Playbook(glue, 2).migrate("written", transform=transform).failure is None
    assert glue.items("destination", "imported") == glue.items("destination", "written")
    assert [index["IndexName"] for index in glue.described("imported")["GlobalSecondaryIndexes"]] == ["by-mail"]
    job = playbook.waited.ways["it"][1]
    (run,) = [run for run in runs(glue, job.request["run"]["scope"]) if run["Id"] == job.arn]
    assert "dynamodb" not in run["ExecutionRoleSessionPolicy"]
    again = Playbook(glue, 3).migrate("imported", transform=transform, spark=BY_IMPORT)
    assert (again.failure, again.status) == (None, "migrated")
    # Who leaves the method open is shown the one of the record, and goes on with it.
    left_open = Playbook(glue, 4)
    options = MigrationOptions("imported", method="auto", bucket=BUCKET, transform=transform, spark=BY_IMPORT)
    entry = ToPlan("it", left_open.source, left_open.destination, options, left_open.store)
    (planned,) = make_plan(METHODS, [entry], usual()).to_dict()["tables"]
    assert (planned["state"], planned["method"]) == ("done", "glue with end: import")
    assert left_open.migrate("imported", method="auto", transform=transform, spark=BY_IMPORT).failure is None
