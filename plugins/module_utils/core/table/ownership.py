# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table's tags, and those among them that say of which table it is the copy.

The migration alone is not enough (design section 11): most are called ``default``, and another table of the migration,
or a table of the same name in another account, must not be taken for this one's copy. So the source is tagged too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from .. import sdk
from ..account import Account
from .definition import Shape

OWNERSHIP_TAG = "tableferry:migration"
SOURCE_TAG = "tableferry:source"
LONGEST_VALUE = 256  # of a tag (measured/import-export-table 1.10)


def read_tags(account: Account, arn: str, doing: str = "", table: str = "") -> dict[str, str]:
    """All tags of the table ``arn``, those of AWS included: a call for each page (AWS gave 50 on one
    (measured/more [TABLE-108]); the API has pages all the same).

    ``doing`` and ``table`` are for the error's words. Raises what Account.explain gives.
    """
    name = table or arn.rpartition("/")[2]
    entries: list[Shape] = []
    token: Shape = {}
    try:
        while True:
            page = account.client("dynamodb").list_tags_of_resource(ResourceArn=arn, **token)
            entries += page.get("Tags", ())
            if not page.get("NextToken"):
                return tags_of(entries)
            token = {"NextToken": page["NextToken"]}
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        raise account.explain(error, doing or f"reading the tags of {name}", name) from error


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
