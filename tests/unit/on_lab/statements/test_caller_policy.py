# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inline policy of the source's caller: it fits, is waited for, and keeps what others added (found.md B4, C4)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidInput, ServiceError
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.caller_policy import (
    CallerPolicyOptions,
    InlinePolicy,
    apply_caller_policy,
    plan_caller_policy,
    wait_until_applied,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.users import ALONE
from lab.client import RunningLab, running

TABLE = "arn:aws:dynamodb:eu-west-1:111111111111:table/"


@dataclass
class Caller:
    """A user of the source account who may do nothing but write its own inline policies."""

    lab: RunningLab
    name: str
    account: Account

    @property
    def inline(self) -> dict[str, dict]:
        """Its policies besides the one that it came with."""
        iam = self.lab.client("iam", "source")
        names = iam.list_user_policies(UserName=self.name)["PolicyNames"]
        return {
            name: iam.get_user_policy(UserName=self.name, PolicyName=name)["PolicyDocument"]
            for name in names
            if name != "own"
        }

    def give(self, options: CallerPolicyOptions) -> list:
        """The changes."""
        return apply_caller_policy(plan_caller_policy(self.account, options), ALONE)


@pytest.fixture
def caller(monkeypatch: pytest.MonkeyPatch) -> Iterator[Caller]:
    with running(scale=0.0) as lab:
        iam = lab.client("iam", "source")
        arn = iam.create_user(UserName="mover", Path="/tools/")["User"]["Arn"]
        own = {"Effect": "Allow", "Action": [f"iam:{verb}UserPolicy" for verb in ("Get", "Put", "Delete")]}
        document = json.dumps({"Version": "2012-10-17", "Statement": [{**own, "Resource": arn}]})
        iam.put_user_policy(UserName="mover", PolicyName="own", PolicyDocument=document)
        key = iam.create_access_key(UserName="mover")["AccessKey"]
        spec = AccountSpec(
            "source",
            region=lab.landscape["region"],
            access_key=key["AccessKeyId"],
            secret_key=key["SecretAccessKey"],
            endpoint_url=lab.endpoint_url,
        )
        monkeypatch.setattr(Account, "sleep", lambda _account, seconds: lab.advance(seconds))
        yield Caller(lab, "mover", Account(spec))


def options(*tables: str, bucket: str = "staged", key: str = "") -> CallerPolicyOptions:
    return CallerPolicyOptions("ours", tables, bucket, "222222222222", key, formerly=("older",))


def named(policy: dict, sid: str) -> list[str]:
    return next(each["Resource"] for each in policy["Statement"] if each["Sid"] == sid)


def test_c4_another_inventory_keeps_what_the_first_one_needs(caller: Caller) -> None:
    assert caller.give(options("orders"))
    assert caller.give(options("users", bucket="other", key="arn:aws:kms:eu-west-1:222222222222:key/1"))
    assert not caller.give(options("orders"))
    policy = caller.inline["ours"]
    tables = ["orders", "orders/*", "users", "users/*"]
    assert named(policy, "Tables") == [TABLE + each for each in tables]
    assert named(policy, "Staging") == [
        f"arn:aws:s3:::{each}/tableferry/*/AWSDynamoDB/*" for each in ("other", "staged")
    ]
    staging = next(each for each in policy["Statement"] if each["Sid"] == "Staging")
    assert staging["Condition"] == {"StringEquals": {"aws:ResourceAccount": "222222222222"}}


def test_c4_a_policy_that_would_be_too_large_names_every_table_and_goes_on_doing_so(caller: Caller) -> None:
    caller.give(options(*(f"table-with-a-name-{number:02}" for number in range(12))))
    assert named(caller.inline["ours"], "Tables") == [f"{TABLE}*"]
    assert not caller.give(options("orders"))


def test_c4_what_other_policies_of_the_caller_leave_is_enough_or_said(caller: Caller) -> None:
    """IAM counts all inline policies of a user together, and the caller may not list them."""
    iam = caller.lab.client("iam", "source")

    def fill(size: int) -> None:
        statement = {"Effect": "Allow", "Action": "x:y", "Resource": "a" * size}
        document = json.dumps({"Version": "2012-10-17", "Statement": statement})
        iam.put_user_policy(UserName=caller.name, PolicyName="own2", PolicyDocument=document)

    names = [f"t{number}" for number in range(6)]
    fill(300)
    caller.give(options(*names))
    assert named(caller.inline["ours"], "Tables") == [f"{TABLE}*"]
    iam.delete_user_policy(UserName=caller.name, PolicyName="ours")
    fill(1400)
    with pytest.raises(ServiceError, match=r"does not fit beside the other inline policies.*2048 bytes"):
        caller.give(options(*names))


def test_b4_the_policy_is_waited_for_a_minute_and_then_said(caller: Caller) -> None:
    caller.lab.set_timings({"iam.propagation": 22})
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        caller.lab.advance(seconds)

    caller.give(options("orders"))
    assert wait_until_applied(caller.account, ["orders"], sleep) == ""
    assert 15 <= sum(slept) <= 30
    slept.clear()
    assert wait_until_applied(caller.account, ["users"], sleep).startswith("The source account refused")
    assert sum(slept) == 60


def test_b4_what_time_does_not_mend_is_not_waited_for(caller: Caller) -> None:
    deny = {"Effect": "Deny", "Action": "dynamodb:*", "Resource": "*"}
    caller.lab.set_control_policies("111111111111", {"Version": "2012-10-17", "Statement": [deny]})
    caller.give(options("orders"))
    assert wait_until_applied(caller.account, ["orders"], lambda seconds: pytest.fail("It slept.")) == ""


def test_c4_what_goes_is_ours_and_that_of_an_earlier_version(caller: Caller) -> None:
    caller.give(options("orders"))
    statement = {"Effect": "Allow", "Action": "x:y", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    for name in ("older", "theirs"):
        iam = caller.lab.client("iam", "source")
        iam.put_user_policy(UserName=caller.name, PolicyName=name, PolicyDocument=document)
    plan = plan_caller_policy(caller.account, options(), present=False)
    assert len(apply_caller_policy(plan, ALONE)) == 2
    assert set(caller.inline) == {"theirs"}
    assert plan_caller_policy(caller.account, options(), present=False).changes == []


def test_c4_root_takes_no_policy(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Account, "principal_arn", "arn:aws:iam::111111111111:root")
    with pytest.raises(InvalidInput, match="takes no inline policy"):
        InlinePolicy.of(caller.account, "ours")
