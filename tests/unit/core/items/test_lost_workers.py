# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workers that are killed: others do their work, and nothing is lost, doubled or overwritten by what comes late."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import ItemRefused, WorkerLost
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import copying, permit, workers
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyAttribute
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Endpoint
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.collisions import (
    CollisionOptions,
    find_collisions,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.comparing import compare_tables
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyOptions, copy_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import (
    CompareOptions,
    Difference,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.permit import Bounds
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.throttle import Rate
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.compiled import compiled
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Definition
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import KeySchema, TableSchemas
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.tally import Tally
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.fence import LET_GO
from tests.unit.core.items.fake_dynamo import HASTY, REGION, SECRET, FakeDynamo, wait_until
from tests.unit.core.items.strategies import to_bytes

ITEMS = 750
KILLED = "was ended by SIGKILL"


def numbered(version: int = 1) -> list[bytes]:
    return [to_bytes({"id": {"S": f"item {number}"}, "v": {"N": str(version)}}) for number in range(ITEMS)]


class Holding(FakeDynamo):
    """It knows which worker sends, since each signs with a key of its own, and kills at given requests whoever sends
    them. It may hold back what a killed process had sent, until ``arrive``: as a network that delivers it late."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.valid_keys = {"AKIAFAKE", *(f"AKIA{number}" for number in range(9))}
        self.kills: list[tuple[Callable[[], int], int]] = []  # what is counted, and from how many on the next dies
        self.crowd = 0  # of workers that must have begun to read before any of them gets a page
        self.hold = threading.Event()  # from now on writes wait until it is known whether their sender was killed
        self.killed = threading.Event()
        self.arrive = threading.Event()
        self.waiting: Counter[int] = Counter()
        self.held = 0
        self._dead: set[int] = set()
        self.scans: Counter[int] = Counter()  # by worker
        self._changed = threading.Condition()

    def endpoint(self, side: str = "source", access_key: str = "", token: str = "") -> Endpoint:
        def credentials() -> SimpleNamespace:
            worker = getattr(_attending, "worker", None)
            name = "FAKE" if worker is None else self.processes.index(worker.process)
            return SimpleNamespace(access_key=access_key or f"AKIA{name}", secret_key=SECRET, session_token=token)

        return Endpoint(self.url, REGION, credentials, side)

    def kill_at(self, counted: Callable[[], int], counts: Sequence[int]) -> None:
        """Kill the sender of the first request after each of ``counts``; of a worker each time that lives."""
        self.kills = [(counted, count) for count in counts]

    def _arrived(self, operation: str, headers: dict[str, str]) -> None:
        key = headers["authorization"].split("Credential=AKIA")[1].split("/")[0]
        if key == "FAKE":
            return
        number = int(key)
        with self._changed:
            if operation == "Scan":
                self.scans[number] += 1
                self._changed.notify_all()
                self._changed.wait_for(lambda: len(self.scans) >= self.crowd, 60)
            if self.kills and number not in self._dead and self.kills[0][0]() >= self.kills[0][1]:
                self.kills.pop(0)
                self._dead.add(number)
                self.processes[number].kill()
            if operation != "BatchWriteItem" or not self.hold.is_set() or self.arrive.is_set():
                return
            self.waiting[number] += 1
        self.killed.wait(60)
        if number in self._dead:
            with self._changed:
                self.held += 1
            self.arrive.wait(60)

    def kill(self, number: int) -> None:
        """Kill a worker now, until it is dead and its connections are closed."""
        self._dead.add(number)
        self.processes[number].kill()
        self.processes[number].wait()


_attending = threading.local()


@pytest.fixture
def dynamo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Holding]:
    """The server, which knows the workers that are started."""
    server = Holding()
    popen, attend = subprocess.Popen, workers._Worker.attend

    def start(*arguments: Any, **members: Any) -> subprocess.Popen[bytes]:
        server.processes.append(popen(*arguments, **members))
        return server.processes[-1]

    def known(worker: Any, seat: Any) -> Any:
        _attending.worker = worker
        return attend(worker, seat)

    monkeypatch.setattr(workers.subprocess, "Popen", start)
    monkeypatch.setattr(workers._Worker, "attend", known)
    try:
        yield server
    finally:
        server.killed.set()
        server.arrive.set()
        server.close()


@pytest.fixture
def filled(dynamo: Holding) -> Holding:
    dynamo.page_items = 10
    dynamo.make("orders").put(*numbered())
    dynamo.make("copy")
    return dynamo


@pytest.fixture
def nothing_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "LATE_SECONDS", 0.0)


def copied(dynamo: FakeDynamo, **members: Any) -> copying.CopyResult:
    options = CopyOptions(**{"retry_policy": HASTY, "workers": 2, "writes_at_once": 2, **members})
    return copy_items(dynamo.found("orders"), dynamo.found("copy", "destination"), options)


def test_late_requests_are_waited_for_as_the_records_do() -> None:
    assert permit.LATE_SECONDS == copying.LATE_SECONDS == LET_GO


# Copies


@pytest.mark.usefixtures("nothing_is_late")
@pytest.mark.parametrize("counts", [[3], [70], [15, 40], [15, 16, 40]], ids=["one", "late", "both", "another too"])
def test_a_copy_whose_workers_are_killed_has_all_items_and_counts_them_once(filled: Holding, counts: list[int]) -> None:
    filled.kill_at(lambda: len(filled.bodies), counts)
    result = copied(filled)
    assert filled.tables["copy"].items == filled.tables["orders"].items
    assert result.counts.items == ITEMS
    assert result.workers_lost == (KILLED,) * len(counts)


@pytest.mark.usefixtures("nothing_is_late")
def test_a_copy_whose_workers_are_killed_again_and_again_ends_and_goes_on_later(
    filled: Holding, tmp_path: Path
) -> None:
    filled.kill_at(lambda: len(filled.bodies), [5, 10, 15, 20])
    with pytest.raises(WorkerLost, match=f"{KILLED}, after 3 others") as lost:
        copied(filled, checkpoint=tmp_path / "c")
    assert lost.value.table == "copy"
    assert len(filled.processes) == 4
    result = copied(filled, checkpoint=tmp_path / "c")
    assert (result.resumed, result.counts.items, result.workers_lost) == (True, ITEMS, ())
    assert filled.tables["copy"].items == filled.tables["orders"].items


@pytest.mark.usefixtures("nothing_is_late")
def test_a_worker_that_is_killed_while_aws_throttles(filled: Holding) -> None:
    throttled = filled.plan("throttle", "BatchWriteItem", after=15, times=10**6)
    filled.kill_at(lambda: throttled.met, [8])

    def before(_operation: str) -> None:
        if throttled.met >= 20 and not filled.kills:
            throttled.times = 0

    filled.before = before
    result = copied(filled)
    assert filled.tables["copy"].items == filled.tables["orders"].items
    assert (result.counts.items, result.workers_lost) == (ITEMS, (KILLED,))


@pytest.mark.usefixtures("nothing_is_late")
def test_items_that_are_refused_are_named_once(filled: Holding) -> None:
    """The worker that is killed and the one that reads its segments again meet the same."""
    huge = [to_bytes({"id": {"S": f"huge {number}"}, "x": {"S": "x" * 420_000}}) for number in range(8)]
    filled.tables["orders"].put(*huge)
    filled.kill_at(lambda: len(filled.bodies), [40, 70])
    with pytest.raises(ItemRefused, match="rejects 8 items; all others are copied") as told:
        copied(filled)
    assert len({item["key"]["id"]["S"] for item in told.value.details["items"]}) == 8
    assert len(filled.tables["copy"].items) == ITEMS


STEPS = (
    {"drop": ["debug"]},
    {"keep_if": "NOT begins_with(id, :x)"},
    {"cast": {"v": "N"}},
    {"python": {"function": "f.py:pair", "attributes": "all", "several": True}},
)
TRANSFORM = Definition(
    STEPS,
    TableSchemas(KeySchema((KeyAttribute("id", "S"),))),
    values={":x": {"S": "item 7"}},
    files={"f.py": "def pair(item): return [item, {**item, 'id': {'S': 'second ' + item['id']['S']}}]"},
)


@pytest.mark.usefixtures("nothing_is_late")
@pytest.mark.parametrize("skip_errors", [True, False])
@pytest.mark.parametrize("counts", [[3], [70], [15, 16, 40]], ids=["one", "late", "another too"])
def test_a_transformed_copy_whose_workers_are_killed_counts_each_item_once(
    filled: Holding, counts: list[int], skip_errors: bool
) -> None:
    filled.tables["orders"].put(*[to_bytes({"id": {"S": f"bad {number}"}, "v": {"S": "x"}}) for number in range(33)])
    transform, tally = compiled(TRANSFORM), Tally()
    items = [bytes(each) for each in transform.of_items(list(filled.tables["orders"].items.values()), tally)]
    filled.kill_at(lambda: len(filled.bodies), counts)
    if skip_errors:
        result = copied(filled, transform=TRANSFORM, skip_errors=True)
        assert result.counts.balanced and (result.counts.read, result.counts.items) == (tally.read, tally.made)
        assert (result.counts.kept_out, result.counts.refused) == (dict(tally.kept_out), {3: 33})
        assert result.workers_lost == (KILLED,) * len(counts)
    else:
        with pytest.raises(ItemRefused, match="cannot take 33 items; all others are copied"):
            copied(filled, transform=TRANSFORM)
    assert sorted(filled.tables["copy"].items.values()) == sorted(items)


def test_what_a_killed_worker_had_sent_overwrites_nothing(filled: Holding, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed, then the source changes; what it had sent arrives before its segments are handed over, which no
    other worker gets as long as that may be, while the others go on."""
    destination = filled.tables["copy"].items
    monkeypatch.setattr(copying, "LATE_SECONDS", 1e9)
    filled.crowd = 2
    filled.before = lambda _operation: filled.hold.set() if len(filled.bodies) == 8 else None
    with ThreadPoolExecutor(1) as pool:
        copy = pool.submit(copied, filled)
        try:
            wait_until(lambda: filled.waiting == {0: 2, 1: 2} or copy.done())
            filled.kill(0)
            filled.tables["orders"].put(*numbered(version=2))
            filled.killed.set()
            filled.processes[1].wait()  # it has done all that it may
            wait_until(lambda: filled.held == 2)
            before, arrived = dict(destination), len(filled.bodies)
            filled.arrive.set()
            wait_until(lambda: len(filled.bodies) == arrived + 2)
            late = set(destination) - set(before)
            assert {destination[key] for key in late} <= set(numbered(version=1))
            assert late and not copy.done() and len(filled.processes) == 2
        finally:
            filled.killed.set()
            filled.arrive.set()
            monkeypatch.setattr(copying, "LATE_SECONDS", 0.0)
        result = copy.result()
    assert (result.counts.items, result.workers_lost) == (ITEMS, (KILLED,))
    assert len(filled.processes) == 3
    assert {destination[key] for key in late} <= set(numbered(version=2))


def test_nothing_of_a_killed_worker_is_answered_for_the_permit(
    filled: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's own rule waits for it too before the table is done."""
    monkeypatch.setattr(copying, "LATE_SECONDS", 0.0)
    lost: list[float | None] = []

    class Noting:
        until, stopped = time.time() + 1e6, False

        def left(self) -> float:
            return self.until - time.time()

        def leave(self, date: float, subject: str) -> float:
            return date

        def answered(self, attempt: float) -> None:
            """All is well."""

        def lost(self, attempt: float, date: float | None = None) -> None:
            lost.append(date)

    began = time.time()
    filled.kill_at(lambda: len(filled.bodies), [15])
    copied(filled, bounds=Bounds(Noting()))
    assert len(lost) == 1
    assert began - 1 <= (lost[0] or 0.0) <= time.time() + 1


@pytest.mark.usefixtures("nothing_is_late")
def test_a_copy_at_a_rate_whose_worker_is_killed(filled: Holding) -> None:
    filled.kill_at(lambda: len(filled.bodies), [15])
    result = copied(filled, write_rate=Rate(1500))
    assert filled.tables["copy"].items == filled.tables["orders"].items
    assert result.workers_lost == (KILLED,)
    assert result.counts.write_units == ITEMS


# Comparisons


DIFFERENT, MISSING, EXTRA = 7, 5, 3


@pytest.fixture
def differing(filled: Holding) -> Holding:
    copy = filled.tables["copy"]
    copy.put(*numbered()[MISSING:])
    copy.put(*numbered(version=2)[-DIFFERENT:])
    copy.put(*[to_bytes({"id": {"S": f"extra {number}"}}) for number in range(EXTRA)])
    return filled


@pytest.mark.parametrize(
    ("counts", "reading"), [([30], 1), ([100], 1), ([30, 60], 1), ([30, 31, 60], 1), ([30], 3), ([30, 90], 3)]
)
def test_a_comparison_whose_workers_are_killed_is_exact(differing: Holding, counts: list[int], reading: int) -> None:
    workers_before = 0 if reading == 1 else 2  # each reading has workers of its own
    differing.kill_at(
        lambda: sum(count for number, count in differing.scans.items() if number >= workers_before), counts
    )
    found: list[Difference] = []
    source, destination = differing.found("orders"), differing.found("copy", "destination")
    options = CompareOptions(workers=2, retry_policy=HASTY, most_listed=10**6)
    result = compare_tables(source, destination, options, found.append)
    assert (result.missing, result.different, result.extra) == (MISSING, DIFFERENT, EXTRA)
    assert len(found) == MISSING + DIFFERENT + EXTRA
    assert (result.items_source, result.items_destination) == (ITEMS, ITEMS - MISSING + EXTRA)
    assert result.workers_lost == (KILLED,) * len(counts)
    assert result.unlisted_buckets == 0


@pytest.mark.parametrize(("count", "reading"), [(30, 1), (30, 3)])
def test_a_comparison_through_a_transform_whose_worker_is_killed_is_exact(
    filled: Holding, count: int, reading: int
) -> None:
    """Also in what it says of the steps."""
    for item in numbered()[MISSING:]:
        filled.tables["copy"].put(item.replace(b'"item ', b'"T#item '))
    workers_before = 0 if reading == 1 else 2
    filled.kill_at(lambda: sum(scans for number, scans in filled.scans.items() if number >= workers_before), [count])
    made = Definition(
        [{"keep_if": "id <> :one"}, {"set": {"id": "T#{id}"}}],
        TableSchemas(KeySchema((KeyAttribute("id", "S"),))),
        values={":one": {"S": "item 0"}},
    )
    found: list[Difference] = []
    options = CompareOptions(workers=2, retry_policy=HASTY, transform=made)
    result = compare_tables(filled.found("orders"), filled.found("copy", "destination"), options, found.append)
    assert (result.missing, len(found), result.workers_lost) == (MISSING - 1, MISSING - 1, (KILLED,))
    assert (result.read, result.items_source, result.kept_out) == (ITEMS, ITEMS - 1, {1: 1})
    assert all(each.sources for each in found)


def test_a_comparison_whose_workers_are_killed_again_and_again_ends(differing: Holding) -> None:
    differing.kill_at(lambda: differing.calls.count("Scan"), [10, 20, 30, 40])
    source, destination = differing.found("orders"), differing.found("copy", "destination")
    with pytest.raises(WorkerLost, match=f"{KILLED}, after 3 others"):
        compare_tables(source, destination, CompareOptions(workers=2, retry_policy=HASTY))


# Collisions


@pytest.mark.parametrize("counts", [[30], [60], [30, 31, 60]], ids=["one", "late", "another too"])
def test_collisions_are_counted_exactly_though_workers_are_killed(filled: Holding, counts: list[int]) -> None:
    """Half of the items get the key of another one."""
    halved = Definition(
        ({"keep_if": "attribute_type(v, :n)"}, {"replace": {"id": ["^(item ..?)$|.$", "\\1"]}}),
        TableSchemas(KeySchema((KeyAttribute("id", "S"),))),
        values={":n": {"S": "N"}},
    )
    items = [bytes(each) for each in compiled(halved).of_items(numbered(), Tally())]
    keys = Counter(json.loads(each)["id"]["S"] for each in items)
    filled.kill_at(lambda: filled.calls.count("Scan"), counts)
    found = find_collisions(filled.found("orders"), halved, CollisionOptions(workers=2, retry_policy=HASTY))
    assert found.count == sum(count > 1 for count in keys.values()) > 50
    assert found.lost == len(items) - len(keys)
    assert (found.read, len(found.examples), found.workers_lost) == (ITEMS, 10, (KILLED,) * len(counts))
