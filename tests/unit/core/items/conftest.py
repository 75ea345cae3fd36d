# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers for the tests of the items, and items of all kinds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.core.items.fake_dynamo import FakeDynamo, serving


@pytest.fixture
def dynamo() -> Iterator[FakeDynamo]:
    """A server of one test's own."""
    with serving() as server:
        yield server
