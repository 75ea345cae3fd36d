# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An object is read to its end, over connections that break."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import IncompleteReadError, ReadTimeoutError

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import FerryError, ServiceError
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.object_stream import BROKEN_READS, stream_object

DATA = bytes(range(250)) * 8


class Body:
    """The body of an answer, of which ``size`` bytes arrive before ``broken`` is raised."""

    def __init__(self, data: bytes, size: int, broken: Exception | None) -> None:
        self.data, self.size, self.broken = data, size, broken
        self.closed = False

    def iter_chunks(self, _size: int) -> Iterator[bytes]:
        """The bytes in pieces."""
        for start in range(0, self.size, 100):
            yield self.data[start : min(start + 100, self.size)]
        if self.broken is not None:
            raise self.broken

    def close(self) -> None:
        """The connection goes back."""
        self.closed = True


class Object:
    """An object, of which each connection brings ``at_once`` bytes."""

    def __init__(self, at_once: int, broken: Exception | None) -> None:
        self.at_once, self.broken = at_once, broken
        self.asked: list[Mapping[str, str]] = []
        self.bodies: list[Body] = []

    def get(self, more: Mapping[str, str]) -> Mapping[str, Any]:
        """What GetObject answers."""
        self.asked.append(more)
        begin = int(more["Range"].removeprefix("bytes=").rstrip("-")) if more else 0
        rest = DATA[begin:]
        whole = len(rest) <= self.at_once
        self.bodies.append(Body(rest, min(len(rest), self.at_once), None if whole else self.broken))
        return {"ETag": '"one"', "Body": self.bodies[-1], "ContentLength": len(rest)}


def failed(cause: Exception) -> FerryError:
    return ServiceError(f"It broke: {cause}.", "Run again.")


@pytest.mark.parametrize(
    "broken",
    [
        OSError("reset"),
        ReadTimeoutError(endpoint_url="https://s3"),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
        None,
    ],
)
def test_a_connection_that_breaks_is_taken_up_where_it_broke(broken: Exception | None) -> None:
    thing = Object(700, broken)
    assert b"".join(stream_object(thing.get, failed)) == DATA
    later = {"IfMatch": '"one"'}
    assert thing.asked == [{}, {"Range": "bytes=700-", **later}, {"Range": "bytes=1400-", **later}]
    assert all(body.closed for body in thing.bodies)


def test_one_that_brings_nothing_ends_the_reading() -> None:
    thing = Object(0, OSError("reset"))
    with pytest.raises(ServiceError, match="It broke: reset"):
        list(stream_object(thing.get, failed))
    assert len(thing.asked) == BROKEN_READS + 1


def test_what_is_no_broken_connection_is_raised_as_it_is() -> None:
    thing = Object(100, ValueError("a mistake"))
    with pytest.raises(ValueError, match="a mistake"):
        list(stream_object(thing.get, failed))


def test_a_stream_that_is_not_read_to_its_end_closes_the_connection() -> None:
    thing = Object(5000, None)
    pieces = stream_object(thing.get, failed)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert thing.bodies[0].closed
