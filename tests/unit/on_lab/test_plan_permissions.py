# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan says of the permissions of the callers, by the lab's IAM."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.filter.permissions import ready_policies
from ansible_collections.tableferry.aws.plugins.module_utils.core import migration
from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods import planning
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions, SparkChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.permitting import (
    Moved,
    Policies,
    permissions_of,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.planning import ToPlan, make_plan
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.document import lines_of
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.permitted import Permitted
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.prices import usual
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.ready_policies import filled
from tests.unit.on_lab.callers import user_who_may
from tests.unit.on_lab.recorded import world
from tests.unit.on_lab.staged import BUCKET, DESTINATION, REGION, SOURCE, Staged

pytestmark = pytest.mark.usefixtures("at_once")
WAYS = ("s3", "direct", "backup", "glue", "emr", "emr-cluster")
POLICIES = Policies(ready_policies([*WAYS, "none"]), migration.method_of)
ASK = {"Effect": "Allow", "Action": "iam:SimulatePrincipalPolicy", "Resource": "*"}
PLACES = {
    "SOURCE": SOURCE,
    "DESTINATION": DESTINATION,
    "REGION": REGION,
    "TABLE": "*",
    "BUCKET": BUCKET,
    "CALLER": "mover",
    "VAULT": "tableferry",
    "STREAM": "*",
}


@pytest.fixture(autouse=True)
def one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "THREADS", 1)


def caller(aws: Staged, side: str, *statements: dict[str, Any]) -> Account:
    """A user of ``side`` who may do what ``statements`` say, at most ten of them in a policy."""
    iam, name = aws.client("iam", side), "mover"
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements[:10])})
    keys = user_who_may(iam, name, text)
    for at in range(10, len(statements), 10):
        more = json.dumps({"Version": "2012-10-17", "Statement": list(statements[at : at + 10])})
        arn = iam.create_policy(PolicyName=f"{name}-{at}", PolicyDocument=more)["Policy"]["Arn"]
        iam.attach_user_policy(UserName=name, PolicyArn=arn)
    account = aws.account(side)
    account.spec = replace(account.spec, role_arn="")
    account._caller = aws.world.identity.credential(keys["access_key"]).caller
    return account


def exactly(way: str, side: str, *without: str) -> list[dict[str, Any]]:
    """The statements of the ready policy, but for some actions."""
    found = []
    for statement in filled(POLICIES.documents[way][side], PLACES)["Statement"]:
        actions = [action for action in statement["Action"] if action not in without]
        if actions:
            found.append({**statement, "Action": actions})
    return found


def asked(source: Account, destination: Account, way: str = "s3", **options: Any) -> dict[str, Permitted]:
    method, _, engine = way.partition("-")
    choices = MigrationOptions("orders", bucket=BUCKET, spark=SparkChoices(engine=engine), **options)
    found = permissions_of(POLICIES, [Moved(method, choices, source, destination, prepared=True)])
    return {each.side: each for each in found}


def test_the_policies_of_all_methods_are_there() -> None:
    assert set(POLICIES.documents) == set(WAYS)


@pytest.mark.parametrize("way", WAYS)
def test_who_may_what_the_ready_policies_say_lacks_nothing(way: str) -> None:
    aws = world()
    source, destination = (caller(aws, side, *exactly(way, side)) for side in ("source", "destination"))
    found = asked(source, destination, way, kinesis_map={"a": f"arn:aws:kinesis:{REGION}:{DESTINATION}:stream/it"})
    assert {each.looked_at for each in found.values()} == {"simulated"}
    assert [(each.missing, each.unknown, each.policies, each.to_do) for each in found.values()] == [
        ((), (), (), "")
    ] * 2
    assert aws.mutating() == []


def test_a_method_that_ends_with_the_jobs_of_another_one_needs_what_that_one_does() -> None:
    plain = MigrationOptions("orders")
    assert list(POLICIES.ways("glue", plain)) == ["glue"]
    assert list(POLICIES.ways("glue", replace(plain, spark=SparkChoices(end="import")))) == ["glue", "s3"]


def test_what_a_caller_lacks_is_told_with_a_policy_to_attach() -> None:
    aws = world()
    without = ("dynamodb:ExportTableToPointInTime", "s3:PutObject")
    source = caller(aws, "source", *exactly("s3", "source", *without), ASK)
    found = asked(source, aws.account("destination"))
    lacks = found["source"]
    assert (lacks.missing, lacks.denied) == (without, ())
    assert lacks.caller == f"arn:aws:iam::{SOURCE}:user/mover"
    assert lacks.to_do == (
        f"source account {SOURCE}, {REGION}: {lacks.caller} lacks 2 permissions for s3:"
        " dynamodb:ExportTableToPointInTime, s3:PutObject. Attach the policy in permissions of the plan's JSON."
    )
    statements = {tuple(each["Action"]): each["Resource"] for each in lacks.policies[0]["Statement"]}
    assert statements == {
        ("dynamodb:ExportTableToPointInTime",): f"arn:aws:dynamodb:{REGION}:{SOURCE}:table/orders",
        ("s3:PutObject",): f"arn:aws:s3:::{BUCKET}/tableferry/*/AWSDynamoDB/*",
    }
    assert found["destination"].missing == ()  # an administrator
    more = aws.client("iam", "source").create_policy(PolicyName="more", PolicyDocument=json.dumps(lacks.policies[0]))
    aws.client("iam", "source").attach_user_policy(UserName="mover", PolicyArn=more["Policy"]["Arn"])
    assert asked(source, aws.account("destination"))["source"].missing == ()


def test_what_is_denied_and_conditions_without_a_value_are_told() -> None:
    aws = world()
    no = {"Effect": "Deny", "Action": "dynamodb:ExportTableToPointInTime", "Resource": "*"}
    away = {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}
    source = caller(aws, "source", *exactly("s3", "source"), ASK, {**no, "Condition": away})
    lacks = asked(source, aws.account("destination"))["source"]
    assert lacks.missing == lacks.denied == ("dynamodb:ExportTableToPointInTime",)
    assert lacks.unknown == ("aws:sourcevpce",)
    assert "A policy denies explicitly: dynamodb:ExportTableToPointInTime" in lacks.to_do
    assert lacks.to_do.endswith("taken as not met: aws:sourcevpce.")


def test_who_may_not_ask_is_told_and_plans_all_the_same() -> None:
    aws = world({"orders": 7})
    source = caller(aws, "source", *exactly("s3", "source", "iam:SimulatePrincipalPolicy"))
    options = MigrationOptions("orders", bucket=BUCKET, enable_point_in_time_recovery=True)
    entries = [ToPlan("orders", source, aws.account("destination"), options)]
    data = make_plan(migration.METHODS, entries, usual(), policies=POLICIES).to_dict()
    assert data["tables"][0]["method"] == "s3"
    assert [each["looked_at"] for each in data["permissions"]] == ["not_allowed", "simulated"]
    (warning,) = [line for line in lines_of(data) if "was not found out" in line]
    assert "it may not ask IAM (iam:SimulatePrincipalPolicy)" in warning
    assert data["to_do"] == []


def test_the_plan_has_the_line_and_the_policy() -> None:
    aws = world({"orders": 7})
    source = caller(aws, "source", *exactly("s3", "source", "s3:PutObject"), ASK)
    options = MigrationOptions("orders", bucket=BUCKET, enable_point_in_time_recovery=True)
    entries = [ToPlan("orders", source, aws.account("destination"), options)]
    data = make_plan(migration.METHODS, entries, usual(), policies=POLICIES).to_dict()
    assert data["totals"]["to_do"] == 1 and data["line"].endswith("1 thing for you to do")
    assert data["permissions"][0]["policies"][0]["Statement"][0]["Action"] == ["s3:PutObject"]
    assert any(line.startswith(f"To do: source account {SOURCE}") for line in lines_of(data))
    assert make_plan(migration.METHODS, entries, usual()).to_dict()["permissions"] == []


def test_a_caller_that_iam_does_not_know_is_told() -> None:
    aws = world()
    source, destination = aws.account("source"), aws.account("destination")
    source.__dict__["principal_arn"] = f"arn:aws:iam::{SOURCE}:root"
    found = asked(source, destination)["source"]
    assert (found.looked_at, found.missing) == ("no_principal", ())
    assert "IAM simulates users and roles" in found.warning


def test_a_few_tables_are_asked_about_and_the_policies_have_all() -> None:
    aws = world()
    source = caller(aws, "source", *exactly("s3", "source", "dynamodb:ExportTableToPointInTime"), ASK)
    destination = aws.account("destination")

    def lacks(number: int) -> Permitted:
        names = [f"a-table-with-a-long-name-of-its-own-{at:04d}" for at in range(number)]
        tables = [
            Moved("s3", MigrationOptions(name, bucket=BUCKET), source, destination, prepared=True) for name in names
        ]
        aws.calls.clear()
        return permissions_of(POLICIES, tables)[0]

    few = lacks(30)
    calls = aws.count("SimulatePrincipalPolicy")
    (policy,) = few.policies
    assert [each.rpartition("-")[2] for each in policy["Statement"][0]["Resource"]] == [f"{at:04d}" for at in range(30)]
    many = lacks(300)
    assert aws.count("SimulatePrincipalPolicy") == calls
    assert len(many.policies) > 1 and f"Attach the {len(many.policies)} policies" in many.to_do
    every = lacks(1500)
    assert [each["Statement"][0]["Resource"] for each in every.policies] == [
        f"arn:aws:dynamodb:{REGION}:{SOURCE}:table/*"
    ]
    assert "every table" in every.to_do
