# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tag of what TableFerry created. What has the name of ours without it belongs to somebody else."""

from __future__ import annotations

from collections.abc import Mapping

from ..account import Account

MARK = ("tableferry:managed", "true")


def own(account: Account) -> dict[str, str]:
    """The tags of what is made in ``account``: those that its user wants, and the mark."""
    return {**account.tags, MARK[0]: MARK[1]}


def is_marked(tags: Mapping[str, str]) -> bool:
    """Whether TableFerry created what has these tags."""
    return tags.get(MARK[0]) == MARK[1]
