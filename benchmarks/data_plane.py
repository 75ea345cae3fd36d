# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data plane side by side with others: what an item costs its client, in one run on the same servers and items.

Each figure is of a process of its own, from its start to its end: items per CPU second of the client (the server's is
not counted), wall time, peak proportional set size. On the canned server the client alone is measured, by plain HTTP
and by TLS; DynamoDB Local and dynalite show the same with a real engine, which then is the limit of wall time. Clients
get different numbers of items so that their start does not count for much. Two workers, a distance of 100 ms, and many
small tables at one of 20 ms are measured by wall time too. What the targets speak of is measured in
three rounds, of which the median counts. Prints a table and the targets, and writes
``build/bench/data-plane.json``.
"""

from __future__ import annotations

import argparse
import bisect
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.clients import KEYS, Task
from benchmarks.peers import CLIENTS, MANY_TABLES, NOT_TO_BE_HAD, TABLEFERRY, Client, client
from benchmarks.process_tree import measure
from benchmarks.rows import APART, DISTANT, HEADER, NEAR, REORDERED, SHARING, Row, line, our_figure
from benchmarks.servers import CannedServer, Server, canned, engine_pair, make_certificate
from benchmarks.targets import Target, targets
from engines.catalog import ENGINES

OUTPUT = Path("build/bench")
SAMPLE_SECONDS = 0.1
# Items per run: about as many as each client does in five seconds.
COPIED = {
    100: {TABLEFERRY: 1_000_000, "boto3_client": 60_000, "boto3_resource": 25_000, "dynamodump": 40_000},
    1_000: {TABLEFERRY: 400_000, "boto3_client": 40_000, "boto3_resource": 15_000, "dynamodump": 25_000},
    51_200: {TABLEFERRY: 10_000, "boto3_client": 300, "boto3_resource": 200, "dynamodump": 300},
}
COPIED_BY_OTHERS = {100: 20_000, 1_000: 15_000, 51_200: 500}
VERIFIED = {
    100: {TABLEFERRY: 500_000, "boto3_client": 100_000},
    1_000: {TABLEFERRY: 200_000, "boto3_client": 50_000},
    51_200: {TABLEFERRY: 5_000, "boto3_client": 300},
}
COPIED_ON_ENGINES = 20_000
REMEMBERED = (10_000, 100_000, 1_000_000)
ROUNDS = 3
RATE_UNITS = 2_000
RATE_SECONDS = 60
SHARED = 2_000_000  # items that one worker copies, and two: from this many on ``auto`` has two
AWAY, ROUND_TRIP_SECONDS = 200_000, 0.1  # items that are copied over a distance
TABLES, TABLE_ITEMS, NEAR_SECONDS = 100, 100, 0.02  # small tables, and the round trip to them


class Bench:
    """Runs clients and keeps the rows."""

    def __init__(self, folder: Path, scale: float) -> None:
        self.folder = folder
        self.scale = scale
        self.rows: list[Row] = []
        self.left_out = [NOT_TO_BE_HAD]
        self.left_out += [f"{who.who}: left out, not fetched" for who in CLIENTS if not who.is_here()]
        self.clients = [who for who in CLIENTS if who.is_here()]
        certificate = str(folder / "certificate.pem")
        trusted = {"AWS_CA_BUNDLE": certificate, "NODE_EXTRA_CA_CERTS": certificate}
        self.environment = os.environ | KEYS | trusted | {"AWS_DEFAULT_REGION": KEYS["AWS_REGION"]}
        # Bytecode is kept, as where a package is installed: no client compiles its modules anew in each run.
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def copies(
        self, server: Server, item_bytes: int, transport: str, items: int | None = None, rounds: int = 1
    ) -> None:
        """Every client copies items of that size: so many, or about as many as it does in five seconds."""

        def measured(who: str) -> Row:
            count = items or COPIED[item_bytes].get(who, COPIED_BY_OTHERS[item_bytes])
            return self.copied(who, server, item_bytes, transport, self.scaled(count))

        self.take_turns(self.clients, measured, rounds)

    def copied(self, who: str, server: Server, item_bytes: int, transport: str, items: int, workers: int = 1) -> Row:
        """One client copies ``items`` items into a new table, all of which must arrive."""
        destination = server.destination(item_bytes, items)
        task = self.task(server, transport, server.source(item_bytes, items), destination, workers=workers)
        row = self.run(who, "copy", task, server.name, item_bytes, items)
        written = server.written(destination)
        if written != items:
            sys.exit(f"{who} wrote {written} items of {items} to {server.name}")
        return row

    def verifications(
        self, server: Server, item_bytes: int, transport: str, items: int | None = None, rounds: int = 1
    ) -> None:
        """Every client that can verify compares two equal tables."""

        def measured(who: str) -> Row:
            count = self.scaled(items or VERIFIED[item_bytes][who])
            return self.verified(who, server, item_bytes, transport, count)

        self.take_turns([who for who in self.clients if "verify" in who.works], measured, rounds)

    def verified(self, who: str, server: Server, item_bytes: int, transport: str, items: int) -> Row:
        """One client compares two equal tables of ``items`` items."""
        task = self.task(server, transport, server.source(item_bytes, items), server.copy(item_bytes, items))
        return self.run(who, "verify", task, server.name, item_bytes, items)

    def take_turns(self, clients: Iterable[Client], measured: Callable[[str], Row], rounds: int) -> None:
        """Measure each client in turn, ``rounds`` times or as often as it is measured at most; keep its median row."""
        clients = list(clients)
        taken: dict[str, list[Row]] = {who.who: [] for who in clients}
        for number in range(rounds):
            for who in clients:
                if number < who.rounds:
                    taken[who.who].append(measured(who.who))
        for rows in taken.values():
            self.kept(sorted(rows, key=lambda row: row.items_per_cpu_s or 0)[len(rows) // 2])

    def memory(self, server: Server, items: int) -> None:
        """What we need for a copy and for a verification of ``items`` items."""
        copied = self.kept(self.copied(TABLEFERRY, server, 1_000, "http", items))
        verified = self.kept(self.verified(TABLEFERRY, server, 1_000, "http", items))
        peak = max(copied.peak_mb, verified.peak_mb)
        self.kept(replace(copied, work="memory", items_per_cpu_s=None, wall_s=None, peak_mb=peak))

    def workers(self, server: CannedServer, items: int) -> None:
        """One worker copies ``items`` items, and two, in turns; the median of each."""
        taken: dict[int, list[Row]] = {1: [], 2: []}
        for _round in range(ROUNDS):
            for workers, rows in taken.items():
                before = server.cpu_seconds()
                row = self.copied(TABLEFERRY, server, 1_000, "http", items, workers)
                rows.append(replace(row, server_cpu_s=round(server.cpu_seconds() - before, 2)))
        for rows in taken.values():
            self.kept(sorted(rows, key=lambda row: row.wall_s or 0)[ROUNDS // 2])

    def distant(self, server: Server, items: int) -> None:
        """We copy over a distance; the median of the rounds."""
        rows = [self.copied(TABLEFERRY, server, 1_000, "tls", items) for _round in range(ROUNDS)]
        self.kept(sorted(rows, key=lambda row: row.wall_s or 0)[ROUNDS // 2])

    def tables(self, server: CannedServer, tables: int) -> None:
        """We make and copy so many small tables at once; the median of the rounds."""
        rows = [self.copied_tables(server, tables) for _round in range(ROUNDS)]
        self.kept(sorted(rows, key=lambda row: row.wall_s or 0)[ROUNDS // 2])

    def copied_tables(self, server: CannedServer, tables: int) -> Row:
        """So many small tables, all items of which must arrive."""
        destination = server.new_tables(1_000, TABLE_ITEMS)
        task = replace(self.task(server, "tls", server.source(1_000, TABLE_ITEMS), destination), tables=tables)
        row = self.run(TABLEFERRY, "tables", task, server.name, 1_000, TABLE_ITEMS * tables, MANY_TABLES)
        written = sum(server.written(f"{destination}-{number}") for number in range(tables))
        if written != row.items:
            sys.exit(f"{written} items of {row.items} were written into {tables} tables")
        return replace(row, tables=tables)

    def rate(self, server: CannedServer, units: int, workers: int) -> None:
        """A copy limited to ``units`` write units a second.

        What was got is what the server saw in the first ``RATE_SECONDS`` seconds after the first write.
        """
        item_bytes, items = 1_000, int(units * (RATE_SECONDS + 2) * min(1, self.scale))
        destination = server.destination(item_bytes, items)
        task = self.task(server, "http", server.source(item_bytes, items), destination, units, workers)
        row = self.run(TABLEFERRY, "rate", task, server.name, item_bytes, items)
        writes = server.writes(destination)
        seconds = min(RATE_SECONDS, writes[-1][0] - writes[0][0])
        got = sum(count for at, count in writes if at <= writes[0][0] + seconds) / seconds
        worst = round(worst_second(writes), 1)
        self.kept(replace(row, asked_units_s=units, got_units_s=round(got, 1), worst_units_s=worst))

    def run(
        self, who: str, work: str, task: Task, server: str, item_bytes: int, items: int, by: Client | None = None
    ) -> Row:
        """Measure one client, the one of the name ``who`` or ``by``; a client that fails ends the benchmark."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        command = (by or client(who)).command(work, task, folder)
        measured = measure(command, self.environment, folder / "output.log", sample_seconds=SAMPLE_SECONDS)
        shutil.rmtree(folder)
        if measured.returncode:
            sys.exit(f"{who} {work} on {server} ended with {measured.returncode}:\n{measured.output[-3000:]}")
        return Row(
            work=work,
            who=who,
            transport="tls" if task.source_url.startswith("https") else "http",
            server=server,
            item_bytes=item_bytes,
            items=items,
            items_per_cpu_s=round(items / measured.cpu_seconds),
            wall_s=round(measured.wall_seconds, 2),
            peak_mb=round(measured.peak_megabytes, 1),
            workers=task.workers,
        )

    def kept(self, row: Row) -> Row:
        """``row``, shown and remembered."""
        self.rows.append(row)
        print(line(row, our_figure(self.rows, row)), flush=True)
        return row

    def scaled(self, items: int) -> int:
        """``items`` by the scale of this run."""
        return max(100, int(items * self.scale))

    @staticmethod
    def task(server: Server, transport: str, source: str, destination: str, units: float = 0, workers: int = 1) -> Task:
        """The task between two tables of ``server``."""
        here, there = server.url("source", transport), server.url("destination", transport)
        return Task(here, source, there, destination, units, workers)


def main() -> int:
    """Run everything on every server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the items, for a quick look")
    scale = parser.parse_args().scale
    OUTPUT.mkdir(parents=True, exist_ok=True)
    print(HEADER)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), scale)
        certificate = Path(folder) / "certificate.pem"
        make_certificate(certificate)
        with canned(certificate) as server:
            beside_peers(bench, server)
        with canned(certificate, ROUND_TRIP_SECONDS, DISTANT) as server:
            bench.distant(server, bench.scaled(AWAY))
        with canned(certificate, NEAR_SECONDS, NEAR) as server:
            bench.tables(server, TABLES)
        by_workers(bench, certificate)
        beside_engines(bench)
    reached = list(targets(bench.rows))
    write(bench.rows, reached)
    show(reached, bench.left_out)
    return 0 if all(target.met for target in reached) else 1


def beside_peers(bench: Bench, server: CannedServer) -> None:
    """What the client alone costs."""
    for transport in ("http", "tls"):
        bench.copies(server, 1_000, transport, rounds=ROUNDS)
        bench.verifications(server, 1_000, transport, rounds=ROUNDS)
    for item_bytes in (100, 51_200):
        bench.copies(server, item_bytes, "http")
        bench.verifications(server, item_bytes, "http")
    # Whether AWS gives an item's attributes in one order on both sides is not documented: this is the other case.
    bench.verifications(replace(server, name=REORDERED, copies="reordered"), 1_000, "http", rounds=ROUNDS)
    for items in REMEMBERED:
        bench.memory(server, bench.scaled(items))
    for workers in (1, 2):
        bench.rate(server, RATE_UNITS, workers)
    bench.tables(server, TABLES)


def by_workers(bench: Bench, certificate: Path) -> None:
    """What a second worker gives on two cores.

    The server gets all others. Where there are none, it shares the two: one worker then has a core for itself, two
    workers have two less what the server takes. It answers with pages that cost it little, since it would be measured
    otherwise.
    """
    cores = sorted(os.sched_getaffinity(0))
    others = cores[2:]
    with canned(certificate, name=APART if others else SHARING, cores=others) as server:
        os.sched_setaffinity(0, cores[:2])  # clients inherit it
        try:
            bench.workers(replace(server, sources="repeated"), bench.scaled(SHARED) + 1)  # as many as no other copy has
        finally:
            os.sched_setaffinity(0, cores)


def beside_engines(bench: Bench) -> None:
    """The same on real engines."""
    for engine in ENGINES:
        if engine.why_not():
            bench.left_out.append(f"{engine.name}: left out, {engine.why_not()}")
            continue
        with engine_pair(engine) as pair:
            bench.copies(pair, 1_000, "http", COPIED_ON_ENGINES)
            bench.verifications(pair, 1_000, "http", COPIED_ON_ENGINES)


def worst_second(writes: list[tuple[float, int]]) -> float:
    """The most units that any second of ``writes`` (time in seconds, units) took."""
    times = [at for at, _ in writes]
    sums = [0]
    for _, count in writes:
        sums.append(sums[-1] + count)
    return max(sums[bisect.bisect_left(times, at + 1)] - sums[first] for first, at in enumerate(times))


def write(rows: Iterable[Row], reached: Iterable[Target]) -> None:
    """Write what was measured and what is reached, with the date and the machine."""
    document = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()},
        "targets": [asdict(target) for target in reached],
        "rows": [asdict(row) for row in rows],
    }
    (OUTPUT / "data-plane.json").write_text(json.dumps(document, indent=2) + "\n")


def show(reached: Iterable[Target], left_out: Iterable[str]) -> None:
    """Print the targets, and what was not measured."""
    print()
    for target in reached:
        print(f"{'met   ' if target.met else 'MISSED'}  {target.text:<85}{target.got}")
    for missing in left_out:
        print(missing)


if __name__ == "__main__":
    sys.exit(main())
