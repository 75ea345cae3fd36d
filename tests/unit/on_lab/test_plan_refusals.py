# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a start refuses whatever AWS answers, a plan names as what cannot go, in the same words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.data_plane import ItemChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import FerryError, MissingLibrary
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import answers
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions, SparkChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.planning import ToPlan, make_plan
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import METHODS
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.approved import refusals
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.prices import usual
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import choices_of
from tests.unit.on_lab.emr_roles import INSTANCES, SERVICE, add_default_roles
from tests.unit.on_lab.recorded import Playbook, world
from tests.unit.on_lab.staged import Staged
from tests.unit.on_lab.test_plan import LOCAL, plan

pytestmark = pytest.mark.usefixtures("at_once")
INDEXED = {
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("id", "mail")],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by_mail",
            "KeySchema": [{"AttributeName": "mail", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}
PREFIXED = {"set": {"id": "TENANT#a#{id}"}}
# By options of the start, each with the table that they are for; values of ``transform`` are steps, or what choices_of
# takes.
REFUSED: Mapping[str, Mapping[str, Any]] = {
    # the steps of a transform
    "an unknown step": {"transform": [{"mask": ["a"]}]},
    "an unknown option": {"transform": [{"hash": {"attributes": ["a"], "salt": "x"}}]},
    "a path": {"transform": [{"drop": ["meta..x"]}]},
    "a regular expression": {"transform": [{"replace": {"a": ["^(x", "y"]}}]},
    "a condition": {"transform": [{"keep_if": "a = "}]},
    "a salt that is not set": {"transform": [{"hash": {"attributes": ["a"], "salt_from": "env:TABLEFERRY_NOWHERE"}}]},
    "no such function": {"transform": [{"python": {"function": "steps.py:absent", "attributes": "all"}}]},
    "a key that is dropped": {"transform": [{"drop": ["id"]}]},
    "a key that is possibly left unset": {"transform": [{"set": {"id": "{other}"}}]},
    "a reserved name": {"transform": [{"set": {"aws:rep:x": "1"}}]},
    "a type that no key has": {"transform": [{"cast": {"id": "BOOL"}}]},
    "a name that nothing uses": {"transform": {"steps": [{"drop": ["a"]}], "names": {"#b": "b"}}},
    "a key that items do not have": {
        "transform": {"steps": [{"drop": ["a"]}], "destination_key": {"partition": {"user": "S"}}}
    },
    "steps by s3": {"method": "s3", "transform": [{"drop": ["a"]}]},
    "steps by backup": {"method": "backup", "transform": [{"drop": ["a"]}]},
    # the Spark job
    "one worker": {"method": "glue", "spark": SparkChoices(workers=1)},
    "an engine on Glue": {"method": "glue", "spark": SparkChoices(engine="cluster")},
    "a cluster on Glue": {"method": "glue", "spark": SparkChoices(cluster_id="j-1")},
    "a release of Glue": {"method": "glue", "spark": SparkChoices(release="4.0")},
    "no engine of EMR": {"method": "emr", "spark": SparkChoices(engine="hadoop")},
    "two places on EMR": {"method": "emr", "spark": SparkChoices(application_id="a", cluster_id="j-1")},
    "a role for a cluster of its own": {
        "method": "emr", "spark": SparkChoices(engine="cluster", role_arn="arn:aws:iam::222222222222:role/x")
    },
    "a release of EMR": {"method": "emr", "spark": SparkChoices(release="emr-6.15.0")},
    "local indexes by an import": {"table": "local", "method": "glue", "spark": SparkChoices(end="import")},
    "local indexes by s3": {"table": "local", "method": "s3"},
    "no wheels": {"method": "glue", "spark": SparkChoices(wheels="/dev/null")},
    "no wheels for an import": {"method": "emr", "spark": SparkChoices(wheels="/nowhere", end="import")},
    "indexes left by backup": {"method": "backup", "leave_indexes": ("by_mail",), "table": "indexed"},
    # merges
    "a merge by s3": {"method": "s3", "merge": True},
    "a merge by an import": {
        "method": "glue", "merge": True, "transform": [PREFIXED], "spark": SparkChoices(end="import")
    },
    "a merge without steps": {"method": "direct", "merge": True},
    "a merge without a constant text": {"method": "direct", "merge": True, "transform": [{"drop": ["a"]}]},
    # rates, indexes, methods, places
    "no rate": {"method": "direct", "items": ItemChoices(write_rate="fast")},
    "a percentage of nothing": {"method": "direct", "items": ItemChoices(write_rate="50%")},
    "a percentage of nothing for Spark": {"method": "glue", "items": ItemChoices(write_rate="50%")},
    "no number of workers": {"method": "direct", "items": ItemChoices(workers="many")},
    "no checkpoints": {"method": "direct", "items": ItemChoices(checkpoint_dir="/dev/null/checkpoints")},
    "no sample": {"method": "direct", "verify": "sample", "items": ItemChoices(sample_items=0)},
    "an index that is not there": {"method": "direct", "indexes_after": ("ghost",)},
    "a table that is not there": {"table": "missing", "method": "direct"},
    "a table that stands": {"table": "taken", "method": "direct"},
}  # fmt: skip


@pytest.fixture
def aws() -> Staged:
    found = world({"orders": 7, "taken": 1})
    found.add_table("local", 0, **LOCAL)
    found.add_table("indexed", 0, **INDEXED)
    found.add_table("taken", 1, side="destination", recovery=False)
    return found


@pytest.mark.parametrize("case", REFUSED)
def test_a_plan_names_what_the_start_refuses(aws: Staged, tmp_path: Path, case: str) -> None:
    options = dict(REFUSED[case])
    table, given = options.pop("table", "orders"), options.pop("transform", None)
    (tmp_path / "steps.py").write_text("")
    if given is not None:
        more = given if isinstance(given, dict) else {"steps": given}
        options["transform"] = choices_of(**more, folders=[str(tmp_path)])
    options = {"method": "direct", **options}
    planned = plan(aws, table, **options)[table]
    with pytest.raises(FerryError) as refused:
        Playbook(aws, 2).start(table, **options)
    assert planned["state"] == "cannot_go"
    told = [f"{reason['why'].rstrip('.')}. {reason['next_step']}" for reason in planned["reasons"]]
    assert told[0] == f"{refused.value.cause} {refused.value.next_step}"


def application(aws: Staged, **maximum: str) -> str:
    """The id of an application of the user's with a ``maximum`` capacity."""
    client = aws.client("emr-serverless", "destination")
    more: dict[str, Any] = {"maximumCapacity": {"memory": "64 GB", **maximum}} if maximum else {}
    made = client.create_application(
        name="mine", releaseLabel="emr-7.14.0", type="SPARK", clientToken=str(aws.clock), **more
    )
    aws.advance(60)
    return str(made["applicationId"])


def cluster(aws: Staged) -> str:
    """The id of a cluster of the user's."""
    add_default_roles(aws)
    made = aws.client("emr", "destination").run_job_flow(
        Name="mine", ReleaseLabel="emr-7.14.0", JobFlowRole=INSTANCES, ServiceRole=SERVICE,
        Instances={"MasterInstanceType": "m6g.xlarge", "InstanceCount": 2, "KeepJobFlowAliveWhenNoSteps": True},
    )  # fmt: skip
    return str(made["JobFlowId"])


OTHER = "emr-spark-8.1.0"
# By what AWS says of the place that the start names for a Spark job; with words of the refusal.
NO_ROOM: Mapping[str, tuple[Callable[[Staged], SparkChoices], str]] = {
    "a maximum for no run": (
        lambda aws: SparkChoices(application_id=application(aws, cpu="4 vCPU")), "5 vCPUs for 2 workers"
    ),
    "a maximum for fewer workers": (
        lambda aws: SparkChoices(application_id=application(aws, cpu="8 vCPU"), workers=3), "9 vCPUs for 3 workers"
    ),
    "an application that is not there": (
        lambda aws: SparkChoices(application_id="00fnothere000001"), "00fnothere000001"
    ),
    "more than the account's vCPUs": (lambda aws: SparkChoices(workers=5), "17 vCPUs for 5 workers"),
    "a release that the application does not have": (
        lambda aws: SparkChoices(application_id=application(aws), release=OTHER),
        f"release of spark is {OTHER}, and the application",
    ),
    "a release that the cluster does not have": (
        lambda aws: SparkChoices(cluster_id=cluster(aws), release=OTHER),
        f"release of spark is {OTHER}, and the cluster",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_ROOM)
@pytest.mark.parametrize("end", ["table", "import"])
def test_a_plan_names_a_place_that_the_start_refuses(aws: Staged, case: str, end: str) -> None:
    """The plan had the table go. A release that differs had the export made, and the job end at its Python."""
    chosen, words = NO_ROOM[case]
    options: dict[str, Any] = {"method": "emr", "spark": replace(chosen(aws), end=end)}
    data = plan(aws, "orders", **options)
    planned = data["orders"]
    aws.calls.clear()
    with pytest.raises(FerryError) as refused:
        Playbook(aws, 2).start(**options)
    assert aws.count("ExportTableToPointInTime") == 0
    assert words in refused.value.cause
    assert planned["state"] == "cannot_go"
    (reason,) = planned["reasons"]
    assert f"{reason['why']}. {reason['next_step']}" == f"{refused.value.cause} {refused.value.next_step}"
    assert reason["why"] in refusals(data, data)["orders"]  # with the plan approved
    assert plan(aws, "orders", **options)["orders"]["reasons"] == [reason]  # after the run that was refused, too


def test_a_plan_asks_for_an_application_once_and_a_start_that_may_not_ask_goes(aws: Staged) -> None:
    full = SparkChoices(application_id=application(aws, cpu="8 vCPU"), workers=3)
    tables = plan(aws, "orders", "indexed", method="emr", spark=full)["tables"]
    assert [table["state"] for table in tables] == ["cannot_go", "cannot_go"]
    assert aws.count("GetApplication") == 1
    planned = plan(aws, "orders", "indexed", method="emr", spark=replace(full, workers=2))["tables"]
    assert [table["state"] for table in planned] == ["planned", "planned"]
    assert plan(aws, "orders", method="direct", spark=full)["orders"]["state"] == "planned"
    assert aws.count("GetApplication") == 0
    aws.may_not("destination", "emr-serverless:GetApplication")
    other = replace(full, release=OTHER)
    assert plan(aws, "orders", method="emr", spark=other)["orders"]["state"] == "planned"
    assert Playbook(aws, 2).start(method="emr", spark=other).job.state == "running"


@pytest.mark.parametrize(("method", "verify"), [("direct", "none"), ("s3", "full"), ("backup", "counts")])
def test_a_plan_names_a_library_that_the_start_lacks(
    aws: Staged, monkeypatch: pytest.MonkeyPatch, method: str, verify: str
) -> None:
    monkeypatch.setattr(answers, "MSGSPEC_ERROR", "No module named 'msgspec'")
    planned = plan(aws, "orders", method=method, verify=verify)["orders"]
    with pytest.raises(MissingLibrary) as refused:
        Playbook(aws, 2).start(method=method, verify=verify)
    assert planned["state"] == "cannot_go"
    reason = planned["reasons"][0]
    assert f"{reason['why']}. {reason['next_step']}" == f"{refused.value.cause} {refused.value.next_step}"
    assert plan(aws, "orders", method="s3", verify="counts")["orders"]["state"] == "planned"


def test_a_plan_names_a_library_that_a_table_lacks_to_go_on(aws: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    playbook = Playbook(aws, 1)
    playbook.start(method="direct")
    playbook.killed()
    aws.advance(3600)
    assert plan(aws, "orders", method="direct")["orders"]["state"] == "begun"
    monkeypatch.setattr(answers, "MSGSPEC_ERROR", "No module named 'msgspec'")
    assert "msgspec" in plan(aws, "orders", method="direct")["orders"]["why"]


def test_sources_of_one_table_that_do_not_go_together_are_all_named(aws: Staged) -> None:
    """The plan had them go, and the start refused all of them."""
    aws.add_table("wide", 0, AttributeDefinitions=LOCAL["AttributeDefinitions"][:2], KeySchema=LOCAL["KeySchema"])
    source, destination = aws.account("source"), aws.account("destination")
    sources = {
        "orders": ("together", "A#"),
        "wide": ("together", "B#"),
        "taken": ("other", "A#"),
        "users": ("other", "A#1"),
    }
    aws.add_table("users", 1)
    entries = [
        ToPlan(
            name, source, destination,
            MigrationOptions(
                name, destination_table=into, method="direct", merge=True,
                transform=choices_of([{"set": {"id": f"{head}{{id}}"}}]),
            ),
        )
        for name, (into, head) in sources.items()
    ]  # fmt: skip
    tables = {table["host"]: table for table in make_plan(METHODS, entries, usual()).to_dict()["tables"]}
    assert {name: [reason["rule"] for reason in table["reasons"]] for name, table in tables.items()} == {
        "orders": ["InvalidInput"], "wide": ["InvalidInput"], "taken": ["KeysNotApart"], "users": ["KeysNotApart"],
    }  # fmt: skip
    arn = source.table_arn("wide")
    assert f"the key (id S of orders, id S, date S of {arn})" in tables["orders"]["why"]
    assert {table["state"] for table in tables.values()} == {"cannot_go"}


def test_a_table_that_is_to_be_adopted_can_go(aws: Staged) -> None:
    """The plan told to set adopt, and could not go with it either; then it counted the table as one that is moved."""
    Playbook(aws, 1).migrate()
    assert plan(aws, "orders", recorded=False)["orders"]["state"] == "cannot_go"
    adopted = plan(aws, "orders", recorded=False, adopt=True)["orders"]
    assert (adopted["state"], adopted["adopts"]) == ("planned", True)
    assert [part["what"] for part in adopted["parts"]] == ["compare all items", "apply the settings"]
    assert {line["what"] for line in adopted["costs"]} == {"compare all items"}
    assert "none is moved" in adopted["why"]
    # By its record it is done, and without a table it is moved.
    assert "adopts" not in plan(aws, "orders", adopt=True)["orders"]
    aws.add_table("users", 1)
    moved = plan(aws, "users", recorded=False, adopt=True)["users"]
    assert moved["state"] == "planned" and "adopts" not in moved


def test_a_table_that_was_begun_by_other_steps_is_named(aws: Staged) -> None:
    """The plan had it go on, and the start refused it."""
    steps = [choices_of([PREFIXED]), choices_of([{"drop": ["a"]}])]
    playbook = Playbook(aws, 1)
    playbook.wait({"orders": playbook.start(method="direct", transform=steps[0])})  # all items are there, not judged
    playbook.killed()
    aws.advance(3600)
    assert plan(aws, "orders", method="direct", transform=steps[0])["orders"]["state"] == "begun"
    for changed in ({"transform": steps[1]}, {}, {"transform": steps[0], "method": "s3"}):
        options: dict[str, Any] = {"method": "direct", **changed}
        planned = plan(aws, "orders", **options)["orders"]
        with pytest.raises(FerryError) as refused:
            Playbook(aws, 2).start(**options)
        assert planned["state"] == "cannot_go", options
        (reason,) = planned["reasons"]
        assert f"{reason['why']}. {reason['next_step']}" == f"{refused.value.cause} {refused.value.next_step}"
