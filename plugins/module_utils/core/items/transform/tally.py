# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of items: how many were left out, refused and made, by the steps that did it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..answers import Slice


@dataclass(frozen=True)
class Failure:
    """Why an item was refused: the number and the name of a step, 0 and "" for the item as a whole; and the reason.

    The reason shows nothing of the item.
    """

    step: int
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"step {self.step} ({self.kind}): {self.reason}" if self.kind else self.reason


@dataclass
class Tally:
    """Counts of one worker. ``read`` items came in; ``added`` more were made of them by functions; ``kept_out`` and
    ``refused`` count by the number of the step; ``made`` came out.

    ``balanced`` holds always. ``on_failure`` gets each refused item as it came, with the reason.
    """

    read: int = 0
    made: int = 0
    added: int = 0
    kept_out: Counter[int] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    on_failure: Callable[[Slice, Failure], None] | None = None

    @property
    def balanced(self) -> bool:
        """Whether each item that came in or was added was left out, refused or made."""
        return self.read + self.added == self.made + self.kept_out.total() + self.refused.total()

    def refuse(self, item: Slice, failure: Failure) -> None:
        """Count an item that a step cannot take."""
        self.refused[failure.step] += 1
        if self.on_failure is not None:
            self.on_failure(item, failure)

    def add(self, other: Tally) -> None:
        """Add the counts of another worker."""
        self.read += other.read
        self.made += other.made
        self.added += other.added
        self.kept_out.update(other.kept_out)
        self.refused.update(other.refused)

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON-safe data; the numbers of steps are texts there."""
        return {
            "read": self.read,
            "made": self.made,
            "added": self.added,
            "kept_out": {str(step): count for step, count in sorted(self.kept_out.items())},
            "refused": {str(step): count for step, count in sorted(self.refused.items())},
        }
