# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``one_table.py ARGUMENTS``: a controller as a process of its own, which a test stops and wakes (``lab.controller``).

It brings one table through the verbs as the playbook ``migrate`` does, and prints the result of each as a line of JSON.
ARGUMENTS are those of ``migration_start``. Without Ansible above it, the process is a run of its own.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import outcome
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import (
    job_wait,
    migration_end,
    migration_judge,
    migration_start,
    record_table,
)


def call(verb: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """The result of ``verb``, also where it fails; printed."""
    checked = ArgumentSpecValidator(verb.SPEC, **verb.VERB.rules).validate(arguments)
    assert not checked.error_messages, checked.error_messages
    result = outcome(verb.VERB, checked.validated_parameters, check_mode=False, diff=False, progress=lambda line: None)
    words = {"verb": verb.VERB.name, "failed": bool(result.get("failed")), "error": result.get("ferry_error", "")}
    print(json.dumps({**words, "msg": str(result.get("msg", "")), "status": result.get("status", "")}), flush=True)
    return result


def migrate(arguments: dict[str, Any]) -> None:
    """The table's way; whatever happens, the run's end."""
    sides = {name: arguments[name] for name in ("source", "destination")}
    if call(record_table, {"destination": arguments["destination"]}).get("failed"):
        return
    started = call(migration_start, arguments)
    if not started.get("failed"):
        entry = {"name": "host", **sides, **{name: started[name] for name in ("job", "then", "record")}}
        waited = call(job_wait, {"jobs": [entry], "wait_timeout": 7200})
        if not waited.get("failed"):
            judged = {"name": arguments["name"], "jobs": waited["ways"]["host"], "record": started["record"]}
            call(migration_judge, {**sides, **judged})
    call(migration_end, {"destinations": [{"destination": arguments["destination"]}]})


if __name__ == "__main__":
    migrate(json.loads(sys.argv[1]))
