# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policies of docs/permissions and of the roles' READMEs: callers who may just that migrate, and use all of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.ready_policies import (
    PHASES,
    Grant,
    filled,
    grants_of,
    least,
    together,
)
from generate.permission_files import (
    INDEX,
    PLACES,
    blocks,
    committed,
    of_roles,
    of_sides,
    page_of,
    roles,
    with_table,
)
from generate.rehearsal import SIDES, WAYS, Rehearsal, rehearse_all
from lab.spark.engine import ENGINES


def granted(policy: Mapping[str, Any]) -> set[Grant]:
    """What a policy allows, in whichever phase."""
    return least({grant for each in policy["Statement"] for grant in grants_of(each)})


@pytest.fixture(scope="module")
def rehearsals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rehearsal]:
    """A rehearsal of each method, and of the roles, by callers who may what the files say. Without Spark they are left
    out, in continuous integration never."""
    reason = ENGINES[0].why_not()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"spark {ENGINES[0].version}: {reason}")
    if reason:
        pytest.skip(f"spark {ENGINES[0].version}: {reason}")
    policies = {method: {side: filled(committed(method, side), PLACES) for side in SIDES} for method in WAYS}
    pages = {role: blocks(page_of(role).read_text()) for role in roles()}
    alone = {role: {side: filled(page[side], PLACES) for side in page} for role, page in pages.items()}
    return rehearse_all(tmp_path_factory.mktemp("rehearsals"), policies, alone)


@pytest.mark.parametrize("method", WAYS)
def test_a_migration_runs_under_exactly_its_policies(method: str, rehearsals: dict[str, Rehearsal]) -> None:
    rehearsal = rehearsals[method]
    assert rehearsal.failed == ""
    assert rehearsal.denied == []
    for side, needed in of_sides(rehearsal.needed).items():
        kept, advice = committed(method, side), f"Run make permissions: {method}, {side}"
        # No action in them that nothing used. In which phases it was used depends on how far the runs came until the
        # first one ended, but each phase has all that it needed.
        assert granted(kept) == granted(needed), advice
        for phase in PHASES:
            assert together([kept, needed], [phase]) == together([kept], [phase]), f"{advice}, {phase}"


def test_each_role_runs_by_itself_under_exactly_its_readme(rehearsals: dict[str, Rehearsal]) -> None:
    rehearsal = rehearsals["roles"]
    assert rehearsal.failed == ""
    assert rehearsal.denied == []
    assert of_roles(rehearsal.needed) == {role: blocks(page_of(role).read_text()) for role in roles()}


def test_the_index_lists_the_policies() -> None:
    assert with_table(INDEX.read_text()) == INDEX.read_text()
