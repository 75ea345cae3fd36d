# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far the controller's clock may be off, and the words for one that is off by more."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from ..aws_errors import BAD_CREDENTIALS, code_of
from ..errors import ClockOff

MOST_OFF = 240  # seconds. AWS refuses signatures that are 5 minutes off (aws.md J); a minute is left for the way.


def judged(off: float) -> ClockOff | None:
    """The error of a clock that is ``off`` by so many seconds, negative behind AWS's; None up to four minutes."""
    if abs(off) <= MOST_OFF:
        return None
    return ClockOff(
        f"The controller's clock is {abs(off) / 60:.0f} minutes {'ahead of' if off > 0 else 'behind'} AWS's: AWS"
        " refuses what it signs, and nobody could tell when a request of this run ends.",
        "Set the controller's clock (chronyc makestep, timedatectl set-ntp true) and run again.",
        details={"seconds": round(off)},
    )


def why_refused(error: BaseException, local: Callable[[], float] = time.time) -> ClockOff | None:
    """The clock's error, where AWS has refused a call's credentials and the clock that signs is off; else None.

    Every answer carries AWS's time. ``error`` is the SDK's, ``local`` the machine's clock in epoch seconds.
    """
    response = getattr(error, "response", None)
    if code_of(error) not in BAD_CREDENTIALS or not isinstance(response, Mapping):
        return None
    date = http_date(str(response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")))
    return None if date is None else judged(local() - date)


def http_date(text: str) -> float | None:
    """Epoch seconds of a Date header; None for one that cannot be read."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
