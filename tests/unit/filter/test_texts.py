# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``-e name=value`` gives a text: every variable that is a switch or a number is read as it is meant, or refused.

The variables are those of docs/variables.md, which a test of the roles compares with ``VARIABLES``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.tableferry.aws.plugins.filter import tables, together
from ansible_collections.tableferry.aws.plugins.filter.report import repair_places
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import job_wait, migration_start

ROLES = Path(__file__).parents[3] / "roles"
ACCOUNTS = {
    "ferry_source": {"access_key": "A", "secret_key": "a", "region": "eu-west-1"},
    "ferry_destination": {"access_key": "B", "secret_key": "b", "region": "eu-west-1"},
}
OF_TYPE = {
    kind: sorted(name for name, option in tables.VARIABLES.items() if option["type"] == kind)
    for kind in ("bool", "int")
}
SWITCHES, NUMBERS = OF_TYPE["bool"], OF_TYPE["int"]
FALSE, TRUE = ("false", "False", "no", "No", "0", "off", "f", "n"), ("true", "True", "yes", "1", "on", "t", "y")
STAGING = {"host": {"reason": "", "staging": {"bucket": "b"}}}
JOB = {"kind": "export", "name": "host", "state": "running"}
STARTED = {"tables": {"host": {"job": JOB, "then": [], "record": {"table": "host", "record_table": "tableferry"}}}}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``ferry_debug_calls`` makes a file where the run is."""
    monkeypatch.chdir(tmp_path)


def options(**variables: Any) -> tuple[Any, Any]:
    """How the table of a host with ``variables`` is started and judged, as the verbs read it."""
    hostvars = {"host": {**ACCOUNTS, "ferry_method": "backup", **variables}}
    (start,) = together.tables_to_start(["host"], hostvars, STAGING)
    sides = {side: start[side] for side in ("source", "destination")}
    (wait,) = together.tables_to_wait(["host"], hostvars, STAGING, STARTED)
    checked = (
        ArgumentSpecValidator(migration_start.SPEC, **migration_start.VERB.rules).validate(
            {**start["options"], **sides}
        ),
        ArgumentSpecValidator(job_wait.SPEC, **job_wait.VERB.rules).validate({"jobs": [wait]}),
    )
    assert not [each.error_messages for each in checked if each.error_messages]
    return checked[0].validated_parameters, checked[1].validated_parameters["jobs"][0]["judge"]


def pair(**variables: Any) -> str:
    """What makes an account pair of its own of ``variables``."""
    hosts = {"host": {**ACCOUNTS, **variables}}
    return tables._shared("host", hosts["host"], tables.resolved(hosts, hosts), tables.PAIR)


@pytest.mark.parametrize(
    ("name", "meant", "texts"),
    [
        *((name, False, FALSE) for name in SWITCHES),
        *((name, True, TRUE) for name in SWITCHES),
        *((name, 90, ("90", " 90")) for name in NUMBERS),
    ],
)
def test_a_text_is_read_as_what_it_says(name: str, meant: Any, texts: tuple[str, ...]) -> None:
    for text in texts:
        hosts = {"host": {**ACCOUNTS, name: text}}
        assert not tables.inventory_problems(hosts, hosts)
        assert options(**{name: text}) == options(**{name: meant})
        assert pair(**{name: text}) == pair(**{name: meant})


@pytest.mark.parametrize("name", [*SWITCHES, *NUMBERS, "ferry_repair"])
@pytest.mark.parametrize("text", ["flase", "", "2x", "none", "-"])
def test_a_text_that_says_neither_is_refused(name: str, text: str) -> None:
    hosts = {"host": {**ACCOUNTS, name: text}}
    problem = tables.inventory_problems(hosts, hosts)["host"]
    assert name in problem, problem
    assert problem.endswith("Correct the inventory and run again.")


@pytest.mark.parametrize("text", FALSE)
def test_a_text_that_says_no_plans_repairs_and_removes_nothing(text: str) -> None:
    planned = {
        name: {**ACCOUNTS, "ferry_backup_plan": text, "ferry_backup_days": days}
        for name, days in (("one", 1), ("two", 2))
    }
    assert not tables.inventory_problems(planned, planned)
    assert tables.repairs(text) == "false"
    verified = {"host": {**ACCOUNTS, "ferry_repair": text, "verify_table_found": {"clean": True}}}
    assert repair_places(verified, verified) == []
    clean = {**ACCOUNTS, "cleanup_table_removed": {"changed": True, "left": []}}
    kept = {"host": {**clean, "ferry_remove_record": text}}
    assert tables.removable_records({"host": "host"}, kept, "host", "ferry_remove_record") == []
    given_up = {"host": {**clean, "ferry_remove_record": "yes", "ferry_safe_mode": text}}
    (removed,) = tables.removable_records({"host": "host"}, given_up, "host", "ferry_remove_record")
    assert removed["abandon"] is True


@pytest.mark.parametrize("name", ["move_table_safe_mode", "ferry_safe_mode", "ferry_adopt", "ferry_sync"])
def test_a_typo_overwrites_nothing_where_the_inventory_was_not_checked(name: str) -> None:
    with pytest.raises(AnsibleFilterError, match="'ture' is neither true nor false"):
        options(**{name: "ture"})
    hosts = {
        "host": {
            **ACCOUNTS,
            "cleanup_table_removed": {"changed": True, "left": []},
            "ferry_remove_record": "yes",
            "ferry_safe_mode": "ture",
        }
    }
    with pytest.raises(AnsibleFilterError, match="'ture' is neither true nor false"):
        tables.removable_records({"host": "host"}, hosts, "host", "ferry_remove_record")


@pytest.mark.parametrize("role", sorted(path.name for path in ROLES.iterdir()))
def test_a_role_reads_its_switches_as_texts_too(role: str) -> None:
    """One that a module is not given as it is: the module would read the text."""
    specs = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]
    switches = [
        name for spec in specs.values() for name, option in spec.get("options", {}).items() if option["type"] == "bool"
    ]
    files = [*(ROLES / role / "tasks").glob("*.yml"), *(ROLES / role / "vars").glob("*.yml")]
    for text in (path.read_text() for path in files):
        for name in switches:
            uses = re.findall(rf"(: \"{{{{ )?\b{name}\b( \| tableferry\.aws\.switch)?( }}}}\"$)?", text, re.MULTILINE)
            for before, read, after in uses:
                assert read or (before and after), (role, name)


@pytest.mark.parametrize("path", sorted((ROLES.parent / "playbooks").glob("*.yml")), ids=str)
def test_a_playbook_takes_no_typo_for_false(path: Path) -> None:
    assert "| bool" not in path.read_text()
