#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_cleanup
short_description: Removes the recovery points that a migration left behind
version_added: 0.2.0
author:
  - TableFerry contributors (@tableferry)
description:
  - On request, deletes the recovery points of a table's migration in the vaults of both accounts, and waits until
    they are gone. Otherwise it reports them, and until when AWS bills them.
  - Other recovery points are never deleted. Recovery points in an air-gapped vault cannot be deleted before they
    expire; the date is reported.
options:
  name:
    description:
      - The source table.
    type: str
    required: true
  vault:
    description:
      - The vault of the source account.
    type: str
    default: tableferry
  destination_vault:
    description:
      - The vault of the destination account.
    type: str
    default: tableferry
  remove_recovery_points:
    description:
      - Whether to delete the recovery points in both vaults.
    type: bool
    default: false
  abandon:
    description:
      - Whether to delete the recovery points of a table that is not finished, too. A later run backs the table up
        again, and AWS bills that again. By default they are kept, and RV(left) says what to do.
    type: bool
    default: false
    version_added: 0.3.0
  recorded_only:
    description:
      - Do something only if the record of the table has a backup, copy or restore of this migration, as after a change
        of the method.
    type: bool
    default: false
    version_added: 0.3.0
  wait_timeout:
    description:
      - How long to wait, in seconds, until they are gone.
    type: int
    default: 300
  destination_table:
    description:
      - The table in the destination account. Defaults to O(name).
    type: str
    version_added: 0.3.0
  record_table:
    description:
      - The name of the record table. While another run holds the table nothing is deleted, and RV(left) says who holds
        it.
    type: str
    default: tableferry
    version_added: 0.3.0
notes:
  - The role that created a recovery point must exist until the recovery point is deleted. Without it AWS accepts the
    deletion, but keeps and bills the recovery point as C(EXPIRED).
seealso:
  - module: tableferry.aws.migration_cleanup
  - module: tableferry.aws.recovery_point_info
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.both
  - tableferry.aws.migration
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Delete the recovery points of a table's migration
  tableferry.aws.backup_cleanup:
    name: orders
    source:
      profile: legacy
      region: eu-west-1
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    remove_recovery_points: true
"""

RETURN = r"""
# make generate: changes
#   what="recovery point arn:aws:backup:eu-west-1:111111111111:recovery-point:01 in the source's vault tableferry"
#   before='{created: "2026-10-08T12:00:00+00:00", bytes: 7340032}' after=~ risk=destructive
changes:
  description: What was changed, or would be changed in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: The object or setting that is changed.
      returned: always
      type: str
      sample: recovery point arn:aws:backup:eu-west-1:111111111111:recovery-point:01 in the source's vault tableferry
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: {created: "2026-10-08T12:00:00+00:00", bytes: 7340032}
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: ~
    risk:
      description: V(safe), V(slow), V(billed) or V(destructive).
      returned: always
      type: str
      sample: destructive

# make generate: left says='What is kept, and why.'
#   what='recovery point in the vault tableferry' why='kept, until 2026-10-15; it costs until then'
left:
  description: What is kept, and why.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: What is not carried or not removed.
      returned: always
      type: str
      sample: recovery point in the vault tableferry
    reason:
      description: The reason.
      returned: always
      type: str
      sample: kept, until 2026-10-15; it costs until then

recorded:
  description: Whether the record of the table has jobs of this kind (backups, copies and restores), whatever
    method is set now.
  returned: success
  type: bool
  sample: true

# make generate: failed_table
table:
  description: The table concerned. Empty if the whole account is.
  returned: failure
  type: str
  sample: orders

# make generate: failure_message
msg:
  description: The error message with the table, the cause and the next step.
  returned: failure
  type: str
  sample: "orders: Point-in-time recovery is off, and an export needs it. Turn it on, or set
    enable_point_in_time_recovery."

# make generate: failure
ferry_status:
  description: V(refused) if nothing was changed because it is not possible or not safe, V(failed) for all other
    errors.
  returned: failure
  type: str
  sample: refused
ferry_error:
  description: The type of the error, for programs.
  returned: failure
  type: str
  sample: PointInTimeRecoveryDisabled
cause:
  description: What is wrong.
  returned: failure
  type: str
  sample: Point-in-time recovery is off, and an export needs it.
next_step:
  description: What to do about it.
  returned: failure
  type: str
  sample: Turn it on, or set enable_point_in_time_recovery.
details:
  description: Values that belong to the error, such as codes and ARNs. They contain no secrets.
  returned: failure
  type: dict
  sample: {code: AccessDeniedException}
"""

from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import run_module
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.backup_cleanup import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
