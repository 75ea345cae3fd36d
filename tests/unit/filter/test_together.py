# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that the filters for many tables make, held against those of the roles' defaults."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible import template as templates
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.tableferry.aws.plugins.filter.together import (
    prices,
    tables_to_judge,
    tables_to_plan,
    tables_to_start,
    tables_to_wait,
    wait_seconds,
)
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import migration_judge, migration_start

ROLES = Path(__file__).parents[3] / "roles"
OMIT = "left out"
SIDE = {"profile": "p", "region": "eu-west-1"}
STAGING = {"bucket": "b", "owner": "222222222222", "kms_key_arn": "arn:key", "source_account_id": "111111111111"}
OUTLOOK = {"host": {"reason": "", "staging": STAGING}, "stopped": {"reason": "wrong", "staging": {}}}
JOB = {"kind": "export", "name": "host", "state": "running"}
THEN = [
    {"kind": "import", "name": "host", "state": "pending"},
    {"kind": "settings", "name": "host", "state": "pending"},
]
RECORD = {"table": "host", "record_table": "tableferry"}
DIRECTORIES = {"playbook_dir": "/books", "inventory_dir": "/hosts"}
STARTED = {"tables": {"host": {"changed": True, "job": JOB, "then": THEN, "record": RECORD}}}


def trusted(value: Any) -> Any:
    """``value`` with texts that ansible-core takes for templates."""
    mark = getattr(templates, "trust_as_template", lambda text: text)
    if isinstance(value, str):
        return mark(value)
    if isinstance(value, dict):
        return {name: trusted(inner) for name, inner in value.items()}
    return [trusted(inner) for inner in value] if isinstance(value, list) else value


def without_own_filters(content: dict[str, Any]) -> dict[str, Any]:
    """A role's variables without the collection's filters, which are not installed here, or with Ansible's for them."""
    text = re.sub(r" \| tableferry\.aws\.(table|file)_name", "", json.dumps(content))
    swapped: dict[str, Any] = json.loads(text.replace("tableferry.aws.switch", "bool"))
    return swapped


def by_role(role: str, verb: Any, variables: dict[str, Any]) -> dict[str, Any]:
    """What the role's own task passes to its verb, as the verb sees it."""
    loader = DataLoader()
    defaults = without_own_filters(loader.load_from_file(str(ROLES / role / "defaults/main.yml")))
    (task,) = (
        each for each in loader.load_from_file(str(ROLES / role / "tasks/main.yml"))
        if f"tableferry.aws.{verb.VERB.name}" in each
    )  # fmt: skip
    known = {**trusted(defaults), "inventory_hostname": "host", "omit": OMIT, **DIRECTORIES, **variables}
    templar = Templar(loader=loader, variables=known)
    arguments = without_own_filters(task[f"tableferry.aws.{verb.VERB.name}"])
    for name, text in arguments.items():
        arguments[name] = text.replace("| tableferry.aws.data_needs == 'backed_up'", "== 'backup'")
    passed = templar.template(trusted(arguments))
    return seen(verb, {name: value for name, value in passed.items() if value != OMIT})


def seen(verb: Any, passed: dict[str, Any]) -> dict[str, Any]:
    checked = ArgumentSpecValidator(verb.SPEC, **verb.VERB.rules).validate(passed)
    assert not checked.error_messages
    return emptied(checked.validated_parameters)


def emptied(value: Any) -> Any:
    """Without what is not given: the core takes None, "" and a missing option for the same."""
    if isinstance(value, dict):
        return {name: emptied(inner) for name, inner in value.items() if inner not in (None, "")}
    return value


CASES: list[dict[str, Any]] = [
    {},
    {"ferry_table": "from", "ferry_destination_table": "to", "ferry_migration_id": "m", "ferry_sync": "yes"},
    {"ferry_safe_mode": "no", "ferry_warm_throughput": False, "ferry_verify": "full", "ferry_sample_items": 7},
    {"ferry_method": "direct", "ferry_workers": "3", "ferry_read_rate": "50%", "ferry_differences_dir": "/d"},
    {"ferry_verify": "full", "ferry_digest": "sha256", "ferry_work_dir": "/w"},
    {"ferry_write_rate": "9", "ferry_consistent": "true", "ferry_checkpoint_dir": "/c", "ferry_ignore_expired": 1},
    {"ferry_kms_key_map": {"a": "b"}, "ferry_kinesis_map": {"c": "d"}, "ferry_principal_map": {"e": "f"}},
    {"ferry_indexes_after": ["i"], "ferry_leave_indexes": ["j"], "ferry_export_max_age": "6", "ferry_pitr_wait": 9},
    {"ferry_enable_point_in_time_recovery": False, "ferry_writes_stopped": "on", "ferry_take_over": "run"},
    {"move_table_max_age": 5, "move_table_safe_mode": False, "ferry_sync": True, "move_table_defer": []},
    {"move_table_verify": "full", "move_table_items": {"workers": 2}, "ferry_workers": 3},
    {"judge_table_verify": "none", "ferry_verify": "full", "judge_table_writes_stopped": True},
    {"ferry_record_table": "records", "ferry_verify_checksums": "yes", "ferry_verify": "none"},
    {"ferry_method": "backup", "ferry_backup_plan": "yes", "ferry_migration_id": "m", "ferry_restore": "no"},
    {
        "ferry_method": "backup", "ferry_backup_source_vault": "v", "ferry_backup_role": "r", "ferry_copy_days": 3,
        "ferry_backup_destination_vault": "w", "ferry_restore_role": "s", "ferry_air_gapped_vault": "x",
        "ferry_backup_days": "5", "ferry_backup_cold_days": 1, "ferry_copy_cold_days": 2, "ferry_backup_max_age": 4,
    },
    {"ferry_adopt": "yes", "ferry_settings": "apply"},
    {
        "ferry_method": "direct", "ferry_transform": [{"drop": ["x"]}, {"set": {"n": 1, "t": True}}],
        "ferry_transform_names": {"#a": "b"}, "ferry_transform_values": {":v": {"S": "w"}},
        "ferry_transform_errors": "skip", "ferry_transform_show_values": "yes", "ferry_on_collision": "any",
        "ferry_destination_key": {"partition": {"x": "S"}}, "ferry_merge": "yes",
    },
    {"ferry_method": "glue", "ferry_spark": {"workers": "3", "worker_type": "G.2X"}, "ferry_spark_wheels": "/w"},
    {"ferry_method": "emr", "ferry_spark": {"engine": "cluster", "release": "emr-7.14.0", "role_arn": "arn:r"}},
    {"ferry_method": "emr", "move_table_spark": {"cluster_id": "j-1"}, "ferry_spark": {"workers": 9}},
    {"move_table_transform": [{"drop": "y"}], "move_table_transform_folders": ["/f"], "ferry_transform": []},
]  # fmt: skip
# What the playbook takes from the account's preparation, and what another task of it takes.
ELSEWHERE = {
    "ferry_source", "ferry_destination", "ferry_staging_bucket", "ferry_staging_kms_key_arn", "ferry_wait_timeout",
    "ferry_tags", "ferry_debug_calls", "ferry_report_dir",
}  # fmt: skip


def test_every_variable_of_the_roles_has_a_case() -> None:
    defaults = "".join((ROLES / role / "defaults/main.yml").read_text() for role in ("move_table", "judge_table"))
    assert set(re.findall(r"\bferry_\w+", defaults)) - ELSEWHERE == {
        name for case in CASES for name in case if name.startswith("ferry_")
    }


@pytest.mark.parametrize("given", CASES)
def test_the_options_are_those_of_the_roles(given: dict[str, Any]) -> None:
    host = {"ferry_source": SIDE, "ferry_destination": SIDE, **DIRECTORIES, **given}
    (entry,) = tables_to_start(["host", "stopped"], {"host": host}, OUTLOOK)
    sides = {
        side: {**SIDE, "account_id": STAGING[of]}
        for side, of in (("source", "source_account_id"), ("destination", "owner"))
    }
    assert {side: entry[side] for side in sides} == sides
    role = {f"move_table_{side}": account for side, account in sides.items()}
    role |= {"move_table_bucket": "b", "move_table_bucket_owner": STAGING["owner"], "move_table_kms_key_arn": "arn:key"}
    assert seen(migration_start, {**entry["options"], **sides}) == by_role(
        "move_table", migration_start, {**host, **role}
    )

    (judged,) = tables_to_judge(["host"], {"host": host}, OUTLOOK, STARTED, {})
    role = {f"judge_table_{side}": account for side, account in sides.items()}
    role |= {"move_table_started": STARTED["tables"]["host"], "move_table_waited": {}}
    assert seen(migration_judge, {**judged["options"], **sides}) == by_role(
        "judge_table", migration_judge, {**host, **role}
    )


def test_c7_d6_files_of_a_host_lie_in_the_folder() -> None:
    host = {"ferry_source": SIDE, "ferry_destination": SIDE, "ferry_differences_dir": "/d"}
    for name in ("../../victim", "h" * 255):
        (entry,) = tables_to_start([name], {name: host}, {name: OUTLOOK["host"]})
        for option in ("differences_path", "refused_path"):
            folder, file = entry["options"]["items"][option].rsplit("/", 1)
            assert folder == "/d" and not file.startswith(".") and len(file) < 150


def test_what_is_open_is_waited_for_and_what_failed_is_not_judged() -> None:
    host = {"ferry_source": SIDE, "ferry_destination": SIDE}
    hosts, outlook = (
        dict.fromkeys(("host", "done", "failed", "stopped"), host),
        dict.fromkeys(("host", "done", "failed"), OUTLOOK["host"]),
    )
    done = {"job": {**JOB, "state": "not_needed"}, "then": [], "record": RECORD}
    started = {"tables": {**STARTED["tables"], "done": done, "failed": {"failed": True, "msg": "no"}}}
    (waits,) = tables_to_wait(hosts, hosts, outlook, started)
    assert (waits["name"], waits["job"], waits["then"], waits["record"]) == ("host", JOB, THEN, RECORD)
    waited = {"ways": {"host": [{**JOB, "state": "completed"}]}}
    judged = tables_to_judge(hosts, hosts, outlook, started, waited)
    options = next(entry["options"] for entry in judged if entry["name"] == "host")
    assert waits["judge"] == {name: value for name, value in options.items() if name not in ("jobs", "record")}
    assert {entry["name"]: entry["options"]["jobs"][0]["state"] for entry in judged} == {
        "host": "completed", "done": "not_needed",
    }  # fmt: skip
    judge = {"kind": "judge", "state": "completed", "result": {"status": "migrated"}}
    waited = {"ways": {"host": [{**JOB, "state": "completed"}, judge]}}
    assert [entry["name"] for entry in tables_to_judge(hosts, hosts, outlook, started, waited)] == ["done"]
    assert [entry["name"] for entry in tables_to_judge(hosts, hosts, outlook, started, {}, True)] == ["done"]
    assert tables_to_judge(hosts, hosts, outlook, started, {"failed": True, "msg": "crash"}) == []
    assert tables_to_wait(hosts, hosts, outlook, {"failed": True, "msg": "crash"}) == []


def test_accounts_may_be_written_as_text() -> None:
    host = {"ferry_source": "profile=p region=eu-west-1", "ferry_destination": '{"region": "eu-west-1"}'}
    (entry,) = tables_to_start(["host"], {"host": host}, OUTLOOK)
    assert entry["source"] == {**SIDE, "account_id": STAGING["source_account_id"]}
    assert entry["destination"] == {"region": "eu-west-1", "account_id": STAGING["owner"]}


def test_filters_load_little_of_the_core() -> None:
    """Ansible loads all of them, and compiles what they import, in each worker that uses one."""
    names = sorted(path.stem for path in (ROLES.parent / "plugins/filter").glob("[a-z]*.py"))
    filters = "ansible_collections.tableferry.aws.plugins.filter"
    script = f"import sys, {', '.join(f'{filters}.{name}' for name in names)}; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert not [name for name in loaded.splitlines() if ".module_utils.core." in name]


@pytest.mark.parametrize(
    ("values", "seconds"),
    [(["1h", 60], 60), (["1h", None], 86400), ([60, "3600"], 3600), ([None, 90000], 90000), (["1h", "2h"], 86400)],
)
def test_a_wait_that_cannot_be_read_is_the_problem_of_its_table_alone(values, seconds):
    """The wait is one task for all tables: it took the first host's value, and failed all of them by it."""
    hosts = {
        name: {} if value is None else {"ferry_wait_timeout": value} for name, value in zip("ab", values, strict=True)
    }
    outlook = {
        name: {"reason": "cannot be read as int" if str(value).endswith("h") else ""}
        for name, value in zip("ab", values, strict=True)
    }
    assert wait_seconds(hosts, hosts, outlook) == seconds


# Plans


PLANNED = {"plan_tables_planned": {"methods": {"host": "direct", "other": "s3"}, "order": ["other", "host"]}}


def hosts_of(*names: str, **variables: Any) -> dict[str, dict[str, Any]]:
    return {name: {"ferry_source": SIDE, "ferry_destination": SIDE, **DIRECTORIES, **variables} for name in names}


def test_a_planned_method_is_that_of_tables_which_leave_it_open_and_they_begin_in_its_order() -> None:
    outlook = {name: {"reason": "", "staging": STAGING} for name in ("host", "other")}
    left_open = tables_to_start(["host", "other"], hosts_of("host", "other", **PLANNED), outlook)
    assert [(entry["name"], entry["options"]["method"]) for entry in left_open] == [("other", "s3"), ("host", "direct")]
    named = tables_to_start(["host"], hosts_of("host", ferry_method="backup", **PLANNED), outlook)
    assert named[0]["options"]["method"] == "backup"
    assert "method" not in tables_to_start(["host"], hosts_of("host"), outlook)[0]["options"]


def test_what_is_planned_is_what_is_started_without_the_staging_area() -> None:
    hosts = hosts_of("host", ferry_verify="full", ferry_staging_bucket="b", ferry_management={"profile": "m"})
    (planned,) = tables_to_plan(["host"], hosts, {})
    (started,) = tables_to_start(["host"], hosts, OUTLOOK)
    staged = {"bucket", "bucket_owner", "kms_key_arn"}
    without = {name: value for name, value in started["options"].items() if name not in staged}
    assert {name: value for name, value in planned["options"].items() if name not in staged} == without
    assert (planned["options"]["bucket"], planned["prepared"], planned["managed"]) == ("b", True, True)


def test_tables_with_problems_and_named_methods_are_planned_where_all_are() -> None:
    hosts = {**hosts_of("open"), **hosts_of("named", ferry_method="s3"), **hosts_of("wrong")}
    problems = {"wrong": "wrong: ferry_verfy is not a variable of TableFerry (did you mean ferry_verify?)."}
    assert [entry["name"] for entry in tables_to_plan(hosts, hosts, problems, None, "open")] == ["open"]
    every = {entry["name"]: entry for entry in tables_to_plan(hosts, hosts, problems)}
    assert list(every) == ["open", "named", "wrong"]
    assert every["wrong"]["problem"].startswith("ferry_verfy is not a variable")


def test_prices_are_a_dictionary_or_a_file(tmp_path: Path) -> None:
    from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.usual_prices import USUAL

    assert prices({"export_gb": 0.2}) == {"export_gb": 0.2}
    assert prices("") == prices(None) == {}
    whole = tmp_path / "prices.yml"
    whole.write_text(json.dumps(USUAL))
    assert prices(str(whole)) == USUAL
    figures = {name: entry["price"] for name, entry in USUAL["figures"].items()}
    whole.write_text(json.dumps(figures))
    assert prices(str(whole)) == {"figures": figures}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{export_gb: 1}", "write_million"),
        ("{export_gb: -1}", "are missing"),
        ("[1]", "figures is no dictionary"),
        ("{a: [", "cannot be read"),
    ],
)
def test_a_wrong_file_of_prices_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.yml"
    path.write_text(text)
    with pytest.raises(AnsibleFilterError, match=words):
        prices(str(path))
    with pytest.raises(AnsibleFilterError, match="cannot be read"):
        prices(str(tmp_path / "none.yml"))
