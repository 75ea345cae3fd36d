# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the verbs of single runs of the Spark job have in common: options, start, stop and result."""

from __future__ import annotations

from typing import Any

from ..core.change import Change
from ..core.exports.manifest import summary_key
from ..core.methods.options import SparkChoices
from ..core.methods.spark.planning import SparkOptions
from ..core.methods.spark.single_run import RunAttempt, RunOptions, SingleRun
from ..core.table.definition import TableDefinition
from .accounts import Accounts
from .changing import changed
from .records import RECORD_OPTIONS, refuse_held
from .spec import STAGING_OPTIONS, STARTING_OPTIONS, Progress, account_option, given

SPARK_RUN_OPTIONS: dict[str, Any] = {
    **STARTING_OPTIONS,
    **STAGING_OPTIONS,
    **RECORD_OPTIONS,
    "name": {"type": "str", "required": True},
    "destination": account_option(required=True),
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "manifest_key": {"type": "str", "no_log": False},
    "prefix": {"type": "str"},
    "plan": {"type": "str"},
    "kms_key_arn": {"type": "str", "no_log": False},
    "run_token": {"type": "str", "no_log": False},
    "overwrite": {"type": "bool", "default": False},
    "write_rate": {"type": "str"},
    "refused_path": {"type": "path"},
    "workers": {"type": "int", "default": 2},
    "worker_type": {"type": "str"},
    "role_arn": {"type": "str"},
    "release": {"type": "str"},
    "wheels": {"type": "path"},
}
SPARK_RUN_RULES: dict[str, Any] = {
    "mutually_exclusive": [("manifest_key", "prefix", "plan")],
    "required_one_of": [("manifest_key", "prefix", "plan")],
}
_CHOICES = ("workers", "worker_type", "role_arn", "release", "wheels", "application_id", "cluster_id", "engine")
_SAME_NAME = ("bucket", "bucket_owner", "kms_key_arn", "migration_id", "write_rate", "refused_path")


def spark_choices(params: dict[str, Any]) -> SparkChoices:
    """The choices for the job from a verb's options."""
    return SparkChoices(**given(params, [name for name in _CHOICES if name in params]))


def run_alone(params: dict[str, Any], engine: str, check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Start, adopt or stop the run of the options on ``engine``; the verb's result. Raises Held, and as ``SingleRun``
    does."""
    destination = Accounts(params).get("destination", params["destination"])
    refuse_held(destination, params["record_table"], params["name"])
    absent = params["state"] == "absent"
    if absent and TableDefinition.find(destination, params["name"]) is None:
        # Where the table is gone, a run of it ends by itself.
        none = {"id": "", "token": "", "engine": engine, "scope": "", "state": "none", "message": "", "cost": {}}
        return changed([], params["name"], run=none, totals={}, files=0, msg=f"{params['name']}: there is no table.")
    runs = SingleRun.of(destination, _options(params, engine))
    if absent:
        return _stopped(runs, check_mode)
    return _brought(runs, params, check_mode, progress)


def _options(params: dict[str, Any], engine: str) -> RunOptions:
    spark = SparkOptions(
        table=params["name"], engine=engine, choices=spark_choices(params), **given(params, _SAME_NAME)
    )
    manifest_key = params["manifest_key"] or (summary_key(params["prefix"]) if params["prefix"] else "")
    return RunOptions(
        spark, manifest_key, params["plan"] or "", params["run_token"] or "", overwrite=params["overwrite"]
    )


def _brought(runs: SingleRun, params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    attempt = runs.look()
    changes = runs.changes(attempt)
    if check_mode:
        return _result(runs, attempt, "planned" if changes else _state(attempt), changes)
    attempt = runs.waited(attempt, params["wait_timeout"], progress) if params["wait"] else runs.start(attempt)
    totals = runs.totals(attempt)
    return _result(runs, attempt, _state(attempt), runs.begun, {} if totals is None else totals.to_dict())


def _stopped(runs: SingleRun, check_mode: bool) -> dict[str, Any]:
    attempt = runs.look()
    changes = []
    if attempt.open:
        changes = [Change(f"{runs.noun(attempt)} into {runs.table.name}", "running", "stopped", "destructive")]
        if not check_mode:
            runs.stop(attempt)
    state = "stopping" if attempt.open else "none" if attempt.intended is None else _state(attempt)
    return _result(runs, attempt, state, changes)


def _state(attempt: RunAttempt) -> str:
    """Without a run of its own everything was there."""
    if attempt.open:
        return "running" if attempt.run_id else "unknown"
    return attempt.status.state if attempt.status else "completed"


def _result(
    runs: SingleRun,
    attempt: RunAttempt,
    state: str,
    changes: list[Change],
    totals: dict[str, Any] | None = None,
) -> dict[str, Any]:
    name = runs.table.name
    words = {"none": "there is no run", "unknown": "it is not known yet whether AWS has begun the run"}
    sentence = words.get(state, f"the {runs.noun(attempt)} is {state}")
    return changed(
        changes,
        f"{runs.noun(attempt)} into {name}",
        run={**runs.shown(attempt), "state": state},
        totals=totals or {},
        files=len(runs.plan.files),
        msg=f"{name}: {sentence}.",
    )
