# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What verbs that change something return: the changes, and their diff."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.change import Change, to_diff


def changed(changes: Iterable[Change], header: str, **values: Any) -> dict[str, Any]:
    """The result of a verb that made ``changes``, or would in check mode; ``header`` is the diff's."""
    listed = list(changes)
    return {
        "changed": bool(listed),
        **values,
        "changes": [change.to_dict() for change in listed],
        "diff": to_diff(listed, header),
    }
