# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Spark job as AWS's engines run it: package and script in the lab's S3, real Sparks, roles of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import FerryError
from ansible_collections.tableferry.aws.plugins.module_utils.spark.package import Package, build_package
from ansible_collections.tableferry.aws.plugins.module_utils.spark.wheels import download_wheels, find_wheels
from lab.client import running
from tests.unit.lab.spark.conftest import spark, spark_4
from tests.unit.on_lab.conftest import Crossing

__all__ = ["spark", "spark_4"]  # fixtures
WHEELS = Path(__file__).resolve().parents[4] / "build" / "spark" / "wheels"


@pytest.fixture(scope="session")
def package() -> Package:
    """The package as users get it, with the wheels of all Pythons and machines."""
    try:
        return build_package(find_wheels(WHEELS))
    except FerryError:
        WHEELS.mkdir(parents=True, exist_ok=True)
        download_wheels(WHEELS)
    return build_package(find_wheels(WHEELS))


@pytest.fixture(scope="module")
def crossing() -> Iterator[Crossing]:
    """One lab for a file's tests, without the throttles of new tables."""
    with running(scale=0.0, quotas=False) as lab:
        yield Crossing(lab)
