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

from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import outcome
from lab.client import RunningLab, running

PLUGINS = "ansible_collections.tableferry.aws.plugins"


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with running(scale=0.0) as lab:
        lab.client("iam", "destination").create_service_linked_role(AWSServiceName="backup.amazonaws.com")
        yield lab


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
    ("backup_vault", {"vault": "ours"}, False),
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
