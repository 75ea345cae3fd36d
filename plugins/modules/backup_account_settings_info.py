#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_account_settings_info
short_description: Reads what AWS Backup may do in an account and across accounts
version_added: 0.2.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Returns whether AWS Backup and its advanced features are turned on for DynamoDB, the organization of the account,
    and whether cross-account backup is turned on there.
seealso:
  - module: tableferry.aws.backup_account_settings
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.account
  - tableferry.aws.attributes.reads
"""

EXAMPLES = r"""
- name: Read whether tables can be copied from this account
  tableferry.aws.backup_account_settings_info:
    account:
      profile: legacy
      region: eu-west-1
  register: backup
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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.backup_account_settings_info import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
