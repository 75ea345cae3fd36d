#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_start
short_description: Starts the migration of a table to another account
version_added: 0.2.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Chooses the method, refuses the table if it cannot be migrated, starts the first job of the migration or finds that
    of an earlier run, and returns without waiting.
  - M(tableferry.aws.job_wait) completes the migration; M(tableferry.aws.migration_judge) checks the result.
  - In check mode the whole migration is predicted, with every setting.
options:
  method:
    description:
      - The migration method. A table that cannot be migrated with it is refused.
      - V(auto) chooses a method.
    type: str
    default: auto
  bucket:
    description:
      - The staging bucket, in the destination account. Required for the method V(s3).
    type: str
  bucket_owner:
    description:
      - The account ID of the owner of O(bucket). Defaults to the destination account.
    type: str
  kms_key_arn:
    description:
      - The full ARN of the customer managed key that encrypts the staged data. By default Amazon S3 managed keys are
        used.
    type: str
  export_max_age:
    description:
      - The maximum age, in seconds, of an export of an earlier run that is used again.
    type: int
    default: 86400
  enable_point_in_time_recovery:
    description:
      - Turn on point-in-time recovery of the source table if an export needs it. AWS bills it until it is turned off.
      - The playbook C(migrate) allows it unless C(ferry_enable_point_in_time_recovery) is false.
    type: bool
    default: false
  point_in_time_recovery_wait:
    description:
      - How long to wait, in seconds, until point-in-time recovery can be used.
    type: int
    default: 1800
  replace_failed:
    description:
      - Delete the partial table that a failed import of this migration left, and import again. No other table is
        deleted.
    type: bool
    default: false
  indexes_after:
    description:
      - Global secondary indexes to create after the items are there, instead of with the table. Items that their keys
        do not fit are then left out of the index, as in the source. Each takes 8 to 17 minutes or more.
    type: list
    elements: str
    default: []
    version_added: 0.3.0
  writes_stopped:
    description:
      - Whether writes to the source have stopped. An export then waits, about five minutes, until it can show the
        moment at which it was started; an export that was not asked for so is not used again.
      - A restored table then fails if the numbers of items differ.
    type: bool
    default: false
    version_added: 0.3.0
  spark:
    description:
      - The engine that runs the Spark job of the methods V(glue) and V(emr).
    type: dict
    version_added: 0.3.0
    suboptions:
      end:
        description:
          - With V(table) the job writes the items into the table, with its write capacity.
          - With V(import) the job writes the changed items to the staging bucket, and an import makes the table of
            them, which takes no write units. A table with local secondary indexes is refused.
        type: str
        choices: [table, import]
        default: table
      engine:
        description:
          - On EMR, V(serverless) runs the job on EMR Serverless, and V(cluster) on a cluster of its own that ends with
            the job. The default is V(serverless), or the cluster that O(spark.cluster_id) names.
        type: str
        choices: [serverless, cluster]
      workers:
        description:
          - The number of machines of a job, one of them for the driver. Two fill a table as fast as its write capacity
            allows in almost all cases.
        type: int
        default: 2
      worker_type:
        description:
          - The type of a machine, on AWS Glue a worker type such as V(G.1X), on a cluster an instance type.
        type: str
      role_arn:
        description:
          - The ARN of the role of the job. The default is the role C(tableferry-spark) of the destination account.
        type: str
      application_id:
        description:
          - The id of an application of EMR Serverless. Without one, the application of the migration is used, or made.
        type: str
      cluster_id:
        description:
          - The id of a cluster of EMR, which runs the job as a step.
        type: str
      release:
        description:
          - The release of the engine, such as V(5.1) for AWS Glue or V(emr-7.14.0) for EMR.
        type: str
      wheels:
        description:
          - A directory on the controller with the wheels that the job brings along. Without one, pip downloads them
            once.
        type: path
  backup:
    description:
      - Options of the method V(backup).
    type: dict
    suboptions:
      # make generate: backup
      vault:
        description:
          - The vault in the source account. It must be encrypted with a customer managed key that the destination
            account may use.
        type: str
        default: tableferry
      role:
        description:
          - The ARN or name of the IAM role in the source account that AWS Backup uses.
          - Defaults to C(AWSBackup-tableferry).
        type: str
      air_gapped_vault:
        description:
          - A logically air-gapped vault in the source account that is shared with the destination account. The backup
            is stored there, and no copy is needed.
        type: str
      start_window_minutes:
        description:
          - The number of minutes within which AWS must start the backup. V(60) is the minimum.
        type: int
        default: 60
      complete_window_minutes:
        description:
          - The number of minutes within which the backup must be completed. With V(0) AWS decides.
        type: int
        default: 0

      destination_vault:
        description:
          - The vault in the destination account that the copy goes to.
        type: str
        default: tableferry
      restore:
        description:
          - Whether to restore the copy. With V(false) the table ends as V(copied).
        type: bool
        default: true
      restore_role:
        description:
          - The ARN or name of the IAM role in the destination account that AWS Backup uses to restore.
          - Defaults to C(AWSBackup-tableferry).
        type: str
      plan:
        description:
          - The name of a backup plan with a copy action. Its next run is waited for, instead of an on-demand backup.
        type: str
      delete_after_days:
        description:
          - The number of days after which AWS deletes the backup. V(0) means never.
        type: int
        default: 7
      move_to_cold_storage_after_days:
        description:
          - The number of days after which AWS moves the backup to cold storage. V(0) means never.
        type: int
        default: 0
      copy_delete_after_days:
        description:
          - The number of days after which AWS deletes the copy. With V(0) that of the backup applies.
        type: int
        default: 7
      copy_move_to_cold_storage_after_days:
        description:
          - The number of days after which AWS moves the copy to cold storage. V(0) means never.
        type: int
        default: 0
      max_age:
        description:
          - The maximum age, in seconds, of a backup of an earlier run that is used again.
        type: int
        default: 86400
      writes_stopped:
        description:
          - The same as O(writes_stopped).
        type: bool
        default: false
  verify:
    description:
      - How the table is compared with its source before its settings are applied.
      - V(counts) compares the numbers of items, V(sample) also the items of a sample, V(full) all items of both tables.
    type: str
    choices: [counts, sample, full, none]
    default: counts
  items:
    description:
      - How the controller reads and writes items, for the method V(direct) and for comparisons.
    type: dict
    suboptions:
      # make generate: items
      workers:
        description:
          - The number of processes that read and write items, 1 or more.
          - V(auto) is one for each GiB of the table, at most four, and no more than this machine has cores;
            tables that are copied or compared at the same time share these.
            In a container its quotas count, of cores and of memory, with a GiB for each process.
        type: str
        default: auto
      read_rate:
        description:
          - The maximum read units per second of either table, such as V(500), or a part of its provisioned capacity,
            such as V(50%).
          - Without it there is no limit.
        type: str
      consistent:
        description:
          - Use strongly consistent reads from the beginning, for twice the read units.
        type: bool
        default: false
      # make generate: items.copying
      write_rate:
        description:
          - The maximum write units per second of the destination table, such as V(500), or a part of its provisioned
            capacity, such as V(50%).
          - Without it there is no limit other than AWS's throttling.
        type: str
      checkpoint_dir:
        description:
          - A directory on the controller for checkpoints, from which a later run continues.
          - Without it there are none, and a killed copy starts over. An item that is written again is the same.
        type: path
      refused_path:
        description:
          - A file on the controller for the keys of items that the destination refuses, which only its owner may read.
          - Item keys are personal data. Without this file they are not kept anywhere, and results have counts only.
        type: path
        version_added: 0.3.0
      # make generate: items.comparing
      sample_items:
        description:
          - The approximate number of items of each table that a sample compares.
        type: int
        default: 1000
      ignore_expired:
        description:
          - Do not compare items whose time to live has passed. They are copied, but AWS may delete them at any time.
        type: bool
        default: false
      differences_path:
        description:
          - A file on the controller to which a line of JSON is written for each difference. Without differences it is
            not created.
        type: path
      work_dir:
        description:
          - A directory on the controller for a temporary file in which a comparison of large tables keeps the keys of
            items in groups that differ, when they are too many for memory. It takes at most 16 GiB and nine tenths of
            the free space.
          - The file has no name, and only its owner may read it. It is removed when the comparison ends, also when it
            is killed.
          - Without it about 100,000 keys are looked into. Further groups of keys that differ are counted.
        type: path
        version_added: 0.3.0
      digest:
        description:
          - How items are digested for a comparison of all items.
          - V(auto) takes XXH3-128 where the Python library xxhash is installed, and BLAKE2b elsewhere. XXH3-128 is the
            fastest, but not cryptographic.
          - V(sha256) takes SHA-256 with a random secret, for a comparison that must withstand items which somebody
            forged so that they look equal.
        type: str
        choices: [auto, sha256]
        default: auto
        version_added: 0.3.0
  record_table:
    description:
      - The name of the DynamoDB table in the destination account that holds one record per table. It is created if
        there is none.
      - All runs that write to this destination account and Region must use the same one.
    type: str
    default: tableferry
    version_added: 0.3.0
  take_over:
    description:
      - The id of a run that holds tables and whose process is gone for certain, as status and errors name it. Its
        tables are taken over at once; items and settings wait another 60 to 220 seconds.
    type: str
    default: ""
    version_added: 0.3.0
  adopt:
    description:
      - A table that carries both tags of this migration, or that it imported, and whose record is missing or was
        restored from a backup is refused, because how far it is nobody knows.
      - With O(adopt) it is compared with its source in full, by the waiter. Where both are equal, its record says so,
        and its settings follow. Where they differ it is refused with the numbers, and nothing is changed.
    type: bool
    default: false
    version_added: 0.3.0
  finished_settings:
    description:
      - What becomes of the settings of a table that an earlier run finished. Its users may have changed them since.
      - With V(once) they are not looked at. With V(report) the settings in which the source and the copy differ are
        returned as RV(drift), and nothing is changed. With V(apply) they are returned, and the waiter sets them as the
        source has them, while this run holds the table.
      - Those of a source that was made anew since are shown, and never applied.
    type: str
    choices: [once, report, apply]
    default: once
    version_added: 0.3.0
  merge:
    description:
      - Whether other sources may be merged into the same destination table. It must be V(true) for each of them, from
        the first on, and their keys must be apart for certain. That is where O(transform) lets the same key attribute
        of each begin with a constant text, none of which is the beginning of another one.
      - One part is brought after the other. Each is compared with its own source, and what is done is not brought
        again. The table has the settings of the first one; in which ones the others differ is in their settings left.
      - For methods that change items. All sources must make the same key and the same indexes.
    type: bool
    default: false
    version_added: 0.3.0
seealso:
  - module: tableferry.aws.job_wait
  - module: tableferry.aws.migration_judge
  - module: tableferry.aws.migration_cleanup
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.both
  - tableferry.aws.tables.source
  - tableferry.aws.migration
  - tableferry.aws.migration.keys
  - tableferry.aws.migration.settings
  - tableferry.aws.migration.steps
  - tableferry.aws.migration.transform
  - tableferry.aws.migration.transforming
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Start the migration of each table
  tableferry.aws.migration_start:
    name: "{{ inventory_hostname }}"
    source: "{{ ferry_source }}"
    destination: "{{ ferry_destination }}"
    bucket: "{{ ferry_staging_bucket }}"
    enable_point_in_time_recovery: true
  register: ferry_started

- name: Wait for all migrations
  tableferry.aws.job_wait:
    jobs: >-
      {{ ansible_play_hosts
         | tableferry.aws.open_jobs(hostvars, 'ferry_started', ferry_source, ferry_destination) }}
  run_once: true
  register: ferry_waited
"""

RETURN = r"""
# make generate: job kind=export
job:
  description:
    - The job in its current state.
    - Pass it unchanged to M(tableferry.aws.job_wait) and to the next verb.
  returned: success
  type: dict
  contains:
    kind:
      description: The kind of job, such as V(export), V(import), V(backup), V(copy), V(restore) or V(direct).
      returned: always
      type: str
      sample: export
    name:
      description: The table.
      returned: always
      type: str
      sample: orders
    state:
      description:
        - The state of the job. V(planned) jobs exist in check mode only. RV(job.pending_reason) says what
          V(pending) jobs wait for.
        - One of V(planned), V(pending), V(running), V(completed), V(failed), V(cancelled), V(not_needed).
      returned: always
      type: str
      sample: running
    arn:
      description: The ARN or ID of the job at AWS. Empty before it is started.
      returned: always
      type: str
      sample: ""
    pending_reason:
      description: What a pending job waits for. V(slot) is AWS's quota of concurrent jobs.
      returned: always
      type: str
      sample: slot
    request:
      description: The parameters of the request to AWS.
      returned: always
      type: dict
      sample: {}
    result:
      description: The result that AWS reported, such as item counts and locations.
      returned: always
      type: dict
      sample: {}
    failure:
      description:
        - Why the job failed. Empty if it did not fail.
        - C(error) is the type of the error, C(cause) what is wrong, C(next_step) what to do about it, and
          C(details) contains values for programs.
      returned: always
      type: dict
      sample: {}
    failure_code:
      description: The error code of AWS.
      returned: always
      type: str
      sample: ""
    failure_message:
      description: The error message of AWS.
      returned: always
      type: str
      sample: ""
    migration_id:
      description: The migration that the job belongs to.
      returned: always
      type: str
      sample: default
    attempt:
      description: The number of earlier jobs of this kind for this table that failed.
      returned: always
      type: int
      sample: 0

record:
  description:
    - The record of the table, for M(tableferry.aws.job_wait) and M(tableferry.aws.migration_judge).
  returned: success
  type: dict
  contains:
    table:
      description: The table in the destination account.
      returned: always
      type: str
      sample: orders
    record_table:
      description: The name of the record table.
      returned: always
      type: str
      sample: tableferry

# make generate: changes
#   what='export of orders' before=~ after='{bucket: tableferry-222222222222-eu-west-1}' risk=billed
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
      sample: export of orders
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: ~
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {bucket: tableferry-222222222222-eu-west-1}
    risk:
      description: V(safe), V(slow), V(billed) or V(destructive).
      returned: always
      type: str
      sample: billed

# make generate: left says='What this method does not carry, and why; in check mode also settings.'
#   what=replicas why='Replicas are reported, never created on the way.'
left:
  description: What this method does not carry, and why; in check mode also settings.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: What is not carried or not removed.
      returned: always
      type: str
      sample: replicas
    reason:
      description: The reason.
      returned: always
      type: str
      sample: Replicas are reported, never created on the way.

drift:
  description:
    - The settings in which a finished table differs from its source, by O(finished_settings). They are the diff too.
    - Each has C(what), the setting, C(before) as the copy has it, C(after) as the source has it, and C(risk) as in
      RV(changes). What only the copy has is listed too, and is never switched off; TableFerry's own tags are not.
  returned: success
  type: list
  elements: dict
  sample: []

method:
  description: The method, as chosen with V(auto).
  returned: success
  type: str
  sample: s3
then:
  description: The following jobs of the migration, for M(tableferry.aws.job_wait). Each has the shape of RV(job).
  returned: success
  type: list
  elements: dict
  sample: [{kind: import, state: pending}, {kind: settings, state: pending}]

# make generate: obstacle
obstacle:
  description: What must be fixed before the job can be started, as far as check mode can predict it. Empty otherwise.
  returned: success
  type: str
  sample: ""
obstacle_error:
  description: The type of that error, such as V(BucketMissing). Empty without one.
  returned: success
  type: str
  sample: ""
obstacles:
  description: The problems of RV(obstacle), one by one.
  returned: success
  type: list
  elements: dict
  contains:
    cause:
      description: What is wrong.
      type: str
    next_step:
      description: What to do about it.
      type: str
    made_by:
      description:
        - V(accounts) for what the roles source_account and destination_account make, V(management) for what they make
          with the credentials of the management account. Empty for what is left to you.
      type: str
  sample: []

# make generate: source_table
table:
  description:
    - The source table as C(DescribeTable) shows it; O(tableferry.aws.dynamodb_import#module:definition) takes it.
    - On failure only the table's name.
  returned: always
  type: raw
  sample: {TableName: orders, ItemCount: 20000}

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_start import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
