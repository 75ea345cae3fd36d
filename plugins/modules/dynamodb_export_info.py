#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dynamodb_export_info
short_description: Reads the DynamoDB exports of an account
version_added: 0.1.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Returns the exports of the last 90 days, which AWS lists, newest first.
  - With O(arn) one export in full, otherwise the summaries of those of one table or of the whole account.
options:
  source:
    required: true
  name:
    description:
      - Only the exports of this table. AWS no longer lists those of a table that was deleted or re-created.
      - Mutually exclusive with O(arn).
    type: str
  arn:
    description:
      - The ARN of one export.
    type: str
seealso:
  - module: tableferry.aws.dynamodb_export
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.source
  - tableferry.aws.attributes.reads
"""

EXAMPLES = r"""
- name: List the exports of a table
  tableferry.aws.dynamodb_export_info:
    name: orders
    source:
      profile: legacy
      region: eu-west-1
  register: exports

- name: Read the newest export in full
  tableferry.aws.dynamodb_export_info:
    arn: "{{ exports.exports[0].export_arn }}"
    source:
      profile: legacy
      region: eu-west-1
"""

RETURN = r"""
exports:
  description: The exports, with the names of AWS's API in snake case. Empty if there are none.
  returned: success
  type: list
  elements: dict
  sample:
    - {export_arn: "arn:aws:dynamodb:eu-west-1:111111111111:table/orders/export/01", export_status: COMPLETED,
      export_type: FULL_EXPORT}

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.dynamodb_export_info import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
