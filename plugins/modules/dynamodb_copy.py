#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dynamodb_copy
short_description: Copies a DynamoDB table through the controller
version_added: 0.2.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Creates the destination table like the source, local secondary indexes included, and copies all items by parallel
    scans and batch writes. It needs neither a bucket nor point-in-time recovery, and works across partitions.
  - A scan is not a snapshot. What is written to the source meanwhile may or may not be in the copy.
  - A killed copy continues from its checkpoint. A destination table that does not belong to the migration is refused.
requirements:
  - msgspec
  - isal (optional, for less CPU)
options:
  warm_throughput:
    description:
      - Create the destination table with the warm throughput of the source where it is above what AWS gives. AWS
        charges for it once.
    type: bool
    default: true
  count:
    description:
      - Count the items of the copied table by a consistent scan at the end.
    type: bool
    default: true
  wait:
    description:
      - Copy now. With V(false) the job stays pending until M(tableferry.aws.job_wait) runs it.
    default: true
seealso:
  - module: tableferry.aws.dynamodb_verify
  - module: tableferry.aws.job_wait
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.both
  - tableferry.aws.tables.source
  - tableferry.aws.migration
  - tableferry.aws.migration.keys
  - tableferry.aws.migration.indexes
  - tableferry.aws.items
  - tableferry.aws.items.copying
  - tableferry.aws.waiting
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Copy a table, with at most half of the source's read capacity
  tableferry.aws.dynamodb_copy:
    name: orders
    source:
      profile: legacy
      region: eu-west-1
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    read_rate: 50%
    checkpoint_dir: ~/.tableferry
"""

RETURN = r"""
# make generate: job kind=direct
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
      sample: direct
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

# make generate: changes what='table orders' before=~ after='{TableName: orders}' risk=billed
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
      sample: table orders
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: ~
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {TableName: orders}
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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.dynamodb_copy import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
