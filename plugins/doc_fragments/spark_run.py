# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """One run of the Spark job, used alone."""

    DOCUMENTATION = r"""
options:
  name:
    description:
      - The table in the destination account. It must exist, and have the key of the items.
    type: str
    required: true
  state:
    description:
      - With V(present) the run of an earlier call is used if it goes on or has written everything; else one is
        started. It takes up only files of the export that no run has finished.
      - With V(absent) AWS is asked to stop the run that goes on, and nothing is waited for. Items that it has written
        stay.
    type: str
    choices: [present, absent]
    default: present
  manifest_key:
    description:
      - The key of the C(manifest-summary.json) of a full export in O(bucket), such as C(job.result.manifest_key) of
        M(tableferry.aws.dynamodb_export).
      - Exactly one of O(manifest_key), O(prefix) and O(plan) is required.
    type: str
  prefix:
    description:
      - The prefix of the data files of a full export in O(bucket). It must end in C(/data/).
    type: str
  plan:
    description:
      - The S3 URI of a plan of a Spark job in O(bucket), with its files and transform steps, for exactly this table.
    type: str
  kms_key_arn:
    description:
      - The ARN of the KMS key of O(bucket).
    type: str
  run_token:
    description:
      - A name for the run, at most 40 letters, digits and hyphens. A run with it that exists is used, whatever became
        of it, and a second one is never started.
      - By default it is made of the table, its C(TableId) and the plan, so that the same task finds the same run. After
        a run that failed or was stopped, the next task starts another one.
    type: str
  overwrite:
    description:
      - Write into a table that has items of other origin. Those with the same key are replaced.
    type: bool
    default: false
  write_rate:
    description:
      - The maximum write units per second of the whole job, such as V(500), or a part of the provisioned capacity of
        the table, such as V(50%). A plan has its own.
    type: str
  refused_path:
    description:
      - A file on the controller for the keys of items that could not be written, which only its owner may read.
      - Item keys are personal data. Without this file they are not kept anywhere, and results have counts only.
    type: path
  workers:
    description:
      - The number of machines of the run, one of them for the driver.
    type: int
    default: 2
  worker_type:
    description:
      - The type of a machine, on AWS Glue a worker type such as V(G.1X), on a cluster an instance type.
    type: str
  role_arn:
    description:
      - The ARN of the role that the job runs as. The default is the role C(tableferry-spark) of the destination
        account, which M(tableferry.aws.spark_environment) creates.
    type: str
  release:
    description:
      - The release of the engine, such as V(5.1) for AWS Glue or V(emr-7.14.0) for EMR.
    type: str
  wheels:
    description:
      - A directory on the controller with the wheels that the job brings along. Without one, pip downloads them once.
    type: path
  record_table:
    description:
      - The name of the record table. A table that a run of M(tableferry.aws.migration_start) holds is refused.
    type: str
    default: tableferry
notes:
  - Before AWS is asked for a run, the request is written below C(tableferry/spark/) of O(bucket), only where there
    is none. By it a run whose answer was lost is found, and of two controllers only one starts the run.
  - While it is not known whether a run was started, the module fails with C(JobTimeout) and says when that will be
    known. With O(wait=true) it waits for that, and for AWS to start more runs.
"""
