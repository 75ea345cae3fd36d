# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controllers that get SIGKILL around the start of a run on AWS Glue: the next one finds it and begins no other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import WRITE, Record
from lab.client import running
from lab.spark.engine import ENGINES
from tests.runs.playbooks import client
from tests.runs.test_controllers import RECORDS, Site, judged
from tests.unit.on_lab.conftest import Crossing
from tests.unit.on_lab.methods.spark.test_glue import Glue, with_role

PATIENCE = 300.0  # seconds of real time until a controller has come to the call at which it is killed


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A lab with the role of jobs; without Spark the test is left out, in continuous integration never."""
    reason = ENGINES[0].why_not()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"spark {ENGINES[0].version}: {reason}")
    if reason:
        pytest.skip(f"spark {ENGINES[0].version}: {reason}")
    with running(scale=0.0) as lab:
        crossing = Crossing(lab)
        with_role(cast(Glue, crossing))
        yield Site(crossing, tmp_path)


def record(site: Site) -> Record:
    """That of the table."""
    key = {"pk": {"S": "table#orders"}, "sk": {"S": "record"}}
    found = client(site.lab, "dynamodb", "destination").get_item(TableName=RECORDS, Key=key, ConsistentRead=True)
    return Record.from_item(found["Item"])


def before_the_start(site: Site) -> int:
    """Its intention is in the record, and AWS never gets the request: the call after that, which looks for the run."""
    site.lab.add_fault(operation="glue.StartJobRun", kind="disconnect", when="before")
    return site.lab.hold(operation="glue.GetJobRuns", when="before")


def before_the_answer(site: Site) -> int:
    """AWS has begun the run and has not answered yet."""
    return site.lab.hold(operation="glue.StartJobRun", when="after")


@pytest.mark.parametrize("arguments", ["present", "missing"])
@pytest.mark.parametrize("moment", [before_the_start, before_the_answer])
def test_a_controller_that_is_killed_around_the_start_of_a_run_begins_one_in_all(
    site: Site, moment: Callable[[Site], int], arguments: str
) -> None:
    site.lab.choose_behaviours({"glue.arguments_in_answers": arguments})
    hold = moment(site)
    with site.start(method="glue") as one:
        one.stop_at(hold, PATIENCE)
        one.kill()
    site.lab.release(hold)
    (intended,) = [job for job in record(site).jobs if job.purpose == WRITE]
    assert (intended.state, intended.arn) == ("intended", "")
    assert site.jobs() == ["export", *(["glue"] if moment is before_the_answer else [])]
    assert judged(site.run(method="glue", skip_sleeps=True)) == ["migrated"]
    assert site.jobs() == ["export", "glue"]
    assert judged(site.run(method="glue", skip_sleeps=True)) == ["migrated"]
    assert site.jobs() == ["export", "glue"]
    assert site.items() == (100, 100)
