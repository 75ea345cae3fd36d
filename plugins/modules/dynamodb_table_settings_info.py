#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dynamodb_table_settings_info
short_description: Reads the definition and every setting of a DynamoDB table
version_added: 0.1.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Returns the definition and the settings that M(tableferry.aws.dynamodb_table_settings) compares, of one table.
options:
  name:
    description:
      - The table.
    type: str
    required: true
seealso:
  - module: tableferry.aws.dynamodb_table_settings
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.account
  - tableferry.aws.attributes.reads
"""

EXAMPLES = r"""
- name: Read all settings of a table
  tableferry.aws.dynamodb_table_settings_info:
    name: orders
    account:
      profile: legacy
      region: eu-west-1
  register: orders
"""

RETURN = r"""
definition:
  description: The table as returned by C(DescribeTable).
  returned: success
  type: dict
  sample: {TableName: orders, TableStatus: ACTIVE}
settings:
  description: The value of each setting by its name. Empty or null where there is nothing to carry.
  returned: success
  type: dict
  sample: {tags: {team: sales}}
unreadable:
  description: The settings that could not be read, with the reason.
  returned: success
  type: dict
  sample: {}

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.dynamodb_table_settings_info import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
