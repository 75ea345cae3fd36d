# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS's quotas on what runs at once, the waves that follow from them, and how long all tables take together.

Exports: 300, or 100 TB (aws.md A8). Imports: 50, and 15 TB of files in three Regions, 1 TB elsewhere (aws.md B5).
Copies of AWS Backup: 100 into a Region; restores: 50, and 25 TB (aws.md C6). Runs of Glue: 2,000 an account; of an
application of EMR Serverless: 15 (spark.md 2, 3). A run never breaks them: what is over waits for a free place.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .amounts import GB, NOTHING, Span

TB = GB * 1024
LARGE = 100 * GB  # bytes: such tables take at most half of the places, so that small ones go on beside them


@dataclass(frozen=True)
class Limit:
    """How much may run at once in the account and Region of a ``side``."""

    name: str
    words: str
    most: float
    side: str


LIMITS: Mapping[str, Limit] = {
    limit.name: limit
    for limit in (
        Limit("exports", "exports at once", 300, "source"),
        Limit("export_bytes", "bytes in exports at once", 100 * TB, "source"),
        Limit("imports", "imports at once", 50, "destination"),
        Limit("import_bytes", "bytes in imports at once", 1 * TB, "destination"),
        Limit("copies", "copies of recovery points at once", 100, "destination"),
        Limit("restores", "restores at once", 50, "destination"),
        Limit("restore_bytes", "bytes in restores at once", 25 * TB, "destination"),
        Limit("glue_runs", "runs of AWS Glue at once", 2000, "destination"),
        Limit("emr_runs", "runs of an application of EMR Serverless at once", 15, "destination"),
        Limit("machine", "copies through this machine at once", 4, "controller"),
    )
}
LARGE_REGIONS = frozenset({"us-east-1", "us-west-2", "eu-west-1"})
LARGE_IMPORTS = 15 * TB


@dataclass(frozen=True)
class Load:
    """What one table asks of the quotas: by name how much, and where. ``seconds`` is its whole way."""

    name: str
    size: float
    seconds: Span
    uses: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    destination: str = ""
    region: str = ""  # the destination's

    @property
    def oversize(self) -> bool:
        """Whether it is more than a whole quota by itself."""
        return any(used > most for _key, used, most in self.places())

    def places(self) -> list[tuple[tuple[str, str], float, float]]:
        """(the quota and where it counts, how much is used of it, how much there is)."""
        found = []
        for name, used in self.uses.items():
            limit = LIMITS[name]
            where = {"source": self.source, "destination": self.destination}.get(limit.side, "")
            most = LARGE_IMPORTS if name == "import_bytes" and self.region in LARGE_REGIONS else limit.most
            found.append(((name, where), used, most))
        return found


def waves(loads: Sequence[Load]) -> list[list[str]]:
    """The names of the tables in the order in which they are begun, a list for each wave: within one, no quota is
    exceeded. A wave is no barrier: a table of the next one begins as soon as there is a place.

    Small tables come first, beside the largest ones, which take half of the places at most. A table that is more than
    a whole quota comes last, with none of its kind.
    """
    small = sorted((load for load in loads if load.size < LARGE), key=lambda load: (load.size, load.name))
    large = sorted(
        (load for load in loads if load.size >= LARGE), key=lambda load: (load.oversize, -load.size, load.name)
    )
    found: list[list[str]] = []
    while small or large:
        used: dict[tuple[str, str], float] = {}
        wave, large = _filled(large, used, 0.5 if small else 1.0)
        more, small = _filled(small, used, 1.0)
        found.append([*more, *wave])
    return found


def _filled(queue: list[Load], used: dict[tuple[str, str], float], share: float) -> tuple[list[str], list[Load]]:
    """The names of those of ``queue`` that have a place beside what is ``used``, and those that have none."""
    taken, left = [], []
    for load in queue:
        places = load.places()
        if all(not used.get(key) or used[key] + more <= most * share for key, more, most in places):
            for key, more, _most in places:
                used[key] = used.get(key, 0.0) + more
            taken.append(load.name)
        else:
            left.append(load)
    return taken, left


def together(loads: Sequence[Load], order: Sequence[str]) -> Span:
    """How long all tables take, begun in this order: as long as the slowest one, and as what waits for places."""
    by_name = {load.name: load for load in loads}
    ordered = [by_name[name] for name in order]
    if not ordered:
        return NOTHING
    return Span(
        _makespan([(load, load.seconds.low) for load in ordered]),
        _makespan([(load, load.seconds.high) for load in ordered]),
    )


def _makespan(ordered: Sequence[tuple[Load, float]]) -> float:
    """The end of the last table, where each begins when all places that it counts in are free."""
    ends: dict[tuple[str, str], list[float]] = {}
    last = 0.0
    for load, seconds in ordered:
        counted = [(key, int(most)) for key, used, most in load.places() if used == 1]
        begin = 0.0
        for key, most in counted:
            heap = ends.setdefault(key, [])
            if len(heap) >= most:
                begin = max(begin, heapq.heappop(heap))
        for key, _most in counted:
            heapq.heappush(ends[key], begin + seconds)
        last = max(last, begin + seconds)
    return last


def usage(loads: Sequence[Load]) -> list[dict[str, object]]:
    """For each quota and place what all tables together ask of it, as JSON-safe data."""
    asked: dict[tuple[str, str], tuple[float, float]] = {}
    for load in loads:
        for key, used, most in load.places():
            asked[key] = (asked.get(key, (0.0, most))[0] + used, most)
    return [
        {
            "quota": name,
            "what": LIMITS[name].words,
            "where": where or "controller",
            "asked": asked[name, where][0],
            "at_once": asked[name, where][1],
            "fits_at_once": asked[name, where][0] <= asked[name, where][1],
        }
        for name, where in sorted(asked)
    ]
