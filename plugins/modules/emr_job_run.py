#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: emr_job_run
short_description: Starts, finds or stops a run of the Spark job on Amazon EMR
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Starts a run of the Spark job on EMR Serverless, or on a cluster of EMR, that writes the items of an export into a
    table, and returns without waiting. With O(state=absent) it is stopped.
  - The run of an earlier call is found and used. It is never started twice.
  - A table that has items of other origin is refused, unless O(overwrite=true).
options:
  destination:
    required: true
  engine:
    description:
      - V(serverless) runs the job on EMR Serverless, and V(cluster) on a cluster of its own that ends with the job. The
        default is V(serverless), or the cluster that O(cluster_id) names.
    type: str
    choices: [serverless, cluster]
  application_id:
    description:
      - The id of an application of EMR Serverless. Without one, the application of the migration is used, or made.
    type: str
  cluster_id:
    description:
      - The id of a cluster of EMR, which runs the job as a step.
    type: str
seealso:
  - module: tableferry.aws.dynamodb_export
  - module: tableferry.aws.spark_environment
  - module: tableferry.aws.glue_job_run
  - module: tableferry.aws.migration_start
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.destination
  - tableferry.aws.migration
  - tableferry.aws.migration.staging
  - tableferry.aws.spark_run
  - tableferry.aws.waiting
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Export a table and wait
  tableferry.aws.dynamodb_export:
    name: orders
    source:
      profile: legacy
      region: eu-west-1
    bucket: tableferry-222222222222-eu-west-1
    bucket_owner: "222222222222"
    wait: true
  register: export

- name: Write the export into a table of the other account by EMR Serverless
  tableferry.aws.emr_job_run:
    name: orders
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    bucket: tableferry-222222222222-eu-west-1
    manifest_key: "{{ export.job.result.manifest_key }}"
    wait: true

- name: Start a step of a cluster of yours
  tableferry.aws.emr_job_run:
    name: orders
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    bucket: tableferry-222222222222-eu-west-1
    manifest_key: "{{ export.job.result.manifest_key }}"
    cluster_id: j-2AXXXXXXGAPLF
"""

RETURN = r"""
# make generate: spark_run engine='emr_serverless' cost='{seconds: 120, vcpu_hours: 0.17, memory_gb_hours: 0.34}'
run:
  description: The run of the Spark job.
  returned: success
  type: dict
  contains:
    id:
      description: The id of the run at AWS. Empty before it is started, and where another run wrote everything.
      returned: always
      type: str
      sample: jr_4d1a
    token:
      description: The token by which the run is found.
      returned: always
      type: str
      sample: 3b0e6a7c5d1f4e2a9b8c7d6e5f4a3b2c1d0e9f8a
    engine:
      description: V(glue), V(emr_serverless), V(emr_step) or V(emr_cluster).
      returned: always
      type: str
      sample: emr_serverless
    scope:
      description: The job of AWS Glue, or the id of the application or cluster, that the run belongs to.
      returned: always
      type: str
      sample: tableferry-default-0123456789ab
    state:
      description:
        - V(running) or V(completed), in check mode also V(planned), or V(unknown) where the answer of AWS was lost.
        - With O(state=absent) V(stopping) after AWS was asked to stop it, V(none) without a run, or the state in
          which it has ended, V(completed), V(failed) or V(cancelled).
      returned: always
      type: str
      sample: completed
    message:
      description: What AWS says about the run.
      returned: always
      type: str
      sample: ""
    cost:
      description:
        - What AWS bills, as far as it says so when the run has ended.
        - C(seconds), on AWS Glue C(dpu_hours), on EMR Serverless C(vcpu_hours) and C(memory_gb_hours).
      returned: always
      type: dict
      sample: {seconds: 120, vcpu_hours: 0.17, memory_gb_hours: 0.34}
totals:
  description:
    - What became of the items, when everything is written. Empty before that.
    - C(read) from the export, C(added) by steps, C(written), C(kept_out) by step, C(refused) by step, C(rejected) by
      the table, C(shortened), C(resent) after throttling, C(lost) to others with the same key, and C(units), the
      write units that were consumed.
  returned: success
  type: dict
  sample: {read: 100, written: 100, kept_out: {}, refused: {}, resent: 0, units: 100.0}
files:
  description: The number of files of the export.
  returned: success
  type: int
  sample: 4

# make generate: changes what='emr_serverless into orders' before=~ after='{workers: 2}' risk=billed
changes:
  description: What was changed, or would be changed in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: The object or setting that is changed.
      returned: always
      type: str
      sample: emr_serverless into orders
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: ~
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {workers: 2}
    risk:
      description: V(safe), V(slow), V(billed) or V(destructive).
      returned: always
      type: str
      sample: billed

# make generate: failed_table
table:
  description: The table concerned. Empty if the whole account is.
  returned: failure
  type: str
  sample: orders

# make generate: job_message
msg:
  description: The state of the job; on failure the table, the cause and the next step.
  returned: always
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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.emr_job_run import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
