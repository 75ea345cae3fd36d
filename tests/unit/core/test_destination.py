# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables that this migration did not make."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.destination import not_ours, require_ours
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import DestinationExists
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.ownership import marks

ARN = "arn:aws:dynamodb:eu-west-1:222222222222:table/copy"
SOURCE_ARN = "arn:aws:dynamodb:eu-west-1:111111111111:table/orders"
TABLE = TableDefinition.from_dict(
    {
        "TableName": "copy",
        "TableArn": ARN,
        "TableId": "id-1",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    }
)


@pytest.fixture
def destination() -> Account:
    told = {"region": "eu-west-1", "account_id": "222222222222", "access_key": "AKIA", "secret_key": "s"}
    return Account(AccountSpec.from_mapping("destination", told))


def test_the_error_names_both_tables_and_what_to_do(destination: Account) -> None:
    error = not_ours(destination, TABLE, "orders")
    assert str(error) == (
        "orders: The table copy exists in eu-west-1 of account 222222222222 and was not made by this migration. Choose"
        " another destination_table, or delete the table yourself; TableFerry overwrites nothing."
    )
    assert error.details == {"table_arn": ARN, "table_id": "id-1"}
    assert not_ours(destination, TABLE, "orders", "Tag it.").next_step == "Tag it."


@pytest.mark.parametrize(
    "tags",
    [{}, {"owner": "somebody"}, marks("another", SOURCE_ARN), marks("default", SOURCE_ARN.replace("orders", "bills"))],
)
def test_tags_without_our_marks_are_anothers(destination: Account, tags: dict[str, str]) -> None:
    require_ours(destination, TABLE, {**tags, **marks("default", SOURCE_ARN)}, "default", SOURCE_ARN, "orders")
    with pytest.raises(DestinationExists, match="orders: The table copy exists"):
        require_ours(destination, TABLE, tags, "default", SOURCE_ARN, "orders")
