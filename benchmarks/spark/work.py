# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the Spark job is measured at: steps of transforms, and the plan of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyAttribute
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.exported import ExportedFile
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Definition
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import KeySchema, TableSchemas
from ansible_collections.tableferry.aws.plugins.module_utils.spark.plan import JobPlan
from benchmarks.clients import REGION
from benchmarks.spark.exports import Export
from benchmarks.spark.servers import BUCKET, Servers

SALT = "env:FERRY_SALT"
FUNCTIONS = "functions.py"
FUNCTION = """
def change(item):
    item["amount"] = {"N": str(int(item["amount"]["N"]) + 1)}
    item["country"] = {"S": "DE"}
    item.pop("digest", None)
    return item
"""
# By the name of the work, the steps that the issue measures.
STEPS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "none": (),
    "three": ({"drop": ["digest"]}, {"rename": {"note": "text"}}, {"set": {"imported": True}}),
    "six": (
        {"keep_if": "attribute_exists(customer) AND amount >= :least"},
        {"drop": ["digest"]},
        {"set": {"customer": "TENANT#acme#{customer}"}},
        {"hash": {"attributes": ["note"], "salt_from": SALT}},
        {"cast": {"amount": "S"}},
        {"set": {"imported": True}},
    ),
    # The same for the key, once provably apart, and once to be looked at.
    "apart": ({"set": {"customer": "T#{customer}"}},),
    "look": ({"set": {"customer": "{customer}{order}"}},),
    "python": ({"python": {"function": f"{FUNCTIONS}:change", "attributes": "all"}},),
}
SCHEMAS = TableSchemas(KeySchema((KeyAttribute("customer", "S"),), (KeyAttribute("order", "S"),)))


def definition(work: str) -> Definition:
    """The transform of ``work``."""
    return Definition(
        STEPS[work],
        SCHEMAS,
        values={":least": {"N": "0"}} if work == "six" else {},
        salts={SALT: b"benchmark"} if work == "six" else {},
        files={FUNCTIONS: FUNCTION} if work == "python" else {},
    )


def plan(
    run: str, work: str, export: Export, table: str, table_id: str, servers: Servers, rate: float = 0.0
) -> JobPlan:
    """The plan of a run, whose objects no other run has. Only "look" looks for colliding keys, whatever the steps do:
    that look has a line of its own."""
    files = tuple(ExportedFile(file.key, file.items, file.md5) for file in export.files)
    url = servers.tables.url("destination", "http")
    where = f"runs/{run}/"
    return JobPlan(
        run,
        REGION,
        BUCKET,
        "",
        where,
        table,
        table_id,
        files,
        definition(work),
        url,
        rate=rate,
        s3_url=servers.s3_url,
        kept_apart=work != "look",
    )
