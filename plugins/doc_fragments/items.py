# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How this machine reads and writes items."""

    DOCUMENTATION = r"""
options:
  workers:
    description:
      - How many processes read and write.
    type: int
    default: 1
  read_rate:
    description:
      - The most read units per second of either table, as C(500), or a part of its provisioned capacity, as C(50%).
      - Left out, there is no limit.
    type: str
  consistent:
    description:
      - Read strongly consistent from the beginning, for twice the read units.
    type: bool
    default: false
"""

    COPYING = r"""
options:
  write_rate:
    description:
      - The most write units per second of the destination, as C(500), or as a part of its provisioned capacity.
      - Left out, there is no limit but what AWS throttles.
    type: str
  checkpoint_dir:
    description:
      - A folder of this machine where a copy keeps how far it is, so that a later run goes on there.
      - Left out, a copy that was killed begins anew; it never writes an item twice in another form.
    type: path
"""

    COMPARING = r"""
options:
  sample_items:
    description:
      - About how many items of either table a sample compares.
    type: int
    default: 1000
  ignore_expired:
    description:
      - Leave items out whose time to live has passed. They are copied, but AWS may delete them at any time.
    type: bool
    default: false
  differences_path:
    description:
      - The file of this machine that gets a line of JSON for each difference. It is not made where there is none.
    type: path
"""
