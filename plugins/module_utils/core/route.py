# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which table goes where: the same for every method."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from .errors import InvalidInput

_TABLE_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_STAGED = re.compile(r"tableferry/([^/]+)/export/(\d{12})/([^/]+)/([^/!]+)(?:!([^/]+))?/")
_MIGRATION_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class Route:
    """From which table to which: what every object in the bucket and every token is about."""

    source_account_id: str
    source_region: str
    source_table: str
    destination_account_id: str
    destination_region: str
    destination_table: str
    migration_id: str = "default"

    def __post_init__(self) -> None:
        if not _MIGRATION_ID.fullmatch(self.migration_id):
            raise InvalidInput(
                f"migration_id {self.migration_id!r} is not valid.",
                "Use 1 to 64 letters, digits, dots, dashes or underscores.",
                table=self.source_table,
            )
        if not _TABLE_NAME.fullmatch(self.destination_table):
            raise InvalidInput(
                f"The destination table's name {self.destination_table!r} is not valid.",
                "Use 3 to 255 letters, digits, dots, dashes or underscores.",
                table=self.source_table,
            )

    def to_dict(self) -> dict[str, str]:
        """The route as JSON-safe data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, str]) -> Route:
        """The route of ``to_dict``'s data."""
        return cls(**data)

    @classmethod
    def of_prefix(cls, prefix: str, account_id: str, region: str) -> Route | None:
        """The route that staged what lies below ``prefix`` of a bucket, for a destination in ``account_id`` and
        ``region``; None for what is not ours."""
        found = _STAGED.match(prefix)
        if found is None:
            return None
        migration, source_account, source_region, table, renamed = found.groups()
        return cls(source_account, source_region, table, account_id, region, renamed or table, migration)

    @property
    def source_arn(self) -> str:
        """The source table's ARN, without its partition."""
        return f"arn::dynamodb:{self.source_region}:{self.source_account_id}:table/{self.source_table}"

    @property
    def _place(self) -> str:
        """The folder of this route. A copy under another name has its own ("!" is in no table name)."""
        renamed = "" if self.destination_table == self.source_table else f"!{self.destination_table}"
        return f"{self.source_account_id}/{self.source_region}/{self.source_table}{renamed}"

    @property
    def export_prefix(self) -> str:
        """The S3Prefix of the table's exports, without a slash at the end."""
        return f"tableferry/{self.migration_id}/export/{self._place}"
