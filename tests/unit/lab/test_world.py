# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The world's time, files and parts."""

from __future__ import annotations

import threading

import pytest

from lab.assembly import SERVICES, build_world
from lab.services.iam import IamService
from lab.world import World


def test_events_happen_when_due(world: World) -> None:
    happened: list[tuple[str, float]] = []
    start = world.clock.now()

    def note(name: str) -> None:
        happened.append((name, world.clock.now() - start))

    def first() -> None:
        note("first")
        world.schedule(50, lambda: note("led to"))

    world.schedule(100, lambda: note("second"))
    world.schedule(10, first)
    world.schedule(20, lambda: note("cancelled")).cancel()
    world.schedule(1000, lambda: note("later"))
    world.advance(200)
    assert [name for name, _ in happened] == ["first", "led to", "second"]
    assert [round(when) for _, when in happened] == [10, 60, 100]
    assert round(world.clock.now() - start) == 200


def test_time_passes_by_itself(world: World) -> None:
    happened = threading.Event()
    world.schedule(0.01, happened.set)
    assert happened.wait(10)


def test_broken_event_stops_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    happened: list[int] = []

    def broken() -> None:
        raise RuntimeError("broken event")

    world.schedule(1, broken)
    world.schedule(2, lambda: happened.append(1))
    world.advance(3)
    assert happened == [1]
    assert "broken event" in world.event_errors[0]
    assert "broken event" in capsys.readouterr().err


def test_part_is_found_by_its_class() -> None:
    world = build_world(SERVICES[:2])
    assert world.part(IamService) is world.services["iam"]
    with pytest.raises(LookupError, match="This world has no Event"):
        world.part(threading.Event)
    event = world.put(threading.Event())
    assert world.part(threading.Event) is event
    world.close()


def test_world_removes_its_files() -> None:
    world = World()
    (world.data_directory / "file").write_text("x")
    world.close()
    assert not world.data_directory.exists()
