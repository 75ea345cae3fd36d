# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``seed.py FILE SCENARIO``: gives the running lab the tables of a scenario, and starts new books."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from demo.seed import RETRIES, make_key, make_tables
from demo.tables import DemoTable, Keys, demo_tables, numbered, on_demand, recovery, sample, thread_by_date
from lab.client import LabClient

RECOVERY = {"update_continuous_backups": recovery(35)}


def plain(name: str, **more: Any) -> DemoTable:
    """A table of a hundred items, with point-in-time recovery on."""
    return DemoTable(name, on_demand(("id", "S"), **more), numbered, RECOVERY)


def migrate(lab: LabClient) -> None:
    """Every shape of the demo that can travel, under other names; a few orders are enough."""
    keys = Keys(*(make_key(lab, side) for side in ("source", "destination")))
    chosen = {
        "Reply": "migrate-reply",
        "sessions": "migrate-sessions",
        "secrets": "migrate-secrets",
        "customers": "migrate-customers",
    }
    tables = [replace(table, name=chosen[table.name]) for table in demo_tables(keys) if table.name in chosen]
    make_tables(lab, "source", tables)
    remember({"source_key": keys.source, "destination_key": keys.destination})


def check(lab: LabClient) -> None:
    """One table that is ready, and one that needs point-in-time recovery first."""
    make_tables(lab, "source", [plain("check-ready"), replace(plain("check-recovery"), settings={})])


def phases(lab: LabClient) -> None:
    """Two tables, for the roles of the phases."""
    make_tables(lab, "source", [plain("phases-a"), plain("phases-b")])


def direct(lab: LabClient) -> None:
    """A table without point-in-time recovery, and one with a local secondary index."""
    indexed = DemoTable("direct-index", thread_by_date(), sample("Thread").items)
    make_tables(lab, "source", [replace(plain("direct-plain"), settings={}), indexed])


def cleanup(lab: LabClient) -> None:
    """Two tables to move and to clean up after."""
    make_tables(lab, "source", [plain("cleanup-a"), replace(plain("cleanup-b"), settings={})])


def resume(lab: LabClient) -> None:
    """Two tables whose jobs take long enough to be interrupted."""
    make_tables(lab, "source", [plain("resume-a"), plain("resume-b")])


def faults(lab: LabClient) -> None:
    """One table for each kind of bad input, and what is wrong around them."""
    mapped, unmapped = (make_key(lab, "source") for _ in range(2))
    closed = make_key(lab, "destination")
    lab.client("kms", "destination", retries=RETRIES).disable_key(KeyId=closed)
    lsi = next(table for table in demo_tables(Keys("", "")) if table.name == "ThreadByDate")

    def under(key: str) -> dict[str, Any]:
        return {"SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}}

    names = (
        "good",
        "exists",
        "method",
        "unbuilt",
        "typo",
        "value",
        "twin",
        "role",
        "region",
        "bucket",
        "policy",
        "managed-key",
        "lines",
    )
    make_tables(
        lab,
        "source",
        [
            *(plain(f"faults-{name}") for name in names),
            replace(plain("faults-no-recovery"), settings={}),
            replace(plain("faults-recovery-late"), settings={}),
            replace(lsi, name="faults-lsi"),
            plain("faults-key-unmapped", **under(unmapped)),
            plain("faults-key-closed", **under(mapped)),
        ],
    )
    make_tables(lab, "destination", [DemoTable("faults-exists", on_demand(("id", "S")))])
    constraint = {"LocationConstraint": lab.landscape["region"]}
    for side, bucket in (("management", "faults-somebody-elses"), ("destination", "faults-closed")):
        lab.client("s3", side, retries=RETRIES).create_bucket(Bucket=bucket, CreateBucketConfiguration=constraint)
    lines = lab.client("dynamodb", "source").describe_table(TableName="faults-lines")["Table"]["TableArn"]
    lab.add_fault(operation="dynamodb.ExportTableToPointInTime", kind="corrupt_object", match={"TableArn": lines})
    managed = lab.client("kms", "destination").describe_key(KeyId="alias/aws/s3")["KeyMetadata"]["Arn"]
    remember({"source_key": mapped, "closed_key": closed, "managed_key": managed})


def remember(values: dict[str, str]) -> None:
    """Tell the inventory what was made up here."""
    Path(sys.argv[1]).with_name(f"{sys.argv[2]}.json").write_text(json.dumps(values))


SCENARIOS: dict[str, Callable[[LabClient], None]] = {
    "migrate": migrate,
    "check": check,
    "phases": phases,
    "direct": direct,
    "cleanup": cleanup,
    "resume": resume,
    "faults": faults,
}


def main() -> None:
    """Seed, let point-in-time recovery get its window, and start new books."""
    landscape = json.loads(Path(sys.argv[1]).read_text())
    lab = LabClient(landscape["endpoint_url"], landscape)
    SCENARIOS[sys.argv[2]](lab)
    lab.advance(3600)
    lab.clear_books()


if __name__ == "__main__":
    main()
