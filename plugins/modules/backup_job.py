#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_job
short_description: Backs a DynamoDB table up with AWS Backup
version_added: 0.2.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Starts a backup of a table into a vault of its own account, once, and returns at once.
  - What an earlier run started is found again by AWS's lists and by the tag C(tableferry:migration) of recovery points.
    A backup that runs, or that is younger than O(backup_max_age), is used instead of a new one.
  - Before anything is started or paid for, both accounts are looked at for everything that AWS Backup would refuse
    late, as far as O(destination) is given. All of it is told at once.
options:
  source:
    required: true
  destination_vault:
    description:
      - The vault of the destination account that the copy will go to.
    type: str
    default: tableferry
  restore:
    description:
      - Whether the copy will be restored; then the destination table, its key and the role are looked at too.
    type: bool
    default: true
  restore_role:
    description:
      - The role of the destination account with which AWS Backup will restore. Left out, it is
        C(AWSBackup-tableferry).
    type: str
  plan:
    description:
      - The name of a backup plan. Nothing is started then; M(tableferry.aws.job_wait) waits for the plan's next run.
    type: str

  copy_delete_after_days:
    description:
      - The lifecycle that the copy will have, to look whether its vault takes it.
    type: int
    default: 7
  backup_max_age:
    description:
      - How old, in seconds, a backup of an earlier run may be to be used again.
    type: int
    default: 86400
notes:
  - A backup shows the table as it is about when it starts; AWS Backup knows no exact time and no item counts.
  - It consumes no read capacity. A table is backed up once at a time.
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
- name: Back a table up on its way to another account
  tableferry.aws.backup_job:
    name: orders
    source:
      profile: legacy
      region: eu-west-1
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
  register: backup

- name: Wait for it
  tableferry.aws.job_wait:
    jobs:
      - name: orders
        source:
          profile: legacy
          region: eu-west-1
        job: "{{ backup.job }}"
  register: waited

- name: Back a table up in its own account only, and keep that for a month
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
    - The job as it stands.
    - Hand it as it is to M(tableferry.aws.job_wait) and to the next verb.
  returned: success
  type: dict
  contains:
    kind:
      description: What kind of job, such as V(export), V(import), V(backup), V(copy), V(restore) or V(direct).
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
        - How far it is. V(planned) jobs exist in check mode only; V(pending) ones wait for what
          RV(job.pending_reason) names.
        - One of V(planned), V(pending), V(running), V(completed), V(failed), V(cancelled), V(not_needed).
      returned: always
      type: str
      sample: running
    arn:
      description: The ARN or id that AWS gave the job, empty before it was started.
      returned: always
      type: str
      sample: ""
    pending_reason:
      description: What a pending job waits for. V(slot) is AWS's quota of jobs at once.
      returned: always
      type: str
      sample: slot
    request:
      description: What AWS is, or was, asked.
      returned: always
      type: dict
      sample: {}
    result:
      description: What AWS reported at the end, counts and places among it.
      returned: always
      type: dict
      sample: {}
    failure:
      description:
        - Why it failed, empty while it has not.
        - C(error) is the type of the error, C(cause) says what is wrong, C(next_step) what to do about it, and
          C(details) has values for programs.
      returned: always
      type: dict
      sample: {}
    failure_code:
      description: AWS's code for why it failed.
      returned: always
      type: str
      sample: ""
    failure_message:
      description: AWS's text for why it failed.
      returned: always
      type: str
      sample: ""
    migration_id:
      description: The migration that the job belongs to.
      returned: always
      type: str
      sample: default
    attempt:
      description: How many earlier jobs of this kind for this table had failed.
      returned: always
      type: int
      sample: 0

# make generate: changes what='backup of orders' before=~ after='{vault: tableferry}' risk=billed
changes:
  description: What was changed, or would be in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: What is changed.
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
  description: What would have to be mended before a start, where check mode sees it coming. Empty otherwise.
  returned: success
  type: str
  sample: ""

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
  description: How the job stands, or what went wrong with the table, the cause and the next step.
  returned: always
  type: str
  sample: "orders: Point-in-time recovery is off, and an export needs it. Turn it on, or set
    enable_point_in_time_recovery."

# make generate: failure
ferry_status:
  description: V(refused) when nothing was touched because it cannot be done or not safely, V(failed) for everything
    else.
  returned: failure
  type: str
  sample: refused
ferry_error:
  description: The kind of error, for programs.
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
  description: Values that belong to the error, such as codes and ARNs. Never secrets.
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
