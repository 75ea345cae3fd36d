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
  - Starts an export of a table to the staging bucket of the destination account, once, and returns at once.
  - What an earlier run started is found again. An export that is running, or that finished recently and was not
    imported yet, is used instead of a new one.
  - Before anything is started or paid for, the table, the method, the destination table, the keys and the bucket are
    looked at, as far as O(destination) is given.
options:
  source:
    required: true
  method:
    description:
      - How the data should travel. V(auto) chooses, and the result says what it chose.
    type: str
    default: auto
  prefix:
    description:
      - Where in the bucket to write. Left out, it is a place below C(tableferry/<migration id>/) that the roles'
        bucket policy allows.
    type: str
  sse_algorithm:
    description:
      - How S3 encrypts the files.
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
      - Everything, or only what changed between O(from_time) and O(to_time).
    type: str
    choices: [full, incremental]
    default: full
  export_time:
    description:
      - The moment whose state a full export holds, in ISO 8601; UTC where it says no offset. Left out, it is now.
    type: str
  from_time:
    description:
      - Where an incremental export begins, in ISO 8601. Needed with O(export_type=incremental).
    type: str
  to_time:
    description:
      - Where an incremental export ends, in ISO 8601. Left out, it is now.
    type: str
  view_type:
    description:
      - What an incremental export says of each item.
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
      - The C(FilterSpecification) of the export, in AWS's own words. Only what AWS documents as lossless is let
        through.
    type: dict
  export_max_age:
    description:
      - How old, in seconds, an export of an earlier run may be to be used again, as long as its import has not
        completed.
    type: int
    default: 86400
  enable_point_in_time_recovery:
    description:
      - Turn point-in-time recovery on where it is off; an export is impossible without it. It costs money by the size
        of the table.
      - What was turned on is tagged C(tableferry:point-in-time-recovery), and M(tableferry.aws.migration_cleanup) can
        turn it off again.
      - V(false) refuses such a table.
    type: bool
    default: false
  point_in_time_recovery_days:
    description:
      - The recovery period, in days, with O(enable_point_in_time_recovery). V(0) leaves it to AWS.
    type: int
    default: 0
  point_in_time_recovery_wait:
    description:
      - How long, in seconds, the waiter gives point-in-time recovery to become usable after it was turned on.
    type: int
    default: 1800
  replace_failed:
    description:
      - Go on although a failed import of this migration left a partial table at the destination.
        M(tableferry.aws.dynamodb_import) then replaces it.
    type: bool
    default: false
notes:
  - An export reads no capacity of the table, and is billed by the table's size.
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
- name: Export a table and go on at once
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
    - The job as it stands.
    - Hand it as it is to M(tableferry.aws.job_wait) and to the next verb.
  returned: success
  type: dict
  contains:
    kind:
      description: What kind of job, such as V(export), V(import), V(backup), V(copy), V(restore) or V(direct).
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

# make generate: changes
#   what='export of orders' before=~ after='{bucket: tableferry-222222222222-eu-west-1}' risk=billed
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

# make generate: left says='What will not come along with this method, and why.'
#   what=replicas why='Replicas are reported, never created on the way.'
left:
  description: What will not come along with this method, and why.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: What stays behind.
      returned: always
      type: str
      sample: replicas
    reason:
      description: Why.
      returned: always
      type: str
      sample: Replicas are reported, never created on the way.

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.dynamodb_export import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
