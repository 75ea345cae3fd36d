# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Source and destination described side by side: each costs the round trips of a connection and of one request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..errors import FerryError, MissingTable
from .client import Client, Endpoint, RetryPolicy
from .lanes import LOOK_SECONDS, Lanes
from .permit import FREE, Bounds
from .tables import ItemTable, described, description, require_same, vanished


def find_tables(
    wanted: Sequence[tuple[Endpoint, str]], retry_policy: RetryPolicy | None = None, bounds: Bounds = FREE
) -> list[ItemTable]:
    """The tables of these names, as ``find_table`` finds each. Raises what that raises, for the first that fails."""
    answers: list[ItemTable | FerryError | None] = [None] * len(wanted)

    def note(place: int, endpoint: Endpoint, name: str) -> tuple[Callable[[bytes], None], Callable[[FerryError], None]]:
        def received(body: bytes) -> None:
            try:
                answers[place] = described(endpoint, name, body)
            except FerryError as error:
                answers[place] = error

        def failed(error: FerryError) -> None:
            answers[place] = error

        return received, failed

    lanes = Lanes(bounds)
    try:
        for place, (endpoint, name) in enumerate(wanted):
            lanes.submit(Client(endpoint, retry_policy, bounds), description(name), *note(place, endpoint, name))
        while None in answers:
            _first_failure(answers)
            lanes.turn(LOOK_SECONDS)
        _first_failure(answers)
    finally:
        lanes.close()
    return [answer for answer in answers if isinstance(answer, ItemTable)]


def _first_failure(answers: Sequence[ItemTable | FerryError | None]) -> None:
    """Raises the first failure, when all before it are known."""
    for answer in answers:
        if answer is None:
            return
        if isinstance(answer, FerryError):
            raise answer


def require_unchanged(tables: Sequence[ItemTable], retry_policy: RetryPolicy, bounds: Bounds = FREE) -> None:
    """Raises TableVanished when one of ``tables`` was deleted, or deleted and created again, since it was described.

    The endpoints have answered before: they are waited for as long as during the work.
    """
    patient = replace(retry_policy, connecting=retry_policy.seconds)
    try:
        now = find_tables([(table.endpoint, table.name) for table in tables], patient, bounds)
    except MissingTable as error:
        gone = next(table for table in tables if table.name == error.table)
        raise vanished(gone) from error
    for before, after in zip(tables, now, strict=True):
        require_same(before, after)
