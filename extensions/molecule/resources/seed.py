# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``seed.py FILE SCENARIO``: gives the running lab the tables of a scenario, and clears the request log."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from demo.seed import RETRIES, make_key, make_tables
from demo.tables import DemoTable, Keys, demo_tables, numbered, on_demand, recovery, sample, thread_by_date
from lab.client import LabClient
from lab.spark.engine import ENGINES

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
    """One table that is ready, one that needs point-in-time recovery first, and one for AWS Backup."""
    make_tables(
        lab,
        "source",
        [plain("check-ready"), replace(plain("check-recovery"), settings={}), plain("check-backup")],
    )


def phases(lab: LabClient) -> None:
    """Two tables, for the roles of the phases."""
    make_tables(lab, "source", [plain("phases-a"), plain("phases-b")])


def direct(lab: LabClient) -> None:
    """A table without point-in-time recovery, and one with a local secondary index."""
    indexed = DemoTable("direct-index", thread_by_date(), sample("Thread").items)
    make_tables(lab, "source", [replace(plain("direct-plain"), settings={}), indexed])


def cleanup(lab: LabClient) -> None:
    """Tables to move and to clean up after, and a key that others have a grant on."""
    key = make_key(lab, "source")
    make_tables(lab, "source", [plain("cleanup-a"), replace(plain("cleanup-b"), settings={}), plain("cleanup-c")])
    who = f"arn:aws:iam::{lab.landscape['accounts']['source']['account_id']}:root"
    kms = lab.client("kms", "source", retries=RETRIES)
    kms.create_grant(KeyId=key, Name="theirs", GranteePrincipal=who, Operations=["Decrypt"])
    remember({"source_key": key})


def resume(lab: LabClient) -> None:
    """Two tables whose jobs take long enough to be interrupted."""
    make_tables(lab, "source", [plain("resume-a"), plain("resume-b")])


def a11(lab: LabClient) -> None:
    """A table for each of two inventories."""
    make_tables(lab, "source", [plain("a11-first"), plain("a11-second")])


def two_pairs(lab: LabClient) -> None:
    """A table in each of two source accounts."""
    make_tables(lab, "source", [plain("two-pairs-first")])
    make_tables(lab, "outside", [plain("two-pairs-second")])


def spark(lab: LabClient) -> None:
    """Tables on both sides; without Spark on this machine none, in continuous integration never."""
    without = ENGINES[0].why_not()
    if without and os.environ.get("CI") == "true":
        raise RuntimeError(f"Spark {ENGINES[0].version}: {without}")
    remember({"without": without})
    if not without:
        names = ("spark-glue", "spark-emr", "spark-stopped")
        make_tables(lab, "source", [plain(name) for name in names])
        make_tables(lab, "destination", [DemoTable(name, on_demand(("id", "S"))) for name in names])


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


def backup(lab: LabClient) -> None:
    """A table with a local index, one under a customer key, one that loses settings in a restore, and plain ones."""
    keys = Keys(*(make_key(lab, side) for side in ("source", "destination")))
    shapes = {table.name: table for table in demo_tables(keys)}
    make_tables(
        lab,
        "source",
        [
            DemoTable("backup-local", thread_by_date(), sample("Thread").items),
            replace(shapes["secrets"], name="backup-secrets"),
            replace(shapes["customers"], name="backup-customers"),
            plain("backup-kept"),
            plain("backup-s3"),
        ],
    )
    remember({"source_key": keys.source, "destination_key": keys.destination})


def backup_plan(lab: LabClient) -> None:
    """Two tables for a plan."""
    make_tables(lab, "source", [plain("plan-a"), plain("plan-b")])


def backup_resume(lab: LabClient) -> None:
    """Two tables whose jobs take long enough to be interrupted."""
    make_tables(lab, "source", [plain("backup-resume-a"), plain("backup-resume-b")])


def backup_phases(lab: LabClient) -> None:
    """One table for the roles one by one."""
    make_tables(lab, "source", [plain("backup-phases-a")])


def air_gapped(lab: LabClient) -> None:
    """One table for an account of another organization."""
    make_tables(lab, "source", [plain("air-gapped-a")])


def backup_faults(lab: LabClient) -> None:
    """One table for each thing that AWS Backup would refuse late, and the vaults that are wrong."""
    names = (
        "good",
        "cross",
        "organization",
        "default",
        "vault",
        "policy",
        "managed",
        "locked",
        "unshared",
        "role",
        "exists",
        "gapped",
    )
    make_tables(lab, "source", [plain(f"backup-faults-{name}") for name in names])
    make_tables(lab, "management", [plain("backup-faults-features")])
    make_tables(lab, "destination", [DemoTable("backup-faults-exists", on_demand(("id", "S")))])
    off = {"isCrossAccountBackupEnabled": "false"}
    lab.client("backup", "management", retries=RETRIES).update_global_settings(GlobalSettings=off)
    there = lab.client("backup", "destination", retries=RETRIES)
    for vault in ("faults-closed", "faults-locked"):
        there.create_backup_vault(BackupVaultName=vault, EncryptionKeyArn=make_key(lab, "destination"))
    there.create_backup_vault(BackupVaultName="faults-managed")
    there.put_backup_vault_lock_configuration(BackupVaultName="faults-locked", MinRetentionDays=30, MaxRetentionDays=60)
    lab.client("backup", "source", retries=RETRIES).create_backup_vault(
        BackupVaultName="faults-unshared", EncryptionKeyArn=make_key(lab, "source")
    )


def remember(values: dict[str, str]) -> None:
    """Pass the generated values to the inventory."""
    Path(sys.argv[1]).with_name(f"{sys.argv[2]}.json").write_text(json.dumps(values))


SCENARIOS: dict[str, Callable[[LabClient], None]] = {
    "migrate": migrate,
    "check": check,
    "phases": phases,
    "direct": direct,
    "cleanup": cleanup,
    "resume": resume,
    "faults": faults,
    "backup": backup,
    "backup_plan": backup_plan,
    "backup_resume": backup_resume,
    "backup_faults": backup_faults,
    "backup_phases": backup_phases,
    "air_gapped": air_gapped,
    "a11": a11,
    "two_pairs": two_pairs,
    "spark": spark,
}


def main() -> None:
    """Seed, let point-in-time recovery get its window, and clear the request log."""
    landscape = json.loads(Path(sys.argv[1]).read_text())
    lab = LabClient(landscape["endpoint_url"], landscape)
    SCENARIOS[sys.argv[2]](lab)
    lab.advance(3600)
    lab.clear_requests()


if __name__ == "__main__":
    main()
