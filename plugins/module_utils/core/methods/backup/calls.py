# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the backup, copy and restore jobs of AWS Backup have in common."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ...account import Account
from ...errors import InvalidInput
from ...jobs.job import State
from ...jobs.kind import Page

ROLE = "AWSBackup-tableferry"  # AWSBackupFullAccess passes roles with AWSBackup in their names only (aws.md C3)
SERVICE = "backup.amazonaws.com"
MIGRATION_TAG = "tableferry:migration"  # of recovery points: whose they are
RESOURCE_TYPE = "DynamoDB"
LIST_PAGE = 1000  # jobs that a list call gives at most
SHORTEST_COLD = 90  # days that a recovery point stays in cold storage at least (aws.md C6)


def page_of_jobs(
    account: Account, operation: str, member: str, next_token: str, key: str, states: Mapping[str, State]
) -> Page:
    """One page of a list of jobs, for the waiter: ``key`` is the member with the job's id."""
    request: dict[str, Any] = {"ByResourceType": RESOURCE_TYPE, "MaxResults": LIST_PAGE}
    if next_token:
        request["NextToken"] = next_token
    page = getattr(account.client("backup", retries=0), operation)(**request)
    jobs = page.get(member, ())
    return Page(
        {job[key]: states.get(state_of(job), "running") for job in jobs},
        page.get("NextToken", ""),
        {job[key]: percent for job in jobs for percent in [percent_done(job)] if percent is not None},
    )


def state_of(job: Mapping[str, Any]) -> str:
    """State, which a restore job calls Status."""
    return str(job.get("State") or job.get("Status") or "")


def percent_done(job: Mapping[str, Any]) -> float | None:
    """PercentDone, a text such as ``12.50%`` or ``12.50``; None where AWS does not give it, as for copies."""
    text = str(job.get("PercentDone") or "").rstrip("% ")
    try:
        return float(text) if text else None
    except ValueError:
        return None


def moment(text: Any) -> datetime | None:
    """A time of a JSON-safe answer."""
    return datetime.fromisoformat(text) if text else None


def role_arn(account: Account, given: str) -> str:
    """The role that AWS Backup uses in ``account``: ``given``, an ARN or a name, or by default ours."""
    if given.startswith("arn:"):
        return given
    return f"arn:{account.partition}:iam::{account.account_id}:role/{given or ROLE}"


def vault_arn(account: Account, name: str) -> str:
    """The ARN of the vault ``name`` of ``account``."""
    return f"arn:{account.partition}:backup:{account.region}:{account.account_id}:backup-vault:{name}"


def lifecycle(delete_after_days: int, move_to_cold_storage_after_days: int, table: str = "") -> dict[str, int]:
    """A Lifecycle; 0 days mean never. Raises InvalidInput where AWS would refuse it after the start (aws.md C6)."""
    cold, end = move_to_cold_storage_after_days, delete_after_days
    if cold < 0 or end < 0:
        raise InvalidInput("Days cannot be negative.", "Use 0 for never.", table=table)
    if cold and end and end < cold + SHORTEST_COLD:
        raise InvalidInput(
            f"Recovery points that move to cold storage after {cold} days stay there for at least {SHORTEST_COLD} days:"
            f" they cannot be deleted after {end} days.",
            f"Set delete_after_days to {cold + SHORTEST_COLD} or more, or move_to_cold_storage_after_days to 0.",
            table=table,
        )
    return {
        **({"DeleteAfterDays": end} if end else {}),
        **({"MoveToColdStorageAfterDays": cold} if cold else {}),
    }
