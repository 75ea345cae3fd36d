# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options that the verbs of a migration have in common."""

    DOCUMENTATION = r"""
options:
  migration_id:
    description:
      - The name of the migration. The next run with the same name finds the jobs that a run started.
      - It is part of the tags and records of tables and of the paths of staged data.
    type: str
    default: default
"""

    USERS = r"""
options:
  tables:
    description:
      - The tables, by their names in the destination account, that need what this module adds.
      - They are counted in O(record_table). With O(state=absent) they are its users no longer, and it is removed when
        no table needs it any more, of whatever inventory. What tables need that another run holds, or whose jobs are
        running, is kept; it is returned with the reason, and nobody is waited for.
      - By default, and where there is no record table in the destination account, nothing is counted.
    type: list
    elements: str
    default: []
    version_added: 0.3.0
  record_table:
    description:
      - The name of the record table, which has to exist for O(tables) to be counted.
    type: str
    default: tableferry
    version_added: 0.3.0
  migration_id:
    description:
      - The name of the migration of O(tables).
    type: str
    default: default
"""

    KEYS = r"""
options:
  kms_key_map:
    description:
      - Maps KMS keys of the source account to KMS keys of the destination account.
      - Specify a source key by its ARN or ID, a destination key by its ARN, ID or alias.
      - A table whose key has no mapping is refused; there is no silent fallback to another key.
    type: dict
    default: {}
"""

    STAGING = r"""
options:
  bucket:
    description:
      - The staging bucket, in the destination account.
    type: str
    required: true
  bucket_owner:
    description:
      - The account ID of the owner of O(bucket).
      - It is sent with every request, so that a bucket of the same name with another owner is never used.
      - Defaults to the destination account.
    type: str
"""

    SETTINGS = r"""
options:
  kinesis_map:
    description:
      - Maps ARNs of Kinesis streams of the source account to those of the destination account.
      - A stream without a mapping is not carried, and is named in the report.
    type: dict
    default: {}
  principal_map:
    description:
      - Maps ARNs of principals of the source account in resource policies to those that replace them.
      - A policy with a principal of the source account that has no mapping is not carried, and the principal is
        named in the report.
    type: dict
    default: {}
  defer:
    description:
      - Settings to leave until the cutover, such as V(time_to_live) while changes of the source table are synced.
    type: list
    elements: str
    default: []
  warm_throughput:
    description:
      - Carry the warm throughput where the destination has less. AWS charges once for raising it, and it cannot be
        lowered again.
      - With V(false) it is named in the report instead.
    type: bool
    default: true
  leave_indexes:
    description:
      - Global secondary indexes not to create. They are named in the report.
    type: list
    elements: str
    default: []
    version_added: 0.3.0
"""

    INDEXES = r"""
options:
  indexes_after:
    description:
      - Global secondary indexes to create after the items are there, instead of with the table. Items that their keys
        do not fit are then left out of the index, as in the source. Each takes 8 to 17 minutes or more.
    type: list
    elements: str
    default: []
    version_added: 0.3.0
  leave_indexes:
    description:
      - Global secondary indexes not to create. They are named in the report.
    type: list
    elements: str
    default: []
    version_added: 0.3.0
"""

    STEPS = r"""
options:
  transform:
    description:
      - Steps that change the items on the way, each a dictionary with its name and its options, as described in
        C(docs/transforms.md).
      - The method has to be one on whose way items can be changed. The key of the table and its indexes follow the
        steps.
      - Salts come from variables of the environment, and are in no option, result or record.
    type: list
    elements: dict
    default: []
    version_added: 0.3.0
  transform_names:
    description:
      - The names behind aliases such as C(#status) in O(transform).
    type: dict
    default: {}
    version_added: 0.3.0
  transform_values:
    description:
      - The values behind names such as C(:gone) in the conditions of O(transform), in the JSON of DynamoDB.
    type: dict
    default: {}
    version_added: 0.3.0
  destination_key:
    description:
      - The key of the destination table where it does not follow from the steps, with C(partition) and, where there is
        one, C(sort). Each maps the name of one attribute to its type, V(S), V(N) or V(B).
    type: dict
    default: {}
    version_added: 0.3.0
  transform_folders:
    description:
      - Directories in which the files of functions that O(transform) names are looked for, one after the other.
        Without any it is the working directory.
    type: list
    elements: path
    default: []
    version_added: 0.3.0
"""

    TRANSFORM = r"""
options:
  on_collision:
    description:
      - What becomes of a table where the steps give several items one key. V(refuse) refuses it before anything is
        written. With V(any) one of these items is written, and the result says how many were lost.
    type: str
    choices: [refuse, any]
    default: refuse
    version_added: 0.3.0
"""

    TRANSFORMING = r"""
options:
  transform_errors:
    description:
      - What becomes of a table with items that a step cannot take. With V(fail) all others are written and the table
        fails. With V(skip) such items are left out, and counted by step.
    type: str
    choices: [fail, skip]
    default: fail
    version_added: 0.3.0
  transform_show_values:
    description:
      - Whether check mode shows values of items besides the names and types of their attributes.
    type: bool
    default: false
    version_added: 0.3.0
"""
