#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_vault_policy
short_description: Allows another account to copy recovery points into a vault
version_added: 0.2.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Adds one statement to the access policy of a vault in the destination account, or removes it. All other
    statements are kept.
  - The statement allows C(backup:CopyIntoBackupVault), the only action that AWS allows for other accounts, to one
    account or to all accounts of an organization.
options:
  name:
    description:
      - The vault. The vault C(Default) cannot receive copies from other accounts and is refused.
    type: str
    required: true
  destination:
    required: true
  source_account_id:
    description:
      - The account that may copy into the vault.
    type: str
  organization_id:
    description:
      - The organization whose accounts may copy into the vault.
    type: str
  state:
    description:
      - Whether the statement should be present.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: tableferry.aws.backup_copy
  - module: tableferry.aws.backup_account_settings
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.destination
  - tableferry.aws.attributes
  - tableferry.aws.migration.users
"""

EXAMPLES = r"""
- name: Allow copies from the source account
  tableferry.aws.backup_vault_policy:
    name: tableferry
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    source_account_id: "111111111111"
"""

RETURN = r"""
policy:
  description: The policy of the vault after the run.
  returned: success
  type: dict
  sample: {Version: "2012-10-17", Statement: []}

# make generate: changes what='access policy of the vault tableferry' before={}
#   after='{Version: "2012-10-17", Statement: [{Sid: TableFerryCopy, Effect: Allow}]}' risk=safe
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
      sample: access policy of the vault tableferry
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: {}
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {Version: "2012-10-17", Statement: [{Sid: TableFerryCopy, Effect: Allow}]}
    risk:
      description: V(safe), V(slow), V(billed) or V(destructive).
      returned: always
      type: str
      sample: safe

# make generate: left says='What is kept because tables need it, and which.'
#   what='TableFerryCopy5d41402abc4b of arn:aws:backup:eu-west-1:222222222222:backup-vault:tableferry'
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
      sample: TableFerryCopy5d41402abc4b of arn:aws:backup:eu-west-1:222222222222:backup-vault:tableferry
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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.backup_vault_policy import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
