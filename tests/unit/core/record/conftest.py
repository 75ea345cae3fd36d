# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One AWS for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .two import Aws, Controller, Network


@pytest.fixture
def aws() -> Iterator[Aws]:
    world = Aws()
    yield world
    world.close()


@pytest.fixture
def network(aws: Aws) -> Network:
    return Network(aws)


@pytest.fixture
def one(aws: Aws) -> Controller:
    return aws.controller("one")


@pytest.fixture
def two(aws: Aws) -> Controller:
    return aws.controller("two")
