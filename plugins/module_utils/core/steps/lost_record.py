# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes a table that no record knows, as after the record was lost or an older one came back (section 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ..account import Account
from ..destination import is_being_imported
from ..jobs.job import Job
from ..record.record import Record
from ..table.definition import TableDefinition


@dataclass(frozen=True)
class Fill:
    """A job of ours that makes the table now, and the method that it belongs to."""

    method: str
    job: Job


# Finds the job of ours that makes the table now, given the destination and what stands there; reads only.
FindFill: TypeAlias = Callable[[Account, TableDefinition | None], Fill | None]

# Whether an import runs into a name of the destination.
Importing: TypeAlias = Callable[[Account, str], bool]


def no_fill(destination: Account, there: TableDefinition | None) -> None:
    """Nothing of ours makes the table."""
    return


def is_lost(record: Record, home: str, there: TableDefinition | None) -> bool:
    """Whether ``record`` is of another table of the records than ``home``, and says nothing of the table ``there``."""
    return record.home != home and there is not None and not (record.is_done and record.table_id == there.table_id)


def find_filling(
    destination: Account,
    table: str,
    there: TableDefinition | None,
    find_fill: FindFill,
    importing: Importing = is_being_imported,
) -> tuple[bool, Fill | None]:
    """Whether an import that is not ours runs into the name ``table``, and the job of ours that makes it now."""
    imported = importing(destination, table)
    fill = find_fill(destination, there) if imported or there is not None else None
    return imported and fill is None, fill
