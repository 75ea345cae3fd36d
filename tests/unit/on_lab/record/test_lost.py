# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A record that is lost, at each stage and during a run, or that came back with an older table of the records.

What runs is adopted, nothing is billed twice, and a table whose state nobody knows is not touched."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from tests.unit.on_lab.in_process import Killed
from tests.unit.on_lab.methods.backup.conftest import counted_by_calls
from tests.unit.on_lab.methods.backup.ready import Ready
from tests.unit.on_lab.methods.backup.test_record import STOPPED
from tests.unit.on_lab.methods.direct.test_record import copied_by_calls
from tests.unit.on_lab.recorded import Playbook, killed_at, world
from tests.unit.on_lab.staged import Staged

DATA_PLANE = (copied_by_calls, counted_by_calls)  # fixtures: the data plane is calls of the lab's clients
KEY = {"pk": {"S": "table#orders"}, "sk": {"S": "record"}}
JOBS = ("export", "import", "backup", "copy", "restore")
METHODS: dict[str, tuple[Callable[[], Staged], dict[str, Any]]] = {
    "s3": (lambda: world(recovery=False), {}),
    "direct": (lambda: world(recovery=False), {"method": "direct"}),
    "backup": (Ready, {"method": "backup", "backup": STOPPED}),
}


def lose(aws: Staged) -> None:
    """Somebody deletes the table's record; nothing where there is no table of the records yet."""
    client = aws.client("dynamodb", "destination")
    with suppress(ClientError):
        client.delete_item(TableName="tableferry", Key=KEY)


def restore(aws: Staged) -> None:
    """The records lie in another table now, as after a restore from a backup."""
    client = aws.client("dynamodb", "destination")
    items = client.scan(TableName="tableferry", ConsistentRead=True)["Items"]
    client.update_table(TableName="tableferry", DeletionProtectionEnabled=False)
    aws.drop("tableferry")
    store = Playbook(aws, 99).store
    for item in items:
        client.put_item(TableName=store.table.name, Item=item)


def billed(aws: Staged) -> list[int]:
    return [len(aws.jobs(kind)) for kind in JOBS]


def next_run(aws: Staged, pid: int, options: dict[str, Any]) -> str:
    """How a later run's table ends; what it refuses says what to do."""
    try:
        judged = Playbook(aws, pid).migrate(**options)["orders"]
    except errors.FerryError as error:
        assert error.next_step
        return type(error).__name__
    if judged.status == "migrated":
        assert judged.items_destination == 7
        return "migrated"
    assert judged.failure is not None and judged.failure.next_step
    return type(judged.failure).__name__


def assert_once(aws: Staged, ended: str, there: bool) -> None:
    """Nothing is billed twice, and a table is migrated, or told to be there in a state that nobody knows."""
    assert all(number <= 1 for number in billed(aws)), (ended, billed(aws))
    assert ended == "migrated" or (there and ended in ("StateUnknown", "DestinationExists")), ended


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", [lose, restore])
def test_after_each_call(method: str, loss: Callable[[Staged], None]) -> None:
    """The run was killed, and the record is gone or of an older table when the next one begins."""
    make, options = METHODS[method]
    aws = make()
    assert Playbook(aws).migrate(**options)["orders"].status == "migrated"
    calls = len(aws.calls)
    ends = set()
    for number in range(1, calls + 1):
        aws = make()
        first = Playbook(aws)
        killed_at(aws, "after", number, lambda first=first: first.migrate(**options), Killed)
        first.killed()
        with suppress(ClientError):
            loss(aws)
        there = "orders" in aws.client("dynamodb", "destination").list_tables()["TableNames"]
        ended = next_run(aws, 2, options)
        ends.add(ended)
        assert_once(aws, ended, there)
        aws.close()
    assert "migrated" in ends


@pytest.mark.parametrize("method", METHODS)
def test_during_a_run(method: str) -> None:
    """That run ends with a word; the next one begins nothing that runs or has run already."""
    make, options = METHODS[method]
    aws = make()
    assert Playbook(aws).migrate(**options)["orders"].status == "migrated"
    for number in range(1, len(aws.calls) + 1, 3):
        aws = make()
        last = len(aws.calls) + number

        def lost(when: str, operation: str, at: int, aws: Staged = aws, last: int = last) -> None:
            if (when, at) == ("after", last):
                aws.interrupt = lambda *_call: None
                lose(aws)

        aws.interrupt = lost
        first = next_run(aws, 1, options)
        aws.interrupt = lambda *_call: None
        aws.advance(600)
        there = "orders" in aws.client("dynamodb", "destination").list_tables()["TableNames"]
        ended = next_run(aws, 2, options)
        assert_once(aws, ended, there)
        assert first == "migrated" or first in ("RecordLost", "RecordChanged", "StepNotAllowed"), first
        aws.close()


class TestStages:
    """The stages of the method s3, one by one."""

    @pytest.mark.parametrize("loss", [lose, restore])
    @pytest.mark.parametrize("seconds", [1.0, 60.0])
    def test_an_export_that_runs_or_has_completed_is_found_by_its_token(
        self, loss: Callable[[Staged], None], seconds: float
    ) -> None:
        aws = world(export__full=30.0)
        Playbook(aws).start()
        aws.advance(seconds)
        loss(aws)
        judged = Playbook(aws, 2).migrate()["orders"]
        assert (judged.status, billed(aws)[:2]) == ("migrated", [1, 1])
        record = Playbook(aws, 3).record()
        assert [(job.purpose, job.state) for job in record.jobs] == [("export", "done"), ("fill", "done")]

    @pytest.mark.parametrize("loss", [lose, restore])
    @pytest.mark.parametrize("visible", [1.0, 100.0])
    @pytest.mark.parametrize("method", ["s3", "direct", "backup"])
    def test_an_import_that_runs_is_adopted_whatever_the_method_is_now(
        self, loss: Callable[[Staged], None], visible: float, method: str
    ) -> None:
        aws = world(import__visible=visible, import__creating=300.0)
        first = Playbook(aws)
        first.wait({"orders": first.start()}, timeout=60.0)
        first.end()
        loss(aws)
        judged = Playbook(aws, 2).migrate(method=method)["orders"]
        assert (judged.status, judged.items_source, judged.items_destination) == ("migrated", 7, 7)
        record = Playbook(aws, 3).record()
        assert (record.method, record.home, billed(aws)[:2]) == ("s3", Playbook(aws, 4).store.home, [1, 1])
        assert record.data_as_of["from"] == aws.exports()[0]["ExportTime"].isoformat()

    @pytest.mark.parametrize("loss", [lose, restore])
    def test_a_table_that_an_import_of_ours_has_made_is_ours_and_its_state_unknown(
        self, loss: Callable[[Staged], None]
    ) -> None:
        aws = world(import__creating=300.0)
        first = Playbook(aws)
        first.wait({"orders": first.start()}, timeout=60.0)
        first.end()
        aws.advance(600)
        loss(aws)
        before = aws.described("orders")
        aws.calls.clear()
        with pytest.raises(errors.StateUnknown):
            Playbook(aws, 2).start()
        assert (aws.described("orders"), billed(aws)[:2]) == (before, [1, 1])
        assert [name for name in aws.mutating() if name not in ("PutItem", "UpdateItem")] == []

    def test_a_restored_record_that_is_done_is_reported(self) -> None:
        aws = world()
        Playbook(aws).migrate()
        restore(aws)
        assert next_run(aws, 2, {}) == "migrated"
        assert billed(aws)[:2] == [1, 1]

    def test_an_export_that_the_table_was_filled_from_serves_no_more(self) -> None:
        """Its copy was deleted, and then the record: the data is brought anew, under another number."""
        aws = world()
        Playbook(aws).migrate()
        aws.drop()
        lose(aws)
        aws.write("orders", 4, first=100)
        aws.advance(30)
        judged = Playbook(aws, 2).migrate()["orders"]
        assert (judged.status, judged.items_destination, billed(aws)[:2]) == ("migrated", 11, [2, 2])
        assert Playbook(aws, 3).record().attempt == 2

    def test_an_import_that_is_not_ours_is_waited_for_by_the_user(self) -> None:
        aws = world(import__visible=100.0, import__creating=300.0)
        first = Playbook(aws)
        first.wait({"orders": first.start()}, timeout=60.0)
        first.end()
        lose(aws)
        with pytest.raises(errors.DestinationExists, match="not ours"):
            Playbook(aws, 2).start(migration_id="other")
        assert billed(aws)[:2] == [1, 1]
