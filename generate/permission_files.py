# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make permissions``: docs/permissions, and the permissions in the roles' READMEs, from what rehearsals needed."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.access import SparkAccess, job_role
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.ready_policies import Document, parts, size
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.shared_policy import merged
from generate.permissions import PHASES, pattern, policy, text
from generate.rehearsal import BUCKET, ROOT, SIDES, STREAM, USER, WAYS, rehearse_all
from lab.landscape import DESTINATION, REGION, SOURCE
from lab.permission_log import Permission

FOLDER = ROOT / "docs" / "permissions"
INDEX = FOLDER / "README.md"
ACCOUNTS: Mapping[str, str] = {SOURCE: "SOURCE", DESTINATION: "DESTINATION"}
# What the places are in a rehearsal.
PLACES: Mapping[str, str] = {
    "BUCKET": BUCKET,
    "CALLER": USER,
    "DESTINATION": DESTINATION,
    "REGION": REGION,
    "SOURCE": SOURCE,
    "STREAM": STREAM,
    "TABLE": "*-*",
    "VAULT": "tableferry",
}
# As long as they may well be for a user: a name of a bucket has at most 63 characters, that of a table 255.
LONG: Mapping[str, str] = {
    "BUCKET": "b" * 63,
    "CALLER": "c" * 64,
    "DESTINATION": DESTINATION,
    "REGION": "ap-southeast-99",
    "SOURCE": SOURCE,
    "STREAM": "s" * 64,
    "TABLE": "t" * 64,
    "VAULT": "v" * 50,
}
JOB_ROLE, JOB_ROLE_TRUST = FOLDER / "spark-role.json", FOLDER / "spark-role-trust.json"
_CLUSTER = "`emr` with `engine: cluster`"
_BLOCK = "<!-- permissions: {} -->\n\n```json\n{}```\n\n<!-- end -->"


def of_sides(permissions: Iterable[Permission], phases: Mapping[str, str] = PHASES) -> dict[str, Document]:
    """The policy of each side."""
    rows = list(permissions)
    accounts = dict(zip(SIDES, (SOURCE, DESTINATION), strict=True))
    return {
        side: policy([row for row in rows if row.account == accounts[side]], ACCOUNTS, REGION, phases) for side in SIDES
    }


def files_of(method: str, side: str) -> list[Path]:
    """Where the policy of a method and a side stands: one file, or those of its parts, each ready to attach."""
    return sorted(FOLDER.glob(f"{method}-{side}*.json"))


def committed(method: str, side: str) -> Document:
    """The policy as it stands there, its parts together."""
    first, *others = (json.loads(file.read_text()) for file in files_of(method, side))
    more = [statement for part in others for statement in part["Statement"]]
    return {**first, "Statement": first["Statement"] + more}


def write(method: str, side: str, document: Document) -> None:
    """Write a policy into as many files as managed policies must hold it; others of the method and side go."""
    made = parts(document, LONG)
    numbers = [""] if len(made) == 1 else [f"-{number}" for number in range(1, len(made) + 1)]
    for old in files_of(method, side):
        old.unlink()
    for number, part in zip(numbers, made, strict=True):
        (FOLDER / f"{method}-{side}{number}.json").write_text(text(part))


def roles() -> list[str]:
    """The roles that need permissions, in the order of the alphabet."""
    return sorted(page.parent.name for page in ROOT.glob("roles/*/README.md") if blocks(page.read_text()))


def page_of(role: str) -> Path:
    """A role's README."""
    return ROOT / "roles" / role / "README.md"


def of_roles(permissions: Iterable[Permission]) -> dict[str, dict[str, Document]]:
    """The policies of each role by itself, by role and side; a side that needs nothing has none."""
    rows = list(permissions)
    made = {}
    for phase in sorted({row.phase for row in rows}):
        sides = of_sides([row for row in rows if row.phase == phase], {phase: ""})
        needed = {side: document for side, document in sides.items() if document["Statement"]}
        if needed:
            made[phase.removeprefix("roles: ")] = needed
    return made


def of_job_role() -> dict[Path, Document]:
    """The policy and the trust of the role that Spark jobs run as, as the role destination_account makes it."""
    spec = AccountSpec("destination", REGION, access_key="x", secret_key="x", account_id=DESTINATION)
    role = job_role(Account(spec), SparkAccess(BUCKET, tables=("any",)))
    statements = [
        {
            "Sid": each.sid,
            "Effect": "Allow",
            "Action": list(each.actions),
            "Resource": [_of_job(resource) for resource in each.resources],
            **({"Condition": _with_place(each.condition, REGION, "REGION")} if each.condition else {}),
        }
        for each in role.inline
    ]
    trust = _with_place(merged({}, [role.trust]), DESTINATION, "DESTINATION")
    return {JOB_ROLE: {"Version": "2012-10-17", "Statement": statements}, JOB_ROLE_TRUST: trust}


def _with_place(document: Mapping[str, Any], value: str, place: str) -> Document:
    made: Document = json.loads(json.dumps(document).replace(value, place))
    return made


def _of_job(arn: str) -> str:
    """The ARN of a statement with its places; what lies in the bucket stays as narrow as it is."""
    if not arn.startswith("arn:aws:s3:"):
        return pattern(arn, ACCOUNTS, REGION)
    return arn.replace(BUCKET, "BUCKET").replace(DESTINATION, "DESTINATION").replace(REGION, "REGION")


def table() -> str:
    """The rows of the index: the files of each policy, and how large they are."""
    lines = ["| method | side | policy | characters |", "|---|---|---|---|"]
    for method in WAYS:
        for side in SIDES:
            files = files_of(method, side)
            links = " and ".join(f"[{file.name}]({file.name})" for file in files)
            sizes = " and ".join(f"{size(json.loads(file.read_text())):,}" for file in files)
            name = f"`{method}`" if method == WAYS[method]["ferry_method"] else _CLUSTER
            lines.append(f"| {name} | {side} | {links} | {sizes} |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """The index with its table made new."""
    made = f"<!-- policies -->\n\n{table()}\n<!-- end -->"
    return re.sub(r"<!-- policies -->.*?<!-- end -->", lambda _: made, page, count=1, flags=re.DOTALL)


def blocks(page: str) -> dict[str, Document]:
    """The generated policies in a README by their sides."""
    found = re.findall(r"<!-- permissions: (\w+) -->\n+```json\n(.*?)```\n+<!-- end -->", page, re.DOTALL)
    return {side: json.loads(document) for side, document in found}


def with_blocks(page: str, documents: Mapping[str, Mapping[str, Any]]) -> str:
    """A README with its generated policies made new. KeyError for one that no rehearsal made."""
    return re.sub(
        r"<!-- permissions: (\w+) -->.*?<!-- end -->",
        lambda block: _BLOCK.format(block[1], text(documents[block[1]])),
        page,
        flags=re.DOTALL,
    )


def main() -> None:
    """Write all of them."""
    with tempfile.TemporaryDirectory(prefix="tableferry-permissions-") as folder:
        rehearsals = rehearse_all(Path(folder))
    for name, rehearsal in rehearsals.items():
        if rehearsal.failed:
            raise SystemExit(f"{name}: {rehearsal.failed}")
    for method in WAYS:
        for side, document in of_sides(rehearsals[method].needed).items():
            write(method, side, document)
    for role, documents in of_roles(rehearsals["roles"].needed).items():
        page_of(role).write_text(with_blocks(page_of(role).read_text(), documents))
    for file, document in of_job_role().items():
        file.write_text(text(document))
    INDEX.write_text(with_table(INDEX.read_text()))


if __name__ == "__main__":
    main()
