# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the options of verbs to what changes the items of a table."""

from __future__ import annotations

from ..core.errors import InvalidTransform
from ..core.table.transforming import TransformChoices, choices_of
from .spec import Parameters


def transform_of(params: Parameters, table: str) -> TransformChoices | None:
    """What changes the items of the source ``table``, by the options of ``STEPS_OPTIONS`` and those
    that the verb has besides. Raises InvalidTransform."""
    try:
        return choices_of(
            params["transform"],
            names=params["transform_names"],
            values=params["transform_values"],
            errors=params.get("transform_errors", "fail"),
            on_collision=params.get("on_collision", "refuse"),
            destination_key=params["destination_key"],
            show_values=params.get("transform_show_values", False),
            folders=params["transform_folders"],
            without_indexes=(*params.get("indexes_after", ()), *params["leave_indexes"]),
        )
    except InvalidTransform as error:
        raise error.for_table(table) from error
