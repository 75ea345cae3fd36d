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
  - Waits for the jobs of any number of tables in one process, polls with as few calls as possible, and prints their
    progress.
  - Starts pending jobs as soon as AWS's quotas allow it, or point-in-time recovery can be used.
  - It does not fail when a job fails. The state of each job is in the result, and M(tableferry.aws.migration_judge)
    fails for the table concerned.
options:
  jobs:
    description:
      - The jobs to wait for.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - A name for the entry, used as its key in the result. Use the inventory host.
        type: str
        required: true
      job:
        description:
          - The job, as returned by the verb that started it.
        type: dict
        required: true
      then:
        description:
          - The following jobs of the table's migration, as returned by M(tableferry.aws.migration_start). Each is
            started when the one before it has completed, so that no table waits for another.
        type: list
        elements: dict
        default: []
        version_added: 0.2.0
      record:
        description:
          - The record of the table, C(record) in the result of M(tableferry.aws.migration_start).
          - Each job writes there what it begins. Left out for the jobs of verbs that are used alone.
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
      judge:
        description:
          - Judge the table as soon as its last job has ended, as M(tableferry.aws.migration_judge) does, which then
            reports the same without doing it again. The judgement is the last of the table's jobs.
          - A table that was migrated completely becomes C(done) in its record, and other runs need not wait for this
            one. Left out, the table is held until M(tableferry.aws.migration_judge) has judged it.
        type: dict
        version_added: 0.3.0
        suboptions:
          name:
            description:
              - The table in the destination account.
            type: str
            required: true
          source_table:
            description:
              - The name of the source table, if it has another one.
            type: str
          verify:
            description:
              - V(counts) compares the numbers of items. V(none) only requires that the jobs completed.
              - V(sample) and V(full) also require the comparison among the table's jobs.
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
              - Whether writes to the source stopped before its backup or export.
              - See O(tableferry.aws.migration_judge#module:writes_stopped).
            type: bool
            default: false
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
      # make generate: accounts.destination
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
  wait_timeout:
    description:
      - How long to wait, in seconds. A job that is still running continues, and the next run finds it.
    type: int
    default: 86400
  progress:
    description:
      - Print progress while waiting. Only the action prints, not the module under C(async).
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

- name: Wait for all exports
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
    - The jobs by name; of several jobs of a table the one that was reached last.
    - Each has the shape of RV(tableferry.aws.dynamodb_export#module:job).
  returned: success
  type: dict
  sample: {orders: {kind: export, state: completed}}
ways:
  description: All jobs of each table in their order, by name.
  returned: success
  type: dict
  sample: {orders: [{kind: export, state: completed}, {kind: import, state: running}]}
tables_changed:
  description:
    - The O(jobs[].name) of those of which a job was started, or brought to its end that an earlier run had started.
    - Empty in check mode.
  returned: success
  type: list
  elements: str
  sample: [orders]
poll_calls:
  description: The numbers of calls and rounds of polling for each kind of job.
  returned: success
  type: dict
  sample: {export: {list: 12, describe: 3, result: 100, rounds: 6, largest_round: 4, bound: 5}}
spans:
  description: For each table and kind of job that was waited for, from when to when, by AWS's time. The end is empty
    where the wait did not see it.
  returned: success
  type: dict
  sample: {orders: {settings: ["2026-10-08T12:00:00+00:00", "2026-10-08T12:00:09+00:00"]}}

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.job_wait import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
