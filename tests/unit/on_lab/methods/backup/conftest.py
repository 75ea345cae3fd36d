# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data plane goes past the SDK, and so past a lab in process: here its counts are calls of that lab's clients."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import sdk
from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup import judge as verify
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps import counting

Counted = tuple[Account, str]


def item_table(account: Account, name: str, bounds: object = None) -> Counted:
    return account, name


def count_items(table: Counted, progress: object = None, bounds: object = None) -> int:
    account, name = table
    try:
        return int(account.client("dynamodb").scan(TableName=name, Select="COUNT")["Count"])
    except sdk.ClientError as error:
        raise account.explain(error, "counting the items", name) from error


@pytest.fixture(autouse=True)
def counted_by_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting by one call of DynamoDB's client for each table."""
    for room in (counting, verify):
        monkeypatch.setattr(room, "item_table", item_table)
        monkeypatch.setattr(room, "count_items", count_items)
