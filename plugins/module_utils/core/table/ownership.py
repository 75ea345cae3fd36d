# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table's tags, and those among them that say of which table it is the copy.

The migration alone is not enough (design section 11): most are called ``default``, and another table of the migration,
or a table of the same name in another account, must not be taken for this one's copy. So the source is tagged too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from .. import sdk
from ..account import Account
from ..aws_errors import NO_RESOURCE, is_full_of_tags, is_passing, is_tag_lock
from ..errors import FerryError
from ..table_status import require_usable
from .definition import Shape, TableDefinition

Answer = TypeVar("Answer")

OWNERSHIP_TAG = "tableferry:migration"
SOURCE_TAG = "tableferry:source"
COPY_TAG = "tableferry:copy"  # from which table the items are, how many, and when all of them were there
MOST_TAGS, MOST_BYTES = 50, 10240  # of a table, keys and values together (measured/more, TABLE-108, 109)
# Seconds between calls, and for all of them: tags cannot be asked for in the first 7 s of a table, nor changed for up
# to 3.4 s after another change (measured/more, TABLE-101, 103).
GAP, PATIENCE, PUT_PATIENCE = 2.0, 20.0, 60.0
LONGEST_VALUE = 256  # of a tag (measured/import-export-table 1.10)


def read_tags(account: Account, arn: str, doing: str = "", table: str = "") -> dict[str, str]:
    """All tags of the table ``arn``, those of AWS included: a call for each page (AWS gave 50 on one
    (measured/more [TABLE-108]); the API has pages all the same).

    ``doing`` and ``table`` are for the error's words. Where AWS does not know the table, DescribeTable decides: one
    that is there is asked again for a while. Raises TableUnusable while it is being deleted, and what Account.explain
    gives.
    """
    name = table or arn.rpartition("/")[2]
    entries: list[Shape] = []
    token: Shape = {}

    def next_page() -> Shape:
        page: Shape = account.client("dynamodb").list_tags_of_resource(ResourceArn=arn, **token)
        return page

    def unknown_yet(error: BaseException) -> bool:
        return is_tag_lock(error) or (sdk.error_code(error) in NO_RESOURCE and _is_there(account, arn))

    while True:
        page = _patiently(account, doing or f"reading the tags of {name}", name, next_page, unknown_yet)
        entries += page.get("Tags", ())
        if not page.get("NextToken"):
            return tags_of(entries)
        token = {"NextToken": page["NextToken"]}


def put_tags(account: Account, arn: str, table_id: str, tags: Mapping[str, str], doing: str, table: str) -> None:
    """Give the table ``arn`` these tags, once those of a change before can be read.

    What passes is waited for here and not by the SDK, which would send the tags again after a hang of a minute: by
    then the name may be another table's. So each repetition looks first whether ``table_id`` is still there. Raises as
    ``read_tags``.
    """
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    client = account.client("dynamodb", retries=0)
    _patiently(
        account,
        doing,
        table,
        lambda: client.tag_resource(ResourceArn=arn, Tags=listed),
        lambda error: _waits(error) and _is_there(account, arn, table_id),
        PUT_PATIENCE,
    )


def _waits(error: BaseException) -> bool:
    return is_passing(error) or sdk.error_code(error) in NO_RESOURCE


def put_mark(account: Account, arn: str, table_id: str, mark: tuple[str, str], doing: str, table: str) -> bool:
    """Mark the table with a tag, its key and its value, where it has room for one: whether it had. A mark helps, but
    the record is what counts (design section 6), so for want of room nothing fails. Raises as ``put_tags``."""
    try:
        put_tags(account, arn, table_id, dict([mark]), doing, table)
    except FerryError as error:
        if is_full_of_tags(error):
            return False
        raise
    return True


def _patiently(
    account: Account,
    doing: str,
    table: str,
    call: Callable[[], Answer],
    passes: Callable[[BaseException], bool],
    patience: float = PATIENCE,
) -> Answer:
    """The answer of ``call``, which is repeated for ``patience`` seconds after errors that ``passes`` allows."""
    waited = 0.0
    while True:
        try:
            return call()
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            if waited >= patience or not passes(error):
                raise account.explain(error, doing, table) from error
        account.sleep(GAP)
        waited += GAP


def _is_there(account: Account, arn: str, table_id: str = "") -> bool:
    """Whether there is a table ``arn``, with that id where it is known. Raises TableUnusable where it is being
    deleted."""
    definition = TableDefinition.find(account, arn.rpartition("/")[2])
    if definition is None or definition.arn != arn or table_id not in ("", definition.table_id):
        return False
    require_usable(definition.raw)
    return True


def has_room(tags: Mapping[str, str], key: str) -> bool:
    """Whether a table with these ``tags`` takes one more of ours, however long its value is."""
    return len(tags) < MOST_TAGS and bytes_of({**tags, key: "-" * LONGEST_VALUE}) <= MOST_BYTES


def bytes_of(tags: Mapping[str, str]) -> int:
    """What ``tags`` count of the MOST_BYTES of a table."""
    return sum(len(key.encode()) + len(value.encode()) for key, value in tags.items())


def tags_of(entries: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """ListTagsOfResource's ``Tags`` as {key: value}."""
    return {entry["Key"]: entry["Value"] for entry in entries}


def marks(migration_id: str, source_arn: str) -> dict[str, str]:
    """The tags of a copy of the table ``source_arn``."""
    return {OWNERSHIP_TAG: migration_id, SOURCE_TAG: _place(source_arn)}


def is_marked(tags: Mapping[str, str], migration_id: str, source_arn: str) -> bool:
    """Whether ``tags`` are those of a copy of that table; the migration's tag alone was set by hand, and counts too."""
    return tags.get(OWNERSHIP_TAG) == migration_id and tags.get(SOURCE_TAG, _place(source_arn)) == _place(source_arn)


def _place(source_arn: str) -> str:
    """Account, Region and name; their hash where they do not fit into a tag."""
    region, account_id, resource = source_arn.split(":", 5)[3:6]
    place = f"{account_id}/{region}/{resource.removeprefix('table/')}"
    return place if len(place) <= LONGEST_VALUE else hashlib.sha256(place.encode()).hexdigest()
