# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the exports of an account that AWS remembers."""

from __future__ import annotations

from typing import Any

from ..accounts import Accounts
from ..reading import ask, ask_pages, snake
from ..spec import SHARED_OPTIONS, Progress, Verb, account_option

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "source": account_option(required=True),
    "name": {"type": "str"},
    "arn": {"type": "str"},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """One export in full, or a table's or the whole account's in short."""
    account = Accounts(params).get("source", params["source"])
    client = account.client("dynamodb")
    if params["arn"]:
        answer = ask(account, "describing the export", client.describe_export, ExportArn=params["arn"])
        found = [answer["ExportDescription"]]
    else:
        request = {"MaxResults": 25}
        if params["name"]:
            request["TableArn"] = account.table_arn(params["name"])
        found = ask_pages(account, "listing the exports", client.list_exports, "ExportSummaries", **request)
    return {"changed": False, "exports": [snake(entry) for entry in found]}


VERB = Verb(
    "dynamodb_export_info", SPEC, run, services=("dynamodb", "sts"), rules={"mutually_exclusive": [("arn", "name")]}
)
