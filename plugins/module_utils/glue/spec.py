# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a verb is made of: its options, the options that verbs share, and the function that runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Parameters = Mapping[str, Any]
Progress = Callable[[str], None]
Run = Callable[[dict[str, Any], bool, Progress], dict[str, Any]]


@dataclass(frozen=True)
class Verb:
    """One verb, for its module and its action.

    ``spec`` is the argument spec, ``rules`` its other keyword arguments (``mutually_exclusive`` and so on).
    ``run(params, check_mode, progress)`` does the work: it returns a JSON-safe result or raises ``FerryError``, and it
    changes nothing in check mode. ``services`` are the SDK models that the action loads once for all hosts.
    ``hands_out_credentials``: the result carries credentials on purpose. ``names_table``: the option ``name`` is of a
    table that is moved, which an error names first.
    """

    name: str
    spec: dict[str, Any]
    run: Run
    services: tuple[str, ...]
    rules: dict[str, Any] = field(default_factory=dict)
    hands_out_credentials: bool = False
    names_table: bool = True


# What both sides may share; named as in amazon.aws, so that one module_defaults of the action group serves all.
SHARED_OPTIONS: dict[str, Any] = {
    "region": {"type": "str"},
    "profile": {"type": "str"},
    "access_key": {"type": "str", "no_log": False},
    "secret_key": {"type": "str", "no_log": True},
    "session_token": {"type": "str", "no_log": True},
    "endpoint_url": {"type": "str"},
}

ACCOUNT_OPTIONS: dict[str, Any] = {
    **SHARED_OPTIONS,
    "role_arn": {"type": "str"},
    "external_id": {"type": "str", "no_log": False},
    "account_id": {"type": "str"},
    "tags": {"type": "dict"},
    "call_log": {"type": "path"},
}

WAITING_OPTIONS: dict[str, Any] = {
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 86400},
}

STAGING_OPTIONS: dict[str, Any] = {
    "bucket": {"type": "str", "required": True},
    "bucket_owner": {"type": "str"},
}

LIFECYCLE_OPTIONS: dict[str, Any] = {
    "delete_after_days": {"type": "int", "default": 7},
    "move_to_cold_storage_after_days": {"type": "int", "default": 0},
}

MIGRATION_OPTIONS: dict[str, Any] = {
    "migration_id": {"type": "str", "default": "default"},
}

KEY_MAP_OPTIONS: dict[str, Any] = {
    "kms_key_map": {"type": "dict", "default": {}, "no_log": False},
}

SETTINGS_OPTIONS: dict[str, Any] = {
    "kinesis_map": {"type": "dict", "default": {}},
    "principal_map": {"type": "dict", "default": {}},
    "defer": {"type": "list", "elements": "str", "default": []},
    "warm_throughput": {"type": "bool", "default": True},
    "leave_indexes": {"type": "list", "elements": "str", "default": []},
}

# For verbs that make the table.
INDEX_OPTIONS: dict[str, Any] = {
    "indexes_after": {"type": "list", "elements": "str", "default": []},
    "leave_indexes": {"type": "list", "elements": "str", "default": []},
}

# What changes the items on the way. ``transform_folders`` are where files with functions are looked for.
STEPS_OPTIONS: dict[str, Any] = {
    "transform": {"type": "list", "elements": "dict", "default": []},
    "transform_names": {"type": "dict", "default": {}},
    "transform_values": {"type": "dict", "default": {}},
    "destination_key": {"type": "dict", "default": {}, "no_log": False},
    "transform_folders": {"type": "list", "elements": "path", "default": []},
}

# For verbs that read or write the items.
TRANSFORM_OPTIONS: dict[str, Any] = {
    **STEPS_OPTIONS,
    "on_collision": {"type": "str", "choices": ["refuse", "any"], "default": "refuse"},
}

# The Spark job of the methods that have one, and the engine that runs it.
SPARK_OPTIONS: dict[str, Any] = {
    "end": {"type": "str", "choices": ["table", "import"], "default": "table"},
    "engine": {"type": "str", "choices": ["serverless", "cluster"]},
    "workers": {"type": "int", "default": 2},
    "worker_type": {"type": "str"},
    "role_arn": {"type": "str"},
    "application_id": {"type": "str"},
    "cluster_id": {"type": "str"},
    "release": {"type": "str"},
    "wheels": {"type": "path"},
}

# For verbs that write the items.
TRANSFORMING_OPTIONS: dict[str, Any] = {
    **TRANSFORM_OPTIONS,
    "transform_errors": {"type": "str", "choices": ["fail", "skip"], "default": "fail"},
    "transform_show_values": {"type": "bool", "default": False},
}


# How the controller reads and writes items.
READING_OPTIONS: dict[str, Any] = {
    "workers": {"type": "str", "default": "auto"},
    "read_rate": {"type": "str"},
    "consistent": {"type": "bool", "default": False},
}

COMPARING_OPTIONS: dict[str, Any] = {
    "sample_items": {"type": "int", "default": 1000},
    "ignore_expired": {"type": "bool", "default": False},
    "differences_path": {"type": "path"},
    "work_dir": {"type": "path"},
    "digest": {"type": "str", "choices": ["auto", "sha256"], "default": "auto"},
}

COPYING_OPTIONS: dict[str, Any] = {
    "write_rate": {"type": "str"},
    "checkpoint_dir": {"type": "path"},
    "refused_path": {"type": "path"},
}


def account_option(required: bool = False) -> dict[str, Any]:
    """The option that names one side of a migration."""
    return {"type": "dict", "required": required, "options": ACCOUNT_OPTIONS}


# For verbs that start a job.
STARTING_OPTIONS: dict[str, Any] = {**SHARED_OPTIONS, **MIGRATION_OPTIONS, **WAITING_OPTIONS}

# For verbs that need both sides.
BOTH_ACCOUNTS_OPTIONS: dict[str, Any] = {
    "source": account_option(required=True),
    "destination": account_option(required=True),
}

# For verbs that use one account, source or destination.
ONE_ACCOUNT_OPTIONS: dict[str, Any] = {
    "account": account_option(required=True),
    "side": {"type": "str", "choices": ["source", "destination"], "default": "source"},
}


def given(params: Parameters, names: Iterable[str]) -> dict[str, Any]:
    """The options among ``names`` that are set; the core has defaults for the others."""
    return {name: params[name] for name in names if params[name] is not None}
