# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creates the role that AWS Backup uses on one side of a migration."""

from __future__ import annotations

from typing import Any

from ...core.methods.backup.access import job_role
from ...core.methods.backup.calls import ROLE
from ...core.methods.backup.role_policy import CHOICES, MANAGED
from ...core.statements.role import apply_role, plan_role
from ...core.statements.users import ALONE
from ..accounts import Accounts
from ..changing import changed
from ..spec import ONE_ACCOUNT_OPTIONS, SHARED_OPTIONS, Progress, Verb

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **ONE_ACCOUNT_OPTIONS,
    "role": {"type": "str", "default": ROLE},
    "permissions_boundary": {"type": "str", "default": ""},
    "policy": {"type": "str", "default": MANAGED, "choices": list(CHOICES)},
    "tables": {"type": "list", "elements": "str", "default": []},
    "vaults": {"type": "list", "elements": "str", "default": []},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Read the role, then change what differs."""
    account = Accounts(params).get(params["side"], params["account"])
    options = job_role(
        account,
        params["role"],
        params["permissions_boundary"],
        params["policy"],
        params["tables"],
        params["vaults"],
    )
    plan = plan_role(account, options)
    if not check_mode:
        apply_role(plan, ALONE, sleep=account.sleep)
    return changed(plan.changes, f"role {params['role']}", role_arn=plan.arn)


VERB = Verb("backup_role", SPEC, run, services=("iam", "sts"))
