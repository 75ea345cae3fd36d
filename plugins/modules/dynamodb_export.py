#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dynamodb_export
short_description: Exports a DynamoDB table to S3
version_added: 0.1.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Starts an export of a table to the staging bucket in the destination account, and returns without waiting.
  - An export of an earlier run that is running, or that completed recently and was not imported yet, is used instead
    of a new one.
  - Before anything is started or billed, the table, the method, the destination table, the keys and the bucket are
    checked, those of the destination account only with O(destination).
options:
  source:
    required: true
  method:
    description:
      - The migration method. With V(auto) it is chosen, and the result contains the choice.
    type: str
    default: auto
  prefix:
    description:
      - The prefix in the bucket to write to. By default one below C(tableferry/<migration id>/) that the bucket policy
        of the roles allows.
    type: str
  sse_algorithm:
    description:
      - How Amazon S3 encrypts the files.
    type: str
    choices: [AES256, KMS]
    default: AES256
  kms_key_arn:
    description:
      - The ARN of the key to encrypt the files with, with O(sse_algorithm=KMS).
      - The source's principal must be allowed to use it.
    type: str
  export_type:
    description:
      - Whether to export all items, or only those changed between O(from_time) and O(to_time).
    type: str
    choices: [full, incremental]
    default: full
  export_time:
    description:
      - The time whose state a full export contains, in ISO 8601, UTC without an offset. Defaults to now.
    type: str
  from_time:
    description:
      - The start of an incremental export, in ISO 8601. Required with O(export_type=incremental).
    type: str
  to_time:
    description:
      - The end of an incremental export, in ISO 8601. Defaults to now.
    type: str
  view_type:
    description:
      - Which images of each item an incremental export contains.
    type: str
    choices: [NEW_AND_OLD_IMAGES, NEW_IMAGE]
    default: NEW_AND_OLD_IMAGES
  export_format:
    description:
      - The format of the files.
    type: str
    choices: [DYNAMODB_JSON, ION]
    default: DYNAMODB_JSON
  filter:
    description:
      - The C(FilterSpecification) of the export, as in AWS's API. Only filters that AWS documents as lossless are
        accepted.
    type: dict
  export_max_age:
    description:
      - The maximum age, in seconds, of an export of an earlier run that is used again, as long as its import has not
        completed.
    type: int
    default: 86400
  enable_point_in_time_recovery:
    description:
      - Turn on point-in-time recovery if it is off; exports require it. AWS bills it by the size of the table.
      - The table is then tagged C(tableferry:point-in-time-recovery), and M(tableferry.aws.migration_cleanup) can turn
        it off again.
      - With V(false) such a table is refused.
    type: bool
    default: false
  point_in_time_recovery_days:
    description:
      - The recovery period, in days, with O(enable_point_in_time_recovery). With V(0) AWS decides.
    type: int
    default: 0
  point_in_time_recovery_wait:
    description:
      - How long to wait, in seconds, until point-in-time recovery can be used after it was turned on.
    type: int
    default: 1800
  replace_failed:
    description:
      - Continue although a failed import of this migration left a partial table in the destination account.
        M(tableferry.aws.dynamodb_import) then replaces it.
    type: bool
    default: false
  writes_stopped:
    description:
      - Whether writes to the source have stopped. An export without O(export_time) and O(to_time) then waits, about
        five minutes, until it can show the moment at which it was started; an export that was not asked for so is not
        used again.
    type: bool
    default: false
    version_added: 0.3.0
  record_table:
    description:
      - The name of the record table. A table that a run of M(tableferry.aws.migration_start) holds is refused.
    type: str
    default: tableferry
    version_added: 0.3.0
notes:
  - An export consumes no read capacity, and is billed by the size of the table.
seealso:
  - module: tableferry.aws.dynamodb_import
  - module: tableferry.aws.job_wait
  - module: tableferry.aws.dynamodb_export_info
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.source
  - tableferry.aws.accounts.destination
  - tableferry.aws.tables.source
  - tableferry.aws.migration
  - tableferry.aws.migration.keys
  - tableferry.aws.migration.staging
  - tableferry.aws.waiting
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Export a table without waiting
  tableferry.aws.dynamodb_export:
    name: orders
    source:
      profile: legacy
      region: eu-west-1
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    bucket: tableferry-222222222222-eu-west-1
    enable_point_in_time_recovery: true
  register: export

- name: Export what changed since yesterday and wait for it
  tableferry.aws.dynamodb_export:
    name: orders
    source:
      profile: legacy
      region: eu-west-1
    bucket: tableferry-222222222222-eu-west-1
    bucket_owner: "222222222222"
    export_type: incremental
    from_time: "2026-10-08T12:00:00Z"
    to_time: "2026-10-09T12:00:00Z"
    wait: true
"""

RETURN = r"""
# make generate: job kind=export
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
      sample: export
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

# make generate: changes
#   what='export of orders' before=~ after='{bucket: tableferry-222222222222-eu-west-1}' risk=billed
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
      sample: export of orders
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: ~
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {bucket: tableferry-222222222222-eu-west-1}
    risk:
      description: V(safe), V(slow), V(billed) or V(destructive).
      returned: always
      type: str
      sample: billed

# make generate: left says='What this method does not carry, and why.'
#   what=replicas why='Replicas are reported, never created on the way.'
left:
  description: What this method does not carry, and why.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: What is not carried or not removed.
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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.dynamodb_export import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
