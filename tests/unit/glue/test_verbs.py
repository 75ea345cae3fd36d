# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a verb hands to the core and what it returns, with the core's use cases replaced."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.change import Change, NotCarried
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.cleanup import CleanupPlan
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export import ExportPlan
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports import importing
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.importing import ImportPlan
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job, ended_with
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitResult
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import Migration
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps import settings_job
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.settings import Settings, SettingsPlan
from ansible_collections.tableferry.aws.plugins.module_utils.glue import starting
from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import outcome
from ansible_collections.tableferry.aws.plugins.module_utils.glue.spec import SHARED_OPTIONS
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import (
    account_session,
    backup_cleanup,
    dynamodb_export,
    dynamodb_export_info,
    dynamodb_import,
    dynamodb_table_settings,
    dynamodb_table_settings_info,
    job_wait,
    migration_cleanup,
    migration_judge,
    migration_start,
    record_table,
)

TABLE = {
    "TableName": "orders",
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
}
DEFINITION = TableDefinition.from_dict(TABLE)
SIDE = {"region": "eu-west-1", "access_key": "k", "secret_key": "s"}
SIDES = {"source": SIDE, "destination": SIDE}
BILLED = Change("export", None, {"bucket": "b"}, "billed")
EXPORT = Job("export", "orders", "running", "arn:export")
IMPORT = Job("import", "orders", "running", "arn:import")


class Calls(list[tuple[Any, ...]]):
    """Remembers how it was called and answers with what it was given."""

    def answer(self, value: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.append((*args, kwargs))
            if isinstance(value, Exception):
                raise value
            return value

        return call


def run(verb: Any, arguments: dict[str, Any], check_mode: bool = False) -> dict[str, Any]:
    checked = ArgumentSpecValidator(verb.SPEC, **verb.VERB.rules).validate(arguments)
    assert not checked.error_messages
    return verb.run(checked.validated_parameters, check_mode, lambda line: None)


def assert_documented(verb: Any, result: dict[str, Any]) -> None:
    module = importlib.import_module(f"ansible_collections.tableferry.aws.plugins.modules.{verb.VERB.name}")
    documented = yaml.safe_load(module.RETURN)
    assert set(result) - {"changed", "diff", "failed", "warnings"} <= set(documented)
    for name, value in result.items():
        contains = documented.get(name, {}).get("contains")
        for entry in value if isinstance(value, list) else [value]:
            assert not contains or set(entry) == set(contains), name


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def exporting(monkeypatch: pytest.MonkeyPatch, calls: Calls) -> Calls:
    obstacle = errors.StagingBucketUnusable("The bucket is missing.", "Make it.")
    plan = ExportPlan(
        replace(EXPORT, state="pending"), [BILLED], DEFINITION, [NotCarried("replicas", "never")], obstacle
    )
    monkeypatch.setattr(dynamodb_export, "plan_export", calls.answer(plan))
    monkeypatch.setattr(dynamodb_export, "refuse_held", lambda *_place: None)
    monkeypatch.setattr(dynamodb_export, "start_export", Calls().answer(EXPORT))
    return calls


def test_an_export_is_started(exporting: Calls) -> None:
    result = run(dynamodb_export, {"name": "orders", "bucket": "b", "export_type": "full", **SIDES})
    assert_documented(dynamodb_export, result)
    assert (result["changed"], result["job"]["state"], result["table"]) == (True, "running", TABLE)
    assert result["obstacle"] == ""
    source, destination, options, loader, _kwargs = exporting[0]
    assert isinstance(loader, ImportLoader)
    assert (source.side, destination.side) == ("source", "destination")
    assert (options.table, options.export_type, options.max_age, options.bucket_owner) == (
        "orders", "FULL_EXPORT", 86400, "",
    )  # fmt: skip


def test_check_mode_plans_an_export_and_warns_of_what_would_stop_it(
    exporting: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_export, "start_export", Calls().answer(AssertionError("started in check mode")))
    result = run(dynamodb_export, {"name": "orders", "bucket": "b", "wait": True, **SIDES}, check_mode=True)
    assert (result["changed"], result["job"]["state"]) == (True, "planned")
    assert result["obstacle"] == "The bucket is missing. Make it."
    assert result["obstacles"] == [{"cause": "The bucket is missing.", "next_step": "Make it.", "made_by": ""}]
    assert result["msg"].endswith("The bucket is missing. Make it.")
    assert result["diff"]["after"] == {"export": {"bucket": "b"}}


def test_an_import_is_started(monkeypatch: pytest.MonkeyPatch, calls: Calls) -> None:
    monkeypatch.setattr(dynamodb_import, "plan_import", calls.answer(ImportPlan(IMPORT, [BILLED])))
    monkeypatch.setattr(dynamodb_import, "refuse_held", lambda *_place: None)
    monkeypatch.setattr(dynamodb_import, "start_import", Calls().answer(IMPORT))
    arguments = {"name": "orders", "bucket": "b", "export": EXPORT.to_dict(), "definition": TABLE, **SIDES}
    result = run(dynamodb_import, arguments)
    assert_documented(dynamodb_import, result)
    options = calls[0][2]
    assert (options.export, options.definition, options.prefix) == (EXPORT, DEFINITION, "")


@pytest.mark.parametrize(
    ("ended", "raised"),
    [
        (ended_with(EXPORT, errors.ExportFailed("No.", "Allow it.")), errors.ExportFailed),
        (replace(EXPORT, result={"timed_out": True}), errors.JobTimeout),
        (replace(EXPORT, state="completed"), None),
    ],
)
def test_a_verb_alone_waits_for_its_job(
    exporting: Calls, monkeypatch: pytest.MonkeyPatch, ended: Job, raised: type[errors.FerryError] | None
) -> None:
    waited = Calls()
    monkeypatch.setattr(starting, "wait_for", waited.answer(WaitResult({"orders": ended}, {})))
    arguments = {"name": "orders", "bucket": "b", "wait": True, "wait_timeout": 7, **SIDES}
    if raised:
        with pytest.raises(raised):
            run(dynamodb_export, arguments)
    else:
        assert run(dynamodb_export, arguments)["job"]["state"] == "completed"
    assert waited[0][1] == 7


class OneWay:
    """A method's way that remembers how it was gone."""

    def __init__(self) -> None:
        self.gone = Calls()
        then = (Job("import", "orders", "pending", pending_reason="job"),)
        migration = Migration("s3", EXPORT, then, (BILLED,), DEFINITION, (NotCarried("replicas", "never"),))
        self.start = self.gone.answer(migration)
        obstacle = errors.StagingBucketUnusable("No bucket.", "Make it.")
        self.preview = self.gone.answer(replace(migration, obstacle=obstacle))


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_way_is_started_or_foreseen(monkeypatch: pytest.MonkeyPatch, check_mode: bool) -> None:
    method = OneWay()
    monkeypatch.setattr(migration_start, "start", method.start)
    monkeypatch.setattr(migration_start, "preview", method.preview)
    store, records = object(), object()
    monkeypatch.setattr(migration_start.RecordTables, "to_read", lambda *_place: store)
    monkeypatch.setattr(migration_start.RecordTables, "records", lambda *_accounts: records)
    monkeypatch.setattr(migration_start.RecordTables, "knows_run", lambda *_run: True)
    arguments = {"name": "orders", "bucket": "b", "defer": ["time_to_live"], "method": "s3", "take_over": "r", **SIDES}
    result = run(migration_start, arguments, check_mode)
    assert_documented(migration_start, result)
    assert (result["changed"], result["method"], result["then"][0]["kind"]) == (True, "s3", "import")
    assert bool(result["obstacle"]) is check_mode
    source, destination, options, *recorded, _kwargs = method.gone[0]
    assert recorded == ([store] if check_mode else [records, "r"])
    assert result["record"] == {"table": "orders", "record_table": "tableferry"}
    assert (source.side, destination.side) == ("source", "destination")
    assert (options.made_table, options.bucket, options.settings.defer) == ("orders", "b", ("time_to_live",))


def test_a_failed_import_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    why = errors.ImportFailed("Line 3 is no item.", "Mend it.", table="orders")
    monkeypatch.setattr(importing, "explain_failure", lambda destination, job: why)
    with pytest.raises(errors.ImportFailed, match="Line 3") as failed:
        starting.finished(replace(IMPORT, state="failed"), None, object(), 1, print)
    assert failed.value.details["job"]["arn"] == IMPORT.arn


@pytest.mark.parametrize("kind", ["direct", "verify", "count", "settings", "export", "import", "backup", "copy"])
def test_a_failed_job_answers_with_the_error_it_failed_with(kind: str) -> None:
    denied = errors.AccessDenied("BatchWriteItem was denied.", "Allow it.", details={"code": "AccessDeniedException"})
    job = ended_with(Job(kind, "orders", "running"), denied)
    with pytest.raises(errors.AccessDenied) as failed:
        starting.finished(job, None, None, 1, print)
    error = failed.value
    assert (error.table, error.cause, error.next_step) == ("orders", denied.cause, denied.next_step)
    assert error.details["code"] == "AccessDeniedException"


def test_e2_a_verb_alone_warns_of_a_job_that_was_completed_with_issues() -> None:
    job = Job("copy", "orders", "completed", "copy-1", result={"status_message": "Some metadata was left out."})
    words = "orders: AWS completed the copy copy-1 with issues: Some metadata was left out."
    assert starting.start_result(job, [])["warnings"] == [words]
    assert "warnings" not in starting.start_result(replace(job, result={}), [])


def test_a_verb_alone_warns_of_worker_processes_that_died() -> None:
    job = Job("direct", "orders", "completed", result={"workers_lost": ["was ended by SIGKILL"] * 2})
    assert starting.start_result(job, [])["warnings"] == [
        "orders: 2 worker processes died (was ended by SIGKILL); others did the work. Check whether the machine ran out"
        " of memory, or set fewer workers."
    ]


def test_all_jobs_are_waited_for_at_once(monkeypatch: pytest.MonkeyPatch, calls: Calls) -> None:
    ended = {"a": replace(EXPORT, state="completed"), "b": replace(EXPORT, state="failed")}
    ways = {name: (job, replace(IMPORT, state="pending")) for name, job in ended.items()}
    found = WaitResult(ended, {"export": {"list": 2}}, frozenset({("b", "export")}), ways)
    monkeypatch.setattr(job_wait, "wait_for", calls.answer(found))
    entries = [{"name": name, "source": SIDE, "job": EXPORT.to_dict(), "then": [IMPORT.to_dict()]} for name in "ab"]
    result = run(job_wait, {"jobs": entries, "wait_timeout": 5})
    assert_documented(job_wait, result)
    assert result["changed"] is True
    assert result["diff"]["after"] == {"export of b": "started"}
    assert {name: job["state"] for name, job in result["jobs"].items()} == {"a": "completed", "b": "failed"}
    assert [job["kind"] for job in result["ways"]["a"]] == ["export", "import"]
    items, timeout = calls[0][:2]
    assert timeout == 5
    assert items[0].then == (IMPORT,)
    assert items[0].source is items[1].source
    assert items[0].destination is None


def test_e2_jobs_that_aws_completed_with_issues_are_warned_of(monkeypatch: pytest.MonkeyPatch, calls: Calls) -> None:
    issues = {"status_message": "Some metadata was left out."}
    backup, copy = (Job(kind, "orders", "completed", f"{kind}-1", result=issues) for kind in ("backup", "copy"))
    failed = replace(copy, name="other", state="failed")  # says why itself
    found = WaitResult({}, {}, frozenset(), {"a": (backup, copy), "b": (backup,), "c": (failed,)})
    monkeypatch.setattr(job_wait, "wait_for", calls.answer(found))
    entries = [{"name": "a", "source": SIDE, "job": EXPORT.to_dict()}]
    assert run(job_wait, {"jobs": entries})["warnings"] == [
        "orders: AWS completed the backup backup-1 with issues: Some metadata was left out.",
        "orders: AWS completed the copy copy-1 with issues: Some metadata was left out.",
    ]


@pytest.mark.parametrize("failure", [None, errors.CountMismatch("9 of 10 arrived.", "Look at the log.")])
def test_a_judgement_says_the_counts_and_fails_where_they_differ(
    monkeypatch: pytest.MonkeyPatch, failure: errors.FerryError | None
) -> None:
    judgement = Judgement("failed" if failure else "migrated", 10, 9, 100, "counts", "", failure)
    monkeypatch.setattr(migration_judge, "judge", Calls().answer(judgement))
    result = run(migration_judge, {"name": "orders", "jobs": [IMPORT.to_dict()], **SIDES})
    assert_documented(migration_judge, result)
    assert (result["items_source"], result["items_destination"], result["verified"]) == (10, 9, "counts")
    assert result.get("failed", False) is bool(failure)
    if failure:
        assert result["msg"] == "orders: 9 of 10 arrived. Look at the log."


SETTINGS_PLAN = SettingsPlan((Change("tags", {}, {"a": "b"}),), (NotCarried("alarms", "never"),), ("tags",))


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The settings verb with its use cases replaced: what each was told."""
    told: dict[str, Any] = {}
    for name in ("prepare_settings", "preview_settings"):
        told[name] = Calls()
        monkeypatch.setattr(settings_job, name, told[name].answer(SETTINGS_PLAN))
    destination = type("Found", (), {"find": lambda account, name: told.get("found", DEFINITION)})
    monkeypatch.setattr(settings_job, "TableDefinition", destination)
    told["is_ours"] = Calls()
    monkeypatch.setattr(settings_job, "is_ours", lambda *args: told["is_ours"].append(args) or told.get("ours", True))
    monkeypatch.setattr(Account, "account_id", "222222222222")
    return told


def test_settings_are_left_to_the_waiter_on_request(settings: dict[str, Any]) -> None:
    result = run(dynamodb_table_settings, {"name": "new", "source_table": "orders", "wait": False, **SIDES})
    assert_documented(dynamodb_table_settings, result)
    assert (result["job"]["state"], result["job"]["pending_reason"]) == ("pending", "settings")
    assert result["settings_carried"] == ["tags"]
    assert result["settings_left"] == [{"what": "alarms", "reason": "never"}]
    assert settings["prepare_settings"][0][2:4] == ("orders", "new")


def test_the_table_of_a_known_import_is_described_once(settings: dict[str, Any]) -> None:
    run(dynamodb_table_settings, {"name": "orders", "table_id": "id-1", "wait": False, **SIDES})
    assert settings["is_ours"][0][3] == "id-1"
    assert settings["prepare_settings"][0][5] is DEFINITION


def test_settings_are_set_by_default(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = {"settings_carried": [], "settings_left": [{"what": "tags", "reason": "No."}]}
    ended = Job("settings", "orders", "completed", result=outcome)
    monkeypatch.setattr(starting, "wait_for", Calls().answer(WaitResult({"orders": ended}, {})))
    result = run(dynamodb_table_settings, {"name": "orders", **SIDES})
    assert (result["changed"], result["job"]["state"]) == (True, "completed")
    assert result["settings_left"] == outcome["settings_left"]


def test_check_mode_foresees_the_settings_of_a_table_that_is_not_there(settings: dict[str, Any]) -> None:
    settings["found"] = None
    result = run(dynamodb_table_settings, {"name": "orders", **SIDES}, check_mode=True)
    assert (result["changed"], result["job"]["state"]) == (True, "planned")
    assert not settings["prepare_settings"]
    run(dynamodb_table_settings, {"name": "orders", "wait": False, **SIDES})
    assert settings["prepare_settings"]


def test_a_table_of_somebody_else_gets_no_settings(settings: dict[str, Any]) -> None:
    settings["ours"] = False
    with pytest.raises(errors.DestinationExists, match="tableferry:migration=default"):
        run(dynamodb_table_settings, {"name": "orders", **SIDES})
    assert not settings["prepare_settings"]


def test_settings_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Settings(DEFINITION, {"tags": {"a": "b"}}, {"insights": "denied"})
    monkeypatch.setattr(dynamodb_table_settings_info, "read_settings", Calls().answer(found))
    monkeypatch.setattr(TableDefinition, "read", lambda account, name: DEFINITION)
    result = run(dynamodb_table_settings_info, {"name": "orders", "account": SIDE})
    assert_documented(dynamodb_table_settings_info, result)
    assert (result["definition"], result["settings"]) == (TABLE, {"tags": {"a": "b"}})


@pytest.mark.parametrize("check_mode", [True, False])
def test_cleanup_removes_what_it_planned(monkeypatch: pytest.MonkeyPatch, calls: Calls, check_mode: bool) -> None:
    plan = CleanupPlan([Change("s3://b/", {}, None, "destructive")], [NotCarried("ledger", "kept")], ["Careful."])
    monkeypatch.setattr(migration_cleanup, "plan_cleanup", Calls().answer(plan))
    monkeypatch.setattr(migration_cleanup, "apply_cleanup", calls.answer({}))
    monkeypatch.setattr(migration_cleanup, "open_to_read", lambda account, name: (None, 0.0))
    monkeypatch.setattr(migration_cleanup, "refuse_held", lambda *_place: None)
    monkeypatch.setattr(migration_cleanup.RecordTables, "hold", lambda *_accounts, **_how: None)
    monkeypatch.setattr(migration_cleanup.RecordTables, "to_read", lambda *_place: None)
    result = run(migration_cleanup, {"name": "orders", "bucket": "b", **SIDES}, check_mode)
    assert_documented(migration_cleanup, result)
    assert (result["changed"], result["warnings"], len(calls)) == (True, ["Careful."], int(not check_mode))


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize(("verb", "arguments"), [(migration_cleanup, {"bucket": "b"}), (backup_cleanup, {})])
def test_a_table_whose_record_has_nothing_of_a_method_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, verb: Any, arguments: dict[str, Any], check_mode: bool
) -> None:
    monkeypatch.setattr(verb, "read_record", lambda *_place: None)
    monkeypatch.setattr(verb, "refuse_held", lambda *_place: None)
    result = run(verb, {"name": "orders", "recorded_only": True, **arguments, **SIDES}, check_mode)
    assert_documented(verb, result)
    assert (result["changed"], result["left"], result["recorded"]) == (False, [], False)


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize(
    ("verb", "arguments"),
    [(migration_cleanup, {"bucket": "b"}), (backup_cleanup, {"remove_recovery_points": True})],
)
def test_what_another_run_holds_is_listed(
    monkeypatch: pytest.MonkeyPatch, verb: Any, arguments: dict[str, Any], check_mode: bool
) -> None:
    def held(*_place: Any, **_how: Any) -> None:
        raise errors.Held("Another run works on this table, held by ann@ci-7.", "Run again.")

    monkeypatch.setattr(verb, "refuse_held", held)
    monkeypatch.setattr(verb.RecordTables, "hold", held)
    result = run(verb, {"name": "orders", **arguments, **SIDES}, check_mode)
    assert_documented(verb, result)
    assert (result["changed"], result["changes"]) == (False, [])
    assert [entry["reason"] for entry in result["left"]] == ["Another run works on this table, held by ann@ci-7."]


def test_a_session_hands_out_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    arn = "arn:aws:iam::111111111111:role/ferry"
    for name, value in {"account_id": "1" * 12, "principal_arn": arn, "caller_arn": arn}.items():
        monkeypatch.setattr(Account, name, value)
    result = run(account_session, {"account": SIDE})
    assert_documented(account_session, result)
    assert result["credentials"] == {"access_key": "k", "secret_key": "s", "session_token": ""}


def test_exports_are_listed_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = iter(
        [
            {"ExportSummaries": [{"ExportArn": "one", "ExportStatus": "COMPLETED"}], "NextToken": "more"},
            {"ExportSummaries": [{"ExportArn": "two", "ExportStatus": "FAILED"}]},
        ]
    )
    asked: list[dict[str, Any]] = []

    def list_exports(**request: Any) -> dict[str, Any]:
        asked.append(request)
        return next(pages)

    client = type("Client", (), {"list_exports": staticmethod(list_exports)})
    monkeypatch.setattr(Account, "client", lambda self, service, **_: client)
    arn = "arn:aws:dynamodb:eu-west-1:111111111111:table/orders"
    result = run(dynamodb_export_info, {"name": arn, "source": SIDE})
    assert_documented(dynamodb_export_info, result)
    assert [entry["export_arn"] for entry in result["exports"]] == ["one", "two"]
    assert asked == [
        {"MaxResults": 25, "TableArn": arn},
        {"MaxResults": 25, "TableArn": arn, "NextToken": "more"},
    ]


def test_a_run_that_was_taken_over_fails_the_tables_of_its_destination_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken_over(*_arguments: object) -> None:
        raise errors.TakenOver("Another run took over.", "Follow it.")

    monkeypatch.setattr(job_wait.RecordTables, "tracking", taken_over)
    record = {"table": "orders", "record_table": "tableferry"}
    job = {**EXPORT.to_dict(), "state": "running"}
    other = {**EXPORT.to_dict(), "state": "completed"}
    entries = [{"name": "a", "job": job, "record": record, **SIDES}, {"name": "b", "job": other, **SIDES}]
    found = run(job_wait, {"jobs": entries})["jobs"]
    assert [found[name]["state"] for name in "ab"] == ["failed", "completed"]
    assert found["a"]["failure"]["error"] == "TakenOver"


def test_an_error_of_the_record_table_names_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def unusable(*_place: Any, **_how: Any) -> None:
        raise errors.RecordUnusable("The table records has the keys id (HASH, S).", "Set record_table.")

    monkeypatch.setattr(record_table.RecordStore, "open", unusable)
    params = {"name": "records", **dict.fromkeys(SHARED_OPTIONS), "destination": SIDES["destination"]}
    result = outcome(record_table.VERB, params, check_mode=False, diff=False, progress=lambda _line: None)
    assert result["msg"] == "The table records has the keys id (HASH, S). Set record_table."
