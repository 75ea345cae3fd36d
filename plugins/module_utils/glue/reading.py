# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results of the verbs that only read."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict

from ..core.table.definition import json_safe


def snake(shape: dict[str, Any]) -> dict[str, Any]:
    """A structure of the API with names in snake case and JSON-safe values."""
    return camel_dict_to_snake_dict(json_safe(shape), ignore_list=["FilterSpecification"])
