# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""D4, D6, D7, C7 in a real run: vaulted values, accounts as text, a table by its ARN, a host that is a path."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from lab.client import spawn
from tests.runs.playbooks import client, prepare

LONG = "n" * 255


class Vaulted(str):
    """A text that the inventory holds encrypted, inline."""


def _encrypted(dumper: yaml.SafeDumper, text: Vaulted) -> yaml.Node:
    secret = VaultLib([("default", VaultSecret(b"password"))]).encrypt(str(text)).decode()
    return dumper.represent_scalar("!vault", secret, style="|")


def test_d4_d7_c7_tables_and_accounts_may_be_spelled_in_any_way(tmp_path: Path) -> None:
    yaml.SafeDumper.add_representer(Vaulted, _encrypted)
    with spawn(scale=0.01) as lab:
        migration = prepare(lab, tmp_path, ["customers", "orders", LONG], ferry_method="direct", ferry_verify="full")
        inventory = yaml.safe_load(migration.inventory.read_text())
        everything = inventory["dynamodb_tables"]["vars"]
        source = everything["ferry_source"]
        everything["ferry_source"] = {**source, "secret_key": Vaulted(source["secret_key"])}
        everything["ferry_differences_dir"] = str(tmp_path / "one" / "two")
        everything["ferry_checkpoint_dir"] = str(tmp_path / "checkpoints")
        arn = migration.about("orders")["TableArn"]
        inventory["dynamodb_tables"]["hosts"] = {
            "../../victim": {"ferry_table": "customers"},
            "orders-by-arn": {"ferry_table": arn, "ferry_source": json.dumps(source)},
            "elsewhere": {"ferry_table": arn.replace(":table/", "9:table/"), "ferry_destination_table": "elsewhere"},
            LONG: {},
        }
        migration.inventory.write_text(yaml.safe_dump(inventory))
        (tmp_path / "password").write_text("password")
        (tmp_path / "victim.jsonl").write_text("precious")
        vault = {"ANSIBLE_VAULT_PASSWORD_FILE": str(tmp_path / "password")}
        with migration.run("run", environment=vault) as run:
            assert run.wait() == 2, run.output[-4000:]
        rows = run.rows()
        assert {name: row["status"] for name, row in rows.items()} == {
            "../../victim": "migrated",
            "orders-by-arn": "migrated",
            "elsewhere": "refused",
            LONG: "migrated",
        }
        assert "no ARN of a table" in rows["elsewhere"]["reason"]
        assert run.report.stat().st_mode & 0o777 == 0o600
        there = client(lab, "dynamodb", "destination")
        for table in ("customers", LONG):
            there.delete_item(TableName=table, Key={"id": {"S": f"{table}/1"}})
        with migration.run("verify", playbook="tableferry.aws.verify", environment=vault) as compared:
            assert compared.wait() == 2, compared.output[-4000:]
        # D5: on each ansible-core, some of which leave nothing of a message after failed_when.
        lines = compared.output.splitlines()
        differ = {line.partition(": ")[0] for line in lines if ": 1 missing, 0 different, 0 extra." in line}
        assert differ == {"../../victim", LONG}, compared.output[-4000:]
        assert {f"fatal: [{name}]" for name in differ} <= {line.partition(": FAILED!")[0] for line in lines}
        written = list((tmp_path / "one" / "two").iterdir())
        assert len(written) == 2 and all(path.stat().st_mode & 0o777 == 0o600 for path in written)
        assert (tmp_path / "victim.jsonl").read_text() == "precious"
        # Keys of items stand in these files alone.
        keys = sorted(json.loads(path.read_text())["key"]["id"]["S"] for path in written)
        assert keys == sorted(f"{table}/1" for table in ("customers", LONG))
        assert not any(key in text for key in keys for text in (run.output, compared.output))
