# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The function of the demo's steps: a user's file, beside the inventory."""

from __future__ import annotations

from typing import Any


def fix_zip(item: dict[str, Any]) -> dict[str, Any]:
    """Postal codes that were stored as numbers are texts of five digits."""
    if "zip" in item:
        item["zip"] = {"S": item["zip"]["N"].zfill(5)}
    return item
