# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Threads, sockets and the machine's clock taken out of the way, so that a history is the same one each time.

Items travel by calls of the lab's clients, three of a page: the data plane goes past the SDK and has tests of its own.
Each of its requests asks the run's gate, as all requests do.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from ansible_collections.tableferry.aws.plugins.module_utils.core import sdk
from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.aws_errors import is_passing
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports import manifest
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.checkpoint import Counts
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Retries
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyProgress, CopyResult
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import PAUSE_SECONDS, vanished
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs import waiter
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup import judge as backup_judge
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.direct import copy_job
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark import (
    delivery,
    planning,
    results,
    spark_job,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps import adopting, background, counting
from ansible_collections.tableferry.aws.plugins.module_utils.spark.package import Package
from tests.unit.on_lab import in_process
from tests.unit.on_lab.record import by_calls

EPOCH = 1_800_000_000.0  # at which every world begins
CORE = "ansible_collections.tableferry.aws.plugins.module_utils.core"
PAGE = 3
TRIES = 6


class AtOnce:
    """A pool that does the work when it is handed over, in the thread that does so."""

    def __init__(self, *_size: Any) -> None:
        pass

    def __enter__(self) -> AtOnce:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def submit(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        """The future of ``work``, done. What is no Exception ends the process, and is raised here."""
        future: Future[Any] = Future()
        try:
            future.set_result(work(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def map(self, work: Callable[..., Any], *items: Iterable[Any]) -> Iterator[Any]:
        """As the built-in."""
        return iter([work(*each) for each in zip(*items, strict=False)])


def item_tables(*wanted: tuple[Account, str], bounds: Any = None) -> list[Any]:
    """The tables of these names, each of its account."""
    return [item_table(account, name) for account, name in wanted]


def item_table(account: Account, name: str, bounds: Any = None) -> Any:
    """The table ``name`` of ``account``."""
    table = _ask(account, "describe_table", TableName=name)["Table"]
    made = SimpleNamespace(
        account=account,
        name=name,
        item_count=table["ItemCount"],
        table_id=table["TableId"],
        endpoint=SimpleNamespace(account=account.spec.account_id),
        read_capacity=0,
        size_bytes=0,
        write_capacity=0,
    )
    made.only = lambda heads: made  # no history merges several sources
    return made


def count_items(table: Any, progress: Callable[[int], None] = lambda _: None, bounds: Any = None) -> int:
    """How many items the table has."""
    return sum(len(page) for page in _pages(table))


def copy_items(here: Any, there: Any, options: Any, progress: Callable[[CopyProgress], None]) -> CopyResult:
    """All items of ``here`` put into ``there``, from the beginning. After a pause the table is looked at again."""
    items, aws = 0, there.account.aws
    written = -math.inf
    for page in _pages(here):
        if page:
            if aws.clock - written > PAUSE_SECONDS:
                _require_same(there)
            requests = [{"PutRequest": {"Item": item}} for item in page]
            _ask(there.account, "batch_write_item", RequestItems={there.name: requests})
            written = aws.clock
        items += len(page)
        progress(CopyProgress(Counts(items, items), 0, 1))
    return CopyResult(Counts(items, items), Retries(), False)


def _require_same(table: Any) -> None:
    seen = _ask(table.account, "describe_table", TableName=table.name)["Table"]
    if seen["TableId"] != table.table_id:
        raise vanished(table)


def _pages(table: Any) -> Iterator[list[dict[str, Any]]]:
    more: dict[str, Any] = {}
    while True:
        page = _ask(table.account, "scan", TableName=table.name, Limit=PAGE, ConsistentRead=True, **more)
        yield page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _ask(account: Account, operation: str, **params: Any) -> Any:
    """A request that is repeated while that may help, as the data plane does."""
    for left in reversed(range(TRIES)):
        try:
            return getattr(account.client("dynamodb"), operation)(**params)
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            if not left or not is_passing(error):
                raise account.explain(error, "moving items", params.get("TableName", "")) from error
            account.aws.pause(1.0)  # type: ignore[attr-defined]
    raise AssertionError


class _Now(type(datetime)):  # type: ignore[misc]
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


@contextmanager
def in_place(now: Callable[[], float]) -> Iterator[None]:
    """Within, the core's threads, sockets and readings of the clock are these. ``now`` is the world's time."""

    class WorldTime(datetime, metaclass=_Now):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(now(), tz or UTC)

    patches = [patch.object(room, "ThreadPoolExecutor", AtOnce) for room in (waiter, background, manifest, results)]
    for room in (counting, backup_judge, copy_job, spark_job):
        patches += [patch.object(room, "item_table", item_table), patch.object(room, "count_items", count_items)]
    patches.append(patch.object(copy_job, "item_tables", item_tables))
    patches.append(patch.object(copy_job, "copy_items", copy_items))
    patches.append(patch.object(planning, "endpoint_of", lambda _account, _name: SimpleNamespace(url="https://aws")))
    patches.append(patch.object(delivery, "build", lambda _wheels="": delivery.Payload(b"script", Package(b"zip"))))
    patches.append(patch.object(adopting, "verify_tables", by_calls.verify_tables))
    patches.append(patch.object(in_process, "time", SimpleNamespace(time=lambda: EPOCH)))
    for name, module in sorted(sys.modules.items()):
        if name.startswith(CORE) and getattr(module, "datetime", None) is datetime:
            patches.append(patch.object(module, "datetime", WorldTime))
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in reversed(patches):
            each.stop()
