# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judgement of a table: are its items there, and how do we know (design section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .account import Account
from .errors import FerryError
from .job import Job


@dataclass(frozen=True)
class Judgement:
    """How a table ended. Counts are None where nobody knows them; ``failure`` is what a caller raises."""

    status: Literal["migrated", "failed"]
    items_source: int | None
    items_destination: int | None
    bytes: int | None
    verified: Literal["counts", "none"]
    reason: str = ""
    failure: FerryError | None = None

    def to_dict(self) -> dict[str, Any]:
        """The judgement as JSON-safe data, without ``failure``."""
        return {
            "status": self.status,
            "items_source": self.items_source,
            "items_destination": self.items_destination,
            "bytes": self.bytes,
            "verified": self.verified,
            "reason": self.reason,
        }


def judge(
    name: str,
    source: Account | None,
    destination: Account,
    export: Job | None,
    import_job: Job,
    *,
    verify: Literal["counts", "none"] = "counts",
    checksums: bool = False,
    scan_segments: int = 0,
) -> Judgement:
    """Judge the destination table of ``import_job``; never raises for the table's own failure, returns it."""
    raise NotImplementedError
