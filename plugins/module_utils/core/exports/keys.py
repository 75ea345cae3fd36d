# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The KMS keys of a migration over S3: whether each can be used, checked before AWS charges for anything."""

from __future__ import annotations

from .. import sdk
from ..account import Account
from ..aws_errors import DENIED, NO_KEY
from ..errors import InvalidInput, KeyNotUsable
from ..table.creation import creation_parameters
from ..table.definition import TableDefinition
from ..table.encryption import AWS_MANAGED_ALIAS, read_encryption, resolve_key_map
from .export_request import ExportOptions
from .loading import Loader
from .staging import StagingBucket


def check_staging_key(bucket: StagingBucket, options: ExportOptions) -> None:
    """The staging key must be a customer's, named in full, in the bucket's Region (aws.md A5)."""
    if options.sse_algorithm == "AES256":
        if options.kms_key_arn:
            raise InvalidInput(
                "kms_key_arn is set, but sse_algorithm is AES256.", "Set sse_algorithm to KMS.", table=options.table
            )
        return
    parts = options.kms_key_arn.split(":")
    if len(parts) != 6 or parts[2] != "kms" or not parts[5].startswith("key/"):
        raise KeyNotUsable(
            f"The staging key {options.kms_key_arn!r} is not the full ARN of a key: the other account cannot use it.",
            "Set kms_key_arn to arn:<partition>:kms:<region>:<account>:key/<id>.",
            table=options.table,
        )
    region = bucket.region()
    if parts[3] != region:
        raise KeyNotUsable(
            f"The staging key is in {parts[3]}, the bucket {bucket.name} in {region}.",
            f"Use a key of {region}.",
            table=options.table,
        )
    _check_enabled(bucket.account, options.kms_key_arn, "staging", options.table)


def _check_enabled(account: Account, key_arn: str, whose: str, table: str) -> None:
    """Refuse a key that KMS knows to be unusable; a key that may not be described may still work for DynamoDB."""
    try:
        metadata = account.client("kms").describe_key(KeyId=key_arn)["KeyMetadata"]
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if sdk.error_code(error) in DENIED:
            return
        if sdk.error_code(error) in NO_KEY:
            raise KeyNotUsable(
                f"The {whose} key {key_arn} does not exist.", "Set the ARN of a key that exists.", table=table
            ) from error
        raise account.explain(error, f"describing the {whose} key", table) from error
    state = metadata.get("KeyState", "Enabled")
    if state != "Enabled":
        raise KeyNotUsable(f"The {whose} key {key_arn} is {state}.", "Enable it, or use another key.", table=table)
    if whose == "staging" and metadata.get("KeyManager") == "AWS":
        raise KeyNotUsable(
            f"The staging key {key_arn} is managed by AWS: other accounts cannot use it.",
            "Use a customer managed key.",
            table=table,
        )


def check_keys(
    source: Account, destination: Account, definition: TableDefinition, options: ExportOptions, loader: Loader
) -> None:
    """Whether the ``loader`` can make the table, encrypted as requested, and the source's key still works."""
    encryption, key_map = None, dict[str, str]()
    if definition.kms_key_arn:
        encryption = read_encryption(source, definition)
        if encryption.kind == "customer":
            _check_enabled(source, definition.kms_key_arn, "source table's", definition.name)
        key_map = resolve_key_map(destination, options.kms_key_map, definition.name, encryption, source)
    loader.require_loadable(definition)
    name = options.destination_table or definition.name
    creation_parameters(definition, name, key_map, tags={}, encryption=encryption)


def undescribed(
    source: Account, destination: Account, definition: TableDefinition, options: ExportOptions
) -> list[str]:
    """The warning that nobody has seen whether the key of the copy can be used: ``usable_key`` lets one pass that the
    destination may not describe, since DynamoDB may be allowed to. Raises what resolve_key_map raises."""
    if not definition.kms_key_arn:
        return []
    encryption = read_encryption(source, definition)
    mapped = resolve_key_map(destination, options.kms_key_map, definition.name, encryption, source)
    return [
        f"Whether the key {key} can encrypt the copy is not known: the destination may not call kms:DescribeKey on it."
        " If DynamoDB may not use it either, the import is refused after the export has been billed."
        for key in mapped.values()
        if key != AWS_MANAGED_ALIAS
        and destination.ask("kms", "describe_key", f"describing the key {key}", missing=DENIED, KeyId=key) is None
    ]
