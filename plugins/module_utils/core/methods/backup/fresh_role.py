# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A role of AWS Backup that was made a moment ago: IAM's changes are not known everywhere at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ... import sdk
from ...account import Account
from ...aws_errors import FRESH_ROLE_SECONDS, is_role_unknown, is_slot
from ...jobs.job import Job

Predicate = Callable[[Exception], bool]


def no_slot_yet(account: Account, job: Job, is_full: Predicate = is_slot) -> Predicate:
    """Whether a refused start of ``job`` is tried again: a quota ``is_full``, or AWS Backup cannot assume the job's
    role, which is younger than two minutes. An older one does not trust it: that is final at once."""

    def waits(error: Exception) -> bool:
        return is_full(error) or (is_role_unknown(error) and _is_fresh(account, job.request["call"]["IamRoleArn"]))

    return waits


def _is_fresh(account: Account, role_arn: str) -> bool:
    """Whether IAM says that the role was made a moment ago; False where it cannot be asked."""
    try:
        role = account.client("iam").get_role(RoleName=role_arn.rpartition("/")[2])["Role"]
    except (sdk.ClientError, sdk.BotoCoreError):
        return False
    made = role.get("CreateDate")
    return isinstance(made, datetime) and (account.now() - made).total_seconds() < FRESH_ROLE_SECONDS
