# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pages of a list, for services whose tokens nobody looks into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from lab.errors import AwsError

Item = TypeVar("Item")


def page(
    items: Sequence[Item], size: int, token: str | None, *, code: str = "InvalidNextTokenException"
) -> tuple[list[Item], str | None]:
    """``size`` items from where ``token`` (None: the start) points, and the token of the next page or None.

    AwsError ``code`` for a token that this function did not make.
    """
    if token and not token.isdigit():
        raise AwsError(code, "The specified nextToken is invalid.")
    start = int(token or 0)
    following = start + size
    return list(items[start:following]), str(following) if following < len(items) else None
