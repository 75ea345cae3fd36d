# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Comparisons and repairs over a lab in process: calls of its clients in place of the data plane, which goes past the
SDK; and the verb dynamodb_verify as a run of ansible-playbook makes it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import Comparison
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.repairing import RepairResult
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps import adopting
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.claiming import Records
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.comparison import (
    Verification,
    VerifyOptions,
    require_repairable,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.holding import Pause, hold, no_pause
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import dynamodb_verify
from tests.unit.on_lab.recorded import Playbook


def items_of(account: Account, table: str) -> dict[str, Any]:
    return {item["id"]["S"]: item for item in account.client("dynamodb").scan(TableName=table)["Items"]}


def verify_tables(
    source: Account, destination: Account, options: VerifyOptions, *_more: Any, **_bounds: Any
) -> Verification:
    here, there = items_of(source, options.source_table), items_of(destination, options.table)
    different = sum(here[key] != there[key] for key in here.keys() & there.keys())
    counts = len(here), len(there), len(here.keys() - there.keys()), different, len(there.keys() - here.keys())
    return Verification(Comparison(*counts))


def repair_differences(
    source: Account, destination: Account, options: VerifyOptions, *_more: Any, **about: Any
) -> RepairResult:
    del about["bounds"], about["racing"], about["record"], about["export"]
    require_repairable(source, destination, options, about.pop("migration_id"), **about)
    here, there = items_of(source, options.source_table), items_of(destination, options.table)
    client, put = destination.client("dynamodb"), [item for key, item in here.items() if there.get(key) != item]
    for item in put:
        client.put_item(TableName=options.table, Item=item)
    extra = there.keys() - here.keys() if about["delete_extra"] else set()
    for key in sorted(extra):
        client.delete_item(TableName=options.table, Key={"id": {"S": key}})
    return RepairResult(put=len(put), deleted=len(extra), left=len(there.keys() - here.keys()) - len(extra))


class Bench:
    """A workbench whose work is done at once, so that no time goes by meanwhile."""

    def __init__(self, at_once: int) -> None:
        pass

    def steps(self, job: Any, work: Callable[[Any], Any]) -> Generator[Any, Any, Any]:
        yield from ()
        return work(lambda now: None)


def put_in_place(patch: pytest.MonkeyPatch) -> None:
    """What goes past the lab goes over its clients."""
    patch.setattr(adopting, "verify_tables", verify_tables)
    patch.setattr(adopting, "Workbench", Bench)
    patch.setattr(dynamodb_verify, "verify_tables", verify_tables)
    patch.setattr(dynamodb_verify, "repair_differences", repair_differences)


def verify(playbook: Playbook, patch: pytest.MonkeyPatch, *, check_mode: bool = False, **more: Any) -> dict[str, Any]:
    """What the verb answers for the table orders."""
    sides = {"source": playbook.source, "destination": playbook.destination}

    class Tables:
        def hold(
            self, _destination: Account, _name: str, table: str, *_others: Account, pause: Pause = no_pause
        ) -> Any:
            return hold(Records(playbook.store, lambda: playbook.run), table, pause)

        def kept(self) -> Any:
            return patch.context()

        def leave(self) -> None:
            pass

    class Accounts:
        def __init__(self, _params: Any) -> None:
            pass

        def get(self, side: str, _given: Any) -> Account:
            return sides[side]

    params = {name: option.get("default") for name, option in dynamodb_verify.SPEC.items()} | {
        "name": "orders",
        "source_table": None,
        "source": {},
        "destination": {},
        **more,
    }
    params["repair"] = str(params["repair"]).lower()
    with patch.context() as within:
        within.setattr(dynamodb_verify, "Accounts", Accounts)
        within.setattr(dynamodb_verify, "RecordTables", Tables)
        within.setattr(dynamodb_verify, "open_to_read", lambda *_about: (playbook.store, 0.0))
        within.setattr(dynamodb_verify.time, "sleep", playbook.aws.sleep)
        return dynamodb_verify.run(params, check_mode, lambda line: None)
