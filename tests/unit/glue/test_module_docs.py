# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What modules document alike comes from one source: ``make generate`` has written it, and nobody wrote it by hand."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from generate.module_docs import MODULES, returns, with_shared, without_shared

PATHS = sorted(MODULES.glob("*.py"))
TEXTS = {"note": "note:\n  description: A note on $what.\n", "end": "end:\n  type: str\n"}
WRITTEN = '''RETURN = r"""
own:
  type: str

# make generate: note
#   what='two words'
note:
  description: A note on two words.

# make generate: end
end:
  type: str
"""
'''


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_shared_documentation_is_up_to_date(path: Path) -> None:
    text = path.read_text()
    assert with_shared(text, returns()) == text, "run make generate"


def test_no_return_value_is_written_by_hand_in_two_modules() -> None:
    written: Counter[str] = Counter()
    for path in PATHS:
        for statement in ast.parse(without_shared(path.read_text())).body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "RETURN":
                values = yaml.safe_load(ast.literal_eval(statement.value)) or {}
                written.update(f"{name}: {value}" for name, value in values.items())
    assert [value for value, times in written.items() if times > 1] == []


def test_every_shared_text_is_used() -> None:
    used = {name for path in PATHS for name in re.findall(r"# make generate: (\w+)", path.read_text())}
    assert set(returns()) <= used


@pytest.mark.parametrize(
    "stale",
    [
        pytest.param(WRITTEN, id="up to date"),
        pytest.param(without_shared(WRITTEN), id="new"),
        pytest.param(WRITTEN.replace("A note", "An older note"), id="older text"),
        pytest.param(WRITTEN.replace("end:\n  type: str\n", "end:\n  type: str\n  sample: x\n"), id="a line too many"),
    ],
)
def test_the_text_below_a_comment_is_written_anew(stale: str) -> None:
    assert with_shared(stale, TEXTS) == WRITTEN
    assert "own:" in without_shared(stale)
    assert "end:" not in without_shared(stale)


def test_options_of_a_fragment_stand_below_an_option() -> None:
    module = "    suboptions:\n      # make generate: items.copying\n\n      more:\n        type: str\n"
    options = yaml.safe_load(with_shared(module, {}))["suboptions"]
    assert set(options) == {"write_rate", "checkpoint_dir", "refused_path", "more"}
    assert options["checkpoint_dir"]["type"] == "path"


@pytest.mark.parametrize(
    ("comment", "error"), [("note", KeyError), ("nothing", FileNotFoundError), ("items.nothing", AttributeError)]
)
def test_a_comment_that_names_nothing_is_an_error(comment: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        with_shared(f"# make generate: {comment}\n", TEXTS)
