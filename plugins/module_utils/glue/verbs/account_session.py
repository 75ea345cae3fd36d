# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opens a session in an account, for modules that accept keys but no role."""

from __future__ import annotations

from typing import Any

from ..accounts import Accounts
from ..spec import ONE_ACCOUNT_OPTIONS, SHARED_OPTIONS, Progress, Verb

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **ONE_ACCOUNT_OPTIONS,
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """The caller's identity in the account, and keys that are valid now."""
    account = Accounts(params).get(params["side"], params["account"])
    keys = account.temporary_credentials()
    account.confirm(account.caller_arn.split(":")[4])
    return {
        "changed": False,
        "account_id": account.account_id,
        "principal_arn": account.principal_arn,
        "partition": account.partition,
        "region": account.region,
        "environment": account.environment,
        "credentials": {
            "access_key": keys.access_key,
            "secret_key": keys.secret_key,
            "session_token": keys.session_token,
        },
    }


VERB = Verb("account_session", SPEC, run, services=("sts",), hands_out_credentials=True)
