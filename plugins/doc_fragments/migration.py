# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What the verbs of one migration have in common."""

    DOCUMENTATION = r"""
options:
  migration_id:
    description:
      - The name of the migration. What a run starts is found again by the next run with the same name.
      - Tables, ledger entries and staging data of a migration carry it.
    type: str
    default: default
"""

    KEYS = r"""
options:
  kms_key_map:
    description:
      - Which KMS key of the destination stands for which of the source.
      - A source key is named by its ARN or id, a destination key by its ARN, id or alias.
      - A source key without a mapping refuses the table; encryption never falls back in silence.
    type: dict
    default: {}
"""

    STAGING = r"""
options:
  bucket:
    description:
      - The staging bucket, in the destination account.
    type: str
    required: true
  bucket_owner:
    description:
      - The account id of the owner of O(bucket).
      - It is sent with every request, so that a bucket of the same name in other hands is never used.
      - Left out, it is the destination account.
    type: str
"""
