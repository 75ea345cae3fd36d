# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an approved plan holds of a host's variables besides the options of its migration: how accounts are prepared."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.validation import check_type_dict

from ansible_collections.tableferry.aws.plugins.plugin_utils.hostvars import read, read_if_sound

# What counts where a variable is not set, unless that is empty, 0 or false; the roles' defaults say the same.
DEFAULTS: dict[str, Any] = {
    "ferry_manage_accounts": True,
    "ferry_staging_days": 30,
    "ferry_backup_role_policy": "managed",
    "ferry_backup_open_to": "account",
    "ferry_backup_schedule": "cron(0 5 ? * * *)",
}
_EMPTY: dict[str, Any] = {"bool": False, "int": 0, "str": "", "list": [], "dict": {}}
# Variables of roles, which an inventory may set instead of the user's. Of those of move_table the options are made.
OF_ROLES: dict[str, tuple[str, ...]] = {
    "judge_table": ("verify", "verify_checksums", "writes_stopped"),
    "source_account": (
        *("manage", "manage_policy", "table_key_arns", "migration_id", "record_table"),
        *("vault", "vault_key_arn", "vault_key_alias", "backup_role", "backup_role_policy", "permissions_boundary"),
        *("backup_plan", "backup_schedule", "backup_days", "backup_cold_days", "copy_days", "copy_cold_days"),
        *("destination_vault", "air_gapped_vault", "air_gapped_min_days", "air_gapped_max_days"),
    ),
    "destination_account": (
        *("manage", "bucket", "kms_key_arn", "create_kms_key", "kms_key_alias", "staging_days", "log_group"),
        *("migration_id", "record_table", "vault", "vault_key_arn", "vault_key_alias"),
        *("restore_role", "backup_role_policy", "spark_role", "permissions_boundary", "open_to", "air_gapped_vault"),
    ),
}
ACCOUNTS_OF_ROLES = (
    *("source_account_source", "source_account_destination", "source_account_management"),
    *("destination_account_source", "destination_account_destination"),
)
_WHERE = ("account_id", "region", "profile", "role_arn")  # of an account: no keys


def held_variables(variables: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The values of the variables in ``known``, an argument spec, and of those of roles, by their names without
    ``ferry_``. The ``variables`` are those of a host without problems. No secret is among them."""
    spec = {name: {**each, "default": DEFAULTS.get(name, _EMPTY[each["type"]])} for name, each in known.items()}
    given = {name: read(variables, name) for name in spec if name in variables}
    given = {name: value for name, value in given.items() if value is not None}
    meant = ArgumentSpecValidator(spec).validate(given).validated_parameters
    found = {name.removeprefix("ferry_"): value for name, value in meant.items()}
    of_roles = [f"{role}_{option}" for role, options in OF_ROLES.items() for option in options]
    # One that cannot be read fails its role, in its own words.
    found |= {name: read_if_sound(variables, name) for name in of_roles if name in variables}
    accounts = {name: read_if_sound(variables, name) for name in ACCOUNTS_OF_ROLES if name in variables}
    return {**found, **{name: where(account) for name, account in accounts.items()}}


def where(account: Any) -> dict[str, Any]:
    """Which account that is, without its keys; it may be a text. Empty for what is no account."""
    with suppress(TypeError):
        options = check_type_dict(account) if account else {}
        return {name: options[name] for name in _WHERE if options.get(name)}
    return {}
