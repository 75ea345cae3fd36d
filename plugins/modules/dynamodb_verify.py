#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dynamodb_verify
short_description: Compares two DynamoDB tables item by item
version_added: 0.2.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Compares two tables of any accounts, Regions and partitions by key. Numbers are compared by value, sets without
    order. Missing, extra and different items are read once more from both tables with strongly consistent reads before
    they are reported.
  - A table whose record says that its fill ended incomplete counts as filled once V(full) finds it equal, after a
    repair by another comparison. The next M(tableferry.aws.migration_start) only carries its settings, and its data is
    not brought anew.
  - A table that the method V(glue) or V(emr) filled is compared with the export that it was filled from, as its record
    says, for as long as that is in the staging bucket. Nothing of the source table is read then, and what was written
    to it since is no difference. The result says which one it was. An export whose files were changed, or are gone in
    part, is an error.
  - With O(repair) the destination is repaired from the source, or from the export that it was compared with. In check
    mode it reports what it would repair.
requirements:
  - msgspec
  - xxhash (optional, for faster comparisons)
  - isal (optional, for less CPU)
options:
  level:
    description:
      - V(full) compares all items of both tables, V(sample) about O(sample_items) items of each.
    type: str
    choices: [sample, full]
    default: full
  repair:
    description:
      - V(true) puts missing and different items into the destination as the source holds them now, or as the export
        does that the destination was compared with. An item that is
        changed in the destination at the same time is left as it is, and the repair fails at the first one, since
        nothing else may write to the destination meanwhile.
      - V(racing) goes on. Each item is replaced on the condition that its attributes are as they were read, up to 150
        of them. An attribute that another writer adds at the same moment cannot be a condition. The item is then given
        back as it was, which fails if it was written once more, or if the answer of AWS is lost or the run is killed.
        The attribute is lost in these cases.
      - Items that the destination refuses are left out, and the task fails at the end with their number and reasons.
      - Without O(differences_path) only the first 20 differences are repaired.
      - Only a table that the migration O(migration_id) filled is repaired. Its record decides; without one its tags do,
        or the import or restore that made it. Any other table is refused before it is read, and so is one that another
        run holds. A finished table is repaired as well, with a warning that what its applications wrote is
        overwritten. To have a copy repaired that has no record and was filled in another way, tag it
        C(tableferry:migration) with O(migration_id).
    type: str
    choices: ['false', 'true', 'racing']
    default: 'false'
  delete_extra:
    description:
      - With O(repair), delete items that only the destination has. Otherwise they are kept.
      - Refused where the tag C(tableferry:migration) alone, which can be set by hand, says that the table is a copy.
    type: bool
    default: false
  refused_path:
    description:
      - A file on the controller for the keys of items that the destination refuses in a repair, which only its owner
        may read.
      - Item keys are personal data. Without this file they are not kept anywhere, and results have counts only.
    type: path
    version_added: 0.3.0
  record_table:
    description:
      - The name of the record table, for O(repair) and for tables whose fill ended incomplete.
    type: str
    default: tableferry
    version_added: 0.3.0
seealso:
  - module: tableferry.aws.dynamodb_copy
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.both
  - tableferry.aws.tables.destination
  - tableferry.aws.items
  - tableferry.aws.items.comparing
  - tableferry.aws.migration
  - tableferry.aws.migration.indexes
  - tableferry.aws.migration.steps
  - tableferry.aws.migration.transform
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Compare all items of a table with those of its copy
  tableferry.aws.dynamodb_verify:
    name: orders
    source: "{{ ferry_source }}"
    destination: "{{ ferry_destination }}"
    differences_path: orders.jsonl
  register: ferry_compared

- name: Repair the copy
  tableferry.aws.dynamodb_verify:
    name: orders
    source: "{{ ferry_source }}"
    destination: "{{ ferry_destination }}"
    repair: "true"
    delete_extra: true
    differences_path: orders.jsonl
"""

RETURN = r"""
source_arn:
  description: The ARN of the source table.
  returned: success
  type: str
  sample: arn:aws:dynamodb:eu-west-1:111111111111:table/orders
destination_arn:
  description: The ARN of the copy.
  returned: success
  type: str
  sample: arn:aws:dynamodb:eu-west-1:222222222222:table/orders
level:
  description: How much was compared.
  returned: success
  type: str
  sample: full
equal:
  description: Whether all compared items are equal.
  returned: success
  type: bool
  sample: false
export_time:
  description: The instant that the export shows with which the destination was compared. Empty if it was compared with
    the source table.
  returned: success
  type: str
  sample: "2026-11-29T12:00:00+00:00"
items_source:
  description: The number of items of the source that were compared.
  returned: success
  type: int
  sample: 20000
items_destination:
  description: The number of items of the destination that were compared.
  returned: success
  type: int
  sample: 20000
missing:
  description: The number of items that the destination does not have.
  returned: success
  type: int
  sample: 1
different:
  description: The number of items that differ.
  returned: success
  type: int
  sample: 3
extra:
  description: The number of items that only the destination has.
  returned: success
  type: int
  sample: 1
not_listed:
  description: The number of groups of keys with further differences that are not listed. Repair, then compare again.
  returned: success
  type: int
  sample: 0
marked_source:
  description:
    - The number of items of the source with attributes C(aws:rep:*), which old global tables keep in items. These are
      not compared, unless a key of the table or of an index is one of them. A sample does not count them.
  returned: if there are any
  type: int
  sample: 40
marked_destination:
  description: The number of such items of the destination.
  returned: if there are any
  type: int
  sample: 40
items_read:
  description:
    - The number of items of the source that were read, if a transform changed the items. These and those RV(added) were
      kept out, refused, or compared.
  returned: if a transform changed the items
  type: int
  sample: 20500
added:
  description: The number of items that functions of the transform made besides.
  returned: if there are any
  type: int
  sample: 100
kept_out:
  description: The number of items that each step of the transform kept out, by the number of the step.
  returned: if there are any
  type: dict
  sample: {"1": 500}
refused:
  description: The number of items that a step of the transform could not take, by its number; C(0) is the table's key
    or the size of items.
  returned: if there are any
  type: dict
  sample: {"3": 2}
one_way:
  description: Whether the sample has items of the source only, since the transform makes keys that do not tell those of
    the source, or since it is of some files of a large export. It says nothing of items that only the destination has.
  returned: if it is true
  type: bool
  sample: true
undecided:
  description: The number of items of a sample that are not what the destination has, which may be right, since several
    items of the source may have become one. A full comparison tells.
  returned: if there are any
  type: int
  sample: 2
workers_lost:
  description: How each worker process ended that died during the comparison. Others did its work.
  returned: if there are any
  type: list
  elements: str
  sample: ["was ended by SIGKILL"]
differences_path:
  description: The file with all differences, which only its owner may read. Empty if there are none.
  returned: success
  type: str
  sample: orders.jsonl
not_listed_because:
  description: Why not all differences are listed, and how much space in O(work_dir) their keys need.
  returned: if the keys need more space than there is
  type: str
  sample: "Their keys need 2,900 MB in work_dir, which may take 1,200 MB"
differences_unwritten:
  description: Why the file could not be written. The comparison itself is complete.
  returned: if O(differences_path) could not be written
  type: str
  sample: "orders.jsonl: No space left on device"
repaired:
  description: The result of the repair, as numbers of items. Empty if nothing was repaired.
  returned: success
  type: dict
  sample: {put: 4, deleted: 1, equal: 0, left: 0, changed: 0}
filled:
  description: Whether the record of the table, which said that its fill ended incomplete, now says that it is filled.
  returned: success
  type: bool
  sample: false
clean:
  description: Whether all compared items are equal, or were made equal by the repair.
  returned: success
  type: bool
  sample: true

# make generate: failed_table
table:
  description: The table concerned. Empty if the whole account is.
  returned: failure
  type: str
  sample: orders

msg:
  description: The result of the comparison; on failure the table, the cause and the next step.
  returned: always
  type: str
  sample: "orders: 1 missing, 3 different, 1 extra. Repaired: 4 put, 1 deleted."

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.dynamodb_verify import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
