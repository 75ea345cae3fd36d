# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listing the tables of an account, and what gets in the way."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    AccessDenied,
    CredentialsError,
    ServiceError,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.listing import Wish, list_tables, table_names
from tests.unit.on_lab.in_process import failure
from tests.unit.on_lab.staged import Staged


@pytest.fixture
def aws() -> Staged:
    return Staged({"orders": 3, "carts": 0, "archive": 0}, recovery=False)


def listed(aws: Staged, wish: Wish | None = None, *, tags: bool = False) -> list[str]:
    listing = list_tables(aws.account("source"), wish or Wish(), lambda _line: None, tags=tags)
    assert listing.warnings == ()
    return [table["name"] for table in listing.tables]


def test_all_pages_are_listed_and_nothing_is_changed() -> None:
    aws = Staged()
    for number in range(205):
        aws.client("dynamodb", "source").create_table(
            TableName=f"t-{number:03}",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        aws.advance(20)
    before = len(aws.mutating())
    assert list(table_names(aws.account("source"))) == [f"t-{number:03}" for number in range(205)]
    assert aws.count("ListTables") == 3
    assert len(aws.mutating()) == before


def test_tags_are_read_only_where_somebody_asks(aws: Staged) -> None:
    aws.tag("orders", "team", "shop", side="source")
    aws.advance(5)
    assert listed(aws) == ["archive", "carts", "orders"]
    assert aws.count("ListTagsOfResource") == 0
    assert listed(aws, Wish(include=("c*",)), tags=True) == ["carts"]
    assert aws.count("ListTagsOfResource") == 1
    assert listed(aws, Wish(include_tags={"team": "sh*"})) == ["orders"]
    assert listed(aws, Wish(exclude_tags={"team": "*"})) == ["archive", "carts"]


def test_only_tables_of_wanted_names_are_described(aws: Staged) -> None:
    before = aws.count("DescribeTable")
    assert listed(aws, Wish(include=("orders",))) == ["orders"]
    assert aws.count("DescribeTable") == before + 1


def test_without_the_permission_for_tags_they_are_missing_with_a_warning(aws: Staged) -> None:
    aws.may_not("source", "dynamodb:ListTagsOfResource")
    listing = list_tables(aws.account("source"), Wish(), lambda _line: None, tags=True)
    assert [table["name"] for table in listing.tables] == ["archive", "carts", "orders"]
    assert not any("tags" in table for table in listing.tables)
    (warning,) = listing.warnings
    assert "dynamodb:ListTagsOfResource" in warning
    assert aws.count("ListTagsOfResource") == 1


def test_without_the_permission_a_choice_by_tags_is_refused(aws: Staged) -> None:
    aws.may_not("source", "dynamodb:ListTagsOfResource")
    with pytest.raises(AccessDenied, match="include_tags and exclude_tags need it"):
        listed(aws, Wish(exclude_tags={"team": "*"}))


@pytest.mark.parametrize("after", ["ListTables", "DescribeTable"])
def test_a_table_deleted_meanwhile_is_left_out(aws: Staged, after: str) -> None:
    lines: list[str] = []

    def drop(moment: str, operation: str, _number: int) -> None:
        if (moment, operation) == ("after", after):
            aws.interrupt = lambda *_call: None
            aws.client("dynamodb", "source").delete_table(TableName="archive")
            aws.advance(60)

    aws.interrupt = drop
    listing = list_tables(aws.account("source"), Wish(), lines.append, tags=True)
    assert [table["name"] for table in listing.tables] == ["carts", "orders"]
    assert any("archive is being deleted, or gone" in line for line in lines)


def test_a_table_that_is_being_deleted_is_left_out(aws: Staged) -> None:
    aws.client("dynamodb", "source").delete_table(TableName="archive")
    assert "archive" in list(table_names(aws.account("source")))
    assert listed(aws) == ["carts", "orders"]


def test_a_region_that_is_off_is_named(aws: Staged) -> None:
    def refuse(moment: str, operation: str, _number: int) -> None:
        if (moment, operation) == ("before", "ListTables"):
            raise failure("UnrecognizedClientException", "The security token included in the request is invalid.")

    aws.interrupt = refuse
    with pytest.raises(CredentialsError, match="eu-west-1 is not enabled for the account"):
        listed(aws)


def test_a_throttle_that_lasts_ends_the_list(aws: Staged) -> None:
    """Half an inventory would be taken for a whole one."""

    def refuse(moment: str, operation: str, _number: int) -> None:
        if (moment, operation) == ("before", "DescribeTable"):
            raise failure("ThrottlingException", "Rate exceeded")

    aws.interrupt = refuse
    with pytest.raises(ServiceError, match="Rate exceeded"):
        listed(aws)


def test_progress_tells_how_far_it_is(aws: Staged) -> None:
    lines: list[str] = []
    list_tables(aws.account("source"), Wish(exclude=("archive",)), lines.append)
    assert lines == [
        "eu-west-1: 3 tables, 2 of them by name",
        "eu-west-1: 2 of 2 tables described, 2 wanted",
    ]
