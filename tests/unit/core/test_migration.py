# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of jobs, and the jobs that a user passes."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import Made
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import KINDS, job_from, kinds, noun


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_of_each_kind_is_taken(kind: str) -> None:
    job = Job(kind, "orders", "running", "arn")
    assert job_from(job.to_dict()) == job


@pytest.mark.parametrize("data", [{}, {"kind": "snapshot"}, {"kind": "export", "state": "lost"}])
def test_what_is_no_job_is_refused(data: dict) -> None:
    with pytest.raises(InvalidInput, match="not one that a start verb returned"):
        job_from(data)


def test_each_kind_has_a_name_for_many() -> None:
    plurals = [kind.plural for kind in kinds().values()]
    assert len(set(plurals)) == len(KINDS)
    assert noun(Job("direct", "orders")) == "direct copy"


@pytest.mark.parametrize(
    ("kind", "request_", "result", "made"),
    [
        ("export", {}, {"table_id": "the source's"}, Made()),
        ("import", {"export": {"item_count": 7}}, {"table_id": "id", "imported_items": 7}, Made("id")),
        ("import", {"export": {"item_count": 7}}, {"table_id": "id", "imported_items": 6}, Made("id", whole=False)),
        ("import", {}, {"table_id": "id", "errors": 1}, Made("id", whole=False)),
        ("restore", {}, {"table_id": "id", "table_arn": "arn"}, Made("id", "arn")),
        ("restore", {}, {"table_id": "id", "judged_before": True}, Made("id", counted=True)),
        ("count", {}, {"table_id": "id", "table_arn": "arn", "items_source": 1}, Made("id", "arn")),
        ("direct", {}, {"table_id": "id", "table_arn": "arn", "items": 1}, Made("id", "arn")),
        ("verify", {}, {"table_id": "id", "table_arn": "arn", "missing": 0}, Made("id", "arn")),
        *(
            ("verify", {}, {"table_id": "id", differing: 1}, Made("id", whole=False))
            for differing in ("missing", "different", "extra", "not_listed")
        ),
        ("settings", {}, {"settings_carried": []}, Made()),
    ],
)
def test_what_jobs_made(kind: str, request_: dict, result: dict, made: Made) -> None:
    assert kinds()[kind].made(Job(kind, "orders", "completed", request=request_, result=result)) == made
