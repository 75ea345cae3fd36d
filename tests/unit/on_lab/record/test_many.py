# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verbs for many tables at once over the lab: what they share, and that no table stops another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import destination
from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.destination import ImportsOfMany
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import (
    job_wait,
    migration_judge_all,
    migration_start_all,
)
from demo.tables import on_demand
from tests.unit.on_lab.conftest import BUCKET, Crossing
from tests.unit.on_lab.record.test_verbs import run, sides


def entries(crossing: Crossing, names: Sequence[str], **options: Any) -> list[dict[str, Any]]:
    return [
        {
            "name": f"host-{name}",
            **sides(crossing),
            "options": {"name": name, "bucket": BUCKET, "method": "s3", **options},
        }
        for name in names
    ]


def calls(crossing: Crossing) -> Counter[str]:
    return Counter(call["operation"] for call in crossing.lab.calls())


def test_many_tables_share_what_is_asked_once(crossing: Crossing) -> None:
    names = [f"many-{number}" for number in range(12)]
    for name in names:
        crossing.table(name)
    crossing.lab.clear_requests()
    tables = entries(crossing, [*names, "not-there"])
    foreseen = run(migration_start_all, {"tables": tables}, check_mode=True)
    assert {table["job"]["state"] for table in foreseen["tables"].values() if "job" in table} == {"planned"}
    crossing.lab.clear_requests()
    started = run(migration_start_all, {"tables": tables})
    asked = calls(crossing)
    assert asked["ListImports"] == 1
    # The claim, the export that others may share, the intention and the answer of each, and the lease.
    assert (asked["ExportTableToPointInTime"], asked["PutItem"]) == (12, 4 * 12 + 1)
    lost = started["tables"].pop("host-not-there")
    assert lost["failed"] and lost["ferry_error"] == "MissingTable" and lost["table"] == "not-there"
    assert started["changed"] and all(table["changed"] for table in started["tables"].values())

    jobs = [
        {**{side: entry[side] for side in ("source", "destination")}, "name": entry["name"],
         **{member: started["tables"][entry["name"]][member] for member in ("job", "then", "record")}}
        for entry in tables[:-1]
    ]  # fmt: skip
    ways = run(job_wait, {"jobs": jobs})["ways"]
    judging = [
        {
            **entry,
            "options": {
                "name": entry["options"]["name"],
                "jobs": ways[entry["name"]],
                "record": started["tables"][entry["name"]]["record"],
            },
        }
        for entry in tables[:-1]
    ]
    judged = run(migration_judge_all, {"tables": judging})
    assert not judged["changed"]
    assert {table["status"] for table in judged["tables"].values()} == {"migrated"}

    crossing.lab.clear_requests()
    again = run(migration_start_all, {"tables": entries(crossing, names)})
    assert not again["changed"]
    assert {table["job"]["state"] for table in again["tables"].values()} == {"not_needed"}
    asked = calls(crossing)
    del asked["GetCallerIdentity"]  # the playbook gives the ids of the accounts
    assert asked == {"GetItem": 12, "DescribeTable": 2 * 12 + 1}
    finished = [
        {**entry, "options": {**entry["options"], "jobs": [again["tables"][entry["name"]]["job"]]}} for entry in judging
    ]
    crossing.lab.clear_requests()
    judged = run(migration_judge_all, {"tables": finished})
    assert {table["status"] for table in judged["tables"].values()} == {"migrated"}
    assert calls(crossing) == {}


def test_an_export_that_serves_several_copies_is_foreseen_once(crossing: Crossing) -> None:
    """Each table of one source showed an export of its own, which a run would not begin."""
    crossing.table("one-source")
    copies = ["copy-a", "copy-b", "copy-c"]
    tables = [
        {**entries(crossing, ["one-source"], destination_table=copy)[0], "name": copy, **sides(crossing)}
        for copy in copies
    ]
    tables[2]["options"]["migration_id"] = "another"
    foreseen = run(migration_start_all, {"tables": tables}, check_mode=True)
    exports = {
        name: [change for change in table["changes"] if change["what"] == "export of one-source"]
        for name, table in foreseen["tables"].items()
    }
    (own,), (shared,), (other,) = (exports[copy] for copy in copies)
    assert (own["risk"], shared["risk"], other["risk"]) == ("billed", "safe", "billed")
    assert own["after"]["to"].startswith(shared["after"]["shared"]) and "copy-a" in shared["after"]["shared"]
    diffs = [diff["after"]["export of one-source"] for diff in foreseen["diff"]]
    assert diffs == [own["after"], shared["after"], other["after"]]


def test_a_wrong_option_fails_its_table_alone(crossing: Crossing) -> None:
    crossing.table("right")
    right, wrong = entries(crossing, ["right", "wrong"])
    wrong["options"]["methd"] = "s3"
    result = run(migration_start_all, {"tables": [wrong, right]}, check_mode=True)["tables"]
    assert "methd" in result["host-wrong"]["msg"] and result["host-wrong"]["ferry_status"] == "refused"
    assert result["host-right"]["job"]["state"] == "planned"


@pytest.mark.parametrize("check_mode", [True, False])
def test_sources_that_are_not_apart_are_all_refused_before_one_is_brought(crossing: Crossing, check_mode: bool) -> None:
    heads = {"part": "T#a", "longer": "T#ab", "own": "U#"}
    tables = []
    for source, head in heads.items():
        name = f"{source}-{check_mode}".lower()
        crossing.table(name)
        steps = [{"set": {"id": f"{head}{{id}}"}}]
        into = {"merge": True, "destination_table": f"merged-{check_mode}".lower(), "transform": steps}
        tables += entries(crossing, [name], **{**into, "method": "direct"})
    crossing.lab.clear_requests()
    result = run(migration_start_all, {"tables": tables}, check_mode=check_mode)["tables"]
    refused = {host: table["ferry_error"] for host, table in result.items() if table.get("failed")}
    ends = f"-{check_mode}".lower()
    assert refused == {f"host-part{ends}": "KeysNotApart", f"host-longer{ends}": "KeysNotApart"}
    assert "id begins with 'T#a'" in result[f"host-longer{ends}"]["cause"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_sources_of_different_shapes_are_all_refused_before_one_is_brought(
    crossing: Crossing, check_mode: bool
) -> None:
    """One was brought, and the other one refused because of it."""
    by_n = {
        "IndexName": "by-n", "KeySchema": [{"AttributeName": "n", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }  # fmt: skip
    indexed = on_demand(("id", "S"))
    indexed["AttributeDefinitions"].append({"AttributeName": "n", "AttributeType": "N"})
    shapes: dict[str, dict[str, dict[str, Any]]] = {
        "names": {"by-id": {}, "by-sku": on_demand(("sku", "S"))},
        "types": {"texts": on_demand(("id", "S"), ("at", "S")), "numbers": on_demand(("id", "S"), ("at", "N"))},
        "indexes": {"plain": {}, "indexed": {**indexed, "GlobalSecondaryIndexes": [by_n]}},
        "alike": {"one": {}, "two": {}},
    }
    tables = []
    for into, sources in shapes.items():
        for source, shape in sources.items():
            crossing.table(f"{source}-{check_mode}", [], **shape)
            key = "sku" if source == "by-sku" else "id"
            chosen = {"merge": True, "transform": [{"set": {key: f"{source}#{{{key}}}"}}], "method": "direct"}
            tables += entries(crossing, [f"{source}-{check_mode}"], **chosen, destination_table=f"{into}-{check_mode}")
    result = run(migration_start_all, {"tables": tables}, check_mode=check_mode)["tables"]
    words = {
        host.removeprefix("host-").removesuffix(f"-{check_mode}"): table["cause"].partition("they differ in ")[2]
        for host, table in result.items()
        if table.get("failed")
    }
    arn = {name: crossing.source.table_arn(f"{name}-{check_mode}") for sources in shapes.values() for name in sources}
    assert words == {
        "by-id": f"the key (id S of by-id-{check_mode}, sku S of {arn['by-sku']}).",
        "by-sku": f"the key (sku S of by-sku-{check_mode}, id S of {arn['by-id']}).",
        "texts": f"the key (id S, at S of texts-{check_mode}, id S, at N of {arn['numbers']}).",
        "numbers": f"the key (id S, at N of numbers-{check_mode}, id S, at S of {arn['texts']}).",
        "plain": f"the index by-n, which plain-{check_mode} does not have.",
        "indexed": f"the index by-n, which {arn['plain']} does not have.",
    }


def test_a_source_that_was_brought_is_left_as_it_is_by_one_that_is_not_apart_from_it(crossing: Crossing) -> None:
    """Its row was refused, though nothing was to be done with it."""

    def entry(source: str, head: str) -> dict[str, Any]:
        steps = [{"set": {"id": f"{head}{{id}}"}}]
        into = {"merge": True, "destination_table": "grown", "transform": steps, "method": "direct"}
        return entries(crossing, [source], **into)[0]

    for name in ("brought", "longer", "other"):
        crossing.table(name)
    old = entry("brought", "T#a")

    def refused(check_mode: bool) -> tuple[dict[str, str], Any]:
        tables = [old, entry("longer", "T#ab"), entry("other", "U#")]
        result = run(migration_start_all, {"tables": tables}, check_mode=check_mode)["tables"]
        found = {host: table["ferry_error"] for host, table in result.items() if table.get("failed")}
        return found, result["host-brought"].get("job")

    started = run(migration_start_all, {"tables": [old]})["tables"]["host-brought"]
    assert refused(True)[0] == {"host-longer": "KeysNotApart"}  # begun, and nothing was written yet
    places = {side: old[side] for side in ("source", "destination")}
    jobs = [{**places, "name": "host", **{member: started[member] for member in ("job", "then", "record")}}]
    ways = run(job_wait, {"jobs": jobs})["ways"]["host"]
    options = {"name": "grown", "source_table": "brought", "jobs": ways, "record": started["record"]}
    judged = run(migration_judge_all, {"tables": [{"name": "host", **places, "options": options}]})["tables"]["host"]
    assert judged["status"] == "migrated"
    for check_mode in (True, False):
        found, job = refused(check_mode)
        assert (found, job["state"]) == ({"host-longer": "KeysNotApart"}, "not_needed")


def test_a_fault_of_ours_is_raised_once_the_others_have_ended(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["before", "fault", "after"]
    ended = []

    def one(_accounts: Any, _tables: Any, params: Any, _check_mode: bool) -> dict[str, Any]:
        if params["name"] == "fault":
            raise ZeroDivisionError
        ended.append(params["name"])
        return {"changed": False, "table": {}}

    monkeypatch.setattr(migration_start_all.migration_start, "start_one", one)
    with pytest.raises(ZeroDivisionError):
        run(migration_start_all, {"tables": entries(crossing, names)})
    assert "before" in ended


class Listing:
    """A destination whose imports are listed: ``lists`` are pages of table names that are being imported."""

    spec = "here"
    pages = Account.pages

    def __init__(self, *lists: Sequence[str]) -> None:
        self.lists = lists
        self.asked: list[str] = []

    def table_arn(self, name: str) -> str:
        return f"arn:{name}"

    def ask(self, _service: str, _operation: str, _doing: str, _table: str = "", **request: Any) -> dict[str, Any]:
        self.asked.append(request.get("TableArn", "all"))
        at = int(request.get("NextToken", 0))
        summaries = [
            {"TableArn": f"arn:{name}", "ImportStatus": "IN_PROGRESS"}
            for name in self.lists[at]
            if request.get("TableArn") in (None, f"arn:{name}")
        ]
        more = {"NextToken": str(at + 1)} if at + 1 < len(self.lists) else {}
        return {"ImportSummaryList": [*summaries, {"TableArn": "arn:old", "ImportStatus": "COMPLETED"}], **more}


@pytest.mark.parametrize(
    ("tables", "asked"),
    [(3, ["all", "all"]), (1, ["all", "all", "arn:b", "arn:b", "arn:old", "arn:old", "arn:free", "arn:free"])],
)
def test_one_list_answers_for_many_unless_it_is_longer_than_the_tables(tables: int, asked: list[str]) -> None:
    place = Listing(["a"], ["b"])
    imports = ImportsOfMany(tables, clock=lambda: 0.0)
    found = {name: imports(place, name) for name in ("b", "old", "free")}  # type: ignore[arg-type]
    assert found == {"b": True, "old": False, "free": False}
    assert place.asked == asked


def test_the_list_is_not_believed_for_long() -> None:
    place, now = Listing(["a"]), [0.0]
    imports = ImportsOfMany(9, clock=lambda: now[0])
    for moment in (0.0, destination.LIST_AGE - 1, destination.LIST_AGE):
        now[0] = moment
        assert imports(place, "a")  # type: ignore[arg-type]
    assert place.asked == ["all", "all"]
