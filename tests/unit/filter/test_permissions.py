# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policies of an inventory's callers: nothing but its tables, accounts and names, and no call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.filter.permissions import caller_policies
from ansible_collections.tableferry.aws.plugins.filter.sides import inventory_sides
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.ready_policies import (
    MANAGED,
    MOST,
    filled,
    parts,
    size,
    together,
)

SOURCE = {"role_arn": "arn:aws:iam::111111111111:role/ferry", "region": "eu-west-1"}
DESTINATION = {"profile": "to", "account_id": "222222222222", "region": "eu-central-1"}
KEYS = {"arn:aws:kms:eu-west-1:111111111111:key/a": "arn:aws:kms:eu-central-1:222222222222:key/b"}


def made(**hosts: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The policies by their names, and the lines."""
    variables = {
        host: {"ferry_source": SOURCE, "ferry_destination": DESTINATION, "inventory_hostname": host, **more}
        for host, more in hosts.items()
    }
    for host, own in variables.items():
        own.setdefault("ferry_table", host)
    found = caller_policies(hosts, variables, inventory_sides(hosts, variables))
    return {file["name"]: json.loads(file["content"]) for file in found["files"]}, found["lines"]


def resources(policy: dict[str, Any]) -> list[str]:
    found = [each["Resource"] for each in policy["Statement"]]
    return [arn for each in found for arn in ([each] if isinstance(each, str) else each)]


def test_accounts_tables_and_names_are_the_inventorys() -> None:
    policies, lines = made(
        orders={"ferry_method": "direct"},
        events={"ferry_method": "direct", "ferry_destination_table": "people", "ferry_record_table": "records"},
    )
    source, destination = policies["tableferry-source-111111111111-eu-west-1.json"], policies[
        "tableferry-destination-222222222222-eu-central-1.json"
    ]  # fmt: skip
    tables = {arn for arn in resources(source) if ":table/" in arn and "/stream/" not in arn}
    assert tables == {f"arn:aws:dynamodb:eu-west-1:111111111111:table/{name}" for name in ("orders", "events")}
    names = {arn.rpartition("/")[2] for arn in resources(destination) if ":table/" in arn and arn.count("/") == 1}
    assert names == {"orders", "people", "records", "tableferry"}
    text = json.dumps(policies)
    for word in ("SOURCE", "DESTINATION", "REGION", 'TABLE"', "BUCKET", "STREAM", "kinesis"):
        assert word not in text, word
    assert "s3:" not in text and "iam:PassRole" not in text
    assert any("2 tables by direct" in line and "role/ferry" in line for line in lines)


def test_an_account_without_an_id_stays_a_word_and_is_told() -> None:
    policies, lines = made(orders={"ferry_destination": {"profile": "to", "region": "eu-central-1"}})
    assert any(name.startswith("tableferry-destination-DESTINATION-eu-central-1") for name in policies)
    assert any(line.startswith("DESTINATION: the inventory does not say the id") for line in lines)


def test_keys_streams_bucket_and_roles_are_those_that_are_named() -> None:
    policies, _lines = made(
        orders={
            "ferry_method": "glue",
            "ferry_kms_key_map": KEYS,
            "ferry_kinesis_map": {"a": "arn:aws:kinesis:eu-central-1:222222222222:stream/changes"},
            "ferry_staging_bucket": "mine",
            "ferry_spark": {"role_arn": "arn:aws:iam::222222222222:role/jobs/mine"},
            "ferry_manage_accounts": False,
        }
    )
    found = [arn for policy in policies.values() for arn in resources(policy)]
    assert {arn for arn in found if ":kms:" in arn} == {*KEYS, *KEYS.values()}
    assert {arn for arn in found if ":kinesis:" in arn} == {"arn:aws:kinesis:eu-central-1:222222222222:stream/changes"}
    assert {arn.split(":::")[1].split("/")[0] for arn in found if ":s3:" in arn} == {"mine"}
    # A plan asks for the service-linked role of AWS Backup, and about its callers, too.
    callers = {"arn:aws:iam::111111111111:role/ferry", "arn:aws:iam::222222222222:role/*"}
    roles = {
        arn for arn in found if ":role/" in arn and "/aws-service-role/" not in arn and "AWSServiceRole" not in arn
    }
    assert roles - callers == {"arn:aws:iam::222222222222:role/jobs/mine"}
    text = json.dumps(policies)
    assert "iam:CreateRole" not in text and "s3:CreateBucket" not in text
    assert '"iam:PassedToService": "glue.amazonaws.com"' in text


def test_the_vaults_of_both_sides_are_named() -> None:
    policies, _lines = made(orders={"ferry_method": "backup", "ferry_backup_source_vault": "here"})
    found = {arn for policy in policies.values() for arn in resources(policy) if ":backup-vault:" in arn}
    assert found == {
        "arn:aws:backup:eu-west-1:111111111111:backup-vault:here",
        "arn:aws:backup:eu-central-1:222222222222:backup-vault:tableferry",
    }
    assert "VAULT" not in str(policies)


def test_a_cluster_has_policies_of_its_own() -> None:
    serverless, _lines = made(orders={"ferry_method": "emr"})
    cluster, _lines = made(orders={"ferry_method": "emr", "ferry_spark": {"engine": "cluster"}})
    assert "emr-serverless:StartJobRun" in json.dumps(serverless)
    assert "elasticmapreduce:RunJobFlow" in json.dumps(cluster)
    assert "emr-serverless:StartJobRun" not in json.dumps(cluster)


def test_what_ends_with_an_import_may_import() -> None:
    for end, expected in (("table", False), ("import", True)):
        policies, _lines = made(orders={"ferry_method": "glue", "ferry_spark": {"end": end}})
        assert ("dynamodb:ImportTable" in str(policies)) is expected
        assert "glue:StartJobRun" in str(policies)
        assert "emr-serverless:StartJobRun" not in str(policies)  # of a method with the same jobs


def test_china_has_a_partition_and_a_domain_of_its_own() -> None:
    there = {"account_id": "333333333333", "region": "cn-north-1"}
    policies, _lines = made(orders={"ferry_method": "direct", "ferry_destination": there})
    policy = policies["tableferry-destination-333333333333-cn-north-1.json"]
    assert all(arn == "*" or arn.startswith("arn:aws-cn:") for arn in resources(policy))
    assert "dynamodb.cn-north-1.amazonaws.com.cn" in json.dumps(policy)


def test_names_that_do_not_fit_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"table-with-a-rather-long-name-{number:04d}": {"ferry_method": "s3"} for number in range(300)}
    policies, lines = made(**many)
    assert all(size(policy) <= MANAGED for policy in policies.values())
    assert len([name for name in policies if name.startswith("tableferry-destination")]) <= MOST
    assert "Every table of the account and Region is allowed: the names of all do not fit." in lines


def test_a_statement_that_is_too_long_is_cut() -> None:
    statement = {
        "Sid": "Move1",
        "Effect": "Allow",
        "Action": ["dynamodb:Scan"],
        "Resource": [f"arn:aws:dynamodb:eu-west-1:111111111111:table/{n:0100d}" for n in range(120)],
    }
    cut = parts({"Version": "2012-10-17", "Statement": [statement]})
    assert len(cut) > 2 and all(size(part) <= MANAGED for part in cut)
    assert sorted(arn for part in cut for arn in resources(part)) == statement["Resource"]
    sids = [each["Sid"] for part in cut for each in part["Statement"]]
    assert len(set(sids)) == len(sids) and all(sid.isalnum() for sid in sids)


def test_policies_together_allow_what_each_does_once() -> None:
    def policy(sid: str, action: str, resource: str) -> dict[str, Any]:
        allowed = {"Sid": sid, "Effect": "Allow", "Action": [action], "Resource": resource}
        return {"Version": "2012-10-17", "Statement": [allowed]}

    both = [
        policy("PrepareMove1", "s3:GetObject", "arn:aws:s3:::b/x/*"),
        policy("Move1", "s3:GetObject", "arn:aws:s3:::b/*"),
    ]
    assert [(each["Sid"], each["Resource"]) for each in together(both)["Statement"]] == [
        ("Prepare1", "arn:aws:s3:::b/x/*"),
        ("Move1", "arn:aws:s3:::b/*"),
    ]
    assert [each["Sid"] for each in together(both, {"Move"})["Statement"]] == ["Move1"]


def test_a_place_with_several_values_gives_each_and_one_without_takes_the_resource_away() -> None:
    statements = [
        {"Action": ["a:B"], "Resource": ["arn:TABLE", "arn:STREAM"]},
        {"Action": ["a:C"], "Resource": "arn:STREAM"},
    ]
    found = filled({"Statement": statements}, {"TABLE": ["x", "y"], "STREAM": []})["Statement"]
    assert found == [{"Action": ["a:B"], "Resource": ["arn:x", "arn:y"]}]


@pytest.mark.parametrize(
    ("principal", "asked"),
    [
        ("arn:aws:iam::222222222222:user/people/ann", "user/people/ann"),
        ("arn:aws:iam::222222222222:role/admins", "role/admins"),
        ("arn:aws:iam::222222222222:root", "role/* user/*"),
        ("", "role/* user/*"),
    ],
)
def test_a_plan_may_ask_about_its_caller_alone_where_that_is_known(principal: str, asked: str) -> None:
    host = {"ferry_source": SOURCE, "ferry_destination": DESTINATION, "ferry_table": "orders"}
    sides = inventory_sides(["orders"], {"orders": host})
    for account in sides["accounts"]:
        if account["side"] == "destination" and principal:
            account["principal_arn"] = principal
    found = caller_policies(["orders"], {"orders": host}, sides)["files"]
    statements = [each for file in found for each in json.loads(file["content"])["Statement"]]
    ask = [each["Resource"] for each in statements if "iam:SimulatePrincipalPolicy" in each["Action"]]
    assert ask[0] == "arn:aws:iam::111111111111:role/ferry"  # of role_arn
    whole = [f"arn:aws:iam::222222222222:{each}" for each in asked.split()]
    assert ask[1] == (whole if len(whole) > 1 else whole[0])
