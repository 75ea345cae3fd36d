# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's own data plane, as its modules call it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Endpoint
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.comparing import compare_tables
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyOptions, copy_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.descriptions import find_tables
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import ItemTable
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.throttle import Rate
from benchmarks.clients import REGION, Task, run


@dataclass(frozen=True)
class Keys:
    """The keys of the environment."""

    access_key: str = os.environ["AWS_ACCESS_KEY_ID"]
    secret_key: str = os.environ["AWS_SECRET_ACCESS_KEY"]
    session_token: str = ""


def copy(task: Task) -> int:
    """Copy, within the rate of write units where one is asked for."""
    options = CopyOptions(write_rate=Rate(task.units) if task.units else None, workers=task.workers)
    return copy_items(*tables(task), options).counts.items


def verify(task: Task) -> int:
    """Compare all items both ways."""
    result = compare_tables(*tables(task))
    if not result.equal:
        raise SystemExit(f"{result} of equal tables")
    return result.items_source


def tables(task: Task) -> tuple[ItemTable, ItemTable]:
    """Source and destination."""
    source, destination = Endpoint(task.source_url, REGION, Keys), Endpoint(task.destination_url, REGION, Keys)
    here, there = find_tables(((source, task.source_table), (destination, task.destination_table)))
    return here, there


if __name__ == "__main__":
    run({"copy": copy, "verify": verify, "rate": copy})
