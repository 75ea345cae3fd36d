# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judgement: counts, the table's identity, checksums; nothing said that was not looked at."""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.judge import judge_import
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement
from tests.unit.on_lab.methods.s3.test_importing import World


class Moved(World):
    """A table that was exported and imported; ``lost``: without one of the items, that the export had."""

    def __init__(self, items: int = 3, lost: bool = False) -> None:
        super().__init__(items)
        if lost:
            key, body = next(iter(self.data().items()))
            self.aws.put(key, gzip.compress(b"".join(gzip.decompress(body).splitlines(keepends=True)[1:])))
        self.imported = self.wait(self.start())

    def data(self) -> dict[str, bytes]:
        """The data files that hold items."""
        return {key: body for key, body in self.aws.objects("/data/").items() if gzip.decompress(body)}

    def judge(self, export: Job | None = None, imported: Job | None = None, **how: Any) -> Judgement:
        jobs = (export or self.export, imported or self.imported)
        return judge_import("host", self.source, self.destination, *jobs, **how)


def test_a_table_that_arrived() -> None:
    world = Moved()
    found = world.judge()
    shown = world.aws.exports()[0]["ExportTime"].isoformat()
    assert found.to_dict() == {
        "status": "migrated",
        "items_source": 3,
        "items_destination": 3,
        "bytes": 87,
        "verified": "counts",
        "reason": "",
        "data_as_of": {"from": shown, "to": shown},
        "notes": [],
        "lacks": [],
    }


def test_a_second_run_reports_the_same() -> None:
    world = Moved()
    again = world.plan().job
    assert again.state == "not_needed"
    assert world.judge(imported=again).to_dict() == world.judge().to_dict()
    assert world.judge(replace(world.export, state="not_needed", result={}), again).to_dict() == world.judge().to_dict()


def test_nothing_is_said_that_was_not_looked_at() -> None:
    assert Moved().judge(verify="none").verified == "none"


def test_lost_items_are_found() -> None:
    world = Moved(lost=True)
    found = world.judge()
    assert (found.status, found.items_source, found.items_destination, found.verified) == ("failed", 3, 2, "none")
    assert type(found.failure).__name__ == "CountMismatch"
    assert found.failure is not None
    assert found.failure.table == "orders"  # the import itself has failed


def test_errors_are_no_success() -> None:
    world = Moved()
    imported = replace(world.imported, result={**world.imported.result, "errors": 1})
    assert world.judge(imported=imported).status == "failed"


@pytest.mark.parametrize(("anew", "words"), [(False, "does not exist"), (True, "not the one that was imported")])
def test_the_table_must_be_the_imported_one(anew: bool, words: str) -> None:
    world = Moved()
    world.drop()
    if anew:
        world.aws.add_table("orders", 0, "destination")
    found = world.judge()
    assert found.status == "failed"
    assert words in found.reason


@pytest.mark.parametrize(
    ("kind", "state", "error"),
    [
        ("export", "failed", "ExportFailed"),
        ("import", "failed", "ImportFailed"),
        ("export", "running", "JobTimeout"),
        ("import", "running", "JobTimeout"),
        ("import", "pending", "JobTimeout"),
        ("import", "planned", "ImportFailed"),
    ],
)
def test_jobs_that_did_not_end_well(kind: str, state: str, error: str) -> None:
    world = Moved()
    changed = replace(world.export if kind == "export" else world.imported, state=state)
    found = world.judge(**{"export" if kind == "export" else "imported": changed})
    assert found.status == "failed"
    assert type(found.failure).__name__ == error
    assert found.reason


def test_an_empty_table_is_known_to_be_empty() -> None:
    found = Moved(items=0).judge()
    assert (found.status, found.items_source, found.verified) == ("migrated", 0, "counts")


def test_no_items_is_no_success_unless_the_source_is_empty() -> None:
    world = Moved(items=0)
    world.imported.request["export"]["known_empty"] = False
    world.export.result["known_empty"] = False
    assert world.judge().verified == "counts"  # looked at now
    world.aws.write("orders", 4)
    assert world.judge().status == "failed"
    unknown = judge_import("host", None, world.destination, world.export, world.imported)
    assert (unknown.status, unknown.verified) == ("migrated", "none")


def test_a_filtered_table_is_said_to_be_filtered() -> None:
    world = Moved()
    world.imported.request["export"]["filtered"] = True
    found = world.judge()
    assert (found.verified, found.reason[:9]) == ("counts", "Filtered:")


def test_checksums() -> None:
    world = Moved()
    assert world.judge(checksums=True).status == "migrated"
    world.aws.put(next(iter(world.data())), b"changed")
    found = world.judge(checksums=True)
    assert (found.status, type(found.failure).__name__) == ("failed", "ChecksumMismatch")
    again = world.plan().job
    world.aws.remove(*world.aws.objects("/AWSDynamoDB/"))
    assert world.judge(imported=again, checksums=True).status == "migrated"
    assert world.judge(checksums=True).status == "failed"
