# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan against its outcome: 40 tables of all methods are planned, then moved as planned, on a lab whose AWS takes
a twentieth of the time that was measured. Were they as long on their way as the plan said?

What AWS does is scaled. Direct copies and Spark jobs are real work of this machine, which count as they are; what else
it does meanwhile counts twenty times, so that a busy machine makes tables late.
Prints a line for each method, writes ``build/bench/planned.json``, and ends 1 where fewer than 9 of 10 tables, or all
of them together, are outside of the planned range.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.fleet import FORKS, OUTPUT
from benchmarks.process_tree import measure
from demo.run import by_keys
from demo.seed import make_tables
from demo.tables import SPARK, DemoTable, index, numbered, on_demand, sample, thread_by_date
from lab.client import LabClient, spawn
from lab.spark.engine import engine

SCALE = 0.05
REAL = frozenset({"direct", "spark_job"})  # the jobs that this machine does
SHARE = 0.9  # of the tables, whose outcome is to be within the planned range
FOLDER = OUTPUT / "planned"
# How many tables of each method, and what its hosts set.
METHODS = {"s3": (22, {}), "backup": (9, {}), "direct": (6, {}), "glue": (2, {}), "emr": (1, {})}


@dataclass(frozen=True)
class Kept:
    """How long one table took, in seconds of AWS's time, and how long it was to take."""

    name: str
    method: str
    status: str
    planned: tuple[float, float]
    took: float | None

    @property
    def within(self) -> bool:
        """Whether the outcome is within the planned range."""
        return self.took is not None and self.planned[0] <= self.took <= self.planned[1]


def tables_of(methods: Mapping[str, tuple[int, Mapping[str, Any]]]) -> Iterator[DemoTable]:
    """So many small tables for each method: plain ones, some with a global, those for ``backup`` with a local secondary
    index."""
    with_index = on_demand(("id", "S"), indexes=[index("ById", "id", "", {"ProjectionType": "KEYS_ONLY"})])
    for method, (number, variables) in methods.items():
        for at in range(number):
            plain = DemoTable(f"{method}-{at:02d}", on_demand(("id", "S")), numbered)
            if method == "backup":
                plain = replace(plain, create=thread_by_date(), items=sample("Thread").items)
            elif at % 4 == 3:
                plain = replace(plain, create=with_index)
            yield replace(plain, variables={**variables, "ferry_method": method})


def main() -> int:
    """Plan and move the tables once, in a fresh lab."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--without-spark", action="store_true", help="leave out the methods glue and emr")
    why_not = "" if parser.parse_args().without_spark else engine(SPARK).why_not()
    methods = dict(METHODS)
    if parser.parse_args().without_spark or why_not:
        print(f"Without glue and emr{f': {why_not}' if why_not else ''}.")
        more = methods.pop("glue")[0] + methods.pop("emr")[0]
        methods["s3"] = (methods["s3"][0] + more, {})
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with spawn(scale=SCALE, log=FOLDER / "lab.log") as lab:
        tables = list(tables_of(methods))
        make_tables(lab, "source", tables)
        inventory = _inventory(lab, tables)
        plan = FOLDER / "plan.json"
        _play("plan", inventory, {"ferry_plan_path": str(plan.resolve())})
        _play("migrate", inventory, {"ferry_plan": str(plan.resolve())})
    planned, report = (json.loads(path.read_text()) for path in (plan, FOLDER / "report" / "report.json"))
    kept = compared(planned["tables"], report["tables"], SCALE)
    whole = Kept("all", "all", "", tuple(planned["totals"]["seconds"]), together(report["tables"], SCALE))
    (OUTPUT / "planned.json").write_text(json.dumps([vars(each) for each in (*kept, whole)], indent=2) + "\n")
    return show(kept, whole)


def compared(planned: Iterable[Mapping[str, Any]], rows: Iterable[Mapping[str, Any]], scale: float) -> list[Kept]:
    """Each table's plan beside its row of the report."""
    found = {row["name"]: row for row in rows}
    return [
        Kept(
            entry["host"],
            entry["method"],
            found[entry["host"]]["status"],
            tuple(entry["seconds"]),
            together([found[entry["host"]]], scale),
        )
        for entry in planned
    ]


def together(rows: Iterable[Mapping[str, Any]], scale: float) -> float | None:
    """Seconds from the start of the first job of ``rows`` to the end of the last one, in AWS's time: of the row that
    took longest, its REAL jobs as they are. None where a table was not moved."""
    rows = list(rows)
    if not rows or any(row["status"] not in ("migrated", "copied") for row in rows):
        return None
    begun = min(_moment(job["start"]) for row in rows for job in row["jobs"] if job["start"])
    found = []
    for row in rows:
        whole = max(_moment(job["end"]) for job in row["jobs"] if job["end"]) - begun
        done = [job for job in row["jobs"] if job["kind"] in REAL]
        real = sum(_moment(job["end"]) - _moment(job["start"]) for job in done)
        found.append((whole - real) / scale + real)
    return round(max(found), 1)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def show(kept: Sequence[Kept], whole: Kept) -> int:
    """Print how well the plan was kept; 1 where it was not."""
    head = f"{'method':<8} {'tables':>6} {'within':>6}   {'planned s':>14}   {'took s':>14}"
    print(f"{head}   load {os.getloadavg()[0]:.1f}")
    for method in dict.fromkeys(each.method for each in kept):
        of = [each for each in kept if each.method == method]
        took = [each.took for each in of if each.took is not None]
        low, high = min(each.planned[0] for each in of), max(each.planned[1] for each in of)
        span = f"{min(took):.0f} to {max(took):.0f}" if took else "-"
        print(
            f"{method:<8} {len(of):>6} {sum(each.within for each in of):>6}   {low:>5.0f} to {high:>5.0f}   {span:>14}"
        )
    good = sum(each.within for each in kept)
    span = "-" if whole.took is None else f"{whole.took:.0f}"
    print(f"{'all':<8} {len(kept):>6} {good:>6}   {whole.planned[0]:>5.0f} to {whole.planned[1]:>5.0f}   {span:>14}")
    for each in kept:
        if not each.within:
            print(f"outside: {each.name}: {each.status}, took {each.took}, planned {each.planned}")
    missed = good < SHARE * len(kept) or not whole.within
    print("MISSED" if missed else f"at least {SHARE:.0%} of the tables and all together within the planned range")
    return int(missed)


def _inventory(lab: LabClient, tables: Sequence[DemoTable]) -> Path:
    """The inventory of the tables, whose accounts the run prepares."""
    variables = {
        "ferry_source": _side(lab, "source"),
        "ferry_destination": _side(lab, "destination"),
        "ferry_management": by_keys(lab, "management"),
        "ferry_report_dir": str((FOLDER / "report").resolve()),
        "ferry_checkpoint_dir": str((FOLDER / "checkpoints").resolve()),
    }
    path = FOLDER / "inventory.yml"
    hosts = {table.name: table.variables for table in tables}
    path.touch(0o600)
    path.write_text(yaml.safe_dump({"dynamodb_tables": {"vars": variables, "hosts": hosts}}))
    return path


def _side(lab: LabClient, name: str) -> dict[str, str]:
    account = lab.landscape["accounts"][name]
    keys = {each: account[each] for each in ("access_key", "secret_key")}
    return {**keys, "region": lab.landscape["region"], "endpoint_url": lab.endpoint_url}


def _play(playbook: str, inventory: Path, variables: Mapping[str, str]) -> None:
    command = ["ansible-playbook", f"tableferry.aws.{playbook}", "-i", str(inventory), "-e", json.dumps(variables)]
    run = measure(command, os.environ | {"ANSIBLE_FORKS": str(FORKS)}, FOLDER / f"{playbook}.log")
    if run.returncode:
        sys.exit(f"{playbook} ended with {run.returncode}, see {FOLDER / playbook}.log:\n{run.output[-3000:]}")


if __name__ == "__main__":
    sys.exit(main())
