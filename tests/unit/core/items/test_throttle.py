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
    REQUEST_SECONDS,
    Rate,
    Throttle,
    check_rate,
    to_rate,
)


def consumed(rate: Rate, cost, at_once: int, latency: float, seconds: float) -> list[tuple[float, float]]:
    """When which units were consumed by requests of ``cost(weight)`` units, as many at once as there are."""
    clock = [0.0]
    throttle = Throttle(rate, lambda: clock[0])
    under_way: list[tuple[float, int, float, float, float]] = []
    log: list[tuple[float, float]] = []
    number = 0
    while clock[0] < seconds:
        if len(under_way) < at_once and not throttle.delay():
            weight = max(1, int(throttle.weight_for(throttle.request_units)) or 25)
            reserved = throttle.reserve(weight)
            units = cost(weight)
            log.append((clock[0], units))
            number += 1
            heapq.heappush(under_way, (clock[0] + latency, number, weight, reserved, units))
            continue
        waits = [under_way[0][0]] if under_way else []
        if len(under_way) < at_once:
            waits.append(clock[0] + throttle.delay())
        clock[0] = max(clock[0], min(waits)) + 1e-9
        while under_way and under_way[0][0] <= clock[0]:
            _, _, weight, reserved, units = heapq.heappop(under_way)
            throttle.settle(weight, reserved, units)
    return log


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
    throttle.settle(25, reserved, 50.0)
    assert throttle.weight_for(100.0) == 50.0
    assert throttle.delay() == pytest.approx(0.05 / AIM)


def test_unused_time_is_not_saved_up():
    clock = [0.0]
    throttle = Throttle(Rate(100), lambda: clock[0])
    throttle.settle(1, throttle.reserve(1), 1.0)
    clock[0] = 100.0
    spent = 0
    while not throttle.delay():
        throttle.reserve(1)
        spent += 1
    assert spent <= 3


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
