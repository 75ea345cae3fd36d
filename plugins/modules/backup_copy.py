#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_copy
short_description: Copies a recovery point into the other account
version_added: 0.2.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Starts the copy of a table's recovery point into a vault of the destination account, once, and returns at once.
  - A copy of an earlier run, or of a backup plan, is found again. Nothing is copied where the destination table is
    complete, or where an air-gapped vault is shared.
options:
  name:
    description:
      - The source table.
    type: str
    required: true
  backup:
    description:
      - The job of the backup, as M(tableferry.aws.backup_job) or M(tableferry.aws.job_wait) returned it.
    type: dict
    required: true
  destination_vault:
    description:
      - The vault of the destination account. Its policy must let the source account in, and it cannot be C(Default).
    type: str
    default: tableferry
  role:
    description:
      - The role of the source account with which AWS Backup copies, as ARN or name. Left out, it is
        C(AWSBackup-tableferry).
    type: str
notes:
  - Both accounts must be in one organization, with cross-account backup on.
  - AWS may leave a copy C(CREATED) for hours while it retries by itself. It is followed, and never started again.
seealso:
  - module: tableferry.aws.backup_job
  - module: tableferry.aws.backup_restore
  - module: tableferry.aws.backup_vault_policy
  - module: tableferry.aws.job_wait
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.both
  - tableferry.aws.migration
  - tableferry.aws.backup.lifecycle
  - tableferry.aws.waiting
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Copy what was backed up
  tableferry.aws.backup_copy:
    name: orders
    source:
      profile: legacy
      region: eu-west-1
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    backup: "{{ waited.jobs.orders }}"
    wait: true
  register: copy
"""

RETURN = r"""
# make generate: job kind=copy
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
      sample: copy
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

# make generate: changes what='copy of orders' before=~
#   after='{to: "arn:aws:backup:eu-west-1:222222222222:backup-vault:tableferry"}' risk=billed
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
      sample: copy of orders
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: ~
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {to: "arn:aws:backup:eu-west-1:222222222222:backup-vault:tableferry"}
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

# make generate: failed_table
table:
  description: The table concerned, empty when the whole account is.
  returned: failure
  type: str
  sample: orders

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.backup_copy import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
