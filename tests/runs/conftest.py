# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of whole runs share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.client import spawn
from tests.runs.playbooks import Migration, prepare


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--mixed-tables 100``: the mixed run of ``test_mixed.py`` with that many tables."""
    parser.addoption("--mixed-tables", type=int, default=12)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A line for each test that was left out, with the reason."""
    for report in terminalreporter.stats.get("skipped", ()):
        terminalreporter.write_line(f"{report.nodeid}: {report.longrepr[2]}")


@pytest.fixture
def migration(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Migration]:
    """A migration of the test file's ``TABLES`` on a lab with its ``TIMINGS``."""
    with spawn(scale=0.01, timings=request.module.TIMINGS) as lab:
        yield prepare(lab, tmp_path, request.module.TABLES)
