#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_judge
short_description: Judges whether a table has arrived
version_added: 0.1.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Compares what the export and the import of a table reported, fails when the table has not arrived, and says why.
  - A failed import is explained from its log in CloudWatch Logs.
  - AWS Backup counts no items. Both tables of a restore are counted by parallel scans, which read all of them, by a job
    of the way or here.
options:
  jobs:
    description:
      - The jobs of the table's way, C(ways) of M(tableferry.aws.job_wait)'s result, or the single jobs that were waited
        for.
    type: list
    elements: dict
    required: true
    version_added: 0.2.0
  verify:
    description:
      - V(counts) demands that as many items arrived as left. V(none) only that the jobs completed.
      - V(sample) and V(full) are V(counts), and the comparison among O(jobs) decides.
    type: str
    choices: [counts, sample, full, none]
    default: counts
  verify_checksums:
    description:
      - Read every data file of the export again and compare its checksum with the manifest's.
    type: bool
    default: false
  writes_stopped:
    description:
      - Whether nothing wrote to the source since its backup. Then a restored table that has another number of items has
        failed; otherwise the difference is told, and nothing counts as verified.
    type: bool
    default: false
    version_added: 0.2.0
seealso:
  - module: tableferry.aws.job_wait
  - module: tableferry.aws.dynamodb_import
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.both
  - tableferry.aws.tables.destination
  - tableferry.aws.attributes.reads
"""

EXAMPLES = r"""
- name: Judge the table
  tableferry.aws.migration_judge:
    name: orders
    source: "{{ ferry_source }}"
    destination: "{{ ferry_destination }}"
    jobs: "{{ ferry_waited.ways.orders }}"
    verify: counts
"""

RETURN = r"""
status:
  description: V(migrated), V(copied) or V(failed).
  returned: always
  type: str
  sample: migrated
items_source:
  description: How many items the export holds, or were counted in the source; none where nobody knows.
  returned: always
  type: int
  sample: 20000
items_destination:
  description: How many items were imported, or were counted; none where nobody knows.
  returned: always
  type: int
  sample: 20000
bytes:
  description: The size of the data, as the import reported it.
  returned: always
  type: int
  sample: 7340032
verified:
  description: What was compared, V(counts), V(sample), V(full) or V(none).
  returned: always
  type: str
  sample: counts
reason:
  description: Why the judgement is what it is, where there is something to say.
  returned: always
  type: str
  sample: ""

# make generate: failed_table
table:
  description: The table concerned, empty when the whole account is.
  returned: failure
  type: str
  sample: orders

# make generate: failure_message
msg:
  description: What went wrong, naming the table, the cause and the next step.
  returned: failure
  type: str
  sample: "orders: Point-in-time recovery is off, and an export needs it. Turn it on, or set
    enable_point_in_time_recovery."

# make generate: failure
ferry_status:
  description: V(refused) when nothing was touched because it cannot be done or not safely, V(failed) for everything
    else.
  returned: failure
  type: str
  sample: refused
ferry_error:
  description: The kind of error, for programs.
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
  description: Values that belong to the error, such as codes and ARNs. Never secrets.
  returned: failure
  type: dict
  sample: {code: AccessDeniedException}
"""

from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import run_module
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_judge import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
