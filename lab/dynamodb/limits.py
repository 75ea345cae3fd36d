# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much an account may ask of DynamoDB's control plane at once, and what it holds."""

from __future__ import annotations

import datetime

from lab.dynamodb.registry import registry
from lab.dynamodb.words import belief, over_limit
from lab.rules import Rule
from lab.world import Context

ACCOUNT_LIMITER = belief(
    "test_tables", "control-plane-limiter",
    "About six control plane writes of an account pass at once, the rest are ThrottlingException for a second",
    "measured/import-export-table 1.11 [TABLE-132, TABLE-434]",
)  # fmt: skip
ADJUSTABLE = belief(
    "test_tables", "quotas-adjustable",
    "AWS raises indexes per table and units per table and account for single accounts; DescribeLimits tells the units",
    "Amazon DynamoDB developer guide, Quotas; Service Quotas, DynamoDB",
)  # fmt: skip

MOST_TABLES = belief(
    "test_tables", "tables-per-account",
    "An account has 2,500 tables in a Region, those that are being made included; the text of the refusal is a guess",
    "aws-new.md 4; Amazon DynamoDB developer guide, Quotas", confirmed=False,
)  # fmt: skip

GLOBAL_INDEXES, TABLE_UNITS, ACCOUNT_UNITS = "dynamodb.global_indexes", "dynamodb.table_units", "dynamodb.account_units"
TABLES = "dynamodb.tables"
DEFAULTS = {GLOBAL_INDEXES: 20, TABLE_UNITS: 40_000, ACCOUNT_UNITS: 80_000, TABLES: 2_500}


def take_control_plane_write(context: Context) -> None:
    """Count one effective write of the caller's account; ThrottlingException above its rate.

    Reads, no-ops, deletion protection and TTL are exempt: their handlers do not come here.
    """
    family = f"dynamodb.control-plane.{context.region}"
    if not context.world.throttles.admits(context.account_id, family, burst=6, per_second=5):
        raise ACCOUNT_LIMITER.error(
            "ThrottlingException", "The rate of control plane requests made by this account is too high"
        )


def require_room(context: Context) -> None:
    """LimitExceededException where the caller's account has as many tables in the Region as it may."""
    most = context.world.quota(context.account_id, TABLES)
    if sum(1 for _ in registry(context).all(context.account_id, context.region)) >= most:
        raise over_limit(MOST_TABLES, f"There is a limit of {most} tables per account and Region")


def take_read_of_connection(context: Context, broken: Rule, *, burst: float, per_second: float) -> None:
    """Count one read on the request's HTTP connection; ThrottlingException of ``broken`` above its rate.

    Requests that came over no connection, as from tests in this process, are not counted.
    """
    family = f"dynamodb.{context.operation}.{context.region}.{context.connection}"
    admits = context.world.throttles.admits
    if context.connection and not admits(context.account_id, family, burst=burst, per_second=per_second):
        raise broken.error("ThrottlingException", "Rate exceeded")


def account_units(context: Context, kind: str) -> int:
    """The ``read`` or ``write`` capacity units of all tables and indexes of the account in the Region."""
    tables = registry(context).all(context.account_id, context.region)
    throughputs = [table.billing.throughput for table in tables]
    throughputs += [index.throughput for table in tables for index in table.global_indexes]
    return sum(getattr(throughput, kind) for throughput in throughputs)


def moment(seconds: float) -> str:
    """An epoch time as refusals write it: ISO 8601 with milliseconds."""
    stamp = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")
