# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every variable is either held by an approved plan, which refuses another value, or only of the run."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.tableferry.aws.plugins.filter.tables import VARIABLES
from ansible_collections.tableferry.aws.plugins.filter.together import tables_to_plan
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.planning import settings_of
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.held import (
    APART,
    OPTIONS_OF_THE_RUN,
    VARIABLES_OF_THE_RUN,
    held_options,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import choices_of
from ansible_collections.tableferry.aws.plugins.module_utils.glue.accounts import Accounts
from ansible_collections.tableferry.aws.plugins.module_utils.glue.spec import SHARED_OPTIONS
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import migration_plan
from ansible_collections.tableferry.aws.plugins.plugin_utils.held import DEFAULTS, OF_ROLES
from tests.unit.core.plan.tables import definition

ROLES = Path(__file__).parents[3] / "roles"
SIDE = {"region": "eu-west-1", "access_key": "AKIAONE", "secret_key": "hush", "account_id": "111111111111"}
THERE = {**SIDE, "account_id": "222222222222"}
BASE = {
    "ferry_source": SIDE,
    "ferry_destination": THERE,
    "ferry_transform": [{"set": {"n": 1}}],
    "playbook_dir": "/books",
    "inventory_dir": "/hosts",
}
# A value for each variable that is not its default. A new variable needs one here.
OTHER: dict[str, Any] = {
    **{name: "changed" for name, option in VARIABLES.items() if option["type"] == "str" and "choices" not in option},
    **{name: 4711 for name, option in VARIABLES.items() if option["type"] == "int"},
    # As the text that -e gives, and the one that is not the default.
    **{name: "yes" for name, option in VARIABLES.items() if option["type"] == "bool"},
    **dict.fromkeys(
        (
            *("ferry_enable_point_in_time_recovery", "ferry_warm_throughput", "ferry_safe_mode"),
            *("ferry_manage_accounts", "ferry_plan_permissions", "ferry_restore"),
        ),
        "no",
    ),
    "ferry_source": {**SIDE, "region": "eu-west-2"},
    "ferry_destination": {**THERE, "account_id": "333333333333"},
    "ferry_management": {**SIDE, "account_id": "999999999999"},
    "ferry_table": "another",
    "ferry_destination_table": "another",
    "ferry_method": "direct",
    "ferry_kms_key_map": {"a": "b"},
    "ferry_kinesis_map": {"a": "b"},
    "ferry_principal_map": {"a": "b"},
    "ferry_source_kms_key_arns": ["arn:key"],
    "ferry_indexes_after": ["by_mail"],
    "ferry_leave_indexes": ["by_mail"],
    "ferry_transform": [{"set": {"n": 2}}],
    "ferry_transform_names": {"#a": "b"},
    "ferry_transform_values": {":v": {"S": "w"}},
    "ferry_transform_errors": "skip",
    "ferry_on_collision": "any",
    "ferry_destination_key": {"partition": {"n": "N"}},
    "ferry_spark": {"workers": 9},
    "ferry_verify": "full",
    "ferry_digest": "sha256",
    "ferry_repair": "racing",
    "ferry_expect": "failed",
    "ferry_iac": ["terraform"],
    "ferry_read_rate": "50%",
    "ferry_write_rate": "9",
    "ferry_settings": "apply",
    "ferry_prices": {"export_gb": 0.2},
    "ferry_backup_role_policy": "dynamodb",
    "ferry_backup_open_to": "organization",
    "ferry_tags": {"team": "a"},
    "ferry_serial": 3,
}
# Of the other variables of these roles nothing becomes of a table or an account: whole roles that only check, plan and
# report, what the playbook sets itself, and what it does not read, as it starts all tables in one task.
ROLES_OF_THE_RUN = ("check_inventory", "plan_tables", "report_migration")
OPTIONS_SET_BY_THE_PLAYBOOK = {
    "source_account": {"bucket", "kms_key_arn", "tables", "users", "go_on"},
    "destination_account": {"tables", "users", "spark_users", "go_on"},
    "judge_table": {"name", "source_table", "source", "destination", "jobs", "record"},
    "move_table": {"source", "destination", "bucket", "bucket_owner", "kms_key_arn"},
}


# Values of the role move_table that are not the default and that the verb takes.
MOVE_TABLE = {
    "method": "direct",
    "transform": [{"drop": ["x"]}],
    "destination_key": {"partition": {"n": "N"}},
    "warm_throughput": False,
    "enable_point_in_time_recovery": False,
    "safe_mode": False,
    "transform_values": {":v": {"S": "w"}},
    "items": {"consistent": True},
    "backup": {"delete_after_days": 9},
    "spark": {"workers": 9},
}


class NoRecords:
    """No records of earlier runs."""

    def store(self, destination: Any, name: str) -> None:
        """None."""


def held(**variables: Any) -> dict[str, Any]:
    """What the plan of a host with these variables is compared by."""
    hosts = {"orders": {**BASE, **variables}}
    (entry,) = tables_to_plan(["orders"], hosts, {})
    checked = ArgumentSpecValidator(migration_plan.SPEC).validate({"tables": [entry]})
    assert not checked.error_messages
    (entry,) = checked.validated_parameters["tables"]
    params: dict[str, Any] = dict.fromkeys(SHARED_OPTIONS)
    made = migration_plan.to_plan(entry, params, Accounts({"source": None, "destination": None}), NoRecords())
    assert not made.problem and made.source is not None and made.destination is not None
    found = {
        "settings": settings_of(made.options, definition(), made.choices),
        "places": [
            (each.account_id, each.region, name)
            for each, name in ((made.source, made.options.table), (made.destination, made.options.made_table))
        ],
        "method": made.options.method,
    }
    return dict(json.loads(json.dumps(found)))


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_is_held_or_of_the_run(name: str) -> None:
    of_the_run = name.removeprefix("ferry_") in VARIABLES_OF_THE_RUN
    assert (held(**{name: OTHER[name]}) == held()) is of_the_run


def test_nothing_is_of_the_run_that_is_no_variable() -> None:
    assert {f"ferry_{name}" for name in VARIABLES_OF_THE_RUN} <= set(VARIABLES)


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_default_that_is_written_is_no_other_choice(name: str) -> None:
    assert held(**{name: DEFAULTS[name]}) == held(**{name: str(DEFAULTS[name])}) == held()


def test_defaults_are_those_of_the_roles() -> None:
    text = "".join((ROLES / role / "defaults/main.yml").read_text() for role in OF_ROLES)
    (entry,) = tables_to_plan(["orders"], {"orders": BASE}, {})
    names = {name: f"ferry_{name}" for name in entry["choices"] if f"ferry_{name}" in VARIABLES}
    assert set(DEFAULTS) <= set(names.values())
    for name, variable in names.items():
        found = re.findall(rf"\b{variable} \| default\(('[^']*'|[^)]*)\)", text)
        assert found or name == "management", variable
        assert all(yaml.safe_load(each) == entry["choices"][name] for each in found), variable


@pytest.mark.parametrize("role", [*ROLES_OF_THE_RUN, *OPTIONS_SET_BY_THE_PLAYBOOK])
def test_every_variable_of_a_role_is_held_or_of_the_run(role: str) -> None:
    specified = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]
    for name, option in specified["options"].items():
        short = name.removeprefix(f"{role}_")
        other = {"list": ["x"], "dict": {"region": "x"}, "int": 4711, "bool": "yes"}.get(option["type"], "changed")
        other = option["choices"][-1] if option.get("choices") else other
        other = MOVE_TABLE.get(short, other) if role == "move_table" else other
        changes = held(**{name: other}) != held()
        of_the_run = role in ROLES_OF_THE_RUN or short in OPTIONS_SET_BY_THE_PLAYBOOK[role]
        of_the_run |= short in VARIABLES_OF_THE_RUN | OPTIONS_OF_THE_RUN | {"transform_folders"}
        assert changes is not of_the_run, name


def test_every_option_of_a_migration_is_held_or_of_the_run() -> None:
    options = {name: value for name, value in asdict(MigrationOptions("t")).items() if name != "transform"}
    every = {
        f"{part}.{name}".rstrip(".")
        for part, value in options.items()
        for name in (value if part in ("backup", "items", "spark") else [""])
    }
    of_the_run = OPTIONS_OF_THE_RUN - {"transform.show_values"}
    assert every >= APART | of_the_run
    assert set(held_options(MigrationOptions("t"))) == every - APART - of_the_run


def test_every_choice_of_a_transform_is_held_or_of_the_run(tmp_path: Path) -> None:
    """The folders of functions and whether values are shown are of the run, and without_indexes is leave_indexes."""
    steps = [{"set": {"n": 1}}]
    made = choices_of(steps)
    assert made is not None and set(asdict(made)) == {
        *("steps", "names", "values", "errors", "on_collision", "destination_key", "files", "show_values"),
        "without_indexes",
    }
    (tmp_path / "f.py").write_text("def change(item):\n    return item\n")
    python = [{"python": {"function": "f.py:change"}}]
    plans = [
        settings_of(MigrationOptions("t", transform=choices_of(python, folders=[str(tmp_path)])), definition(), {})
    ]
    (tmp_path / "f.py").write_text("def change(item):\n    return {}\n")
    plans.append(
        settings_of(MigrationOptions("t", transform=choices_of(python, folders=[str(tmp_path)])), definition(), {})
    )
    assert plans[0]["transform"] != plans[1]["transform"]


def test_what_cannot_be_read_of_a_role_is_left_to_it() -> None:
    assert held(destination_account_source=["no account"], source_account_management="neither") == held(
        destination_account_source={}, source_account_management=""
    )


def test_no_secret_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALT", "pepper-and-more")
    hashed = [{"hash": {"attributes": ["mail"], "salt_from": "env:SALT"}}]
    account = {**SIDE, "session_token": "token-of-a-session"}
    text = json.dumps(
        held(
            ferry_transform=hashed,
            ferry_transform_values={":who": {"S": "somebody"}},
            ferry_management=account,
            ferry_source=account,
            source_account_management=account,
            destination_account_source=account,
        )
    )
    for secret in ("pepper-and-more", "hush", "token-of-a-session", "somebody", "AKIAONE"):
        assert secret not in text
    assert held(ferry_transform=hashed) != held()
    before = held(ferry_transform=hashed)
    monkeypatch.setenv("SALT", "another")
    assert held(ferry_transform=hashed) != before
