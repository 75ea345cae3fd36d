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
"""

    COPYING = r"""
options:
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
"""

    COMPARING = r"""
options:
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
"""
