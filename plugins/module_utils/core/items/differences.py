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
from typing import Any, Literal, get_args

from ..errors import InvalidInput
from .carried import CARRIED, Carried
from .client import RetryPolicy
from .digest import DigestChoice
from .permit import FREE, Bounds
from .throttle import Rate
from .transform.definition import Definition

Kind = Literal["missing", "different", "extra"]

_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Difference:
    """One key that is not equal on both sides: ``missing`` in the destination, ``different``, or ``extra`` there.

    ``key`` is the destination's in DynamoDB's JSON, ``{"id": {"S": "1"}}``. Where the items were transformed,
    ``sources`` are the keys of the source's items that it is made of, as far as they are known.
    """

    kind: Kind
    key: Mapping[str, Mapping[str, str]]
    sources: tuple[Mapping[str, Mapping[str, str]], ...] = ()

    def to_line(self) -> str:
        """The difference as a line of JSON."""
        entry: dict[str, Any] = {"difference": self.kind, "key": self.key}
        if self.sources:
            entry["sources"] = self.sources
        line = json.dumps(entry, ensure_ascii=False)
        # A key may have halves of surrogate pairs, which no file takes as they are.
        return line if line.isascii() or _SURROGATES.search(line) is None else json.dumps(entry)

    @classmethod
    def from_line(cls, line: str) -> Difference:
        """The difference in a line of ``to_line``. Raises InvalidInput."""
        try:
            entry = json.loads(line)
            kind, key, sources = entry["difference"], entry["key"], entry.get("sources", [])
            if kind not in get_args(Kind) or not all(isinstance(each, dict) for each in [key, *sources]):
                raise ValueError(f"{kind!r} is not a kind of difference")
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(
                f"A line of the report of differences cannot be read: {error}.", "Compare the tables again."
            ) from error
        return cls(kind, key, tuple(sources))


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
    ``transform`` makes of the source's items those that the destination is to have: it is compared with what comes of
    them, key by key of the destination, and ``ignore_expired`` names an attribute of these. ``collisions`` says whether
    several items may have become one, any of which is right, where the steps may do that.
    ``carried`` is what of an item is compared, and gets to the transform. ``digest`` is ``sha256`` where somebody may
    have forged items so that they look equal, see ``Digests``. ``bounds`` say when the comparison must stop.
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
    transform: Definition | None = None
    collisions: bool = True
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

    With a transform ``items_source`` and ``expired_source`` count what was made of the source's items: of those
    ``read`` and those that functions ``added``, without those ``kept_out`` or ``refused`` by the number of a step (0:
    for a key of the table or the size). ``one_way``: a sample has items of the source only, since the destination's
    keys do not tell the source's; it says nothing of what is extra in the destination. ``undecided`` items of a sample
    are not what the destination has, which may be right: several items of the source may have become one.
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
    read: int = 0
    added: int = 0
    kept_out: Mapping[int, int] = field(default_factory=dict)
    refused: Mapping[int, int] = field(default_factory=dict)
    one_way: bool = False
    undecided: int = 0

    @property
    def balanced(self) -> bool:
        """Whether each item of the source that was read, or added, is counted as what became of it."""
        left_out = sum(self.kept_out.values()) + sum(self.refused.values())
        return self.read + self.added == left_out + self.items_source + self.expired_source

    @property
    def differences(self) -> int:
        """How many differences were reported."""
        return self.missing + self.different + self.extra

    @property
    def equal(self) -> bool:
        """Whether nothing that was compared differs."""
        return not self.differences and not self.unlisted_buckets
