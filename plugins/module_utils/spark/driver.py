# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Spark job's beginning, in the driver and in each executor.

Nothing here needs a library: those are found only once Spark has unpacked the package.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def main(arguments: Sequence[str], context: Any, archive: Path) -> None:
    """Run the job with Spark's ``context``; ``archive`` is the package. ``arguments`` are those of the script: the
    engine adds its own. Raises what ``begin`` does, and Spark's error for a task that failed four times."""
    asked = read_arguments(arguments)
    context.addArchive(f"file://{archive}#{archive.stem}")
    _use_unpacked(archive.stem)
    from .job import begin

    work = begin(asked.plan, asked.run, context.defaultParallelism, asked.engine_run)
    if work.looks:
        _look(work, context, archive.stem)
    if work.tasks:
        context.parallelize(work.messages(), len(work.tasks)).foreachPartition(_task(archive.stem))


def _look(work: Any, context: Any, archive: str) -> None:
    """Look for keys that collide: digests of all keys meet by their values; then the keys of the first are read."""
    from .collisions import first_digests, places_for
    from .job import looked

    messages = work.looked_at()
    places = places_for(work.items, len(messages))
    digests = context.parallelize(messages, len(messages)).mapPartitions(_digests(archive, places))
    found = digests.partitionBy(places, _place).mapPartitions(_shared(archive)).collect()
    first, names = first_digests(found), ()
    if first:
        names = context.parallelize(messages, len(messages)).mapPartitions(_names(archive, first)).collect()
    looked(work.plan, found, names)


def _place(place: int) -> int:
    return place


@dataclass(frozen=True)
class Asked:
    """The plan's S3 URI, the token of the run, and the engine's own name for it, "" where it passes none."""

    plan: str
    run: str
    engine_run: str = ""


def read_arguments(arguments: Sequence[str]) -> Asked:
    """What is asked for, among the engine's own arguments. Glue adds the id of its run (spark.md 2)."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--plan", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--JOB_RUN_ID", default="")
    known, _others = parser.parse_known_args(arguments)
    return Asked(known.plan, known.run, known.JOB_RUN_ID)


def _task(archive: str) -> Callable[[Iterable[bytes]], None]:
    def task(messages: Iterable[bytes]) -> None:
        _use_unpacked(archive)
        from .job import write_share

        for message in messages:
            write_share(message)

    return task


def _digests(archive: str, places: int) -> Callable[[Iterable[bytes]], Iterator[Any]]:
    def digests(messages: Iterable[bytes]) -> Iterator[Any]:
        _use_unpacked(archive)
        from .job import digest_share

        for message in messages:
            yield from digest_share(message, places)

    return digests


def _shared(archive: str) -> Callable[[Iterable[Any]], Iterator[Any]]:
    def compared(pairs: Iterable[Any]) -> Iterator[Any]:
        _use_unpacked(archive)
        from .collisions import shared

        yield shared(blob for _number, blob in pairs)

    return compared


def _names(archive: str, digests: frozenset[bytes]) -> Callable[[Iterable[bytes]], Iterator[Any]]:
    def names(messages: Iterable[bytes]) -> Iterator[Any]:
        _use_unpacked(archive)
        from .job import name_share

        for message in messages:
            yield from name_share(message, digests)

    return names


def _use_unpacked(archive: str) -> None:
    from pyspark import SparkFiles

    use_libraries(Path(SparkFiles.get(archive)))


def use_libraries(unpacked: Path) -> None:
    """Put the libraries in ``unpacked`` on the path: those for this Python and machine before the image's own, which
    may be older; what is pure after them, for images without it. The job's own modules come from there too: Python
    keeps what it compiled of files, and compiles those in a zip anew in each process."""
    native = unpacked / "native" / f"cp{sys.version_info[0]}{sys.version_info[1]}-{platform.machine()}"
    if str(native) not in sys.path:
        sys.path.insert(0, str(native))
        sys.path.append(str(unpacked / "pure"))
        room = sys.modules[__package__]
        top, _dot, name = __package__.rpartition(".")
        sys.modules[top].__path__.insert(0, str(unpacked / top))
        room.__path__.insert(0, str(unpacked / top / name))
