# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options for backups with AWS Backup."""

    DOCUMENTATION = r"""
options:
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
"""

    LIFECYCLE = r"""
options:
  delete_after_days:
    description:
      - The number of days after which AWS deletes the recovery point. V(0) means never.
      - A locked vault does not accept a value outside of its retention, which AWS would report late. It is checked
        before.
    type: int
    default: 7
  move_to_cold_storage_after_days:
    description:
      - The number of days after which AWS moves the recovery point to cold storage, where it stays for at least 90
        days.
      - Recovery points in cold storage cannot be copied to another account. V(0) means never.
    type: int
    default: 0
"""
