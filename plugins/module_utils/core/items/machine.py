# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this process may use of its machine: cores and memory, within the quotas of its container.

Sources: the Linux kernel's "Control Group v2" (cpu.max, memory.max: the limits of all groups above hold too), and of
version 1 "CFS Bandwidth Control" (cpu.cfs_quota_us) and "Memory Resource Controller" (memory.limit_in_bytes).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_NO_LIMIT = 1 << 60  # version 1 writes about 2**63 bytes, rounded to pages, where there is no limit


def cores(root: Path = Path("/")) -> float:
    """How many cores this process may use: those that it may run on, within the quota of its control groups."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [_quota(folder) for controller, folder in _folders(root) if controller in ("", "cpu")]
    return min(count, *quotas) if quotas else count


def memory_bytes(root: Path = Path("/")) -> float:
    """How much memory the control groups of this process may use; infinite where nothing limits them."""
    limits = [_memory(folder) for controller, folder in _folders(root) if controller in ("", "memory")]
    return min(limits, default=math.inf)


def _folders(root: Path) -> Iterator[tuple[str, Path]]:
    """The controllers, "" for all of them in version 2, with the folder of each group of this process and all above it.

    Inside a container the paths may be those of the host: the container's own group is then the topmost folder.
    """
    mounted = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _number, _colon, rest = line.partition(":")
        controllers, _colon, path = rest.partition(":")
        place = PurePosixPath("/", path).relative_to("/")
        if ".." in place.parts:  # of a group outside of the namespace
            place = PurePosixPath()
        for controller in controllers.split(","):
            tops = [mounted / controllers, mounted / controller] if controller else [mounted, mounted / "unified"]
            for top in dict.fromkeys(tops):
                for group in (place, *place.parents):
                    yield controller, top / group


def _quota(folder: Path) -> float:
    """The cores that the group in ``folder`` may use; infinite where that is not limited."""
    quota, _space, period = _text(folder / "cpu.max").partition(" ")
    if not quota:
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    # "max" in version 2, "-1" in version 1 where there is no limit
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else math.inf


def _memory(folder: Path) -> float:
    limit = _text(folder / "memory.max") or _text(folder / "memory.limit_in_bytes")
    return int(limit) if limit.isdigit() and int(limit) < _NO_LIMIT else math.inf


def _text(path: Path) -> str:
    """What a file has; "" where there is none, or it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
