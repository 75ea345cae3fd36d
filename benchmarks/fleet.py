# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many tables at once: the migrate playbook compared with its ideal, and with the same verbs that each wait.

Every export and every import takes 15 s in the lab, and AWS's quotas are on (50 imports and 300 exports at once), so no
run can be faster than 15 + 15 * ceil(N / 50) s. The same command again then finds every table finished. Prints a table
and writes ``build/bench/fleet.json``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.config import Config

from benchmarks.process_tree import Measurement, measure
from lab.client import LabClient, spawn

OUTPUT = Path("build/bench")
JOB_SECONDS = 15
IMPORTS_AT_ONCE = 50
FORKS = 10
REGION = "eu-west-1"
BUCKET = "tableferry-bench"
POLL_OPERATIONS = ("ListExports", "DescribeExport", "ListImports", "DescribeImport")
# An import is invisible, then CREATING, then ACTIVE for a moment before it completes: together one job's time.
TIMINGS = {
    "export.full": JOB_SECONDS,
    "import.visible": 3,
    "import.creating": JOB_SECONDS - 4,
    "import.completing": 1,
}


@dataclass(frozen=True)
class Run:
    """The cost of one playbook run, and how often it called each operation of AWS."""

    measurement: Measurement
    calls: dict[str, int]


def ideal_seconds(tables: int) -> int:
    """The least wall time for ``tables``: one round of exports and a round of imports for every 50."""
    return JOB_SECONDS + JOB_SECONDS * math.ceil(tables / IMPORTS_AT_ONCE)


def main() -> int:
    """Run the benchmark for each number of tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, nargs="*", default=[100, 500])
    parser.add_argument("--waits-inside", type=int, nargs="*", default=[100], help="sizes also run with waits inside")
    arguments = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    runs = []
    for tables in arguments.tables:
        runs.append(compare(tables, waits_inside=tables in arguments.waits_inside))
        (OUTPUT / "fleet.json").write_text(json.dumps({"runs": runs}, indent=2) + "\n")
    show(runs)
    return 0


def compare(tables: int, *, waits_inside: bool) -> dict[str, Any]:
    """Run ``tables`` tables through the migrate playbook and, when asked, through the one that waits inside."""
    ours, again = run(tables, "tableferry.aws.migrate", twice=True)
    row: dict[str, Any] = {"tables": tables, "ideal_s": ideal_seconds(tables)}
    row |= figures(ours)
    row["calls"] = ours.calls
    row["again"] = {**figures(again), "calls": again.calls}
    row["waits_inside"] = None
    if waits_inside:
        (peer,) = run(tables, "benchmarks/waits_inside.yml")
        row["waits_inside"] = figures(peer)
    return row


def figures(run_: Run) -> dict[str, float]:
    """The three figures that are compared."""
    measured = run_.measurement
    return {
        "wall_s": round(measured.wall_seconds, 1),
        "cpu_s": round(measured.cpu_seconds, 1),
        "peak_mb": round(measured.peak_megabytes),
    }


def run(tables: int, playbook: str, *, twice: bool = False) -> tuple[Run, ...]:
    """One fresh lab, ``tables`` seeded tables, one run of ``playbook``; and, when asked, the same command again."""
    with spawn(scale=0.01, timings=TIMINGS) as lab:
        inventory = seed(lab, tables)
        first = measured(lab, tables, playbook, inventory)
        finished = first.calls.get("ImportTable", 0)
        if finished < tables:
            sys.exit(f"{playbook} started {finished} imports for {tables} tables")
        if not twice:
            return (first,)
        again = measured(lab, tables, playbook, inventory, "-again")
        if re.search(r"changed=[1-9]", again.measurement.output) or again.calls.get("ImportTable"):
            sys.exit(f"{playbook} changed something in tables that were finished")
        return first, again


def measured(lab: LabClient, tables: int, playbook: str, inventory: Path, suffix: str = "") -> Run:
    """One run of ``playbook`` over the tables in ``inventory``, which must succeed; ``suffix`` is of its log's name."""
    lab.clear_requests()
    environment = os.environ | {
        "ANSIBLE_FORKS": str(FORKS),
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
        "ANSIBLE_DISPLAY_OK_HOSTS": "false",
    }
    log = OUTPUT / f"{playbook.removesuffix('.yml').replace('/', '.').rsplit('.', 1)[-1]}-{tables}{suffix}.log"
    measurement = measure(["ansible-playbook", playbook, "-i", str(inventory)], environment, log)
    if measurement.returncode:
        sys.exit(f"{playbook} ended with {measurement.returncode}, see {log}:\n{measurement.output[-3000:]}")
    return Run(measurement, dict(Counter(call["operation"] for call in lab.calls()).most_common()))


def seed(lab: LabClient, tables: int) -> Path:
    """Create a bucket and ``tables`` small tables with point-in-time recovery; return the inventory's path."""
    names = [f"table-{number:03d}" for number in range(tables)]
    source, destination = lab.landscape["accounts"]["source"], lab.landscape["accounts"]["destination"]
    dynamodb = client(lab, "dynamodb", source)
    for name in names:
        dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
    for name in names:
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
        for item in range(3):
            dynamodb.put_item(TableName=name, Item={"id": {"S": f"{name}/{item}"}})
        dynamodb.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    lab.advance(3600)
    storage = client(lab, "s3", destination)
    storage.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{source['account_id']}:root"},
        "Action": ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"],
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
    }
    storage.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    variables = {
        "ferry_source": side(lab, source),
        "ferry_destination": side(lab, destination),
        "ferry_staging_bucket": BUCKET,
        "ferry_manage_accounts": False,
        "ferry_report_dir": str((OUTPUT / f"report-{tables}").resolve()),
    }
    inventory = OUTPUT / f"inventory-{tables}.yml"
    group = {"dynamodb_tables": {"vars": variables, "hosts": {name: {} for name in names}}}
    inventory.write_text(yaml.safe_dump(group))
    inventory.chmod(0o600)
    return inventory


def side(lab: LabClient, account: dict[str, str]) -> dict[str, str]:
    """The inventory's description of one account of the lab."""
    return {
        "access_key": account["access_key"],
        "secret_key": account["secret_key"],
        "region": REGION,
        "endpoint_url": lab.endpoint_url,
    }


def client(lab: LabClient, service: str, account: dict[str, str]) -> Any:
    """A client of ``service`` for one account of the lab."""
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=lab.endpoint_url,
        aws_access_key_id=account["access_key"],
        aws_secret_access_key=account["secret_key"],
        config=Config(retries={"mode": "adaptive", "max_attempts": 20}),
    )


def show(runs: list[dict[str, Any]]) -> None:
    """Print the runs beside their ideal, the second runs, and ratios against the peer of the same run."""
    print(f"{'tables':>6} {'ideal s':>8} {'wall s':>8} {'x ideal':>8} {'CPU s':>7} {'peak MB':>8} {'calls':>6}   polls")
    for row in runs:
        calls, again = row["calls"], row["again"]
        polls = " ".join(f"{operation} {calls.get(operation, 0)}" for operation in POLL_OPERATIONS)
        print(
            f"{row['tables']:>6} {row['ideal_s']:>8} {row['wall_s']:>8} {row['wall_s'] / row['ideal_s']:>8.2f} "
            f"{row['cpu_s']:>7} {row['peak_mb']:>8} {sum(calls.values()):>6}   {polls}"
        )
        print(
            f"{'again':>6} {'':>8} {again['wall_s']:>8} {'':>8} {again['cpu_s']:>7} {again['peak_mb']:>8} "
            f"{sum(again['calls'].values()):>6}"
        )
        peer = row["waits_inside"]
        if peer:
            print(
                f"{'':>6} waits inside: {peer['wall_s']} s ({peer['wall_s'] / row['wall_s']:.1f} times ours), "
                f"{peer['cpu_s']} CPU-s ({peer['cpu_s'] / row['cpu_s']:.1f} times), "
                f"{peer['peak_mb']} MB ({peer['peak_mb'] / row['peak_mb']:.1f} times)"
            )


if __name__ == "__main__":
    sys.exit(main())
