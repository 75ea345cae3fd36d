# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the exports of an account that AWS lists."""

from __future__ import annotations

from typing import Any

from ..accounts import Accounts
from ..reading import snake
from ..spec import SHARED_OPTIONS, Progress, Verb, account_option

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "source": account_option(required=True),
    "name": {"type": "str"},
    "arn": {"type": "str"},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """One export in full, or a summary of those of a table or of the account."""
    account = Accounts(params).get("source", params["source"])
    if params["arn"]:
        response = account.ask("dynamodb", "describe_export", "describing the export", ExportArn=params["arn"])
        exports = [response["ExportDescription"]]
    else:
        request = {"MaxResults": 25}
        if params["name"]:
            request["TableArn"] = account.table_arn(params["name"])
        exports = list(account.pages("dynamodb", "list_exports", "ExportSummaries", "listing the exports", **request))
    return {"changed": False, "exports": [snake(entry) for entry in exports]}


VERB = Verb(
    "dynamodb_export_info", SPEC, run, services=("dynamodb", "sts"), rules={"mutually_exclusive": [("arn", "name")]}
)
