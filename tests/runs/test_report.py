# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report that cannot be written, and a run that shall begin in its middle, are refused before anything is done."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.runs.playbooks import BUCKET, Migration, client

TABLES = ["customers", "orders"]
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text())
TIMINGS: dict[str, float] = {}
MOST_LINES = 150  # of a run, at default verbosity


def test_a_report_that_cannot_be_written_starts_nothing_and_fails_nothing_in_the_end(
    migration: Migration, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for options in ((), ("--check",)):
        with migration.run("tried", *options, ferry_report_dir=str(tmp_path / "file")) as run:
            assert run.wait() == 2, run.output[-4000:]
        told = f"The report cannot be written to the folder {tmp_path}/file: Not a directory. Nothing was started."
        assert told in run.output
        assert migration.lab.count(mutating=True) == 0
        assert (tmp_path / "file").read_text() == ""


@pytest.mark.parametrize(
    ("playbook", "task"),
    [
        ("migrate", "Report"),
        ("migrate", "Wait for the migrations of all tables"),
        ("verify", "Compare all items*"),
        ("cleanup", "tableferry.aws.cleanup_table : Remove what the table's migration left behind"),
        ("status", "Show how far the tables are"),
    ],
)
def test_a_run_does_not_begin_in_its_middle(migration: Migration, playbook: str, task: str) -> None:
    with migration.run("middle", "--start-at-task", task, playbook=f"tableferry.aws.{playbook}") as run:
        assert run.wait() != 0, run.output[-4000:]
    assert f"--start-at-task names a task of TableFerry ({task})" in run.output
    assert "Run again without it" in run.output
    assert "undefined" not in run.output
    assert migration.lab.count() == 0


def test_a_task_of_the_users_own_may_be_begun_with(migration: Migration, tmp_path: Path) -> None:
    book = tmp_path / "book.yml"
    book.write_text(
        "- ansible.builtin.import_playbook: tableferry.aws.migrate\n"
        "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n"
        "    - name: My own\n      ansible.builtin.debug:\n        msg: done\n"
    )
    with migration.run("own", "--start-at-task", "My own", playbook=str(book)) as run:
        assert run.wait() == 0, run.output[-4000:]
    assert '"msg": "done"' in run.output
    assert migration.lab.count() == 0


def test_the_report_is_a_page_with_a_copy_in_the_bucket_and_verify_and_cleanup_write_into_it(
    migration: Migration,
) -> None:
    folder = migration.folder / "kept"
    shown = {"environment": {"ANSIBLE_SHOW_CUSTOM_STATS": "true"}, "ferry_report_dir": str(folder)}
    with migration.run("migrated", ferry_iac=["terraform", "cloudformation"], **shown) as run:
        assert run.wait() == 0, run.output[-4000:]
    found = json.loads((folder / "report.json").read_text())
    assert list(Draft202012Validator(SCHEMA).iter_errors(found)) == []
    accounts = {side: migration.lab.landscape["accounts"][side]["account_id"] for side in ("source", "destination")}
    for table in found["tables"]:
        for side, account in accounts.items():
            assert (
                table[side]["arn"]
                == f"arn:aws:dynamodb:{migration.lab.landscape['region']}:{account}:table/{table['name']}"
            )
        phases = {job["kind"]: job for job in table["jobs"]}
        assert {"export", "import", "settings"} <= set(phases)
        assert all(phases[kind]["start"] and phases[kind]["end"] for kind in ("export", "import", "settings"))
        assert phases["export"]["arn"].startswith(table["source"]["arn"])
        told = [step["what"] for step in table["to_do"]]
        assert {"applications", "staging data"} <= set(told) and not any(what.startswith("setting") for what in told)
    assert "customers" in (folder / "report.html").read_text()
    imported = (
        folder / "iac" / f"{accounts['destination']}-{migration.lab.landscape['region']}" / "import.tf"
    ).read_text()
    assert imported.count("aws_dynamodb_table.") == 2
    (lease,) = migration.leases()
    place = f"tableferry/reports/{lease.run}/"
    assert f"report: {folder}/report.html; s3://{BUCKET}/{place}" in run.output
    storage = client(migration.lab, "s3", "destination")
    copy = json.loads(storage.get_object(Bucket=BUCKET, Key=f"{place}report.json")["Body"].read())
    assert copy["tables"] == found["tables"]
    assert storage.head_object(Bucket=BUCKET, Key=f"{place}report.html")["ContentType"] == "text/html; charset=utf-8"
    assert re.search(r'"?tableferry_report"?: ', run.output), run.output[-1500:]

    client(migration.lab, "dynamodb", "destination").delete_item(TableName="orders", Key={"id": {"S": "orders/0"}})
    with migration.run("verified", playbook="tableferry.aws.verify", **shown) as run:
        assert run.wait() == 2, run.output[-4000:]
    run_of_verify = json.loads((folder / "report.json").read_text())["run"]
    assert f"; s3://{BUCKET}/tableferry/reports/{run_of_verify}/" in run.output
    copy = json.loads(
        storage.get_object(Bucket=BUCKET, Key=f"tableferry/reports/{run_of_verify}/report.json")["Body"].read()
    )
    assert {table["name"]: table["comparison"]["result"] for table in copy["tables"]} == {
        "customers": "equal",
        "orders": "differs",
    }
    with migration.run("cleaned", playbook="tableferry.aws.cleanup", **shown) as run:
        assert run.wait() == 0, run.output[-4000:]
    assert f"; s3://{BUCKET}/tableferry/reports/" in run.output
    found = json.loads((folder / "report.json").read_text())
    assert list(Draft202012Validator(SCHEMA).iter_errors(found)) == []
    assert "staging data" not in {step["what"] for table in found["tables"] for step in table["to_do"]}
    assert {
        table["name"]: (table["status"], table["comparison"]["result"], table["cleanup"]["result"])
        for table in found["tables"]
    } == {
        "customers": ("migrated", "equal", "cleaned up"),
        "orders": ("migrated", "differs", "cleaned up"),
    }

    for each in storage.list_objects_v2(Bucket=BUCKET)["Contents"]:
        storage.delete_object(Bucket=BUCKET, Key=each["Key"])
    storage.delete_bucket(Bucket=BUCKET)
    with migration.run("without a bucket", playbook="tableferry.aws.cleanup", **shown) as run:
        assert run.wait() == 0, run.output[-4000:]
    (told,) = [line for line in run.output.splitlines() if line.startswith("report: ")]
    assert told.endswith(f"; it is on this machine only: there is no bucket {BUCKET}.")


def test_a_run_with_a_limit_leaves_the_other_tables_in_the_report(migration: Migration) -> None:
    folder = migration.folder / "kept"
    runs = [("first", "migrate", ()), ("limited", "migrate", ("--limit", "orders")), ("all", "verify", ())]
    for name, playbook, options in runs:
        with migration.run(name, *options, playbook=f"tableferry.aws.{playbook}", ferry_report_dir=str(folder)) as run:
            assert run.wait() == 0, run.output[-4000:]
    found = json.loads((folder / "report.json").read_text())
    assert list(Draft202012Validator(SCHEMA).iter_errors(found)) == []
    customers, orders = found["tables"]
    assert (customers["status"], orders["status"]) == ("migrated", "migrated")
    assert customers["comparison"]["result"] == orders["comparison"]["result"] == "equal"
    assert len({customers["run"], orders["run"], found["run"]}) == 3


def test_two_runs_at_once_of_different_inventories_are_both_in_one_report(migration: Migration, tmp_path: Path) -> None:
    """The first one writes last, and knows nothing of the other's table."""
    inventory = yaml.safe_load(migration.inventory.read_text())
    both = {}
    for name in TABLES:
        both[name] = replace(migration, folder=tmp_path / name, tables=(name,))
        both[name].folder.mkdir()
        both[name].inventory.write_text(
            yaml.safe_dump({"dynamodb_tables": {**inventory["dynamodb_tables"], "hosts": {name: {}}}})
        )
    folder = str(tmp_path / "kept")
    fault = migration.hold_export("orders")
    with both["orders"].run("first", ferry_report_dir=folder) as first:
        first.until(lambda: migration.lab.held(fault))
        with both["customers"].run("second", ferry_report_dir=folder) as second:
            assert second.wait() == 0, second.output[-4000:]
        migration.lab.release(fault)
        assert first.wait() == 0, first.output[-4000:]
    found = json.loads((tmp_path / "kept" / "report.json").read_text())
    assert list(Draft202012Validator(SCHEMA).iter_errors(found)) == []
    assert [(table["name"], table["status"]) for table in found["tables"]] == [(name, "migrated") for name in TABLES]
    assert len({table["run"] for table in found["tables"]}) == 2


def test_each_table_that_fails_takes_two_lines_of_a_large_run(migration: Migration) -> None:
    """Those that Ansible prints of any failed host: its task's and its own in the recap."""
    inventory = yaml.safe_load(migration.inventory.read_text())
    ghosts = [f"ghost-{each:02d}" for each in range(49)]
    inventory["dynamodb_tables"]["hosts"] |= {name: {} for name in ghosts}
    migration.inventory.write_text(yaml.safe_dump(inventory))
    with migration.run("large") as run:
        assert run.wait() == 2, run.output[-4000:]
    lines = run.output.splitlines()
    assert "51 tables: 2 migrated, 49 refused" in lines
    (cause,) = [line for line in lines if "There is no such table" in line]
    assert cause.startswith("49 tables (ghost-00 to ghost-48) refused: ")
    assert [line.split()[0] for line in lines if "ghost-07" in line] == ["fatal:", "ghost-07"]
    assert len(lines) - 2 * len(ghosts) <= MOST_LINES - 10, run.output


def test_each_table_that_verify_or_cleanup_fails_takes_two_lines(migration: Migration) -> None:
    """And each cause one, with all its tables."""
    inventory = yaml.safe_load(migration.inventory.read_text())
    ghosts = [f"ghost-{each:02d}" for each in range(20)]
    inventory["dynamodb_tables"]["hosts"] |= {name: {} for name in ghosts}
    migration.inventory.write_text(yaml.safe_dump(inventory))
    with migration.run("moved", "--limit", ",".join(TABLES)) as run:
        assert run.wait() == 0, run.output[-4000:]
    migration.lab.add_fault(operation="s3.ListObjectsV2", kind="error", code="AccessDenied", status=403, times=-1)
    for playbook, failed, cause in (("verify", ghosts, "has no such table"), ("cleanup", ghosts, "may not use the")):
        with migration.run(playbook, playbook=f"tableferry.aws.{playbook}") as run:
            assert run.wait() == 2, run.output[-4000:]
        lines = run.output.splitlines()
        named = [line.split()[0] for line in lines if failed[1] in line]
        assert named[-2:] == ["fatal:", failed[1]] and named.count("fatal:") == 1, run.output
        assert sum(line.startswith("[ERROR]") for line in lines) == 1, run.output
        assert sum(cause in line for line in lines) == 1, run.output


def test_a_former_name_of_a_variable_is_refused_with_the_new_one(migration: Migration) -> None:
    with migration.run("former", ferry_report_path="report.json") as run:
        assert run.wait() == 2, run.output[-4000:]
    assert "ferry_report_path is no variable any more: set ferry_report_dir" in run.output
    assert migration.lab.count(mutating=True) == 0
