# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Items that a transform would make into one: looked for before the copy's table is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...account import Account
from ...data_plane import ItemChoices, item_table
from ...items.collisions import CollisionOptions, Collisions, find_collisions
from ...items.permit import Bounds
from ...items.private_files import expanded
from ...items.throttle import to_rate
from ...items.transform.definition import Definition
from ...items.worker_count import at_work, workers_for
from ...table.refused_items import colliding


@at_work()
def look_for_collisions(
    source: Account,
    table: str,
    changing: Definition,
    items: ItemChoices,
    progress: Callable[[int], None],
    bounds: Bounds,
) -> Collisions:
    """The items of the source ``table`` that become one. Reads the table once. Raises what the data plane raises."""
    here = item_table(source, table, bounds)
    options = CollisionOptions(
        folder=_folder(items.work_dir),
        consistent=items.consistent,
        workers=workers_for(items.workers, here.size_bytes),
        read_rate=to_rate("read_rate", items.read_rate, here.read_capacity),
        bounds=bounds,
    )
    return find_collisions(here, changing, options, progress)


def require_no_collisions(found: Collisions, table: str, refused_path: str) -> None:
    """Raises CollidingKeys where there are any. The first keys go to the file ``refused_path``."""
    if not found.count:
        return
    entries = [{"key": each.key, "sources": list(each.sources)} for each in found.examples]
    raise colliding(found.count, found.lost, found.read, entries, table=table, path=refused_path)


def _folder(path: str) -> Path | None:
    """The folder for digests; None where there is none: they stay in memory."""
    try:
        return expanded(path) if path else None
    except OSError:
        return None
