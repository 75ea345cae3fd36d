#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: staging_bucket
short_description: Creates the staging bucket of a migration, or removes the source's access to it
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Creates the bucket in the destination account in which exports are staged, and adds one statement to its policy,
    which allows the caller of the source account to write exports. All other statements are kept.
  - A bucket that does not exist is created and tagged C(tableferry:managed). For a bucket with that tag the object
    ownership, the public access block, the encryption, one lifecycle rule and a statement that denies requests without
    TLS are kept up to date.
  - A bucket without that tag is yours, and only the one statement is added. It is refused unless its object ownership
    is C(BucketOwnerEnforced). A bucket of another account is refused, even where its policy gives the destination
    access.
  - S3 has no conditional write for policies. The policy is read right before it is written and again afterwards, and
    the statement is added again if another writer has removed it in between.
options:
  bucket:
    description:
      - The bucket.
    type: str
    required: true
  kms_key_arn:
    description:
      - The ARN of the customer managed key that encrypts the staged data. By default S3's own keys do.
      - Only set on a bucket that TableFerry created.
    type: str
  expire_days:
    description:
      - The number of days after which objects below C(tableferry/) expire.
      - Only set on a bucket that TableFerry created.
    type: int
    default: 30
  state:
    description:
      - Whether the source may write exports into the bucket. With V(absent) only the statement of the source's caller
        is removed from the policy.
    type: str
    choices: [present, absent]
    default: present
  remove_bucket:
    description:
      - With O(state=absent), whether to remove the bucket too.
      - The bucket is kept and the task fails if it is not empty, if TableFerry did not create it, or if its policy
        has statements of others.
      - It is kept too while other tables need the statement of the source's caller; RV(left) names them.
    type: bool
    default: false
seealso:
  - module: tableferry.aws.migration_key
  - module: tableferry.aws.dynamodb_export
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.both
  - tableferry.aws.attributes
  - tableferry.aws.migration.users
"""

EXAMPLES = r"""
- name: Create the bucket for the source's exports
  tableferry.aws.staging_bucket:
    bucket: tableferry-222222222222-eu-west-1
    source:
      profile: legacy
      region: eu-west-1
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1

- name: Remove the source's statement from its policy
  tableferry.aws.staging_bucket:
    bucket: tableferry-222222222222-eu-west-1
    source:
      profile: legacy
      region: eu-west-1
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    state: absent
"""

RETURN = r"""
bucket:
  description: The bucket.
  returned: success
  type: str
  sample: tableferry-222222222222-eu-west-1
exists:
  description: Whether the bucket existed before the run.
  returned: success
  type: bool
  sample: true
managed:
  description: Whether TableFerry created the bucket, or would create it in check mode.
  returned: success
  type: bool
  sample: true

# make generate: changes what='policy of the bucket tableferry-222222222222-eu-west-1' before={}
#   after='{Version: "2012-10-17", Statement: [{Sid: TableFerryTlsOnly, Effect: Deny}]}' risk=safe
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
      sample: policy of the bucket tableferry-222222222222-eu-west-1
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: {}
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {Version: "2012-10-17", Statement: [{Sid: TableFerryTlsOnly, Effect: Deny}]}
    risk:
      description: V(safe), V(slow), V(billed) or V(destructive).
      returned: always
      type: str
      sample: safe

# make generate: left says='What is kept because tables need it, and which.'
#   what='TableFerryExport111111111111To222222222222euwest1 of arn:aws:s3:::tableferry'
#   why='tables need it yet, orders (migration default)'
left:
  description: What is kept because tables need it, and which.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: What is not carried or not removed.
      returned: always
      type: str
      sample: TableFerryExport111111111111To222222222222euwest1 of arn:aws:s3:::tableferry
    reason:
      description: The reason.
      returned: always
      type: str
      sample: tables need it yet, orders (migration default)

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.staging_bucket import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
