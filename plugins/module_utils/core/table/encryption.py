# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which key encrypts a table, and which key is to encrypt its copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .. import sdk
from ..account import Account
from ..aws_errors import DENIED, NO_KEY
from ..errors import KeyNotUsable, MissingKeyMapping
from .definition import Shape, TableDefinition

Kind = Literal["aws_owned", "aws_managed", "customer", "unknown"]

AWS_MANAGED_ALIAS = "alias/aws/dynamodb"


@dataclass(frozen=True)
class Encryption:
    """What encrypts a table: the AWS-owned key, the account's aws/dynamodb key, or a customer's key.

    ``unknown`` is a KMS key that could not be described.
    """

    kind: Kind = "aws_owned"
    key_arn: str = ""

    def specification(self) -> Shape:
        """The SSESpecification that asks for it, {} for the AWS-owned key (measured/settings 2.10)."""
        if self.kind == "aws_owned":
            return {}
        key = {"KMSMasterKeyId": self.key_arn} if self.kind == "customer" else {}
        return {"Enabled": True, "SSEType": "KMS", **key}


def read_encryption(account: Account, definition: TableDefinition) -> Encryption:
    """What encrypts the table, by one call to KMS unless it is the AWS-owned key. Raises what Account.explain gives."""
    if not definition.kms_key_arn:
        return Encryption()
    arn = definition.kms_key_arn
    doing = f"describing the key {arn}"
    answer = account.ask("kms", "describe_key", doing, definition.name, missing=UNANSWERED, KeyId=arn)
    return classify(answer["KeyMetadata"]) if answer else Encryption("unknown", arn)


# A key that was deleted, or that the caller may not describe, can still be in a key map.
UNANSWERED = DENIED | NO_KEY


def classify(metadata: Mapping[str, Any]) -> Encryption:
    """From KMS KeyMetadata; only KeyManager tells an AWS-managed key from a customer's (aws.md D)."""
    return Encryption("aws_managed" if metadata.get("KeyManager") == "AWS" else "customer", str(metadata["Arn"]))


def map_encryption(source: Encryption, kms_key_map: Mapping[str, str], table: str = "") -> Encryption:
    """What is to encrypt the destination.

    The source's own aws/dynamodb key becomes the destination's, the AWS-owned key stays, unless the map says otherwise
    (the aws/dynamodb key may be mapped by its alias too). A customer's key is looked up by ARN, then by key id;
    ``resolve_key_map`` looks aliases up. A mapping to ``alias/aws/dynamodb`` means the destination's AWS-managed key.
    Raises MissingKeyMapping.
    """
    mapped = kms_key_map.get(_name_in(source, kms_key_map), "")
    if mapped:
        return Encryption("aws_managed") if mapped == AWS_MANAGED_ALIAS else Encryption("customer", mapped)
    if source.kind in ("customer", "unknown"):
        hint = "" if source.kind == "customer" else " If it is the account's aws/dynamodb key, allow kms:DescribeKey."
        raise MissingKeyMapping(
            f"The table is encrypted with the KMS key {source.key_arn}, which is not in kms_key_map.",
            f"Add {source.key_arn} to kms_key_map with the ARN of a key of the destination account.{hint}",
            table=table,
            details={"key_arn": source.key_arn},
        )
    return Encryption(source.kind)


def usable_key(destination: Account, key: str, table: str = "") -> str:
    """The ARN of ``key`` (ARN, id or alias), once it is known to be able to encrypt a table of ``destination``.

    Aliases and ids are resolved because sending them again re-encrypts the table and uses quota (measured/settings
    2.10). Raises KeyNotUsable, which AWS would report only later, for some keys as HTTP 500.
    """
    if key == AWS_MANAGED_ALIAS:
        return key

    def refuse(cause: str, next_step: str) -> KeyNotUsable:
        return KeyNotUsable(f"The key {key} in kms_key_map {cause}.", next_step, table=table, details={"key": key})

    other_region = f"Use a key in {destination.region}."
    if key.startswith("arn:") and key.split(":")[3] != destination.region:
        raise refuse("is in another Region than the table", other_region)
    try:
        metadata = destination.client("kms").describe_key(KeyId=key)["KeyMetadata"]
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        code = sdk.error_code(error)
        if code in DENIED and key.startswith("arn:") and ":key/" in key:
            return key  # it may be usable all the same: DynamoDB decides
        if code in UNANSWERED:
            raise refuse(
                f"cannot be described by the destination account ({sdk.told(error)})",
                "Check the ARN, and that the key policy allows the destination kms:DescribeKey and kms:CreateGrant.",
            ) from error
        raise destination.explain(error, f"describing the key {key}", table) from error
    if metadata.get("KeyManager") == "AWS":
        raise refuse("is managed by AWS for another service", "Use a customer managed key.")
    if metadata.get("KeyState", "Enabled") != "Enabled":
        raise refuse(f"is {metadata['KeyState']}", "Enable it, or use another key.")
    if metadata.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
        raise refuse(f"is of type {metadata['KeySpec']}", "Use a symmetric encryption key.")
    return str(metadata["Arn"])


def resolve_key_map(
    destination: Account,
    kms_key_map: Mapping[str, str],
    table: str = "",
    encryption: Encryption | None = None,
    source: Account | None = None,
) -> dict[str, str]:
    """``kms_key_map`` with its values as ARNs of usable keys, by one call for each value.

    With ``encryption``, the source's, only the entry that this table needs: an unusable key for another table does not
    stop this one. Where the map does not have the key by ARN or id, the aliases in the map are looked up in the account
    ``source``: its entry is then named by the key's ARN. Raises KeyNotUsable, and what Account.explain gives.
    """
    if encryption is not None:
        name = _name_in(encryption, kms_key_map)
        if name:
            return {name: usable_key(destination, kms_key_map[name], table)}
        alias = _alias_in(source, encryption, kms_key_map) if source is not None and encryption.key_arn else ""
        return {encryption.key_arn: usable_key(destination, kms_key_map[alias], table)} if alias else {}
    resolved = {value: usable_key(destination, value, table) for value in dict.fromkeys(kms_key_map.values())}
    return {key: resolved[value] for key, value in kms_key_map.items()}


def _name_in(source: Encryption, kms_key_map: Mapping[str, str]) -> str:
    """The name of the source's key in the map; "" where it is not there."""
    names = [source.key_arn, source.key_arn.rpartition("/")[2]] if source.key_arn else []
    if source.kind == "aws_managed":
        names.append(AWS_MANAGED_ALIAS)
    return next((name for name in names if kms_key_map.get(name)), "")


def _alias_in(source: Account, encryption: Encryption, kms_key_map: Mapping[str, str]) -> str:
    """The alias (``alias/NAME``, or its ARN) by which the map names the source's key, by one call for each; "" where
    it does not."""
    for name in kms_key_map:
        if name != AWS_MANAGED_ALIAS and name.rpartition(":")[2].startswith("alias/"):
            doing = f"looking up the key of {name}"
            answer = source.ask("kms", "describe_key", doing, missing=UNANSWERED, KeyId=name)
            if answer and answer["KeyMetadata"]["Arn"] == encryption.key_arn:
                return name
    return ""
