# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long DynamoDB's control plane takes, in seconds: medians measured on AWS, added to the world's timings.

Cooldowns and windows stand here as well, so that a world of scale 0.02 rehearses a day's budget in half an hour.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.behaviours import Behaviour, Behaviours
from lab.clock import Timings

# From the tables of timings in measured/{settings 3, indexes-capacity 4, policy-autoscaling-replicas 6,
# import-export-table 2}.
SECONDS: Mapping[str, float] = {
    "table.creating": 2.0,
    "table.creating_with_indexes": 16.2,
    "table.deleting": 5.1,
    "table.deleting_under_export": 15.8,
    "table.counted": 21600.0,
    # After CreateTable each family of calls learns of the table by itself, at the latest when it is ACTIVE.
    "table.born.settings": 2.6,
    "table.born.backups": 2.6,
    "table.born.policies": 1.5,
    "table.born.tags": 5.0,
    # While DELETING each forgets it by itself too.
    "table.forgotten.settings": 1.43,
    "table.forgotten.backups": 1.1,
    "table.forgotten.policies": 5.2,
    "table.forgotten.tags": 1.2,
    "pitr.available": 2.0,
    "pitr.latest_lag": 300.0,
    "backups.enabled": 3.0,
    "ttl.cooldown": 1840.0,
    "ttl.sweep": 3600.0,  # how often expired items are deleted, where they are
    "insights.enabling": 1.0,
    "insights.disabling": 2.0,
    "insights.failing": 2.1,
    "stream.enabling": 4.2,
    "stream.disabling": 5.1,
    "class.changing": 4.4,
    "class.window": 30 * 86400.0,
    "encryption.old_key": 8.1,
    "encryption.changing": 22.3,
    "encryption.window": 86400.0,
    "encryption.interval": 21600.0,
    "protection.cooldown": 15.0,
    "billing.to_provisioned": 86.7,
    "billing.to_on_demand": 121.0,
    "billing.to_on_demand_again": 4.1,
    "throughput.changing": 2.0,
    "throughput.day": 86400.0,
    "throughput.interval": 3600.0,
    "warm.first": 451.0,
    "warm.again": 2.0,
    "on_demand.clearing": 1.0,
    "index.allocating": 33.0,
    "index.backfilling": 505.0,
    "index.deleting": 4.8,
    "index.updating": 3.0,
    "policy.pending": 1.5,
    "policy.readable": 1.47,
    "policy.cooldown": 15.0,
    "policy.enforced_first": 2.0,
    "policy.enforced": 236.0,
    "kinesis.enabling": 4.6,
    "kinesis.failing": 2.0,
    "kinesis.failing_slowly": 62.0,
    "kinesis.disabling": 2.0,
    "kinesis.updating": 138.0,
}


BEHAVIOURS = (
    # A definition that gives a known attribute another type, beside a new index (measured/indexes-capacity 2).
    Behaviour("dynamodb.redefined_attribute", ("ignored", "refused")),
    # An export called while LatestRestorableDateTime still stands at the enable time (aws.md A3).
    Behaviour("dynamodb.export_just_after_pitr", ("current", "empty")),
    # LastDecreaseDateTime of a table once its switch to on demand is done (measured/more 6 [TABLE-064, TABLE-183]).
    Behaviour("dynamodb.decrease_date_of_switch", ("gone", "kept")),
    # Fifty came on one page (measured/more [TABLE-108]); the API has a NextToken all the same (aws.md G).
    Behaviour("dynamodb.tags_on_a_page", ("50", "10")),
    # AWS deletes expired items within a few days, nobody knows when.
    Behaviour("dynamodb.expired_items", ("stay", "deleted")),
    # What an import does with items that have a key which an index does not take.
    Behaviour("dynamodb.import_of_index_keys", ("refused", "left_out")),
)


def define(timings: Timings, behaviours: Behaviours) -> None:
    """Add these to the world's timings and behaviours."""
    for name, seconds in SECONDS.items():
        timings.define(name, seconds)
    behaviours.define(BEHAVIOURS)
