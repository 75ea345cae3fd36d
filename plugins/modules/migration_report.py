#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_report
short_description: Shows what happened to the tables of a run, and writes the report
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Shows the rows of a report as one table, once for all tables, and writes the report into a folder of the controller.
  - C(report.html) is one page that needs nothing else, C(report.md) is for a ticket, C(report.json) for programs. The
    latter's schema is C(docs/report.schema.json) of the collection.
  - What the playbooks verify and cleanup found goes into the same report.
  - Of more than 50 tables it lists those that need attention, and counts the others.
  - Where standard output is for a machine, as with the callback plugin C(json), it is shown on standard error.
options:
  tables:
    description:
      - The rows, as P(tableferry.aws.report_rows#filter) returns them, or for another O(part)
        P(tableferry.aws.verify_rows#filter) or P(tableferry.aws.cleanup_rows#filter).
    type: list
    elements: dict
    required: true
  part:
    description:
      - What the rows are about. V(migration) makes the report anew. Of a report that is there it keeps what comparisons
        and cleanups found of tables that this run found finished, and the tables of O(others).
      - V(comparison) and V(cleanup) are added to the report that is there.
    type: str
    choices: [migration, comparison, cleanup]
    default: migration
  lines:
    description:
      - Lines to show instead, such as those of P(tableferry.aws.verify_lines#filter).
    type: list
    elements: str
  others:
    description:
      - Hosts of the inventory that the run left alone, as with C(--limit). What the report that is there says of their
        tables stays in it, with the run that found it.
    type: list
    elements: str
    default: []
  earlier_runs:
    description:
      - The runs that the report named when this run began, as RV(runs) has them. What another run has written since,
        beside this one, stays in the report. Without it only the tables of O(others) stay, and those that were moved.
    type: list
    elements: str
  changes:
    description:
      - Lines to show before the table, such as those of P(tableferry.aws.report_changes#filter).
    type: list
    elements: str
    default: []
  dir:
    description:
      - The folder that the report is written into, in files which only their owner may read. Without it none is
        written, nor in check mode. Files that are there are replaced when the new ones are complete.
      - Runs that write into one folder at the same time wait for each other, by a lock on C(.report.lock) in it, where
        the file system has locks.
      - Where it cannot be written, a warning says so. The rows are shown before.
    type: path
  plan:
    description:
      - A plan that the tables were moved by, as the path of the JSON file of the playbook plan, or as the text that it
        hands on. The report then has plan and outcome side by side. A file that is no plan is left out.
    type: str
  iac:
    description:
      - For which infrastructure as code the folder gets files that take the moved tables over, by account and Region.
        The page has the commands. What earlier runs made stays as long as the report tells of it.
      - V(terraform) writes C(import.tf), with import blocks for Terraform and OpenTofu. V(cloudformation) writes
        C(cloudformation-template.json) and C(resources-to-import.json).
    type: list
    elements: str
    choices: [terraform, cloudformation]
    default: []
  call_logs:
    description:
      - Files in which calls of the run were noted, to say where they are.
    type: list
    elements: str
    default: []
  places:
    description:
      - The destinations of the tables, as P(tableferry.aws.report_places#filter) returns them. Where there is a bucket,
        a copy of the report on the tables of this account and Region is put into it, below C(tableferry/reports/) and
        the id of the run. Where that is not possible, a line says so.
    type: list
    elements: dict
    default: []
    suboptions:
      bucket:
        description:
          - The staging bucket in it.
        type: str
      kms_key_arn:
        description:
          - The ARN of the KMS key that encrypts what is written there. Without it S3's own key does.
        type: str
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
  try_only:
    description:
      - Only try whether O(dir) can be written to, in check mode too, and fail where it cannot. Nothing is shown, and no
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
    dir: tableferry-report
    try_only: true
  run_once: true

- name: Report
  tableferry.aws.migration_report:
    tables: "{{ ansible_play_hosts_all | tableferry.aws.report_rows(hostvars) }}"
    dir: tableferry-report
    places: "{{ ansible_play_hosts_all | tableferry.aws.report_places(hostvars) }}"
  run_once: true
"""

RETURN = r"""
lines:
  description: The lines that were shown.
  returned: success
  type: list
  elements: str
  sample: ["2 tables: 2 migrated", "report: /home/ann/tableferry-report/report.html"]
report:
  description: The path of the page, or of the Markdown where Jinja2 is missing. Empty where nothing was written.
  returned: when O(try_only) is false
  type: str
  sample: /home/ann/tableferry-report/report.html
copies:
  description: The folders in S3 that the report was copied to.
  returned: when O(try_only) is false
  type: list
  elements: str
  sample: ["s3://tableferry-222222222222-eu-west-1/tableferry/reports/3f9ac1d27be04410/"]
runs:
  description: The ids of the runs that the report in O(dir) names, for O(earlier_runs).
  returned: when O(try_only) is true
  type: list
  elements: str
  sample: [3f9ac1d27be04410]
artifact:
  description:
    - What a workflow is handed as C(tableferry_report), as M(ansible.builtin.set_stats) does it.
    - It has the number of tables, also by status, the names of those that failed, up to 50, and where the report is.
  returned: when O(try_only) is false
  type: dict
  sample: {tables: 2, statuses: {migrated: 2}, failed: [], failed_more: 0, run: 3f9ac1d27be04410,
    report: /home/ann/tableferry-report/report.html, copies: []}

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
