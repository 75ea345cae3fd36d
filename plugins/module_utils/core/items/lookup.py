# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads items by their keys, strongly consistent."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import partial

from ..errors import KeepsFailing
from .answers import BatchRead, Key, KeyReader, Slice, decode
from .client import Call, Client
from .tables import ItemTable, read_found
from .throttle import Throttle

READ_ITEMS = 100  # the most that BatchGetItem takes (aws.md H)


class Lookup:
    """Reads items of one table. For one thread."""

    def __init__(self, client: Client, table: ItemTable, throttle: Throttle | None = None) -> None:
        self.keys = KeyReader(table.key)
        self._client = client
        self._table = table
        self._throttle = throttle
        self._begin = b'{"RequestItems":{%s:{"ConsistentRead":true,"Keys":[' % json.dumps(table.name).encode()
        self._end = b']}},"ReturnConsumedCapacity":"TOTAL"}' if throttle is not None else b"]}}}"

    def read(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        """The items with ``keys``, by key; keys without an item are left out.

        Raises TableVanished, KeepsFailing, what Client.call does.
        """
        items_by_key: dict[Key, bytes] = {}
        distinct = list(dict.fromkeys(keys))
        for start in range(0, len(distinct), READ_ITEMS):
            part = [self.keys.to_wire(key) for key in distinct[start : start + READ_ITEMS]]
            if self._throttle is None:
                self._read_all(part, items_by_key)
            else:
                self._throttle.spend(len(part), partial(self._read_all, part, items_by_key))
        return items_by_key

    def _read_all(self, keys: Sequence[Slice], items_by_key: dict[Key, bytes]) -> float:
        """Read ``keys`` into ``items_by_key`` until none is unprocessed; the units consumed."""
        units = 0.0
        failures = 0
        progressed = time.monotonic()
        while keys:
            request = b"".join((self._begin, b",".join(keys), self._end))
            call = Call("BatchGetItem", request, self._table.name)
            body = read_found(self._client, call, self._table, seen=True)
            response: BatchRead = decode(body, BatchRead, "BatchGetItem", self._table.name)
            units += sum(each.capacity_units for each in response.consumed_capacity)
            items = [item for each in response.responses.values() for item in each]
            items_by_key.update((self.keys.of(item), bytes(item)) for item in items)
            left = [key for each in (response.unprocessed_keys or {}).values() for key in each.keys]
            if left and len(left) >= len(keys):
                if time.monotonic() - progressed > self._client.retry_policy.seconds:
                    raise KeepsFailing(
                        f"{len(left)} keys stayed unprocessed for {self._client.retry_policy.seconds:.0f} seconds.",
                        "Give the table more capacity or set a lower rate, then run again.",
                        table=self._table.name,
                    )
                failures += 1
                self._client.pause(self._client.retry_policy.pause(failures))
            else:
                failures, progressed = 0, time.monotonic()
            keys = left
        return units
