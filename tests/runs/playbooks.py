# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables in a lab's source account and runs of the playbook that migrate them: real processes of ansible-playbook."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import yaml

from ansible_collections.tableferry.aws.plugins.module_utils.core import sdk
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.lease import Lease
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import Record
from lab.client import LabClient
from lab.controller import Controller, SharedClock, controller

BUCKET = "tableferry-runs"
PATIENCE = 120.0  # seconds of real time until a test gives up


@dataclass(frozen=True)
class Migration:
    """A lab with ``tables`` of three items each, an inventory of them, and a folder for what the runs write."""

    lab: LabClient
    folder: Path
    tables: tuple[str, ...]
    clock: SharedClock

    @property
    def inventory(self) -> Path:
        """The inventory's path."""
        return self.folder / "inventory.yml"

    @contextmanager
    def run(
        self,
        name: str,
        *options: str,
        machine: str = "",
        playbook: str = "tableferry.aws.migrate",
        environment: Mapping[str, str] | None = None,
        **variables: Any,
    ) -> Iterator[Playbook]:
        """``ansible-playbook`` with ``playbook``, the run ``name``, and more of an ``environment``; killed, if it still
        runs, when the context ends."""
        report = self.folder / f"{name}-report"
        extra = {"ferry_report_dir": str(report), **variables}
        command = ["ansible-playbook", playbook, "-i", str(self.inventory), *options]
        output = self.folder / f"{name}.log"
        own = {"ANSIBLE_FORKS": "5", "PYTHONUNBUFFERED": "1", "ANSIBLE_LOCALHOST_WARNING": "false"}
        with (
            output.open("wb") as log,
            controller(
                self.clock,
                [*command, "-e", json.dumps(extra)],
                environment={**own, **(environment or {})},
                machine=machine,
                stdout=log,
                stderr=log,
            ) as process,
        ):
            yield Playbook(process, output, report / "report.json")

    def items(self) -> list[Mapping[str, Any]]:
        """What stands in the table of the records."""
        dynamodb = client(self.lab, "dynamodb", "destination")
        try:
            pages = dynamodb.get_paginator("scan").paginate(TableName="tableferry", ConsistentRead=True)
            return list(pages.build_full_result()["Items"])
        except dynamodb.exceptions.ResourceNotFoundException:
            return []

    def records(self) -> dict[str, Record]:
        """The records by the names of their tables."""
        tables = (item for item in self.items() if item["pk"]["S"].startswith("table#"))
        found = (Record.from_item(item) for item in tables)
        return {record.name: record for record in found}

    def leases(self) -> list[Lease]:
        """The leases of all runs, oldest first."""
        found = [Lease.from_item(item) for item in self.items() if item["sk"]["S"] == "lease"]
        return sorted(found, key=lambda lease: lease.who.since if lease.who else 0)

    def hold_export(self, table: str) -> int:
        """Keep back the answer to the export of ``table``; the id of the fault."""
        return self.lab.hold(operation="ExportTableToPointInTime", match=self.about(table))

    def about(self, table: str) -> dict[str, str]:
        """How faults name the calls about the source's ``table`` by its ARN."""
        account = self.lab.landscape["accounts"]["source"]["account_id"]
        return {"TableArn": f"arn:aws:dynamodb:{self.lab.landscape['region']}:{account}:table/{table}"}

    def started(self, kind: str) -> list[str]:
        """The tables of the jobs of ``kind`` that were started, sorted."""
        return sorted(str(job["resource"]).rpartition("/")[2] for job in self.lab.jobs(kind))


@dataclass(frozen=True)
class Playbook:
    """A run under way, or one that has ended."""

    controller: Controller
    log: Path
    report: Path

    @property
    def output(self) -> str:
        """What it has printed."""
        return self.log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The process ansible-playbook, and its group."""
        return self.controller.process.pid

    def wait(self, seconds: float = PATIENCE) -> int:
        """Its exit status."""
        return self.controller.process.wait(seconds)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for ``condition``; AssertionError where the process ends before it."""
        eventually(lambda: condition() or self.controller.process.poll() is not None)
        assert condition(), self.output[-4000:]

    def rows(self) -> dict[str, dict[str, Any]]:
        """The report's rows by table."""
        return {row["name"]: row for row in json.loads(self.report.read_text())["tables"]}


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until ``condition`` holds. AssertionError after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "It did not come to pass."
        time.sleep(0.1)


def client(lab: LabClient, service: str, side: str) -> Any:
    """A client of ``service`` for the administrator of ``side``, which signs by the lab's clock."""
    account = lab.landscape["accounts"][side]
    made = boto3.client(
        service,
        region_name=lab.landscape["region"],
        endpoint_url=lab.endpoint_url,
        aws_access_key_id=account["access_key"],
        aws_secret_access_key=account["secret_key"],
    )

    def sign(request: Any, **_event: Any) -> None:
        now = time.time() + lab.control("GET", "clock")["offset"]
        sdk.sign_at(made, request, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)))

    if service in ("backup", "dynamodb", "glue", "iam", "logs", "s3"):
        made.meta.events.register_last("before-send", sign)
    return made


def prepare(lab: LabClient, folder: Path, tables: Sequence[str], **variables: Any) -> Migration:
    """Make ``tables`` with point-in-time recovery, the staging bucket, and the inventory, with ``variables`` for all
    tables."""
    dynamodb = client(lab, "dynamodb", "source")
    for name in tables:
        dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
    for name in tables:
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
        for item in range(3):
            dynamodb.put_item(TableName=name, Item={"id": {"S": f"{name}/{item}"}})
        eventually(partial(_recoverable, dynamodb, name))
    lab.advance(3600)
    _make_bucket(lab)
    everything = {
        "ferry_source": _side(lab, "source"),
        "ferry_destination": _side(lab, "destination"),
        "ferry_staging_bucket": BUCKET,
        "ferry_manage_accounts": False,
        **variables,
    }
    inventory = {"dynamodb_tables": {"vars": everything, "hosts": {name: {} for name in tables}}}
    (folder / "inventory.yml").write_text(yaml.safe_dump(inventory))
    lab.clear_requests()
    return Migration(lab, folder, tuple(tables), SharedClock(lab, folder))


def _recoverable(dynamodb: Any, name: str) -> bool:
    """Whether point-in-time recovery could be turned on: a new table's backups are being enabled for a moment."""
    try:
        dynamodb.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    except dynamodb.exceptions.ContinuousBackupsUnavailableException:
        return False
    return True


def _make_bucket(lab: LabClient) -> None:
    storage = client(lab, "s3", "destination")
    storage.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": lab.landscape["region"]})
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{lab.landscape['accounts']['source']['account_id']}:root"},
        "Action": ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"],
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
    }
    storage.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def _side(lab: LabClient, side: str) -> dict[str, str]:
    account = lab.landscape["accounts"][side]
    return {
        "access_key": account["access_key"],
        "secret_key": account["secret_key"],
        "region": lab.landscape["region"],
        "endpoint_url": lab.endpoint_url,
    }


def group_of(pid: int, number: int) -> None:
    """Send the signal ``number`` to the process group ``pid``, as a terminal does for Ctrl-C."""
    os.killpg(pid, number)
