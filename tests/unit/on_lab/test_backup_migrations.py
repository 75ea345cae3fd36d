# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ways by AWS Backup through the lab, with what AWS refuses late and with each answer to what nobody knows."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    AccessDenied,
    BackupNotPossible,
    CountMismatch,
    JobTimeout,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.account_settings import (
    AccountSettingsOptions,
    apply_settings,
    plan_settings,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.air_gapped import (
    AirGappedOptions,
    apply_air_gapped,
    plan_air_gapped,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.cleanup import (
    BackupCleanupOptions,
    apply_backup_cleanup,
    plan_backup_cleanup,
)
from demo.tables import attributes, numbered
from lab.client import running
from tests.unit.on_lab.backup_accounts import BackupAccounts
from tests.unit.on_lab.readmes import policies

MAXIMA = {"MaxReadRequestUnits": 1000, "MaxWriteRequestUnits": 500}


@pytest.fixture(scope="module")
def accounts() -> Iterator[BackupAccounts]:
    """One lab for the file's tests: each uses tables of its own."""
    with running(scale=0.0) as lab:
        ready = BackupAccounts(lab)
        ready.make_ready()
        yield ready


@pytest.fixture(autouse=True)
def first_answers(accounts: BackupAccounts) -> Iterator[None]:
    """Each test begins with the lab's usual answers."""
    before = accounts.lab.control("GET", "behaviours")
    yield
    accounts.lab.choose_behaviours(before)


def test_a_second_run_finds_everything(accounts: BackupAccounts) -> None:
    accounts.table("twice")
    judgement, _jobs = accounts.moved("twice")
    assert (judgement.status, judgement.verified, judgement.items_destination) == ("migrated", "counts", 100)
    assert accounts.items("source", "twice") == accounts.items("destination", "twice")
    before = [accounts.started(f"Start{kind}Job") for kind in ("Backup", "Copy", "Restore")]
    judgement, jobs = accounts.moved("twice")
    assert judgement.status == "migrated"
    assert {job.state for job in jobs} == {"not_needed"}
    assert before == [accounts.started(f"Start{kind}Job") for kind in ("Backup", "Copy", "Restore")]


def test_local_indexes_and_another_name_come_along(accounts: BackupAccounts) -> None:
    index = {
        "IndexName": "ByNumber",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    accounts.table(
        "local",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "kind", "KeyType": "RANGE"}],
        AttributeDefinitions=attributes(("id", "S"), ("kind", "S"), ("n", "N")),
        LocalSecondaryIndexes=[index],
        items=lambda: ({**item, "kind": {"S": "a"}} for item in numbered()),
    )
    judgement, _jobs = accounts.moved("local", destination_table="renamed")
    assert judgement.status == "migrated"
    described = accounts.lab.client("dynamodb", "destination").describe_table(TableName="renamed")["Table"]
    assert [index["IndexName"] for index in described["LocalSecondaryIndexes"]] == ["ByNumber"]


def test_a_customer_key_is_mapped(accounts: BackupAccounts) -> None:
    source, destination = (
        accounts.lab.client("kms", side).create_key()["KeyMetadata"]["Arn"] for side in ("source", "destination")
    )
    accounts.table("keyed", SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": source})
    judgement, _jobs = accounts.moved("keyed", kms_key_map={source: destination})
    assert (judgement.status, judgement.items_destination) == ("migrated", 100)
    described = accounts.lab.client("dynamodb", "destination").describe_table(TableName="keyed")["Table"]
    assert described["SSEDescription"]["KMSMasterKeyArn"] == destination


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("backup.finished_point", "AVAILABLE"),
        ("backup.restored_billing_mode", "provisioned"),
        ("backup.restored_on_demand_maximum", "lost"),
        ("backup.copied_tags", "lost"),
        ("backup.destination_advanced_features", "needed"),
        ("backup.partial_region_settings", "reset"),
    ],
)
def test_whatever_aws_does_the_table_arrives_with_its_capacity(
    accounts: BackupAccounts, question: str, answer: str
) -> None:
    name = question.replace(".", "-")
    accounts.lab.choose_behaviours({question: answer})
    accounts.table(name, OnDemandThroughput=MAXIMA)
    judgement, _jobs = accounts.moved(name)
    assert (judgement.status, judgement.verified) == ("migrated", "counts")
    described = accounts.lab.client("dynamodb", "destination").describe_table(TableName=name)["Table"]
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert described["OnDemandThroughput"] == MAXIMA


@pytest.mark.parametrize("answer", ["completed", "failed"])
def test_a_role_without_the_vaults_key_loses_no_table_in_silence(accounts: BackupAccounts, answer: str) -> None:
    """AWS Backup may report such a backup as done: only counting shows that nothing is in it (aws.md C6)."""
    accounts.lab.choose_behaviours({"backup.role_without_key": answer})
    vault, name = f"closed-{answer}", f"closed-key-{answer}"
    accounts.make_vault("source", vault, shared_with=accounts.destination.account_id, own=False)
    accounts.table(name)
    judgement, _jobs = accounts.moved(name, vault=vault)
    assert judgement.status == "failed"
    if answer == "completed":
        assert isinstance(judgement.failure, CountMismatch)
        assert (judgement.items_source, judgement.items_destination) == (100, 0)
        assert "keys of the table and the vaults" in str(judgement.failure)


def test_a_vault_that_lets_nobody_in_is_refused_before_the_backup(accounts: BackupAccounts) -> None:
    accounts.table("closed-vault")
    accounts.make_vault("destination", "closed")
    backups = accounts.started("StartBackupJob")
    with pytest.raises(BackupNotPossible, match="policy of the destination vault closed does not let"):
        accounts.start("closed-vault", destination_vault="closed")
    assert accounts.started("StartBackupJob") == backups


def test_only_a_copy(accounts: BackupAccounts) -> None:
    accounts.table("copy-only")
    judgement, jobs = accounts.moved("copy-only", restore=False)
    assert (judgement.status, [job.kind for job in jobs]) == ("copied", ["backup", "copy"])
    copies = accounts.started("StartCopyJob")
    judgement, _jobs = accounts.moved("copy-only", restore=False)
    assert (judgement.status, accounts.started("StartCopyJob")) == ("copied", copies)


def test_the_verb_changes_nothing_but_dynamodb_however_aws_merges(accounts: BackupAccounts) -> None:
    backup = accounts.lab.client("backup", "outside")
    account = accounts.account("source", "outside")
    for answer in ("merge", "reset"):
        accounts.lab.choose_behaviours({"backup.partial_region_settings": answer})
        for on in (True, False):
            before = backup.describe_region_settings()
            options = AccountSettingsOptions(opt_in=on, advanced_features=on)
            apply_settings(account, options, plan_settings(account, options))
            after = backup.describe_region_settings()
            for member in ("ResourceTypeOptInPreference", "ResourceTypeManagementPreference"):
                assert after[member] == {**before[member], "DynamoDB": on}


def test_recovery_points_go_when_that_is_wanted(accounts: BackupAccounts) -> None:
    accounts.lab.choose_behaviours({"backup.copied_tags": "lost"})
    accounts.table("cleaned")
    accounts.moved("cleaned")
    options = BackupCleanupOptions("cleaned", remove_recovery_points=True)
    plan = plan_backup_cleanup(accounts.source, accounts.destination, options)
    assert len(plan.points) == 2
    done = apply_backup_cleanup(accounts.source, accounts.destination, options, plan)
    assert (done["recovery_points_removed"], done["left"]) == (2, [])
    again = plan_backup_cleanup(accounts.source, accounts.destination, options)
    assert (again.points, again.left) == ((), [])


def narrowed(accounts: BackupAccounts, table: str, without: str = "nothing") -> BackupAccounts:
    """The accounts with callers who may what the READMEs say, of ``table``, but for one action."""
    found = copy.copy(accounts)
    roles = ("back_up_table", "copy_recovery_point", "restore_table", "verify_table", "apply_table_settings")
    for side in ("source", "destination"):
        text = json.dumps(policies(side, *roles, TABLE=table)).replace(f'"{without}"', '"backup:Nothing"')
        setattr(found, side, accounts.user(side, f"{table}-{side}", json.loads(text)))
    return found


def test_the_policies_of_the_readmes_suffice(accounts: BackupAccounts) -> None:
    accounts.table("narrow-backup", Tags=[{"Key": "team", "Value": "shop"}], DeletionProtectionEnabled=True)
    accounts.lab.clear_requests()
    judgement, jobs = narrowed(accounts, "narrow-backup").moved("narrow-backup")
    denied = [call["operation"] for call in accounts.lab.calls(ok=False) if "Denied" in call["error_code"]]
    assert denied == []
    assert (judgement.status, judgement.verified, judgement.failure) == ("migrated", "counts", None)
    assert {job.state for job in jobs} == {"completed"}


@pytest.mark.parametrize("action", ["backup:StartCopyJob", "backup:StartRestoreJob", "iam:PassRole"])
def test_without_one_of_them_the_table_does_not_go(accounts: BackupAccounts, action: str) -> None:
    """The lab holds callers to their policies, and the message names what is missing."""
    table = f"short-{action.partition(':')[2].lower()}"
    accounts.table(table)
    caller = narrowed(accounts, table, without=action)
    with pytest.raises(AccessDenied, match=action):
        caller.moved(table)


def test_another_region_of_another_account(accounts: BackupAccounts) -> None:
    """Copies go across accounts and Regions at once, for DynamoDB (aws.md C4)."""
    found = copy.copy(accounts)
    found.region = "eu-central-1"
    found.destination = found.account("destination", "destination")
    assert found.destination.region == "eu-central-1"
    backup = accounts.lab.client("backup", "destination", "eu-central-1")
    backup.update_region_settings(
        ResourceTypeOptInPreference={"DynamoDB": True}, ResourceTypeManagementPreference={"DynamoDB": True}
    )
    found.make_vault("destination", region="eu-central-1")
    found.let_in(region="eu-central-1")
    accounts.table("abroad-region")
    judgement, _jobs = found.moved("abroad-region")
    assert (judgement.status, judgement.items_destination) == ("migrated", 100)
    tables = accounts.lab.client("dynamodb", "destination", "eu-central-1").list_tables()["TableNames"]
    assert tables == ["abroad-region"]


@pytest.fixture(scope="module")
def strangers(accounts: BackupAccounts) -> BackupAccounts:
    """The same source, and a destination outside of the organization that has a role and nothing else."""
    found = BackupAccounts(accounts.lab, "outside")
    found.make_role("outside", "Restores")
    accounts.lab.client("iam", "outside").create_service_linked_role(AWSServiceName="backup.amazonaws.com")
    return found


def test_accounts_of_different_organizations_are_refused(strangers: BackupAccounts) -> None:
    strangers.table("abroad")
    with pytest.raises(BackupNotPossible, match=r"444444444444 is in no AWS Organization.*air_gapped_vault"):
        strangers.start("abroad")


def test_an_air_gapped_vault_reaches_accounts_of_other_organizations(strangers: BackupAccounts) -> None:
    options = AirGappedOptions("gapped", 7, 30)
    plan = plan_air_gapped(strangers.source, strangers.destination, options)
    assert [change.what.split()[0] for change in plan.changes] == ["air-gapped", "share", "access"]
    assert plan.changes[0].risk == "billed"
    accounts = (strangers.source, strangers.destination)
    looks = iter(range(100))  # ten of them are the second that it has
    once = replace(plan, options=replace(options, wait=1.0))
    with pytest.raises(JobTimeout, match="does not see the vault gapped"):  # the lab's invitation ends at once
        apply_air_gapped(*accounts, once, clock=lambda: next(looks) / 10, sleep=lambda seconds: None)
    strangers.lab.set_timings({"ram.invitation": 600.0})
    plan = plan_air_gapped(*accounts, options)
    assert [change.what.split()[0] for change in plan.changes] == ["access"]
    vault = apply_air_gapped(*accounts, plan, sleep=lambda seconds: None)
    assert (vault.state, vault.min_retention_days) == ("AVAILABLE", 7)
    assert plan_air_gapped(strangers.source, strangers.destination, options).changes == []
    strangers.table("gapped-table")
    how: dict[str, Any] = {"air_gapped_vault": "gapped"}
    copies = strangers.started("StartCopyJob")
    judgement, jobs = strangers.moved("gapped-table", **how)
    assert (judgement.status, judgement.items_destination) == ("migrated", 100)
    assert {job.kind: job.state for job in jobs}["copy"] == "not_needed"
    assert strangers.started("StartCopyJob") == copies
    judgement, jobs = strangers.moved("gapped-table", **how)
    assert {job.state for job in jobs} == {"not_needed"}
    left = plan_backup_cleanup(strangers.source, strangers.destination, BackupCleanupOptions("gapped-table")).left
    assert any("nobody can delete it before it expires, until 20" in entry.reason for entry in left)
