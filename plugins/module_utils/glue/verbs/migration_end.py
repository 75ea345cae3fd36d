# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verb migration_end."""

from __future__ import annotations

from typing import Any

from ...core.errors import FerryError, TakenOver
from ..accounts import Accounts
from ..interruption import ATTENDING
from ..records import RECORD_OPTIONS, open_run
from ..spec import SHARED_OPTIONS, Progress, Verb, account_option

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "destinations": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"destination": account_option(), **RECORD_OPTIONS},
    },
    "totals": {"type": "dict", "default": {}},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """End this process's run in each destination; in check mode there is none. What fails is a warning: the lease runs
    out by itself."""
    accounts = Accounts(params)
    ended, warnings = [], []
    for place in {} if check_mode else params["destinations"]:
        try:
            destination = accounts.get("destination", place["destination"])
            run = open_run(destination, place["record_table"], create=False)
            if run is not None:
                run.end(params["totals"])
                ATTENDING.ended(run)
                ended.append(run.id)
        except TakenOver:
            continue  # another run has ended it
        except FerryError as error:
            warnings.append(f"The run's lease was not ended, and runs out by itself: {error}")
    return {"changed": False, "runs": ended, **({"warnings": warnings} if warnings else {})}


VERB = Verb("migration_end", SPEC, run, services=("dynamodb", "sts"))
