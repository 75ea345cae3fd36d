# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Items that were not written, by their keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MOST_NAMED = 20  # of the items that were not written: as many show what is wrong


@dataclass(frozen=True)
class NamedItem:
    """An item that was not written: its key in the source, in DynamoDB's JSON, and why. Keys are personal data: they
    stand in files of their owner and in objects that only a job reads, and in no message."""

    key: Mapping[str, Mapping[str, str]]
    reason: str
