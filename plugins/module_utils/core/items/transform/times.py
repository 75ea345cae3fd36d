# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times: ISO 8601 with an offset, and seconds or milliseconds since 1970, every digit kept."""

from __future__ import annotations

import re
from datetime import date
from decimal import Context, Decimal

from .values import Unfit, number

_ISO8601 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?(?:([Zz])|([+-])(\d\d)(?::?(\d\d))?)", re.ASCII
)
_EXACT = Context(prec=400)
_EPOCH = date(1970, 1, 1).toordinal()
_DAY = 86400
SECONDS, MILLISECONDS = 0, 3  # powers of ten in a second


def to_epoch(text: str, power: int) -> str:
    """The time ``text`` as a number of seconds, or of milliseconds for that ``power``. Raises Unfit."""
    match = _ISO8601.fullmatch(text)
    if match is None:
        raise Unfit("is no time in ISO 8601 with an offset, as 2026-11-29T06:00:00Z")
    year, month, day, hour, minute = map(int, match.group(1, 2, 3, 4, 5))
    second, offset = int(match[6] or 0), 60 * int(match[10] or 0) + int(match[11] or 0)
    if hour > 23 or minute > 59 or second > 59 or offset > 23 * 60 + 59 or int(match[11] or 0) > 59:
        raise Unfit("is a time that there is not")
    try:
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        raise Unfit("is a day that there is not") from None
    whole = days * _DAY + hour * 3600 + minute * 60 + second - (-60 if match[9] == "-" else 60) * offset
    if len(match[7] or "") > 300:
        raise Unfit("is a time of too many digits")
    exact = _EXACT.add(Decimal(whole), Decimal(f"0.{match[7] or 0}"))
    return number(f"{exact.scaleb(power, _EXACT):f}")


def to_iso8601(text: str, power: int) -> str:
    """The time of the number ``text``, in UTC. Raises Unfit."""
    exact = Decimal(number(text)).scaleb(-power, _EXACT)
    if not -(10**12) < exact < 10**12:
        raise Unfit("is a time before the year 1 or after the year 9999")
    whole = int(exact // 1) if exact >= 0 or exact == exact.to_integral_value() else int(exact) - 1
    days, seconds = divmod(whole, _DAY)
    try:
        day = date.fromordinal(days + _EPOCH)
    except (ValueError, OverflowError):
        raise Unfit("is a time before the year 1 or after the year 9999") from None
    fraction = f"{_EXACT.subtract(exact, Decimal(whole)):f}".partition(".")[2].rstrip("0")
    shown = f"{day.isoformat()}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{shown}.{fraction}Z" if fraction else f"{shown}Z"
