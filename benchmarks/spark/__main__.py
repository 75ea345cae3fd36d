# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the Spark job costs, side by side with others, in one run on the same canned servers and the same export.

CPU is that of the whole tree of a job (``tree``). What an item costs is the slope between two numbers of items, so that
the start of a job does not count; what a whole job costs is said where that is meant. The measure is boto3's client,
measured in the same run: the direct copy that the targets speak of took 1/19.4 of it. Each figure is the median of the
rounds. Prints a table and the targets, and writes ``build/bench/spark.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks.clients import KEYS, REGION, Task
from benchmarks.data_plane import worst_second
from benchmarks.peers import TABLEFERRY, client
from benchmarks.process_tree import measure
from benchmarks.spark.exports import Export, make_export
from benchmarks.spark.job import Job, batch_writer, connector, here, our_job, run_job
from benchmarks.spark.servers import Servers, servers
from benchmarks.spark.targets import Target, targets
from benchmarks.spark.work import plan
from lab.spark.engine import Engine

OUTPUT = Path("build/bench")
EXPORTS = OUTPUT / "exports"
FILES = 24  # of an export
FEW, MANY = 200_000, 2_000_000
BOTO3, DIRECT = 40_000, 400_000  # items that these clients copy
WHOLE = 1_000_000  # items of a whole job beside the connector
SMALL = 10_000  # and of a small one
AWAY_SECONDS = 0.01
RATE_UNITS, RATE_SECONDS = 2_000, 20
ROUNDS = 3
WORKS = ("none", "three", "six", "python", "apart", "look")


@dataclass(frozen=True)
class Row:
    """One measurement: ``cpu_s`` and ``wall_s`` of a whole job, its peak of memory in MB; with ``cpu_us`` what an item
    costs, in microseconds. ``worst`` is the second with the most items of a job that was limited."""

    work: str
    who: str
    items: int
    cpu_s: float
    wall_s: float
    peak_mb: float = 0.0
    cpu_us: float = 0.0
    rate: float = 0.0
    worst: float = 0.0
    table: str = ""


class Bench:
    """Runs jobs and keeps rows. ``scale`` is the share of the items, for a quick look."""

    def __init__(self, folder: Path, rounds: int, scale: float) -> None:
        self.folder = folder
        self.rounds = rounds
        self.scale = scale
        self.rows: list[Row] = []
        self.role = KEYS | {"AWS_DEFAULT_REGION": REGION}

    def export(self, items: int, files: int = FILES) -> Export:
        """An export of so many items, by the scale."""
        return make_export(EXPORTS, max(files, int(items * self.scale)), files)

    def slope(self, work: str, spark: Engine, where: Servers, run: Callable[[Export], Row] | None = None) -> None:
        """What an item costs with the steps of ``work``, between few items and many."""
        one = run or (lambda export: self.job(work, spark, where, export))
        few, many = (self.of_rounds(partial(one, self.export(items))) for items in (FEW, MANY))
        self.kept(few)
        self.kept(replace(many, cpu_us=(many.cpu_s - few.cpu_s) / (many.items - few.items) * 1e6))

    def job(self, work: str, spark: Engine, where: Servers, export: Export, rate: float = 0) -> Row:
        """Run the Spark job; all items must arrive."""
        run = uuid.uuid4().hex
        table = f"destination-1000-{export.items}-{run}"
        table_id = str(uuid.uuid5(uuid.NAMESPACE_URL, table))  # as the canned server makes it
        where.put(f"{run}.json", plan(run, work, export, table, table_id, where, rate).to_json())
        return self.ran(work, spark, our_job(self.folder, run), where, table, export.items)

    def peer(self, who: str, job: Callable[[str, str, str], Job], spark: Engine, where: Servers, export: Export) -> Row:
        """Run another's job over the same files."""
        table = f"destination-1000-{export.items}-{uuid.uuid4().hex}"
        paths = ",".join(str((export.folder / file.key).resolve()) for file in export.files)
        made = job(where.tables.url("destination", "http"), table, paths)
        return replace(self.ran("none", spark, made, where, table, export.items), who=who)

    def ran(self, work: str, spark: Engine, job: Job, where: Servers, table: str, items: int) -> Row:
        """Run a job, which must write all items."""
        ran = run_job(spark, job, self.folder, self.role | {"AWS_ENDPOINT_URL_S3": where.s3_url})
        written = where.tables.written(table)
        if ran.code or written != items:
            ended = f"{job.name} with Spark {spark.version} ended with {ran.code}, {written} of {items} items"
            sys.exit(f"{ended}:\n{ran.output}")
        return Row(work, f"spark {spark.version}", items, ran.cpu_s, ran.wall_s, ran.peak_mb, table=table)

    def copied(self, who: str, where: Servers, items: int) -> Row:
        """A copy without Spark; what an item costs is that of the whole process."""
        items = max(1_000, int(items * self.scale))
        destination = where.tables.destination(1_000, items)
        url = where.tables.url("destination", "http")
        command = client(who).command(
            "copy", Task(url, where.tables.source(1_000, items), url, destination), self.folder
        )
        found = measure(command, os.environ | self.role, self.folder / "copy.log")
        if found.returncode or where.tables.written(destination) != items:
            sys.exit(f"{who} ended with {found.returncode}:\n{found.output[-2000:]}")
        cost = found.cpu_seconds / items * 1e6
        return Row("none", who, items, found.cpu_seconds, found.wall_seconds, found.peak_megabytes, cost)

    def limited(self, spark: Engine, where: Servers) -> None:
        """A job whose tasks share a limit of write units."""
        run = self.job("none", spark, where, self.export(RATE_UNITS * (RATE_SECONDS + 2), 8), RATE_UNITS)
        writes = where.tables.writes(run.table)
        seconds = min(RATE_SECONDS, writes[-1][0] - writes[0][0])
        got = sum(count for at, count in writes if at <= writes[0][0] + seconds) / seconds
        self.kept(replace(run, work="rate", rate=got, worst=worst_second(writes)))

    def away(self, row: Row, where: Servers) -> None:
        """How many items a second were written, from the first to the last."""
        writes = where.tables.writes(row.table)
        self.kept(replace(row, work="away", rate=row.items / (writes[-1][0] - writes[0][0])))

    def of_rounds(self, measured: Callable[[], Row]) -> Row:
        """The median of the rounds, by CPU."""
        rows = sorted((measured() for _round in range(self.rounds)), key=lambda row: row.cpu_s)
        return rows[len(rows) // 2]

    def kept(self, row: Row) -> Row:
        """``row``, shown and remembered."""
        self.rows.append(row)
        cost = f"{row.cpu_us:8.2f} us an item" if row.cpu_us else ""
        whole = f"{row.cpu_s:>9.1f} CPU-s{row.wall_s:>8.1f} s{row.peak_mb:>6.0f} MB"
        print(f"{row.work:<8}{row.who:<14}{row.items:>10,}{whole}{cost}", flush=True)
        return row


def main() -> int:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the items, for a quick look")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    sparks = here()
    if not sparks:
        print("Spark is not here: run make spark.")
        return 1
    EXPORTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), arguments.rounds, arguments.scale)
        oldest = sparks[0]
        with servers(EXPORTS) as where:
            bench.kept(bench.of_rounds(lambda: bench.copied("boto3_client", where, BOTO3)))
            bench.kept(bench.of_rounds(lambda: bench.copied(TABLEFERRY, where, DIRECT)))
            bench.kept(bench.of_rounds(lambda: bench.job("none", oldest, where, bench.export(SMALL, 2))))
            for work in WORKS:
                bench.slope(work, oldest, where)
            for spark in sparks[1:]:
                bench.slope("none", spark, where)
            bench.slope("none", oldest, where, lambda export: bench.peer("connector", connector, oldest, where, export))
            whole = bench.export(WHOLE)
            bench.kept(bench.of_rounds(lambda: bench.job("none", oldest, where, whole)))
            bench.kept(bench.of_rounds(lambda: bench.peer("connector", connector, oldest, where, whole)))
            few = bench.export(FEW)
            bench.kept(bench.of_rounds(lambda: bench.peer("batch_writer", batch_writer, oldest, where, few)))
            bench.limited(oldest, where)
        with servers(EXPORTS, AWAY_SECONDS) as where:
            many = bench.export(MANY)
            bench.away(bench.of_rounds(lambda: bench.job("none", oldest, where, many)), where)
            bench.away(bench.peer("connector", connector, oldest, where, few), where)
    reached = list(targets(bench.rows))
    write(bench.rows, reached)
    for target in reached:
        print(f"{'reached' if target.met else 'MISSED '}  {target.text}: {target.got}")
    return 0 if all(target.met for target in reached) else 1


def write(rows: Sequence[Row], reached: Sequence[Target]) -> None:
    """Write what was measured and what is reached, with the date and the machine."""
    found = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()},
        "rows": [asdict(row) for row in rows],
        "targets": [asdict(target) for target in reached],
    }
    (OUTPUT / "spark.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
