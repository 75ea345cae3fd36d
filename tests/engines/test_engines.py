# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engines themselves: what is made of them by fetching, by starting and by machines that lack a tool."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from demo.tables import all_types, on_demand
from engines import fetch
from engines.catalog import Engine


def test_two_instances_are_two_accounts(accounts):
    table = accounts.pair(on_demand(("id", "S")))
    accounts.put("source", table, {"id": {"S": "a"}})
    assert (accounts.count("source", table), accounts.count("destination", table)) == (1, 0)


def test_items_of_all_types_are_taken(accounts):
    table = accounts.pair(on_demand(("id", "B"), ("part", "N")))
    accounts.fill("source", table, all_types())
    assert accounts.count("source", table) == len(list(all_types()))


def test_a_batch_that_names_a_key_twice_is_refused(accounts):
    table = accounts.pair(on_demand(("id", "S")))
    with pytest.raises(ClientError, match="duplicates"):
        accounts.fill("source", table, [{"id": {"S": "a"}}, {"id": {"S": "a"}}])


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_an_engine_whose_tools_are_missing_is_left_out_with_a_line(monkeypatch, capsys, ci, status):
    absent = Engine("absent", ("no-such-tool",), (), (), lambda folder, port: [])
    monkeypatch.setattr(fetch, "ENGINES", (absent,))
    monkeypatch.setenv("CI", ci)
    assert fetch.main() == status
    assert capsys.readouterr().out == "engine absent: left out, no-such-tool not found on this machine\n"
    assert absent.why_not() == "no-such-tool not found on this machine"
