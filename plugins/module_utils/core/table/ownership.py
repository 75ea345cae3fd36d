# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The marks on a destination table that say whose it is.

The migration alone would not do (design section 10): nearly everybody's is called ``default``, and another table of it,
or a table of the same name in another account, must not be taken for this one's copy. So the source is named too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

OWNERSHIP_TAG = "tableferry:migration"
SOURCE_TAG = "tableferry:source"
LONGEST_VALUE = 256  # of a tag (measured/import-export-table 1.10)


def marks(migration_id: str, source_arn: str) -> dict[str, str]:
    """The tags of a copy of the table ``source_arn``."""
    return {OWNERSHIP_TAG: migration_id, SOURCE_TAG: _place(source_arn)}


def is_marked(tags: Mapping[str, str], migration_id: str, source_arn: str) -> bool:
    """Whether ``tags`` are those of a copy of just that table; the migration's alone is somebody's hand, and meant."""
    return tags.get(OWNERSHIP_TAG) == migration_id and tags.get(SOURCE_TAG, _place(source_arn)) == _place(source_arn)


def _place(source_arn: str) -> str:
    """Account, Region and name, as they are where they fit into a tag."""
    region, account_id, resource = source_arn.split(":", 5)[3:6]
    place = f"{account_id}/{region}/{resource.removeprefix('table/')}"
    return place if len(place) <= LONGEST_VALUE else hashlib.sha256(place.encode()).hexdigest()
