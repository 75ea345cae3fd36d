# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long something took, or was ago, in the words of messages."""

from __future__ import annotations

_UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"))


def in_words(seconds: float) -> str:
    """``12 s``, ``17 minutes``, ``5 hours``, ``2 days``: in the largest unit that there are two of at least."""
    for length, unit in _UNITS:
        if round(seconds / length) >= 2:
            return f"{round(seconds / length)} {unit}"
    return f"{max(0, round(seconds))} s"
