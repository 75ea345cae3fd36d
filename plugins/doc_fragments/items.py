# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options for reading and writing items on the controller."""

    DOCUMENTATION = r"""
options:
  workers:
    description:
      - The number of processes that read and write items, 1 or more.
      - V(auto) is one for each GiB of the table, at most four, and no more than this machine has cores;
        tables that are copied or compared at the same time share these.
        In a container its quotas count, of cores and of memory, with a GiB for each process.
    type: str
    default: auto
  read_rate:
    description:
      - The maximum read units per second of either table, such as V(500), or a part of its provisioned capacity,
        such as V(50%).
      - Without it there is no limit.
    type: str
  consistent:
    description:
      - Use strongly consistent reads from the beginning, for twice the read units.
    type: bool
    default: false
"""

    COPYING = r"""
options:
  write_rate:
    description:
      - The maximum write units per second of the destination table, such as V(500), or a part of its provisioned
        capacity, such as V(50%).
      - Without it there is no limit other than AWS's throttling.
    type: str
  checkpoint_dir:
    description:
      - A directory on the controller for checkpoints, from which a later run continues.
      - Without it there are none, and a killed copy starts over. An item that is written again is the same.
    type: path
  refused_path:
    description:
      - A file on the controller for the keys of items that the destination refuses, which only its owner may read.
      - Item keys are personal data. Without this file they are not kept anywhere, and results have counts only.
    type: path
    version_added: 0.3.0
"""

    COMPARING = r"""
options:
  sample_items:
    description:
      - The approximate number of items of each table that a sample compares.
    type: int
    default: 1000
  ignore_expired:
    description:
      - Do not compare items whose time to live has passed. They are copied, but AWS may delete them at any time.
    type: bool
    default: false
  differences_path:
    description:
      - A file on the controller to which a line of JSON is written for each difference. Without differences it is
        not created.
    type: path
  work_dir:
    description:
      - A directory on the controller for a temporary file in which a comparison of large tables keeps the keys of
        items in groups that differ, when they are too many for memory. It takes at most 16 GiB and nine tenths of
        the free space.
      - The file has no name, and only its owner may read it. It is removed when the comparison ends, also when it
        is killed.
      - Without it about 100,000 keys are looked into. Further groups of keys that differ are counted.
    type: path
    version_added: 0.3.0
  digest:
    description:
      - How items are digested for a comparison of all items.
      - V(auto) takes XXH3-128 where the Python library xxhash is installed, and BLAKE2b elsewhere. XXH3-128 is the
        fastest, but not cryptographic.
      - V(sha256) takes SHA-256 with a random secret, for a comparison that must withstand items which somebody
        forged so that they look equal.
    type: str
    choices: [auto, sha256]
    default: auto
    version_added: 0.3.0
"""
