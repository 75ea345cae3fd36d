# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts the migrations of many tables."""

from __future__ import annotations

from typing import Any

from ..many import SPEC, run_many
from ..spec import Progress, Verb
from . import migration_start


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """What migration_start does, for each of the tables. Their definitions, which are long, are left out."""
    result = run_many(migration_start.VERB, migration_start.start_one, params, check_mode)
    for table in result["tables"].values():
        if not table.get("failed"):
            del table["table"]
    return result


VERB = Verb("migration_start_all", SPEC, run, services=migration_start.VERB.services)
