# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo: a lab, twenty tables, the plan, one playbook run that keeps to it, and its result; then a damaged copy is
repaired."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Context
from pathlib import Path
from typing import Any

import yaml

from demo.damage import DAMAGED, damage
from demo.seed import seed
from demo.tables import COLLIDING, DATA, SALT, SALT_FROM, SPARK, DemoTable, Item
from lab.client import LabClient, spawn
from lab.spark.engine import engine
from plugins.module_utils.core.report.row import expected
from plugins.module_utils.core.report.text import not_carried, status_table, summary, text_table

OUTPUT = Path("build/demo")
PLAN, MIGRATE = "tableferry.aws.plan", "tableferry.aws.migrate"
VERIFY, STATUS = "tableferry.aws.verify", "tableferry.aws.status"
SCALE = 0.01  # of the durations that were measured on AWS
PROFILE = "demo"
EXACT = Context(prec=200)  # DynamoDB's numbers have 38 digits and large exponents


def main() -> int:
    """Run the demo in ``build/demo``; 0 when every table ended as its inventory expected."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    say("Starting two AWS accounts on 127.0.0.1 ...")
    with spawn(scale=SCALE, log=OUTPUT / "lab.log") as lab:
        say("Filling the source account ...")
        tables = seed(lab, left_out())
        inventory = write_inventory(lab, tables)
        plan = (OUTPUT / "plan.json").resolve()
        if play(PLAN, inventory, "-e", f"ferry_plan_path={plan}"):
            say(f"There is no plan. {log_end()}")
            return 1
        planned = json.loads(plan.read_text())
        show_plan(planned)
        started = time.monotonic()
        migration = begin(MIGRATE, inventory, "-e", f"ferry_plan={plan}")
        while migration.poll() is None and not lab.count("dynamodb.ImportTable"):
            time.sleep(0.2)
        wrong = show_status(inventory, "While it runs")
        status = migration.wait()
        seconds = time.monotonic() - started
        report = OUTPUT / "report" / "report.json"
        if not report.exists():
            say(f"The playbook exited with {status} and wrote no report. {log_end()}")
            return 1
        rows = json.loads(report.read_text())["tables"]
        wrong += unexpected(rows, tables) + differences(lab, rows, tables) + off_plan(rows, planned["tables"])
        show(rows)
        say(f"\n{summary(rows)} in {seconds:.0f} s, with AWS's own times scaled by {SCALE}.\n")
        if COLLIDING in {table.name for table in tables}:
            wrong += show_collisions(rows)
        wrong += show_status(inventory, "In the end")
        wrong += damage_and_repair(lab, inventory)
    for line in wrong:
        say(f"NOT AS EXPECTED: {line}")
    if not wrong:
        say(
            "Every table ended as its inventory expected, and each item of the migrated ones is the same on both sides,"
            " or what the steps of its table are to make of it."
        )
    say(f"The report, with each table beside the plan that it kept to: {report.with_suffix('.html')}")
    return 1 if wrong else 0


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def log_end() -> str:
    """The end of what the playbooks have printed."""
    log = OUTPUT / "ansible.log"
    return f"{log} ends with:\n{log.read_text()[-3000:]}"


def left_out() -> bool:
    """Whether tables that need Spark are left out, for want of it, which a line says."""
    reason = engine(SPARK).why_not()
    if reason:
        say(f"Tables of the methods glue and emr are left out: their jobs run on Spark {SPARK}: {reason}.")
    return bool(reason)


def write_inventory(lab: LabClient, tables: Sequence[DemoTable]) -> Path:
    """Write the inventory, and the AWS profile that it names, as a user would have them; return its path.

    Beside it is the file with the function of its steps.
    """
    (OUTPUT / "files").mkdir()
    shutil.copy(DATA / "transform.py", OUTPUT / "files")
    hub = lab.landscape["hub"]
    profile = f"[{PROFILE}]\naws_access_key_id = {hub['access_key']}\naws_secret_access_key = {hub['secret_key']}\n"
    credentials = OUTPUT / "credentials"
    credentials.touch(0o600)
    credentials.write_text(profile)
    (OUTPUT / "config").write_text(f"[profile {PROFILE}]\nregion = {lab.landscape['region']}\n")
    group = {
        "vars": {
            "ferry_source": side(lab, "source"),
            "ferry_destination": side(lab, "destination"),
            "ferry_management": by_keys(lab, "management"),  # cross-account backup is turned on there
            "ferry_report_dir": str((OUTPUT / "report").resolve()),
            "ferry_verify": "full",
            "ferry_checkpoint_dir": str((OUTPUT / "checkpoints").resolve()),
            "ferry_differences_dir": str((OUTPUT / "differences").resolve()),
        },
        "hosts": {table.name: table.variables for table in tables},
    }
    inventory = OUTPUT / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"dynamodb_tables": group}, sort_keys=False))
    return inventory


def side(lab: LabClient, name: str) -> dict[str, str]:
    """How the inventory names one account: the profile's user assumes a role there."""
    account = lab.landscape["accounts"][name]
    return {
        "profile": PROFILE,
        "role_arn": account["role_arn"],
        "external_id": account["external_id"],
        "region": lab.landscape["region"],
        "endpoint_url": lab.endpoint_url,
    }


def by_keys(lab: LabClient, name: str) -> dict[str, str]:
    """How the inventory names an account by the keys of its administrator."""
    account = lab.landscape["accounts"][name]
    keys = {key: account[key] for key in ("access_key", "secret_key")}
    return {**keys, "region": lab.landscape["region"], "endpoint_url": lab.endpoint_url}


def play(playbook: str, inventory: Path, *arguments: str) -> int:
    """Run a playbook of the collection; its exit status."""
    return begin(playbook, inventory, *arguments).wait()


def begin(playbook: str, inventory: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a playbook of the collection."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {
        "AWS_CONFIG_FILE": str((OUTPUT / "config").resolve()),
        "AWS_SHARED_CREDENTIALS_FILE": str((OUTPUT / "credentials").resolve()),
        "AWS_EC2_METADATA_DISABLED": "true",
        "ANSIBLE_FORKS": "10",
        "ANSIBLE_NOCOLOR": "1",
        SALT_FROM: SALT,
    }
    command = ["ansible-playbook", playbook, "-i", str(inventory), *arguments]
    say(f"{' '.join(command)}   (output: {OUTPUT / 'ansible.log'})")
    with (OUTPUT / "ansible.log").open("a") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)


def show_plan(plan: Mapping[str, Any]) -> None:
    """Print what a plan comes to, and why tables cannot go."""
    say(f"The plan: {plan['line']}")
    for table in plan["tables"]:
        for reason in table["reasons"]:
            say(f"  {table['host']} cannot go: {reason['why']}")
    say("")


def off_plan(rows: Sequence[Mapping[str, Any]], planned: Sequence[Mapping[str, Any]]) -> list[str]:
    """Tables that went otherwise than their plan says."""
    methods = {table["host"]: table["method"] for table in planned}
    moved = [row for row in rows if row["status"] == "migrated"]
    return [
        f"{row['name']} went by {row['method']}, the plan says {methods.get(row['name'])}"
        for row in moved
        if row["method"] != methods.get(row["name"]) or row["plan"]["method"] != row["method"]
    ]


def show_status(inventory: Path, moment: str) -> list[str]:
    """Show what the playbook status says of all tables; returns what did not work."""
    path = (OUTPUT / "status.json").resolve()
    if play(STATUS, inventory, "-e", f"ferry_status_path={path}"):
        return [f"status failed; {OUTPUT / 'ansible.log'} says why"]
    say(f"{moment}:")
    for line in status_table(json.loads(path.read_text())["tables"]):
        say(f"  {line}")
    say("")
    return []


def damage_and_repair(lab: LabClient, inventory: Path) -> list[str]:
    """Damage the copy of one table, find the differences, repair it and compare again; returns what did not work."""
    damaged = damage(lab)
    say(f"In the copy of {DAMAGED}, 3 items were changed, one was removed and one was added.")
    wrong = []
    if play(VERIFY, inventory, "--limit", DAMAGED) != 2:
        wrong.append(f"the damage to {DAMAGED} was not found")
    lines = OUTPUT / "differences" / f"{DAMAGED}.jsonl"
    found = {line["key"]["OrderId"]["S"]: line["difference"] for line in map(json.loads, lines.open())}
    for order, difference in sorted(found.items()):
        say(f"  {difference:10} {order}")
    if found != damaged:
        wrong.append(f"{DAMAGED} was damaged in {damaged}, but the differences found are {found}")
    if play(VERIFY, inventory, "--limit", DAMAGED, "-e", "ferry_repair=true", "-e", "ferry_delete_extra=true"):
        wrong.append(f"{DAMAGED} could not be repaired")
    if play(VERIFY, inventory, "--limit", DAMAGED):
        wrong.append(f"{DAMAGED} is not equal after it was repaired")
    if not wrong:
        say("Exactly these five were found and repaired, and a second comparison finds no difference.\n")
    return wrong


def show_collisions(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Show the file with the keys that collide, which the refusal names; returns what is wrong with it."""
    path = OUTPUT / "differences" / f"{COLLIDING}-refused.jsonl"
    reason = next((row["reason"] for row in rows if row["name"] == COLLIDING), "")
    if str(path.resolve()) not in reason or not path.exists():
        return [f"{path} does not name the colliding keys of {COLLIDING}: {reason}"]
    entries = [json.loads(line) for line in path.open()]
    say(f"{path} names the first {len(entries)} keys of {COLLIDING} that collide, and their items:")
    for entry in entries[:3]:
        say(f"  {entry['key']['id']['S']}: {' and '.join(sorted(each['id']['S'] for each in entry['sources']))}")
    say("")
    apart = [each for each in entries if {key["id"]["S"][-3:] for key in each["sources"]} != {each["key"]["id"]["S"]}]
    return [f"{path} is wrong about {apart}"] if apart or not entries else []


def unexpected(rows: Sequence[Mapping[str, Any]], tables: Sequence[DemoTable]) -> list[str]:
    """What did not end as the inventory expects."""
    by_name = {row["name"]: row for row in rows}
    wrong = [f"{table.name} is not in the report" for table in tables if table.name not in by_name]
    for table in tables:
        row = by_name.get(table.name, {})
        status = table.variables.get("ferry_expect", "migrated")
        if row and not expected(row, status):
            wrong.append(f"{table.name} is {row['status']}, but {status} was expected: {row['reason']}")
    return wrong


def differences(lab: LabClient, rows: Sequence[Mapping[str, Any]], tables: Sequence[DemoTable]) -> list[str]:
    """Migrated tables whose items are not the same on both sides, read by plain scans."""
    migrated = {row["name"] for row in rows if row["status"] == "migrated"}
    wrong = []
    for table in tables:
        if table.name not in migrated:
            continue
        source = as_texts(map(table.in_copy, items(lab, "source", table.name)))
        copy = table.variables.get("ferry_destination_table", table.name)
        destination = as_texts(items(lab, "destination", copy))
        if source != destination:
            wrong.append(f"{table.name}: {len(source ^ destination)} items of the copy are not what they should be")
    return wrong


def items(lab: LabClient, side_: str, table: str) -> Iterator[Item]:
    """All items of a table."""
    pages = lab.client("dynamodb", side_).get_paginator("scan").paginate(TableName=table)
    return (item for page in pages for item in page["Items"])


def as_texts(items_: Iterable[Item | None]) -> set[str]:
    """Each item as a text that is the same for the same item."""
    return {json.dumps(canonical({"M": item}), sort_keys=True) for item in items_ if item is not None}


def canonical(value: Mapping[str, Any]) -> Any:
    """An attribute value as JSON: numbers by their value, sets without order, bytes as hexadecimal digits."""
    (kind, inner), *_ = value.items()
    if kind == "M":
        return [kind, {name: canonical(part) for name, part in inner.items()}]
    if kind == "L":
        return [kind, [canonical(part) for part in inner]]
    if kind in ("SS", "NS", "BS"):
        return [kind, sorted(json.dumps(canonical({kind[0]: part})) for part in inner)]
    if kind == "N":
        return [kind, str(EXACT.create_decimal(inner).normalize(EXACT))]
    return [kind, inner.hex() if kind == "B" else inner]


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the report as a table, and what was not carried of which tables."""
    say(text_table(rows))
    left = not_carried(rows)
    say("\nNot carried:" if left else "")
    for line in left:
        say(f"  {line}")
