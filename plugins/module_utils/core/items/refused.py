# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Items of a copy that were not written: those that AWS refuses, and those that a step of its transform cannot take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import ItemRefused
from .checkpoint import Counts
from .write import RefusedItem, refusal

MOST_REASONS = 3  # that a message has


@dataclass(frozen=True)
class RefusedItems:
    """``rejected`` by AWS; ``failed`` are the counts of pages with items that a step cannot take."""

    rejected: tuple[RefusedItem, ...]
    failed: Counts

    @property
    def count(self) -> int:
        """How many items."""
        return len(self.rejected) + sum(self.failed.refused.values())

    def error(self, table: str, *, ended: bool) -> ItemRefused:
        """The error for ``table``, its destination. ``ended``: there were so many that the copy was ended."""
        if not self.failed.refused:
            return self._by_aws(table, ended)
        steps, count = self.failed.refused, sum(self.failed.refused.values())
        many = f"{count:,} items" if count > 1 else "an item"
        rest = ", and the copy was ended" if ended else "" if self.rejected else "; all others are copied"
        items: list[dict[str, Any]] = [{"key": each.key, "reason": each.reason} for each in self.failed.named]
        cause = f"The transform cannot take {many}{rest}: {_words(each.reason for each in self.failed.named)}."
        next_step = (
            "Correct the items in the source, or set transform_errors to skip to leave such items out; to correct the"
            " steps, delete the copy."
        )
        if self.rejected:
            by_aws = self._by_aws(table, ended)
            cause, next_step = f"{cause} {by_aws.cause}", f"{next_step} {by_aws.next_step}"
            items += by_aws.details["items"]
        return ItemRefused(
            cause,
            next_step,
            table=table,
            details={
                "code": self.rejected[0].code if self.rejected else "",
                "refused": self.count,
                "steps": {str(step): number for step, number in sorted(steps.items())},
                "items": items,
            },
        )

    def _by_aws(self, table: str, ended: bool) -> ItemRefused:
        count = len(self.rejected)
        if ended:
            what = f"{count:,} items, and the copy was ended:"
        else:
            others = "; all others are copied:" if not self.failed.refused else ":"
            what = f"{count} items{others}" if count > 1 else "an item:"
        return refusal(
            table,
            self.rejected,
            what,
            "Correct the items in the source. If an index does not take their key, set indexes_after to have the index"
            " created after the copy, or leave_indexes to do without.",
        )


def _words(reasons: Iterable[str]) -> str:
    """The most frequent of ``reasons``, which are those of the first items only: without numbers."""
    return "; ".join(reason for reason, _count in Counter(reasons).most_common(MOST_REASONS))
