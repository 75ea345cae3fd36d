# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CRC32 and gzip by ISA-L where the library isal is installed: 13 and 2.7 times as fast as zlib (spark.md 5)."""

from __future__ import annotations

import zlib
from typing import Any

try:
    from isal import isal_zlib
except ImportError:
    isal_zlib = zlib

_FAST: Any = isal_zlib

crc32 = _FAST.crc32
decompressobj = _FAST.decompressobj
ERRORS: tuple[type[Exception], ...] = (zlib.error, _FAST.error)

_GZIP = 31  # window bits for data with a gzip head


def compressobj() -> Any:
    """An object that deflates to gzip, without a time in its head: the same text gives the same bytes."""
    return _FAST.compressobj(wbits=_GZIP)
