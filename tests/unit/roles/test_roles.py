# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The roles say the same in their defaults, their argument specs, their READMEs and the page of variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment

from ansible_collections.tableferry.aws.plugins.filter.report import STAGES, STAGING_KEY
from ansible_collections.tableferry.aws.plugins.filter.tables import OF_A_PAIR, VARIABLES, switch
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.row import row

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
FROM_USER = re.compile(r"\{\{ (ferry_\w+) \| default\((.*?)\)(?: \| tableferry\.aws\.(?:switch|repairs))? \}\}")
TAGGED = (
    " | tableferry.aws.account_options(ferry_tags | default({}), ferry_debug_calls | default(false),"
    " ferry_report_dir | default('tableferry-report'))"
)
REQUIRED = re.compile(r"\{\{ ferry_\w+(?:" + re.escape(TAGGED) + r")? \}\}")
LITERAL = re.compile(r"'[^']*'|\d+|true|false|\{\}|\[\]")
BEFORE_ANY_HOST = {"ferry_serial"}  # playbooks read them, roles do not
OF_REHEARSALS = {"ferry_expect"}  # compared with the report by who rehearses


def content(role: str, part: str) -> dict[str, Any]:
    """A YAML file of a role."""
    return yaml.safe_load(
        (ROOT / "roles" / role / part / ("argument_specs.yml" if part == "meta" else "main.yml")).read_text()
    )


def told(default: Any, kind: str) -> Any:
    """What the argument spec must say of a default: what it is when the user sets nothing, where that is known."""
    found = FROM_USER.fullmatch(default) if isinstance(default, str) else None
    if found and LITERAL.fullmatch(found[2]):
        return yaml.safe_load(found[2])
    if isinstance(default, str) and default.startswith("{{") and kind != "str":
        return None
    return default


@pytest.mark.parametrize("role", ROLES)
def test_specs_equal_defaults(role: str) -> None:
    defaults, options = content(role, "defaults"), content(role, "meta")["argument_specs"]["main"]["options"]
    assert list(options) == list(defaults)
    for name, option in options.items():
        default = defaults[name]
        assert name.startswith(f"{role}_")
        assert option["description"]
        if option.get("required"):
            assert REQUIRED.fullmatch(default), name
            assert "default" not in option
        else:
            assert option.get("default") == told(default, option["type"]), name


def test_filters_know_the_defaults_of_roles() -> None:
    """The report is copied under the key whose alias the roles have, and what one table of a pair has not set counts
    as the roles have it."""
    for role in ("destination_account", "cleanup_account"):
        assert content(role, "defaults")[f"{role}_kms_key_alias"] == STAGING_KEY
    read = [str(value) for role in ROLES for value in content(role, "defaults").values()]
    for name, unset in OF_A_PAIR.items():
        written = repr(unset).lower() if isinstance(unset, bool) else repr(unset)
        assert any(f"{{{{ {name} | default({written})" in text for text in read), name


@pytest.mark.parametrize("role", ROLES)
def test_switches_may_be_texts(role: str) -> None:
    """``-e ferry_safe_mode=false`` is the text "false", and a text is neither true nor false to a conditional.
    D8: a typo is refused, where Ansible's own filter takes it for false."""
    defaults, options = content(role, "defaults"), content(role, "meta")["argument_specs"]["main"]["options"]
    for name, option in options.items():
        if option["type"] == "bool":
            assert defaults[name].endswith("| tableferry.aws.switch }}"), name


@pytest.mark.parametrize("role", ROLES)
def test_every_entry_point_is_specified(role: str) -> None:
    specified = set(content(role, "meta")["argument_specs"])
    included = set(re.findall(r"include_tasks: (\w+)\.yml", "".join(map(Path.read_text, tasks(role)))))
    included |= {"source", "destination"} if role == "cleanup_account" else set()
    assert {path.stem for path in tasks(role)} - included == specified


def tasks(role: str) -> list[Path]:
    """The task files of a role."""
    return sorted((ROOT / "roles" / role / "tasks").glob("*.yml"))


@pytest.mark.parametrize("role", ROLES)
def test_no_variable_of_a_role_has_the_name_of_an_option(role: str) -> None:
    """It would win over the option wherever that is set, except by the role's own task."""
    path = ROOT / "roles" / role / "vars" / "main.yml"
    own = yaml.safe_load(path.read_text()) if path.exists() else {}
    assert set(own) & set(content(role, "defaults")) == set()


@pytest.mark.parametrize("role", ROLES)
def test_readme_lists_permissions(role: str) -> None:
    text = (ROOT / "roles" / role / "README.md").read_text()
    assert text.startswith(f"# {role}\n")
    assert "## Permissions" in text
    for policy in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
        for statement in yaml.safe_load(policy)["Statement"]:
            assert statement["Action"] == sorted(set(statement["Action"]))
            assert all(re.fullmatch(r"[a-z0-9-]+:[A-Z]\w+\*?", action) for action in statement["Action"])


def used_variables() -> set[str]:
    """Every ``ferry_*`` variable that a role's defaults read."""
    texts = [path.read_text() for path in (ROOT / "roles").glob("*/defaults/main.yml")]
    return set(re.findall(r"\bferry_\w+", "".join(re.sub(r"#.*", "", text) for text in texts)))


def test_every_variable_is_checked_used_and_documented() -> None:
    documented = set(re.findall(r"^\|([^|]+)\|", (ROOT / "docs/variables.md").read_text(), re.MULTILINE))
    names = set(re.findall(r"ferry_\w+", " ".join(documented)))
    assert names == set(VARIABLES)
    assert used_variables() == set(VARIABLES) - BEFORE_ANY_HOST - OF_REHEARSALS


@pytest.mark.parametrize("role", ROLES)
def test_variables_are_of_the_types_that_the_roles_specify(role: str) -> None:
    """What is known of the user's variables is what the roles' argument specs say of the options that they set."""
    options = content(role, "meta")["argument_specs"]["main"]["options"]
    for name, default in content(role, "defaults").items():
        found = FROM_USER.fullmatch(default) if isinstance(default, str) else None
        variable = (
            found[1]
            if found
            else re.sub(r"\W", "", default.replace(TAGGED, ""))
            if REQUIRED.fullmatch(str(default))
            else ""
        )
        if variable:
            known = VARIABLES[variable]
            assert (known["type"], known.get("choices")) == (options[name]["type"], options[name].get("choices")), name


def test_documented_defaults_are_the_roles() -> None:
    rows = re.findall(r"^\| `(ferry_\w+)` \| `([^`]+)` \|", (ROOT / "docs/variables.md").read_text(), re.MULTILINE)
    documented = {name: default for name, default in rows if not default.startswith(("ferry_", "tableferry-<"))}
    told_by_roles: dict[str, set[str]] = {}
    for role in ROLES:
        for default in content(role, "defaults").values():
            found = FROM_USER.fullmatch(default) if isinstance(default, str) else None
            if found and LITERAL.fullmatch(found[2]) and found[2] != "''":
                told_by_roles.setdefault(found[1], set()).add(found[2].strip("'"))
    for name, defaults in told_by_roles.items():
        if name in documented:
            assert defaults == {documented[name]}, name


@pytest.mark.parametrize(("told", "allowed"), [(0, "86400"), ("60", "86400"), (600_000, "600000")])
def test_an_export_that_this_run_made_is_young_enough_to_import(told: int | str, allowed: str) -> None:
    default = Environment(autoescape=False).from_string(content("import_table", "defaults")["import_table_max_age"])
    assert default.render(ferry_export_max_age=told) == allowed


def test_the_report_knows_what_the_roles_register() -> None:
    registered = {
        name
        for role in ROLES
        for path in tasks(role)
        for name in re.findall(r"register: (\w+)", path.read_text())
        if name.startswith(("move_table", "judge_table"))
    }
    assert set(STAGES) == registered
    assert row("t", "s3")["status"] == "failed"


@pytest.mark.parametrize(
    ("there", "tables", "refused"),
    [
        ("aws-cn", {"staged": ["a"], "backed_up": []}, True),
        ("aws-cn", {"staged": [], "backed_up": ["a"]}, True),
        ("aws-cn", {"staged": [], "backed_up": []}, False),
        ("aws", {"staged": ["a"], "backed_up": ["b"]}, False),
    ],
)
def test_h13_another_partition_is_refused_before_a_bucket_or_an_opt_in_is_made(
    there: str, tables: dict[str, list[str]], refused: bool
) -> None:
    steps = yaml.safe_load((ROOT / "roles/destination_account/tasks/main.yml").read_text())
    names = [step["name"] for step in steps]
    at = names.index("Refuse tables whose data cannot go to another partition")
    assert at < min(names.index("Create the staging area"), names.index("Create what AWS Backup needs"))
    known = {
        "destination_account_manage": True,
        "destination_account_tables": tables,
        "destination_account_source_session": {"partition": "aws"},
        "destination_account_session": {"partition": there},
    }
    environment = Environment(autoescape=False)
    environment.filters["tableferry.aws.switch"] = switch
    expression = environment.compile_expression(" and ".join(f"({one})" for one in steps[at]["when"]))
    assert expression(**known) is refused


@pytest.mark.parametrize("playbook", ["migrate", "cleanup", "status"])
def test_every_play_needs_nothing_of_the_inventory(playbook: str) -> None:
    for play in yaml.safe_load((ROOT / "playbooks" / f"{playbook}.yml").read_text()):
        assert play["connection"] == "local"
        assert play["gather_facts"] is False
        assert play["vars"]["ansible_python_interpreter"] == "{{ ansible_playbook_python }}"


def test_a_table_costs_one_task() -> None:
    """A warmed action costs 11 s for 100 tables, a task that does nothing 2 s (templates, fork, clients)."""
    plays = yaml.safe_load((ROOT / "playbooks/migrate.yml").read_text())
    own = [task for task in plays[-1]["tasks"] if "ansible.builtin.import_role" not in task]
    roles = [task["ansible.builtin.import_role"] for task in plays[-1]["tasks"] if task not in own]
    for role in roles:
        path = ROOT / "roles" / role["name"].rpartition(".")[2] / "tasks" / f"{role.get('tasks_from', 'main')}.yml"
        own += yaml.safe_load(path.read_text())
    assert sum(not task.get("run_once") for task in own) == 1
