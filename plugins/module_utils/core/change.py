# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run changes, as values: check mode prints them, a run applies them, the diff is made of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Risk = Literal["safe", "slow", "billed", "destructive"]


@dataclass(frozen=True)
class Change:
    """One change: ``what`` it touches, its value ``before`` and ``after`` (JSON-safe), and what it risks.

    ``slow`` takes minutes on AWS, ``billed`` costs money when done twice, ``destructive`` removes something.
    """

    what: str
    before: Any
    after: Any
    risk: Risk = "safe"

    def to_dict(self) -> dict[str, Any]:
        """The change as plain data."""
        return asdict(self)


NOT_THERE = "it does not exist"  # the reason why what is not there is left
RECOVERY_POINT = "recovery point "  # how one begins to be named in what is left


@dataclass(frozen=True)
class NotCarried:
    """Something that is not carried over, and why: nothing is dropped silently."""

    what: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """The entry as plain data."""
        return asdict(self)


def to_diff(changes: Iterable[Change], header: str) -> dict[str, Any]:
    """Changes in the shape that Ansible's ``--diff`` prints."""
    changes = list(changes)
    return {
        "before_header": header,
        "after_header": header,
        "before": {change.what: change.before for change in changes},
        "after": {change.what: change.after for change in changes},
    }
