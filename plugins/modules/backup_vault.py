#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_vault
short_description: Creates a backup vault or uses the existing one, or removes it
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Creates a backup vault, tagged C(tableferry:managed). An existing vault is not changed.
  - A vault that is encrypted with another key than O(key_arn) is refused, because a vault's key cannot be changed,
    unless O(any_key) is set.
  - With O(state=absent) a vault is removed that has the tag C(tableferry:managed), holds no recovery points, is not
    air-gapped, and whose policy names no other account; in the source account the policy of its key must name none
    either. Any other vault is kept, and RV(left) says why.
options:
  vault:
    description:
      - The vault.
    type: str
    required: true
  key_arn:
    description:
      - The ARN of the key that encrypts the vault. By default a new vault is encrypted with the key of AWS Backup, and
        its recovery points cannot be copied to another account.
    type: str
  any_key:
    description:
      - Whether to use an existing vault that is encrypted with another key.
    type: bool
    default: false
  state:
    description:
      - Whether the vault should be present. Recovery points that a run would delete still keep it in check mode.
    type: str
    choices: [present, absent]
    default: present
  leaving_account_id:
    description:
      - The account whose statements the same run takes away. In check mode they are still there, and do not keep the
        vault.
    type: str
seealso:
  - module: tableferry.aws.migration_key
  - module: tableferry.aws.backup_vault_policy
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.account
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Create the vault for copies
  tableferry.aws.backup_vault:
    vault: tableferry
    key_arn: arn:aws:kms:eu-west-1:222222222222:key/5d2b0a3c-0000-4000-8000-000000000000
    account:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    side: destination
"""

RETURN = r"""
vault:
  description: The vault. Empty if it was removed, and in check mode if it would be created.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      returned: always
      type: str
      sample: tableferry
    arn:
      description: Its ARN.
      returned: always
      type: str
      sample: arn:aws:backup:eu-west-1:222222222222:backup-vault:tableferry
    kind:
      description: V(BACKUP_VAULT) or V(LOGICALLY_AIR_GAPPED_BACKUP_VAULT).
      returned: always
      type: str
      sample: BACKUP_VAULT
    state:
      description: Its state.
      returned: always
      type: str
      sample: AVAILABLE
    key_arn:
      description: The key that encrypts it.
      returned: always
      type: str
      sample: arn:aws:kms:eu-west-1:222222222222:key/5d2b0a3c-0000-4000-8000-000000000000
    locked:
      description: Whether it is locked.
      returned: always
      type: bool
      sample: false
    min_retention_days:
      description: The minimum retention in days, 0 for none.
      returned: always
      type: int
      sample: 0
    max_retention_days:
      description: The maximum retention in days, 0 for none.
      returned: always
      type: int
      sample: 0

# make generate: changes what='vault tableferry' before=~
#   after='{key_arn: "arn:aws:kms:eu-west-1:222222222222:key/5d2b0a3c"}' risk=safe
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
      sample: vault tableferry
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: ~
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {key_arn: "arn:aws:kms:eu-west-1:222222222222:key/5d2b0a3c"}
    risk:
      description: V(safe), V(slow), V(billed) or V(destructive).
      returned: always
      type: str
      sample: safe

# make generate: left says='Why the vault is kept. Empty if it is not to be removed.'
#   what='vault tableferry of the source account 111111111111' why='it holds recovery points'
left:
  description: Why the vault is kept. Empty if it is not to be removed.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: What is not carried or not removed.
      returned: always
      type: str
      sample: vault tableferry of the source account 111111111111
    reason:
      description: The reason.
      returned: always
      type: str
      sample: it holds recovery points

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.backup_vault import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
