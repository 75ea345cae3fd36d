# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets what AWS Backup may do in an account, and across accounts."""

from __future__ import annotations

from typing import Any

from ...core.change import to_diff
from ...core.methods.backup.account_settings import AccountSettingsOptions, apply_settings, plan_settings
from ..accounts import Accounts
from ..spec import ONE_ACCOUNT_OPTIONS, SHARED_OPTIONS, Progress, Verb

_SWITCHES = ("opt_in", "advanced_features", "service_linked_role", "cross_account_backup", "backup_policies")

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **ONE_ACCOUNT_OPTIONS,
    **{name: {"type": "bool"} for name in _SWITCHES},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Read the settings, and change those that differ."""
    account = Accounts(params).get(params["side"], params["account"])
    options = AccountSettingsOptions(**{name: params[name] for name in _SWITCHES})
    plan = plan_settings(account, options)
    settings = plan.found if check_mode else apply_settings(account, options, plan)
    return {
        "changed": bool(plan.changes),
        "settings": settings.to_dict(),
        "changes": [change.to_dict() for change in plan.changes],
        "diff": to_diff(plan.changes, f"AWS Backup in {account.region} of {account.account_id}"),
    }


VERB = Verb(
    "backup_account_settings",
    SPEC,
    run,
    services=("backup", "iam", "organizations", "sts"),
    rules={"required_one_of": [_SWITCHES]},
)
