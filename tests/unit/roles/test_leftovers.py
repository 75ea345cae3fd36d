# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stays after cleaning up is named, with the command that removes it (found.md C6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from tests.unit.filter.test_together import trusted, without_own_filters

ROLE = Path(__file__).parents[3] / "roles/cleanup_account"


def leftovers(**variables: Any) -> str:
    """The lines for a pair of accounts, as one text."""
    loader = DataLoader()
    loaded = [loader.load_from_file(str(ROLE / part / "main.yml")) for part in ("defaults", "vars")]
    files = [trusted(without_own_filters(each)) for each in loaded]
    session = {"account_id": "2" * 12, "region": "eu-west-1", "principal_arn": "arn:aws:iam::1:role/r"}
    known = {**files[0], **files[1], "cleanup_account_session": session, **variables}
    return "\n".join(Templar(loader=loader, variables=known).template(files[1]["cleanup_account_leftovers"]))


def test_c6_what_stays_is_named_by_what_was_made() -> None:
    staged = leftovers()
    assert "put-retention-policy --log-group-name /aws-dynamodb/imports" in staged
    assert "ferry_remove_bucket" in staged and "~/.tableferry" in staged and "tableferry-differences" in staged
    assert "vault" not in staged and "schedule-key-deletion" not in staged
    removed = leftovers(ferry_remove_bucket="true", cleanup_account_left_key={"key_arn": "arn:key"})
    assert "ferry_remove_bucket" not in removed and "schedule-key-deletion --key-id arn:key" in removed
    backed_up = {"cleanup_account_tables": {"staged": [], "backed_up": ["orders"]}}
    vaults = leftovers(**backed_up, cleanup_account_left_vault_key={"key_arn": "arn:key"})
    assert vaults.count("delete-backup-vault --backup-vault-name tableferry") == 2
    assert vaults.count("delete-role --role-name AWSBackup-tableferry") == 2
    assert vaults.count("delete its inline ones") == 2  # ferry_backup_role_policy; IAM deletes no role that has one
    assert "--key-id arn:key" in vaults and "/aws-dynamodb/imports" not in vaults and "organization" not in vaults
    asked = leftovers(**backed_up, ferry_remove_backup_vaults=True)
    assert (
        "delete-backup-vault" not in asked
        and asked.count("delete-role") == 2
        and "(destination), once the vault is gone" in asked
    )
    others = {"ferry_backup_role": "mine", "ferry_restore_role": "mine", "ferry_air_gapped_vault": "gapped"}
    shared = leftovers(**backed_up, **others, ferry_management={"profile": "management"})
    assert "delete-role" not in shared and "delete-resource-share" in shared
    assert "isCrossAccountBackupEnabled=false" in shared


def test_c6_a_key_that_another_pair_uses_is_not_offered_for_deletion_without_a_word() -> None:
    own = {"Sid": "OwnAccount"}
    shared = {"key_arn": "arn:key", "policy": {"Statement": [own, {"Sid": "TableFerryExport3"}, {"Effect": "Deny"}]}}
    backed_up = {"cleanup_account_tables": {"staged": ["users"], "backed_up": ["orders"]}}
    text = leftovers(**backed_up, cleanup_account_left_key=shared, cleanup_account_left_vault_key=shared)
    lines = [line for line in text.splitlines() if "--key-id arn:key" in line]
    assert len(lines) == 2
    assert all("statements TableFerryExport3, without a Sid" in line for line in lines)
    alone = {"key_arn": "arn:key", "policy": {"Statement": own}}
    assert "needs it" not in leftovers(
        **backed_up, cleanup_account_left_key=alone, cleanup_account_left_vault_key=alone
    )
