# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmark of the data plane measured, and how it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.peers import TABLEFERRY

CANNED, REORDERED, NEAR, DISTANT = "canned", "canned-reordered", "near", "distant"
SHARING, APART = "canned-sharing", "canned-apart"  # the cores of the workers with them, or cores of its own
COLUMNS = "{:<7}{:<17}{:<5}{:>7}  {:<22}{:>10}{:>12}{:>8}{:>8}{:>8}"
HEADER = COLUMNS.format("work", "server", "via", "bytes", "who", "items", "items/CPU s", "wall s", "peak MB", "times")


@dataclass(frozen=True)
class Row:
    """One measurement; ``items`` of a verification are pairs, ``peak_mb`` is of the whole process tree.

    A row of ``tables`` has the items of so many ``tables``, each of which was made, copied, counted and marked.
    A row of ``memory`` has the larger peak of a copy and a verification of so many items, which have rows of their own.
    A row that is to show what workers do says what CPU the server took.
    A row of ``rate`` has the units per second that were asked for and got, and those of the worst second.
    """

    work: str
    who: str
    transport: str
    server: str
    item_bytes: int
    items: int
    items_per_cpu_s: float | None
    wall_s: float | None
    peak_mb: float
    workers: int = 1
    tables: int = 1
    server_cpu_s: float | None = None
    asked_units_s: float | None = None
    got_units_s: float | None = None
    worst_units_s: float | None = None


def our_figure(rows: Sequence[Row], like: Row) -> float | None:
    """Our items per CPU second beside ``like``: of the first run of its kind, which is the one that took turns."""
    kind = (like.work, like.transport, like.server, like.item_bytes)
    ours = (row for row in rows if row.who == TABLEFERRY)
    return next(
        (row.items_per_cpu_s for row in ours if kind == (row.work, row.transport, row.server, row.item_bytes)), None
    )


def line(row: Row, ours: float | None) -> str:
    """One row as it is printed; ``times`` is what an item costs there, ours being 1."""
    return COLUMNS.format(
        row.work,
        row.server,
        row.transport,
        f"{row.item_bytes:,}",
        _who(row),
        f"{row.items:,}",
        f"{row.items_per_cpu_s:,.0f}" if row.items_per_cpu_s else "",
        f"{row.wall_s:.1f}" if row.wall_s else "",
        f"{row.peak_mb:.0f}",
        f"{ours / row.items_per_cpu_s:.1f}" if ours and row.items_per_cpu_s else "",
    )


def _who(row: Row) -> str:
    if row.tables > 1:
        return f"{row.who}, {row.tables} tables"
    return row.who if row.workers == 1 else f"{row.who}, {row.workers} workers"
