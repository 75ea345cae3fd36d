# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several sources become one table, by direct and by real Spark jobs: one part after the other, each compared alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.data_plane import ItemChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import JudgeChoice, Judgement, judge_job
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.planning import ToPlan, make_plan
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import METHODS, Migration, judge, preview
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.prices import usual
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import status
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import Record, Source, table_key
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import choices_of
from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import outcome
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import dynamodb_verify
from demo.tables import on_demand
from tests.unit.lab.spark.conftest import spark
from tests.unit.on_lab.conftest import BUCKET, hurried
from tests.unit.on_lab.methods.spark.test_glue import Glue, glue
from tests.unit.on_lab.methods.spark.test_glue import Playbook as OnePart

__all__ = ["glue", "spark"]  # fixtures


def tenant(name: str) -> Any:
    """The steps that give a source's items keys of their own."""
    return choices_of([{"set": {"id": f"TENANT#{name}#{{id}}"}}])


class Playbook(OnePart):
    """One run over several hosts with one destination table. Its clock may be another's."""

    def begin(self, table: str, *sources: str, **options: Any) -> dict[str, Migration]:
        """What migration_start does for each source."""
        items = ItemChoices(workers="1")
        chosen = {"merge": True, "destination_table": table, "method": "direct", "items": items, **options}
        return {name: self.start(name, **{"transform": tenant(name), **chosen}) for name in sources}

    def finish(self, table: str, begun: Mapping[str, Migration], **options: Any) -> dict[str, Judgement]:
        """The wait, in which each part is judged."""
        verify = options.get("verify", "counts")
        items = []
        for name, migration in begun.items():
            first, *others = (Job.from_dict(part.to_dict()) for part in (migration.job, *migration.then))
            last = judge_job(JudgeChoice(table, name, verify))
            record = Tracking(self.run, table)
            items.append(WaitItem(name, self.source, self.destination, first, tuple(others), record, last))
        waited = hurried(items)
        found = {}
        for name in begun:
            jobs = waited.ways[name]
            found[name] = judge(table, self.source, self.destination, jobs, source_table=name, verify=verify)
        self.run.end()
        return found

    def merge(self, table: str, *sources: str, **options: Any) -> dict[str, Judgement]:
        """A whole run."""
        return self.finish(table, self.begin(table, *sources, **options), **options)

    def record(self, table: str) -> Record:
        """The record as it stands."""
        found = self.store.read(table_key(table))
        assert found is not None
        return found


def filled(glue: Glue, *names: str, number: int = 12) -> None:
    """Source tables with the same ids."""
    for name in names:
        glue.table(name, [{"id": {"S": f"{at:02d}"}, "of": {"S": name}} for at in range(number)])


def ids(glue: Glue, table: str) -> list[str]:
    return sorted(str(item["id"]["S"]) for item in glue.items("destination", table))


def expected(*names: str, number: int = 12) -> list[str]:
    return sorted(f"TENANT#{name}#{at:02d}" for name in names for at in range(number))


def test_two_sources_become_one_table_and_each_part_is_compared_alone(glue: Glue) -> None:
    filled(glue, "acme", "globex")
    judged = Playbook(glue, 1).merge("all", "acme", "globex", verify="full")
    assert {name: (each.failure, each.status, each.verified) for name, each in judged.items()} == {
        "acme": (None, "migrated", "full"),
        "globex": (None, "migrated", "full"),
    }
    assert [each.items_destination for each in judged.values()] == [12, 12]
    assert ids(glue, "all") == expected("acme", "globex")
    again = Playbook(glue, 2)
    record = again.record("all")
    assert (record.state, record.run) == ("done", "")
    assert {arn.rpartition("/")[2]: part.state for arn, part in record.parts.items()} == {
        "acme": "filled",
        "globex": "filled",
    }
    glue.lab.clear_requests()
    assert {each.status for each in again.merge("all", "acme", "globex").values()} == {"migrated"}
    assert [glue.lab.count(name) for name in ("Scan", "BatchWriteItem", "UpdateTable", "CreateTable")] == [0, 0, 0, 0]


def test_parts_are_added_later_and_by_another_method(glue: Glue, spark: Any) -> None:
    filled(glue, "one", "two", "three")
    assert Playbook(glue, 3).merge("later", "one", method="glue")["one"].verified == "counts"
    judged = Playbook(glue, 4).merge("later", "one", "two", "three", method="glue", verify="full")
    assert {
        name: (each.failure, each.status, each.items_destination) for name, each in judged.items()
    } == dict.fromkeys(("one", "two", "three"), (None, "migrated", 12))
    assert ids(glue, "later") == expected("one", "two", "three")
    filled(glue, "four")
    assert Playbook(glue, 5).merge("later", "four")["four"].status == "migrated"
    assert ids(glue, "later") == expected("one", "two", "three", "four")
    record = Playbook(glue, 6).record("later")
    assert [part.method for part in record.parts.values()] == ["glue", "glue", "glue", "direct"]
    assert record.data_as_of["from"] == min(part.data_as_of["from"] for part in record.parts.values())


def refused(playbook: Playbook, table: str, source: str, **options: Any) -> errors.FerryError:
    """Why the start of one source is refused; nothing is held afterwards."""
    with pytest.raises(errors.FerryError) as caught:
        playbook.begin(table, source, **options)
    assert playbook.record(table).run == ""
    playbook.run.end()
    return caught.value


def test_what_is_not_apart_for_certain_is_refused_with_the_reason(glue: Glue) -> None:
    filled(glue, "ten", "tenant")
    assert Playbook(glue, 10).merge("apart", "ten")["ten"].status == "migrated"
    before = glue.items("destination", "apart")
    cases = {
        "the beginning of the other": choices_of([{"set": {"id": "TENANT#ten{id}"}}]),
        "gives no key attribute one": choices_of([{"set": {"id": "{id}#tenant"}}]),
        "no key attribute one": None,
    }
    for number, (words, transform) in enumerate(cases.items(), 11):
        error = refused(Playbook(glue, number), "apart", "tenant", transform=transform)
        assert (type(error), error.status) == (errors.KeysNotApart, "refused")
        assert words in error.cause
    error = refused(Playbook(glue, 14), "apart", "tenant", merge=False)
    assert isinstance(error, errors.Claimed)
    assert "Set merge to true for each of the sources" in error.next_step
    error = refused(Playbook(glue, 15), "apart", "tenant", method="s3", transform=None)
    assert "The method s3 cannot merge" in error.cause
    assert glue.items("destination", "apart") == before


def test_what_is_to_be_done_about_a_part_that_is_not_whole_stays_when_another_is_refused(glue: Glue) -> None:
    filled(glue, "whole")
    glue.table("half", [{"id": {"S": "00"}, "price": {"S": "much"}}])
    steps = [{"set": {"id": "TENANT#half#{id}"}}, {"cast": {"price": "N"}}]
    assert Playbook(glue, 22).merge("halves", "half", transform=choices_of(steps))["half"].status == "failed"
    before = Playbook(glue, 23).record("halves")
    assert (before.state, "go" in before.next) == ("broken", True)
    for number in (24, 25):
        error = Playbook(glue, number).merge("halves", "whole")["whole"].failure
        assert error is not None
        assert "The part of" in error.cause
        assert error.next_step == f"Bring that one to its end first. {before.next}"
    assert Playbook(glue, 26).record("halves").next == before.next


def test_a_table_that_was_not_begun_as_a_merge_stays_that_of_its_source(glue: Glue) -> None:
    filled(glue, "alone", "late")
    playbook = Playbook(glue, 20)
    assert playbook.merge("lone", "alone", merge=False)["alone"].status == "migrated"
    error = refused(Playbook(glue, 21), "lone", "late")
    assert "was not begun as one that is merged" in error.cause


def test_two_controllers_bring_one_part_each_and_one_waits_for_the_other(glue: Glue) -> None:
    filled(glue, "east", "west")
    first, second = Playbook(glue, 30), Playbook(glue, 31)
    # Another machine's: it lives as far as the other one can see.
    ahead = first.begin("both", "east")
    behind = second.begin("both", "west")
    assert (ahead["east"].job.kind, behind["west"].job.kind) == ("direct", "claim")
    assert first.finish("both", ahead)["east"].status == "migrated"
    assert second.finish("both", behind)["west"].status == "migrated"
    assert ids(glue, "both") == expected("east", "west")


def test_of_two_sources_that_a_run_begins_at_once_one_waits_for_the_other(
    glue: Glue, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(glue, "first", "north", "south")
    Playbook(glue, 35).merge("three", "first")
    playbook, begin, begun = Playbook(glue, 36), Tracking.begin_part, list[str]()

    def both_at_once(tracking: Tracking, source: Source, method: str, heads: Mapping[str, str]) -> None:
        if not begun:  # between our reading and our writing another thread of this run writes for the other source
            found = glue.lab.client("dynamodb", "source").describe_table(TableName="south")["Table"]
            south = Source(found["TableArn"], found["TableId"])
            begin(Tracking(tracking.run, tracking.name), south, method, {"id": "TENANT#south#"})
        begun.append(source.arn.rpartition("/")[2])
        begin(tracking, source, method, heads)

    monkeypatch.setattr(Tracking, "begin_part", both_at_once)
    judged = playbook.merge("three", "north", "south")
    assert {name: (each.failure, each.status) for name, each in judged.items()} == {
        "north": (None, "migrated"),
        "south": (None, "migrated"),
    }
    assert begun[:3] == ["north", "south", "north"]
    assert ids(glue, "three") == expected("first", "north", "south")


def test_the_settings_are_those_of_the_first_and_a_difference_is_told(glue: Glue) -> None:
    filled(glue, "plain", "other")
    glue.lab.client("dynamodb", "source").update_time_to_live(
        TableName="other", TimeToLiveSpecification={"AttributeName": "gone_at", "Enabled": True}
    )
    glue.lab.client("dynamodb", "source").update_table(TableName="plain", DeletionProtectionEnabled=True)
    for name in ("plain", "other"):  # of ours, as a run before has left them
        glue.lab.client("dynamodb", "source").tag_resource(
            ResourceArn=glue.account("source").table_arn(name), Tags=[{"Key": "tableferry:of-a-run", "Value": name}]
        )
    glue.lab.advance(60)
    playbook = Playbook(glue, 40)
    begun = playbook.begin("set", "plain", "other")
    found = playbook.finish("set", begun)
    assert {each.status for each in found.values()} == {"migrated"}
    status = glue.lab.client("dynamodb", "destination").describe_time_to_live(TableName="set")
    assert status["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED"
    assert glue.described("set")["DeletionProtectionEnabled"] is True
    part = playbook.record("set").parts[glue.account("source").table_arn("other")]
    left = {entry["what"]: entry["reason"] for entry in part.evidence["settings"]["settings_left"]}
    assert "has the settings of the first one" in left["time_to_live"]
    assert "tags" not in left


def test_sources_of_another_shape_are_refused(glue: Glue) -> None:
    filled(glue, "small")
    by_n = {
        "IndexName": "by-n",
        "KeySchema": [{"AttributeName": "n", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    shape = on_demand(("id", "S"))
    shape["AttributeDefinitions"].append({"AttributeName": "n", "AttributeType": "N"})
    glue.table("indexed", [{"id": {"S": "1"}, "n": {"N": "1"}}], **shape, GlobalSecondaryIndexes=[by_n])
    assert Playbook(glue, 50).merge("shapes", "small")["small"].status == "migrated"
    error = refused(Playbook(glue, 51), "shapes", "indexed")
    assert "the index by-n, which it does not have" in error.cause
    # What was refused leaves the part that is done as it was, and the next source may come.
    playbook = Playbook(glue, 52)
    assert playbook.merge("shapes", "small")["small"].status == "migrated"
    found = Playbook(glue, 53).merge("shapes", "indexed", leave_indexes=("by-n",))
    assert found["indexed"].status == "migrated"


def test_a_copy_that_somebody_deleted_is_brought_anew_with_all_parts(glue: Glue) -> None:
    filled(glue, "left", "right")
    assert {each.status for each in Playbook(glue, 60).merge("anew", "left", "right").values()} == {"migrated"}
    glue.lab.client("dynamodb", "destination").delete_table(TableName="anew")
    glue.lab.advance(60)
    found = Playbook(glue, 61).merge("anew", "right", "left")
    assert {name: (each.failure, each.status) for name, each in found.items()} == {
        "left": (None, "migrated"),
        "right": (None, "migrated"),
    }
    assert ids(glue, "anew") == expected("left", "right")


def test_a_part_that_was_not_brought_anew_is_still_to_come_for_status_verify_plan_and_check_mode(glue: Glue) -> None:
    filled(glue, "here", "lost")
    Playbook(glue, 62).merge("partly", "here", "lost")
    glue.lab.client("dynamodb", "destination").delete_table(TableName="partly")
    glue.lab.advance(60)
    playbook = Playbook(glue, 63)
    lost = playbook.source.table_arn("lost")
    judged = playbook.merge("partly", "here")["here"]
    assert (judged.status, list(judged.lacks)) == ("migrated", [lost])
    assert "lacks" not in playbook.record("partly").verified
    assert ids(glue, "partly") == expected("here")
    again = Playbook(glue, 65).merge("partly", "here")["here"]
    assert (again.status, list(again.lacks)) == ("migrated", [lost])

    (row,) = (each for each in status_rows(playbook) if each["name"] == "partly")
    assert (row["state"], row["parts"][lost]) == ("claimed", "claimed")
    assert row["next"] == f"Run migrate: it lacks the items of {lost}."

    place = {"endpoint_url": glue.lab.endpoint_url, "region": glue.region}
    keys = {
        side: {name: account[name] for name in ("access_key", "secret_key")}
        for side, account in glue.lab.landscape["accounts"].items()
        if side in ("source", "destination")
    }
    arguments = {
        "name": "partly",
        "source_table": "lost",
        "transform": [{"set": {"id": "TENANT#lost#{id}"}}],
        **{side: {**place, **found} for side, found in keys.items()},
    }
    params = ArgumentSpecValidator(dynamodb_verify.SPEC).validate(arguments).validated_parameters
    verified = outcome(dynamodb_verify.VERB, params, check_mode=False, diff=False, progress=print)
    assert (verified["failed"], verified["ferry_error"]) == (True, "NotOurs"), verified
    assert "none of lost yet" in verified["msg"]

    options = MigrationOptions(
        "lost", destination_table="partly", method="direct", merge=True, transform=tenant("lost"), bucket=BUCKET
    )
    entry = ToPlan("lost", playbook.source, playbook.destination, options, playbook.store)
    (table,) = make_plan(METHODS, [entry], usual()).to_dict()["tables"]
    assert (table["state"], table["reasons"]) == ("planned", [])
    foreseen = preview(playbook.source, playbook.destination, options, playbook.store, by_record=True)
    assert "part of partly" in [change.what for change in foreseen.changes]

    healed = Playbook(glue, 64).merge("partly", "lost")["lost"]
    assert (healed.status, list(healed.lacks)) == ("migrated", [])
    assert ids(glue, "partly") == expected("here", "lost")
    (row,) = (each for each in status_rows(playbook) if each["name"] == "partly")
    assert (row["state"], row["next"]) == ("done", "")


def status_rows(playbook: Playbook) -> list[dict[str, Any]]:
    """What status says of all tables."""
    return status.rows(playbook.store.everything(), playbook.store.home, playbook.run.clock.now())


def test_check_mode_says_which_part_of_the_table_it_will_be(glue: Glue) -> None:
    filled(glue, "shown", "next")
    playbook = Playbook(glue, 70)

    def foreseen(source: str) -> dict[str, Any]:
        options = MigrationOptions(
            source, destination_table="view", method="direct", merge=True, transform=tenant(source)
        )
        found = preview(playbook.source, playbook.destination, options, playbook.store, by_record=True)
        return {change.what: change.after for change in found.changes}

    assert "table view" in foreseen("shown")
    assert playbook.merge("view", "shown")["shown"].status == "migrated"
    assert foreseen("shown") == {}
    glue.lab.clear_requests()
    changes = foreseen("next")
    assert changes["part of view"] == {"source": "next", "keys": "id begins with 'TENANT#next#'"}
    assert "table view" not in changes
    assert "items of next" in changes
    assert glue.lab.mutating_calls() == []


def test_a_plan_knows_the_parts_that_are_done_and_those_to_come(glue: Glue) -> None:
    filled(glue, "umbrella", "hooli")
    Playbook(glue, 1).merge("planned", "umbrella")

    def planned(name: str, **more: Any) -> dict[str, Any]:
        playbook = Playbook(glue, 2)
        chosen = {
            "merge": True,
            "transform": tenant(name),
            "destination_table": "planned",
            "bucket": BUCKET,
            "writes_stopped": True,
            **more,
        }
        entry = ToPlan(name, playbook.source, playbook.destination, MigrationOptions(name, **chosen), playbook.store)
        (table,) = make_plan(METHODS, [entry], usual()).to_dict()["tables"]
        return dict(table)

    assert planned("umbrella")["state"] == "done"
    assert (planned("hooli")["state"], planned("hooli")["method"]) == ("planned", "direct")
    assert [each["rule"] for each in planned("hooli", transform=tenant("umbrella"))["reasons"]] == ["KeysNotApart"]
    assert [each["rule"] for each in planned("hooli", merge=False)["reasons"]] == ["Claimed"]
    glue.table("tall", [], **on_demand(("id", "S"), ("at", "N")))
    (reason,) = planned("tall", transform=tenant("tall"))["reasons"]
    assert "was made for another source" in reason["why"] and "the key (id S there, id S, at N here)" in reason["why"]
    # As a start that leaves the method open does, whatever the part before it went by.
    begun = Playbook(glue, 3).begin("planned", "hooli", method="auto", writes_stopped=True)["hooli"]
    assert begun.method == "direct"
