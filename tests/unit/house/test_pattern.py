# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pattern for AWX: what it names is there, and its execution environment can be built."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.tableferry.aws.plugins.filter.tables import VARIABLES

from .imports import ROOT

PATTERN = ROOT / "extensions" / "patterns" / "migrate_dynamodb"
FOUND = json.loads((PATTERN / "meta" / "pattern.json").read_text())
RESOURCES = FOUND["aap_resources"]
TEMPLATES = RESOURCES["controller_job_templates"]
(WORKFLOW,) = RESOURCES["controller_workflow_job_templates"]
DOCUMENTED = (ROOT / "docs" / "variables.md").read_text()


def questions(template: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = template.get("survey", {}).get("spec", [])
    return found


def test_it_has_what_the_specification_of_patterns_asks_for() -> None:
    assert PATTERN.name == FOUND["name"]
    assert {"schema_version", "title", "description", "short_description", "tags"} <= set(FOUND)
    assert (PATTERN / "README.md").is_file()
    assert len(list((PATTERN / "execution_environments").iterdir())) == 1
    assert [template["name"] for template in TEMPLATES if template.get("primary")] == ["TableFerry migrate"]
    books = {path.name for path in (PATTERN / "playbooks").iterdir() if not path.name.endswith(".meta.yml")}
    assert {template["playbook"] for template in TEMPLATES} == books


@pytest.mark.parametrize("template", [*TEMPLATES, WORKFLOW], ids=lambda each: each["name"])
def test_surveys_ask_for_variables_that_there_are(template: dict[str, Any]) -> None:
    for question in questions(template):
        assert f"| `{question['variable']}` |" in DOCUMENTED
        assert question["type"] != "multiplechoice" or question["default"] in question["choices"]
        assert question["variable"] in VARIABLES or question["variable"].startswith("ferry_re")


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda each: each["name"])
def test_a_playbook_declares_what_its_survey_asks(template: dict[str, Any]) -> None:
    name = template["playbook"].removesuffix(".yml")
    declared = yaml.safe_load((PATTERN / "playbooks" / f"{name}.meta.yml").read_text())["argument_specs"][name][
        "options"
    ]
    asked = {question["variable"]: question for question in questions(template)}
    assert set(declared) == {*asked, *template.get("extra_vars", {})}
    for variable, question in asked.items():
        assert (declared[variable]["default"], declared[variable].get("choices")) == (
            question["default"],
            question.get("choices"),
        )


def test_the_plan_and_the_migration_of_the_workflow_get_the_same_answers() -> None:
    by_name = {template["name"]: template for template in TEMPLATES}
    steps = [node["job_template"] for node in WORKFLOW["nodes"] if "job_template" in node]
    assert steps == ["TableFerry plan", "TableFerry migrate", "TableFerry verify", "TableFerry status"]
    for name in steps[:2]:
        assert {each["variable"] for each in questions(WORKFLOW)} <= {
            each["variable"] for each in questions(by_name[name])
        }


def test_the_choices_of_the_playbook_are_documented() -> None:
    (play,) = yaml.safe_load((ROOT / "playbooks" / "awx.yml").read_text())
    follow = {"awx_folder", "awx_resources", "awx_sides", "awx_side", "awx_there", "awx_found"}
    rows = [
        line.split("|")[1] for line in (ROOT / "docs" / "awx.md").read_text().splitlines() if line.startswith("| `")
    ]
    documented = {name for row in rows for name in re.findall("`(awx_[a-z_]+)`", row)}
    assert documented == {name for name in play["vars"] if name.startswith("awx_")} - follow


def test_two_credentials_of_one_job_do_not_set_the_same_variable() -> None:
    kinds = RESOURCES["controller_credential_types"]
    names = [name for kind in kinds for name in kind["injectors"]["env"]]
    assert sorted(names) == ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"]
    for kind in kinds:
        secret = {field["id"] for field in kind["inputs"]["fields"] if field.get("secret")}
        assert secret == {"secret_key", "session_token"}


def test_the_context_of_the_execution_environment(tmp_path: Path) -> None:
    definition = PATTERN / "execution_environments" / "execution-environment.yml"
    subprocess.run(
        ("ansible-builder", "create", "--file", str(definition), "--context", str(tmp_path)),
        check=True, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    (built,) = (path.read_text() for path in tmp_path.glob("*file"))  # Containerfile, or Dockerfile where Docker is
    assert "quay.io/centos/centos:stream9" in built
    wanted = yaml.safe_load((tmp_path / "_build" / "requirements.yml").read_text())["collections"]
    ours = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    assert {each["name"]: each.get("version") for each in wanted} == {"tableferry.aws": None, **ours["dependencies"]}
