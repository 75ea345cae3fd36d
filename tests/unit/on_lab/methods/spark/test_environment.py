# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Spark jobs need in the destination account: made beside what others have there, removed when nobody needs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.caller_policy import InlinePolicy
from lab.client import RunningLab, running
from tests.unit.on_lab.statements.test_verbs import run, side

ROLE, POLICY, BUCKET = "tableferry-spark", "tableferry-spark-eu-west-1", "staged-for-spark"


@pytest.fixture
def lab() -> Iterator[RunningLab]:
    with running(scale=0.0) as lab:
        run(
            "staging_bucket", {"source": side(lab, "source"), "destination": side(lab, "destination"), "bucket": BUCKET}
        )
        run("record_table", {"destination": side(lab, "destination")})
        yield lab


@pytest.fixture(autouse=True)
def no_time(monkeypatch: pytest.MonkeyPatch, lab: RunningLab) -> None:
    """The wait for IAM passes at once."""
    monkeypatch.setattr(Account, "sleep", lambda _account, seconds: lab.advance(seconds))


def environment(lab: RunningLab, table: str, migration: str = "default", **more: Any) -> dict[str, Any]:
    arguments = {"destination": side(lab, "destination"), "bucket": BUCKET, "tables": [table]}
    check_mode = more.pop("check_mode", False)
    return run("spark_environment", {**arguments, "migration_id": migration, **more}, check_mode=check_mode)


def policy(lab: RunningLab) -> dict[str, Any]:
    answer = lab.client("iam", "destination").get_role_policy(RoleName=ROLE, PolicyName=POLICY)
    return {each["Sid"]: each for each in answer["PolicyDocument"]["Statement"]}


def named(lab: RunningLab) -> list[str]:
    """The tables that the role may write to."""
    return [arn.rpartition("/")[2] for arn in policy(lab)["Tables"]["Resource"]]


def roles(lab: RunningLab) -> list[str]:
    return [role["RoleName"] for role in lab.client("iam", "destination").list_roles()["Roles"]]


def make_job(lab: RunningLab, migration: str, **tags: str) -> None:
    lab.client("glue", "destination").create_job(
        Name=f"tableferry-{migration}-0123456789ab",
        Role=ROLE,
        Command={"Name": "glueetl", "ScriptLocation": f"s3://{BUCKET}/tableferry/spark/a.py", "PythonVersion": "3"},
        GlueVersion="5.1",
        Tags={"tableferry:migration": migration, **tags},
    )


def test_what_other_tables_need_stays_and_the_last_one_takes_the_rest(lab: RunningLab) -> None:
    environment(lab, "orders", "one")
    environment(lab, "users", "two")
    assert named(lab) == ["orders", "users"]
    for migration in ("one", "two"):
        make_job(lab, migration)
    glue, objects = lab.client("glue", "destination"), lab.client("s3", "destination")
    objects.put_object(Bucket=BUCKET, Key=f"{folder(lab)}tableferry-1.zip", Body=b"x")
    lab.clear_requests()
    foreseen = environment(lab, "orders", "one", state="absent", check_mode=True)
    whats = ["job tableferry-one-0123456789ab of AWS Glue", f"inline policy {POLICY} of the role {ROLE}"]
    assert [change["what"] for change in foreseen["changes"]] == whats
    assert lab.mutating_calls() == []
    left = environment(lab, "orders", "one", state="absent")["left"]
    assert [entry["what"].partition(" of ")[0] for entry in left] == [POLICY, "spark"]
    assert all("users" in entry["reason"] for entry in left)
    assert named(lab) == ["users"]  # least privilege: nobody needs the other one
    assert [job["Name"] for job in glue.get_jobs()["Jobs"]] == ["tableferry-two-0123456789ab"]
    assert ROLE in roles(lab)
    assert environment(lab, "users", "two", state="absent")["left"] == []
    assert glue.get_jobs()["Jobs"] == []
    assert ROLE not in roles(lab)
    assert "Contents" not in objects.list_objects_v2(Bucket=BUCKET)


def test_a_table_that_another_migration_fills_too_stays_in_the_policy(lab: RunningLab) -> None:
    environment(lab, "orders", "one")
    environment(lab, "orders", "two")
    environment(lab, "users", "two")
    environment(lab, "orders", "one", state="absent")
    assert named(lab) == ["orders", "users"]
    environment(lab, "orders", "two", state="absent")
    assert named(lab) == ["users"]


def test_tables_that_another_controller_adds_meanwhile_come_back(
    lab: RunningLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has counted its table and written the policy between our reading and our writing of it."""
    environment(lab, "orders", "one")
    environment(lab, "users", "two")
    write, wrote = InlinePolicy.write, list[str]()

    def crossed(self: InlinePolicy, document: Any) -> None:
        if not wrote:
            wrote.append("late")
            monkeypatch.setattr(InlinePolicy, "write", write)
            environment(lab, "late", "three")
            assert named(lab) == ["late", "orders", "users"]
        write(self, document)

    monkeypatch.setattr(InlinePolicy, "write", crossed)
    environment(lab, "orders", "one", state="absent")
    assert wrote and named(lab) == ["late", "users"]


def test_with_a_user_that_nobody_knows_by_name_no_table_is_taken_out(lab: RunningLab) -> None:
    environment(lab, "orders", "one")
    environment(lab, "users", "two")
    client = lab.client("dynamodb", "destination")
    key = {"pk": {"S": f"use#arn:aws:iam::{account_id(lab)}:role/{ROLE}#{POLICY}"}, "sk": {"S": "users"}}
    client.update_item(
        TableName="tableferry", Key=key, UpdateExpression="REMOVE #n", ExpressionAttributeNames={"#n": "names"}
    )
    environment(lab, "orders", "one", state="absent")
    assert named(lab) == ["orders", "users"]


def test_who_may_not_write_the_policy_is_told_which_tables_it_names(lab: RunningLab) -> None:
    environment(lab, "orders", "one")
    environment(lab, "users", "two")
    lab.add_fault(operation="PutRolePolicy", code="AccessDenied", status=403)
    left = environment(lab, "orders", "one", state="absent")["left"]
    assert any("names tables that were cleaned up" in entry["reason"] for entry in left), left
    assert named(lab) == ["orders", "users"]


def account_id(lab: RunningLab) -> str:
    return str(lab.landscape["accounts"]["destination"]["account_id"])


def folder(lab: RunningLab, region: str = "") -> str:
    account = lab.landscape["accounts"]["destination"]["account_id"]
    return f"tableferry/spark/{account}/{region or lab.landscape['region']}/"


def test_two_regions_share_a_bucket_and_each_removes_its_own(lab: RunningLab) -> None:
    other = {**side(lab, "destination"), "region": "us-east-1"}
    run("record_table", {"destination": other})
    objects = lab.client("s3", "destination")
    for region in ("", "us-east-1"):
        objects.put_object(Bucket=BUCKET, Key=f"{folder(lab, region)}tableferry-1.zip", Body=b"x")
        objects.put_object(Bucket=BUCKET, Key=f"{folder(lab, region)}work/1/runs/2/plan.json", Body=b"x")
    there = {"destination": other, "bucket": BUCKET, "tables": ["orders"]}
    environment(lab, "orders")
    run("spark_environment", there)
    environment(lab, "orders", state="absent")
    assert [key.startswith(folder(lab, "us-east-1")) for key in keys_of(lab)] == [True, True]
    assert ROLE in roles(lab)
    run("spark_environment", {**there, "state": "absent"})
    assert keys_of(lab) == []
    assert ROLE not in roles(lab)


def keys_of(lab: RunningLab) -> list[str]:
    listed = lab.client("s3", "destination").list_objects_v2(Bucket=BUCKET, Prefix="tableferry/spark/")
    return [each["Key"] for each in listed.get("Contents", ())]


def test_a_role_with_another_policy_keeps_it_and_a_job_of_somebody_else_stays(lab: RunningLab) -> None:
    environment(lab, "orders")
    iam = lab.client("iam", "destination")
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    own = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=ROLE, PolicyName="tableferry-spark-us-east-1", PolicyDocument=own)
    make_job(lab, "default")
    glue = lab.client("glue", "destination")
    glue.untag_resource(
        ResourceArn=f"arn:aws:glue:eu-west-1:{lab.landscape['accounts']['destination']['account_id']}"
        ":job/tableferry-default-0123456789ab",
        TagsToRemove=["tableferry:migration"],
    )
    environment(lab, "orders", state="absent")
    assert iam.list_role_policies(RoleName=ROLE)["PolicyNames"] == ["tableferry-spark-us-east-1"]
    assert len(glue.get_jobs()["Jobs"]) == 1


def test_a_role_that_is_not_ours_is_neither_used_nor_removed(lab: RunningLab) -> None:
    iam = lab.client("iam", "destination")
    trust = {"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=document)
    refused = environment(lab, "orders")
    assert (refused["ferry_error"], refused["ferry_status"]) == ("NotOurs", "refused")
    environment(lab, "orders", state="absent")
    assert ROLE in roles(lab)


def test_with_a_role_of_the_users_none_is_made(lab: RunningLab) -> None:
    mine = f"arn:aws:iam::{lab.landscape['accounts']['destination']['account_id']}:role/mine"
    assert environment(lab, "orders", role_arn=mine)["role_arn"] == mine
    assert ROLE not in roles(lab)
    make_own = lab.client("emr-serverless", "destination").create_application(
        name="tableferry-default-x",
        releaseLabel="emr-7.14.0",
        type="SPARK",
        clientToken="t",
        tags={"tableferry:migration": "default"},
    )
    removed = environment(lab, "orders", role_arn=mine, state="absent")
    whats = [change["what"] for change in removed["changes"]] + [entry["what"] for entry in removed["left"]]
    assert f"application {make_own['applicationId']} of EMR Serverless" in whats
