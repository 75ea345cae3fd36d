# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cores and memory of a container are those of its quotas."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.machine import cores, memory_bytes

GIB = 2**30
CPU = "sys/fs/cgroup/cpu,cpuacct"
MEMORY = "sys/fs/cgroup/memory"
VERSION_1 = "11:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n0::/system.slice/containerd.service"

# What the files of a container say, and what it may use of a machine with 8 cores.
CONTAINERS = {
    "no control groups": ({}, 8, math.inf),
    "no limits": (
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000", "sys/fs/cgroup/memory.max": "max"},
        8,
        math.inf,
    ),
    "version 2": (
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/cpu.max": "150000 100000",
            "sys/fs/cgroup/memory.max": str(2 * GIB),
        },
        1.5,
        2 * GIB,
    ),
    "version 2, a group above": (
        {
            "proc/self/cgroup": "0::/pods/pod 1/one",
            "sys/fs/cgroup/pods/pod 1/one/cpu.max": "max 100000",
            "sys/fs/cgroup/pods/pod 1/cpu.max": "300000 100000",
            "sys/fs/cgroup/pods/cpu.max": "600000 100000",
            "sys/fs/cgroup/pods/pod 1/one/memory.max": str(4 * GIB),
            "sys/fs/cgroup/pods/memory.max": str(3 * GIB),
        },
        3,
        3 * GIB,
    ),
    "version 2, a group outside": (
        {"proc/self/cgroup": "0::/../../one", "sys/fs/cgroup/cpu.max": "200000 100000"},
        2,
        math.inf,
    ),
    "version 1": (
        {
            "proc/self/cgroup": VERSION_1,
            f"{CPU}/docker/1/cpu.cfs_quota_us": "50000",
            f"{CPU}/docker/1/cpu.cfs_period_us": "100000",
            f"{MEMORY}/docker/1/memory.limit_in_bytes": str(GIB),
        },
        0.5,
        GIB,
    ),
    "version 1, seen from within": (
        {
            "proc/self/cgroup": VERSION_1,
            f"{CPU}/cpu.cfs_quota_us": "400000",
            f"{CPU}/cpu.cfs_period_us": "100000",
            f"{MEMORY}/memory.limit_in_bytes": str(5 * GIB),
        },
        4,
        5 * GIB,
    ),
    "version 1, no limits": (
        {
            "proc/self/cgroup": VERSION_1,
            f"{CPU}/cpu.cfs_quota_us": "-1",
            f"{CPU}/cpu.cfs_period_us": "100000",
            f"{MEMORY}/memory.limit_in_bytes": "9223372036854771712",
        },
        8,
        math.inf,
    ),
    "nonsense": (
        {"proc/self/cgroup": "0::/\nnonsense\n", "sys/fs/cgroup/cpu.max": "100000 0", "sys/fs/cgroup/memory.max": "?"},
        8,
        math.inf,
    ),
    "more than the machine has": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "1600000 100000"}, 8, math.inf),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_what_a_container_may_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, container: str) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)), raising=False)
    files, wanted_cores, wanted_memory = CONTAINERS[container]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert (cores(tmp_path), memory_bytes(tmp_path)) == (wanted_cores, wanted_memory)


def test_cores_of_machines_without_affinity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert cores(tmp_path) == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores(tmp_path) == 1


def test_this_machine_has_some() -> None:
    assert cores() > 0
    assert memory_bytes() > 0
