# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lab believes about AWS: every belief is a named rule beside the code that keeps it.

A service's file holds its rules as module-level constants and raises through them::

    NO_BUCKET = rule(
        "s3-bucket-missing",
        service="s3",
        says="A bucket that nobody owns is answered with 404 NoSuchBucket",
        fact="measured/import-export-table 1.3",
        test="s3/test_buckets.py::test_missing_bucket",
    )
    ...
    raise NO_BUCKET.error("NoSuchBucket", "The specified bucket does not exist", 404)

There is no registry to fill: ``collect`` finds the constants. ``python -m lab.rules`` prints docs/lab-rules.md.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lab.errors import AwsError

TESTS = "tests/unit/lab/"


class RuleBroken(AwsError):
    """An AWS error answer that a rule of the lab gives; ``rule`` is the rule's name."""

    def __init__(
        self, rule: str, code: str, message: str, status: int = 400, fault: str = "client", **members: Any
    ) -> None:
        super().__init__(code, message, status, fault, **members)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that AWS does and the lab does too.

    ``says`` is one sentence without a final period, ``fact`` where it is known from (``measured/settings 2.10``,
    ``aws.md A4``), ``test`` the test that shows it: ``<file>::<function>`` (or ``::<class>::<method>``), the file below
    tests/unit/lab. Not ``confirmed``: the lab had to guess, and the product must work either way.
    """

    name: str
    service: str
    says: str
    fact: str
    test: str
    confirmed: bool = True

    def error(self, code: str, message: str, status: int = 400, fault: str = "client", **members: Any) -> RuleBroken:
        """The AWS error of this rule, to be raised; parameters as those of ``AwsError``."""
        return RuleBroken(self.name, code, message, status, fault, **members)


def rule(name: str, *, service: str, says: str, fact: str, test: str, confirmed: bool = True) -> Rule:
    """A rule, for a module-level constant of its service's file. Raises ValueError when a text is missing."""
    made = Rule(name, service, says.rstrip("."), fact, test.removeprefix(TESTS), confirmed)
    missing = [part for part in ("name", "service", "says", "fact") if not getattr(made, part)]
    if missing or "::" not in made.test:
        raise ValueError(f"rule {name!r} lacks {', '.join(missing) or 'a test named <file>::<function>'}")
    return made


def collect() -> list[Rule]:
    """Every rule of the lab, ordered by service, then as written. Raises ValueError for two rules of one name."""
    by_name: dict[str, Rule] = {}
    package = importlib.import_module("lab")
    for module in sorted(pkgutil.walk_packages(package.__path__, "lab."), key=lambda module: module.name):
        if module.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Rule) and by_name.setdefault(value.name, value) != value:
                raise ValueError(f"two rules are named {value.name}")
    return sorted(by_name.values(), key=lambda entry: entry.service)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def document(rules: Iterable[Rule]) -> str:
    """The text of docs/lab-rules.md for ``rules`` (grouped by service already)."""
    rules = list(rules)
    lines = [
        "# The rules of the lab",
        "",
        f"What the lab believes about AWS: {len(rules)} rules, each shown by a test in `{TESTS.rstrip('/')}`.",
        "UNCONFIRMED marks a guess: the collection must work either way.",
        "Facts are named by page and section: what was measured on AWS, or AWS's documentation (`aws.md`).",
        "",
        "Made by `make generate`; do not edit.",
    ]
    service = ""
    for entry in rules:
        if entry.service != service:
            service = entry.service
            lines += ["", f"## {service}", "", "| rule | what AWS does | fact | test |", "|---|---|---|---|"]
        says = entry.says if entry.confirmed else f"UNCONFIRMED: {entry.says}"
        lines.append(f"| {entry.name} | {_cell(says)} | {_cell(entry.fact)} | `{_cell(entry.test)}` |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print docs/lab-rules.md."""
    print(document(collect()), end="")


if __name__ == "__main__":
    # As the main module this file is not lab.rules, and its Rule is not the services' Rule.
    importlib.import_module("lab.rules").main()
