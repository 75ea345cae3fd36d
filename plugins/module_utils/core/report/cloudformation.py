# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Templates and lists for CloudFormation: a change set of type IMPORT takes tables that stand into a stack (iac.md,
"CloudFormation"). Pure.

Everything in a template is from the table as it stands, and DeletionPolicy keeps it when the import is taken back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..table.definition import Index, Shape, TableDefinition
from ..table.encryption import Encryption
from ..table.setting import Settings

MOST_RESOURCES = 200  # of a template, so that it stays under 1 MB (cfn-lint, limits)
INLINE_BYTES = 51_200  # of a template in a request, larger ones lie in S3 (API reference, TemplateBody)
STACK = "STACK"
TRAPS = (
    "Put the name of the stack in the place of STACK. An existing stack needs its whole template, with these resources"
    " added.",
    "The import does not check whether the values are the table's: run drift detection on the stack afterwards.",
    "The table must not belong to another stack. Tags aws:cloudformation:* of the source are its stack's, and are not"
    " carried.",
)
_FILE = re.compile(r"(?:cloudformation-template|resources-to-import)(?:-\d+)?\.json")
_ODD = re.compile(r"[^A-Za-z0-9]+")


def files(tables: Sequence[Settings]) -> dict[str, str]:
    """The templates and the lists of what to import, by name: as many as the number of resources asks for."""
    found: dict[str, str] = {}
    for number, start in enumerate(range(0, len(tables), MOST_RESOURCES), 1):
        part = _named(tables[start : start + MOST_RESOURCES])
        template = {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": "Tables that TableFerry moved, as they stand",
            "Resources": {name: _resource(each) for name, each in part.items()},
        }
        listed = [
            {
                "ResourceType": "AWS::DynamoDB::Table",
                "LogicalResourceId": name,
                "ResourceIdentifier": {"TableName": each.definition.name},
            }
            for name, each in part.items()
        ]
        names = file_names(number)
        found |= {name: json.dumps(data, indent=2) + "\n" for name, data in zip(names, (template, listed), strict=True)}
    return found


def file_names(number: int) -> tuple[str, str]:
    """The names of the ``number``-th template and of its list."""
    more = "" if number == 1 else f"-{number}"
    return f"cloudformation-template{more}.json", f"resources-to-import{more}.json"


def is_ours(name: str) -> bool:
    """Whether ``file_names`` gives that ``name`` to a file."""
    return _FILE.fullmatch(name) is not None


def commands(found: dict[str, str]) -> list[str]:
    """The two commands for each template in ``found``; one that is too large for a request is to lie in S3."""
    lines = []
    for number in range(1, len(found) // 2 + 1):
        template, listed = file_names(number)
        stack = STACK if number == 1 else f"{STACK}-{number}"
        place = f"--template-body file://{template}"
        if len(found[template].encode()) > INLINE_BYTES:
            place = f"--template-url https://BUCKET.s3.REGION.amazonaws.com/{template}"
        lines += [
            f"aws cloudformation create-change-set --stack-name {stack} --change-set-name import-tables"
            f" --change-set-type IMPORT {place} --resources-to-import file://{listed}",
            f"aws cloudformation execute-change-set --stack-name {stack} --change-set-name import-tables",
        ]
    return lines


def left_out(tables: Iterable[Settings]) -> Iterator[str]:
    """What the templates do not have, in words, a line for each table."""
    for settings in tables:
        name = settings.definition.name
        if settings.get("autoscaling"):
            yield f"{name}: auto scaling is a resource of its own, and is not in the CloudFormation template."
        if settings.definition.vector_indexes:
            yield f"{name}: vector indexes are not in the CloudFormation template."
        if settings.definition.replicas:
            yield f"{name}: its replicas are not in the CloudFormation template."
        if (settings.get("encryption") or {}).get("kind") == "unknown":
            yield f"{name}: its KMS key could not be described, and is not in the CloudFormation template."


def _named(tables: Sequence[Settings]) -> dict[str, Settings]:
    """``tables`` by logical ids: letters and digits only, each once."""
    used: dict[str, Settings] = {}
    for settings in tables:
        words = [word for word in _ODD.split(settings.definition.name) if word]
        plain = "".join(word[:1].upper() + word[1:] for word in words)[:200] or "Table"
        plain = plain if plain[0].isalpha() else f"Table{plain}"
        number, name = 1, plain
        while name in used:
            number += 1
            name = f"{plain}Nr{number}"
        used[name] = settings
    return used


def _resource(settings: Settings) -> Shape:
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {name: value for name, value in _properties(settings) if value not in (None, {}, [], "")},
    }


def _properties(settings: Settings) -> Iterator[tuple[str, Any]]:
    table = settings.definition
    insights = settings.get("contributor_insights") or {}
    yield "TableName", table.name
    yield "AttributeDefinitions", list(table.attribute_definitions)
    yield "KeySchema", list(table.key_schema)
    yield "BillingMode", table.billing_mode
    yield "ProvisionedThroughput", table.provisioned_throughput
    yield "OnDemandThroughput", table.on_demand_throughput
    yield "GlobalSecondaryIndexes", [_index(each, insights) for each in table.global_secondary_indexes]
    yield "LocalSecondaryIndexes", [_keys(each) for each in table.local_secondary_indexes]
    yield "TableClass", table.table_class
    yield "DeletionProtectionEnabled", table.deletion_protection
    yield "SSESpecification", _encryption(settings)
    yield "StreamSpecification", _stream(table, settings)
    recovery = settings.get("point_in_time_recovery")
    if recovery:
        days = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": recovery["days"]}
        yield "PointInTimeRecoverySpecification", days
    if settings.get("time_to_live"):
        yield "TimeToLiveSpecification", {"AttributeName": settings.get("time_to_live"), "Enabled": True}
    kinesis = settings.get("kinesis_destination")
    if kinesis:
        yield (
            "KinesisStreamSpecification",
            {"StreamArn": kinesis["stream"], "ApproximateCreationDateTimePrecision": kinesis["precision"]},
        )
    yield "ContributorInsightsSpecification", _insights(insights, "")
    if settings.get("resource_policy"):
        yield "ResourcePolicy", {"PolicyDocument": settings.get("resource_policy")}
    yield "Tags", [{"Key": key, "Value": value} for key, value in (settings.get("tags") or {}).items()]


def _keys(index: Index) -> Shape:
    return {"IndexName": index.name, "KeySchema": list(index.key_schema), "Projection": index.projection}


def _index(index: Index, insights: dict[str, str]) -> Shape:
    more = {
        "ProvisionedThroughput": index.provisioned_throughput,
        "OnDemandThroughput": index.on_demand_throughput,
        "ContributorInsightsSpecification": _insights(insights, index.name),
    }
    return {**_keys(index), **{name: value for name, value in more.items() if value}}


def _insights(found: dict[str, str], part: str) -> Shape:
    return {"Enabled": True, "Mode": found[part]} if part in found else {}


def _encryption(settings: Settings) -> Shape:
    found = settings.get("encryption") or {}
    if found.get("kind") == "unknown":
        return {}
    asked = Encryption(**found).specification()
    return {("SSEEnabled" if name == "Enabled" else name): value for name, value in asked.items()}


def _stream(table: TableDefinition, settings: Settings) -> Shape:
    if not table.stream:
        return {}
    policy = settings.get("stream_policy")
    more = {"ResourcePolicy": {"PolicyDocument": policy}} if policy else {}
    return {"StreamViewType": table.stream["StreamViewType"], **more}
