#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_point_info
short_description: Reads the recovery points of a table or of a vault
version_added: 0.2.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Returns the recovery points of a table in all vaults of an account, or those in one vault.
options:
  name:
    description:
      - Only the recovery points of this table. With O(vault) in another account than the table's, give its ARN.
    type: str
  vault:
    description:
      - Only the recovery points in this vault.
    type: str
  vault_account_id:
    description:
      - The ID of the owner of O(vault), if it is an air-gapped vault that another account shares.
    type: str
seealso:
  - module: tableferry.aws.backup_job
  - module: tableferry.aws.backup_copy
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.account
  - tableferry.aws.attributes.reads
"""

EXAMPLES = r"""
- name: List the recovery points of a table
  tableferry.aws.recovery_point_info:
    name: orders
    account:
      profile: legacy
      region: eu-west-1

- name: List the recovery points in the destination vault
  tableferry.aws.recovery_point_info:
    vault: tableferry
    side: destination
    account:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
"""

RETURN = r"""
recovery_points:
  description: The recovery points, with the names of AWS's API in snake case. Empty if there are none.
  returned: success
  type: list
  elements: dict
  sample:
    - {recovery_point_arn: "arn:aws:backup:eu-west-1:111111111111:recovery-point:01", status: COMPLETED,
      backup_vault_name: tableferry}

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.recovery_point_info import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
