#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: job_wait
short_description: Waits for the jobs of many tables at once
version_added: 0.1.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Waits for exports, imports and settings of any number of tables in one process, polls with as few calls as it can,
    and prints how they get on.
  - Starts the jobs that were pending as soon as AWS has room for them, or point-in-time recovery is ready.
  - Never fails for one table's job. The state of each is in the result, and M(tableferry.aws.migration_judge) fails
    the table concerned.
options:
  jobs:
    description:
      - What to wait for.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - What the caller calls it; the key in the result. Use the inventory host.
        type: str
        required: true
      job:
        description:
          - The job, as a start verb returned it.
        type: dict
        required: true
      then:
        description:
          - The jobs that follow on the table's way, as M(tableferry.aws.migration_start) returned them. Each is started
            when the one before it has completed, so that no table waits for another.
        type: list
        elements: dict
        default: []
        version_added: 0.2.0
      # make generate: accounts.source
      source:
        description:
          - The account and Region that the table comes from.
          - What it does not say is taken from the options of the same names that both sides share.
        type: dict
        suboptions:
          region:
            description:
              - The AWS Region of the source account.
            type: str
          profile:
            description:
              - The profile of the AWS configuration files of the source account.
              - Not together with keys.
            type: str
          access_key:
            description:
              - The AWS access key id of the source account.
              - It needs a secret key beside it, and wins over C(AWS_*) in the environment.
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
              - Where to send the requests of the source account instead of AWS's own endpoints.
            type: str
          role_arn:
            description:
              - The ARN of the role to assume in the source account;
                the profile, keys or environment are the caller.
              - The role is assumed again before its session ends, so that a wait may last longer than a session.
            type: str
          external_id:
            description:
              - The external id that the trust policy of the role asks for.
            type: str
          account_id:
            description:
              - The 12 digits of the account that the credentials must belong to.
              - Credentials of another account are refused, and AWS is not asked whose they are.
            type: str
      # make generate: accounts.destination
      destination:
        description:
          - The account and Region that the table goes to.
          - What it does not say is taken from the options of the same names that both sides share.
        type: dict
        suboptions:
          region:
            description:
              - The AWS Region of the destination account.
            type: str
          profile:
            description:
              - The profile of the AWS configuration files of the destination account.
              - Not together with keys.
            type: str
          access_key:
            description:
              - The AWS access key id of the destination account.
              - It needs a secret key beside it, and wins over C(AWS_*) in the environment.
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
              - Where to send the requests of the destination account instead of AWS's own endpoints.
            type: str
          role_arn:
            description:
              - The ARN of the role to assume in the destination account;
                the profile, keys or environment are the caller.
              - The role is assumed again before its session ends, so that a wait may last longer than a session.
            type: str
          external_id:
            description:
              - The external id that the trust policy of the role asks for.
            type: str
          account_id:
            description:
              - The 12 digits of the account that the credentials must belong to.
              - Credentials of another account are refused, and AWS is not asked whose they are.
            type: str
  wait_timeout:
    description:
      - How long to wait, in seconds. A job that is still running goes on; the next run finds it again.
    type: int
    default: 86400
  progress:
    description:
      - Print lines while waiting. Only the action prints, not the module under C(async).
    type: bool
    default: true
seealso:
  - module: tableferry.aws.dynamodb_export
  - module: tableferry.aws.dynamodb_import
  - module: tableferry.aws.migration_judge
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Start an export of each table
  tableferry.aws.dynamodb_export:
    name: "{{ inventory_hostname }}"
    source: "{{ ferry_source }}"
    destination: "{{ ferry_destination }}"
    bucket: "{{ ferry_staging_bucket }}"
  register: ferry_export

- name: Wait for all of them at once
  tableferry.aws.job_wait:
    jobs: >-
      {{ ansible_play_hosts
         | tableferry.aws.open_jobs(hostvars, 'ferry_export', ferry_source, ferry_destination) }}
    wait_timeout: 7200
  run_once: true
  register: ferry_exports_waited
"""

RETURN = r"""
jobs:
  description:
    - How the jobs stand, by name; of a way the job that was reached last.
    - Each has the shape of RV(tableferry.aws.dynamodb_export#module:job).
  returned: success
  type: dict
  sample: {orders: {kind: export, state: completed}}
ways:
  description: All jobs of each way in their order, by name.
  returned: success
  type: dict
  sample: {orders: [{kind: export, state: completed}, {kind: import, state: running}]}
poll_calls:
  description: What the polling took for each kind of job, as numbers of calls and rounds.
  returned: success
  type: dict
  sample: {export: {list: 12, describe: 3, result: 100, rounds: 6, largest_round: 4, bound: 5}}

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.job_wait import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
