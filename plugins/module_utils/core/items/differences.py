# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options, progress, differences and result of a comparison of two tables."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from ..errors import InvalidInput
from .carried import CARRIED, Carried
from .client import RetryPolicy
from .digest import DigestChoice
from .permit import FREE, Bounds
from .throttle import Rate

Kind = Literal["missing", "different", "extra"]

_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Difference:
    """One key that is not equal on both sides: ``missing`` in the destination, ``different``, or ``extra`` there.

    ``key`` is DynamoDB's JSON, ``{"id": {"S": "1"}}``.
    """

    kind: Kind
    key: Mapping[str, Mapping[str, str]]

    def to_line(self) -> str:
        """The difference as a line of JSON."""
        entry = {"difference": self.kind, "key": self.key}
        line = json.dumps(entry, ensure_ascii=False)
        # A key may have halves of surrogate pairs, which no file takes as they are.
        return line if line.isascii() or _SURROGATES.search(line) is None else json.dumps(entry)

    @classmethod
    def from_line(cls, line: str) -> Difference:
        """The difference in a line of ``to_line``. Raises InvalidInput."""
        try:
            entry = json.loads(line)
            kind, key = entry["difference"], entry["key"]
            if kind not in get_args(Kind) or not isinstance(key, dict):
                raise ValueError(f"{kind!r} is not a kind of difference")
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(
                f"A line of the report of differences cannot be read: {error}.", "Compare the tables again."
            ) from error
        return cls(kind, key)


@dataclass(frozen=True)
class CompareOptions:
    """How to compare.

    ``consistent`` reads both tables strongly consistent from the beginning, for twice the units; differences are always
    read so before they are reported. ``workers`` are processes; each keeps ``reads_at_once`` pages of each table under
    way. The rates limit the read units per second of the whole comparison. ``ignore_expired`` names the time to live
    attribute: items whose time has passed are then left out on both sides. ``most_listed`` limits the memory for
    differences: about that many keys are held at once. With ``work_dir``, a folder of this machine, more are kept on
    disk, up to ``most_work_bytes`` and nine tenths of the free space, for up to about ``most_differing`` differences.
    Further buckets that differ are counted, not looked into. The sums take up to ``most_buckets``, of 8 bytes in each
    process: more buckets are fewer keys to keep.
    ``carried`` is what of an item is compared. ``digest`` is ``sha256`` where somebody may have forged items so that
    they look equal, see ``Digests``. ``bounds`` say when the comparison must stop.
    """

    consistent: bool = False
    workers: int = 1
    reads_at_once: int = 8
    source_rate: Rate | None = None
    destination_rate: Rate | None = None
    ignore_expired: str = ""
    most_listed: int = 100_000
    work_dir: Path | None = None
    most_work_bytes: int = 16 << 30
    most_differing: int = 1_000_000
    most_buckets: int = 1 << 22
    carried: Carried = CARRIED
    digest: DigestChoice = "auto"
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    bounds: Bounds = FREE


@dataclass(frozen=True)
class CompareProgress:
    """Where a comparison stands: items read of both tables in this reading, and segments done.

    ``reading`` is 1 for the first, 2 where so many equal items arrive in different forms that canonical forms have to
    be compared, 3 for the keys of what differs.
    """

    reading: int
    items_source: int
    items_destination: int
    segments_done: int
    segments: int


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    ``items_*`` were read from each table and compared, ``expired_*`` left out; ``missing``, ``different`` and ``extra``
    count the differences reported. ``unlisted_buckets`` > 0 says that there are more than could be listed: so many
    groups of keys differ too. To list all of them ``work_bytes`` are needed on disk, 0 where memory is enough or no
    disk was offered, and ``work_bytes_free`` may be used; ``work_unusable`` says why none. Read units are None where no
    rate was set. ``marked_*`` items have attributes that do not travel and are not compared; a sample does not count
    them. ``workers_lost`` says how worker processes ended that died, whose work others have done ("was ended by
    SIGKILL").
    """

    items_source: int
    items_destination: int
    missing: int = 0
    different: int = 0
    extra: int = 0
    unlisted_buckets: int = 0
    expired_source: int = 0
    expired_destination: int = 0
    read_units_source: float | None = None
    read_units_destination: float | None = None
    marked_source: int = 0
    marked_destination: int = 0
    work_bytes: int = 0
    work_bytes_free: int = 0
    work_unusable: str = ""
    workers_lost: tuple[str, ...] = ()

    @property
    def differences(self) -> int:
        """How many differences were reported."""
        return self.missing + self.different + self.extra

    @property
    def equal(self) -> bool:
        """Whether nothing that was compared differs."""
        return not self.differences and not self.unlisted_buckets
