#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: table_key_grants
short_description: Allows the source's caller to use the customer managed keys of its tables
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Creates a grant on each of the keys that allows the caller of the source account to read tables that are encrypted
    with it, or revokes these grants.
  - A grant is named after the migration and the destination account and Region. Grants with other names are kept.
  - A key that is disabled or pending deletion is refused before any grant is created. It is never enabled.
options:
  key_arns:
    description:
      - The ARNs of the keys. Aliases are refused.
    type: list
    elements: str
    required: true
  migration_id:
    description:
      - The name of the migration. It is part of the name of each grant.
    type: str
    default: default
  state:
    description:
      - Whether the grants exist. With V(absent) the grants that version 0.2 created for the migration are revoked too.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.both
  - tableferry.aws.attributes
  - tableferry.aws.migration.users
"""

EXAMPLES = r"""
- name: Allow the source's caller to use the key of a table
  tableferry.aws.table_key_grants:
    key_arns: [arn:aws:kms:eu-west-1:111111111111:key/5d2b0a3c-0000-4000-8000-000000000000]
    source:
      profile: legacy
      region: eu-west-1
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
"""

RETURN = r"""
name:
  description: The name of the grants.
  returned: success
  type: str
  sample: tableferry-default-222222222222-eu-west-1

# make generate: changes what='grant tableferry-default on the key arn:aws:kms:eu-west-1:111111111111:key/5d2b0a3c'
#   before=~ after='{grantee: "arn:aws:iam::111111111111:role/ferry", operations: [Decrypt]}' risk=safe
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
      sample: grant tableferry-default on the key arn:aws:kms:eu-west-1:111111111111:key/5d2b0a3c
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: ~
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {grantee: "arn:aws:iam::111111111111:role/ferry", operations: [Decrypt]}
    risk:
      description: V(safe), V(slow), V(billed) or V(destructive).
      returned: always
      type: str
      sample: safe

# make generate: left says='What is kept because tables need it, and which.'
#   what='tableferry-default-222222222222-eu-west-1 of arn:aws:kms:eu-west-1:111111111111:key/1234abcd'
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
      sample: tableferry-default-222222222222-eu-west-1 of arn:aws:kms:eu-west-1:111111111111:key/1234abcd
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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.table_key_grants import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
