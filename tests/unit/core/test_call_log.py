# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The log of calls: what a line says, which table it names, and what happens where it cannot be written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import sdk
from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.tableferry.aws.plugins.module_utils.core.signing import call_log

SECRET = "wJalrXUtnFEMI/K7MDENG"


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("params", "table"),
    [
        ({"TableName": "orders"}, "orders"),
        ({"TableName": "arn:aws:dynamodb:eu-west-1:111111111111:table/orders"}, "orders"),
        ({"ResourceArn": "arn:aws:dynamodb:eu-west-1:111111111111:table/orders/stream/2026"}, "orders"),
        ({"ResourceId": "table/orders/index/all"}, "orders"),
        ({"TableCreationParameters": {"TableName": "orders"}}, "orders"),
        ({"RequestItems": {"orders": [], "people": []}}, "orders,people"),
        ({"ResourceArn": "arn:aws:kms:eu-west-1:111111111111:key/1"}, ""),
        ({"Bucket": "staging", "Key": "table/x"}, ""),
    ],
)  # fmt: skip
def test_the_table_of_a_call(params: dict[str, Any], table: str) -> None:
    assert call_log.table_in(params) == table


def account(path: Path, **more: str) -> Account:
    spec = AccountSpec("source", "eu-west-1", access_key="AKIA", secret_key=SECRET, call_log=str(path), **more)
    return Account(spec)


def test_a_call_of_the_sdk_has_a_line_when_it_is_sent_and_one_when_it_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "new" / "calls.jsonl"
    client = account(path, endpoint_url="http://127.0.0.1:9").client("dynamodb", retries=0)
    with pytest.raises(sdk.BotoCoreError):
        client.put_item(TableName="orders", Item={"id": {"S": "a customer"}})
    sent, answered = lines_of(path)
    about = {"side": "source", "region": "eu-west-1", "service": "dynamodb", "operation": "PutItem", "table": "orders"}
    assert {name: sent[name] for name in about} == {name: answered[name] for name in about} == about
    assert (sent["event"], answered["event"], sent["call"]) == ("sent", "answered", answered["call"])
    assert (answered["status"], answered["request_id"]) == (call_log.NO_ANSWER, "")
    assert answered["error"] == "EndpointConnectionError"
    assert path.stat().st_mode & 0o777 == 0o600
    for secret in ("a customer", SECRET, "AKIA"):
        assert secret not in path.read_text()


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="log of calls"):
        account(tmp_path / "file" / "calls.jsonl")


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "calls.jsonl").symlink_to(tmp_path / "victim")
    with pytest.raises(InvalidInput):
        account(tmp_path / "calls.jsonl")
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_log_that_cannot_be_written_any_more_stops_nothing(tmp_path: Path) -> None:
    log = call_log.CallLog(str(tmp_path / "gone" / "calls.jsonl"), "source")
    log.sent("dynamodb", "Scan", "eu-west-1", "orders").answered(200, "id")
