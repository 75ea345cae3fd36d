# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m tests.histories --method s3 --count 10000 --seed 1``: what broke a promise is shrunk and printed."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.histories.history import Violation, play, shrunk
from tests.histories.plan import METHODS, SPARK_METHODS, draw


def main() -> int:
    """Play the histories asked for; 1 where one broke a promise."""
    options = argparse.ArgumentParser(prog="python -m tests.histories", description=__doc__)
    options.add_argument("--method", choices=(*METHODS, *SPARK_METHODS), action="append", help="all, if it is left out")
    options.add_argument("--count", type=int, default=10_000, help="histories of each method")
    options.add_argument("--seed", type=int, default=1, help="of the first one; the others follow")
    options.add_argument("--shown", type=int, default=3, help="violations of each kind that are shrunk and printed")
    chosen = options.parse_args()
    failed = False
    for method in chosen.method or (*METHODS, *SPARK_METHODS):
        failed |= _played(method, chosen.seed, chosen.count, chosen.shown)
    return int(failed)


def _played(method: str, first: int, count: int, shown: int) -> bool:
    kinds: Counter[str] = Counter()
    seeds: dict[str, list[int]] = {}
    began, line_at = time.monotonic(), time.monotonic()
    for seed in range(first, first + count):
        found = play(draw(method, seed))
        if found is not None:
            kinds[found.kind] += 1
            seeds.setdefault(found.kind, []).append(seed)
            if kinds[found.kind] <= shown:
                _show(found)
        if time.monotonic() > line_at + 30:
            line_at = time.monotonic()
            print(f"{method}: {seed - first + 1} of {count}, {sum(kinds.values())} violations", flush=True)
    seconds = time.monotonic() - began
    print(f"{method}: {count} histories, seeds {first} to {first + count - 1}, {seconds:.0f} s", end="")
    print(f": {sum(kinds.values())} violations" if kinds else ": every promise kept", flush=True)
    for kind, number in kinds.most_common():
        print(f"  {number} x {kind}: seeds {seeds[kind][:20]}")
    return bool(kinds)


def _show(found: Violation) -> None:
    print(f"--- method {found.plan.method}, seed {found.plan.seed}")
    print(shrunk(found), flush=True)
    print(f"--- again: make histories METHOD={found.plan.method} SEED={found.plan.seed} COUNT=1", flush=True)


if __name__ == "__main__":
    sys.exit(main())
