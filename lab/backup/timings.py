# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long AWS Backup takes, in seconds, and the open questions about it.

AWS Backup itself was never measured: the restore's time is the median of DynamoDB's native restores
(measured/backup-restore-service 3), the others are guesses of their order.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.behaviours import Behaviour, Behaviours
from lab.clock import Timings

SECONDS: Mapping[str, float] = {
    # CREATED, then RUNNING; a refusal by a role's, a vault's or a key's policy comes when a job would run.
    "backup.starting": 20.0,
    "backup.running": 180.0,
    "backup.copy_starting": 20.0,
    "backup.copy_running": 180.0,
    "backup.restore_starting": 20.0,
    "backup.restore_running": 247.0,
    "backup.aborting": 10.0,
    "backup.role_known": 10.0,  # until a new role can be assumed and named in a vault's policy
    "backup.minute": 60.0,  # of the windows in which a job starts and completes
    "backup.deleting_point": 10.0,
    "backup.creating_air_gapped_vault": 120.0,  # one to three minutes, aws.md C7
    "backup.disabling_cross_account": 900.0,  # up to 15 minutes, aws.md C1
}

BEHAVIOURS = (
    # What UpdateRegionSettings does with types that a map does not name (aws.md C1: disputed).
    Behaviour("backup.partial_region_settings", ("merge", "reset")),
    # Whether a copy needs advanced features in the destination too (aws.md C1: unsettled).
    Behaviour("backup.destination_advanced_features", ("not_needed", "needed")),
    # A destination vault under aws/backup (aws.md C2: newest pages allow it for fully managed types, older do not).
    Behaviour("backup.managed_destination_key", ("refused", "allowed")),
    # A role without access to a key (aws.md C6: successful without the objects).
    Behaviour("backup.role_without_key", ("completed", "failed")),
    # A copy whose source or destination key is closed to the destination's side (aws.md C4, C6).
    Behaviour("backup.copy_without_key", ("failed", "completed")),
    # A copy beyond the quota of 100 into one Region (aws.md C6).
    Behaviour("backup.copy_over_quota", ("refused", "waits")),
    # The code outside an organization: seen as ERROR_9601 (cloudquery/cq-provider-aws 817), the newer model declares
    # InvalidRequestException.
    Behaviour("backup.outside_organization", ("ERROR_9601", "InvalidRequestException")),
    # Status of a recovery point that is done: both words are in the API.
    Behaviour("backup.finished_point", ("COMPLETED", "AVAILABLE")),
    # What a restore does with an on-demand table (aws.md C5, L: unmeasured).
    Behaviour("backup.restored_billing_mode", ("kept", "provisioned")),
    Behaviour("backup.restored_on_demand_maximum", ("kept", "lost")),
    # Whether a backup records capacity and maxima of now, or of the table's creation (native backups' copy lags and
    # keeps cleared maxima, measured/backup-restore-service 2.3; AWS Backup: 2.9, likely).
    Behaviour("backup.recorded_capacity", ("current", "stale")),
    Behaviour("backup.restored_vector_indexes", ("kept", "lost")),
    # One restore of a recovery point at a time, as native restores have it (measured/backup-restore-service 2.9).
    Behaviour("backup.second_restore_of_a_point", ("runs", "failed")),
    # A restore beyond the quota of 50 (measured/backup-restore-service 2.9: as a failed job).
    Behaviour("backup.restore_over_quota", ("failed", "pending")),
    # Whether a copy has the tags of its recovery point.
    Behaviour("backup.copied_tags", ("kept", "lost")),
    # StopBackupJob of a DynamoDB backup (aws.md C4: sources disagree).
    Behaviour("backup.stop", ("refused", "aborts")),
)


def define(timings: Timings, behaviours: Behaviours) -> None:
    """Add these to the world's timings and behaviours."""
    for name, seconds in SECONDS.items():
        timings.define(name, seconds)
    behaviours.define(BEHAVIOURS)
