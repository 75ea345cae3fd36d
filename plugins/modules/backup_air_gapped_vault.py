#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_air_gapped_vault
short_description: Makes an air-gapped vault and shares it with another account
version_added: 0.2.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Makes a logically air-gapped vault in the source account, shares it with the destination account through AWS RAM,
    and accepts the share there.
  - The destination then restores from it without a copy, also from another organization.
options:
  name:
    description:
      - The vault.
    type: str
    required: true
  min_retention_days:
    description:
      - The shortest time that a recovery point stays, V(7) or more. It can never be shortened.
    type: int
    required: true
  max_retention_days:
    description:
      - The longest time that a recovery point stays. It can never be shortened.
    type: int
    required: true
  kms_key_arn:
    description:
      - A customer managed key. Left out, AWS owns the key and nothing has to be shared. It can never be changed.
    type: str
  wait_timeout:
    description:
      - How long to wait, in seconds, until the destination sees the vault.
    type: int
    default: 900
notes:
  - The vault is locked in compliance mode from the start. What is backed up into it is billed until it expires, and
    nobody can delete it before, neither you nor AWS.
  - An invitation between organizations ends after 12 hours.
seealso:
  - module: tableferry.aws.backup_job
  - module: tableferry.aws.backup_restore
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.both
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: Make a vault that another organization restores from
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
  description: The vault; empty in check mode when it is not there yet.
  returned: success
  type: dict
  sample: {name: tableferry-air-gapped, kind: LOGICALLY_AIR_GAPPED_BACKUP_VAULT, state: AVAILABLE}

# make generate: changes what='air-gapped vault tableferry-locked' before=~
#   after='{account: "111111111111", min_retention_days: 7, max_retention_days: 30}' risk=billed
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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.backup_air_gapped_vault import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
