# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a verb to the table of the records: opened for reading, or joined by the run that the verb works for."""

from __future__ import annotations

from typing import Any

from ..core.account import Account
from ..core.errors import RecordDenied
from ..core.record import process, record_table
from ..core.record.clock import AwsClock
from ..core.record.run import Run
from ..core.record.store import RecordStore

RECORD_OPTIONS: dict[str, Any] = {"record_table": {"type": "str", "default": record_table.DEFAULT_NAME}}


def open_run(account: Account, name: str, *, create: bool = True) -> Run | None:
    """The run of the ansible-playbook process that this verb works for, in the table ``name`` of the destination.

    None where there is no table and ``create`` is false. Raises as ``RecordStore.open`` and ``Run.join``.
    """
    clock = AwsClock()
    store = RecordStore.open(account, name, clock, create=create)
    return None if store is None else Run.join(store, clock, process.describe(process.playbook()))


def open_to_read(account: Account, name: str) -> tuple[RecordStore | None, float]:
    """The store in the table ``name``, which is not made, and AWS's time. Raises RecordDenied with a policy that is
    enough for reading."""
    clock = AwsClock()
    try:
        return RecordStore.open(account, name, clock, create=False), clock.now()
    except RecordDenied as denied:
        raise record_table.narrowed(denied, name, account.table_arn(name), record_table.READING) from denied
