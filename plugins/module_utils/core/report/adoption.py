# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Adoption: files with which infrastructure as code takes over the tables of an account and Region, as they stand.

A moved table belongs to no Terraform state and to no CloudFormation stack (iac.md).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ..account import Account
from ..errors import FerryError
from ..table.definition import TableDefinition
from ..table.setting import Settings
from ..table.settings import read_settings
from . import cloudformation, terraform

THREADS = 8
WAYS = ("terraform", "cloudformation")
FOLDER = "iac"  # in the report's, with one for each account and Region
SCALING = "application-autoscaling"


@dataclass(frozen=True)
class TableAsItStands:
    """A table as it stands, with its scaling ``policies`` (as ``terraform.import_blocks`` takes them); ``problem`` is
    why it could not be read."""

    name: str
    settings: Settings | None = None
    policies: tuple[str, ...] = ()
    problem: str = ""


def read_tables(account: Account, names: Sequence[str]) -> list[TableAsItStands]:
    """The tables ``names`` of ``account``: reads only, some tables at a time. A table that cannot be read has a problem
    and stops no other."""

    def one(name: str) -> TableAsItStands:
        try:
            settings = read_settings(account, TableDefinition.read(account, name))
            return TableAsItStands(name, settings, tuple(_policies(account, settings)))
        except FerryError as error:
            return TableAsItStands(name, problem=f"{name}: it is in no file. {error.cause}")

    with ThreadPoolExecutor(THREADS, "tableferry-adopt") as pool:
        return list(pool.map(one, names))


def _policies(account: Account, settings: Settings) -> list[str]:
    """The scaling policies of a table, by one call for each resource that is scaled: settings know them without the
    table's name."""
    name = settings.definition.name
    scaled = (settings.get("autoscaling") or {}).items()
    resources = {terraform.scaled_resource(name, key).rpartition("/")[0] for key, each in scaled if each["policies"]}
    found: list[str] = []
    for resource in sorted(resources):
        answer = account.ask(
            SCALING,
            "describe_scaling_policies",
            f"reading the scaling policies of {name}",
            name,
            ServiceNamespace="dynamodb",
            ResourceId=resource,
        )
        found += terraform.names_of_policies(answer or {"ScalingPolicies": []})
    return found


def adopt(
    account: Account, tables: Sequence[TableAsItStands], ways: Collection[str]
) -> tuple[dict[str, str], dict[str, Any]]:
    """The files for ``tables`` by their paths in the report's folder, and what the report says of them."""
    folder = f"{FOLDER}/{account.account_id}-{account.region}"
    settings = [each.settings for each in tables if each.settings is not None]
    left = [each.problem for each in tables if each.problem]
    files: dict[str, str] = {}
    told: list[dict[str, Any]] = []
    if "terraform" in ways and settings:
        policies = {each.name: each.policies for each in tables}
        made = {terraform.FILE: terraform.import_blocks(settings, policies)}
        told.append(_way("Terraform and OpenTofu", folder, made, terraform.COMMANDS, terraform.TRAPS))
        left += terraform.left_out(settings)
        files |= {f"{folder}/{name}": text for name, text in made.items()}
    if "cloudformation" in ways and settings:
        made = cloudformation.files(settings)
        commands = cloudformation.commands(made)
        told.append(_way("CloudFormation", folder, made, commands, cloudformation.TRAPS))
        left += cloudformation.left_out(settings)
        files |= {f"{folder}/{name}": text for name, text in made.items()}
    places = {"account_id": account.account_id, "region": account.region}
    return files, {**places, "tables": len(settings), "ways": told, "left": left}


def is_ours(name: str) -> bool:
    """Whether files of that ``name`` are made here."""
    return name == terraform.FILE or cloudformation.is_ours(name)


def nothing(why: str) -> dict[str, Any]:
    """What the report says where there are no files."""
    return {"account_id": "", "region": "", "tables": 0, "ways": [], "left": [why]}


def _way(
    name: str, folder: str, files: Mapping[str, str], commands: Sequence[str], traps: Sequence[str]
) -> dict[str, Any]:
    return {"name": name, "folder": folder, "files": list(files), "commands": list(commands), "traps": list(traps)}
