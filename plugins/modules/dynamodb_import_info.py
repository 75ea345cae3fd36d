#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dynamodb_import_info
short_description: Reads the DynamoDB imports of an account
version_added: 0.1.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Returns the imports of the last 90 days, which AWS lists, newest first.
  - With O(arn) one import in full, otherwise the summaries of those of one table or of the whole account.
options:
  destination:
    required: true
  name:
    description:
      - Only the imports of this table.
      - Mutually exclusive with O(arn).
    type: str
  arn:
    description:
      - The ARN of one import.
    type: str
seealso:
  - module: tableferry.aws.dynamodb_import
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.destination
  - tableferry.aws.attributes.reads
"""

EXAMPLES = r"""
- name: List the imports of a table
  tableferry.aws.dynamodb_import_info:
    name: orders
    destination:
      profile: new
      region: eu-west-1
  register: imports

- name: Read the newest import in full
  tableferry.aws.dynamodb_import_info:
    arn: "{{ imports.imports[0].import_arn }}"
    destination:
      profile: new
      region: eu-west-1
"""

RETURN = r"""
imports:
  description: The imports, with the names of AWS's API in snake case. Empty if there are none.
  returned: success
  type: list
  elements: dict
  sample:
    - {import_arn: "arn:aws:dynamodb:eu-west-1:222222222222:table/orders/import/01", import_status: COMPLETED}

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.dynamodb_import_info import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
