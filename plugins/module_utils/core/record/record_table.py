# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of the records: made by the first run, held to its shape by every other (design section 6, "Items")."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import aws_errors, sdk
from ..change import Change
from ..errors import FerryError, RecordBusy, RecordDenied, RecordLost, RecordUnusable
from ..table_status import Phase, phase_of
from .lease import iso

DEFAULT_NAME = "tableferry"
KEYS = (("pk", "HASH"), ("sk", "RANGE"))
CREATING = 180  # seconds for the table to become ACTIVE
FIRST_LOOK, LOOK_GAP = 0.25, 1.0  # seconds between looks at a new table: each takes twice as long, up to the second
ACTIONS = (
    "CreateTable", "DeleteItem", "DescribeTable", "GetItem", "PutItem", "Scan", "UpdateItem", "UpdateTable",
)  # fmt: skip
TAGGING = "TagResource"
READING = ("DescribeTable", "Scan")  # enough for status
REMOVING = (*ACTIONS, "DeleteTable")  # what cleanup needs to remove the table too

Explain = Callable[[Exception, str], FerryError]


@dataclass(frozen=True)
class RecordTable:
    """The table of the records as it is. ``home`` is its TableId: one that was made anew or restored has another."""

    name: str
    arn: str
    home: str
    created: float
    status: str = "ACTIVE"


def creation(name: str) -> Change:
    """The change of making the table, for check mode."""
    return Change(f"dynamodb.table.{name}", None, "table of the records, on demand, deletion protection on")


def find(client: Any, name: str, arn: str = "", *, explain: Explain | None = None) -> RecordTable | None:
    """The table of the records ``name``; None if there is none.

    ``arn`` is only for messages; ``explain`` is what ``otherwise`` is there. Raises RecordUnusable when it has another
    shape or is being deleted, RecordDenied with the policy to attach.
    """
    try:
        described = client.describe_table(TableName=name)["Table"]
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if sdk.error_code(error) in aws_errors.NO_RESOURCE:
            return None
        raise _explain(error, name, arn, explain) from error
    _require_shape(described)
    status = described["TableStatus"]
    phase = phase_of(status)
    if phase is Phase.GOING:
        raise RecordUnusable(
            f"The table of the records {name} is being deleted.",
            "Wait until it is gone, then run again: a new one is made. What stands on the destination is found by its"
            " tags and is not touched.",
        )
    if phase is Phase.LOST:
        raise _key_unusable(name, status)
    created = described["CreationDateTime"]
    return RecordTable(name, described["TableArn"], described["TableId"], created.timestamp(), status)


def find_or_create(
    client: Any,
    name: str,
    arn: str = "",
    *,
    explain: Explain | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    tags: Mapping[str, str] | None = None,
) -> RecordTable:
    """The table of the records ``name``, made with ``tags`` if there is none, once it is usable. Raises as ``find``."""
    end, asked, gap = clock() + CREATING, False, FIRST_LOOK
    while True:
        table = find(client, name, arn, explain=explain)
        if table is not None and phase_of(table.status) is Phase.USABLE:
            return table
        if clock() > end:
            raise RecordBusy(
                f"The table of the records {name} is not ACTIVE after {CREATING} s.",
                "Look at its status in the destination account, then run again.",
            )
        # DescribeTable is eventually consistent: it may not know yet what CreateTable has just answered.
        if table is None and not asked:
            _create(client, name, arn, explain, tags or {})
            asked = True
        sleep(gap)
        gap = min(gap * 2, LOOK_GAP)


def remove(
    client: Any,
    name: str,
    is_empty: Callable[[], bool],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Delete the table of the records and wait for its end; whether it was deleted. Raises as ``find``.

    ``is_empty`` is asked once deletion protection is off, right before the deletion; where it says no, the protection
    is put back.
    """
    deleted = False
    try:
        client.update_table(TableName=name, DeletionProtectionEnabled=False)
        end = clock() + CREATING
        # Nobody knows whether UpdateTable leaves the table UPDATING for this alone; if so, DeleteTable is refused.
        while client.describe_table(TableName=name)["Table"]["TableStatus"] == "UPDATING" and clock() < end:
            sleep(1.0)
        if not is_empty():
            client.update_table(TableName=name, DeletionProtectionEnabled=True)
            return False
        client.delete_table(TableName=name)
        deleted = True
        while clock() < end:  # who opens it next must find none, rather than one that is being deleted
            client.describe_table(TableName=name)
            sleep(1.0)
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if sdk.error_code(error) not in aws_errors.NO_RESOURCE:
            raise _explain(error, name) from error
    return deleted


def _create(client: Any, name: str, arn: str, explain: Explain | None, tags: Mapping[str, str]) -> None:
    # Without any, the caller needs no dynamodb:TagResource.
    tagged = {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]} if tags else {}
    try:
        client.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _kind in KEYS],
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in KEYS],
            BillingMode="PAY_PER_REQUEST",
            DeletionProtectionEnabled=True,
            **tagged,
        )
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        # Another run makes it at this moment, or our own attempt before a retry has.
        if sdk.error_code(error) != "ResourceInUseException":
            raise _explain(error, name, arn, explain) from error


def _require_shape(described: Mapping[str, Any]) -> None:
    types = {each["AttributeName"]: each["AttributeType"] for each in described["AttributeDefinitions"]}
    keys = tuple((key["AttributeName"], key["KeyType"]) for key in described["KeySchema"])
    if keys == KEYS and types["pk"] == types["sk"] == "S":
        return
    name = described["TableName"]
    words = ", ".join(f"{key} ({kind}, {types[key]})" for key, kind in keys)
    raise RecordUnusable(
        f"The table {name} has the keys {words}: it is not a table of our records, which has pk (HASH, S) and"
        " sk (RANGE, S).",
        "Set record_table to another table; a missing one is made with the right keys.",
    )


def explain(error: Exception, name: str, arn: str = "", otherwise: Explain | None = None) -> FerryError:
    """``error`` of a call on the table of the records (ClientError, BotoCoreError) as one of ours.

    ``otherwise`` explains what is not about this table, such as credentials (``Account.explain``).
    """
    code, message = sdk.error_code(error), sdk.error_message(error)
    if isinstance(error, FerryError):
        return error
    if code in aws_errors.NO_RESOURCE:
        return gone(name)
    if code in aws_errors.DENIED:
        return _key_unusable(name, sdk.told(error)) if "kms" in message.lower() else _denied(name, arn, error)
    if code.startswith("KMS") or "InaccessibleEncryption" in code:
        return _key_unusable(name, sdk.told(error))
    refusal, reason = aws_errors.refusal_of(error), aws_errors.reason(code, message, sdk.request_id(error))
    if refusal.waits:
        return RecordBusy(
            f"The table of the records {name} did not answer: {reason}.",
            "Run again: what was begun is found and continued.",
            details={"code": code},
        )
    if otherwise is not None:
        return otherwise(error, f"using the table of the records {name}")
    return RecordUnusable(
        f"The table of the records {name} cannot be used: {reason}.",
        "Fix the cause AWS reports, then run again. Nothing was begun."
        if refusal.kind == "final"
        else f"{refusal.next_step} Nothing was begun.",
        details={"code": code, **refusal.details},
    )


def gone(name: str) -> RecordLost:
    """The table of the records is not there any more."""
    return RecordLost(
        f"The table of the records {name} is gone: it was deleted while a run was at work.",
        "Make sure that no run is at work, then run again: a new one is made, running jobs of ours are found, and"
        " tables of ours without a record are shown as owned, state unknown.",
    )


def replaced(name: str, was: str, seen: RecordTable) -> RecordLost:
    """Another table of the records stands under the name."""
    return RecordLost(
        f"The table of the records {name} was made anew or restored at {iso(seen.created)}: its TableId is {seen.home},"
        f" this run began with {was}.",
        "This run begins nothing more. Make sure that no other run is at work, then run again.",
        details={"home": seen.home, "was": was},
    )


_explain = explain  # under a name that the functions' argument does not hide


def policy(arn: str, actions: Sequence[str] = ACTIONS) -> dict[str, Any]:
    """The IAM statement that lets a principal use the table of the records; only ``READING`` of it, where so given."""
    return {
        "Effect": "Allow",
        "Action": [f"dynamodb:{action}" for action in actions],
        "Resource": arn,
    }


def narrowed(denied: RecordDenied, name: str, arn: str, actions: Sequence[str]) -> RecordDenied:
    """``denied`` for a caller that needs ``actions`` only. What no permission helps against keeps its next step."""
    by_permission = denied.next_step.startswith(_ALLOW)
    return RecordDenied(
        denied.cause,
        _allow(name, arn, actions) if by_permission else denied.next_step,
        details={**denied.details, "policy": {"Version": "2012-10-17", "Statement": [policy(arn or "*", actions)]}},
    )


_ALLOW = "Allow the destination's principal "


def _allow(name: str, arn: str, actions: Sequence[str]) -> str:
    return f"{_ALLOW}{_named(actions)} on {arn or f'the table {name}'}, then run again."


def _named(actions: Sequence[str]) -> str:
    return ", ".join(f"dynamodb:{action}" for action in actions)


def _denied(name: str, arn: str, error: Exception) -> RecordDenied:
    refusal = aws_errors.refusal_of(error)
    why = sdk.told(error)
    # A table that is created with tags of the account's options needs one more.
    actions = sorted({*ACTIONS, TAGGING}) if f"dynamodb:{TAGGING}" in why else ACTIONS
    return RecordDenied(
        f"The table of the records {name} in the destination account may not be used: {why}.",
        f"{refusal.next_step or _allow(name, arn, actions)} Nothing was begun.",
        details={"policy": {"Version": "2012-10-17", "Statement": [policy(arn or "*", actions)]}, **refusal.details},
    )


def _key_unusable(name: str, why: str) -> RecordUnusable:
    return RecordUnusable(
        f"The table of the records {name} in the destination account is encrypted with a KMS key that may not be used:"
        f" {why.rstrip('.')}.",
        "Allow the destination's principal kms:Decrypt, kms:Encrypt and kms:DescribeKey with this key, enable the key,"
        " or set record_table to another table. Nothing was begun.",
    )
