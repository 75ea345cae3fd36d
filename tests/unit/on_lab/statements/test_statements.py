# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Buckets, keys, grants, roles and vaults that others use too: ours goes in beside theirs, and comes out alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    InvalidInput,
    KeyNotUsable,
    NotOurs,
    PolicyNotReadable,
    ServiceError,
    StagingBucketUnusable,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports import staging_bucket
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.staging_bucket import (
    StagingOptions,
    apply_bucket,
    apply_leaving,
    export_statement,
    exporting_services,
    key_statements,
    plan_bucket,
    plan_leaving,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.access import (
    destination_vault_key,
    job_role,
    source_vault_key,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.vault_removal import (
    apply_vault_removal,
    plan_vault_removal,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.vaults import make_vault, plan_vault
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.bucket_policy import BucketPolicy
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.grants import (
    GrantOptions,
    apply_grant,
    plan_grant,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.key_policy import (
    KeyOptions,
    apply_key,
    plan_key,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.role import apply_role, plan_role
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.shared_policy import (
    WRITES,
    apply_policy,
    plan_policy,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.users import Uncounted
from lab.client import RunningLab, running
from lab.partitions import via_service
from tests.unit.on_lab.callers import user_who_may
from tests.unit.on_lab.readmes import policies, sentence

ALONE = Uncounted()
MARKED = {"tableferry:managed": "true"}
ALIAS = KeyOptions(alias="alias/tableferry-staging")


def at_once(seconds: float) -> None:
    """No pause."""


class Accounts:
    """A lab's accounts as the product sees them."""

    def __init__(self, lab: RunningLab) -> None:
        self.lab = lab
        self.destination = self.account("destination", "destination")
        self.s3, self.kms, self.iam = (lab.client(service, "destination") for service in ("s3", "kms", "iam"))

    def account(self, side: Any, name: str) -> Account:
        """The account ``name`` as its administrator."""
        keys = self.lab.landscape["accounts"][name]
        told = {part: keys[part] for part in ("access_key", "secret_key")}
        told |= {"region": self.lab.landscape["region"], "endpoint_url": self.lab.endpoint_url}
        return Account(AccountSpec.from_mapping(side, told))

    def options(self, source: str = "source", bucket: str = "staging", **more: Any) -> StagingOptions:
        """The bucket for the exports of ``source``."""
        return StagingOptions(bucket, self.account("source", source).principal_arn, **more)

    def make_ready(self, options: StagingOptions) -> None:
        apply_bucket(plan_bucket(self.destination, options), ALONE, sleep=at_once)

    def leave(self, options: StagingOptions, remove: bool = False) -> None:
        apply_leaving(plan_leaving(self.destination, options, remove_bucket=remove), ALONE, sleep=at_once)

    def policy(self, bucket: str = "staging") -> list[dict[str, Any]]:
        return json.loads(self.s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]

    def put_statements(self, statements: list[dict[str, Any]], bucket: str = "staging") -> None:
        self.s3.put_bucket_policy(
            Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Id": "theirs", "Statement": statements})
        )

    def create_bucket(self, name: str, owner: str = "destination", **more: Any) -> None:
        place = {"LocationConstraint": self.lab.landscape["region"]}
        self.lab.client("s3", owner).create_bucket(Bucket=name, CreateBucketConfiguration=place, **more)

    def key(self, options: KeyOptions, source: str = "source", present: bool = True) -> str:
        statements = key_statements(self.destination, self.account("source", source).principal_arn)
        sides = {"present": statements} if present else {"absent": statements}
        return apply_key(plan_key(self.destination, options, **sides), ALONE, sleep=at_once)[0]

    def key_policy(self, key: str) -> list[dict[str, Any]]:
        return json.loads(self.kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])["Statement"]

    def put_key_policy(self, key: str, statements: list[dict[str, Any]]) -> None:
        self.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=document(statements))


def document(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def deny(resource: Any, action: str) -> dict[str, Any]:
    """A statement of a security team, for a principal that is there for good."""
    return {"Sid": "Guard", "Effect": "Deny", "Principal": "*", "Action": [action], "Resource": resource}


@pytest.fixture
def accounts() -> Iterator[Accounts]:
    with running(scale=0.0) as lab:
        yield Accounts(lab)


def mutating(accounts: Accounts) -> list[str]:
    return [call["operation"] for call in accounts.lab.mutating_calls()]


# The staging bucket


def test_a_bucket_is_made_closed_and_a_second_run_changes_nothing(accounts):
    options = accounts.options(expire_days=7)
    plan = plan_bucket(accounts.destination, options)
    assert [change.what for change in plan.changes] == ["bucket staging"]
    assert mutating(accounts) == []
    apply_bucket(plan, ALONE, sleep=at_once)
    allowed, denied = accounts.policy()
    assert allowed["Principal"] == {"AWS": options.source_principal}
    assert allowed["Action"] == ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"]
    assert allowed["Resource"] == "arn:aws:s3:::staging/tableferry/*/export/111111111111/*/AWSDynamoDB/*"
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert accounts.s3.get_bucket_tagging(Bucket="staging")["TagSet"] == [
        {"Key": "tableferry:managed", "Value": "true"}
    ]
    rule = accounts.s3.get_bucket_lifecycle_configuration(Bucket="staging")["Rules"][0]
    assert (rule["ID"], rule["Expiration"]) == ("tableferry-left-overs", {"Days": 7})
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 7}
    accounts.lab.clear_requests()
    again = plan_bucket(accounts.destination, options)
    assert again.changes == []
    apply_bucket(again, ALONE, sleep=at_once)
    assert mutating(accounts) == []


def test_a8_two_pairs_share_a_bucket_and_a_foreign_deny_survives_both(accounts):
    """found.md A8: with other shapes of other collections each of these was erased, with exit 0."""
    first, second = accounts.options(), accounts.options("outside")
    accounts.make_ready(first)
    guard = deny("arn:aws:s3:::staging/private/*", "s3:DeleteObject")
    accounts.put_statements([guard, *accounts.policy()])
    accounts.make_ready(second)
    accounts.make_ready(first)
    sids = [export_statement(accounts.destination, options).sid for options in (first, second)]
    assert len(set(sids)) == 2
    assert [statement["Sid"] for statement in accounts.policy()] == ["Guard", sids[0], "TableFerryTlsOnly", sids[1]]
    accounts.leave(first)
    assert [statement["Sid"] for statement in accounts.policy()] == ["Guard", "TableFerryTlsOnly", sids[1]]
    assert json.loads(accounts.s3.get_bucket_policy(Bucket="staging")["Policy"])["Id"] == "theirs"
    accounts.leave(first)
    accounts.leave(second)
    assert accounts.policy()[0] == guard
    assert [statement["Sid"] for statement in accounts.policy()] == ["Guard", "TableFerryTlsOnly"]


def test_a_sid_names_the_pair(accounts):
    sid = export_statement(accounts.destination, accounts.options()).sid
    assert sid.startswith("TableFerryExport111111111111To222222222222euwest1")
    assert sid.isalnum()


def test_somebody_elses_bucket_gets_the_statement_and_nothing_besides(accounts):
    accounts.create_bucket("theirs")
    accounts.lab.clear_requests()
    options = accounts.options(bucket="theirs")
    accounts.make_ready(options)
    assert set(mutating(accounts)) == {"PutBucketPolicy"}
    assert len(accounts.policy("theirs")) == 1
    with pytest.raises(NotOurs, match="TableFerry did not create it"):
        accounts.leave(options, remove=True)
    with pytest.raises(accounts.s3.exceptions.ClientError, match="NoSuchBucketPolicy"):
        accounts.policy("theirs")


def test_a_bucket_whose_writers_own_their_objects_is_refused(accounts):
    accounts.create_bucket("owned", ObjectOwnership="ObjectWriter")
    accounts.lab.clear_requests()
    with pytest.raises(StagingBucketUnusable, match="BucketOwnerEnforced"):
        plan_bucket(accounts.destination, accounts.options(bucket="owned"))
    assert mutating(accounts) == []


def test_another_accounts_bucket_is_refused_even_where_it_lets_us_in(accounts):
    """found.md C5: it was taken for absent, and its policy replaced."""
    accounts.create_bucket("foreign", owner="outside")
    everything = {
        "Sid": "All",
        "Effect": "Allow",
        "Principal": {"AWS": accounts.destination.account_id},
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::foreign", "arn:aws:s3:::foreign/*"],
    }
    accounts.lab.client("s3", "outside").put_bucket_policy(Bucket="foreign", Policy=document([everything]))
    accounts.lab.clear_requests()
    for look in (plan_bucket, plan_leaving):
        with pytest.raises(StagingBucketUnusable, match="belongs to another account than 222222222222"):
            look(accounts.destination, accounts.options(bucket="foreign"))
    assert mutating(accounts) == []


def test_a_bucket_of_ours_is_mended_and_keeps_the_rules_of_others(accounts):
    options = accounts.options()
    accounts.make_ready(options)
    theirs = {"ID": "logs", "Filter": {"Prefix": "logs/"}, "Status": "Enabled", "Expiration": {"Days": 1}}
    accounts.s3.put_bucket_lifecycle_configuration(Bucket="staging", LifecycleConfiguration={"Rules": [theirs]})
    accounts.s3.delete_public_access_block(Bucket="staging")
    changes = plan_bucket(accounts.destination, options).changes
    assert [change.what.partition(" of ")[0] for change in changes] == ["public access block", "lifecycle"]
    accounts.make_ready(options)
    assert plan_bucket(accounts.destination, options).changes == []
    rules = accounts.s3.get_bucket_lifecycle_configuration(Bucket="staging")["Rules"]
    assert rules[0] == theirs
    key = accounts.options(kms_key_arn="arn:aws:kms:eu-west-1:222222222222:key/1")
    assert ["encryption" in change.what for change in plan_bucket(accounts.destination, key).changes] == [True]


def test_a_statement_narrowed_by_the_owner_stays_narrowed(accounts):
    options = accounts.options()
    accounts.make_ready(options)
    allowed, denied = accounts.policy()
    narrowed = {**allowed, "Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}}
    accounts.put_statements([narrowed, denied])
    assert plan_bucket(accounts.destination, options).changes == []
    accounts.put_statements([{**allowed, "Action": "s3:*"}, denied])
    accounts.make_ready(options)
    assert accounts.policy() == [allowed, denied]


def test_a_statement_of_version_0_2_gets_its_new_sid_and_goes_with_it(accounts):
    options = accounts.options()
    accounts.create_bucket("staging")
    statement = export_statement(accounts.destination, options)
    old = {**statement.to_dict(), "Sid": statement.formerly[0]}
    accounts.put_statements([old])
    accounts.make_ready(options)
    assert [each["Sid"] for each in accounts.policy()] == [statement.sid]
    accounts.put_statements([old, {**old, "Sid": "Mine"}])
    accounts.leave(options)
    assert [each["Sid"] for each in accounts.policy()] == ["Mine"]


def test_c3_a_source_writes_below_its_own_account_only(accounts):
    """found.md C3: a source could put forged items into the place of another one's export."""
    first, second = accounts.options(), accounts.options("outside")
    accounts.make_ready(first)
    accounts.make_ready(second)
    writer = accounts.lab.client("s3", "outside")
    owner = accounts.lab.landscape["accounts"]["outside"]["account_id"]
    place = "tableferry/default/export/{}/eu-west-1/orders/AWSDynamoDB/0123-ab/data/0.json.gz"
    acl = {"ACL": "bucket-owner-full-control"}
    writer.put_object(Bucket="staging", Key=place.format(owner), Body=b"", **acl)
    with pytest.raises(ClientError, match="AccessDenied"):
        writer.put_object(Bucket="staging", Key=place.format("111111111111"), Body=b"", **acl)


@pytest.mark.parametrize("former", [False, True])
def test_c3_a_statement_for_all_that_is_staged_is_narrowed(accounts, former):
    options = accounts.options()
    accounts.create_bucket("staging")
    statement = export_statement(accounts.destination, options)
    sid = statement.formerly[0] if former else statement.sid
    wide = {**statement.to_dict(), "Sid": sid, "Resource": "arn:aws:s3:::staging/tableferry/*/AWSDynamoDB/*"}
    guard = deny("arn:aws:s3:::staging/private/*", "s3:DeleteObject")
    accounts.put_statements([guard, wide])
    accounts.make_ready(options)
    assert accounts.policy() == [guard, statement.to_dict()]
    accounts.put_statements([guard, wide])
    accounts.leave(options)
    assert accounts.policy() == [guard]


def test_c3_a_condition_that_was_added_stays_on_the_narrowed_statement(accounts):
    options = accounts.options()
    accounts.create_bucket("staging")
    statement = export_statement(accounts.destination, options)
    condition = {"Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}}
    wide = "arn:aws:s3:::staging/tableferry/*/AWSDynamoDB/*"
    accounts.put_statements([{**statement.to_dict(), "Resource": wide, **condition}])
    accounts.make_ready(options)
    assert accounts.policy() == [{**statement.to_dict(), **condition}]


def test_a22_two_runs_that_make_the_bucket_at_once_use_one(accounts):
    """found.md A22."""
    first, second = accounts.options(), accounts.options("outside")
    plans = [plan_bucket(accounts.destination, options) for options in (first, second)]
    for plan in plans:
        apply_bucket(plan, ALONE, sleep=at_once)
    assert len(accounts.policy()) == 3
    assert accounts.lab.count("CreateBucket") == 2
    assert plan_bucket(accounts.destination, second).ours


def test_a_name_that_another_account_takes_meanwhile_is_refused(accounts):
    plan = plan_bucket(accounts.destination, accounts.options())
    accounts.create_bucket("staging", owner="outside")
    with pytest.raises(StagingBucketUnusable, match="taken by another account"):
        apply_bucket(plan, ALONE, sleep=at_once)


def test_a_bucket_goes_only_empty_and_when_nobody_else_is_let_in(accounts):
    first, second = accounts.options(), accounts.options("outside")
    accounts.make_ready(first)
    accounts.make_ready(second)
    with pytest.raises(StagingBucketUnusable, match="statements of others"):
        accounts.leave(first, remove=True)
    accounts.s3.put_object(Bucket="staging", Key="tableferry/x", Body=b"x")
    with pytest.raises(StagingBucketUnusable, match="not empty"):
        accounts.leave(second, remove=True)
    accounts.s3.delete_object(Bucket="staging", Key="tableferry/x")
    accounts.leave(second, remove=True)
    assert accounts.s3.list_buckets()["Buckets"] == []
    assert plan_leaving(accounts.destination, second, remove_bucket=True).changes == []


# Writers beside us


class Meddled(BucketPolicy):
    """A policy over which somebody writes what he read before us, ``times`` times."""

    times = 1

    def write(self, policy: Any) -> None:
        before = self.read()
        super().write(policy)
        if Meddled.times > 0:
            Meddled.times -= 1
            theirs = deny("arn:aws:s3:::staging/*", "s3:PutObjectRetention")
            statements = [each for each in before.get("Statement", []) if each["Sid"] != "Guard"]
            super().write({"Version": "2012-10-17", "Statement": [*statements, theirs]})


@pytest.mark.parametrize(("times", "lost"), [(1, False), (WRITES - 1, False), (WRITES, True)])
def test_a_writer_that_comes_between_keeps_his_statement_and_we_keep_ours(accounts, times, lost):
    accounts.create_bucket("staging")
    Meddled.times = times
    statement = export_statement(accounts.destination, accounts.options())
    plan = plan_policy(Meddled(accounts.destination, "staging"), present=[statement])
    if lost:
        with pytest.raises(ServiceError, match="wrote over it each time"):
            apply_policy(plan, ALONE, sleep=at_once)
    else:
        apply_policy(plan, ALONE, sleep=at_once)
        assert [each["Sid"] for each in accounts.policy()] == ["Guard", statement.sid]


def test_what_others_wrote_after_the_plan_is_kept(accounts):
    accounts.create_bucket("staging")
    plan = plan_bucket(accounts.destination, accounts.options())
    accounts.put_statements([deny("arn:aws:s3:::staging/*", "s3:PutObjectRetention")])
    apply_bucket(plan, ALONE, sleep=at_once)
    assert accounts.policy()[0]["Sid"] == "Guard"


class Counted:
    """Users of which others remain where ``others``."""

    def __init__(self, others: bool) -> None:
        self.others = others
        self.calls: list[tuple[str, str]] = []

    def add(self, resource: str) -> None:
        self.calls.append(("add", resource))

    def needed(self, resource: str) -> bool:
        return self.others

    @contextmanager
    def leave(self, resource: str, *, there: bool = True) -> Iterator[bool]:
        self.calls.append(("leave", resource))
        yield not self.others


@pytest.mark.parametrize("needed", [True, False])
def test_a_statement_goes_when_nobody_needs_it_any_more(accounts, needed):
    """found.md A11."""
    options, users = accounts.options(), Counted(needed)
    apply_bucket(plan_bucket(accounts.destination, options), users, sleep=at_once)
    apply_leaving(plan_leaving(accounts.destination, options), users, sleep=at_once)
    sid = export_statement(accounts.destination, options).sid
    assert [each["Sid"] for each in accounts.policy()] == ([sid] if needed else []) + ["TableFerryTlsOnly"]
    assert users.calls[0] == ("add", f"arn:aws:s3:::staging#{sid}")
    assert users.calls[-1] == ("leave", f"arn:aws:s3:::staging#{sid}")


def test_a_policy_that_is_not_understood_is_not_written_over(accounts, monkeypatch):
    accounts.make_ready(accounts.options())
    accounts.lab.clear_requests()
    for answer in ('["no policy"]', "{", '{"Statement": "x"}', '{"Statement": [1]}'):
        account = accounts.account("destination", "destination")
        ask = account.ask
        monkeypatch.setattr(
            account,
            "ask",
            lambda service, operation, *rest, answer=answer, ask=ask, **params: (
                {"Policy": answer} if operation == "get_bucket_policy" else ask(service, operation, *rest, **params)
            ),
        )
        with pytest.raises(PolicyNotReadable, match="policy of the bucket staging"):
            plan_bucket(account, accounts.options())
    assert mutating(accounts) == []


def test_a8_a_setting_of_unknown_shape_is_refused(accounts, monkeypatch):
    accounts.make_ready(accounts.options())
    monkeypatch.setitem(staging_bucket._READERS, "encryption", ("get_bucket_encryption", lambda answer: answer["New"]))
    with pytest.raises(StagingBucketUnusable, match="shape that is not known"):
        plan_bucket(accounts.destination, accounts.options())


def test_a_policy_that_aws_refuses_for_a_principal_of_others_says_so(accounts):
    accounts.create_bucket("staging")
    plan = plan_bucket(accounts.destination, accounts.options())
    accounts.lab.add_fault(
        operation="s3.PutBucketPolicy",
        code="MalformedPolicy",
        message="Invalid principal in policy",
        status=400,
        times=-1,
    )
    waited: list[float] = []
    with pytest.raises(ServiceError, match=r"refuses the policy of the bucket staging.*no longer exists"):
        apply_bucket(plan, ALONE, sleep=waited.append)
    assert sum(waited) == 120


def test_b3_a_role_made_a_moment_ago_is_waited_for(accounts):
    accounts.create_bucket("staging")
    plan = plan_bucket(accounts.destination, accounts.options())
    accounts.lab.add_fault(
        operation="s3.PutBucketPolicy",
        code="MalformedPolicy",
        message="Invalid principal in policy",
        status=400,
        times=3,
    )
    apply_bucket(plan, ALONE, sleep=at_once)
    assert accounts.policy()


# Keys


def test_two_pairs_share_a_key_and_a_foreign_deny_survives_both(accounts):
    """found.md C1: each run replaced the whole policy."""
    arn = accounts.key(ALIAS)
    guard = deny("*", "kms:ScheduleKeyDeletion")
    accounts.put_key_policy(arn, [guard, *accounts.key_policy(arn)])
    assert accounts.key(ALIAS, "outside") == arn
    assert accounts.key(ALIAS) == arn
    statements = accounts.key_policy(arn)
    assert statements[0] == guard
    assert [each["Principal"] for each in statements[2:]] == [
        {"AWS": accounts.options(name).source_principal} for name in ("source", "source", "outside", "outside")
    ]
    assert accounts.kms.get_key_rotation_status(KeyId=arn)["KeyRotationEnabled"]
    accounts.key(ALIAS, present=False)
    assert len(accounts.key_policy(arn)) == 4
    accounts.key(ALIAS, "outside", present=False)
    assert [each["Sid"] for each in accounts.key_policy(arn)] == ["Guard", "OwnAccount"]
    accounts.lab.clear_requests()
    accounts.key(ALIAS, present=False)
    assert mutating(accounts) == []


def test_c10_the_source_uses_the_key_through_s3_alone(accounts):
    """found.md C10: not for messages of its own, and it may look at the key."""
    arn = accounts.key(ALIAS)
    accounts.make_ready(accounts.options(kms_key_arn=arn))
    kms, s3 = (accounts.lab.client(service, "source") for service in ("kms", "s3"))
    assert kms.describe_key(KeyId=arn)["KeyMetadata"]["Arn"] == arn
    with pytest.raises(kms.exceptions.ClientError, match="AccessDenied"):
        kms.generate_data_key(KeyId=arn, KeySpec="AES_256")
    account = accounts.account("source", "source").account_id
    key = f"tableferry/x/export/{account}/x/AWSDynamoDB/data"
    put = {"Bucket": "staging", "Key": key, "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": arn}
    assert s3.put_object(Body=b"{}", ACL="bucket-owner-full-control", **put)["SSEKMSKeyId"] == arn


def test_c10_in_china_either_domain_of_s3_is_allowed(accounts):
    """Which one KMS sees there is not known: the lab has it as a guess (service-domain-by-partition)."""
    china = Account(AccountSpec("destination", region="cn-north-1", access_key="A", secret_key="B"))
    assert china.partition == "aws-cn"
    assert via_service("s3", "cn-north-1") in exporting_services(china)
    ours = exporting_services(accounts.destination)
    assert ours == [via_service("s3", accounts.lab.landscape["region"]), "dynamodb.*.amazonaws.com"]
    assert exporting_services(china)[2:] == ["s3.cn-north-1.amazonaws.com.cn", "dynamodb.*.amazonaws.com.cn"]


@pytest.mark.parametrize("formerly", [False, True])
def test_c10_what_earlier_versions_wrote_is_narrowed_and_keeps_conditions_that_were_added(accounts, formerly):
    arn = accounts.key(ALIAS)
    own, use, look = accounts.key_policy(arn)
    sid = key_statements(accounts.destination, accounts.options().source_principal)[0].formerly[0]
    added = {} if formerly else {"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}, "Bool": {"x": "true"}}}
    old = {key: value for key, value in use.items() if key != "Condition"} | added
    old |= {"Action": ["kms:GenerateDataKey", "kms:Decrypt", "kms:DescribeKey"]} | ({"Sid": sid} if formerly else {})
    accounts.put_key_policy(arn, [own, old])
    accounts.key(ALIAS)
    merged = {operator: dict(keys) for operator, keys in added.get("Condition", {}).items()}
    merged |= use["Condition"]
    after = accounts.key_policy(arn)
    assert len(after) == 3 and own in after and look in after
    assert {**use, "Condition": merged} in after
    accounts.lab.clear_requests()
    accounts.key(ALIAS)
    assert mutating(accounts) == []


def test_no_key_is_made_to_take_a_statement_back(accounts):
    assert accounts.key(ALIAS, present=False) == ""
    assert mutating(accounts) == []


def test_a_key_of_somebody_else_behind_our_alias_is_refused(accounts):
    arn = accounts.kms.create_key()["KeyMetadata"]["Arn"]
    accounts.kms.create_alias(AliasName=ALIAS.alias, TargetKeyId=arn)
    accounts.lab.clear_requests()
    with pytest.raises(NotOurs, match=r"not created by TableFerry.*tableferry:managed=true"):
        accounts.key(ALIAS)
    assert accounts.key(ALIAS, present=False) == ""
    assert mutating(accounts) == []
    assert accounts.key(KeyOptions(arn=arn)) == arn
    assert len(accounts.key_policy(arn)) == 3


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion"])
def test_a_key_that_is_not_enabled_is_refused_and_never_revived(accounts, state):
    arn = accounts.key(ALIAS)
    if state == "Disabled":
        accounts.kms.disable_key(KeyId=arn)
    else:
        accounts.kms.schedule_key_deletion(KeyId=arn)
    accounts.lab.clear_requests()
    with pytest.raises(KeyNotUsable, match=state):
        accounts.key(ALIAS)
    assert mutating(accounts) == []


def test_a22_two_runs_that_make_the_key_at_once_use_one_and_delete_the_other(accounts):
    """found.md A22: two keys, one orphaned."""
    plans = [
        plan_key(
            accounts.destination,
            ALIAS,
            present=key_statements(accounts.destination, accounts.options(name).source_principal),
        )
        for name in ("source", "outside")
    ]
    arns = [apply_key(plan, ALONE, sleep=at_once)[0] for plan in plans]
    assert arns[0] == arns[1]
    assert len(accounts.key_policy(arns[0])) == 5
    states = [
        accounts.kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"]
        for key in accounts.kms.list_keys()["Keys"]
    ]
    assert sorted(states) == ["Enabled", "PendingDeletion"]


def test_an_orphan_that_cannot_be_deleted_is_named(accounts):
    statements = key_statements(accounts.destination, accounts.options().source_principal)
    plans = [plan_key(accounts.destination, ALIAS, present=statements) for _ in range(2)]
    apply_key(plans[0], ALONE, sleep=at_once)
    accounts.lab.add_fault(operation="kms.ScheduleKeyDeletion", code="AccessDeniedException", status=400)
    warnings = apply_key(plans[1], ALONE, sleep=at_once)[2]
    assert len(warnings) == 1
    assert "schedule-key-deletion --key-id arn:aws:kms:" in warnings[0]


def test_an_account_that_is_both_sides_has_one_key_with_both_statements(accounts):
    source, destination = accounts.account("source", "destination"), accounts.account("destination", "source")
    options = KeyOptions(alias="alias/tableferry-backup")
    accounts.lab.client("iam", "destination").create_service_linked_role(AWSServiceName="backup.amazonaws.com")
    for statements in (source_vault_key(source, destination), destination_vault_key(source)):
        arn = apply_key(plan_key(source, options, present=statements), ALONE, sleep=at_once)[0]
    assert [each["Sid"] for each in accounts.key_policy(arn)] == [
        "OwnAccount",
        "TableFerryVaultKey222222222222To111111111111euwest1",
        "TableFerryVaultKeyGrants222222222222To111111111111euwest1",
        "TableFerryBackupRole",
    ]
    mine = source_vault_key(source, destination)
    apply_key(plan_key(source, options, absent=mine), ALONE, sleep=at_once)
    assert [each["Sid"] for each in accounts.key_policy(arn)] == ["OwnAccount", "TableFerryBackupRole"]


def test_a_key_of_version_0_2_opened_to_this_destination_is_closed_and_to_another_one_is_not(accounts):
    source, destination = accounts.account("source", "destination"), accounts.account("destination", "source")
    statements = source_vault_key(source, destination)
    options = KeyOptions(alias="alias/tableferry-backup")
    arn = apply_key(plan_key(source, options, present=statements), ALONE, sleep=at_once)[0]
    own, *ours = accounts.key_policy(arn)
    old = [{**each, "Sid": now.formerly[0]} for each, now in zip(ours, statements, strict=True)]
    accounts.put_key_policy(arn, [own, *old])
    elsewhere = source_vault_key(source, accounts.account("destination", "outside"))
    apply_key(plan_key(source, options, absent=elsewhere), ALONE, sleep=at_once)
    assert accounts.key_policy(arn) == [own, *old]
    apply_key(plan_key(source, options, absent=statements), ALONE, sleep=at_once)
    assert accounts.key_policy(arn) == [own]


# Grants


def test_grants_are_made_once_and_only_ours_are_revoked(accounts):
    """found.md C6."""
    arn = accounts.kms.create_key()["KeyMetadata"]["Arn"]
    grantee = accounts.destination.principal_arn
    ours = GrantOptions(arn, "tableferry-default-333-eu-west-1", grantee, formerly=("tableferry-default",))
    theirs = {"KeyId": arn, "GranteePrincipal": grantee, "Operations": ["Decrypt"]}
    accounts.kms.create_grant(Name="theirs", **theirs)
    accounts.kms.create_grant(**theirs)
    for _ in range(2):
        apply_grant(plan_grant(accounts.destination, ours), ALONE)
    accounts.kms.create_grant(Name="tableferry-default", **theirs)
    elsewhere = GrantOptions(arn, "tableferry-default-444-eu-west-1", grantee)
    apply_grant(plan_grant(accounts.destination, elsewhere), ALONE)
    assert len(accounts.kms.list_grants(KeyId=arn)["Grants"]) == 5
    assert accounts.lab.count("CreateGrant", ok=True) == 5
    assert apply_grant(plan_grant(accounts.destination, ours, present=False), Counted(others=True)) == []
    assert len(apply_grant(plan_grant(accounts.destination, ours, present=False), ALONE)) == 2
    left = sorted(grant.get("Name", "") for grant in accounts.kms.list_grants(KeyId=arn)["Grants"])
    assert left == ["", elsewhere.name, "theirs"]
    assert plan_grant(accounts.destination, ours, present=False).changes == []


def test_a_key_that_cannot_be_granted_is_refused(accounts):
    arn = accounts.kms.create_key()["KeyMetadata"]["Arn"]
    accounts.kms.disable_key(KeyId=arn)
    for key, says in ((arn, "Disabled"), (f"{arn[:-2]}00", "missing")):
        options = GrantOptions(key, "tableferry-x", accounts.destination.principal_arn)
        with pytest.raises(KeyNotUsable, match=says):
            plan_grant(accounts.destination, options)
        assert plan_grant(accounts.destination, options, present=False).changes == []
    with pytest.raises(InvalidInput, match="alias"):
        plan_grant(accounts.destination, GrantOptions("alias/x", "tableferry-x", "arn:aws:iam::1:role/x"))


# Roles and vaults


def role(accounts: Accounts) -> None:
    plan = plan_role(accounts.destination, job_role(accounts.destination))
    apply_role(plan, ALONE, sleep=at_once)


def test_a_role_is_made_once_and_its_owner_may_narrow_it(accounts):
    """found.md C1: an aws:SourceAccount on the trust was gone after the next run."""
    name = "AWSBackup-tableferry"
    role(accounts)
    attached = accounts.iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in attached] == ["AWSBackupServiceRolePolicyForRestores"]
    trust = accounts.iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    condition = {"StringEquals": {"aws:SourceAccount": accounts.destination.account_id}}
    narrowed = [{key: value for key, value in trust["Statement"][0].items() if key != "Sid"} | {"Condition": condition}]
    guard = {"Sid": "Guard", "Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    accounts.iam.update_assume_role_policy(RoleName=name, PolicyDocument=document([*narrowed, guard]))
    accounts.lab.clear_requests()
    role(accounts)
    assert mutating(accounts) == []
    accounts.iam.update_assume_role_policy(RoleName=name, PolicyDocument=document([guard]))
    accounts.iam.detach_role_policy(RoleName=name, PolicyArn=attached[0]["PolicyArn"])
    role(accounts)
    trust = accounts.iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    assert [each["Sid"] for each in trust["Statement"]] == ["Guard", "TableFerryBackup"]
    assert accounts.iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == attached


def test_c2_a_role_is_made_with_the_permissions_boundary(accounts):
    anything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    made = accounts.iam.create_policy(PolicyName="boundary", PolicyDocument=json.dumps(anything))
    boundary = made["Policy"]["Arn"]
    options = job_role(accounts.destination, permissions_boundary=boundary)
    plan = plan_role(accounts.destination, options)
    assert plan.changes[0].after["permissions_boundary"] == boundary
    apply_role(plan, ALONE, sleep=at_once)
    made = accounts.iam.get_role(RoleName=options.name)["Role"]["PermissionsBoundary"]
    assert made["PermissionsBoundaryArn"] == boundary
    assert plan_role(accounts.destination, options).changes == []
    assert plan_role(accounts.destination, job_role(accounts.destination)).changes == []


@pytest.mark.parametrize(
    "boundary",
    [
        "boundary",
        "arn:aws:iam::111111111111:policy/boundary",
        "arn:aws:iam::222222222222:role/boundary",
        "arn:aws-cn:iam::222222222222:policy/boundary",
    ],
)
def test_what_cannot_be_a_boundary_of_the_account_is_refused_before_anything_is_made(accounts, boundary):
    with pytest.raises(InvalidInput, match="not a managed policy of account 222222222222") as refused:
        plan_role(accounts.destination, job_role(accounts.destination, permissions_boundary=boundary))
    assert "arn:aws:iam::222222222222:policy/NAME" in refused.value.next_step


def test_a_bucket_that_a_cleanup_removes_at_this_moment_is_told_as_gone(accounts):
    with pytest.raises(StagingBucketUnusable, match="The bucket tableferry-gone is gone") as refused:
        BucketPolicy(accounts.destination, "tableferry-gone").read()
    assert refused.value.next_step.startswith("Run again")


def test_a_role_of_somebody_else_is_refused(accounts):
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    accounts.iam.create_role(RoleName="AWSBackup-tableferry", AssumeRolePolicyDocument=document([trust]))
    accounts.lab.clear_requests()
    with pytest.raises(NotOurs, match="role AWSBackup-tableferry"):
        role(accounts)
    assert mutating(accounts) == []


def test_a22_two_runs_that_make_role_and_vault_at_once_use_one(accounts):
    """found.md A22: EntityAlreadyExists failed every table of one run."""
    roles = [plan_role(accounts.destination, job_role(accounts.destination)) for _ in range(2)]
    vaults = [plan_vault(accounts.destination, "ours") for _ in range(2)]
    for plan in roles:
        apply_role(plan, ALONE, sleep=at_once)
    made = [make_vault(plan) for plan in vaults]
    assert made[0] == made[1]
    assert plan_role(accounts.destination, job_role(accounts.destination)).changes == []
    assert plan_vault(accounts.destination, "ours").changes == []
    tags = accounts.lab.client("backup", "destination").list_tags(ResourceArn=made[0].arn)["Tags"]
    assert tags == MARKED


# The policies in the roles' READMEs suffice


def narrow(accounts: Accounts, side: Any, name: str, statements: list[dict[str, Any]]) -> Account:
    """A user of ``side`` who may do just that."""
    told = user_who_may(accounts.lab.client("iam", side), name, document(statements))
    told |= {"region": accounts.lab.landscape["region"], "endpoint_url": accounts.lab.endpoint_url}
    return Account(AccountSpec.from_mapping(side, told))


def test_the_permissions_of_the_readmes_suffice_for_bucket_and_key(accounts):
    keys = sentence("destination_account", "With `ferry_create_staging_key: true` also")
    staging = policies("destination", "destination_account", BUCKET="staging")
    maker = narrow(accounts, "destination", "maker", [*staging, keys])
    leaver = narrow(
        accounts,
        "destination",
        "leaver",
        [
            *policies("destination", "cleanup_account", BUCKET="staging"),
            sentence("cleanup_account", "With `ferry_create_staging_key: true` also"),
        ],
    )
    options = accounts.options()
    statements = key_statements(accounts.destination, options.source_principal)
    for _ in range(2):
        arn = apply_key(plan_key(maker, ALIAS, present=statements), ALONE, sleep=at_once)[0]
        options = accounts.options(kms_key_arn=arn)
        apply_bucket(plan_bucket(maker, options), ALONE, sleep=at_once)
    apply_key(plan_key(leaver, ALIAS, absent=statements), ALONE, sleep=at_once)
    apply_leaving(plan_leaving(leaver, options, remove_bucket=True), ALONE, sleep=at_once)
    assert len(accounts.key_policy(arn)) == 1


def test_the_permissions_of_the_readmes_suffice_for_grants(accounts):
    source = accounts.account("source", "source")
    arn = accounts.lab.client("kms", "source").create_key()["KeyMetadata"]["Arn"]
    maker = narrow(accounts, "source", "maker", [sentence("source_account", "`ferry_source_kms_key_arns` also")])
    leaving = sentence("cleanup_account", "with `ferry_source_kms_key_arns`: `kms:DescribeKey`")
    leaver = narrow(accounts, "source", "leaver", [leaving])
    options = GrantOptions(arn, "tableferry-x", source.principal_arn)
    apply_grant(plan_grant(maker, options), ALONE)
    assert len(apply_grant(plan_grant(leaver, options, present=False), ALONE)) == 1


@pytest.mark.parametrize("side", ["source", "destination"])
def test_the_permissions_of_the_readmes_suffice_for_removing_vaults(accounts, side):
    key = accounts.lab.client("kms", side).create_key()["KeyMetadata"]["Arn"]
    make_vault(plan_vault(accounts.account(side, side), "leaving", key))
    leaver = narrow(accounts, side, "leaver", [sentence("cleanup_account", "To remove vaults, on both sides")])
    plan = plan_vault_removal(leaver, "leaving")
    assert (len(plan.changes), apply_vault_removal(plan)) == (1, [])
    assert plan_vault_removal(leaver, "leaving").changes == []


def test_the_permissions_of_the_readmes_suffice_for_aws_backup(accounts):
    statements = {}
    for side in ("source", "destination"):
        admin = accounts.account(side, side)
        accounts.lab.client("iam", side).create_service_linked_role(AWSServiceName="backup.amazonaws.com")
        account = narrow(accounts, side, "maker", policies(side, f"{side}_account"))
        apply_role(plan_role(account, job_role(account)), ALONE, sleep=at_once)
        ours = source_vault_key(admin, accounts.destination) if side == "source" else destination_vault_key(admin)
        plan = plan_key(account, KeyOptions(alias="alias/tableferry-backup"), present=ours)
        arn = apply_key(plan, ALONE, sleep=at_once)[0]
        assert make_vault(plan_vault(account, "tableferry", arn)).key_arn == arn
        assert plan_role(account, job_role(account)).changes == []
        statements[side] = ours
    leaver = narrow(accounts, "source", "leaver", policies("source", "cleanup_account"))
    plan = plan_key(leaver, KeyOptions(alias="alias/tableferry-backup"), absent=statements["source"])
    assert plan.changes
    apply_key(plan, ALONE, sleep=at_once)
