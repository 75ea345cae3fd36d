# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The contract of verbs: module, action, documentation and action group say the same as the spec."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PLUGINS = "ansible_collections.tableferry.aws.plugins"
NAMES = sorted(path.stem for path in (ROOT / "plugins/module_utils/glue/verbs").glob("[a-z]*.py"))
COMPARED = ("type", "required", "default", "choices", "elements")
FAILURE = {"msg", "ferry_status", "ferry_error", "table", "cause", "next_step", "details"}


def verb(name: str) -> Any:
    return importlib.import_module(f"{PLUGINS}.module_utils.glue.verbs.{name}").VERB


@pytest.fixture(scope="session")
def documentation() -> dict[str, Any]:
    """What ansible-doc makes of each module, fragments merged."""
    done = subprocess.run(
        [sys.executable, "-m", "ansible.cli.doc", "--json", *(f"tableferry.aws.{name}" for name in NAMES)],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build/collections")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name.rpartition(".")[2]: found for name, found in json.loads(done.stdout).items()}


def comparable(options: dict[str, Any], nested: str) -> dict[str, Any]:
    """Options of a spec (``nested`` is ``options``) or of documentation (``suboptions``) in one shape."""
    return {
        name: {
            **{key: option[key] for key in COMPARED if option.get(key) not in (None, False)},
            "options": comparable(option.get(nested) or {}, nested),
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_verb_is_a_module_and_an_action(name: str) -> None:
    module = importlib.import_module(f"{PLUGINS}.modules.{name}")
    action = importlib.import_module(f"{PLUGINS}.action.{name}")
    assert verb(name).name == name
    assert module.VERB is verb(name)
    assert action.ActionModule.verb is verb(name)


def test_every_module_and_action_is_a_verb_in_the_action_group() -> None:
    group = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]["ferry"]
    assert sorted(entry for entry in group if isinstance(entry, str)) == NAMES
    for folder in ("modules", "action"):
        assert sorted(path.stem for path in (ROOT / "plugins" / folder).glob("[a-z]*.py")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_documentation_says_what_the_spec_says(name: str, documentation: dict[str, Any]) -> None:
    doc = documentation[name]["doc"]
    assert doc["module"] == name
    assert comparable(doc["options"], "suboptions") == comparable(verb(name).spec, "options")
    assert doc["attributes"]["check_mode"]["support"] == "full"


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_use_options_that_exist(name: str, documentation: dict[str, Any]) -> None:
    tasks = yaml.safe_load(documentation[name]["examples"])
    ours = [
        (key.rpartition(".")[2], arguments)
        for task in tasks
        for key, arguments in task.items()
        if key.startswith("tableferry.aws.")
    ]
    assert name in dict(ours)
    for used, arguments in ours:
        check_names(verb(used).spec, arguments, used)
        for group in verb(used).rules.get("mutually_exclusive", []):
            assert len(set(group) & set(arguments)) < 2
        for group in verb(used).rules.get("required_one_of", []):
            assert set(group) & set(arguments)


def check_names(spec: dict[str, Any], arguments: Any, where: str) -> None:
    if not isinstance(arguments, dict):
        assert "{{" in str(arguments), where
        return
    assert set(arguments) <= set(spec), where
    assert {option for option, is_ in spec.items() if is_.get("required")} <= set(arguments), where
    for option, value in arguments.items():
        assert "choices" not in spec[option] or value in spec[option]["choices"], f"{where}.{option}"
        if "options" in spec[option]:
            for entry in value if isinstance(value, list) else [value]:
                check_names(spec[option]["options"], entry, f"{where}.{option}")


@pytest.mark.parametrize("name", NAMES)
def test_failures_are_documented(name: str, documentation: dict[str, Any]) -> None:
    assert set(documentation[name]["return"]) >= FAILURE


def secret_options(spec: dict[str, Any], path: str = "") -> dict[str, bool]:
    found: dict[str, bool] = {}
    for name, option in spec.items():
        found[f"{path}{name}"] = bool(option.get("no_log"))
        found |= secret_options(option.get("options") or {}, f"{path}{name}.")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_secrets_and_only_secrets_are_no_log(name: str) -> None:
    for option, hidden in secret_options(verb(name).spec).items():
        assert hidden == (option.rpartition(".")[2] in ("secret_key", "session_token")), option
