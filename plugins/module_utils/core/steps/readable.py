# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether items may be read for the comparison or the count that ends a migration, asked before AWS bills its way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..account import Account
from ..aws_errors import DENIED
from ..errors import FerryError

_TRIES = 2  # of a request whose other errors say nothing here
# No table has this key: AWS answers that it does not fit, or that there is no such table, once the call is allowed.
_NO_KEY = {"tableferry-probe": {"S": "none"}}


def require_readable(tables: Iterable[tuple[Account, str]], *, compared: bool) -> None:
    """Raises AccessDenied where a caller may not scan the table of its account or, where items are to be ``compared``
    and not only counted, may not get single ones.

    DynamoDB checks permissions before it looks for the table, which need not be there yet in the destination. A Scan
    of one item takes at most one read unit.
    """
    for account, name in tables:
        _try(account, name, "scan", TableName=name, Limit=1, Select="COUNT")
        if compared:
            _try(account, name, "batch_get_item", RequestItems={name: {"Keys": [_NO_KEY]}})


def _try(account: Account, table: str, operation: str, **params: Any) -> None:
    doing = f"reading items, which the verification needs after the migration, of {table}"
    try:
        account.ask("dynamodb", operation, doing, table, retries=_TRIES, **params)
    except FerryError as error:
        if error.details.get("code") in DENIED:
            raise
