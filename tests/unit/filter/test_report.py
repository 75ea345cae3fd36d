# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters that make the report."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.filter.report import (
    STAGING_KEY,
    failure_note,
    item_jobs,
    repair_places,
    report_changed,
    report_changes,
    report_lines,
    report_places,
    report_problems,
    report_rows,
    run_places,
)
from ansible_collections.tableferry.aws.plugins.filter.together import tables_to_judge

JUDGED = {
    "status": "migrated",
    "items_source": 3,
    "items_destination": 3,
    "bytes": 9,
    "verified": "counts",
    "reason": "",
}


def settings(state: str, **more: Any) -> dict[str, Any]:
    """What the waiter says of the settings of ``a``."""
    job = {
        "kind": "settings",
        "name": "a",
        "state": state,
        "result": {"settings_carried": ["tags"], "settings_left": []},
    }
    return {"ways": {"a": [{**job, **more}]}}


def test_a_table_that_arrived() -> None:
    hostvars = {"a": {"judge_table_judgement": JUDGED, "move_table_waited": settings("completed")}}
    (row,) = report_rows(["a"], hostvars)
    assert (row["name"], row["status"], row["method"], row["verified"]) == ("a", "migrated", "s3", "counts")
    assert row["settings_carried"] == ["tags"]
    assert report_problems(["a"], hostvars) == {}


def test_every_way_of_failing_is_in_the_report() -> None:
    hostvars: dict[str, Any] = {
        "inventory": {"check_inventory_outlook": {"inventory": {"reason": "wrong", "ferry_status": "refused"}}},
        "noted": {"report_migration_failure": {"msg": "AWS said no", "ferry_status": ""}},
        "refused": {"report_migration_failure": {"msg": "LSI", "ferry_status": "refused"}, "ferry_method": "s3"},
        "a": {
            "judge_table_judgement": JUDGED,
            "move_table_waited": settings("failed", failure_message="tags"),
        },
        "registered": {"move_table_started": {"failed": True, "msg": "no table", "ferry_status": "refused"}},
    }
    found = {row["name"]: (row["status"], row["reason"]) for row in report_rows(hostvars, hostvars)}
    assert found == {
        "inventory": ("refused", "wrong"),
        "noted": ("failed", "AWS said no"),
        "refused": ("refused", "LSI"),
        "a": ("failed", "tags"),
        "registered": ("refused", "no table"),
    }
    assert set(report_problems(hostvars, hostvars)) == set(hostvars)
    # No method was chosen for what was not begun; the one that a user names is shown.
    methods = {row["name"]: row["method"] for row in report_rows(hostvars, hostvars)}
    assert methods == {"inventory": "auto", "noted": "auto", "refused": "s3", "a": "s3", "registered": "auto"}


def test_settings_that_did_not_end_are_a_problem() -> None:
    waited = settings("running", result={"timed_out": True})
    assert "Run again" in report_problems(["a"], {"a": {"move_table_waited": waited}})["a"]


def test_a_table_never_reached_is_no_success_and_no_failure_of_its_own() -> None:
    (row,) = report_rows(["a"], {"a": {}})
    assert row["status"] == "failed"
    assert "ended before" in row["reason"]
    assert report_problems(["a"], {"a": {}}) == {}


def test_a_check_is_told_as_one() -> None:
    (row,) = report_rows(["a"], {"a": {"move_table_started": {"job": {"state": "planned"}}}})
    assert (row["status"], row["verified"]) == ("planned", "none")


@pytest.mark.parametrize(
    ("made_by", "variables", "told"),
    [
        ("accounts", {}, False),  # the run creates it
        ("accounts", {"ferry_manage_accounts": "true"}, False),
        ("accounts", {"ferry_manage_accounts": False}, True),
        ("management", {}, True),
        ("management", {"ferry_management": {"profile": "m"}}, False),
        ("management", {"ferry_management": {"profile": "m"}, "ferry_manage_accounts": False}, True),
        ("", {}, True),
    ],
)
def test_d3_the_first_check_tells_the_user_only_what_the_run_does_not_make(
    made_by: str, variables: dict[str, object], told: bool
) -> None:
    problems = [
        {"cause": "The bucket is missing.", "next_step": "Make it.", "made_by": made_by},
        {"cause": "A vault is missing.", "next_step": "Make it.", "made_by": "accounts"},
    ]
    managed = variables.get("ferry_manage_accounts") is not False
    started = {"job": {"state": "planned"}, "obstacle": "a: all", "obstacles": problems}
    (row,) = report_rows(["a"], {"a": {"move_table_started": started, **variables}})
    rest = "" if managed else " A vault is missing."
    assert row["reason"] == (
        f"Fix this first: The bucket is missing.{rest} Make it." if told else "Check mode: nothing was changed."
    )


def test_lines_end_with_a_summary() -> None:
    lines = report_lines(report_rows(["b", "a"], {"a": {"judge_table_judgement": JUDGED}, "b": {}}))
    assert lines[-1] == "2 tables: 1 failed, 1 migrated"
    assert lines[2].startswith("a ")


def test_lines_tell_what_was_not_carried() -> None:
    left = [{"what": "alarms", "reason": "make them anew"}]
    foreseen = {"kind": "settings", "state": "planned", "result": {"settings_left": left}}
    lines = report_lines(report_rows(["a"], {"a": {"move_table_started": {"job": {}, "then": [foreseen]}}}))
    assert "not carried: alarms: make them anew [a]" in lines


def test_notes_keep_the_message_only() -> None:
    assert failure_note({"msg": "m", "ferry_status": "refused", "details": {"x": 1}}, "t") == {
        "msg": "m",
        "ferry_status": "refused",
        "task": "t",
    }
    assert "'t'" in failure_note({}, "t")["msg"]


def test_the_module_of_another_collection_does_not_know_in_which_account_it_failed() -> None:
    denied = {"msg": "Not authorized.", "error": {"code": "AccessDeniedException", "message": "Not authorized."}}
    assert failure_note(denied, "Look", "destination", "222222222222")["msg"] == (
        "In the destination account 222222222222, the task 'Look' failed: Not authorized. Grant the permission to the"
        " principal, and run again."
    )
    broken = failure_note({"msg": "No such plan"}, "Look", "source")["msg"]
    assert broken == "In the source account, the task 'Look' failed: No such plan. Mend the cause, and run again."
    ours = {"msg": "The source account refused it.", "ferry_error": "AccessDenied"}
    assert failure_note(ours, "Look", "source", "1")["msg"] == ours["msg"]


def test_the_words_of_a_module_that_broke_after_failing_are_kept() -> None:
    output = '\n{"failed": true, "msg": "The config profile (x) could not be found"}\n{"failed": true}\n'
    broken = {"msg": "Module result deserialization failed", "module_stdout": output}
    assert failure_note(broken)["msg"] == "The config profile (x) could not be found"
    assert failure_note({**broken, "module_stdout": "no JSON"})["msg"] == broken["msg"]


def test_jobs_that_bring_items_are_told_from_those_that_follow() -> None:
    jobs = [{"kind": kind} for kind in ("backup", "copy", "restore", "count", "verify", "settings")]
    assert item_jobs(jobs) == jobs[:3]


def test_tables_that_one_task_moved_together() -> None:
    job = {"kind": "export", "name": "a", "state": "running"}
    record = {"table": "a", "record_table": "records"}
    together = {
        "migrate_started": {
            "changed": True,
            "tables": {
                "a": {"changed": True, "job": job, "then": [], "method": "s3", "record": record},
                "same": {"changed": False, "job": {**job, "state": "not_needed"}, "then": [], "record": record},
                "refused": {"failed": True, "msg": "no table", "ferry_status": "refused"},
            },
        },
        "migrate_waited": settings("failed", failure_message="tags"),
        "migrate_judged": {
            "tables": {
                "a": JUDGED,
                "same": JUDGED,
                "wrong": {"failed": True, "msg": "3 items lack", "status": "failed"},
            }
        },
        "ferry_destination": {"region": "eu-west-1"},
    }
    hostvars = dict.fromkeys(("a", "same", "refused", "wrong", "never"), together)
    found = {row["name"]: row["status"] for row in report_rows(hostvars, hostvars)}
    assert found == {"a": "failed", "same": "migrated", "refused": "refused", "wrong": "failed", "never": "failed"}
    problems = report_problems(hostvars, hostvars)
    assert problems == {"a": "tags", "refused": "no table", "wrong": "3 items lack"}
    assert report_changed(hostvars, hostvars) == ["a"]
    assert run_places(hostvars, hostvars) == [{"destination": {"region": "eu-west-1"}, "record_table": "records"}]


@pytest.mark.parametrize(("state", "changed"), [("failed", False), ("completed", True), ("running", True)])
def test_a_table_that_is_not_adopted_was_not_changed(state: str, changed: bool) -> None:
    adopt = {"kind": "adopt", "state": "pending"}
    together = {
        "migrate_started": {"tables": {"a": {"changed": True, "job": adopt, "then": []}}},
        "migrate_waited": {"ways": {"a": [{**adopt, "state": state, "failure_message": "differs"}]}},
    }
    assert report_changed(["a"], {"a": together}) == (["a"] if changed else [])


def test_places_in_which_verify_took_tables() -> None:
    def host(region: str, **variables: Any) -> dict[str, Any]:
        found = {"verify_table_found": {"clean": True, "filled": False}}
        return {"ferry_destination": {"region": region}, **found, **variables}

    hostvars = {
        "compared": host("a"),
        "text": host("b", ferry_repair="true", ferry_record_table="records"),
        "same": host("b", ferry_repair=True, ferry_record_table="records"),
        "failed": host("c", ferry_repair="racing", verify_table_found={"failed": True}),
        "whole": host("d", verify_table_found={"filled": True}),
        "skipped": host("e", ferry_repair=True, verify_table_found={"skipped": True}),
        "never": {"ferry_destination": {"region": "f"}, "ferry_repair": True},
        "nonsense": host("g", ferry_repair="maybe"),
    }
    places = [(place["destination"]["region"], place["record_table"]) for place in repair_places(hostvars, hostvars)]
    assert places == [("b", "records"), ("c", "tableferry"), ("d", "tableferry")]


def test_tables_that_were_judged_in_the_wait() -> None:
    def judged(state: str, **more: Any) -> list[dict[str, Any]]:
        return [{"kind": "import", "state": "completed"}, {"kind": "judge", "state": state, **more}]

    started = {name: {"changed": True, "job": {"kind": "import"}, "then": []} for name in ("a", "wrong")}
    ways = {"a": judged("completed", result=JUDGED), "wrong": judged("failed", result={**JUDGED, "status": "failed"})}
    wrong = {"failed": True, "msg": "3 items lack", "status": "failed"}
    results = {
        "migrate_started": {"tables": started},
        "migrate_waited": {"ways": ways},
        "migrate_judged": {"tables": {"wrong": wrong}},
    }
    hostvars = dict.fromkeys(started, results)
    rows = {row["name"]: row for row in report_rows(hostvars, hostvars)}
    assert {name: row["status"] for name, row in rows.items()} == {"a": "migrated", "wrong": "failed"}
    assert rows["a"]["verified"] == JUDGED["verified"]
    assert report_problems(hostvars, hostvars) == {"wrong": "3 items lack"}


def test_a_task_for_all_tables_that_failed_failed_them_all() -> None:
    failed = {"migrate_started": {"failed": True, "msg": "boto3 is missing"}}
    hostvars = {"a": failed, "b": failed}
    assert report_problems(hostvars, hostvars) == {"a": "boto3 is missing", "b": "boto3 is missing"}
    assert report_changed(hostvars, hostvars) == []
    stopped = {"check_inventory_outlook": {"a": {"reason": "wrong", "ferry_status": "refused"}}}
    assert report_problems("a", {"a": {**stopped, **hostvars["a"]}}) == {"a": "wrong"}


def together(started: dict[str, Any], waited: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What all hosts know of the tables of ``started`` once they were waited for together."""
    results = {"migrate_started": {"changed": True, "tables": started}, "migrate_waited": waited}
    return dict.fromkeys(started, results)


def test_each_host_says_whether_its_own_table_changed() -> None:
    """The tasks for all tables run on the first host; what it started before counts as what this run finished."""
    job = {"kind": "import", "state": "running"}
    started = {name: {"changed": False, "job": job, "then": []} for name in ("first", "resumed", "same")}
    hostvars = together({**started, "new": {**started["first"], "changed": True}}, {"tables_changed": ["resumed"]})
    assert report_changed(hostvars, hostvars) == ["resumed", "new"]


def test_the_diff_has_what_each_table_changed() -> None:
    billed = {"what": "export of a", "before": None, "after": "started", "risk": "billed"}
    applied = {"what": "tags", "before": [], "after": ["team"], "risk": "safe"}
    started = {
        "a": {"changed": True, "changes": [billed], "job": {"kind": "export"}, "then": []},
        "b": {"changed": False, "changes": [], "job": {"kind": "claim"}, "then": []},
        "same": {"changed": False, "changes": [], "job": {"kind": "claim"}, "then": []},
    }
    ways = {"b": [{"kind": "settings", "state": "completed", "result": {"changes": [applied]}}]}
    hostvars = together(started, {"tables_changed": ["b"], "ways": ways})
    assert report_changes(hostvars, hostvars) == [
        "a: export of a: none -> started (billed)",
        "b: tags: [] -> ['team']",
    ]


def test_settings_that_were_applied_are_no_drift_any_more() -> None:
    change = {"what": "tags", "before": "none", "after": "team", "risk": "safe"}
    result = {"drift": [], "drift_applied": [change]}
    waited = {"ways": {"a": [{"kind": "settings", "name": "a", "state": "completed", "result": result}]}}
    rows = report_rows(["a"], {"a": {"judge_table_judgement": JUDGED, "move_table_waited": waited}})
    assert (rows[0]["settings_drift"], rows[0]["settings_applied"]) == ([], [change])
    lines = report_lines(rows)
    assert "applied: a: tags: none -> team" in lines
    assert not any(line.startswith("drift") for line in lines)


def test_the_method_is_that_of_the_run_that_brought_the_items() -> None:
    """A run of the method direct only waited for another one, and its report said direct."""
    waiting = {"changed": False, "job": {"kind": "claim", "state": "pending"}, "then": [], "method": "direct"}
    finished = {"kind": "claim", "state": "not_needed", "result": {"method": "s3"}}
    gone_on = [{"kind": "export", "state": "completed"}, {"kind": "import", "state": "completed"}]
    waited = {"ways": {"finished": [finished], "gone_on": gone_on}, "tables_changed": []}
    hostvars = together({"finished": waiting, "gone_on": waiting, "waits": waiting}, waited)
    rows = {row["name"]: row["method"] for row in report_rows(hostvars, hostvars)}
    assert rows == {"finished": "s3", "gone_on": "s3", "waits": "direct"}


@pytest.mark.parametrize(
    ("jobs", "status"),
    [
        ([{"kind": "import", "state": "not_needed"}, {"kind": "settings", "state": "planned"}], "planned"),
        ([{"kind": "import", "state": "completed"}, {"kind": "verify", "state": "planned"}], "planned"),
        ([{"kind": "adopt", "state": "not_needed"}, {"kind": "settings", "state": "planned"}], "planned"),
        ([{"kind": "claim", "state": "not_needed"}, {"kind": "settings", "state": "planned"}], "migrated"),
        ([{"kind": "claim", "state": "not_needed"}, {"kind": "settings", "state": "not_needed"}], "migrated"),
    ],
)
def test_check_mode_says_migrated_of_finished_tables_alone(jobs: list[dict[str, Any]], status: str) -> None:
    started = {"tables": {"a": {"job": jobs[0], "then": jobs[1:], "method": "s3", "record": {"table": "a"}}}}
    judged = tables_to_judge(
        ["a"],
        {"a": {"ferry_source": {}, "ferry_destination": {}}},
        {"a": {"reason": "", "staging": {}}},
        started,
        {},
        True,
    )
    assert bool(judged) == (status == "migrated")
    variables = {"migrate_started": started, "migrate_judged": {"tables": {"a": JUDGED}} if judged else {}}
    assert report_rows(["a"], {"a": variables})[0]["status"] == status


def test_places_are_the_destinations_that_were_looked_at_each_once() -> None:
    there = {"region": "eu-west-1", "profile": "new"}
    staging = {"bucket": "b", "owner": "222222222222", "kms_key_arn": ""}
    outlook = {host: {"staging": staging, "reason": ""} for host in ("a", "b")}
    outlook["c"] = {"staging": {}, "reason": "unknown"}
    hostvars = {host: {"ferry_destination": there, "check_inventory_outlook": outlook} for host in ("a", "b", "c")}
    place = {"destination": {**there, "account_id": "222222222222"}, "bucket": "b", "kms_key_arn": ""}
    assert report_places(["a", "b", "c"], hostvars) == [place]
    assert report_places(["c"], hostvars) == []


def test_places_of_tables_that_were_compared_are_as_their_variables_name_them() -> None:
    compared = {"verify_table_found": {"destination_arn": "arn:aws:dynamodb:eu-west-1:222222222222:table/a"}}
    common = {"ferry_destination": {"region": "eu-west-1"}}
    account = {"region": "eu-west-1", "account_id": "222222222222"}
    sides = {
        "accounts": [{"options": account}],
        "hosts": {host: {"ferry_destination": 0} for host in ("failed, known", "not looked at", "skipped")},
    }
    known = {"ferry_destination": account, "check_inventory_sides": sides}
    made = {**compared, "ferry_create_staging_key": "yes"}
    hostvars: dict[str, dict[str, Any]] = {
        "usual": {**common, **compared},
        "named": {**common, **compared, "ferry_staging_bucket": "b", "ferry_staging_kms_key_arn": "k"},
        "made": {**common, **made},
        "unmanaged": {**common, **compared, "ferry_create_staging_key": True, "ferry_manage_accounts": False},
        "alias": {**common, **made, "destination_account_kms_key_alias": "alias/own"},
        "failed": {**common, "verify_table_found": {"failed": True}},
        # Before its account was known: no copy of the report was made, where all tables failed so.
        "failed, named": {**common, "verify_table_found": {"msg": "why"}, "ferry_staging_bucket": "b"},
        "failed, known": {**known, "verify_table_found": {"msg": "why"}},
        "not looked at": known,
        "skipped": {**known, "verify_table_found": {"skipped": True}},
    }
    found = {host: report_places([host], hostvars) for host in hostvars}
    usual = "tableferry-222222222222-eu-west-1"
    assert {host: [(each["bucket"], each["kms_key_arn"]) for each in places] for host, places in found.items()} == {
        "usual": [(usual, "")],
        "named": [("b", "k")],
        "made": [(usual, STAGING_KEY)],
        "alias": [(usual, "alias/own")],
        "unmanaged": [(usual, "")],
        "failed": [],
        "failed, named": [("b", "")],
        "failed, known": [(usual, "")],
        "not looked at": [],
        "skipped": [],
    }
    assert found["failed, named"][0]["destination"] == {"region": "eu-west-1"}
    assert found["failed, known"][0]["destination"] == {"region": "eu-west-1", "account_id": "222222222222"}
    assert found["usual"][0]["destination"] == {"region": "eu-west-1", "account_id": "222222222222"}


def test_a_row_says_from_where_to_where_as_far_as_that_is_known() -> None:
    staging = {"source_account_id": "111111111111", "owner": "222222222222"}
    known = {
        "ferry_source": {"region": "eu-west-1"},
        "ferry_destination": {"region": "cn-north-1"},
        "ferry_destination_table": "orders2",
        "ferry_migration_id": "spring",
        "check_inventory_outlook": {"orders": {"staging": staging, "reason": ""}},
    }
    (row,) = report_rows(["orders"], {"orders": known})
    assert row["source"]["arn"] == "arn:aws:dynamodb:eu-west-1:111111111111:table/orders"
    assert row["destination"]["arn"] == "arn:aws-cn:dynamodb:cn-north-1:222222222222:table/orders2"
    assert row["migration_id"] == "spring"
    (row,) = report_rows(["orders"], {"orders": {**known, "check_inventory_outlook": {}}})
    assert (row["source"]["arn"], row["source"]["region"], row["source"]["table"]) == ("", "eu-west-1", "orders")
