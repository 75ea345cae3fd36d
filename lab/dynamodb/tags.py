# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tags of tables: checked whole, written under a lock, read late (measured/import-export-table 1.10)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

from lab.dynamodb import limits
from lab.dynamodb.address import TABLE_ARN
from lab.dynamodb.model import Shape, Table, Tags
from lab.dynamodb.registry import registry
from lab.dynamodb.words import belief, in_use, invalid, not_found, over_limit, validation
from lab.partitions import partition_of
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
ARN = belief(
    "test_tags", "tags-arn",
    "ResourceArn is the ARN of a table or a stream of the endpoint's Region; a name, an index, another Region are "
    "ValidationException, each in its own words",
    "measured/more 4.1 [TABLE-071, TABLE-136, TABLE-442]",
)  # fmt: skip
FOREIGN = belief(
    "test_tags", "tags-of-another-account",
    "The ARN of another account's table is AccessDeniedException `Access is denied` unless its policy opens it",
    "measured/more 4.1 [TABLE-071]; aws.md J",
)  # fmt: skip
STREAM = belief(
    "test_tags", "tags-of-a-stream",
    "A live stream has tags of its own, one that is off is not found",
    "measured/more 4.1 [TABLE-373]",
)  # fmt: skip
SIZE = belief(
    "test_tags", "tags-size",
    "All tags of a resource have at most 10,240 bytes of keys and values together, counted after merging",
    "measured/more 4.2 [TABLE-109, TABLE-442]",
)  # fmt: skip
TOKEN_IGNORED = belief(
    "test_tags", "tags-token-ignored",
    "A made-up NextToken of ListTagsOfResource is ignored: 200 and the first page",
    "measured/more 4.2 [TABLE-073]",
)  # fmt: skip
DELETING = belief(
    "test_tags", "tags-while-deleting",
    "While the table is DELETING the same tags are 200 and changed ones in use, until it is not found",
    "measured/more 4.4 [TABLE-104, TABLE-374]",
)  # fmt: skip
CREATING = belief(
    "test_tags", "tags-while-creating",
    "A new table's tags cannot be written before ACTIVE: not found at first, then in use; UntagResource is 200 then",
    "measured/import-export-table 1.7, measured/more 4.4 [TABLE-101]",
)  # fmt: skip
PAGED = belief(
    "test_tags", "tags-in-pages",
    "ListTagsOfResource answers all fifty tags on one page",
    "measured/more [TABLE-108]",
)  # fmt: skip

MOST = 50
MOST_BYTES = 10_240
_TOO_MANY = "Number of Tags exceed the current limit for the provided ResourceArn"
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


def check_new(context: Context, tags: Sequence[Shape], before: Mapping[str, str] | None = None) -> dict[str, str]:
    """The tags as a mapping, checked together with those ``before``; ValidationException."""
    keys = [tag["Key"] for tag in tags]
    check_keys(keys)
    for tag in tags:
        if not _allowed(tag["Value"], 256):
            raise validation(CHECKED_WHOLE, f"The Tag Value provided is invalid, Value: {tag['Value']}")
    for key in keys:
        if keys.count(key) > 1:
            raise validation(CHECKED_WHOLE, f"Duplicate Tag Keys provided as input: Duplicate Tag Key found {key}")
    given = {tag["Key"]: tag["Value"] for tag in tags}
    merged = {**(before or {}), **given}
    if len(merged) > MOST:
        raise validation(CHECKED_WHOLE, _TOO_MANY)
    size = sum(len(text.encode()) for pair in merged.items() for text in pair)
    if size > MOST_BYTES:
        raise validation(SIZE, f"Tag set size {size} bytes is above max size limit of {MOST_BYTES} bytes")
    return given


def tag_resource(context: Context, params: Shape) -> Shape:
    """TagResource."""
    if not params["Tags"]:
        raise validation(CHECKED_WHOLE, "Atleast one Tag needs to be provided as Input.")
    check_new(context, params["Tags"])
    table, tagging = _target(context, params["ResourceArn"])
    if table.status(context.world.clock.now()) == "CREATING":
        raise in_use(CREATING, f"Table is being created: {table.name}")
    added = check_new(context, params["Tags"], tagging.current)
    in_flight = tagging.in_flight or {}
    contains = bool(in_flight.get("added")) and in_flight["added"].items() <= added.items()
    _write(context, table, tagging, {**tagging.current, **added}, {"added": added}, contains)
    return {}


def untag_resource(context: Context, params: Shape) -> Shape:
    """UntagResource."""
    if not params["TagKeys"]:
        raise validation(CHECKED_WHOLE, "Atleast one Tag Key needs to be provided as Input.")
    check_keys(params["TagKeys"])
    if len(params["TagKeys"]) > MOST:
        raise validation(CHECKED_WHOLE, _TOO_MANY)
    table, tagging = _target(context, params["ResourceArn"])
    if table.status(context.world.clock.now()) == "CREATING":
        return {}
    kept = {key: value for key, value in tagging.current.items() if key not in params["TagKeys"]}
    _write(context, table, tagging, kept, {"removed": sorted(params["TagKeys"])}, False)
    return {}


def check_named(members: Shape) -> None:
    """Refuse a request as sent that names nothing at all."""
    if members.get("ResourceArn") in (None, ""):
        raise invalid(ARN, "ARNs must start with 'arn:': ")


def _target(context: Context, arn: str) -> tuple[Table, Tags]:
    """The table that ``arn`` is of, and the tags that it means: the table's or those of a live stream."""
    if not arn.startswith("arn:"):
        raise invalid(ARN, f"ARNs must start with 'arn:': {arn}")
    match = TABLE_ARN.match(arn)
    if match is not None and match["region"] != context.region and match["account"] != context.account_id:
        raise FOREIGN.error("AccessDeniedException", "Access is denied")
    if match is None or match["region"] != context.region or match["partition"] != partition_of(context.region):
        raise validation(ARN, f"Invalid TableArn: Invalid ResourceArn provided as input {arn}")
    rest = arn[match.end() :]
    if rest and not rest.startswith("/stream/"):
        text = "Invalid resource arn provided, only table or stream is accepted. Provided resource arn: "
        raise invalid(ARN, text + arn)
    table = registry(context).require_known(context, arn, "tags")
    if not rest:
        return table, table.tagging
    for stream in table.streams:
        if stream.arn == arn and stream.status != "DISABLED":
            return table, stream.tagging
    raise not_found(STREAM, f"ResourceArn: {arn}")


def _write(
    context: Context, table: Table, tagging: Tags, new_tags: dict[str, str], change: Shape, contains: bool
) -> None:
    if tagging.locked and not contains and change != tagging.in_flight:
        raise over_limit(LOCKED, f"Table tags are being updated: {table.name}")
    if new_tags == tagging.current:
        return
    if table.deleting_at is not None:
        raise in_use(DELETING, f"Table is being deleted: {table.name}")
    limits.take_control_plane_write(context)
    tagging.current, tagging.in_flight, tagging.locked = new_tags, change, True

    def show() -> None:
        tagging.readable = dict(new_tags)
        if tagging.in_flight is change:
            tagging.in_flight, tagging.locked = None, False

    context.world.schedule(context.world.timings.seconds("tags.readable"), show)


def list_tags_of_resource(context: Context, params: Shape) -> Shape:
    """ListTagsOfResource."""
    _, tagging = _target(context, params["ResourceArn"])
    size = int(context.world.behaviours["dynamodb.tags_on_a_page"])
    token = params.get("NextToken", "")
    shown, token = page(sorted(tagging.readable.items()), size, token if token.isdecimal() else None)
    answer: Shape = {"Tags": [{"Key": key, "Value": value} for key, value in shown]}
    return answer | ({"NextToken": token} if token else {})


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "ListTagsOfResource": list_tags_of_resource,
}
