# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One table is split into several: whatever method fills them, they share its export."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.cleanup import CleanupOptions, plan_cleanup
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.method import loaders_of
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import METHODS, Migration, judge
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import export_key, table_key
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import choices_of
from tests.unit.on_lab.conftest import BUCKET
from tests.unit.on_lab.methods.spark.test_glue import Glue, Playbook, glue, spark

__all__ = ["glue", "spark"]  # fixtures


def only(tenant: str) -> Any:
    """The steps that leave one tenant's items."""
    return choices_of([{"keep_if": "tenant = :tenant"}, {"drop": ["tenant"]}], values={":tenant": {"S": tenant}})


def finish(playbook: Playbook, copy: str, begun: Migration) -> Judgement:
    """The rest of a run for one copy."""
    waited = playbook.wait(copy, begun)
    record = Tracking(playbook.run, copy)
    try:
        return judge(copy, playbook.source, playbook.destination, waited.ways["it"], record=record, sleep=time.sleep)
    finally:
        playbook.run.end()


def migrate(playbook: Playbook, source: str, copy: str, **options: Any) -> Judgement:
    """A whole run for one copy."""
    return finish(playbook, copy, playbook.start(source, destination_table=copy, **options))


def exports(glue: Glue, table: str) -> list[str]:
    """The exports of a table."""
    arn = glue.account("source").table_arn(table)
    return [
        each["ExportArn"]
        for each in glue.lab.client("dynamodb", "source").list_exports(TableArn=arn)["ExportSummaries"]
    ]


def test_one_export_serves_tables_of_glue_and_of_s3(glue: Glue) -> None:
    tenants = ("acme", "globex", "initech")
    glue.table("tenants", [{"id": {"S": f"{at}"}, "tenant": {"S": tenants[at % 3]}} for at in range(30)])
    first, second = Playbook(glue, 31), Playbook(glue, 32)
    acme = first.start("tenants", destination_table="acme", transform=only("acme"))
    whole = second.start("tenants", destination_table="whole", method="s3")
    assert whole.job.arn == acme.job.arn
    record = second.store.read(export_key(glue.account("source").table_arn("tenants"), "default"))
    assert record is not None
    assert [entry.result["users"] for entry in record.jobs] == [["acme", "whole"]]
    judged = finish(second, "whole", whole)
    assert (judged.failure, judged.status, judged.items_destination) == (None, "migrated", 30)

    # The export's data is below the prefix of the table that began it, and the other one is through with it.
    held = second.store.read(table_key("whole"))
    assert held is not None
    plan = plan_cleanup(
        second.source, second.destination, CleanupOptions("tenants", BUCKET, "whole"),
        loaders_of(METHODS.values()), Tracking(None, "whole", held), second.store,
    )  # fmt: skip
    assert plan.needed_by == ("acme",)
    assert [change.what for change in plan.changes if "!acme" in change.what] == []

    judged = finish(first, "acme", acme)
    assert (judged.failure, judged.status, judged.items_destination) == (None, "migrated", 10)
    assert migrate(Playbook(glue, 33), "tenants", "globex", transform=only("globex")).items_destination == 10
    assert len(exports(glue, "tenants")) == 1
    assert glue.items("destination", "globex") == [{"id": {"S": f"{at}"}} for at in sorted(map(str, range(1, 30, 3)))]


def test_a_table_that_lacks_items_still_needs_the_export_of_another_one(glue: Glue) -> None:
    glue.table("shared", [{"id": {"S": f"{at}"}, "tenant": {"S": "acme"}} for at in range(6)])
    assert migrate(Playbook(glue, 34), "shared", "copy").status == "migrated"
    policy = glue.role.inline.pop("job")
    failed = migrate(Playbook(glue, 35), "shared", "half", transform=only("acme"))
    glue.role.inline["job"] = policy
    assert failed.status == "failed"
    playbook = Playbook(glue, 36)
    record = playbook.store.read(table_key("half"))
    assert record is not None
    assert record.state == "broken"
    plan = plan_cleanup(
        playbook.source, playbook.destination, CleanupOptions("shared", BUCKET, "copy"),
        loaders_of(METHODS.values()), None, playbook.store,
    )  # fmt: skip
    assert plan.needed_by == ("half",)
    assert migrate(playbook, "shared", "half", transform=only("acme")).items_destination == 6
    assert len(exports(glue, "shared")) == 1
