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

    SETTINGS = r"""
options:
  kinesis_map:
    description:
      - Which Kinesis stream of the destination stands for which of the source, as ARNs.
      - A stream without a mapping is left, and named in the report.
    type: dict
    default: {}
  principal_map:
    description:
      - Which principal stands for which of the source account in resource policies, as ARNs.
      - A principal of the source account without a mapping leaves the policy behind, and is named in
        the report.
    type: dict
    default: {}
  defer:
    description:
      - Settings to leave until the cutover, such as V(time_to_live) while the table is kept in step with its source.
    type: list
    elements: str
    default: []
  warm_throughput:
    description:
      - Carry the warm throughput where it is above what AWS gives every table. AWS charges for raising it once, and it
        never falls again.
      - V(false) names it in the report instead.
    type: bool
    default: true
"""
