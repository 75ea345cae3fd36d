# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A verb for many tables at once: what the verb for one does, in one process, with one lease and one set of clients.

100 tables in workers of their own cost 100 forks, 100 times the templates of all options and 300 clients: more than the
calls themselves. A table's failure is part of the result, so that no table stops another.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..core.destination import ImportsOfMany
from ..core.errors import InvalidInput
from .accounts import Accounts
from .outcome import outcome
from .records import RecordTables
from .spec import SHARED_OPTIONS, Parameters, Verb, account_option, given

THREADS = 8  # as many as the waiter has
_TOGETHER = ("diff", "warnings")  # what the result of all tables has, instead of each

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "tables": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "source": account_option(required=True),
            "destination": account_option(required=True),
            "options": {"type": "dict", "required": True},
        },
    },
}

# The work for one table, with the options of its verb: (accounts, record tables, options, check mode) -> result.
One = Callable[[Accounts, RecordTables, Parameters, bool], dict[str, Any]]


def run_many(verb: Verb, one: One, params: Parameters, check_mode: bool) -> dict[str, Any]:
    """Do ``one``, which is ``verb``'s, for each of the ``tables`` in ``params``.

    Returns the result or the failure (``outcome``) of each by its name. What is no failure of a table, a fault of ours,
    is raised once all others have ended.
    """
    entries = params["tables"]
    shared = {name: params[name] for name in SHARED_OPTIONS}
    accounts, tables = Accounts(shared), RecordTables(ImportsOfMany(len(entries)))
    validator = ArgumentSpecValidator(verb.spec, **verb.rules)

    def of_one(entry: Mapping[str, Any]) -> dict[str, Any]:
        wanted = {**entry["options"], **sides_of(entry)}

        def run(_params: dict[str, Any], check_mode: bool, _progress: Any) -> dict[str, Any]:
            checked = validator.validate(wanted)
            if checked.error_messages:
                raise InvalidInput("; ".join(checked.error_messages), "Correct this option.")
            return one(accounts, tables, {**checked.validated_parameters, **shared}, check_mode)

        alone = Verb(verb.name, verb.spec, run, verb.services)
        return outcome(alone, {"name": entry["name"]}, check_mode=check_mode, diff=True, progress=lambda _line: None)

    pool = ThreadPoolExecutor(THREADS, "tableferry-table")
    try:
        results = dict(zip([entry["name"] for entry in entries], pool.map(of_one, entries), strict=True))
    finally:
        # Interrupted: what has not begun does not begin; answers that are under way (an ARN!) must not be lost.
        pool.shutdown(cancel_futures=sys.exc_info()[0] is not None)
        tables.leave()
    warnings = dict.fromkeys(line for result in results.values() for line in result.get("warnings", ()))
    return {
        "changed": any(result.get("changed") for result in results.values()),
        "tables": {
            name: {key: value for key, value in result.items() if key not in _TOGETHER}
            for name, result in results.items()
        },
        "diff": [result["diff"] for result in results.values() if result.get("diff")],
        **({"warnings": list(warnings)} if warnings else {}),
    }


def sides_of(entry: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The accounts of one of the ``tables``, each with the options that are set."""
    return {side: given(entry[side], entry[side]) for side in ("source", "destination")}
