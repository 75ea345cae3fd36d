#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_account_settings
short_description: Sets what AWS Backup may do in an account and across accounts
version_added: 0.2.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Turns AWS Backup's support of DynamoDB and its advanced features on or off in an account and Region, and
    cross-account backup and backup policies in an organization.
  - The settings of other resource types are sent back unchanged, and checked afterwards.
options:
  opt_in:
    description:
      - Whether backup plans and jobs of AWS Backup include DynamoDB in this Region.
    type: bool
  advanced_features:
    description:
      - Whether DynamoDB is backed up with the advanced features of AWS Backup. They are required for copies to other
        accounts.
      - Existing recovery points are not changed.
    type: bool
  service_linked_role:
    description:
      - Create the role C(AWSServiceRoleForBackup), which copies recovery points into the account. It is never
        removed.
    type: bool
  cross_account_backup:
    description:
      - Whether accounts of the organization may copy recovery points to each other.
      - Requires credentials of the organization's management account; a delegated administrator is refused.
    type: bool
  backup_policies:
    description:
      - Whether the organization uses backup policies. Requires credentials of the management account. Migrations do
        not need backup policies.
    type: bool
notes:
  - Cross-account monitoring, the third setting of the console's cross-account management, has no API. Set it in the
    console of the management account. It only shows jobs there.
seealso:
  - module: tableferry.aws.backup_account_settings_info
  - module: tableferry.aws.backup_vault_policy
  - module: tableferry.aws.backup_job
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.account
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Turn on AWS Backup with advanced features for DynamoDB
  tableferry.aws.backup_account_settings:
    account:
      profile: legacy
      region: eu-west-1
    opt_in: true
    advanced_features: true

- name: Allow copies between the accounts of the organization
  tableferry.aws.backup_account_settings:
    account:
      profile: management
      region: eu-west-1
    cross_account_backup: true
"""

RETURN = r"""
# make generate: backup_settings
settings:
  description: The settings after the run. Null where the caller is not allowed to read them.
  returned: success
  type: dict
  contains:
    opt_in:
      description: Whether AWS Backup is turned on for DynamoDB in this account and Region.
      returned: always
      type: bool
      sample: true
    advanced_features:
      description: Whether its advanced features for DynamoDB are turned on.
      returned: always
      type: bool
      sample: true
    service_linked_role:
      description: Whether the account has the role C(AWSServiceRoleForBackup).
      returned: always
      type: bool
      sample: true
    organization_id:
      description: The ID of the account's organization. Empty if it belongs to none.
      returned: always
      type: str
      sample: o-exampleorgid
    management_account_id:
      description: The ID of the organization's management account.
      returned: always
      type: str
      sample: "333333333333"
    cross_account_backup:
      description: Whether cross-account backup is turned on in the organization.
      returned: always
      type: bool
      sample: true
    backup_policies:
      description: Whether backup policies are turned on in the organization. Only the management account may read
        it. Null where it was not requested.
      returned: always
      type: bool
      sample: ~

# make generate: changes what='cross-account backup of the organization' before=false after=true risk=safe
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
      sample: cross-account backup of the organization
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: false
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: true
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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.backup_account_settings import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
