# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""B12: what a lifecycle rule of the staging bucket removes: staged data alone, and never before its import."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import StagingBucketUnusable
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.staging_bucket import _left_overs
from tests.unit.on_lab.recorded import Playbook, world
from tests.unit.on_lab.staged import BUCKET, Staged

pytestmark = pytest.mark.usefixtures("at_once")


def expire(aws: Staged, days: int, prefix: str = "tableferry/") -> None:
    rule: dict[str, Any] = {**_left_overs(days), "Filter": {"Prefix": prefix}}
    aws.client("s3", "destination").put_bucket_lifecycle_configuration(
        Bucket=BUCKET, LifecycleConfiguration={"Rules": [rule]}
    )


def test_b12_only_staged_data_lies_where_the_rule_of_left_overs_removes() -> None:
    aws = world()
    expire(aws, 30)
    assert Playbook(aws).migrate()["orders"].status == "migrated"
    prefix = _left_overs(30)["Filter"]["Prefix"]
    there = [key for key in aws.objects() if key.startswith(prefix)]
    assert there
    assert all("/AWSDynamoDB/" in key for key in there), there


@pytest.mark.parametrize("prefix", ["", "tableferry/", "tableferry/default/export/"])
def test_b12_a_bucket_that_removes_files_within_two_days_is_refused_before_the_bill(prefix: str) -> None:
    aws = world()
    expire(aws, 1, prefix)
    with pytest.raises(StagingBucketUnusable, match=r"removes objects .* by its lifecycle rule tableferry-left-overs"):
        Playbook(aws).start()
    assert aws.jobs("export") == []


@pytest.mark.parametrize(("days", "prefix"), [(2, ""), (30, "tableferry/"), (1, "others/")])
def test_b12_a_rule_that_leaves_time_is_no_obstacle(days: int, prefix: str) -> None:
    aws = world()
    expire(aws, days, prefix)
    assert Playbook(aws).migrate()["orders"].status == "migrated"


def test_b12_an_export_whose_files_are_about_to_go_is_not_imported() -> None:
    aws = world()
    aws.advance(86400 * 1.5 - aws.clock % 86400)  # noon: S3 expires objects at the midnight after their 30 days
    expire(aws, 30)
    first = Playbook(aws)
    begun = first.start()
    waited = first.wait({"orders": begun}, timeout=1.0)  # the export runs
    assert not aws.jobs("import")
    first.end()
    aws.advance(30 * 86400)
    later = Playbook(aws, 2)
    begun = later.start(export_max_age=60 * 86400)
    waited = later.wait({"orders": begun})
    failed = next(job for job in waited.ways["orders"] if job.state == "failed")
    assert failed.failure["error"] == "StagingBucketUnusable" and "lifecycle rule" in failed.failure["cause"]
    assert "export_max_age" in failed.failure["next_step"]
    assert (aws.jobs("import"), len(aws.jobs("export"))) == ([], 1)
