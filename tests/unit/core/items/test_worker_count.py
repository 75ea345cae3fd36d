# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many processes work on a table, as asked or by its size and the machine."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import machine
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.worker_count import at_work, workers_for

GIB = 2**30


@pytest.mark.parametrize(
    ("cores", "memory", "size", "workers"),
    [
        (8, math.inf, 0, 1),
        (8, math.inf, GIB - 1, 1),
        (8, math.inf, 2 * GIB, 2),
        (8, math.inf, 3 * GIB, 3),
        (8, math.inf, 900 * GIB, 4),
        (2, math.inf, 900 * GIB, 2),
        (1, math.inf, 900 * GIB, 1),
        (2.9, math.inf, 900 * GIB, 2),
        (0.5, math.inf, 900 * GIB, 1),
        (8, 3 * GIB, 900 * GIB, 3),
        (8, GIB // 2, 900 * GIB, 1),
    ],
)
def test_auto_goes_by_size_cores_and_memory(
    monkeypatch: pytest.MonkeyPatch, cores: float, memory: float, size: int, workers: int
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.setattr(machine, "memory_bytes", lambda: memory)
    assert workers_for("auto", size) == workers


@pytest.mark.parametrize(
    ("tables", "cores", "memory", "workers"),
    [
        (1, 8, math.inf, 4),
        (2, 8, math.inf, 4),
        (3, 8, math.inf, 2),
        (4, 8, math.inf, 2),
        (4, 2, math.inf, 1),
        (4, 64, 8 * GIB, 2),
        (4, 64, 2 * GIB, 1),
    ],
)
def test_tables_that_are_worked_on_together_share_the_machine(
    monkeypatch: pytest.MonkeyPatch, tables: int, cores: float, memory: float, workers: int
) -> None:
    """Four tables of a waiter had eight processes on two cores."""
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.setattr(machine, "memory_bytes", lambda: memory)
    all_begun, counted = threading.Barrier(tables, timeout=60), threading.Barrier(tables, timeout=60)

    def count() -> int:
        with at_work():
            all_begun.wait()
            result = workers_for("auto", 900 * GIB)
            counted.wait()
            return result

    with ThreadPoolExecutor(tables) as pool:
        assert {each.result() for each in [pool.submit(count) for _table in range(tables)]} == {workers}
    assert workers_for("auto", 900 * GIB) == min(4, cores, memory // GIB), "those that have ended have no share"
    with pytest.raises(ValueError), at_work():
        raise ValueError
    assert workers_for("auto", 900 * GIB) == min(4, cores, memory // GIB), "nor have those that failed"


def test_a_number_is_taken_as_it_is() -> None:
    with at_work(), at_work():
        assert workers_for("7", 0) == 7


@pytest.mark.parametrize("text", ["0", "-1", "many", "", "1.5", "²", "Auto"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"workers is .*\. Specify auto, or a number of processes, 1 or more"):
        workers_for(text, 0)
