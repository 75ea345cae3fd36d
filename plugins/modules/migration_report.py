#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_report
short_description: Shows what happened to the tables of a run, and writes it to a file
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Shows the rows of a report as one table, once for all tables, and writes them to a file on the controller.
  - Of more than 50 tables it lists those that need attention, and counts the others.
  - Where standard output is for a machine, as with the callback plugin C(json), it is shown on standard error.
options:
  tables:
    description:
      - The rows, as P(tableferry.aws.report_rows#filter) returns them.
    type: list
    elements: dict
    required: true
  lines:
    description:
      - Lines to show instead, such as those of P(tableferry.aws.verify_lines#filter).
    type: list
    elements: str
  changes:
    description:
      - Lines to show before the table, such as those of P(tableferry.aws.report_changes#filter).
    type: list
    elements: str
    default: []
  path:
    description:
      - The file that the rows are written to as JSON, which only its owner may read. Without it none is written, nor in
        check mode. One that is there is replaced when the new one is complete; devices and pipes are written to.
      - Where it cannot be written, a warning says so. The rows are shown before.
    type: path
  try_only:
    description:
      - Only try whether O(path) can be written, in check mode too, and fail where it cannot. Nothing is shown, and no
        file is left.
    type: bool
    default: false
seealso:
  - module: tableferry.aws.migration_judge_all
  - module: tableferry.aws.migration_end
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Try whether the report can be written, before anything is started
  tableferry.aws.migration_report:
    tables: []
    path: tableferry-report.json
    try_only: true
  run_once: true

- name: Report
  tableferry.aws.migration_report:
    tables: "{{ ansible_play_hosts_all | tableferry.aws.report_rows(hostvars) }}"
    path: tableferry-report.json
  run_once: true
"""

RETURN = r"""
lines:
  description: The lines that were shown.
  returned: success
  type: list
  elements: str
  sample: ["2 tables: 2 migrated"]

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_report import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
