# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Quotas of the destination that stop a table, looked at before anything is billed.

AWS is asked only about a table that is over what every account may have, so that most tables cost no call and need no
permission.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ..account import Account
from ..errors import FerryError, QuotaTooSmall
from .definition import Shape, TableDefinition

INDEXES = 20  # per table, unless the account's quota was raised (measured/indexes-capacity 1)
_INDEXES_QUOTA = ("dynamodb", "L-F7858A77")  # Global Secondary Indexes per table
TABLE_UNITS = 40000  # per table and per index alike (measured/indexes-capacity 3)
_UNITS = {
    "ReadCapacityUnits": "TableMaxReadCapacityUnits",
    "WriteCapacityUnits": "TableMaxWriteCapacityUnits",
    "MaxReadRequestUnits": "TableMaxReadCapacityUnits",
    "MaxWriteRequestUnits": "TableMaxWriteCapacityUnits",
}


def check_quotas(destination: Account, definition: TableDefinition, leave_indexes: Collection[str] = ()) -> None:
    """Raises QuotaTooSmall where ``destination`` cannot have a table like ``definition``, without ``leave_indexes``.

    A quota of capacity that may not be read is not held against the table; that of indexes is AWS's usual one then.
    """
    shape = definition.without_indexes(leave_indexes) if leave_indexes else definition
    _check_indexes(destination, shape)
    _check_units(destination, shape)


def _check_indexes(destination: Account, shape: TableDefinition) -> None:
    count = len(shape.global_secondary_indexes)
    if count <= INDEXES:
        return
    allowed = allowed_by(destination, *_INDEXES_QUOTA)
    most = INDEXES if allowed is None else allowed
    if count <= most:
        return
    unread = (
        ""
        if allowed is not None
        else " If it has been raised, allow servicequotas:GetServiceQuota so that this can be seen."
    )
    raise QuotaTooSmall(
        f"The table has {count} global secondary indexes to create, and account {destination.account_id} may have"
        f" {most} per table in {destination.region}.",
        f"Name {count - most} or more in leave_indexes (methods direct and s3), or have the quota"
        f" 'Global Secondary Indexes per table' of that account raised.{unread}",
        table=shape.name,
        details={"quota": "global secondary indexes per table", "needed": count, "allowed": most},
    )


def _check_units(destination: Account, shape: TableDefinition) -> None:
    over = [(place, unit, value) for place, unit, value in _units(shape) if value > TABLE_UNITS]
    if not over:
        return
    limits = _readable(destination, "dynamodb", "describe_limits") or {}
    for place, unit, value in over:
        most = int(limits.get(_UNITS[unit], value))
        if value > most:
            raise QuotaTooSmall(
                f"{place} has {value} {unit}, and account {destination.account_id} may have {most} per table and index"
                f" in {destination.region}.",
                "Lower it at the source, or have the quota of that account raised in Service Quotas, then run again.",
                table=shape.name,
                details={"quota": "capacity units per table", "needed": value, "allowed": most},
            )


def _units(shape: TableDefinition) -> Iterator[tuple[str, str, int]]:
    """Place, unit and number of all throughput that table and indexes come with."""
    places: list[tuple[str, Shape | None]] = [
        ("The table", shape.provisioned_throughput),
        ("The table", shape.on_demand_throughput),
    ]
    for index in shape.global_secondary_indexes:
        places.append((f"The index {index.name}", index.provisioned_throughput))
        places.append((f"The index {index.name}", index.on_demand_throughput))
    for place, units in places:
        for unit, value in (units or {}).items():
            if unit in _UNITS:
                yield place, unit, int(value)


def allowed_by(account: Account, service: str, code: str) -> int | None:
    """What the quota ``code`` of a ``service``, as Service Quotas call both, allows the ``account`` in its Region; None
    where that cannot be read."""
    answer = _readable(account, "service-quotas", "get_service_quota", ServiceCode=service, QuotaCode=code)
    return int(answer["Quota"]["Value"]) if answer else None


def _readable(account: Account, service: str, operation: str, **params: str) -> Shape | None:
    """The answer; None where the quota cannot be read, which stops nobody."""
    try:
        return account.ask(service, operation, "reading the quotas", retries=1, **params)
    except FerryError:
        return None
