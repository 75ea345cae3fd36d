# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The access policy of a backup vault (aws.md C2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..account import Account
from ..aws_errors import NO_RESOURCE
from .policy_documents import Policy, parse
from .shared_policy import as_text, put


@dataclass(frozen=True)
class VaultPolicy:
    """The access policy of the vault ``name``. ``there`` is false where no such vault was listed: it has no policy, and
    asking for one is denied."""

    account: Account = field(repr=False)
    name: str
    there: bool = True

    @property
    def what(self) -> str:
        """The policy in a message."""
        return f"access policy of the vault {self.name}"

    @property
    def arn(self) -> str:
        """The vault's ARN."""
        account = self.account
        return f"arn:{account.partition}:backup:{account.region}:{account.account_id}:backup-vault:{self.name}"

    def read(self) -> Policy:
        """As ``SharedPolicy.read``."""
        if not self.there:
            return {}
        doing = f"reading the {self.what}"
        answer = self.account.ask(
            "backup", "get_backup_vault_access_policy", doing, missing=NO_RESOURCE, BackupVaultName=self.name
        )
        return parse((answer or {}).get("Policy"), self.what)

    def write(self, policy: Policy) -> None:
        """As ``SharedPolicy.write``: PutBackupVaultAccessPolicy replaces the whole policy."""
        vault: dict[str, Any] = {"BackupVaultName": self.name}
        if policy:
            text = as_text(policy)
            put(self.account, self.what, "put_backup_vault_access_policy", "backup", policy, Policy=text, **vault)
        else:
            self.account.ask("backup", "delete_backup_vault_access_policy", f"removing the {self.what}", **vault)
