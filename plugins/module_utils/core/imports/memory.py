# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where imports are written down: in the table's record, where there is one."""

from __future__ import annotations

from collections.abc import Collection

from .. import sdk
from ..exports.memory import Memory
from ..jobs.tracking import Tracking
from ..record.record import FILL

# What of an import's request a later run needs when it has ended.
KEPT: Collection[str] = ("purpose", "route", "bucket", "source", "export")


def memory_of(record: Tracking | None) -> Memory | None:
    """The memory of imports in the ``record``; a verb used alone has none."""
    return None if record is None else Memory(record, KEPT, FILL, _may_be_ours)


def _may_be_ours(error: Exception) -> bool:
    """AWS looks at a table's existence before the token: it may be that of our own import, whose answer was lost."""
    return sdk.error_code(error) == "ResourceInUseException"
