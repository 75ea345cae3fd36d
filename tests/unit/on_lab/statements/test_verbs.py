# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verbs over what others use too: foreseen in check mode, done once, taken back, and documented."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import outcome
from lab.client import RunningLab, running

PLUGINS = "ansible_collections.tableferry.aws.plugins"


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with running(scale=0.0) as lab:
        lab.client("iam", "destination").create_service_linked_role(AWSServiceName="backup.amazonaws.com")
        yield lab


@pytest.fixture(autouse=True)
def no_time(monkeypatch: pytest.MonkeyPatch, lab: RunningLab) -> None:
    """The wait for IAM passes at once."""
    monkeypatch.setattr(Account, "sleep", lambda _account, seconds: lab.advance(seconds))


def side(lab: RunningLab, name: str) -> dict[str, str]:
    keys = lab.landscape["accounts"][name]
    told = {part: keys[part] for part in ("access_key", "secret_key")}
    return told | {"region": lab.landscape["region"], "endpoint_url": lab.endpoint_url}


def run(name: str, arguments: dict[str, Any], *, check_mode: bool = False) -> dict[str, Any]:
    """The verb's result, of which all is documented."""
    verb = importlib.import_module(f"{PLUGINS}.module_utils.glue.verbs.{name}").VERB
    checked = ArgumentSpecValidator(verb.spec, **verb.rules).validate(arguments)
    assert not checked.error_messages
    result = outcome(verb, checked.validated_parameters, check_mode=check_mode, diff=True, progress=lambda line: None)
    documented = yaml.safe_load(importlib.import_module(f"{PLUGINS}.modules.{name}").RETURN)
    assert set(result) - {"changed", "diff", "failed", "warnings"} <= set(documented)
    return result


VERBS = [
    ("staging_bucket", {"bucket": "staged"}, True),
    ("migration_key", {"purpose": "staging", "alias": "alias/tableferry-staging"}, True),
    ("migration_key", {"purpose": "source_vault", "alias": "alias/tableferry-backup"}, True),
    ("migration_key", {"purpose": "destination_vault", "alias": "alias/tableferry-backup"}, True),
    ("backup_role", {}, False),
    ("backup_vault", {"vault": "ours"}, True),
    ("spark_environment", {"bucket": "staged"}, True),
    ("table_key_grants", {}, True),
    ("caller_policy", {"bucket": "staged"}, True),
]


@pytest.mark.parametrize(
    ("name", "more", "goes"), VERBS, ids=[f"{name}-{more.get('purpose', '')}" for name, more, _ in VERBS]
)
def test_foreseen_done_once_and_taken_back(lab: RunningLab, name: str, more: dict[str, Any], goes: bool) -> None:
    arguments: dict[str, Any] = {"source": side(lab, "source"), "destination": side(lab, "destination"), **more}
    if name.startswith("backup_"):
        arguments = {"account": arguments["destination"], "side": "destination", **more}
    if name.startswith("spark_"):
        del arguments["source"]
    if name == "table_key_grants":
        arguments["key_arns"] = [lab.client("kms", "source").create_key()["KeyMetadata"]["Arn"]]
    lab.clear_requests()
    foreseen = run(name, arguments, check_mode=True)
    assert foreseen["changed"]
    assert foreseen["diff"]["after"]
    assert lab.mutating_calls() == []
    assert run(name, arguments)["changes"] == foreseen["changes"]
    assert not run(name, arguments)["changed"]
    if goes:
        assert run(name, {**arguments, "state": "absent"}, check_mode=True)["changed"]
        assert run(name, {**arguments, "state": "absent"})["changed"]
        assert not run(name, {**arguments, "state": "absent"})["changed"]
        assert run(name, arguments)["changed"]


def test_a_bucket_that_stays_is_foreseen_too(lab: RunningLab) -> None:
    place = {"LocationConstraint": lab.landscape["region"]}
    lab.client("s3", "destination").create_bucket(Bucket="theirs", CreateBucketConfiguration=place)
    arguments = {"source": side(lab, "source"), "destination": side(lab, "destination"), "bucket": "theirs"}
    leaving = {**arguments, "state": "absent", "remove_bucket": True}
    run("staging_bucket", arguments)
    for check_mode in (True, False):
        result = run("staging_bucket", leaving, check_mode=check_mode)
        assert (result["failed"], result["ferry_status"], result["ferry_error"]) == (True, "refused", "NotOurs")


def test_a_vault_under_another_key_is_refused_unless_any_will_do(lab: RunningLab) -> None:
    kms, backup = lab.client("kms", "destination"), lab.client("backup", "destination")
    first, second = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    backup.create_backup_vault(BackupVaultName="first", EncryptionKeyArn=first)
    arguments = {"account": side(lab, "destination"), "side": "destination", "vault": "first", "key_arn": second}
    assert "cannot be changed" in run("backup_vault", arguments)["msg"]
    assert run("backup_vault", {**arguments, "any_key": True})["vault"]["key_arn"] == first


def vault_names(lab: RunningLab, name: str) -> set[str]:
    return {vault["BackupVaultName"] for vault in lab.client("backup", name).list_backup_vaults()["BackupVaultList"]}


def removed(lab: RunningLab, vault: str, name: str = "destination", **more: Any) -> dict[str, Any]:
    """What the removal of the vault gives, after a check that foresees the same and changes nothing."""
    arguments = {"account": side(lab, name), "side": name, "vault": vault, "state": "absent", **more}
    before = vault_names(lab, name)
    foreseen = run("backup_vault", arguments, check_mode=True)
    assert vault_names(lab, name) == before
    result = run("backup_vault", arguments)
    assert (foreseen["changes"], foreseen["left"]) == (result["changes"], result["left"])
    assert (vault in vault_names(lab, name)) == bool(result["left"])
    return result


def test_c6_a_vault_of_somebody_else_stays(lab: RunningLab) -> None:
    lab.client("backup", "destination").create_backup_vault(BackupVaultName="not-ours")
    assert [entry["reason"] for entry in removed(lab, "not-ours")["left"]] == ["TableFerry did not create it"]


def test_c6_a_vault_stays_while_another_account_copies_into_it(lab: RunningLab) -> None:
    """Of two account pairs with one vault, the first to be cleaned up leaves it to the other one."""
    destination = side(lab, "destination")
    run("backup_vault", {"vault": "common", "account": destination, "side": "destination"})
    ids = {name: lab.landscape["accounts"][name]["account_id"] for name in ("source", "outside")}
    policies = [{"name": "common", "destination": destination, "source_account_id": each} for each in ids.values()]
    for policy in policies:
        run("backup_vault_policy", policy)
    arguments = {"account": destination, "side": "destination", "vault": "common", "state": "absent"}
    # The statement that the run before this step takes away still stands in check mode; the other one counts.
    (foreseen,) = run("backup_vault", {**arguments, "leaving_account_id": ids["source"]}, check_mode=True)["left"]
    assert ids["outside"] in foreseen["reason"] and ids["source"] not in foreseen["reason"]
    run("backup_vault_policy", {**policies[0], "state": "absent"})
    (entry,) = removed(lab, "common", leaving_account_id=ids["source"])["left"]
    assert ids["outside"] in entry["reason"]
    assert run("backup_vault", {**arguments, "leaving_account_id": ids["outside"]}, check_mode=True)["left"] == []
    # Made for check mode only: a statement that is there when the vault would go was put back by somebody.
    assert run("backup_vault", {**arguments, "leaving_account_id": ids["outside"]})["left"]
    run("backup_vault_policy", {**policies[1], "state": "absent"})
    assert removed(lab, "common")["changed"]
    for policy in policies:
        assert not run("backup_vault_policy", {**policy, "state": "absent"})["changed"]
    # The next run, after one that was killed when the vault was gone.
    assert not removed(lab, "common")["changed"]


def test_c6_a_source_vault_stays_while_its_key_is_open_to_others(lab: RunningLab) -> None:
    sides = {name: side(lab, name) for name in ("source", "destination")}
    key = {**sides, "purpose": "source_vault", "alias": "alias/vault-that-goes"}
    arn = run("migration_key", key)["key_arn"]
    run("backup_vault", {"vault": "going", "account": sides["source"], "side": "source", "key_arn": arn})
    (entry,) = removed(lab, "going", "source")["left"]
    assert lab.landscape["accounts"]["destination"]["account_id"] in entry["reason"]
    run("migration_key", {**key, "state": "absent"})
    assert removed(lab, "going", "source")["changes"][0]["risk"] == "destructive"


def test_c6_a_vault_with_recovery_points_stays(lab: RunningLab) -> None:
    source = side(lab, "source")
    run("backup_vault", {"vault": "filled", "account": source, "side": "source"})
    role = run("backup_role", {"account": source, "side": "source"})["role_arn"]
    create = {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
    attributes = [{"AttributeName": "id", "AttributeType": "S"}]
    table = lab.client("dynamodb", "source").create_table(TableName="kept", AttributeDefinitions=attributes, **create)
    lab.client("dynamodb", "source").get_waiter("table_exists").wait(TableName="kept", WaiterConfig={"Delay": 1})
    backup = lab.client("backup", "source")
    backup.update_region_settings(ResourceTypeOptInPreference={"DynamoDB": True})
    arn = table["TableDescription"]["TableArn"]
    backup.start_backup_job(BackupVaultName="filled", ResourceArn=arn, IamRoleArn=role)
    assert [entry["reason"] for entry in removed(lab, "filled", "source")["left"]] == ["it holds recovery points"]


def test_tables_are_counted_where_there_is_a_record_table(lab: RunningLab) -> None:
    """found.md A11, by the verbs of both inventories."""
    sides = {name: side(lab, name) for name in ("source", "destination")}
    key = lab.client("kms", "source").create_key()["KeyMetadata"]["Arn"]
    vault = {"name": "counted", "source_account_id": lab.landscape["accounts"]["source"]["account_id"]}
    run("backup_vault", {"vault": "counted", "account": sides["destination"], "side": "destination"})
    verbs: list[tuple[str, dict[str, Any]]] = [
        ("staging_bucket", {**sides, "bucket": "counted"}),
        ("migration_key", {**sides, "purpose": "source_vault", "alias": "alias/counted"}),
        ("table_key_grants", {**sides, "key_arns": [key]}),
        ("caller_policy", {**sides, "bucket": "counted"}),
        ("backup_vault_policy", {"destination": sides["destination"], **vault}),
    ]
    run("record_table", {"destination": sides["destination"], "name": "counts"})
    for name, arguments in verbs:
        first, second, unknown = (
            {**arguments, "record_table": record_table, "tables": [table]}
            for record_table, table in (("counts", "orders"), ("counts", "users"), ("none", "orders"))
        )
        assert run(name, first)["changed"]
        assert not run(name, second)["changed"]
        for check_mode in (True, False):
            kept = run(name, {**first, "state": "absent"}, check_mode=check_mode)
            assert not kept["changed"] and kept["left"], name
            assert {entry["reason"] for entry in kept["left"]} == {
                "tables need it yet, users (migration default) without a record"
            }
        gone = run(name, {**second, "state": "absent"})
        assert gone["changed"] and gone["left"] == [] and not gone.get("warnings")
        run(name, arguments)
        uncounted = run(name, {**unknown, "state": "absent"})
        assert uncounted["changed"] and "no record table none" in uncounted["warnings"][0]
    status = run("migration_status_info", {"destination": sides["destination"], "record_table": "counts"})
    assert status["tables"] == []
    items = lab.client("dynamodb", "destination").scan(TableName="counts")["Items"]
    assert {item["sk"]["S"] for item in items} == {"lease"}
