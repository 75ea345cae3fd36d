# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The request for an import: its options, the route they name, and the call made of them and of a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ..account import Account
from ..change import Change
from ..errors import ExportFailed, InvalidInput, PrefixNotData, QuotaTooSmall
from ..exports.manifest import Manifest
from ..jobs.job import Job
from ..route import Route
from ..table.creation import import_parameters
from ..table.definition import TableDefinition
from ..table.encryption import Encryption, read_encryption, resolve_key_map

KIND = "import"
MOST_OBJECTS = 50_000  # that one import reads (aws.md B5)


@dataclass(frozen=True)
class ImportOptions:
    """What to import and from where. ``table`` is the destination table, ``source_table`` defaults to the same name.

    ``without_indexes`` are those that the table is made without. ``refused_path`` is a file on this machine for the
    keys of items that AWS refuses, "" for none.

    Either ``export`` (the job of an export) or ``prefix`` (``.../AWSDynamoDB/<id>/data/``) names the data.
    """

    table: str
    bucket: str
    source_table: str = ""
    bucket_owner: str = ""
    export: Job | None = None
    prefix: str = ""
    input_format: Literal["DYNAMODB_JSON", "ION"] = "DYNAMODB_JSON"
    compression: Literal["GZIP", "ZSTD", "NONE"] = "GZIP"
    definition: TableDefinition | None = None
    kms_key_map: Mapping[str, str] = field(default_factory=dict)
    migration_id: str = "default"
    replace_failed: bool = False
    max_age: int = 86400
    without_indexes: tuple[str, ...] = ()
    refused_path: str = ""


def route_of(source: Account | None, destination: Account, options: ImportOptions, manifest: Manifest | None) -> Route:
    """The table's route. Where the data came from is in the export or, for a bare prefix, in its manifest."""
    table = options.export.request.get("source", {}) if options.export else {}
    arn = table.get("table_arn") or (manifest.table_arn if manifest else "")
    if not arn and source is not None:
        arn = source.table_arn(options.source_table or options.table)
    if not arn:
        raise InvalidInput("The source table is not known.", "Set export, prefix or source.")
    region, account_id, resource = arn.split(":", 5)[3:6]
    return Route(
        source_account_id=account_id,
        source_region=region,
        source_table=resource.removeprefix("table/"),
        destination_account_id=destination.account_id,
        destination_region=destination.region,
        destination_table=options.table,
        migration_id=options.migration_id,
    )


def check_manifest(options: ImportOptions, route: Route, manifest: Manifest) -> None:
    """What AWS would check only after the start, or never: kind of export, prefix, format."""
    if manifest.export_type != "FULL_EXPORT":
        raise PrefixNotData(
            "An incremental export cannot be imported.",
            "Import a full export.",
            table=route.source_table,
        )
    if options.prefix and options.prefix != manifest.data_prefix:
        raise PrefixNotData(
            f"The prefix {options.prefix} is not the data prefix of the export {manifest.export_arn}.",
            f"Leave prefix out or set it to {manifest.data_prefix}.",
            table=route.source_table,
        )
    if manifest.output_format != options.input_format:
        raise InvalidInput(
            f"The export is {manifest.output_format}, but input_format is {options.input_format}.",
            f"Set input_format to {manifest.output_format}.",
            table=route.source_table,
        )
    if options.compression != "GZIP":
        raise InvalidInput(
            f"Exports are compressed with GZIP, but compression is {options.compression}.",
            "Leave compression out.",
            table=route.source_table,
        )
    require_importable_number(len(manifest.files), route.source_table)


def require_importable_number(files: int, table: str) -> None:
    """Raises QuotaTooSmall for an export of the source ``table`` with more ``files`` than an import reads: AWS says so
    only after the start. One without known files has been looked at."""
    if files > MOST_OBJECTS:
        raise QuotaTooSmall(
            f"The export has {files:,} files, and an import reads at most {MOST_OBJECTS:,} objects.",
            "Use a method that writes the items into the table: direct, or glue or emr with end: table.",
            table=table,
            details={"quota": "objects of an import", "needed": files, "allowed": MOST_OBJECTS},
        )


def table_parameters(
    source: Account | None, destination: Account, options: ImportOptions, exported_id: str
) -> dict[str, Any]:
    """TableCreationParameters from the definition given, or read at the source where that one is of another table than
    the exported one (``exported_id``); a definition without an id was written by hand and is used as it is."""
    definition = options.definition
    other = definition is None or definition.table_id not in ("", exported_id)
    if other and source is not None:
        definition = TableDefinition.read(source, options.source_table or options.table)
    if definition is None:
        raise InvalidInput(
            "The source table's definition is not known.", "Set definition or source.", table=options.table
        )
    encryption, key_map = None, dict[str, str]()
    if definition.kms_key_arn:
        # Without the source account a key counts as customer managed.
        encryption = read_encryption(source, definition) if source else Encryption("customer", definition.kms_key_arn)
        key_map = resolve_key_map(destination, options.kms_key_map, options.table, encryption, source)
    shape = definition.without_indexes(options.without_indexes)
    return import_parameters(shape, options.table, key_map, encryption=encryption)


def foreseen_call(source: Account | None, destination: Account, options: ImportOptions) -> dict[str, Any]:
    """What is known of the import's request while there is no export: the table that it will create."""
    exported = options.export.request.get("source", {}).get("table_id", "") if options.export else ""
    return {"TableCreationParameters": table_parameters(source, destination, options, exported)}


def check_age(destination: Account, options: ImportOptions) -> None:
    """An export is used up to its max_age; the age of a bare prefix is not checked."""
    ended = options.export.result.get("end_time") if options.export else None
    if ended and not destination.is_young(datetime.fromisoformat(ended), options.max_age):
        raise ExportFailed(
            f"The export ended at {ended}, longer ago than export_max_age ({options.max_age} s).",
            "Run the export again: it makes a new one.",
            table=options.table,
        )


def untagged(destination: Account) -> tuple[str, ...]:
    """The warning that a table comes without tags, for an account on whose things its user wants some: that may be
    because its organization demands them."""
    if not destination.tags:
        return ()
    return (
        "ImportTable takes no tags: the copy gets those of its source table afterwards. Where the organization demands"
        " tags on new tables, AWS refuses the import; the method direct creates its copy with them.",
    )


def import_change(options: ImportOptions, prefix: str, call: Mapping[str, Any]) -> Change:
    """What a preview shows of the import: where its data lies and the table that it makes."""
    after = {"from": f"s3://{options.bucket}/{prefix}", "table": call.get("TableCreationParameters", {})}
    return Change(f"import into {options.table}", None, after, "billed")
