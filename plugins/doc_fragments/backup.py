# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How AWS Backup backs a table up."""

    DOCUMENTATION = r"""
options:
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
"""

    LIFECYCLE = r"""
options:
  delete_after_days:
    description:
      - After how many days AWS deletes the recovery point. V(0) is never.
      - A vault that is locked refuses what lies outside of its retention, late; it is looked at before.
    type: int
    default: 7
  move_to_cold_storage_after_days:
    description:
      - After how many days AWS moves the recovery point to cold storage, where it stays for 90 days at least.
      - What is in cold storage cannot be copied to another account. V(0) is never.
    type: int
    default: 0
"""
