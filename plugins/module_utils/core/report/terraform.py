# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Import blocks for Terraform and OpenTofu: they take tables that stand into a state (iac.md, "Terraform"). Pure.

``terraform plan -generate-config-out`` writes the resource blocks, so that only the import blocks are needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..table.setting import Settings

FILE = "import.tf"
COMMANDS = ("terraform plan -generate-config-out=tables.tf", "terraform apply")  # or tofu
TRAPS = (
    "Run them with a provider of this account and Region, after terraform init; OpenTofu has the same commands.",
    "Read the plan: it may only import. Never write an import_table block for a table that stands: it is replaced.",
    "Tools that see the import from S3 as a difference, as awscc may, want a new table too: do not apply that.",
    "The id for the Contributor Insights of a table itself is not confirmed by the provider's documentation.",
)
_NO_LETTER = re.compile(r"[^A-Za-z0-9_-]")
_SIGNS = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def import_blocks(tables: Iterable[Settings], policies: Mapping[str, Iterable[str]]) -> str:
    """The text of import.tf for ``tables``; ``policies`` has for each table the names of its scaling policies by
    resource and dimension, as ``RESOURCE_ID/DIMENSION/NAME``."""
    addresses = _TerraformNames()
    blocks = [
        f'import {{\n  to = {kind}.{addresses.unique(kind, name)}\n  id = "{_quoted(id_)}"\n}}\n'
        for settings in tables
        for kind, name, id_ in _resources(settings, policies.get(settings.definition.name, ()))
    ]
    return "\n".join(blocks)


def _resources(settings: Settings, policies: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Type, a name for the address, and id of each resource of a table."""
    table = settings.definition
    name = table.name
    yield "aws_dynamodb_table", name, name
    if settings.get("resource_policy"):
        yield "aws_dynamodb_resource_policy", name, table.arn
    if settings.get("stream_policy"):
        yield "aws_dynamodb_resource_policy", f"{name}_stream", table.stream_arn
    for index in settings.get("contributor_insights") or {}:
        part = f"{name}_{index}" if index else name
        yield "aws_dynamodb_contributor_insights", part, f"name:{name}/index:{index}/{table.account_id}"
    stream = (settings.get("kinesis_destination") or {}).get("stream")
    if stream:
        yield "aws_dynamodb_kinesis_streaming_destination", name, f"{name},{stream}"
    for key in settings.get("autoscaling") or {}:
        yield "aws_appautoscaling_target", f"{name}_{key}", f"dynamodb/{scaled_resource(name, key)}"
    for policy in policies:
        yield "aws_appautoscaling_policy", f"{name}_{policy.rpartition('/')[2]}", f"dynamodb/{policy}"


def scaled_resource(table: str, key: str) -> str:
    """``table/orders/dynamodb:table:ReadCapacityUnits`` of a key of the setting autoscaling."""
    resource, _slash, unit = key.rpartition("/")
    kind, _slash, index = resource.partition("/")
    below = f"/index/{index}" if index else ""
    return f"table/{table}{below}/dynamodb:{kind}:{unit}"


class _TerraformNames:
    """Names of resources: letters, digits, ``_`` and ``-``, a letter or ``_`` first, each once within its type."""

    def __init__(self) -> None:
        self._used: set[tuple[str, str]] = set()

    def unique(self, kind: str, name: str) -> str:
        plain = _NO_LETTER.sub("_", name)
        plain = plain if plain[:1].isalpha() or plain[:1] == "_" else f"_{plain}"
        number, found = 1, plain
        while (kind, found) in self._used:
            number += 1
            found = f"{plain}_{number}"
        self._used.add((kind, found))
        return found


def _quoted(text: str) -> str:
    """``text`` within quotes of HCL: nothing in it is a template."""
    plain = "".join(_SIGNS.get(sign, sign) for sign in text)
    return plain.replace("${", "$${").replace("%{", "%%{")


def left_out(tables: Iterable[Settings]) -> Iterator[str]:
    """What no import block is there for, in words, a line for each table."""
    for settings in tables:
        for name, reason in settings.unreadable.items():
            yield f"{settings.definition.name}: {name} is in no file: {reason}"


def names_of_policies(found: Mapping[str, Any]) -> Iterator[str]:
    """The scaling policies of a resource, as AWS lists them, in the form of ``import_blocks``."""
    for policy in found["ScalingPolicies"]:
        yield f"{policy['ResourceId']}/{policy['ScalableDimension']}/{policy['PolicyName']}"
