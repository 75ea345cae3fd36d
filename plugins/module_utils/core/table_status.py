# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TableStatus: what each of its values means for a migration, decided here alone."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from .errors import TableUnusable


class Phase(Enum):
    """What can be done with a table, and what comes of waiting."""

    MAKING = "making"  # becomes usable by itself; its tags cannot be asked for yet
    USABLE = "usable"  # items are read and written
    UNCLEAR = "unclear"  # nothing is read or written; may become usable again
    GOING = "going"  # is being deleted
    LOST = "lost"  # unusable until somebody acts


_PHASES = {
    "CREATING": Phase.MAKING,
    "ACTIVE": Phase.USABLE,
    "UPDATING": Phase.USABLE,
    # Of replicas in several accounts (aws.md); what it means for items is not measured.
    "REPLICATION_NOT_AUTHORIZED": Phase.UNCLEAR,
    "DELETING": Phase.GOING,
    # The KMS key is lost (measured/settings 2.10); archived after seven days (aws.md).
    "INACCESSIBLE_ENCRYPTION_CREDENTIALS": Phase.LOST,
    "ARCHIVING": Phase.LOST,
    "ARCHIVED": Phase.LOST,
}


def phase_of(status: str) -> Phase:
    """The phase of a TableStatus; of one that AWS added since, ``UNCLEAR``."""
    return _PHASES.get(status, Phase.UNCLEAR)


def advice(table: Mapping[str, Any]) -> str:
    """What to do about a table that is not usable; ``table`` is DescribeTable's ``Table``."""
    status = table.get("TableStatus", "ACTIVE")
    if status == "DELETING":
        return "Wait until it is gone, then run again."
    if status == "INACCESSIBLE_ENCRYPTION_CREDENTIALS":
        key = table.get("SSEDescription", {}).get("KMSMasterKeyArn") or "its KMS key"
        return (
            f"DynamoDB cannot use {key}: enable the key and keep DynamoDB's grants on it (a deletion that is cancelled"
            " leaves a key disabled). Within an hour the table is ACTIVE again; then run again."
        )
    if status in ("ARCHIVING", "ARCHIVED"):
        backup = table.get("ArchivalSummary", {}).get("ArchivalBackupArn")
        name = f"the backup {backup}" if backup else "the backup that AWS makes of it"
        return f"Its KMS key could not be used for 7 days. Restore {name} under another name, then migrate that table."
    return "Wait until it is ACTIVE, then run again."


def require_usable(table: Mapping[str, Any]) -> None:
    """Raises TableUnusable for a table that is being deleted, archived or without its key: waiting does not help.

    ``table`` is DescribeTable's ``Table``.
    """
    status = str(table.get("TableStatus", "ACTIVE"))
    if phase_of(status) in (Phase.GOING, Phase.LOST):
        region, account_id = str(table.get("TableArn", ":::::")).split(":")[3:5]
        name = str(table["TableName"])
        raise TableUnusable(
            f"The table {name} in {region} of account {account_id} is {status}.",
            advice(table),
            table=name,
            details={"table_arn": table.get("TableArn", ""), "status": status},
        )
