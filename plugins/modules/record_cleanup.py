#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: record_cleanup
short_description: Removes the records of tables
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Removes the records of tables, which frees the destination names for other migrations, and the record table once
    nothing is left in it. The tables themselves are not touched.
  - A record stays, and is listed in RV(left), while a run holds the table, while a job of it may still be running,
    while requests of a former run may still arrive, while the table is not finished (unless O(tables[].abandon) is
    set), and if it belongs to another migration or source table.
  - A later run reports the destination table of a removed record as owned, state unknown, and does not touch it.
options:
  destination:
    required: true
  record_table:
    description:
      - The DynamoDB table in the destination account and Region that holds the records.
    type: str
    default: tableferry
  tables:
    description:
      - The tables whose records to remove.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The source table.
        type: str
        required: true
      destination_table:
        description:
          - The destination table. By default it has the name of the source table.
        type: str
      abandon:
        description:
          - Whether to remove the record of a table that is not finished, too. What was begun for it is begun, and
            billed, once more by a later run.
        type: bool
        default: false
  source:
    description:
      - The account and Region of the source tables. If given, records of other source tables stay.
seealso:
  - module: tableferry.aws.migration_status_info
  - module: tableferry.aws.migration_cleanup
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.source
  - tableferry.aws.accounts.destination
  - tableferry.aws.migration
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Forget a migration that has ended
  tableferry.aws.record_cleanup:
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    tables:
      - name: orders
      - name: customers
        destination_table: crm-customers
"""

RETURN = r"""
# make generate: changes
#   what=dynamodb.table.tableferry.orders before='{migration: default, state: done, method: s3}' after=~
#   risk=destructive
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
      sample: dynamodb.table.tableferry.orders
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: {migration: default, state: done, method: s3}
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: ~
    risk:
      description: V(safe), V(slow), V(billed) or V(destructive).
      returned: always
      type: str
      sample: destructive

# make generate: left says='What stays, and why.'
#   what='the record of orders' why='held by ann@ci-7 since 2026-01-31T07:00:00Z, renewed 12 s ago'
left:
  description: What stays, and why.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: What is not carried or not removed.
      returned: always
      type: str
      sample: the record of orders
    reason:
      description: The reason.
      returned: always
      type: str
      sample: held by ann@ci-7 since 2026-01-31T07:00:00Z, renewed 12 s ago

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.record_cleanup import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
