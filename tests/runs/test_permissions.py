# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policies of docs/permissions: callers who may exactly that migrate, and nothing in them goes unused."""

from __future__ import annotations

from pathlib import Path

import pytest

from generate.permission_files import METHODS, PLACES, committed, file_of, of_sides
from generate.permissions import filled, text
from generate.rehearsal import SIDES, rehearse


@pytest.mark.parametrize("method", METHODS)
def test_a_migration_runs_under_exactly_its_policies(method: str, tmp_path: Path) -> None:
    rehearsal = rehearse(method, tmp_path, {side: filled(committed(method, side), PLACES) for side in SIDES})
    assert rehearsal.failed == ""
    assert rehearsal.denied == []
    # What was needed makes the same policies again: no action in them that nothing used.
    for side, document in of_sides(rehearsal.needed).items():
        assert text(document) == file_of(method, side).read_text(), f"Run make permissions: {method}, {side}"
