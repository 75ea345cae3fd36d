# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The core against the lab: whole ways of tables, looked at afterwards with plain boto3."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports import manifest
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export import (
    ExportOptions,
    plan_export,
    start_export,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.importing import (
    ImportOptions,
    plan_import,
    start_import,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs import waiter
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem, WaitResult
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import wait_for
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps import background
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.settings_job import settings_job
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.settings import SettingsOptions
from demo.seed import make_tables
from demo.tables import DemoTable, numbered, on_demand, recovery
from lab.client import RunningLab, running
from tests.histories.stand_ins import AtOnce
from tests.unit.on_lab.in_process import InProcess

BUCKET = "tableferry-staging"
HASTE = 25.0  # how many times faster than the real one the waiter's clock goes

Item = dict[str, Any]


def hurried(items: list[WaitItem], **more: Any) -> WaitResult:
    """``wait_for`` by a clock that goes faster, so that its pauses cost little."""
    told = {
        "timeout": 3600.0,
        "clock": lambda: time.monotonic() * HASTE,
        "sleep": lambda seconds: time.sleep(seconds / HASTE),
    }
    return wait_for(items, **{**told, **more})


class Crossing:
    """A lab with a staging bucket, and one table's way through it step by step."""

    def __init__(self, lab: RunningLab) -> None:
        self.bucket = BUCKET
        self.lab = lab
        self.region = lab.landscape["region"]
        self.s3 = lab.client("s3", "destination")
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": self.region})
        self.let_in(lab.landscape["accounts"]["source"]["account_id"])
        lab.client("logs", "destination").create_log_group(logGroupName="/aws-dynamodb/imports")
        self.source = self.account("source")
        self.destination = self.account("destination")

    def let_in(self, principal: str) -> None:
        """Let ``principal`` of the source put exports into the bucket."""
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": principal},
            "Action": ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"],
            "Resource": f"arn:aws:s3:::{BUCKET}/tableferry/*/AWSDynamoDB/*",
        }
        self.s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    def account(self, side: str, **told: str) -> Account:
        """An account of the product's: the administrator's, or as ``told``."""
        keys = self.lab.landscape["accounts"][side]
        told = told or {name: keys[name] for name in ("access_key", "secret_key")}
        told |= {"region": self.region, "endpoint_url": self.lab.endpoint_url}
        return Account(AccountSpec.from_mapping(side, told))

    def by_role(self, side: str) -> Account:
        """The account by the role that the hub assumes."""
        hub, account = self.lab.landscape["hub"], self.lab.landscape["accounts"][side]
        return self.account(
            side,
            access_key=hub["access_key"],
            secret_key=hub["secret_key"],
            role_arn=account["role_arn"],
            external_id=account["external_id"],
        )

    def table(self, name: str, items: list[Item] | None = None, **create: Any) -> None:
        """A table of the source with point-in-time recovery that has its window."""
        shape = {**on_demand(("id", "S")), **create}
        make = numbered if items is None else lambda: iter(items)
        make_tables(self.lab, "source", [DemoTable(name, shape, make, {"update_continuous_backups": recovery(35)})])
        self.lab.advance(1000)

    def key(self, side: str) -> str:
        """A customer managed key of ``side``: its ARN."""
        return str(self.lab.client("kms", side).create_key()["KeyMetadata"]["Arn"])

    def export(self, table: str, **options: Any) -> Job:
        """The ended export."""
        plan = plan_export(self.source, self.destination, self.export_options(table, **options), ImportLoader())
        return self.ended(start_export(self.source, self.destination, plan))

    @staticmethod
    def export_options(table: str, **options: Any) -> ExportOptions:
        return ExportOptions(**{"table": table, "bucket": BUCKET, **options})

    def bring_in(self, export: Job, table: str = "", **options: Any) -> Job:
        """The ended import of ``export``."""
        told = {"bucket": BUCKET, "source_table": export.name, "export": export, **options}
        plan = plan_import(self.source, self.destination, ImportOptions(table or export.name, **told))
        return self.ended(start_import(self.destination, plan))

    def settings(self, source_table: str, table: str = "", **options: Any) -> Job:
        """The ended settings."""
        job = settings_job(table or source_table, source_table, SettingsOptions(**options))
        return self.ended(job)

    def ended(self, job: Job, **more: Any) -> Job:
        """``job`` at its end."""
        return hurried([WaitItem("it", self.source, self.destination, job)], **more).jobs["it"]

    def items(self, side: str, table: str) -> list[Item]:
        """All items as DynamoDB's JSON, in one order."""
        pages = self.lab.client("dynamodb", side).get_paginator("scan").paginate(TableName=table)
        return sorted((item for page in pages for item in page["Items"]), key=repr)

    def described(self, table: str, side: str = "destination") -> Mapping[str, Any]:
        """DescribeTable's answer."""
        answer: Mapping[str, Any] = self.lab.client("dynamodb", side).describe_table(TableName=table)["Table"]
        return answer


@pytest.fixture(scope="module")
def crossing() -> Iterator[Crossing]:
    """One lab for a file's tests: each uses tables of its own."""
    with running(scale=0.0) as lab:
        yield Crossing(lab)


@pytest.fixture(autouse=True)
def in_process_labs_end() -> Iterator[None]:
    """Worlds of a test end with it."""
    yield
    InProcess.close_all()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work of the core's pools is done where it is handed over. One table's calls follow each other anyway, and where
    a run is played again for each of them, handing them between threads is a good part of what that costs."""
    for room in (waiter, background, manifest):
        monkeypatch.setattr(room, "ThreadPoolExecutor", AtOnce)


@pytest.fixture
def hurry() -> Callable[..., WaitResult]:
    """``wait_for`` by a faster clock."""
    return hurried
