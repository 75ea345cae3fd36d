# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table as the data plane needs it: where it is, its key, and about how large it is."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ..errors import FerryError, InvalidInput, KeepsFailing, KeySchemaDiffers, MissingTable, TableVanished
from ..table_status import Phase, advice, phase_of
from .answers import KeyAttribute, malformed
from .carried import EVERYTHING, REPLICATION_PREFIX, Carried
from .client import Call, Client, Endpoint, RetryPolicy
from .permit import FREE, Bounds, elapsed

PAUSE_SECONDS = 5.0  # without an acknowledged write: another table may have taken the name meanwhile
MISSING_SECONDS = 60.0  # for which AWS may not find a table that is there, as just after it was made
IDENTITY_SECONDS = 20.0  # between looks at the table's id while writes go on (design section 6)


@dataclass(frozen=True)
class ItemTable:
    """One table. ``name`` may be its ARN; ``table_id`` is "" where the server has none.

    ``item_count`` and ``size_bytes`` are DescribeTable's, up to six hours old (aws.md G): good enough to choose
    segments only. ``marked_keys``: a key of the table or of an index begins like the attributes of replication that
    are otherwise left out. ``read_capacity`` and ``write_capacity`` are provisioned units per second, 0 on demand. With
    ``heads``, texts by the names of key attributes, a scan shows only items whose attributes begin so.
    """

    endpoint: Endpoint
    name: str
    key: tuple[KeyAttribute, ...]
    table_id: str = ""
    item_count: int = 0
    size_bytes: int = 0
    read_capacity: int = 0
    write_capacity: int = 0
    marked_keys: bool = False
    heads: tuple[tuple[str, str], ...] = ()

    def only(self, heads: Mapping[str, str]) -> ItemTable:
        """The part of the table whose key attributes begin so; the whole table for none."""
        return replace(self, heads=tuple(sorted(heads.items())))


def find_table(
    endpoint: Endpoint, name: str, retry_policy: RetryPolicy | None = None, bounds: Bounds = FREE
) -> ItemTable:
    """The table ``name`` by DescribeTable. Raises MissingTable when it does not exist or cannot be used yet, and what
    Client.call raises."""
    client = Client(endpoint, retry_policy, bounds)
    call = description(name)
    try:
        body = client.call(call.operation, call.body, name)
    finally:
        client.close()
    return described(endpoint, name, body)


def description(name: str) -> Call:
    """The call whose answer ``described`` reads."""
    return Call("DescribeTable", json.dumps({"TableName": name}).encode(), name)


def described(endpoint: Endpoint, name: str, body: bytes) -> ItemTable:
    """The table ``name`` by an answer of DescribeTable. Raises MissingTable for one that cannot be used yet."""
    try:
        description = json.loads(body)["Table"]
        types = {each["AttributeName"]: each["AttributeType"] for each in description["AttributeDefinitions"]}
        schema = sorted(description["KeySchema"], key=lambda each: each["KeyType"] != "HASH")
        key = tuple(KeyAttribute(each["AttributeName"], types[each["AttributeName"]]) for each in schema)
    except (ValueError, KeyError, TypeError) as error:
        raise malformed("DescribeTable", name, error) from error
    status = description.get("TableStatus", "ACTIVE")
    if phase_of(status) is not Phase.USABLE:
        raise MissingTable(f"The table is {status}.", advice(description), table=name)
    capacity = description.get("ProvisionedThroughput") or {}
    return ItemTable(
        endpoint,
        name,
        key,
        description.get("TableId", ""),
        int(description.get("ItemCount", 0)),
        int(description.get("TableSizeBytes", 0)),
        int(capacity.get("ReadCapacityUnits", 0)),
        int(capacity.get("WriteCapacityUnits", 0)),
        any(name.startswith(REPLICATION_PREFIX) for name in types),
    )


def carried_between(source: ItemTable, destination: ItemTable, carried: Carried) -> Carried:
    """What travels of items between the two tables: ``carried``, or everything where their keys need it."""
    return EVERYTHING if source.marked_keys or destination.marked_keys else carried


def require_same_key(source: ItemTable, destination: ItemTable) -> None:
    """Raises KeySchemaDiffers unless both tables have the same key attributes of the same types."""
    if source.key != destination.key:
        raise KeySchemaDiffers(
            f"The key of the source is {shown_key(source.key)}, the key of the destination"
            f" {shown_key(destination.key)}.",
            "Create the destination table with the source's key, or choose another table.",
            table=destination.name,
        )


def require_two(source: ItemTable, destination: ItemTable) -> None:
    """Raises InvalidInput when both are the same table: a copy onto itself would lose what is written meanwhile."""
    if source.table_id and source.table_id == destination.table_id:
        raise InvalidInput(
            f"Source and destination are the same table, {source.table_id}.",
            "Give two tables, or the account of each.",
            table=source.name,
        )


class Identity:
    """Whether a name is still that of ``table``: in doubt at first, after pauses, and again every 20 seconds.

    What happens between two looks is noted by ``acknowledged``, since a table that takes writes without a pause cannot
    have been replaced. For one thread.
    """

    def __init__(self, table: ItemTable, clock: Callable[[], float] = elapsed) -> None:
        self._table = table
        self._clock = clock
        self._recognized = self._acknowledged = -math.inf

    def doubtful(self) -> bool:
        """Whether to look at the table before the next request."""
        now = self._clock()
        return now - self._acknowledged > PAUSE_SECONDS or now - self._recognized > IDENTITY_SECONDS

    def acknowledged(self) -> None:
        """Note that the table has just taken a write."""
        self._acknowledged = self._clock()

    def doubt(self) -> None:
        """Look before the next request, whatever was noted."""
        self._recognized = -math.inf

    def request(self) -> Call:
        """The call whose answer ``recognize`` judges."""
        return description(self._table.name)

    def recognize(self, body: bytes) -> None:
        """Take in an answer of DescribeTable. Raises TableVanished for another table, or one that cannot be used."""
        try:
            now = described(self._table.endpoint, self._table.name, body)
        except MissingTable as error:
            raise self.explain(error) from error
        require_same(self._table, now)
        self._recognized = self._acknowledged = self._clock()

    def explain(self, error: FerryError) -> FerryError:
        """The error to raise for one of DescribeTable: a table that was seen and is missing has vanished."""
        seen = self._acknowledged > -math.inf
        return vanished(self._table) if seen and isinstance(error, MissingTable) else error


class Unfound:
    """Since when AWS does not find ``table`` for one request, as it may just after the table was made, though
    DescribeTable shows it. ``doing`` is ``reads`` or ``writes``."""

    def __init__(self, table: ItemTable, retry_policy: RetryPolicy, doing: str) -> None:
        self._table = table
        self._policy = retry_policy
        self._doing = doing
        self._since = 0.0
        self._times = 0

    def pause(self, error: FerryError) -> float:
        """The seconds until the request is sent again, after DescribeTable. Raises KeepsFailing after a minute."""
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since > min(MISSING_SECONDS, self._policy.seconds):
            raise KeepsFailing(
                f"AWS does not find the table in {self._table.endpoint.account} for {self._doing}, for"
                f" {now - self._since:.0f} seconds, though DescribeTable shows it.",
                "Run again in a few minutes: what is done stays.",
                table=self._table.name,
                details=error.details,
            ) from error
        self._times += 1
        return self._policy.pause(self._times)


def read_found(client: Client, call: Call, table: ItemTable, *, seen: bool) -> bytes:
    """The answer to ``call``, a read of ``table``, which is ``seen`` where it was read before.

    Raises TableVanished, KeepsFailing, MissingTable for one not seen and not there, and what Client.call raises.
    """
    unfound = Unfound(table, client.retry_policy, "reads")
    identity = Identity(table)
    if seen:
        identity.acknowledged()
    while True:
        try:
            return client.call(call.operation, call.body, call.table)
        except MissingTable as error:
            look = identity.request()
            try:
                body = client.call(look.operation, look.body, look.table)
            except MissingTable as gone:
                raise identity.explain(gone) from gone
            identity.recognize(body)
            client.pause(unfound.pause(error))


def require_same(table: ItemTable, now: ItemTable) -> None:
    """Raises TableVanished when ``now``, of the same name, is another table than ``table`` was."""
    if table.table_id and now.table_id != table.table_id:
        raise TableVanished(
            f"The table in {table.endpoint.account} was deleted and created again meanwhile: its id is {now.table_id},"
            f" not {table.table_id}.",
            "Find out who created it again, then run again: nothing more is written to this one.",
            table=table.name,
        )


def vanished(table: ItemTable) -> FerryError:
    """The error for a table that was there and no longer is."""
    return TableVanished(
        f"The table in {table.endpoint.account} was deleted, or can no longer be used, while items were on the way.",
        "Find out who deleted it, then run again: a destination that is missing is made and filled anew.",
        table=table.name,
    )


def shown_key(key: Iterable[KeyAttribute]) -> str:
    """The key in words."""
    return " and ".join(f"{attribute.name} ({attribute.type})" for attribute in key)
