# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables that clusters of EMR fill: a step of the user's cluster, or a cluster for one table."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    CollidingKeys,
    InvalidInput,
    SparkJobFailed,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import SparkChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark import engines
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.engine import Request
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import choices_of
from lab.client import RunningLab
from lab.landscape import DESTINATION
from tests.unit.lab.spark.conftest import allowing
from tests.unit.on_lab.emr_roles import INSTANCES, SERVICE, add_default_roles
from tests.unit.on_lab.methods.spark.test_glue import Glue, Playbook, glue, spark

__all__ = ["glue", "spark"]  # fixtures

RUNTIME = {"AuthorizationConfiguration": {"IAMConfiguration": {"EnableApplicationScopedIAMRole": True}}}
RUNTIME_ROLE = "emr-runtime"


def users_cluster(lab: RunningLab, security: str = "") -> str:
    """A cluster of the user's that stays; with ``security`` its steps run under roles of their own."""
    add_default_roles(lab)
    emr = lab.client("emr", "destination")
    more: dict[str, Any] = {"SecurityConfiguration": security} if security else {}
    if security:
        emr.create_security_configuration(Name=security, SecurityConfiguration=json.dumps(RUNTIME))
    cluster = emr.run_job_flow(
        Name="the user's",
        ReleaseLabel="emr-7.14.0",
        JobFlowRole=INSTANCES,
        ServiceRole=SERVICE,
        Applications=[{"Name": "Spark"}],
        Instances={"MasterInstanceType": "m6g.xlarge", "InstanceCount": 2, "KeepJobFlowAliveWhenNoSteps": True},
        **more,
    )["JobFlowId"]
    lab.advance(300)
    return str(cluster)


def runtime_role(lab: RunningLab) -> str:
    """A role that the instances may assume for a step."""
    add_default_roles(lab)
    instances = lab.world.identity.roles[DESTINATION, INSTANCES]
    statement = {"Effect": "Allow", "Principal": {"AWS": instances.arn}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    role = lab.world.identity.add_role(
        DESTINATION, RUNTIME_ROLE, json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    role.inline["job"] = allowing("s3:GetObject", "s3:PutObject", "s3:ListBucket", "dynamodb:*")
    instances.inline["assume"] = allowing("sts:AssumeRole", "sts:TagSession", resource=role.arn)
    lab.advance(60)
    return role.arn


def steps_of(lab: RunningLab, cluster: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = lab.client("emr", "destination").list_steps(ClusterId=cluster)["Steps"]
    return steps


@pytest.mark.parametrize("security", ["", "runtime-roles"])
def test_a_table_goes_by_a_step_of_the_users_cluster(glue: Glue, security: str) -> None:
    table = f"by-step-{security or 'instances'}"
    glue.table(table)
    role_arn = runtime_role(glue.lab) if security else ""
    cluster = users_cluster(glue.lab, security)
    choices = SparkChoices(cluster_id=cluster, role_arn=role_arn)
    judged = Playbook(glue, 30 if security else 31).migrate(table, method="emr", spark=choices)
    assert not judged.failure, judged.failure
    assert (judged.status, judged.verified, judged.items_destination) == ("migrated", "counts", 100)
    assert glue.items("destination", table) == glue.items("source", table)
    again = Playbook(glue, 32 if security else 33).migrate(table, method="emr", spark=choices)
    assert (again.failure, again.status) == (None, "migrated")
    (step,) = steps_of(glue.lab, cluster)
    assert step["Status"]["State"] == "COMPLETED"
    described = glue.lab.client("emr", "destination").describe_step(ClusterId=cluster, StepId=step["Id"])["Step"]
    assert described.get("ExecutionRoleArn", "") == role_arn
    state = glue.lab.client("emr", "destination").describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"]
    assert state == "WAITING"  # the user's, and it goes on


def test_a_look_for_colliding_keys_is_a_step_of_its_own(glue: Glue) -> None:
    glue.table("looked-by-step", [{"id": {"S": f"{number}"}} for number in range(6)])
    cluster = users_cluster(glue.lab)
    chosen: dict[str, Any] = {"method": "emr", "spark": SparkChoices(cluster_id=cluster)}
    colliding, apart = (choices_of([{"replace": {"id": [pattern, "y"]}}]) for pattern in ("[0-3]", "x"))
    for pid in (40, 41):
        refused = Playbook(glue, pid).migrate("looked-by-step", transform=colliding, **chosen)
        assert isinstance(refused.failure, CollidingKeys), refused.failure
        assert len(steps_of(glue.lab, cluster)) == 1
    assert "looked-by-step" not in glue.lab.client("dynamodb", "destination").list_tables()["TableNames"]
    judged = Playbook(glue, 42).migrate("looked-by-step", transform=apart, **chosen)
    assert (judged.failure, judged.items_destination) == (None, 6)
    assert {step["Status"]["State"] for step in steps_of(glue.lab, cluster)} == {"COMPLETED"}
    assert len(steps_of(glue.lab, cluster)) == 3  # another look, and the step that writes


def test_a_table_goes_by_a_cluster_of_its_own_that_ends(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> None:
    add_default_roles(glue.lab)
    glue.table("by-cluster")
    begin = engines.EmrCluster.begin
    begun = []

    def losing(engine: engines.EmrCluster, account: Account, request: Request) -> str:
        begun.append(begin(engine, account, request))
        raise ReadTimeoutError(endpoint_url="https://emr")

    monkeypatch.setattr(engines.EmrCluster, "begin", losing)
    choices = SparkChoices(engine="cluster")
    judged = Playbook(glue, 34).migrate("by-cluster", method="emr", spark=choices)
    assert not judged.failure, judged.failure
    assert glue.items("destination", "by-cluster") == glue.items("source", "by-cluster")
    again = Playbook(glue, 35).migrate("by-cluster", method="emr", spark=choices)
    assert (again.failure, again.status) == (None, "migrated")
    clusters = glue.lab.client("emr", "destination").list_clusters()["Clusters"]
    ours = [each for each in clusters if each["Name"].startswith("tableferry-")]
    assert [each["Id"] for each in ours] == begun
    assert ours[0]["Status"]["State"] == "TERMINATED"


def test_a_role_for_a_cluster_of_its_own_is_refused_before_anything_is_billed(glue: Glue) -> None:
    glue.table("with-role")
    glue.lab.clear_requests()
    with pytest.raises(InvalidInput, match="a role for a cluster of its own"):
        Playbook(glue, 36).start("with-role", method="emr", spark=SparkChoices(engine="cluster", role_arn="arn:x"))
    assert glue.lab.count("ExportTableToPointInTime") == 0


def test_a_cluster_that_is_terminated_fails_the_table_and_another_goes_on(
    glue: Glue, monkeypatch: pytest.MonkeyPatch
) -> None:
    glue.table("terminated")
    cluster = users_cluster(glue.lab)
    begin = engines.EmrStep.begin

    def terminating(engine: engines.EmrStep, account: Account, request: Request) -> str:
        run = begin(engine, account, request)
        glue.lab.client("emr", "destination").terminate_job_flows(JobFlowIds=[request.scope])
        return run

    with monkeypatch.context() as patch:
        patch.setattr(engines.EmrStep, "begin", terminating)
        failed = Playbook(glue, 37).migrate("terminated", method="emr", spark=SparkChoices(cluster_id=cluster)).failure
    assert isinstance(failed, SparkJobFailed)
    assert "step of an EMR cluster" in failed.cause and "was stopped" in failed.cause, failed.cause
    ended = Playbook(glue, 38).migrate("terminated", method="emr", spark=SparkChoices(cluster_id=cluster)).failure
    assert ended is not None
    assert "shutting down, terminated, or finished" in ended.cause
    other = users_cluster(glue.lab)
    judged = Playbook(glue, 39).migrate("terminated", method="emr", spark=SparkChoices(cluster_id=other))
    assert not judged.failure, judged.failure
    assert glue.items("destination", "terminated") == glue.items("source", "terminated")
