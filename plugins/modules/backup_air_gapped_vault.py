#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_air_gapped_vault
short_description: Creates an air-gapped vault and shares it with another account
version_added: 0.2.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Creates a logically air-gapped vault in the source account, shares it with the destination account through AWS RAM,
    and accepts the share there.
  - The destination account can then restore from it without a copy, even in another organization.
options:
  name:
    description:
      - The vault.
    type: str
    required: true
  min_retention_days:
    description:
      - The minimum retention of recovery points in days, V(7) or more. It can never be shortened.
    type: int
    required: true
  max_retention_days:
    description:
      - The maximum retention of recovery points in days. It can never be shortened.
    type: int
    required: true
  kms_key_arn:
    description:
      - A customer managed key. By default AWS owns the key and no key has to be shared. It can never be changed.
    type: str
  wait_timeout:
    description:
      - How long to wait, in seconds, until the destination account can use the vault.
    type: int
    default: 900
notes:
  - The vault is locked in compliance mode from the start. Backups in it are billed until they expire, and nobody can
    delete them before, neither you nor AWS.
  - An invitation between organizations expires after 12 hours.
seealso:
  - module: tableferry.aws.backup_job
  - module: tableferry.aws.backup_restore
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.both
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Create a vault from which another organization can restore
  tableferry.aws.backup_air_gapped_vault:
    name: tableferry-air-gapped
    source:
      profile: legacy
      region: eu-west-1
    destination:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
    min_retention_days: 7
    max_retention_days: 30
"""

RETURN = r"""
vault:
  description: The vault. Empty in check mode if it does not exist yet.
  returned: success
  type: dict
  sample: {name: tableferry-air-gapped, kind: LOGICALLY_AIR_GAPPED_BACKUP_VAULT, state: AVAILABLE}

# make generate: changes what='air-gapped vault tableferry-locked' before=~
#   after='{account: "111111111111", min_retention_days: 7, max_retention_days: 30}' risk=billed
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
      sample: air-gapped vault tableferry-locked
    before:
      description: Its value before.
      returned: always
      type: raw
      sample: ~
    after:
      description: Its value after.
      returned: always
      type: raw
      sample: {account: "111111111111", min_retention_days: 7, max_retention_days: 30}
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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.backup_air_gapped_vault import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
