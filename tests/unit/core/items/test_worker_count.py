# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many processes work on a table, as asked or by its size and the machine."""

from __future__ import annotations

import os

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.worker_count import workers_for

GIB = 2**30


@pytest.mark.parametrize(
    ("cores", "size", "workers"),
    [
        (8, 0, 1),
        (8, GIB - 1, 1),
        (8, 2 * GIB, 2),
        (8, 3 * GIB, 3),
        (8, 900 * GIB, 4),
        (2, 900 * GIB, 2),
        (1, 900 * GIB, 1),
    ],
)
def test_auto_goes_by_size_and_cores(monkeypatch: pytest.MonkeyPatch, cores: int, size: int, workers: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(cores)), raising=False)
    assert workers_for("auto", size) == workers


def test_auto_knows_the_cores_of_machines_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert workers_for("auto", 900 * GIB) == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert workers_for("auto", 900 * GIB) == 1


def test_a_number_is_taken_as_it_is() -> None:
    assert workers_for("7", 0) == 7


@pytest.mark.parametrize("text", ["0", "-1", "many", "", "1.5", "²", "Auto"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"workers is .*\. Specify auto, or a number of processes, 1 or more"):
        workers_for(text, 0)
