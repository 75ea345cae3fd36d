#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_status_info
short_description: Shows how far the migration of each table is
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Reads all records of a destination account and Region, one for each table that any run has worked on, with what to
    do next. Works at any time, also while runs are at work.
  - Each record is compared with the table that stands under its name, by C(dynamodb:DescribeTable). For tables without
    a record the imports and restores that run are listed, once for all tables. For those that nothing in the
    destination explains, the exports, backups and copies that run in O(tables[].source) are listed, once for all tables
    of that account. What may not be read is left out, and named in RV(unseen).
  - It changes nothing, waits for nobody, and needs C(dynamodb:DescribeTable) and C(dynamodb:Scan) on the record table.
    In O(tables[].source) it uses C(dynamodb:DescribeTable) of the tables that have copies, C(dynamodb:ListExports),
    C(dynamodb:DescribeExport), C(backup:ListBackupJobs), C(backup:ListCopyJobs) and C(backup:ListTags); without them
    the other tables are shown all the same.
  - A record that a newer version of TableFerry wrote is shown with the state V(unreadable).
options:
  destination:
    required: true
  record_table:
    description:
      - The DynamoDB table in the destination account and Region that holds the records.
    type: str
    default: tableferry
  names:
    description:
      - Show these destination tables only, also those without a record.
    type: list
    elements: str
  recorded:
    description:
      - Leave out the tables of O(names) that have no record. They are not looked for, unless a table stands under the
        first of these names; then they are shown.
    type: bool
    default: false
  tables:
    description:
      - What the user says of destination tables. They are shown also where they have no record, and records of another
        source table or migration are reported.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The destination table.
        type: str
        required: true
      source_table:
        description:
          - Its source table.
        type: str
        default: ""
      migration_id:
        description:
          - Its migration.
        type: str
        default: ""
      # make generate: accounts.source
      source:
        description:
          - The account and Region of the source table.
          - Options that are not set here are taken from the options of the same names for both sides.
        type: dict
        suboptions:
          region:
            description:
              - The AWS Region of the source account.
            type: str
          profile:
            description:
              - The profile of the AWS configuration files of the source account.
              - Mutually exclusive with keys.
            type: str
          access_key:
            description:
              - The AWS access key ID of the source account.
              - It requires the secret key, and takes precedence over C(AWS_*) in the environment.
            type: str
          secret_key:
            description:
              - The AWS secret access key of the source account.
            type: str
          session_token:
            description:
              - The session token that belongs to temporary keys.
            type: str
          endpoint_url:
            description:
              - The endpoint for requests of the source account, instead of that of AWS.
            type: str
          role_arn:
            description:
              - The ARN of the role to assume in the source account;
                the caller is given by the profile, keys or environment.
              - The role is assumed again before its session expires, so that a wait may last longer than a session.
            type: str
          external_id:
            description:
              - The external ID that the trust policy of the role requires.
            type: str
          account_id:
            description:
              - The ID of the account that the credentials must belong to, 12 digits.
              - Credentials of another account are refused, and the account is not looked up at AWS.
            type: str
          tags:
            description:
              - Tags for what is created in the account besides copies of tables, such as buckets, keys, roles,
                vaults, backups and the record table. A copy gets the tags of its source table.
              - They are set when it is created; what is there already is not changed.
            type: dict
          call_log:
            description:
              - A file on the controller that gets a line of JSON when a call to the account is sent, and another one
                when it is answered, with service, operation, table, HTTP status, ID of the request and milliseconds, to
                look into faults.
              - It has no contents of requests and answers, and no credentials.
            type: path
seealso:
  - module: tableferry.aws.record_cleanup
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.destination
  - tableferry.aws.attributes.reads
"""

EXAMPLES = r"""
- name: Show how far all tables are
  tableferry.aws.migration_status_info:
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
  register: status

- name: Fail if a table is only half there
  ansible.builtin.assert:
    that: status.tables | selectattr('state', 'equalto', 'broken') | length == 0
"""

RETURN = r"""
tables:
  description: One entry for each table, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The destination table.
      returned: always
      type: str
      sample: orders
    source:
      description: The ARN of the source table.
      returned: always
      type: str
      sample: arn:aws:dynamodb:eu-west-1:111111111111:table/orders
    migration:
      description: The migration that the table belongs to.
      returned: always
      type: str
      sample: default
    method:
      description: The method that fills it.
      returned: always
      type: str
      sample: s3
    state:
      description:
        - V(claimed), V(filling), V(filled), V(settled), V(done), V(following), V(handed_over) or V(broken).
        - V(unreadable) for a record of a newer version, V(no record) for a table of O(names) or
          O(tables) that has none. As recorded; see RV(tables[].copy_state).
        - Of a table that is merged of several sources also V(claimed) where the items of a source are yet to be brought
          though those of others are done; see RV(tables[].parts).
      returned: always
      type: str
      sample: done
    copy_state:
      description:
        - Whether the copy stands that the record knows, V(there), V(deleted), V(replaced) by a table of somebody's own,
          or V(none) as none was made yet. V(unknown) for a table that no record explains.
        - Empty if it was not looked at.
      returned: always
      type: str
      sample: there
    attempt:
      description: The number of the present attempt. Null where there is no record.
      returned: always
      type: int
      sample: 1
    job:
      description: The job that may still be running, and whether it was begun. Empty if there is none.
      returned: always
      type: str
      sample: import begun
    percent:
      description: How far that job is, if known.
      returned: always
      type: float
      sample: 40.0
    items_source:
      description: The number of items in the source, if counted.
      returned: always
      type: int
      sample: 20000
    items_destination:
      description: The number of items in the destination, if counted.
      returned: always
      type: int
      sample: 20000
    evidence:
      description: What filled the table, as recorded. Empty until it is filled.
      returned: always
      type: dict
      sample: {items: 20000}
    verified:
      description: How it was compared with its source, as recorded. Empty until it was.
      returned: always
      type: dict
      sample: {level: counts}
    data_as_of:
      description:
        - Which instant of the source the items show. They were read C(from) the one time C(to) the other, which are the
          same for an export. Empty until the table is filled.
      returned: always
      type: dict
      sample: {from: "2026-01-31T07:00:00+00:00", to: "2026-01-31T07:00:00+00:00"}
    parts:
      description:
        - Of a table that is merged of several sources, how far each of them is, by the ARN of its table. V(filled) is
          one that is done. Other tables have none.
      returned: always
      type: dict
      sample: {}
    since:
      description:
        - When the first job of the present attempt was begun, or the run that holds the table. For a table without a
          record, when the job began that runs in the source account.
      returned: always
      type: str
      sample: "2026-01-31T07:00:00Z"
    run:
      description: The ID of the run that holds the table. Empty if none does.
      returned: always
      type: str
      sample: 3f6c1a9be2d04475
    held_by:
      description: Who holds the table, since when, and when that was renewed. Empty if nobody does.
      returned: always
      type: str
      sample: held by ann@ci-7 since 2026-01-31T07:00:00Z, renewed 12 s ago
    next:
      description: What to do next. Empty if there is nothing to do.
      returned: always
      type: str
      sample: ""
runs:
  description: The runs that hold tables.
  returned: success
  type: list
  elements: dict
  contains:
    run:
      description: The ID of the run.
      returned: always
      type: str
      sample: 3f6c1a9be2d04475
    held_by:
      description: Who holds, since when, and when that was renewed.
      returned: always
      type: str
      sample: held by ann@ci-7 since 2026-01-31T07:00:00Z, renewed 12 s ago
    tables:
      description: How many tables it holds.
      returned: always
      type: int
      sample: 12
unseen:
  description: What could not be compared with the tables of the account, and why.
  returned: success
  type: list
  elements: str
  sample: []

# make generate: record_table_arn
record_table_arn:
  description: The ARN of the record table. Empty if there is none.
  returned: success
  type: str
  sample: arn:aws:dynamodb:eu-west-1:222222222222:table/tableferry

lines:
  description: All of it as lines of a text table.
  returned: success
  type: list
  elements: str
  sample: ["tableferry in account 222222222222, eu-west-1: 8 tables."]
msg:
  description: How many tables have a record, or what went wrong, with the cause and the next step.
  returned: always
  type: str
  sample: "tableferry in account 222222222222, eu-west-1: 8 tables."

# make generate: failed_table
table:
  description: The table concerned. Empty if the whole account is.
  returned: failure
  type: str
  sample: orders

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_status_info import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
