#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spark_environment
short_description: Creates what Spark jobs need in the destination account, or removes it
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Creates the role C(tableferry-spark), which AWS Glue and EMR Serverless may assume, tagged C(tableferry:managed). An
    inline policy of each Region lets it read what was staged, write below its own folder in C(tableferry/spark/) and
    put items into the tables. To a role with that tag only what is missing is added. A role without it is refused.
  - With O(state=absent) it removes the jobs of AWS Glue and the applications of EMR Serverless that the migration
    made, the objects below the folder of account and Region in C(tableferry/spark/) of the bucket and the role, each
    when no table needs it any more. Where other tables need the role yet, O(tables) leave its policy.
options:
  destination:
    required: true
  bucket:
    description:
      - The staging bucket.
    type: str
    required: true
  role_arn:
    description:
      - The ARN of a role of yours that the jobs run as. Then no role is created or removed.
    type: str
    default: ''
  permissions_boundary:
    description:
      - The ARN of the managed policy that becomes the permissions boundary of a role that is created. A role that
        exists keeps the boundary that it has.
    type: str
    default: ''
  state:
    description:
      - Whether Spark jobs of O(tables) should be possible.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: tableferry.aws.migration_start
  - module: tableferry.aws.staging_bucket
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.destination
  - tableferry.aws.attributes
  - tableferry.aws.migration.users
"""

EXAMPLES = r"""
- name: Create the role of Spark jobs
  tableferry.aws.spark_environment:
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    bucket: tableferry-222222222222-eu-west-1
    tables: [orders]
"""

RETURN = r"""
role_arn:
  description: The ARN of the role that jobs run as.
  returned: success
  type: str
  sample: arn:aws:iam::222222222222:role/tableferry-spark

# make generate: changes what='role tableferry-spark' before=~
#   after='{inline_policies: {tableferry-spark-eu-west-1: {Version: "2012-10-17"}}}' risk=safe
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
      sample: role tableferry-spark
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: ~
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {inline_policies: {tableferry-spark-eu-west-1: {Version: "2012-10-17"}}}
    risk:
      description: V(safe), V(slow), V(billed) or V(destructive).
      returned: always
      type: str
      sample: safe

# make generate: left says='What is kept because tables need it, and which.'
#   what='tableferry-spark-eu-west-1 of arn:aws:iam::222222222222:role/tableferry-spark'
#   why='tables need it yet, orders (migration default)'
left:
  description: What is kept because tables need it, and which.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: What is not carried or not removed.
      returned: always
      type: str
      sample: tableferry-spark-eu-west-1 of arn:aws:iam::222222222222:role/tableferry-spark
    reason:
      description: The reason.
      returned: always
      type: str
      sample: tables need it yet, orders (migration default)

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.spark_environment import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
