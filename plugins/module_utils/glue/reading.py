# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the exports and imports that AWS remembers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict

from ..core import sdk
from ..core.account import Account
from ..core.table.definition import json_safe


def ask(account: Account, doing: str, call: Callable[..., dict[str, Any]], **request: Any) -> dict[str, Any]:
    """The answer of one call. Raises the core's error for what AWS answered."""
    try:
        return call(**request)
    except sdk.ClientError as error:
        raise account.explain(error, doing) from error


def ask_pages(
    account: Account, doing: str, call: Callable[..., dict[str, Any]], member: str, **request: Any
) -> list[dict[str, Any]]:
    """The entries of a list call, all pages of it."""
    found: list[dict[str, Any]] = []
    page = ask(account, doing, call, **request)
    found += page.get(member, [])
    while page.get("NextToken"):
        page = ask(account, doing, call, **request, NextToken=page["NextToken"])
        found += page.get(member, [])
    return found


def snake(shape: dict[str, Any]) -> dict[str, Any]:
    """A structure of the API with names as Ansible writes them, and JSON-safe values."""
    return camel_dict_to_snake_dict(json_safe(shape), ignore_list=["FilterSpecification"])
