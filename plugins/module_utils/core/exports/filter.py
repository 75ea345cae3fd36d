# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Export filters: only those that lose nothing silently (aws.md A8)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .. import sdk
from ..account import Account
from ..errors import FilterNotAllowed
from ..table.definition import TableDefinition
from .export_request import ExportOptions

_FILTER_MEMBERS = frozenset(
    {
        "KeyConditionExpression",
        "FilterExpression",
        "ProjectionExpression",
        "ExpressionAttributeNames",
        "ExpressionAttributeValues",
    }
)
_FILTER_WORDS = frozenset(
    {
        "and", "or", "not", "between", "in", "attribute_exists", "attribute_not_exists", "attribute_type",
        "begins_with", "contains", "size",
    }
)  # fmt: skip


def check_filter(source: Account, definition: TableDefinition, options: ExportOptions) -> None:
    """Only filters that lose nothing silently: key attributes, no projection, one-shot full exports (aws.md A8).

    Raises FilterNotAllowed.
    """
    members = options.filter
    if members is None:
        return

    def refuse(cause: str, next_step: str) -> FilterNotAllowed:
        return FilterNotAllowed(cause, next_step, table=options.table)

    unknown = sorted(set(members) - _FILTER_MEMBERS)
    if unknown or not members:
        raise refuse(
            f"The filter has unknown members: {', '.join(unknown)}." if unknown else "The filter is empty.",
            f"Use {', '.join(sorted(_FILTER_MEMBERS))}, as a Query takes them.",
        )
    if options.export_type != "FULL_EXPORT":
        raise refuse(
            "An incremental export cannot be filtered: an item that no longer matches would stay in the destination.",
            "Leave the filter out.",
        )
    if members.get("ProjectionExpression"):
        raise refuse("A projection would leave attributes out of the items.", "Leave ProjectionExpression out.")
    if members.get("KeyConditionExpression") and members.get("FilterExpression"):
        raise refuse(
            "With a key condition, FilterExpression applies to attributes other than keys.", "Set only one of the two."
        )
    strangers = filter_attributes(str(members.get("FilterExpression", "")), members.get("ExpressionAttributeNames", {}))
    strangers -= set(definition.key_attributes)
    if strangers:
        raise refuse(
            f"The filter uses {', '.join(sorted(strangers))}, which can change.",
            f"Filter on the key attributes {', '.join(definition.key_attributes)} only.",
        )
    try:
        model = source.client("dynamodb").meta.service_model.operation_model("ExportTableToPointInTime")
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        raise source.explain(error, "reading the SDK's model", options.table) from error
    if "FilterSpecification" not in model.input_shape.members:
        raise refuse("The installed botocore does not support export filters.", "Install botocore 1.43.106 or newer.")


def filter_attributes(expression: str, names: Mapping[str, str]) -> set[str]:
    """The top-level attributes that a filter expression uses."""
    attributes = set()
    for match in re.finditer(r"(?<![\w.:#\]])(#?[A-Za-z_][\w-]*)", expression):
        word = match[1]
        if word.startswith("#"):
            attributes.add(names.get(word, word))
        elif word.lower() not in _FILTER_WORDS:
            attributes.add(word)
    return attributes
