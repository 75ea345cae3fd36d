#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_cleanup
short_description: Removes what the migration of a table left behind
version_added: 0.1.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Removes the exported data of one table from the staging bucket, and on request point-in-time recovery that the
    migration turned on.
  - Nothing is removed while a job of the table is running. The tables themselves are never deleted.
options:
  destination:
    required: true
  source:
    description:
      - Required for O(disable_point_in_time_recovery), and if O(source_account_id) is not set.
  source_account_id:
    description:
      - The account ID of the source, if O(source) is not set, for example because the account is closed.
    type: str
  source_region:
    description:
      - The Region of the source table, with O(source_account_id).
    type: str
  record_table:
    description:
      - The name of the record table. While another run holds the table nothing is removed, and RV(left) says who holds
        it. While one of its jobs runs the task fails. Jobs that have ended are closed in the record.
    type: str
    default: tableferry
    version_added: 0.3.0
  disable_point_in_time_recovery:
    description:
      - Turn off point-in-time recovery of the source table if this migration turned it on.
      - This ends the chain of incremental exports; a sync then has to start with a full export again.
    type: bool
    default: false
  recorded_only:
    description:
      - Do something only if the record of the table has an export or an import of this migration, as after a change of
        the method.
    type: bool
    default: false
    version_added: 0.3.0
seealso:
  - module: tableferry.aws.dynamodb_export
  - module: tableferry.aws.dynamodb_import
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.source
  - tableferry.aws.accounts.destination
  - tableferry.aws.tables.source
  - tableferry.aws.migration
  - tableferry.aws.migration.staging
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Show what would be removed
  tableferry.aws.migration_cleanup:
    name: orders
    source:
      profile: legacy
      region: eu-west-1
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    bucket: tableferry-222222222222-eu-west-1
  check_mode: true
  diff: true

- name: Remove it, and turn off point-in-time recovery if the migration turned it on
  tableferry.aws.migration_cleanup:
    name: orders
    source:
      profile: legacy
      region: eu-west-1
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    bucket: tableferry-222222222222-eu-west-1
    disable_point_in_time_recovery: true
"""

RETURN = r"""
# make generate: changes
#   what=s3://tableferry-222222222222-eu-west-1/tableferry/default/export/111111111111/eu-west-1/orders/
#   before='{objects: 9, bytes: 7340032}' after=~ risk=destructive
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
      sample: s3://tableferry-222222222222-eu-west-1/tableferry/default/export/111111111111/eu-west-1/orders/
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: {objects: 9, bytes: 7340032}
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
#   what='point-in-time recovery of orders' why='this migration turned it on; it costs until it is turned off'
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
      sample: point-in-time recovery of orders
    reason:
      description: The reason.
      returned: always
      type: str
      sample: this migration turned it on; it costs until it is turned off

recorded:
  description: Whether the record of the table has jobs of this kind (exports and imports), whatever method is set now.
  returned: success
  type: bool
  sample: true

job_role:
  description:
    - Whether the record of the table has Spark jobs, whose role M(tableferry.aws.spark_environment) removes, whatever
      method is set now.
  returned: success
  type: bool
  sample: false

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_cleanup import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
