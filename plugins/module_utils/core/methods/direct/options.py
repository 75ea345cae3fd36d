# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a direct copy is to do, as its verb or the migration says it, and as the request of its job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ...data_plane import ItemChoices
from ...jobs.job import Job
from ...table.definition import TableDefinition
from ...table.transforming import TransformChoices, choices_from, made_shape


@dataclass(frozen=True)
class DirectOptions:
    """What to copy and how. With ``count`` the copied table is counted by a scan. ``writes_stopped``: nobody writes to
    the source, so that its items are those of one instant. The table is made without the indexes ``indexes_after`` and
    ``leave_indexes``: creating the first later is left to its settings. With ``carry_tags`` it is made with the tags of
    the source, as some organizations demand. ``transform`` changes the items on the way, and with them the table."""

    table: str
    destination_table: str = ""
    migration_id: str = "default"
    kms_key_map: Mapping[str, str] = field(default_factory=dict)
    warm_throughput: bool = True
    indexes_after: tuple[str, ...] = ()
    leave_indexes: tuple[str, ...] = ()
    items: ItemChoices = field(default_factory=ItemChoices)
    count: bool = True
    writes_stopped: bool = False
    carry_tags: bool = True
    transform: TransformChoices | None = None

    @property
    def made_table(self) -> str:
        """The table's name in the destination."""
        return self.destination_table or self.table

    def shape(self, definition: TableDefinition) -> TableDefinition:
        """The table to create for the source table ``definition``."""
        return made_shape(definition, self.transform, (*self.indexes_after, *self.leave_indexes))

    def whole_shape(self, definition: TableDefinition) -> TableDefinition:
        """The table with the indexes that it gets as settings."""
        return made_shape(definition, self.transform, self.leave_indexes)


def option_values(options: DirectOptions) -> dict[str, Any]:
    """The options as JSON-safe data, for the request of a job."""
    return {**asdict(options), "kms_key_map": dict(options.kms_key_map)}


def options_of(job: Job) -> DirectOptions:
    """The options of ``option_values``'s data."""
    values = job.request["options"]
    transform = choices_from(values.get("transform"))
    return DirectOptions(**{**values, "items": ItemChoices(**values["items"]), "transform": transform})
