#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_plan
short_description: Plans the migrations of many tables
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Looks at each table and at its accounts, and says what would happen, why, how long it would take and what it would
    cost. Changes nothing, and writes the plan as JSON on request.
  - For each table it says which methods are possible, why each other one is not, and which one it takes. What is wrong
    with a table is part of the plan; the module does not fail for it.
options:
  prices:
    description:
      - Prices that replace those which come with the collection, each by its name, such as V(export_gb), with a number
        or with a dictionary of C(price), C(date), C(source) and C(confirmed).
      - With a key C(figures) it is a whole price list, in which every figure has to be.
    type: dict
    default: {}
  policies:
    description:
      - IAM policies of the callers, by method and side, as the filter P(tableferry.aws.ready_policies#filter) gives
        them.
      - IAM is asked whether the callers may do what those of the tables' methods allow
        (C(iam:SimulatePrincipalPolicy)), and what they lack is told with a policy to attach.
      - When empty, IAM is not asked.
    type: dict
    default: {}
  approved:
    description:
      - The path of a plan that was approved, as this module has written it, or the text C(plan) in the artifact
        C(tableferry_plan) that it has handed on. Tables that are not as it says are named in RV(refused).
    type: str
  path:
    description:
      - The path of the JSON file to write. Only its owner may read it. It is written in check mode too.
      - A plan that is written is handed on as well, as M(ansible.builtin.set_stats) does, in the artifact
        C(tableferry_plan) with C(line), C(made_at), C(to_do) (how many things to do first) and C(plan), a text that
        O(approved) takes.
    type: path
  show:
    description:
      - Whether to print the plan.
    type: bool
    default: true
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
          - The other options of M(tableferry.aws.migration_start) for this table.
        type: dict
        default: {}
      prepared:
        description:
          - Whether the accounts will be prepared, so that a bucket, vaults and roles that are missing are made.
        type: bool
        default: true
      managed:
        description:
          - Whether the credentials of the organization's management account are given, so that cross-account backup is
            turned on.
        type: bool
        default: false
      problem:
        description:
          - What is wrong with the table's variables. It cannot go then, and nothing else of it is looked at.
        type: str
        default: ''
      choices:
        description:
          - What the plan holds besides the options, by name, such as how the accounts are prepared. It must hold no
            secret. An approved plan refuses a table for which a value differs.
        type: dict
        default: {}
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
  - module: tableferry.aws.migration_start_all
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Plan the migrations of two tables
  tableferry.aws.migration_plan:
    tables:
      - name: orders
        source: "{{ ferry_source }}"
        destination: "{{ ferry_destination }}"
        options: {name: orders}
      - name: carts
        source: "{{ ferry_source }}"
        destination: "{{ ferry_destination }}"
        options: {name: carts, method: direct}
    prices: {export_gb: 0.11}
    path: tableferry-plan.json
  register: ferry_planned
"""

RETURN = r"""
line:
  description: The line that counts all tables.
  returned: success
  type: str
  sample: "2 tables: 1 by direct, 1 by s3; 5 to 21 min; about $1.20 ($1.00 to $1.40)"
lines:
  description: The plan as it was printed.
  returned: success
  type: list
  elements: str
  sample: ["orders: by s3, 1.2 GB, 1000000 items, 5 to 21 min, about $1.20 ($1.00 to $1.40)"]
totals:
  description: The same as numbers, as in the JSON.
  returned: success
  type: dict
  sample: {tables: 2, by_method: {direct: 1, s3: 1}, planned: 2, begun: 0, adopted: 0, done: 0, cannot_go: 0}
to_do:
  description: What you have to do first.
  returned: success
  type: list
  elements: str
  sample: []
methods:
  description: The method of each table that can go, by its name.
  returned: success
  type: dict
  sample: {orders: s3, carts: direct}
order:
  description: The names of the tables in the order in which they are best begun.
  returned: success
  type: list
  elements: str
  sample: [carts, orders]
stuck:
  description: Why tables cannot go, by their names.
  returned: success
  type: dict
  sample: {}
refused:
  description: What differs from the approved plan, by the names of the tables.
  returned: success
  type: dict
  sample: {}

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_plan import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
