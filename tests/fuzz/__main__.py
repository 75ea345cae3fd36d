# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m tests.fuzz --moves 1000000 --kills 200 --minutes 20 --seed 1``: rounds until all of it is reached.

A round that broke a promise is printed with its seed, which plays it again with ``--rounds 1``: tables, faults' rates
and kills are the same, the order in which requests meet faults is that of the machine.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.rounds import Round, play
from tests.fuzz.server import FuzzedDynamo


def main() -> int:
    """Play rounds; 1 where one broke a promise, or time ended before moves and kills were reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--moves", type=int, default=1_000_000, help="items that the server takes")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60.0, help="for at most so long")
    parser.add_argument("--seed", type=int, default=1, help="of the first round; the others follow")
    parser.add_argument("--rounds", type=int, default=0, help="so many, whatever they move")
    parser.add_argument("--items", type=int, default=4000, help="at most, in a table")
    given = parser.parse_args()
    dynamo = FuzzedDynamo()
    began = line_at = time.monotonic()
    played: list[Round] = []

    def reached() -> bool:
        if given.rounds:
            return len(played) >= given.rounds
        return dynamo.moves >= given.moves and sum(each.kills for each in played) >= given.kills

    while not reached() and time.monotonic() - began < 60 * given.minutes:
        played.append(play(dynamo, given.seed + len(played), given.items))
        for line in played[-1].wrong:
            print(f"--- seed {played[-1].seed}: {line}", flush=True)
        if time.monotonic() > line_at + 30:
            line_at = time.monotonic()
            print(_line(dynamo, played, line_at - began), flush=True)
    whole = reached()
    dynamo.close()
    print(_line(dynamo, played, time.monotonic() - began))
    print(f"faults: {', '.join(f'{count:,} {kind}' for kind, count in dynamo.faults_met.most_common())}")
    wrong = [each.seed for each in played if each.wrong]
    if wrong:
        print(f"again: python -m tests.fuzz --rounds 1 --items {given.items} --seed {wrong[0]} (and {wrong[1:20]})")
    if not whole:
        print("The time was over before all moves and kills were reached.")
    return int(bool(wrong) or not whole)


def _line(dynamo: FuzzedDynamo, played: list[Round], seconds: float) -> str:
    kills, crashes = (sum(getattr(each, name) for each in played) for name in ("kills", "crashes"))
    wrong = sum(len(each.wrong) for each in played)
    return (
        f"{dynamo.moves:,} moves, {dynamo.faults_met.total():,} faults, {kills} kills,"
        f" {wrong} wrong, {crashes} crashes, {dynamo.late} late writes; {len(played)} rounds in {seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
