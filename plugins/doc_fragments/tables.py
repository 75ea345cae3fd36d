# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The table, by its names in both accounts."""

    SOURCE = r"""
options:
  name:
    description:
      - The table in the source account.
    type: str
    required: true
  destination_table:
    description:
      - The name of the table in the destination account. Defaults to O(name).
    type: str
"""

    DESTINATION = r"""
options:
  name:
    description:
      - The table in the destination account.
    type: str
    required: true
  source_table:
    description:
      - The name of the table in the source account. Defaults to O(name).
    type: str
"""
