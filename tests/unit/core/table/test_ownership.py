# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tags and the marks among them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import AccessDenied
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.ownership import is_marked, marks, read_tags
from tests.unit.core.table.conftest import FakeAccount, aws_error

ARN = "arn:aws:dynamodb:eu-west-1:111111111111:table/orders"


class Pages:
    """An account's client whose tags come one to a page, with an empty page among them."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def list_tags_of_resource(self, ResourceArn: str, NextToken: str = "0") -> dict[str, Any]:
        self.asked.append(NextToken)
        pages: list[dict[str, Any]] = [
            {"Tags": [{"Key": "aws:made-by", "Value": "stack"}], "NextToken": "1"},
            {"NextToken": "2"},
            {"Tags": [{"Key": "tableferry:migration", "Value": "default"}]},
        ]
        return pages[int(NextToken)]


def test_tags_are_read_to_the_last_page(monkeypatch: pytest.MonkeyPatch, described: Any) -> None:
    account, pages = FakeAccount("source", "111111111111", described()), Pages()
    monkeypatch.setattr(account, "client", lambda service: pages)
    assert read_tags(account, ARN) == {"aws:made-by": "stack", "tableferry:migration": "default"}
    assert pages.asked == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("given", "words"), [({}, "reading the tags of orders"), ({"doing": "looking for marks"}, "looking for marks")]
)
def test_a_refusal_says_what_was_done(described: Any, given: dict[str, str], words: str) -> None:
    account = FakeAccount("source", "111111111111", described())
    account.errors["list_tags_of_resource"] = [aws_error("AccessDeniedException", "no")]
    with pytest.raises(AccessDenied, match=words) as refused:
        read_tags(account, ARN, **given)
    assert refused.value.table == "orders"


def test_marks_are_of_one_source() -> None:
    tags = marks("default", ARN)
    assert is_marked(tags, "default", ARN.replace("arn:aws:", "arn::"))
    assert not is_marked(tags, "other", ARN)
    assert not is_marked(tags, "default", ARN.replace("orders", "other"))
    assert is_marked({"tableferry:migration": "default"}, "default", ARN)
    long = ARN + "x" * 255
    assert is_marked(marks("default", long), "default", long)
    assert max(map(len, marks("default", long).values())) <= 256
