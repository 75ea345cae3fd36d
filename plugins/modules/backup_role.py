#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_role
short_description: Creates the role that AWS Backup uses on one side of a migration
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Creates a role that AWS Backup may assume, tagged C(tableferry:managed), and attaches AWS's managed policy for
    backups in the source account, or for restores in the destination account.
  - To a role with that tag only what is missing is added. What you added to its trust policy, such as a condition, is
    kept. A role without that tag is refused.
  - With O(policy=dynamodb) the role gets an inline policy for DynamoDB alone instead, and the managed policy is
    detached from it. Which actions that takes is documented by AWS; that AWS Backup asks for nothing besides, and takes
    the names of tables and vaults, was not confirmed on AWS.
options:
  role:
    description:
      - The role. The managed policy C(AWSBackupFullAccess) allows callers to pass roles with C(AWSBackup) in their
        names.
    type: str
    default: AWSBackup-tableferry
  permissions_boundary:
    description:
      - The ARN of the managed policy that becomes the permissions boundary of a role that is created. A role that
        exists keeps the boundary that it has.
    type: str
    default: ''
  policy:
    description:
      - V(managed) attaches AWS's managed policy, which also allows backups and restores of other services.
      - V(dynamodb) writes the inline policy C(tableferry-backup-<region>), or C(tableferry-restore-<region>) in the
        destination account. It names the tables of O(tables) and the vaults of O(vaults) besides those that it names
        already. Where that is more than IAM takes, it names all tables of the account and Region.
      - Where the role has the other one, it is exchanged. What else is attached to the role stays.
    type: str
    choices:
      - managed
      - dynamodb
    default: managed
  tables:
    description:
      - The tables that the role backs up, or that it restores, for O(policy=dynamodb). None means all tables of the
        account and Region.
    type: list
    elements: str
    default: []
  vaults:
    description:
      - The ARNs of the vaults that the role of the source account copies into, for O(policy=dynamodb). None means all.
    type: list
    elements: str
    default: []
seealso:
  - module: tableferry.aws.backup_vault
  - module: tableferry.aws.backup_account_settings
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.account
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Create the role that restores
  tableferry.aws.backup_role:
    account:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    side: destination

- name: Create the role that backs up, for one table only
  tableferry.aws.backup_role:
    account:
      role_arn: arn:aws:iam::111111111111:role/ferry
      region: eu-west-1
    side: source
    policy: dynamodb
    tables: [orders]
    vaults: ["arn:aws:backup:eu-west-1:222222222222:backup-vault:tableferry"]
"""

RETURN = r"""
role_arn:
  description: The role's ARN.
  returned: success
  type: str
  sample: arn:aws:iam::222222222222:role/AWSBackup-tableferry

# make generate: changes what='role AWSBackup-tableferry' before=~
#   after='{managed_policies: ["arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForRestores"]}' risk=safe
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
      sample: role AWSBackup-tableferry
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: ~
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {managed_policies: ["arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForRestores"]}
    risk:
      description: V(safe), V(slow), V(billed) or V(destructive).
      returned: always
      type: str
      sample: safe

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.backup_role import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
