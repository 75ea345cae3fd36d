#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_judge
short_description: Checks whether a table was migrated completely
version_added: 0.1.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Compares the results of the jobs of a table's migration, and fails with the reason if the table was not migrated
    completely.
  - A table that M(tableferry.aws.job_wait) has judged is reported as it was judged there.
  - A failed import is explained from its log in CloudWatch Logs.
  - AWS Backup does not count items. After a restore both tables are counted by parallel scans of all items, by a job
    of the migration or by this module.
options:
  jobs:
    description:
      - The jobs of the table's migration, from C(ways) in the result of M(tableferry.aws.job_wait), or single jobs
        that were waited for.
    type: list
    elements: dict
    required: true
    version_added: 0.2.0
  verify:
    description:
      - V(counts) compares the numbers of items. V(none) only requires that the jobs completed.
      - V(sample) and V(full) also require the comparison among O(jobs).
    type: str
    choices: [counts, sample, full, none]
    default: counts
  verify_checksums:
    description:
      - Read every data file of the export again and compare its checksum with that in the manifest.
    type: bool
    default: false
  writes_stopped:
    description:
      - Whether writes to the source stopped before its backup or export. A restored table with another number of items
        then fails; otherwise the difference is reported, and the table counts as not verified.
      - An imported table whose export was not asked to show the end of the writes then counts as not verified.
    type: bool
    default: false
    version_added: 0.2.0
  record:
    description:
      - The record of the table, C(record) in the result of M(tableferry.aws.migration_start).
      - A table that was migrated completely becomes C(done) there, and this run lets go of each table.
    type: dict
    version_added: 0.3.0
    suboptions:
      table:
        description:
          - The table in the destination account.
        type: str
        required: true
      record_table:
        description:
          - The name of the record table.
        type: str
        required: true
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
- name: Check the table
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
  description: The number of items in the export, or counted in the source. Null if unknown.
  returned: always
  type: int
  sample: 20000
items_destination:
  description: The number of items imported, or counted in the destination. Null if unknown.
  returned: always
  type: int
  sample: 20000
bytes:
  description: >-
    What the method has moved, as it counts it. By V(s3) the uncompressed bytes that the import reports, by V(backup)
    the size of the recovery point, by V(direct) the items as JSON. The report has the size of the table instead.
  returned: always
  type: int
  sample: 7340032
verified:
  description: What was compared, V(counts), V(sample), V(full) or V(none).
  returned: always
  type: str
  sample: counts
reason:
  description: The reason for the status, if there is one.
  returned: always
  type: str
  sample: ""
data_as_of:
  description:
    - Which instant of the source the items show. They were read C(from) the one time C(to) the other, which are the
      same for an export. Empty if unknown.
  returned: always
  type: dict
  sample: {from: "2026-10-08T11:55:00+00:00", to: "2026-10-08T11:55:00+00:00"}
notes:
  description: What else should be known of the table, such as that an earlier copy of it had been deleted.
  returned: always
  type: list
  elements: str
  sample: ["the copy of 2026-10-01T08:00:00+00:00 had been deleted; made again"]
lacks:
  description:
    - Of a table that is merged of several sources those, by the ARNs of their tables, whose items are yet to come.
  returned: always
  type: list
  elements: str
  sample: []

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_judge import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
