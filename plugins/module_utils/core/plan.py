# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which way a table's data travels (design section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import LocalSecondaryIndexes, NotInThisVersion, UnknownMethod
from .table.definition import TableDefinition


@dataclass(frozen=True)
class Method:
    """A way for the data: whether this version has it, and whether it carries local secondary indexes."""

    name: str
    path: str
    available: bool
    local_secondary_indexes: bool


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("s3", "export to S3, import from S3", True, False),
        Method("bulk", "export to S3, bulk put into a table made beforehand", False, True),
        Method("backup", "AWS Backup: backup, copy to the other account's vault, restore", True, True),
        Method("glue", "export to S3, Spark job on AWS Glue, transforms", False, True),
        Method("emr", "the same Spark job on EMR Serverless or an EMR cluster", False, True),
        Method("direct", "parallel scan and batch write through the controller", True, True),
        Method("replica", "multi-account global table, then disassociate", False, True),
    )
}
AUTO = "auto"
DEFAULT = "s3"  # what auto means before there is a planner (design section 10)


def choose_method(definition: TableDefinition, method: str) -> str:
    """The method for the table: what was asked for, or the default for ``auto``.

    Raises UnknownMethod, NotInThisVersion, LocalSecondaryIndexes.
    """
    name = DEFAULT if method == AUTO else method
    chosen = METHODS.get(name)
    table = definition.name
    if chosen is None:
        raise UnknownMethod(f"There is no method {method!r}.", f"Use {AUTO}, {_ready()}.", table=table)
    if not chosen.available:
        raise NotInThisVersion(f"The method {name} is not in this version.", f"Use {_ready()}.", table=table)
    if definition.local_secondary_indexes and not chosen.local_secondary_indexes:
        indexes = ", ".join(index.name for index in definition.local_secondary_indexes)
        others = ", ".join(
            found.name for found in METHODS.values() if found.available and found.local_secondary_indexes
        )
        raise LocalSecondaryIndexes(
            f"The table has local secondary indexes ({indexes}), which the method {name} cannot create.",
            f"Methods that can: {others}.",
            table=table,
        )
    return name


def _ready() -> str:
    return ", ".join(found.name for found in METHODS.values() if found.available)
