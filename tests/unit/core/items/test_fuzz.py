# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A few rounds of ``make fuzz``, and that it sees what it looks for."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.fuzz import rounds
from tests.fuzz.rounds import Round, play
from tests.fuzz.server import RUN_KEY, FuzzedDynamo


@pytest.fixture
def dynamo() -> Iterator[FuzzedDynamo]:
    """A server with every fault on."""
    server = FuzzedDynamo()
    yield server
    server.close()


def test_random_tables_arrive_whole_whatever_goes_wrong(dynamo):
    """Seeds with one and two workers, with and without kills, a changed source, and refused items."""
    played = [play(dynamo, seed, most_items=250) for seed in (1, 2, 3, 6)]
    assert [line for each in played for line in each.wrong] == []
    assert (sum(each.crashes for each in played), dynamo.late) == (0, 0)
    assert sum(each.kills for each in played) >= 2
    assert dynamo.faults_met.total() > 20


@pytest.mark.parametrize(("change", "words"), [("lost", "1 lost"), ("altered", "1 altered"), ("extra", "1 extra")])
def test_what_is_wrong_is_seen(dynamo, change, words):
    copy = dynamo.make("copy")
    bodies = [json.dumps({"id": {"S": str(number)}}).encode() for number in range(3)]
    wanted = {copy.key_of(json.loads(body)): body for body in bodies}
    copy.put(*bodies)
    if change == "lost":
        del copy.items[("1",)]
    elif change == "altered":
        copy.items[("1",)] += b" "
    else:
        copy.put(b'{"id":{"S":"other"}}')
    done = Round(1)
    rounds._judge(done, wanted, copy, set())
    assert len(done.wrong) == 1 and words in done.wrong[0]


def test_a_write_of_an_earlier_run_is_seen(dynamo):
    dynamo.make("copy")
    body = b'{"RequestItems":{"copy":[{"PutRequest":{"Item":{"id":{"S":"1"}}}}]}}'
    first, second = dynamo.next_run(), dynamo.next_run()
    assert (first, second) == (f"{RUN_KEY}1", f"{RUN_KEY}2")
    for key, late in ((first, 0), (second, 0), (first, 1)):
        headers = {"authorization": f"AWS4 Credential={key}/x"}
        dynamo._arrived("BatchWriteItem", headers)
        dynamo._answer("BatchWriteItem", body, headers, "", None)
        assert dynamo.late == late


def test_the_same_seed_is_the_same_round(dynamo):
    made = []
    for _time in range(2):
        dynamo.begin(7)
        made.append(([dynamo._fault("Scan")[0] for _call in range(200)], dynamo.page_items, dynamo.latency))
    assert made[0] == made[1]
