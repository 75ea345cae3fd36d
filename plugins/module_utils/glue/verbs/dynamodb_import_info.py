# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the imports of an account that AWS lists."""

from __future__ import annotations

from typing import Any

from ..accounts import Accounts
from ..reading import snake
from ..spec import SHARED_OPTIONS, Progress, Verb, account_option

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "destination": account_option(required=True),
    "name": {"type": "str"},
    "arn": {"type": "str"},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """One import in full, or a summary of those of a table or of the account."""
    account = Accounts(params).get("destination", params["destination"])
    if params["arn"]:
        response = account.ask("dynamodb", "describe_import", "describing the import", ImportArn=params["arn"])
        imports = [response["ImportTableDescription"]]
    else:
        request = {"PageSize": 25}
        if params["name"]:
            request["TableArn"] = account.table_arn(params["name"])
        imports = list(account.pages("dynamodb", "list_imports", "ImportSummaryList", "listing the imports", **request))
    return {"changed": False, "imports": [snake(entry) for entry in imports]}


VERB = Verb(
    "dynamodb_import_info", SPEC, run, services=("dynamodb", "sts"), rules={"mutually_exclusive": [("arn", "name")]}
)
