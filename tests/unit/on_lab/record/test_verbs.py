# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verbs over HTTP, each with the run of its playbook: one record for all of them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import process
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.process import Process
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import table_key
from ansible_collections.tableferry.aws.plugins.module_utils.glue import records
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import (
    dynamodb_export,
    job_wait,
    migration_end,
    migration_judge,
    migration_start,
)
from tests.unit.on_lab.conftest import BUCKET, Crossing


def run(verb: Any, arguments: dict[str, Any], check_mode: bool = False) -> dict[str, Any]:
    checked = ArgumentSpecValidator(verb.SPEC, **verb.VERB.rules).validate(arguments)
    assert not checked.error_messages
    result: dict[str, Any] = verb.run(checked.validated_parameters, check_mode, lambda line: None)
    return result


def side(crossing: Crossing, name: str) -> dict[str, Any]:
    keys = crossing.lab.landscape["accounts"][name]
    told = {key: keys[key] for key in ("access_key", "secret_key")}
    return {**told, "region": crossing.region, "endpoint_url": crossing.lab.endpoint_url}


def sides(crossing: Crossing) -> dict[str, Any]:
    return {name: side(crossing, name) for name in ("source", "destination")}


def test_one_table_through_all_verbs(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> None:
    crossing.table("recorded")
    arguments = {"name": "recorded", "bucket": BUCKET, **sides(crossing)}
    foreseen = run(migration_start, arguments, check_mode=True)
    assert foreseen["job"]["state"] == "planned"
    assert records.open_to_read(crossing.destination, "tableferry")[0] is None
    started = run(migration_start, arguments)
    entry = {"name": "host", **sides(crossing), **{name: started[name] for name in ("job", "then", "record")}}
    store, _now = records.open_to_read(crossing.destination, "tableferry")
    assert store is not None
    held = store.read(table_key("recorded"))
    assert held is not None and held.run
    lease = store.read_lease(held.run)
    assert lease is not None and lease.who is not None and lease.who.same_as(process.describe(process.playbook()))

    def elsewhere(pid: int) -> Process:
        return Process("bob", "elsewhere", "boot", "ns", pid, process.start_of(pid))

    with monkeypatch.context() as other:
        other.setattr(process, "describe", elsewhere)
        with pytest.raises(errors.Held, match="held by"):
            run(dynamodb_export, arguments)
        assert run(migration_start, arguments)["job"]["pending_reason"] == "held"

    waited = run(job_wait, {"jobs": [entry]})
    assert {job["state"] for job in waited["ways"]["host"]} <= {"completed", "not_needed"}
    judged = run(
        migration_judge,
        {**sides(crossing), "name": "recorded", "jobs": waited["ways"]["host"], "record": started["record"]},
    )
    assert judged["status"] == "migrated"
    done = store.read(table_key("recorded"))
    assert done is not None and (done.state, done.run) == ("done", "")
    ended = run(migration_end, {"destinations": [{"destination": side(crossing, "destination")}], "totals": {"x": 1}})
    assert ended["runs"] == [held.run]
    over = store.read_lease(held.run)
    assert over is not None and over.ended is not None and over.ended.by == held.run
    again = run(migration_start, arguments)
    assert (again["changed"], again["job"]["state"]) == (False, "not_needed")
    for check_mode in (False, True):
        unknown = run(migration_start, {**arguments, "take_over": "nobody"}, check_mode)["warnings"]
        assert len(unknown) == 1 and "knows no run nobody" in unknown[0]
        assert "warnings" not in run(migration_start, {**arguments, "take_over": held.run}, check_mode)
