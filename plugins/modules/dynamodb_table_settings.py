#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dynamodb_table_settings
short_description: Applies the settings of a DynamoDB table to its copy in another account
version_added: 0.1.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Compares every setting of the source table with the destination table, and applies those that differ, in the order
    and at the pace that AWS requires.
  - The settings are indexes, billing mode and capacity, on-demand maxima, table class, time to live, streams,
    point-in-time recovery, tags, resource policy, contributor insights, Kinesis destinations, encryption, auto scaling
    and deletion protection.
  - A destination table that does not belong to the migration is refused.
options:
  table_id:
    description:
      - The ID of the table that the import of this run created, C(result.table_id) of its job.
      - A table with this ID is known to belong to the migration. For any other, its tag and its imports are read.
    type: str
  wait:
    description:
      - Wait until all settings are applied. With V(false) the job stays pending until M(tableferry.aws.job_wait) runs
        it.
    default: true
seealso:
  - module: tableferry.aws.dynamodb_import
  - module: tableferry.aws.job_wait
  - module: tableferry.aws.dynamodb_table_settings_info
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.both
  - tableferry.aws.tables.destination
  - tableferry.aws.migration
  - tableferry.aws.migration.keys
  - tableferry.aws.migration.settings
  - tableferry.aws.migration.steps
  - tableferry.aws.waiting
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Apply the settings of a table and wait
  tableferry.aws.dynamodb_table_settings:
    name: orders
    source:
      profile: legacy
      region: eu-west-1
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    kms_key_map:
      11111111-1111-1111-1111-111111111111: alias/orders

- name: Leave it to job_wait, without time to live
  tableferry.aws.dynamodb_table_settings:
    name: "{{ inventory_hostname }}"
    source: "{{ ferry_source }}"
    destination: "{{ ferry_destination }}"
    defer: [time_to_live]
    wait: false
  register: ferry_settings
"""

RETURN = r"""
# make generate: job kind=settings
job:
  description:
    - The job in its current state.
    - Pass it unchanged to M(tableferry.aws.job_wait) and to the next verb.
  returned: success
  type: dict
  contains:
    kind:
      description: The kind of job, such as V(export), V(import), V(backup), V(copy), V(restore) or V(direct).
      returned: always
      type: str
      sample: settings
    name:
      description: The table.
      returned: always
      type: str
      sample: orders
    state:
      description:
        - The state of the job. V(planned) jobs exist in check mode only. RV(job.pending_reason) says what
          V(pending) jobs wait for.
        - One of V(planned), V(pending), V(running), V(completed), V(failed), V(cancelled), V(not_needed).
      returned: always
      type: str
      sample: running
    arn:
      description: The ARN or ID of the job at AWS. Empty before it is started.
      returned: always
      type: str
      sample: ""
    pending_reason:
      description: What a pending job waits for. V(slot) is AWS's quota of concurrent jobs.
      returned: always
      type: str
      sample: slot
    request:
      description: The parameters of the request to AWS.
      returned: always
      type: dict
      sample: {}
    result:
      description: The result that AWS reported, such as item counts and locations.
      returned: always
      type: dict
      sample: {}
    failure:
      description:
        - Why the job failed. Empty if it did not fail.
        - C(error) is the type of the error, C(cause) what is wrong, C(next_step) what to do about it, and
          C(details) contains values for programs.
      returned: always
      type: dict
      sample: {}
    failure_code:
      description: The error code of AWS.
      returned: always
      type: str
      sample: ""
    failure_message:
      description: The error message of AWS.
      returned: always
      type: str
      sample: ""
    migration_id:
      description: The migration that the job belongs to.
      returned: always
      type: str
      sample: default
    attempt:
      description: The number of earlier jobs of this kind for this table that failed.
      returned: always
      type: int
      sample: 0

# make generate: changes what=time_to_live before=~ after='{AttributeName: expires, Enabled: true}' risk=safe
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
      sample: time_to_live
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: ~
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {AttributeName: expires, Enabled: true}
    risk:
      description: V(safe), V(slow), V(billed) or V(destructive).
      returned: always
      type: str
      sample: safe

settings_carried:
  description: The settings that are the same in the destination now, or will be.
  returned: success
  type: list
  elements: str
  sample: [tags, time_to_live]
settings_left:
  description: What is not carried, and why. Alarms, event source mappings, IAM policies and replicas are always
    listed where there may be any.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: What is not carried.
      returned: always
      type: str
      sample: replicas
    reason:
      description: The reason.
      returned: always
      type: str
      sample: Replicas are reported, never created on the way.

# make generate: obstacle
obstacle:
  description: What must be fixed before the job can be started, as far as check mode can predict it. Empty otherwise.
  returned: success
  type: str
  sample: ""
obstacle_error:
  description: The type of that error, such as V(BucketMissing). Empty without one.
  returned: success
  type: str
  sample: ""
obstacles:
  description: The problems of RV(obstacle), one by one.
  returned: success
  type: list
  elements: dict
  contains:
    cause:
      description: What is wrong.
      type: str
    next_step:
      description: What to do about it.
      type: str
    made_by:
      description:
        - V(accounts) for what the roles source_account and destination_account make, V(management) for what they make
          with the credentials of the management account. Empty for what is left to you.
      type: str
  sample: []

# make generate: failed_table
table:
  description: The table concerned. Empty if the whole account is.
  returned: failure
  type: str
  sample: orders

# make generate: job_message
msg:
  description: The state of the job; on failure the table, the cause and the next step.
  returned: always
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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.dynamodb_table_settings import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
