# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who needs a statement: it goes when its last user leaves (found.md A11)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Users(Protocol):
    """Counts the users of shared statements and grants; ``resource`` is an ARN, ``#`` and a Sid or name."""

    def add(self, resource: str) -> None:
        """Say that we need ``resource``, before it is made or used. Waits or raises while others take it away."""

    def needed(self, resource: str) -> bool:
        """Whether ``resource`` would stay if we left now. Reads only: for plans."""

    def needing(self, resource: str) -> frozenset[str] | None:
        """The tables, by their names in the destination, that need ``resource`` when ours that may leave have left;
        None where not all of them are known. Reads only."""

    def leave(self, resource: str, *, there: bool = True) -> AbstractContextManager[bool]:
        """Say that we do not need ``resource`` any more; ``there``: it was seen where it stands.

        True when nobody else does: it is taken away within the context, in which nobody can begin to use it.
        """


class Uncounted:
    """One user at a time: who asks for the end of a statement is its last user."""

    def add(self, resource: str) -> None:
        """Nothing is counted."""

    def needed(self, resource: str) -> bool:
        """Nobody else is known."""
        return False

    def needing(self, resource: str) -> frozenset[str] | None:
        """Nobody else is known."""
        return frozenset()

    @contextmanager
    def leave(self, resource: str, *, there: bool = True) -> Iterator[bool]:
        """Nobody else is known."""
        yield True


ALONE = Uncounted()
