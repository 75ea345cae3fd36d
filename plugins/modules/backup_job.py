#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_job
short_description: Backs up a DynamoDB table with AWS Backup
version_added: 0.2.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Starts a backup of a table to a vault in its own account, and returns without waiting.
  - Backups of earlier runs are found in AWS's lists and by the tag C(tableferry:migration) of recovery points. A backup
    that is running, or that is younger than O(backup_max_age), is used instead of a new one.
  - Before anything is started or billed, both accounts are checked for everything that AWS Backup would refuse
    later, the destination account only with O(destination). All problems are reported at once.
options:
  source:
    required: true
  destination_vault:
    description:
      - The vault in the destination account that the copy will go to.
    type: str
    default: tableferry
  restore:
    description:
      - Whether the copy will be restored. If so, the destination table, its key and the role are checked too.
    type: bool
    default: true
  restore_role:
    description:
      - The ARN or name of the IAM role in the destination account that AWS Backup will use to restore.
      - Defaults to C(AWSBackup-tableferry).
    type: str
  plan:
    description:
      - The name of a backup plan. No backup is started then; M(tableferry.aws.job_wait) waits for the next run of the
        plan.
    type: str

  copy_delete_after_days:
    description:
      - The number of days after which AWS will delete the copy, to check whether its vault accepts that.
    type: int
    default: 7
  backup_max_age:
    description:
      - The maximum age, in seconds, of a backup of an earlier run that is used again.
    type: int
    default: 86400
notes:
  - A backup contains the table approximately as of its start. AWS Backup reports no exact time and no item counts.
  - It consumes no read capacity. Only one backup of a table runs at a time.
seealso:
  - module: tableferry.aws.backup_copy
  - module: tableferry.aws.backup_restore
  - module: tableferry.aws.backup_account_settings
  - module: tableferry.aws.job_wait
  - module: tableferry.aws.recovery_point_info
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.source
  - tableferry.aws.accounts.destination
  - tableferry.aws.tables.source
  - tableferry.aws.migration
  - tableferry.aws.backup
  - tableferry.aws.backup.lifecycle
  - tableferry.aws.migration.keys
  - tableferry.aws.waiting
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Back up a table for another account
  tableferry.aws.backup_job:
    name: orders
    source:
      profile: legacy
      region: eu-west-1
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
  register: backup

- name: Wait for the backup
  tableferry.aws.job_wait:
    jobs:
      - name: orders
        source:
          profile: legacy
          region: eu-west-1
        job: "{{ backup.job }}"
  register: waited

- name: Back up a table in its own account only, and keep the backup for a month
  tableferry.aws.backup_job:
    name: orders
    source:
      profile: legacy
      region: eu-west-1
    delete_after_days: 30
    wait: true
"""

RETURN = r"""
# make generate: job kind=backup
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
      sample: backup
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

# make generate: changes what='backup of orders' before=~ after='{vault: tableferry}' risk=billed
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
      sample: backup of orders
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: ~
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {vault: tableferry}
    risk:
      description: V(safe), V(slow), V(billed) or V(destructive).
      returned: always
      type: str
      sample: billed

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

# make generate: source_table
table:
  description:
    - The source table as C(DescribeTable) shows it; O(tableferry.aws.dynamodb_import#module:definition) takes it.
    - On failure only the table's name.
  returned: always
  type: raw
  sample: {TableName: orders, ItemCount: 20000}

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.backup_job import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
