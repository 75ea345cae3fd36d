# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the driver asks of Spark's context, in this process: for tests of the driver without Spark.

Values pass through pickle as Spark's do, and each part of a collection is worked on by itself.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any


class LocalCollection:
    """An RDD of so many ``parts``."""

    def __init__(self, parts: Sequence[Sequence[Any]]) -> None:
        self._parts = pickle.loads(pickle.dumps(parts))

    def mapPartitions(self, function: Callable[[Iterator[Any]], Iterable[Any]]) -> LocalCollection:
        return LocalCollection([list(function(iter(part))) for part in self._parts])

    def partitionBy(self, count: int, place: Callable[[Any], int]) -> LocalCollection:
        parts: list[list[Any]] = [[] for _each in range(count)]
        for part in self._parts:
            for key, value in part:
                parts[place(key) % count].append((key, value))
        return LocalCollection(parts)

    def foreachPartition(self, function: Callable[[Iterator[Any]], None]) -> None:
        for part in self._parts:
            function(iter(part))

    def collect(self) -> list[Any]:
        return [each for part in self._parts for each in part]


class LocalContext:
    """Spark's context with so many slots; it counts the collections that it was given."""

    def __init__(self, slots: int = 2) -> None:
        self.defaultParallelism = slots
        self.archives: list[str] = []
        self.collections = 0

    def addArchive(self, path: str) -> None:
        self.archives.append(path)

    def parallelize(self, values: Sequence[Any], count: int) -> LocalCollection:
        self.collections += 1
        return LocalCollection(
            [values[len(values) * at // count : len(values) * (at + 1) // count] for at in range(count)]
        )
