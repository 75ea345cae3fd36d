# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of a table that does not exist yet: what check mode shows before the table is created."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from ..account import Account
from .autoscaling import AutoScaling
from .creation import creation_parameters, import_parameters
from .definition import AS_OF, TableDefinition
from .encryption import Encryption, map_encryption, resolve_key_map
from .own_apis import Tags, tags_of_copy
from .ownership import marks
from .setting import Settings, SettingsOptions
from .settings import SettingsPlan, plan_settings, read_settings
from .transformed_settings import settings_after
from .update_table import EncryptionSetting

MadeBy = Callable[[Settings, str, str, SettingsOptions], Settings]

# What a restore drops from a table (measured/backup-restore-service 2.7; not measured for AWS Backup).
_DROPPED = (
    "DeletionProtectionEnabled",
    "LatestStreamArn",
    "LatestStreamLabel",
    "Replicas",
    "SSEDescription",
    "StreamSpecification",
    "TableClassSummary",
    "TableId",
    "WarmThroughput",
)


def items_to_write(definition: TableDefinition, made: TableDefinition) -> dict[str, Any]:
    """What it costs to write the items of ``definition`` into the table ``made``: about how many, and the write units,
    each 1 KB of an item, again for each index that an item is in (aws.md H). By AWS's own count, so items that steps
    leave out or make are not told, and the size is that before."""
    units = max(definition.item_count, -(-definition.size_bytes // 1024))
    indexes = len(made.global_secondary_indexes) + len(made.local_secondary_indexes)
    shown = {"about": definition.item_count, "bytes": definition.size_bytes, "write_units_about": units}
    return {**shown, **({"again_for_each_index": indexes} if indexes else {}), "as_of": AS_OF}


def preview_settings(
    source: Account,
    destination: Account,
    source_table: str,
    table: str,
    options: SettingsOptions,
    as_made: MadeBy | None = None,
) -> SettingsPlan:
    """As ``prepare_settings``, for the table that ``as_made`` (``as_imported``, ``as_created``, ``as_restored``) gives:
    by default that of an import, or of a restore where an import cannot create the table. Reads the source only.

    Raises MissingTable, MissingKeyMapping, KeyNotUsable, AccessDenied, CredentialsError.
    """
    here, lost = settings_after(read_settings(source, TableDefinition.read(source, source_table)), options.transform)
    if here.get(EncryptionSetting.name):
        encryption = Encryption(**here.get(EncryptionSetting.name))
        key_map = resolve_key_map(destination, options.kms_key_map, source_table, encryption, source)
        options = replace(options, kms_key_map=key_map)
    if as_made is None:
        as_made = as_restored if here.definition.local_secondary_indexes else as_imported
    there = as_made(here, destination.table_arn(table), table, options)
    plan = plan_settings(here, _with_auto_scaling(destination, there), options)
    return replace(plan, left=(*lost, *plan.left))


def _with_auto_scaling(destination: Account, there: Settings) -> Settings:
    """``there`` with the auto scaling that waits for a table of its name (measured/policy 3, TABLE-292); one call for
    a provisioned table, two more for each resource that has some."""
    there_now = read_settings(destination, there.definition, only=(AutoScaling.name,))
    return replace(
        there,
        values={**there.values, **there_now.values},
        unreadable={**there.unreadable, **there_now.unreadable},
    )


def as_imported(source: Settings, arn: str, table: str, options: SettingsOptions) -> Settings:
    """The settings of ``table`` just after an import from ``source``: what TableCreationParameters hold."""
    encryption = Encryption(**(source.get(EncryptionSetting.name) or {}))
    shape = source.definition.without_indexes(options.without_indexes)
    made = import_parameters(shape, table, options.kms_key_map, encryption=encryption)
    definition = TableDefinition.from_dict(
        {**made, "TableArn": arn, "BillingModeSummary": {"BillingMode": made["BillingMode"]}}
    )
    mapped = map_encryption(encryption, options.kms_key_map, source.definition.name)
    return Settings(definition, {EncryptionSetting.name: asdict(mapped)})


def as_created(source: Settings, arn: str, table: str, options: SettingsOptions) -> Settings:
    """The settings of ``table`` just after a CreateTable like ``source``, with the ownership tags."""
    encryption = Encryption(**(source.get(EncryptionSetting.name) or {}))
    mark = marks(options.migration_id, source.definition.arn)
    if Tags.name not in options.defer:
        mark = tags_of_copy(source.get(Tags.name) or {}, mark)
    made = creation_parameters(
        source.definition.without_indexes(options.without_indexes),
        table,
        options.kms_key_map,
        tags=mark,
        encryption=encryption,
        warm_throughput=options.warm_throughput,
    )
    shown = {
        "TableArn": arn,
        "BillingModeSummary": {"BillingMode": made["BillingMode"]},
        "TableClassSummary": {"TableClass": source.definition.table_class},
    }
    mapped = map_encryption(encryption, options.kms_key_map, source.definition.name)
    return Settings(
        TableDefinition.from_dict({**made, **shown}), {EncryptionSetting.name: asdict(mapped), Tags.name: mark}
    )


def as_restored(source: Settings, arn: str, table: str, options: SettingsOptions) -> Settings:
    """The settings of ``table`` just after a restore of ``source``, which brings keys, indexes and capacity."""
    kept = {name: value for name, value in source.definition.raw.items() if name not in _DROPPED}
    if "GlobalSecondaryIndexes" in kept:
        kept["GlobalSecondaryIndexes"] = [
            {name: value for name, value in index.items() if name not in _DROPPED}
            for index in kept["GlobalSecondaryIndexes"]
        ]
    definition = TableDefinition.from_dict({**kept, "TableName": table, "TableArn": arn, "TableStatus": "ACTIVE"})
    encryption = Encryption(**(source.get(EncryptionSetting.name) or {}))
    mapped = map_encryption(encryption, options.kms_key_map, source.definition.name)
    return Settings(definition, {EncryptionSetting.name: asdict(mapped)})
