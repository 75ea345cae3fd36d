#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_judge_all
short_description: Checks whether many tables were migrated completely
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Does for each of many tables what M(tableferry.aws.migration_judge) does for one, in one process.
  - It does not fail when a table was not migrated completely. Its failure is in the result.
options:
  tables:
    description:
      - The tables.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - A name for the entry, used as its key in the result. Use the inventory host.
        type: str
        required: true
      options:
        description:
          - The other options of M(tableferry.aws.migration_judge) for this table.
        type: dict
        required: true
      # make generate: accounts.both
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
        required: true
      destination:
        description:
          - The account and Region of the destination table.
          - Options that are not set here are taken from the options of the same names for both sides.
        type: dict
        suboptions:
          region:
            description:
              - The AWS Region of the destination account.
            type: str
          profile:
            description:
              - The profile of the AWS configuration files of the destination account.
              - Mutually exclusive with keys.
            type: str
          access_key:
            description:
              - The AWS access key ID of the destination account.
              - It requires the secret key, and takes precedence over C(AWS_*) in the environment.
            type: str
          secret_key:
            description:
              - The AWS secret access key of the destination account.
            type: str
          session_token:
            description:
              - The session token that belongs to temporary keys.
            type: str
          endpoint_url:
            description:
              - The endpoint for requests of the destination account, instead of that of AWS.
            type: str
          role_arn:
            description:
              - The ARN of the role to assume in the destination account;
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
        required: true
seealso:
  - module: tableferry.aws.migration_judge
  - module: tableferry.aws.job_wait
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.attributes.reads
"""

EXAMPLES = r"""
- name: Check two tables
  tableferry.aws.migration_judge_all:
    tables:
      - name: orders
        source: "{{ ferry_source }}"
        destination: "{{ ferry_destination }}"
        options: {name: orders, jobs: "{{ ferry_waited.ways.orders }}"}
      - name: carts
        source: "{{ ferry_source }}"
        destination: "{{ ferry_destination }}"
        options: {name: carts, jobs: "{{ ferry_waited.ways.carts }}", verify: full}
  register: ferry_judged
"""

RETURN = r"""
tables:
  description:
    - The result of M(tableferry.aws.migration_judge) for each table, by name. C(failed) is true where it failed.
  returned: success
  type: dict
  sample: {orders: {status: migrated, items_source: 20000, items_destination: 20000}}

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_judge_all import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
