#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: caller_policy
short_description: Gives the source's caller an inline policy with what exports need
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Gives the caller of the source account, a user or a role, one inline policy with the permissions that exports need,
    or takes it away. Whoever may do that to its own identity equals an administrator.
  - The policy is named after the migration and the destination account and Region. It names the tables and the bucket,
    the latter for the destination account alone. Tables and buckets that other inventories added stay in it.
  - Every table of the account is named where the names do not fit. The inline policies of a user hold 2,048 characters
    together, those of a role 10,240.
  - IAM is eventually consistent. The module waits up to a minute until the caller may read, and warns if it may
    not then.
options:
  source_tables:
    description:
      - The tables, by their names in the source account. By default every table of the account and Region.
    type: list
    elements: str
    default: []
  bucket:
    description:
      - The staging bucket, in the destination account. Required with O(state=present).
    type: str
  kms_key_arn:
    description:
      - The ARN of the customer managed key that encrypts the staged data. By default the policy names none.
    type: str
  state:
    description:
      - Whether the caller has the policy. With V(absent) it is removed when no table needs it, and with it the one that
        version 0.2 gave for the migration.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: tableferry.aws.staging_bucket
  - module: tableferry.aws.table_key_grants
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.both
  - tableferry.aws.attributes
  - tableferry.aws.migration.users
"""

EXAMPLES = r"""
- name: Allow the source's caller to export two tables
  tableferry.aws.caller_policy:
    source_tables: [orders, users]
    bucket: tableferry-222222222222-eu-west-1
    source:
      profile: legacy
      region: eu-west-1
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
"""

RETURN = r"""
name:
  description: The name of the policy.
  returned: success
  type: str
  sample: tableferry-default-222222222222-eu-west-1

# make generate: changes what='inline policy tableferry-default-222222222222-eu-west-1 of the role ferry'
#   before=~ after='{Version: "2012-10-17"}' risk=safe
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
      sample: inline policy tableferry-default-222222222222-eu-west-1 of the role ferry
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: ~
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {Version: "2012-10-17"}
    risk:
      description: V(safe), V(slow), V(billed) or V(destructive).
      returned: always
      type: str
      sample: safe

# make generate: left says='What is kept because tables need it, and which.'
#   what='tableferry-default-222222222222-eu-west-1 of arn:aws:iam::111111111111:role/ferry'
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
      sample: tableferry-default-222222222222-eu-west-1 of arn:aws:iam::111111111111:role/ferry
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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.caller_policy import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
