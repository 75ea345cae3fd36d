# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which table a request means."""

from __future__ import annotations

import re
from typing import NamedTuple

from lab.dynamodb.words import belief, validation
from lab.world import Context

TABLE_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):dynamodb:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):table/(?P<name>[^/]+)"
)

WRONG_REGION = belief(
    "test_tables", "table-arn-of-other-region",
    "A table ARN works as TableName; one of another Region is a ValidationException",
    "measured/import-export-table 1.9",
)  # fmt: skip


class Address(NamedTuple):
    """Where a table would be."""

    account: str
    region: str
    name: str


def address(context: Context, table: str) -> Address:
    """What ``table``, a name or a table ARN (also of an index, stream or backup), means to the caller of ``context``.

    ValidationException for an ARN of another Region (measured/import-export-table 1.9).
    """
    if not table.startswith("arn:"):
        return Address(context.account_id, context.region, table)
    match = TABLE_ARN.match(table)
    if match is None or match["region"] != context.region:
        raise validation(WRONG_REGION, f"1 validation error detected: Invalid AWS region in '{table}'")
    return Address(match["account"], match["region"], match["name"])
