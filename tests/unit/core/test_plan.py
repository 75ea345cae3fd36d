# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which method a table can use."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    LocalSecondaryIndexes,
    NotInThisVersion,
    UnknownMethod,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan import METHODS, choose_method
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition

TABLE = {
    "TableName": "orders",
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
}
INDEX = {"IndexName": "by-day", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "Projection": {}}
PLAIN = TableDefinition.from_dict(TABLE)
INDEXED = TableDefinition.from_dict({**TABLE, "LocalSecondaryIndexes": [INDEX]})


@pytest.mark.parametrize("method", ["auto", "s3"])
def test_s3_is_chosen(method: str) -> None:
    assert choose_method(PLAIN, method) == "s3"


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.available])
def test_later_methods_are_named(method: str) -> None:
    with pytest.raises(NotInThisVersion, match=method):
        choose_method(PLAIN, method)


@pytest.mark.parametrize("method", ["", "S3", "backups"])
def test_unknown_methods_are_refused(method: str) -> None:
    with pytest.raises(UnknownMethod, match="Use auto, s3, backup, direct"):
        choose_method(PLAIN, method)


@pytest.mark.parametrize("method", ["auto", "s3"])
def test_local_secondary_indexes_are_refused(method: str) -> None:
    with pytest.raises(LocalSecondaryIndexes, match=r"by-day.*backup, direct") as refused:
        choose_method(INDEXED, method)
    assert (refused.value.status, refused.value.table) == ("refused", "orders")
