# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Has AWS begun to refuse what was signed at a date? A GetItem signed with that date shows it (design section 6).

Since AWS refused it as expired, it refuses all older signatures of DynamoDB's calls too.
"""

from __future__ import annotations

import time
from typing import Any

from .. import aws_errors, sdk
from ..account import Account
from ..errors import FerryError
from .lease import key
from .record_table import explain


class Prober:
    """Asks DynamoDB in ``account`` with old signatures, about the table of the records ``table_name``."""

    def __init__(self, account: Account, table_name: str) -> None:
        self._account = account
        self._table_name = table_name
        self._client: Any = None

    def __call__(self, date: int) -> bool:
        """Whether DynamoDB refuses by now what was signed at ``date`` (epoch seconds). Raises as
        ``signature_expired``."""
        if self._client is None:
            self._client = self._account.own_client("dynamodb", connect_timeout=3, read_timeout=5, attempts=1)
        return signature_expired(self._client, self._table_name, date)


def signature_expired(client: Any, table_name: str, date: int) -> bool:
    """Whether DynamoDB refuses as expired a GetItem that is signed with ``date`` (epoch seconds).

    ``client`` is a DynamoDB client of its own that does not retry: its requests are signed with that date while this
    runs. Raises the record table's errors for any other refusal.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(date))
    service = client.meta.service_model.service_id.hyphenize()

    def sign_anew(request: Any, **_event: Any) -> None:
        sdk.sign_at(client, request, stamp)

    client.meta.events.register_last(f"before-send.{service}.GetItem", sign_anew)
    try:
        client.get_item(TableName=table_name, Key=key("probe"), ConsistentRead=True)
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        # Not a session that has ended: that says nothing of the date.
        of_date = (aws_errors.BAD_SIGNATURES | aws_errors.EXPIRED) - aws_errors.SESSION_ENDED
        refused = sdk.error_code(error) in of_date
        if refused and "expired" in sdk.error_message(error).lower():
            return True
        failure: FerryError = explain(error, table_name)
        raise failure from error
    finally:
        client.meta.events.unregister(f"before-send.{service}.GetItem", sign_anew)
    return False
