# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which choices of the user an approved plan holds.

All of them, so that none can be forgotten, but those that are listed here: they say how a run goes, and nothing
becomes of a table or an account by them.
"""

from __future__ import annotations

from dataclasses import asdict, fields, is_dataclass
from typing import Any

# Which table, between which accounts, by which method: a plan has these by themselves. The owner of the bucket is the
# destination account; ``writes_stopped`` of a backup is held with that of all methods.
APART = frozenset({"table", "destination_table", "method", "bucket_owner", "backup.writes_stopped"})

# Options of migration_start; those of a part are named with it. The steps of a transform are held as a fingerprint.
OPTIONS_OF_THE_RUN = frozenset(
    {
        "point_in_time_recovery_wait",
        "items.workers",
        "items.checkpoint_dir",
        "items.work_dir",
        "items.differences_path",
        "items.refused_path",
        "spark.wheels",
        "transform.show_values",
    }
)

# Variables of playbooks, without their prefix: which hosts run, how long is waited, what is written and shown on the
# controller, what other playbooks than migrate do, and prices, as costs are compared by themselves.
VARIABLES_OF_THE_RUN = frozenset(
    {
        *("hosts", "serial", "wait_timeout", "pitr_wait", "take_over"),
        *("workers", "checkpoint_dir", "work_dir", "differences_dir", "spark_wheels", "transform_show_values"),
        *("expect", "report_dir", "iac", "debug_calls", "permissions_dir", "status_path"),
        *("plan", "plan_path", "plan_permissions", "plan_strict", "prices"),
        *("repair", "delete_extra", "disable_point_in_time_recovery", "remove_record", "remove_bucket"),
        *("remove_recovery_points", "remove_backup_plan", "remove_backup_vaults"),
    }
)


def held_options(options: Any) -> dict[str, Any]:
    """What a plan holds of the ``options`` of a migration, a dataclass that may have others in it, but for a transform:
    JSON-safe values by name, those of a part such as ``items.consistent``."""
    found = {}
    for each in fields(options):
        value = getattr(options, each.name)
        is_part = is_dataclass(value) and not isinstance(value, type)
        parts = {f"{each.name}.{name}": inner for name, inner in asdict(value).items()} if is_part else {}
        for name, inner in (parts or {each.name: value}).items():
            if each.name != "transform" and name not in APART | OPTIONS_OF_THE_RUN:
                found[name] = list(inner) if isinstance(inner, tuple) else inner
    return found
