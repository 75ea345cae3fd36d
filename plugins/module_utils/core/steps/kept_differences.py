# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The differences that a comparison finds, for its report and for a repair: the first in memory, all in a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from ..items.differences import Difference
from ..items.private_files import expanded, in_words, new_file

REMEMBERED = 20  # differences that a repair knows of without a file, which has all of them


class KeptDifferences:
    """Keeps the first differences, and writes all of them to a file that is made for the first.

    A file that cannot be written is no reason to end a comparison that may have read for hours.
    """

    def __init__(self, path: str) -> None:
        self.first: list[Difference] = []
        self.path = self.unwritten = ""
        self._wanted = path
        self._place: Path | None = None
        self._file: TextIO | None = None

    def __enter__(self) -> KeptDifferences:
        if self._wanted:
            try:
                self._place = expanded(self._wanted)
                self._place.unlink(missing_ok=True)  # an earlier comparison's
            except OSError as error:
                self._give_up(error)
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            try:
                self._file.close()
            except OSError as full:
                self._give_up(full)

    def note(self, difference: Difference) -> None:
        """One more."""
        if len(self.first) < REMEMBERED:
            self.first.append(difference)
        if self._place is None:
            return
        try:
            if self._file is None:
                self._file = new_file(self._place)
                self.path = str(self._place)
            self._file.write(difference.to_line() + "\n")
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Go on without the file; one that lacks differences is not left behind."""
        self.unwritten = f"{self._wanted}: {in_words(error)}"
        self.path = ""
        if self._place is not None:
            with suppress(OSError):
                self._place.unlink(missing_ok=True)
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        self._place = self._file = None


def read_differences(path: Path) -> Iterator[Difference]:
    """All differences of a file that KeptDifferences wrote. Raises InvalidInput."""
    with path.open(encoding="utf-8") as lines:
        yield from map(Difference.from_line, lines)
