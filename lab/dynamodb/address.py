# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which table a request means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lab.dynamodb.words import belief, invalid, validation
from lab.partitions import partition_of
from lab.rules import Rule
from lab.world import Context

TABLE_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):dynamodb:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):table/(?P<name>[^/]+)"
)

WRONG_REGION = belief(
    "test_tables", "table-arn-of-other-region",
    "A table ARN works as TableName; one of another Region is a ValidationException",
    "measured/import-export-table 1.9",
)  # fmt: skip
TABLE_NAMES = belief(
    "test_tables", "table-names-checked-first",
    "A name that no table can have is a ValidationException of every operation, all that is wrong with it in one text",
    "measured/more 2 [TABLE-041, TABLE-014, TABLE-457]",
)  # fmt: skip
TABLES_ONLY = belief(
    "test_tables", "table-arn-of-a-table-only",
    "The ARN of an index or a stream is no TableName: ValidationException, its text a guess",
    "measured/more (DescribeTable), measured/import-export-table 1.2 for exports", confirmed=False,
)  # fmt: skip

_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
SHORTEST_NAME, LONGEST_NAME = 3, 255


class Address(NamedTuple):
    """Where a table would be."""

    account: str
    region: str
    name: str


def check_table_name(table: str, member: str = "tableName") -> None:
    """Refuse a TableName that is neither a possible name nor a table's ARN; ValidationException."""
    if table.startswith("arn:"):
        match = TABLE_ARN.match(table)
        if match is not None and match.end() != len(table):
            raise invalid(TABLES_ONLY, f"Invalid table ARN: {table}")
        return
    constraints = []
    if not _NAME.fullmatch(table):
        constraints.append("satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
    if len(table) < SHORTEST_NAME:
        constraints.append(f"have length greater than or equal to {SHORTEST_NAME}")
    if len(table) > LONGEST_NAME:
        constraints.append(f"have length less than or equal to {LONGEST_NAME}")
    refuse_value(TABLE_NAMES, member, table, constraints)


def check_named(members: Mapping[str, Any]) -> None:
    """Refuse a request as sent whose TableName is empty, before the model has words for it."""
    if members.get("TableName") == "":
        check_table_name("")


def refuse_value(broken: Rule, member: str, value: str, constraints: Sequence[str]) -> None:
    """ValidationException in the words of AWS's generic validator; nothing where ``constraints`` is empty."""
    if constraints:
        count = len(constraints)
        texts = (
            f"Value '{value}' at '{member}' failed to satisfy constraint: Member must {each}" for each in constraints
        )
        raise validation(broken, f"{count} validation error{'s' * (count > 1)} detected: {'; '.join(texts)}")


def address(context: Context, table: str) -> Address:
    """What ``table``, a name or a table ARN (also of an index, stream or backup), means to the caller of ``context``.

    ValidationException for an ARN of another Region (measured/import-export-table 1.9).
    """
    if not table.startswith("arn:"):
        return Address(context.account_id, context.region, table)
    match = TABLE_ARN.match(table)
    if match is None or match["region"] != context.region or match["partition"] != partition_of(context.region):
        raise validation(WRONG_REGION, f"1 validation error detected: Invalid AWS region in '{table}'")
    return Address(match["account"], match["region"], match["name"])
