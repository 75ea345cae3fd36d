#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_start
short_description: Starts the way of a table to another account
version_added: 0.2.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Chooses the method, refuses the table where it cannot go, starts the first job of its way, or finds the one of an
    earlier run, and returns at once.
  - M(tableferry.aws.job_wait) brings the way to its end; M(tableferry.aws.migration_judge) judges it.
  - In check mode the whole way is foreseen, with every setting.
options:
  method:
    description:
      - The way to travel. A table that cannot go this way is refused.
      - V(auto) chooses.
    type: str
    default: auto
  bucket:
    description:
      - The staging bucket, in the destination account. The method V(s3) needs it.
    type: str
  bucket_owner:
    description:
      - The account id of the owner of O(bucket). Left out, it is the destination account.
    type: str
  kms_key_arn:
    description:
      - The customer managed key, in full, that encrypts the staged data. Left out, keys of S3 do.
    type: str
  export_max_age:
    description:
      - For how many seconds the export of an earlier run is used again.
    type: int
    default: 86400
  enable_point_in_time_recovery:
    description:
      - Turn point-in-time recovery of the source table on where an export needs it. It is billed until turned off.
      - The playbook C(migrate) allows it unless C(ferry_enable_point_in_time_recovery) is false.
    type: bool
    default: false
  point_in_time_recovery_wait:
    description:
      - How many seconds point-in-time recovery may take to become usable.
    type: int
    default: 1800
  replace_failed:
    description:
      - Delete the partial table that a failed import of this migration left, and import anew. No other table is
        deleted.
    type: bool
    default: false
  backup:
    description:
      - What concerns the method V(backup).
    type: dict
    suboptions:
      # make generate: backup
      vault:
        description:
          - The vault of the source account. It must have a customer managed key that the destination account may use.
        type: str
        default: tableferry
      role:
        description:
          - The role of the source account with which AWS Backup works, as ARN or name. Left out, it is
            C(AWSBackup-tableferry).
        type: str
      air_gapped_vault:
        description:
          - A logically air-gapped vault of the source account that is shared with the destination. The backup goes
            there, and nothing has to be copied.
        type: str
      start_window_minutes:
        description:
          - How long AWS may take to begin. V(60), the shortest, tells soonest that it cannot.
        type: int
        default: 60
      complete_window_minutes:
        description:
          - How long the backup may take. V(0) leaves it to AWS.
        type: int
        default: 0

      destination_vault:
        description:
          - The vault of the destination account that the copy goes to.
        type: str
        default: tableferry
      restore:
        description:
          - Whether the copy is restored. Without, the table ends as V(copied).
        type: bool
        default: true
      restore_role:
        description:
          - The role of the destination account with which AWS Backup restores. Left out, it is
            C(AWSBackup-tableferry).
        type: str
      plan:
        description:
          - The name of a backup plan with a copy action. Nothing is backed up on demand; the plan's next run is waited
            for.
        type: str
      delete_after_days:
        description:
          - After how many days AWS deletes the backup. V(0) is never.
        type: int
        default: 7
      move_to_cold_storage_after_days:
        description:
          - After how many days AWS moves the backup to cold storage. V(0) is never.
        type: int
        default: 0
      copy_delete_after_days:
        description:
          - After how many days AWS deletes the copy. With V(0) it inherits what holds for the backup.
        type: int
        default: 7
      copy_move_to_cold_storage_after_days:
        description:
          - After how many days AWS moves the copy to cold storage. V(0) is never.
        type: int
        default: 0
      max_age:
        description:
          - For how many seconds the backup of an earlier run is used again.
        type: int
        default: 86400
      writes_stopped:
        description:
          - Whether nothing writes to the source. Then another number of items fails the table.
        type: bool
        default: false
  verify:
    description:
      - How the table is compared with its source before its settings are carried.
      - V(counts) by numbers of items; V(sample) also by the items of a sample; V(full) by all items, both ways.
    type: str
    choices: [counts, sample, full, none]
    default: counts
  items:
    description:
      - How this machine reads and writes items, for the method V(direct) and for comparisons.
    type: dict
    suboptions:
      # make generate: items
      workers:
        description:
          - The number of processes that read and write, 1 or more.
        type: int
        default: 1
      read_rate:
        description:
          - The most read units per second of either table, as C(500), or a part of its provisioned capacity, as C(50%).
          - Without it there is no limit.
        type: str
      consistent:
        description:
          - Read strongly consistent from the beginning, for twice the read units.
        type: bool
        default: false
      # make generate: items.copying
      write_rate:
        description:
          - The most write units per second of the destination, as C(500), or a part of its provisioned capacity, as
            C(50%).
          - Without it there is no limit other than AWS's throttling.
        type: str
      checkpoint_dir:
        description:
          - A directory on the controller for the checkpoint of a copy, with which a later run continues.
          - Without it a copy that was killed starts over. It never writes an item twice in another form.
        type: path
      # make generate: items.comparing
      sample_items:
        description:
          - About how many items of each table a sample compares.
        type: int
        default: 1000
      ignore_expired:
        description:
          - Leave out items whose time to live has passed. They are copied, but AWS may delete them at any time.
        type: bool
        default: false
      differences_path:
        description:
          - A file on the controller that gets a line of JSON for each difference. Without differences it is not
            created.
        type: path
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
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Start the way of each table
  tableferry.aws.migration_start:
    name: "{{ inventory_hostname }}"
    source: "{{ ferry_source }}"
    destination: "{{ ferry_destination }}"
    bucket: "{{ ferry_staging_bucket }}"
    enable_point_in_time_recovery: true
  register: ferry_started

- name: Bring all of them to their end
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
    - The job as it stands.
    - Hand it as it is to M(tableferry.aws.job_wait) and to the next verb.
  returned: success
  type: dict
  contains:
    kind:
      description: What kind of job, such as V(export), V(import), V(backup), V(copy), V(restore) or V(direct).
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
        - How far it is. V(planned) jobs exist in check mode only; V(pending) ones wait for what
          RV(job.pending_reason) names.
        - One of V(planned), V(pending), V(running), V(completed), V(failed), V(cancelled), V(not_needed).
      returned: always
      type: str
      sample: running
    arn:
      description: The ARN or id that AWS gave the job, empty before it was started.
      returned: always
      type: str
      sample: ""
    pending_reason:
      description: What a pending job waits for. V(slot) is AWS's quota of jobs at once.
      returned: always
      type: str
      sample: slot
    request:
      description: What AWS is, or was, asked.
      returned: always
      type: dict
      sample: {}
    result:
      description: What AWS reported at the end, counts and places among it.
      returned: always
      type: dict
      sample: {}
    failure:
      description:
        - Why it failed, empty while it has not.
        - C(error) is the type of the error, C(cause) says what is wrong, C(next_step) what to do about it, and
          C(details) has values for programs.
      returned: always
      type: dict
      sample: {}
    failure_code:
      description: AWS's code for why it failed.
      returned: always
      type: str
      sample: ""
    failure_message:
      description: AWS's text for why it failed.
      returned: always
      type: str
      sample: ""
    migration_id:
      description: The migration that the job belongs to.
      returned: always
      type: str
      sample: default
    attempt:
      description: How many earlier jobs of this kind for this table had failed.
      returned: always
      type: int
      sample: 0

# make generate: changes
#   what='export of orders' before=~ after='{bucket: tableferry-222222222222-eu-west-1}' risk=billed
changes:
  description: What was changed, or would be in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: What is changed.
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

# make generate: left says='What will not come along with this method, and why; in check mode also of the settings.'
#   what=replicas why='Replicas are reported, never created on the way.'
left:
  description: What will not come along with this method, and why; in check mode also of the settings.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: What stays behind.
      returned: always
      type: str
      sample: replicas
    reason:
      description: Why.
      returned: always
      type: str
      sample: Replicas are reported, never created on the way.

method:
  description: The method, what V(auto) came to.
  returned: success
  type: str
  sample: s3
then:
  description: The jobs that follow on the table's way, for M(tableferry.aws.job_wait). Shaped like RV(job).
  returned: success
  type: list
  elements: dict
  sample: [{kind: import, state: pending}, {kind: settings, state: pending}]

# make generate: obstacle
obstacle:
  description: What would have to be mended before a start, where check mode sees it coming. Empty otherwise.
  returned: success
  type: str
  sample: ""

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
  description: How the job stands, or what went wrong with the table, the cause and the next step.
  returned: always
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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_start import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
