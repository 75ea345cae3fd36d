# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin as ansible-inventory runs it, on a lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.tableferry.aws.plugins.inventory import dynamodb_tables
from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.clock import AwsClock
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import Part, Record, Source, table_key
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.store import RecordStore
from lab.client import RunningLab, running

ROOT = Path(__file__).parents[3]
PLUGIN = dynamodb_tables.InventoryModule
EXAMPLES = [
    *yaml.safe_load_all(dynamodb_tables.EXAMPLES),
    yaml.safe_load((ROOT / "examples/tables.dynamodb_tables.yml").read_text()),
]
PLACE = "dynamodb_111111111111_eu_west_1"


def create(lab: RunningLab, side: str, name: str, region: str = "", **more: Any) -> str:
    client = lab.client("dynamodb", side, region)
    answer = client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        **{"BillingMode": "PAY_PER_REQUEST", **more},
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return str(answer["TableDescription"]["TableArn"])


def unmarked(entry: dict[str, Any]) -> Any:
    """Without the mark that ansible-inventory puts on texts which are no templates, since ansible-core 2.19."""
    return entry.get("__ansible_unsafe", entry)


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    units = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    with running(scale=0.0) as lab:
        create(lab, "source", "orders", Tags=[{"Key": "team", "Value": "shop"}])
        create(lab, "source", "carts", BillingMode="PROVISIONED", ProvisionedThroughput=units)
        create(lab, "source", "all")
        create(lab, "source", "orders", "us-east-1")
        create(lab, "destination", "invoices")
        lab.advance(60)
        yield lab


class Inventories:
    """ansible-inventory over files in a directory of the test."""

    def __init__(self, lab: RunningLab, directory: Path) -> None:
        self._lab, self._directory = lab, directory

    def account(self, side: str, region: str = "eu-west-1") -> dict[str, str]:
        keys = self._lab.landscape["accounts"][side]
        place = {"region": region} if region else {}
        return {
            **{name: keys[name] for name in ("access_key", "secret_key")},
            "endpoint_url": self._lab.endpoint_url,
            **place,
        }

    def run(
        self,
        *arguments: str,
        name: str = "x.dynamodb_tables.yml",
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Any:
        path = self._directory / name
        path.write_text(json.dumps({"plugin": PLUGIN.NAME, **options}))
        return subprocess.run(
            [sys.executable, "-m", "ansible.cli.inventory", "-i", str(path), *arguments],
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build/collections"),
                "ANSIBLE_HOME": str(self._directory / "home"),
                "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
                "ANSIBLE_NOCOLOR": "1",
                "AWS_EC2_METADATA_DISABLED": "true",
                **(environment or {}),
            },
            cwd=self._directory,
            capture_output=True,
            text=True,
            check=False,
        )

    def listed(self, **options: Any) -> dict[str, Any]:
        done = self.run("--list", **options)
        assert done.returncode == 0, done.stderr
        listed: dict[str, Any] = json.loads(done.stdout, object_hook=unmarked)
        return listed

    def refused(self, **options: Any) -> str:
        done = self.run("--list", **options)
        assert done.returncode != 0
        return " ".join(done.stderr.split())


@pytest.fixture
def inventories(lab: RunningLab, tmp_path: Path) -> Inventories:
    return Inventories(lab, tmp_path)


def test_the_graph_has_the_tables_in_their_groups(inventories: Inventories) -> None:
    done = inventories.run(
        "--graph",
        "-v",
        source=inventories.account("source"),
        keyed_groups=[{"key": "dynamodb_table_billing_mode | lower", "prefix": "", "separator": ""}],
        groups={"large": "dynamodb_table_size_bytes > 1000"},
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    start = lines.index("@all:")
    assert [line.strip(" |-") for line in lines[start:]] == [
        "@all:",
        "@ungrouped:",
        "@dynamodb_tables:",
        f"@{PLACE}:",
        "table_all",
        "carts",
        "orders",
        "@pay_per_request:",
        "table_all",
        "orders",
        "@provisioned:",
        "carts",
    ]
    assert "dynamodb_tables: eu-west-1: 3 of 3 tables described, 3 wanted" in done.stdout + done.stderr


def test_hosts_have_what_the_playbooks_take_and_the_facts(inventories: Inventories, lab: RunningLab) -> None:
    source, destination = inventories.account("source"), inventories.account("destination")
    listed = inventories.listed(
        source={**source, "region": "{{ 'eu-west-1' }}"},
        destination=destination,
        read_tags=True,
        exclude=["carts"],
        compose={"ferry_destination_table": "'new-' ~ dynamodb_table_name"},
    )
    host = listed["_meta"]["hostvars"]["table_all"]
    assert host["ferry_table"] == "all"
    assert host["ferry_destination_table"] == "new-all"
    assert host["ferry_source"] == {**source, "account_id": "111111111111"}
    assert host["ferry_destination"] == destination
    assert host["dynamodb_table_arn"] == "arn:aws:dynamodb:eu-west-1:111111111111:table/all"
    assert (host["dynamodb_table_tags"], host["dynamodb_table_record_state"]) == ({}, "none")
    assert host["ansible_connection"] == "local"
    assert listed["_meta"]["hostvars"]["orders"]["dynamodb_table_tags"] == {"team": "shop"}
    assert set(listed["_meta"]["hostvars"]) == {"table_all", "orders"}


def test_the_record_says_how_far_a_table_is(inventories: Inventories, lab: RunningLab) -> None:
    account = Account(AccountSpec.from_mapping("destination", inventories.account("destination")))
    store = RecordStore.open(account, "records", AwsClock())
    assert store is not None
    described = lab.client("dynamodb", "source").describe_table(TableName="orders")["Table"]
    for name, table_id in (("orders", described["TableId"]), ("carts", "another")):
        source = Source(described["TableArn"].replace("orders", name), table_id)
        store.claim(Record(table_key(f"new-{name}"), store.home, "default", source, "s3"))
    before = len(lab.mutating_calls())
    hosts = inventories.listed(
        source=inventories.account("source"),
        destination=inventories.account("destination"),
        record_table="records",
    )["_meta"]["hostvars"]
    assert {name: host["dynamodb_table_record_state"] for name, host in hosts.items()} == {
        "orders": "claimed",
        "carts": "source_replaced",
        "table_all": "none",
    }
    (row,) = hosts["orders"]["dynamodb_table_records"]
    assert (row["name"], row["migration"], row["method"]) == ("new-orders", "default", "s3")
    assert len(lab.mutating_calls()) == before


def test_each_source_of_a_merge_has_the_state_of_its_own_part(inventories: Inventories, lab: RunningLab) -> None:
    account = Account(AccountSpec.from_mapping("destination", inventories.account("destination")))
    store = RecordStore.open(account, "merged-records", AwsClock())
    assert store is not None
    sources = {}
    for name in ("all", "carts", "orders"):
        described = lab.client("dynamodb", "source").describe_table(TableName=name)["Table"]
        sources[name] = Source(described["TableArn"], described["TableId"])
    whole = Part("filled", 1, source_id=sources["all"].table_id, method="glue", evidence={"items": 3})
    parts = {
        sources["all"].arn: whole,
        sources["carts"].arn: Part("claimed", 2),
        sources["orders"].arn: replace(whole, attempt=2, source_id=sources["orders"].table_id, evidence={"items": 4}),
    }
    key = table_key("tenants")
    record = Record(key, store.home, "default", sources["orders"], "direct", state="done", attempt=2, parts=parts)
    store.claim(replace(record, evidence={"items": 4}))
    hosts = inventories.listed(
        source=inventories.account("source"),
        destination=inventories.account("destination"),
        record_table="merged-records",
    )["_meta"]["hostvars"]
    assert {name: host["dynamodb_table_record_state"] for name, host in hosts.items()} == {
        "orders": "done",
        "carts": "claimed",
        "table_all": "done",
    }
    rows = {name: host["dynamodb_table_records"] for name, host in hosts.items()}
    assert {name: [(row["source"], row["items_source"]) for row in found] for name, found in rows.items()} == {
        "orders": [(sources["orders"].arn, 4)],
        "carts": [(sources["carts"].arn, None)],
        "table_all": [(sources["all"].arn, 3)],
    }
    assert rows["table_all"][0]["method"] == "glue"
    assert rows["carts"][0]["parts"] == {arn: part.state for arn, part in parts.items()}


def test_several_accounts_and_regions_have_names_of_their_own(inventories: Inventories) -> None:
    first, second = inventories.account("source", ""), inventories.account("destination")
    listed = inventories.listed(
        sources=[{**first, "regions": ["eu-west-1", "us-east-1"]}, second], include=["orders", "invoices"]
    )
    hosts = listed["_meta"]["hostvars"]
    assert sorted(hosts) == [
        "invoices.eu-west-1.222222222222",
        "orders.eu-west-1.111111111111",
        "orders.us-east-1.111111111111",
    ]
    assert {name: host["ferry_source"]["region"] for name, host in hosts.items()} == {
        name: name.split(".")[1] for name in hosts
    }


def test_a_cache_saves_the_calls_and_holds_no_secret(inventories: Inventories, lab: RunningLab, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "source": inventories.account("source"),
        "cache": True,
        "cache_plugin": "ansible.builtin.jsonfile",
        "cache_connection": str(tmp_path / "cache"),
    }
    first = inventories.listed(**options)
    calls = lab.count("DescribeTable")
    assert inventories.listed(**options) == first
    assert lab.count("DescribeTable") == calls
    assert sorted(inventories.listed(**options, include=["carts"])["_meta"]["hostvars"]) == ["carts"]
    assert lab.count("DescribeTable") == calls + 1
    kept = "".join(path.read_text() for path in (tmp_path / "cache").iterdir())
    assert "orders" in kept or "carts" in kept
    assert options["source"]["secret_key"] not in kept


def test_a_throttle_that_passes_is_waited_out(inventories: Inventories, lab: RunningLab) -> None:
    lab.add_fault(operation="DescribeTable", kind="throttle", times=2)
    assert len(inventories.listed(source=inventories.account("source"))["_meta"]["hostvars"]) == 3


def test_what_is_wrong_is_said(inventories: Inventories) -> None:
    source = inventories.account("source")
    assert "has no option exlude. Did you mean exclude?" in inventories.refused(source=source, exlude=["a"])
    assert "could not be verified by" in inventories.refused(name="tables.yml", source=source)


def test_a_record_that_cannot_be_read_is_a_warning(inventories: Inventories) -> None:
    wrong = {**inventories.account("destination"), "secret_key": "wrong"}
    done = inventories.run("--list", source=inventories.account("source"), destination=wrong)
    assert done.returncode == 0, done.stderr
    assert "comes without the states of the records" in " ".join(done.stderr.split())
    hosts = json.loads(done.stdout)["_meta"]["hostvars"]
    assert "dynamodb_table_record_state" not in hosts["orders"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_run(inventories: Inventories, lab: RunningLab, tmp_path: Path, example: dict[str, Any]) -> None:
    sides = {"legacy": "source", "shop": "source", "billing": "destination", "default": "hub"}
    lines = []
    for profile, side in sides.items():
        keys = lab.landscape["hub"] if side == "hub" else lab.landscape["accounts"][side]
        lines += [f"[{profile}]" if profile == "default" else f"[profile {profile}]"]
        lines += [f"aws_access_key_id = {keys['access_key']}", f"aws_secret_access_key = {keys['secret_key']}"]
        lines += [f"endpoint_url = {lab.endpoint_url}", ""]
    (tmp_path / "config").write_text("\n".join(lines))
    if "destination" in example:
        to = lab.landscape["accounts"]["destination"]
        place = {name: to[name] for name in ("role_arn", "external_id")}
        example = {**example, "destination": {**example["destination"], **place}}
    if "cache_connection" in example:
        example = {**example, "cache_connection": str(tmp_path / "cache")}
    # What an example would say of the lab's tables is another matter: here each has to have some.
    example = {**example, "include_tags": {}}
    done = inventories.run("--list", environment={"AWS_CONFIG_FILE": str(tmp_path / "config")}, **example)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert json.loads(done.stdout)["_meta"]["hostvars"]
