# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A world with its services."""

from __future__ import annotations

from lab.assembly import SERVICES, build_world


def test_assembly_names_every_service_once() -> None:
    assert len(set(SERVICES)) == len(SERVICES) == 15
    world = build_world(SERVICES[:2])
    assert list(world.services) == ["sts", "iam"]
    world.close()
