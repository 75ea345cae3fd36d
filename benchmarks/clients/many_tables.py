# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many tables by the method direct, as the modules plan them, eight at a time, and as ``job_wait`` makes them: in one
process, each table made, copied, counted and marked."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.direct.copy_job import (
    DirectOptions,
    plan_direct,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import wait_for
from ansible_collections.tableferry.aws.plugins.module_utils.glue.many import THREADS
from benchmarks.clients import REGION, Task, run

ACCOUNT_ID = "111111111111"  # the server's; saying so saves asking STS
SECONDS = 600.0


def copy(task: Task) -> int:
    """Copy all tables; how many items."""
    keys = {"access_key": os.environ["AWS_ACCESS_KEY_ID"], "secret_key": os.environ["AWS_SECRET_ACCESS_KEY"]}
    source = Account(AccountSpec("source", REGION, endpoint_url=task.source_url, account_id=ACCOUNT_ID, **keys))
    destination = Account(
        AccountSpec("destination", REGION, endpoint_url=task.destination_url, account_id=ACCOUNT_ID, **keys)
    )

    def planned(number: int) -> WaitItem:
        options = DirectOptions(f"{task.source_table}-{number}", f"{task.destination_table}-{number}")
        return WaitItem(options.table, source, destination, plan_direct(source, destination, options).job)

    with ThreadPoolExecutor(THREADS) as pool:
        items = list(pool.map(planned, range(task.tables)))
    jobs = wait_for(items, SECONDS).jobs
    for name, job in jobs.items():
        if job.state != "completed":
            raise SystemExit(f"{name}: {job.state} {job.failure}")
    return sum(job.result["items"] for job in jobs.values())


if __name__ == "__main__":
    run({"tables": copy})
