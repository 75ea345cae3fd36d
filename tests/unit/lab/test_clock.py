# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Durations and throttles."""

from __future__ import annotations

import pytest

from lab.clock import Clock
from lab.world import World

SOURCE, DESTINATION = "111111111111", "222222222222"


def test_timings(world: World) -> None:
    assert world.timings.seconds("export.full") == pytest.approx(152.7 / 2)
    world.timings.set("export.full", 3)
    assert world.timings.seconds("export.full") == 3
    world.timings.define("mine", 8)
    assert world.timings.seconds("mine") == 4
    with pytest.raises(KeyError):
        world.timings.set("unheard", 1)


def test_throttles(world: World) -> None:
    world.timings.scale = 1.0

    def call(refused_count: bool = False) -> bool:
        return world.throttles.admits(SOURCE, "export", burst=3, per_second=0.5, refused_count=refused_count)

    assert [call() for _ in range(5)] == [True, True, True, False, False]
    assert world.throttles.admits(DESTINATION, "export", burst=3, per_second=0.5)
    world.advance(2.1)
    assert [call(), call()] == [True, False]
    call(refused_count=True)
    world.advance(2.1)
    assert not call()
    world.quotas = False
    assert call()


def test_answers_are_dated_by_the_clock_of_the_clients() -> None:
    clock = Clock()
    clock.advance(7200)
    assert abs(clock.shown() - clock.real_now()) < 60
    clock.shared = True
    assert abs(clock.shown() - clock.now()) < 60
