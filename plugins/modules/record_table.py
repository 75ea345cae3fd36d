#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: record_table
short_description: Creates the record table of a destination account
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Creates the DynamoDB table in which runs record how far each table is, on demand and with deletion protection.
    An existing one is only looked at.
  - It is the first thing that a run does, so that missing permissions show before anything is billed. The error names
    the policy to attach.
options:
  destination:
    required: true
  name:
    description:
      - The name of the record table.
      - All runs that write to this destination account and Region must use the same one.
    type: str
    default: tableferry
seealso:
  - module: tableferry.aws.migration_status_info
  - module: tableferry.aws.record_cleanup
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.destination
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Create the record table
  tableferry.aws.record_table:
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
"""

RETURN = r"""
# make generate: changes
#   what=dynamodb.table.tableferry before=~ after='table of the records, on demand, deletion protection on' risk=safe
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
      sample: dynamodb.table.tableferry
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: ~
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: table of the records, on demand, deletion protection on
    risk:
      description: V(safe), V(slow), V(billed) or V(destructive).
      returned: always
      type: str
      sample: safe

# make generate: record_table_arn
record_table_arn:
  description: The ARN of the record table. Empty if there is none.
  returned: success
  type: str
  sample: arn:aws:dynamodb:eu-west-1:222222222222:table/tableferry

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.record_table import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
