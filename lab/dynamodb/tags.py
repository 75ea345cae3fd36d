# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tags of tables: checked whole, written under a lock, read late (measured/import-export-table 1.10)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from lab.dynamodb import limits
from lab.dynamodb.model import Shape, Table
from lab.dynamodb.registry import registry
from lab.dynamodb.words import belief, in_use, over_limit, validation
from lab.services.paging import page
from lab.world import Context

CHECKED_WHOLE = belief(
    "test_tags", "tags-checked-whole",
    "One bad tag refuses the whole call, at creation too: aws: keys, forbidden characters, duplicates, more than 50",
    "measured/import-export-table 1.10 [TABLE-105, TABLE-107, TABLE-108]",
)  # fmt: skip
READ_LATE = belief(
    "test_tags", "tags-read-late",
    "ListTagsOfResource shows the old tags for about two seconds, those of a new table from ACTIVE on",
    "measured/import-export-table 1.10 [TABLE-101, TABLE-102]",
)  # fmt: skip
LOCKED = belief(
    "test_tags", "tags-write-lock",
    "Until a write is readable the next one is LimitExceededException, but for a replay or one that contains its pairs",
    "measured/import-export-table 1.10 [TABLE-440, TABLE-441]",
)  # fmt: skip
CREATING = belief(
    "test_tags", "tags-while-creating",
    "A new table's tags cannot be written before ACTIVE: not found at first, then in use",
    "measured/import-export-table 1.7",
)  # fmt: skip
PAGED = belief(
    "test_tags", "tags-in-pages",
    "ListTagsOfResource answers all fifty tags on one page",
    "measured/more [TABLE-108]",
)  # fmt: skip

MOST = 50
_RESERVED = re.compile(r"aws:", re.IGNORECASE)


def _allowed(text: str, longest: int) -> bool:
    # Letters, digits and blanks of any script, and + - = . _ : / @
    return len(text) <= longest and all(
        character in "+-=._:/@" or unicodedata.category(character)[0] in "LNZM" for character in text
    )


def check_keys(keys: Iterable[str]) -> None:
    """Refuse reserved and malformed keys."""
    for key in keys:
        if _RESERVED.match(key):
            raise validation(CHECKED_WHOLE, f"Tag Key cannot be prefixed with aws:, Key: {key}")
        if not key or not _allowed(key, 128):
            raise validation(CHECKED_WHOLE, f"The Tag Key provided is invalid, Key: {key}")


def check_new(context: Context, tags: Sequence[Shape], before: Iterable[str] = ()) -> dict[str, str]:
    """The tags as a mapping, checked together with those ``before``; ValidationException."""
    keys = [tag["Key"] for tag in tags]
    check_keys(keys)
    for tag in tags:
        if not _allowed(tag["Value"], 256):
            raise validation(CHECKED_WHOLE, f"The Tag Value provided is invalid, Value: {tag['Value']}")
    for key in keys:
        if keys.count(key) > 1:
            raise validation(CHECKED_WHOLE, f"Duplicate Tag Keys provided as input: Duplicate Tag Key found {key}")
    if len({*keys, *before}) > MOST:
        raise validation(CHECKED_WHOLE, "Number of Tags exceed the current limit for the provided ResourceArn")
    return {tag["Key"]: tag["Value"] for tag in tags}


def tag_resource(context: Context, params: Shape) -> Shape:
    """TagResource."""
    if not params["Tags"]:
        raise validation(CHECKED_WHOLE, "Atleast one Tag needs to be provided as Input.")
    check_new(context, params["Tags"])
    table = _writable(context, params["ResourceArn"])
    added = check_new(context, params["Tags"], table.tagging.current)
    in_flight = table.tagging.in_flight or {}
    contains = bool(in_flight.get("added")) and in_flight["added"].items() <= added.items()
    _write(context, table, {**table.tagging.current, **added}, {"added": added}, contains)
    return {}


def untag_resource(context: Context, params: Shape) -> Shape:
    """UntagResource."""
    check_keys(params["TagKeys"])
    table = _writable(context, params["ResourceArn"])
    kept = {key: value for key, value in table.tagging.current.items() if key not in params["TagKeys"]}
    _write(context, table, kept, {"removed": sorted(params["TagKeys"])}, False)
    return {}


def _writable(context: Context, arn: str) -> Table:
    table = registry(context).require_known(context, arn, "tags")
    if table.status(context.world.clock.now()) == "CREATING":
        raise in_use(CREATING, f"Table is being created: {table.name}")
    return table


def _write(context: Context, table: Table, new_tags: dict[str, str], change: Shape, contains: bool) -> None:
    tagging = table.tagging
    if tagging.locked and not contains and change != tagging.in_flight:
        raise over_limit(LOCKED, f"Table tags are being updated: {table.name}")
    if new_tags == tagging.current:
        return
    limits.take_control_plane_write(context)
    tagging.current, tagging.in_flight, tagging.locked = new_tags, change, True

    def show() -> None:
        tagging.readable = dict(new_tags)
        if tagging.in_flight is change:
            tagging.in_flight, tagging.locked = None, False

    context.world.schedule(context.world.timings.seconds("tags.readable"), show)


def list_tags_of_resource(context: Context, params: Shape) -> Shape:
    """ListTagsOfResource."""
    table = registry(context).require_known(context, params["ResourceArn"], "tags")
    size = int(context.world.behaviours["dynamodb.tags_on_a_page"])
    shown, token = page(
        sorted(table.tagging.readable.items()), size, params.get("NextToken"), code="ValidationException"
    )
    answer: Shape = {"Tags": [{"Key": key, "Value": value} for key, value in shown]}
    return answer | ({"NextToken": token} if token else {})


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "ListTagsOfResource": list_tags_of_resource,
}
