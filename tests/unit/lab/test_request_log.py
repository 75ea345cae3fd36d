# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every request and job is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.request_log import is_mutating

SOURCE, DESTINATION = "111111111111", "222222222222"
Refused = Callable[..., tuple[str, int]]


def test_log_keeps_every_request(gate_lab: Any, refused: Refused) -> None:
    tables = gate_lab.client("dynamodb")
    tables.describe_table(TableName="orders")
    refused(tables.describe_table, TableName="missing")
    tables.delete_table(TableName="orders")
    gate_lab.client("dynamodb", gate_lab.destination).delete_table(TableName="orders")
    gate_lab.client("s3").put_object(Bucket="staging", Key="a", Body=b"")
    refused(gate_lab.client("s3").get_object, Bucket="staging", Key="missing")
    requests = gate_lab.world.request_log
    assert requests.count() == 6
    assert requests.count("DescribeTable") == requests.count("dynamodb.DescribeTable") == 2
    assert requests.count("DescribeTable", ok=True) == 1
    assert requests.count("s3.DescribeTable") == 0
    assert requests.count(error_code="ResourceNotFoundException") == 1
    assert requests.count(error_code="NoSuchKey", service="s3") == 1
    assert requests.count(mutating=True, account=SOURCE) == 2
    assert [entry.operation for entry in requests.mutating_calls(account=DESTINATION)] == ["DeleteTable"]
    entry = requests.calls("DescribeTable")[1]
    assert (entry.account, entry.region, entry.status) == (SOURCE, "eu-west-1", 400)
    assert entry.principal_arn == f"arn:aws:iam::{SOURCE}:user/administrator"
    requests.clear()
    assert requests.count() == 0
    assert requests.calls() == []


@pytest.mark.parametrize(
    ("operation", "mutating"),
    [
        ("DescribeTable", False),
        ("BatchGetItem", False),
        ("Query", False),
        ("AssumeRole", False),
        ("HeadObject", False),
        ("PutItem", True),
        ("ExportTableToPointInTime", True),
        ("CreateGrant", True),
        ("UntagResource", True),
    ],
)
def test_reading_is_known_by_the_name(operation: str, mutating: bool) -> None:
    assert is_mutating(operation) is mutating
