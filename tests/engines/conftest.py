# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two accounts on an engine that others wrote, an instance each. What cannot run here is left out with a line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import ItemTable, find_table
from engines.catalog import ENGINES, Engine
from engines.server import running
from tests.engines.accounts import Accounts, endpoint


@pytest.fixture(scope="session", params=ENGINES, ids=lambda engine: engine.name)
def accounts(request: pytest.FixtureRequest) -> Iterator[Accounts]:
    """Two fresh instances of each engine, for all tests of the run: each test makes tables of its own."""
    engine: Engine = request.param
    reason = engine.why_not()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"{engine.name}: {reason}")
    if reason:
        pytest.skip(f"{engine.name}: {reason}")
    with running(engine, instances=2) as instances:
        yield Accounts(*instances)


@pytest.fixture
def tables(accounts: Accounts) -> Callable[[str], tuple[ItemTable, ItemTable]]:
    """The two tables of a name as the product sees them."""

    def find(table: str) -> tuple[ItemTable, ItemTable]:
        source = endpoint(accounts.source.endpoint_url, "source")
        destination = endpoint(accounts.destination.endpoint_url, "destination")
        return find_table(source, table), find_table(destination, table)

    return find


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Report which engine was left out, so that a short run is not mistaken for a complete one."""
    for engine in ENGINES:
        reason = engine.why_not()
        if reason:
            terminalreporter.write_line(f"LEFT OUT: everything on {engine.name}: {reason}")
