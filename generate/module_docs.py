# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the documentation that modules share, where Ansible has no fragments for it: return values and suboptions.

``ansible-doc`` and ``ansible-test`` want RETURN as a plain string in each module, and a fragment cannot stand below an
option. A comment in a module's documentation therefore names the text, and the lines below it are that text:

    # make generate: job kind=export       a text of returns.yml, with its $names filled in
    # make generate: accounts.source       the options of a fragment in plugins/doc_fragments, as suboptions

A comment goes on in the lines below it that are indented after their ``#``. A text ends at an empty line, at the next
such comment, where the indentation falls back, or with the documentation.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import textwrap
from collections.abc import Mapping
from pathlib import Path
from string import Template

import yaml

ROOT = Path(__file__).parents[1]
MODULES = ROOT / "plugins/modules"
FRAGMENTS = ROOT / "plugins/doc_fragments"
# A comment of one or more lines, and what stands below it.
_SHARED = re.compile(
    r"^(?P<comment>(?P<indent> *)# make generate: .+\n(?: *#  +.+\n)*)"
    r'(?:(?P=indent)(?!# make generate: |""").*\S.*\n)*',
    re.MULTILINE,
)


def returns() -> dict[str, str]:
    """The texts of returns.yml by name."""
    return dict(yaml.safe_load(Path(__file__).with_name("returns.yml").read_text()))


def suboptions(name: str) -> str:
    """The options of a fragment, named as in ``extends_documentation_fragment`` without the collection.

    Raises FileNotFoundError or AttributeError where there is no such fragment.
    """
    file, _, part = name.partition(".")
    spec = importlib.util.spec_from_file_location(f"fragments_{file}", FRAGMENTS / f"{file}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text: str = getattr(module.ModuleDocFragment, part.upper() or "DOCUMENTATION")
    return textwrap.dedent(text.lstrip("\n").removeprefix("options:\n"))


def shared_text(comment: str, texts: Mapping[str, str]) -> str:
    """The text that a comment asks for. Raises KeyError for a $name not given; FileNotFoundError, AttributeError."""
    words = re.sub(r"^ *# (?:make generate:|  )", "", comment, flags=re.MULTILINE)
    name, *values = shlex.split(words)
    if name in texts:
        return Template(texts[name]).substitute(dict(value.split("=", 1) for value in values))
    return suboptions(name)


def with_shared(module: str, texts: Mapping[str, str]) -> str:
    """The text of a module with the lines below each comment as they have to be. Raises as ``shared_text``."""

    def written(found: re.Match[str]) -> str:
        return found["comment"] + textwrap.indent(shared_text(found["comment"], texts), found["indent"])

    return _SHARED.sub(written, module)


def without_shared(module: str) -> str:
    """The text of a module as its author writes it: the comments without what stands below them."""
    return _SHARED.sub(r"\g<comment>", module)


def main() -> None:
    """Bring all modules up to date."""
    texts = returns()
    for path in sorted(MODULES.glob("*.py")):
        path.write_text(with_shared(path.read_text(), texts))


if __name__ == "__main__":
    main()
