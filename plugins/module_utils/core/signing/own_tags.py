# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tags that a user wants on what TableFerry makes in an account, beside the tables that it copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

OwnTags = tuple[tuple[str, str], ...]  # sorted: equal for equal tags, and hashable

MOST = 40  # a resource has 50 (S3, IAM, KMS, Backup, DynamoDB), some of which are ours
LONGEST_KEY, LONGEST_VALUE = 128, 256  # letters
_RESERVED = ("aws:", "tableferry:")


def own_tags(value: Any, refuse: Callable[[str, str], Exception]) -> OwnTags:
    """The tags of a user's mapping. Raises what ``refuse`` makes of a cause and a next step, where they are wrong."""
    try:
        return _checked(value)
    except ValueError as error:
        raise refuse(f"{error}.", "Correct the tags.") from error


def _checked(value: Any) -> OwnTags:
    if not isinstance(value, Mapping):
        raise ValueError("tags are not a mapping of keys to values")
    if len(value) > MOST:
        raise ValueError(f"there are {len(value)} tags; {MOST} have room beside those of TableFerry")
    for key, text in value.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise ValueError(f"the tag {key} is not text; put its value into quotes")
        if not 0 < len(key) <= LONGEST_KEY or len(text) > LONGEST_VALUE:
            raise ValueError(f"the tag {key[:LONGEST_KEY]} is too long; {LONGEST_KEY} and {LONGEST_VALUE} letters fit")
        if key.lower().startswith(_RESERVED):
            raise ValueError(f"the tag {key} has a reserved prefix: {' and '.join(_RESERVED)} are")
    return tuple(sorted(value.items()))
