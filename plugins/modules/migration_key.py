#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_key
short_description: Creates a KMS key for a migration and allows its users to use it
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Adds the statements that a migration between the two accounts needs to the policy of a KMS key, or removes them.
    All other statements and settings of the key are kept.
  - If there is no key with the O(alias), one is created, with rotation, and tagged C(tableferry:managed). A key with
    the O(alias) but without that tag is refused.
  - A key that is disabled or pending deletion is refused. It is never enabled.
  - KMS has no conditional write for policies. The policy is read right before it is written and again afterwards, and
    the statements are added again if another writer has removed them in between.
options:
  purpose:
    description:
      - What the key encrypts. It decides who may use the key.
      - V(staging) is a key of the destination account with which the caller of the source account encrypts exports.
      - V(source_vault) is the key of the source vault, with which the destination account decrypts what it
        copies.
      - V(destination_vault) is the key of the destination vault, which the role C(AWSServiceRoleForBackup)
        uses. That role must exist.
    type: str
    choices: [staging, source_vault, destination_vault]
    required: true
  alias:
    description:
      - The alias of a key that TableFerry created or is to create, such as V(alias/tableferry-staging).
      - One of O(alias) and O(key_arn) is required.
    type: str
  key_arn:
    description:
      - The ARN of your own key, to whose policy the statements are added.
    type: str
  state:
    description:
      - Whether the statements are in the key's policy. With V(absent) no key is created or deleted.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: tableferry.aws.staging_bucket
  - module: tableferry.aws.backup_vault
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.both
  - tableferry.aws.attributes
  - tableferry.aws.migration.users
"""

EXAMPLES = r"""
- name: Create the key of the staged data
  tableferry.aws.migration_key:
    purpose: staging
    alias: alias/tableferry-staging
    source:
      profile: legacy
      region: eu-west-1
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
"""

RETURN = r"""
key_arn:
  description: The key's ARN. Empty if there is no key, and in check mode if it would be created.
  returned: success
  type: str
  sample: arn:aws:kms:eu-west-1:222222222222:key/5d2b0a3c-0000-4000-8000-000000000000
policy:
  description: The key's policy after the run.
  returned: success
  type: dict
  sample: {Version: "2012-10-17", Statement: []}

# make generate: changes what='policy of the key arn:aws:kms:eu-west-1:222222222222:key/5d2b0a3c' before={}
#   after='{Version: "2012-10-17", Statement: [{Sid: OwnAccount, Effect: Allow}]}' risk=safe
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
      sample: policy of the key arn:aws:kms:eu-west-1:222222222222:key/5d2b0a3c
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: {}
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {Version: "2012-10-17", Statement: [{Sid: OwnAccount, Effect: Allow}]}
    risk:
      description: V(safe), V(slow), V(billed) or V(destructive).
      returned: always
      type: str
      sample: safe

# make generate: left says='What is kept because tables need it, and which.'
#   what='TableFerryExport111111111111To222222222222euwest1 of arn:aws:kms:eu-west-1:222222222222:key/1234abcd'
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
      sample: TableFerryExport111111111111To222222222222euwest1 of arn:aws:kms:eu-west-1:222222222222:key/1234abcd
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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_key import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
