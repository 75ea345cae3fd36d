# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of the report in staging buckets, and files for infrastructure as code: what cannot be made is told, and
changes nothing in how the run ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.report_copy import REPORTS, remove_reports
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.staging import StagingBucket
from ansible_collections.tableferry.aws.plugins.module_utils.core.report import row as rows
from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import outcome
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_report import VERB
from lab.client import RunningLab, running

BUCKET = "tableferry-copies"


@pytest.fixture
def lab() -> Iterator[RunningLab]:
    """A lab whose destination has a bucket and the table orders."""
    with running(scale=0.001, timings={"iam.propagation": 0}) as found:
        region = found.landscape["region"]
        found.client("s3", "destination").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": region}
        )
        dynamodb = found.client("dynamodb", "destination")
        dynamodb.create_table(
            TableName="orders",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        dynamodb.get_waiter("table_exists").wait(TableName="orders", WaiterConfig={"Delay": 1})
        yield found


def side(lab: RunningLab, **more: Any) -> dict[str, Any]:
    """The options of the destination."""
    keys = lab.landscape["accounts"]["destination"]
    told = {name: keys[name] for name in ("access_key", "secret_key", "account_id")}
    return {**told, "region": lab.landscape["region"], "endpoint_url": lab.endpoint_url, **more}


def moved(lab: RunningLab, name: str, account: str = "") -> dict[str, Any]:
    """The row of a table that was migrated to the destination, or to another account."""
    there = account or lab.landscape["accounts"]["destination"]["account_id"]
    place = rows.TablePlace(name, there, lab.landscape["region"])
    return rows.row(name, "s3", judgement={"status": "migrated"}, way=rows.Way(place, place))


def reported(lab: RunningLab, folder: Path, **options: Any) -> tuple[dict[str, Any], list[str]]:
    """What the verb answers, and the lines that it prints."""
    lines: list[str] = []
    params = {
        "tables": [moved(lab, "orders"), moved(lab, "theirs", "999999999999")],
        "part": "migration",
        "changes": [],
        "call_logs": [],
        "others": [],
        "earlier_runs": None,
        "lines": None,
        "dir": str(folder),
        "iac": [],
        "plan": None,
        "places": [{"destination": side(lab), "bucket": BUCKET, "kms_key_arn": None}],
        "try_only": False,
        **options,
    }
    return outcome(VERB, params, check_mode=False, diff=False, progress=lines.append), lines


def objects(lab: RunningLab) -> dict[str, bytes]:
    """What lies in the bucket."""
    s3 = lab.client("s3", "destination")
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def test_an_account_gets_a_copy_of_its_own_tables_alone(lab: RunningLab, tmp_path: Path) -> None:
    result, lines = reported(lab, tmp_path, iac=["terraform", "cloudformation"])
    run = result["artifact"]["run"]
    assert result["copies"] == [f"s3://{BUCKET}/{REPORTS}{run}/"] and lines[-1].endswith(
        f"/report.html; {result['copies'][0]}"
    )
    found = objects(lab)
    here = f"iac/{side(lab)['account_id']}-{side(lab)['region']}"
    iac = [f"{here}/{name}" for name in ("cloudformation-template.json", "import.tf", "resources-to-import.json")]
    assert sorted(found) == [f"{REPORTS}{run}/{name}" for name in [*iac, "report.html", "report.json", "report.md"]]
    assert not any(b"theirs" in body for body in found.values())
    kept = json.loads((tmp_path / "report.json").read_text())
    assert {entry["name"] for entry in kept["tables"]} == {"orders", "theirs"}
    (adopted,) = kept["adoption"]
    assert adopted["tables"] == 1 and [way["folder"] for way in adopted["ways"]] == [here, here]
    assert (tmp_path / here / "import.tf").read_bytes() == found[f"{REPORTS}{run}/{here}/import.tf"]
    assert "terraform plan -generate-config-out" in (tmp_path / "report.html").read_text()
    assert (tmp_path / here / "import.tf").stat().st_mode & 0o777 == 0o600


def test_no_bucket_is_told_and_changes_nothing(lab: RunningLab, tmp_path: Path) -> None:
    place = {"destination": side(lab), "bucket": "tableferry-nowhere", "kms_key_arn": None}
    result, lines = reported(lab, tmp_path, places=[place])
    assert not result.get("failed") and result["copies"] == [] and "warnings" not in result
    assert lines[-1].endswith("; it is on this machine only: there is no bucket tableferry-nowhere.")
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize("wrong", ["denied", "owner", "credentials", "gone table"])
def test_what_is_refused_is_told_and_changes_nothing(lab: RunningLab, tmp_path: Path, wrong: str) -> None:
    place: dict[str, Any] = {"destination": side(lab), "bucket": BUCKET, "kms_key_arn": None}
    if wrong == "denied":
        statement = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{BUCKET}/*",
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        lab.client("s3", "destination").put_bucket_policy(Bucket=BUCKET, Policy=policy)
    elif wrong == "owner":
        place["destination"] = side(lab, account_id="999999999999")
    elif wrong == "credentials":
        place["destination"] = side(lab, secret_key="wrong")
    else:
        lab.client("dynamodb", "destination").delete_table(TableName="orders")
    result, lines = reported(lab, tmp_path, places=[place], iac=["terraform"])
    assert not result.get("failed") and result["artifact"]["statuses"] == {"migrated": 2}
    told = json.loads((tmp_path / "report.json").read_text())["adoption"]
    if wrong == "gone table":
        assert "orders: it is in no file" in told[0]["left"][0] and len(result["copies"]) == 1
    else:
        assert result["copies"] == [] and "; it is on this machine only" in lines[-1]
    assert "wrong" not in "".join(lines) and side(lab)["secret_key"] not in (tmp_path / "report.json").read_text()


@pytest.mark.parametrize("part", ["migration", "comparison", "cleanup"])
def test_each_playbook_makes_a_copy_with_the_key_that_was_made_for_the_bucket(
    lab: RunningLab, tmp_path: Path, part: str
) -> None:
    kms = lab.client("kms", "destination")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName="alias/tableferry-staging", TargetKeyId=key)
    names = ("items_source", "items_destination", "missing", "different", "extra", "removed", "kept")
    found = {**dict.fromkeys(names, 0), "level": "full", "left": [], "result": "equal", "message": ""}
    row = {**moved(lab, "orders"), **({} if part == "migration" else {part: found})}
    place = {"destination": side(lab), "bucket": BUCKET, "kms_key_arn": "alias/tableferry-staging"}
    result, lines = reported(lab, tmp_path, part=part, tables=[row], lines=["Done."], places=[place])
    assert result["copies"] and lines[-1].endswith(result["copies"][0])
    name = f"{REPORTS}{result['artifact']['run']}/report.json"
    stored = lab.client("s3", "destination").get_object(Bucket=BUCKET, Key=name)
    assert stored["SSEKMSKeyId"] == key and json.loads(stored["Body"].read())["tables"][0]["name"] == "orders"


def test_copies_go_before_the_bucket(lab: RunningLab, tmp_path: Path) -> None:
    reported(lab, tmp_path)
    lab.client("s3", "destination").put_object(Bucket=BUCKET, Key="tableferry/other", Body=b"x")
    account = Account(AccountSpec.from_mapping("destination", side(lab)))
    remove_reports(StagingBucket(account, BUCKET, account.account_id))
    assert list(objects(lab)) == ["tableferry/other"]
