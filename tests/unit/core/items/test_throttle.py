# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rate of capacity units is kept within each second and met over a minute, by a clock of the tests."""

from __future__ import annotations

import heapq
import itertools
import random

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.throttle import (
    AIM,
    CATCH_UP_SECONDS,
    REQUEST_SECONDS,
    Rate,
    Reserved,
    Throttle,
    check_rate,
    to_rate,
)


def always(value: float):
    return lambda: value


NEVER, ALONE = always(0.0), always(1)


def consumed(
    rate: Rate, cost, at_once: int, travel: float, seconds: float, late=NEVER, stall=NEVER, sharers=ALONE
) -> list[tuple[float, float]]:
    """When which units were consumed by requests of ``cost(weight)`` units, as many at once as there are.

    Request and answer are under way for ``travel`` seconds together, and one of them for ``late()`` more, by turns; the
    process stands still for ``stall()`` after each.
    """
    clock = [0.0]
    throttle = Throttle(rate, lambda: clock[0], sharers)
    under_way: list[tuple[float, int, Reserved, float]] = []
    log: list[tuple[float, float]] = []
    numbers = itertools.count()
    while clock[0] < seconds:
        if len(under_way) < at_once and not throttle.delay():
            reserved = throttle.reserve(max(1, int(throttle.weight_for(throttle.request_units)) or 25))
            units, number, more = cost(reserved.weight), next(numbers), late()
            log.append((clock[0] + travel / 2 + (more if number % 2 else 0.0), units))
            heapq.heappush(under_way, (clock[0] + travel + more, number, reserved, units))
            clock[0] += stall()
            continue
        waits = [under_way[0][0]] if under_way else []
        if len(under_way) < at_once:
            waits.append(clock[0] + throttle.delay())
        clock[0] = max(clock[0], min(waits)) + 1e-9
        while under_way and under_way[0][0] <= clock[0]:
            _, _, reserved, units = heapq.heappop(under_way)
            throttle.settle(reserved, units)
    return sorted(log)


def worst(log: list[tuple[float, float]]) -> float:
    """The most units that any second took, whenever it begins."""
    most = total = 0.0
    first = 0
    for at, units in log:
        total += units
        while log[first][0] <= at - 1.0:
            total -= log[first][1]
            first += 1
        most = max(most, total)
    return most


def by_second(log: list[tuple[float, float]], seconds: int) -> list[float]:
    return [sum(units for at, units in log if second <= at < second + 1) for second in range(seconds)]


@pytest.mark.parametrize("units", [10, 100, 1000, 40_000])
@pytest.mark.parametrize("at_once", [1, 32])
@pytest.mark.parametrize("spread", [0.0, 0.9])
def test_a_rate_is_met_and_never_passed_for_more_than_a_second(units, at_once, spread):
    chance = random.Random(units)

    def cost(weight: float) -> float:
        return weight * 0.7 * chance.uniform(1 - spread, 1 + spread)

    log = consumed(Rate(units), cost, at_once, 0.002, 60)
    seconds = by_second(log, 60)
    assert sum(seconds) == pytest.approx(60 * units, rel=0.05)
    # Not even the first request, of which nothing is known, takes two seconds above the rate.
    allowed = 2 * units + max(cost for _, cost in log[1:]) - units * REQUEST_SECONDS
    for first, second in itertools.pairwise(seconds[1:]):
        assert first + second <= allowed * 1.001


def test_costs_that_were_not_expected_are_made_up_for():
    log = consumed(Rate(100), lambda weight: weight * 8.0 if weight > 5 else weight * 0.5, 8, 0.01, 60)
    assert sum(by_second(log, 60)) == pytest.approx(6000, rel=0.05)


def test_the_first_request_is_alone():
    clock = [0.0]
    throttle = Throttle(Rate(1000), lambda: clock[0])
    assert throttle.delay() == 0
    reserved = throttle.reserve(25)
    assert throttle.delay() > 0
    throttle.settle(reserved, 50.0)
    assert throttle.weight_for(100.0) == 50.0
    assert throttle.delay() == pytest.approx(0.05 / AIM)


def test_unused_time_is_not_saved_up():
    clock = [0.0]
    throttle = Throttle(Rate(100), lambda: clock[0])
    throttle.settle(throttle.reserve(1), 1.0)
    clock[0] = 100.0
    spent = 0
    while not throttle.delay():
        throttle.reserve(1)
        spent += 1
    assert spent <= 100 * CATCH_UP_SECONDS + 2


# The seconds that request and answer travel, by how much more one of them is late, and for how long the process stands
# still after a request.
LATE = {
    "nothing": lambda chance: (0.002, always(0.0), always(0.0)),
    "a distance": lambda chance: (0.1, always(0.0), always(0.0)),
    "a network that varies": lambda chance: (0.005, lambda: chance.uniform(0.0, 0.015), always(0.0)),
    "a network that stands still": lambda chance: (0.005, lambda: 0.4 * (chance.random() < 0.02), always(0.0)),
    "a machine that stands still": lambda chance: (
        0.005,
        always(0.0),
        lambda: chance.uniform(0.1, 0.7) * (chance.random() < 0.01),
    ),
    "a loaded machine": lambda chance: (0.001, lambda: chance.expovariate(50), lambda: chance.expovariate(200)),
}
SLOW = {"a network that stands still", "a machine that stands still", "a loaded machine"}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("late", LATE)
def test_no_second_is_above_the_rate_whatever_is_late(workers, late):
    chance = random.Random(f"{workers} {late}")
    log: list[tuple[float, float]] = []
    for _worker in range(workers):
        log += consumed(Rate(2000), lambda weight: weight, 64, seconds=60, sharers=always(workers), **how(late, chance))
    assert worst(sorted(log)) <= 2000
    if late not in SLOW:
        assert sum(units for _at, units in log) == pytest.approx(60 * 2000, rel=0.04)


def how(late: str, chance: random.Random) -> dict[str, object]:
    return dict(zip(("travel", "late", "stall"), LATE[late](chance), strict=True))


@pytest.mark.parametrize("late", LATE)
def test_no_second_is_above_the_rate_when_the_share_of_a_worker_goes_to_another(late):
    chance, ended = random.Random(late), 20.013
    now = [0.0]

    class Known(Throttle):
        """The test knows its time."""

        def __init__(self, rate: Rate, clock, sharers) -> None:
            super().__init__(rate, lambda: now.__setitem__(0, clock()) or now[0], sharers)

    def cost(weight: float) -> float:
        return weight

    log = consumed(Rate(2000), cost, 64, seconds=ended, sharers=always(2), **how(late, chance))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(consumed.__globals__, "Throttle", Known)
        others = how(late, chance)
        log += consumed(Rate(2000), cost, 64, seconds=60, sharers=lambda: 2 if now[0] < ended else 1, **others)
    assert worst(sorted(log)) <= 2000
    if late not in SLOW:
        after = sum(units for at, units in log if at > ended + 2)
        assert after == pytest.approx((60 - ended - 2) * 2000, rel=0.04)


def test_a_first_request_that_aws_throttles_holds_nothing_up():
    throttle = Throttle(Rate(100), lambda: 0.0)
    throttle.refused(throttle.reserve(1))
    assert throttle.delay() == 0.0
    second = throttle.reserve(1)
    assert throttle.delay() > 0.0
    throttle.settle(second, 1.0)
    assert throttle.weight_for(2.0) == 2.0


def test_requests_that_aws_throttles_hold_nothing_up():
    clock = [0.0]
    throttle = Throttle(Rate(100), lambda: clock[0])
    throttle.settle(throttle.reserve(1), 1.0)
    stuck = []
    for _second in range(20):
        clock[0] += 1.0
        while not throttle.delay():
            stuck.append(throttle.reserve(2))
            throttle.refused(stuck[-1])
            throttle.refused(stuck[-1])
    assert len(stuck) * 2 >= 20 * 100 * CATCH_UP_SECONDS
    clock[0] += 1.0
    for request in stuck:
        throttle.settle(request, 2.0)
    assert throttle.delay() > 0.0, "so much was taken within this second"
    clock[0] += 2.0
    assert throttle.delay() == 0.0


def test_a_ramp_doubles_until_the_rate():
    rate = Rate(40_000, start=4_000, doubling=1800)
    assert [rate.at(seconds) for seconds in (0, 1800, 3600, 1e9)] == [4_000, 8_000, 16_000, 40_000]
    assert Rate(5).at(0) == 5


def test_a_percentage_of_capacity():
    assert Rate.percent_of(200, 50) == Rate(100)
    with pytest.raises(InvalidInput, match="no provisioned capacity"):
        Rate.percent_of(0, 50)


@pytest.mark.parametrize("members", [{"units": 0}, {"units": -1}, {"units": float("nan")}, {"units": 1, "start": -1}])
def test_a_rate_that_is_none_is_refused(members):
    with pytest.raises(InvalidInput):
        Rate(**members)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("", None), ("  ", None), ("500", 500), ("0.5", 0.5), ("50%", 100), (" 12.5 % ", 25), ("100%", 200)],
)
def test_a_rate_in_words(text, rate):
    check_rate("read_rate", text)
    assert to_rate("read_rate", text, 200) == (None if rate is None else Rate(rate))


@pytest.mark.parametrize("text", ["abc", "0", "0%", "101%", "-5", "5 units", "1e3", "%", "nan"])
def test_what_is_not_a_rate_is_refused_by_the_name_of_its_option(text):
    words = "is not a rate: give units per second (500) or a part of the provisioned capacity (50%)."
    with pytest.raises(InvalidInput) as refused:
        check_rate("read_rate", text)
    assert str(refused.value) == f"read_rate {text!r} {words}"


def test_a_part_of_a_capacity_that_is_not_there_is_refused():
    with pytest.raises(InvalidInput, match="no provisioned capacity"):
        to_rate("write_rate", "50%", 0)


def test_spend_waits_and_settles(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    throttle = Throttle(Rate(10), lambda: clock[0])
    for _ in range(100):
        throttle.spend(1, lambda: 1.0)
    assert clock[0] == pytest.approx(10 / AIM, abs=0.2)
