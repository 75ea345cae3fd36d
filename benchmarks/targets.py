# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the data plane is to reach, and whether a run of the benchmark shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.peers import TABLEFERRY
from benchmarks.rows import APART, CANNED, DISTANT, NEAR, REORDERED, Row, our_figure

SLACK = 0.03  # by which a line may be missed, after three rounds
# By work, server and transport: how many times cheaper in CPU an item of 1 KB is than with that peer.
CHEAPER: Mapping[tuple[str, str, str, str], float] = {
    ("copy", CANNED, "http", "boto3_client"): 28,
    ("copy", CANNED, "tls", "boto3_client"): 21,
    ("copy", CANNED, "tls", "boto3_resource"): 42,
    ("verify", CANNED, "http", "boto3_client"): 35,
    ("verify", CANNED, "tls", "boto3_client"): 25,
    ("verify", REORDERED, "http", "boto3_client"): 9,
}
OTHERS = 1.0  # and than any other peer's copy
FASTER, MORE_CPU = 1.5, 1.08  # two workers on two cores, beside one
DISTANT_ITEMS = 40_000  # a second, over a round trip of 100 ms, connections included
MOST_MB = 64
OFF_RATE = 0.04  # of a rate, on average
TABLES_SECONDS, TABLES_CPU_SECONDS = 15, 20  # of 100 tables of 100 items: wall at 20 ms, CPU without delay


@dataclass(frozen=True)
class Target:
    """What is to be reached, and what this run got."""

    text: str
    got: str
    met: bool


def targets(rows: Sequence[Row]) -> Iterator[Target]:
    """All of them, beside what ``rows`` show."""
    yield from _beside_peers(rows)
    yield from _workers(rows)
    for row in rows:
        if row.work == "copy" and row.server == DISTANT and row.wall_s:
            speed = row.items / row.wall_s
            text = f"{row.items:,} items by TLS over a round trip of 100 ms: {DISTANT_ITEMS:,} a second"
            yield Target(text, f"{speed:,.0f}", _reached(speed, DISTANT_ITEMS))
    peaks = [row.peak_mb for row in rows if row.work == "memory"]
    shown = " / ".join(f"{peak:.0f}" for peak in peaks)
    text = f"memory of copy and verification, 10,000 to 1 million items: at most {MOST_MB} MB"
    yield Target(text, shown, max(peaks) <= MOST_MB * (1 + SLACK))
    for row in rows:
        if row.asked_units_s and row.got_units_s and row.worst_units_s:
            off = abs(row.got_units_s / row.asked_units_s - 1)
            none_above = row.worst_units_s <= row.asked_units_s * (1 + SLACK)
            text = f"{row.asked_units_s:,.0f} units/s, {row.workers} workers: within 4 %, and no second above"
            yield Target(
                text, f"{row.got_units_s:,.0f}, worst second {row.worst_units_s:,.0f}", off <= OFF_RATE and none_above
            )
    yield from _tables(rows)


def _beside_peers(rows: Sequence[Row]) -> Iterator[Target]:
    for row in rows:
        ours = our_figure(rows, row)
        if row.item_bytes != 1_000 or row.who == TABLEFERRY or row.server not in (CANNED, REORDERED):
            continue
        if not ours or not row.items_per_cpu_s:
            continue
        least = CHEAPER.get((row.work, row.server, row.transport, row.who), OTHERS)
        times = ours / row.items_per_cpu_s
        asked = f"at most 1/{least:g}" if least > 1 else "less than that"
        text = f"{row.work} on {row.server}, 1 KB, {row.transport}: CPU {asked} of {row.who}"
        yield Target(text, f"1/{times:.1f}", _reached(times, least))


def _workers(rows: Sequence[Row]) -> Iterator[Target]:
    for two in (row for row in rows if row.work == "copy" and row.workers == 2):
        one = next(row for row in rows if row.work == "copy" and row.workers == 1 and row.items == two.items)
        place = "apart" if two.server == APART else "on them too"
        text = f"two workers, two cores, server {place}: {FASTER:g} times as fast, CPU {MORE_CPU:g} times at most"
        times = (one.wall_s or 0.0) / (two.wall_s or 1.0)
        cost = (one.items_per_cpu_s or 0.0) / (two.items_per_cpu_s or 1.0)
        alone = times <= 2 * (1 + SLACK)  # more than twice is not the workers' doing, but that of other work meanwhile
        met = _reached(times, FASTER) and alone and cost <= MORE_CPU * (1 + SLACK)
        got = f"{times:.2f} times, CPU {cost:.2f} times"
        if two.server_cpu_s:
            got += f", the server {two.server_cpu_s:.1f} CPU-s in {two.wall_s:.1f} s"
        yield Target(text, got if alone else f"{got}, disturbed by other work", met)


def _tables(rows: Sequence[Row]) -> Iterator[Target]:
    for row in (row for row in rows if row.work == "tables"):
        what = f"{row.tables} tables of {row.items // row.tables} items by direct, TLS"
        if row.server == NEAR:
            wall = row.wall_s or 0.0
            text = f"{what}, 20 ms round trip: at most {TABLES_SECONDS} s"
            yield Target(text, f"{wall:.1f} s", _reached(TABLES_SECONDS, wall))
        elif row.items_per_cpu_s:
            cpu = row.items / row.items_per_cpu_s
            text = f"{what}, without delay: at most {TABLES_CPU_SECONDS} CPU-s"
            yield Target(text, f"{cpu:.1f} CPU-s", _reached(TABLES_CPU_SECONDS, cpu))


def _reached(got: float, least: float) -> bool:
    return got >= least * (1 - SLACK)
