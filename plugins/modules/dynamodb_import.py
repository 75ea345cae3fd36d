#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dynamodb_import
short_description: Imports a DynamoDB table from S3
version_added: 0.1.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Starts an import from the staging bucket into a new table, and returns without waiting.
  - The import of an earlier run is used if there is one. A destination table that exists and does not belong to this
    migration is refused.
  - Before the import starts, one data object is read with the credentials of the destination account, and a prefix
    without data is refused. This is skipped if M(tableferry.aws.job_wait) has done it at the end of the export.
options:
  name:
    description:
      - The table to create in the destination account.
  destination:
    required: true
  export:
    description:
      - The export job, as returned by M(tableferry.aws.dynamodb_export) or M(tableferry.aws.job_wait).
      - Mutually exclusive with O(prefix).
    type: dict
  prefix:
    description:
      - The prefix of the data files, for an export by other means. It must end in C(/data/).
    type: str
  definition:
    description:
      - The definition of the table, as returned by C(DescribeTable). Required if O(source) is not set.
      - With O(source) it saves a call. If its C(TableId) is not that of the exported table, it is read again.
    type: dict
  input_format:
    description:
      - The format of the files.
    type: str
    choices: [DYNAMODB_JSON, ION]
    default: DYNAMODB_JSON
  compression:
    description:
      - The compression of the files. AWS does not detect it.
    type: str
    choices: [GZIP, ZSTD, NONE]
    default: GZIP
  replace_failed:
    description:
      - Delete the partial table that a failed import of this migration left behind, and import again.
    type: bool
    default: false
  export_max_age:
    description:
      - The maximum age of the export, in seconds.
    type: int
    default: 86400
  refused_path:
    description:
      - A file on the controller for the keys of items that the destination refuses, which only its owner may read.
      - Item keys are personal data. Without this file they are not kept anywhere, and results have counts only.
    type: path
    version_added: 0.3.0
  record_table:
    description:
      - The name of the record table. A table that a run of M(tableferry.aws.migration_start) holds is refused.
    type: str
    default: tableferry
    version_added: 0.3.0
notes:
  - An import consumes no write capacity, and is billed by the size of the files. AWS runs at most 50 at a time; the
    others are pending until M(tableferry.aws.job_wait) starts them.
seealso:
  - module: tableferry.aws.dynamodb_export
  - module: tableferry.aws.job_wait
  - module: tableferry.aws.dynamodb_table_settings
  - module: tableferry.aws.dynamodb_import_info
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.source
  - tableferry.aws.accounts.destination
  - tableferry.aws.tables.destination
  - tableferry.aws.migration
  - tableferry.aws.migration.keys
  - tableferry.aws.migration.indexes
  - tableferry.aws.migration.staging
  - tableferry.aws.waiting
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Export a table and wait
  tableferry.aws.dynamodb_export:
    name: orders
    source:
      profile: legacy
      region: eu-west-1
    bucket: tableferry-222222222222-eu-west-1
    bucket_owner: "222222222222"
    wait: true
  register: export

- name: Import it in the other account
  tableferry.aws.dynamodb_import:
    name: orders
    source:
      profile: legacy
      region: eu-west-1
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    bucket: tableferry-222222222222-eu-west-1
    export: "{{ export.job }}"
    wait: true
"""

RETURN = r"""
# make generate: job kind=import
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
      sample: import
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

# make generate: changes what='import into orders' before=~ after='{table: orders}' risk=billed
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
      sample: import into orders
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: ~
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {table: orders}
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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.dynamodb_import import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
