# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks whether many tables were migrated completely."""

from __future__ import annotations

from typing import Any

from ..many import SPEC, run_many
from ..spec import Progress, Verb
from . import migration_judge


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """What migration_judge does, for each of the tables."""
    return run_many(migration_judge.VERB, migration_judge.judge_one, params, check_mode)


VERB = Verb("migration_judge_all", SPEC, run, services=migration_judge.VERB.services)
