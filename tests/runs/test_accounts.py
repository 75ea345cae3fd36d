# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Credentials by a lookup that gives fresh keys each time, and one account that is written in two ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from lab.client import LabClient, spawn
from tests.runs.playbooks import client, prepare

TABLES = [f"table{number:02}" for number in range(12)]
MOST_LOOKUPS = 4


def fresh_keys(lab: LabClient, folder: Path) -> str:
    """An account as a lookup gives it: a template whose every use is counted, and gives other keys of one role."""
    account = lab.landscape["accounts"]["source"]
    keys = client(lab, "sts", "source")
    lines = []
    for _ in range(MOST_LOOKUPS * 10):
        given = keys.get_session_token()["Credentials"]
        lines.append(
            json.dumps(
                {
                    "access_key": given["AccessKeyId"],
                    "secret_key": given["SecretAccessKey"],
                    "session_token": given["SessionToken"],
                }
            )
        )
    (folder / "keys").write_text("\n".join([*lines, ""]))
    (folder / "used").write_text("")
    script = folder / "keys.sh"
    script.write_text(
        f"cd {folder}\necho x >> used\nawk -v n=\"$(($(wc -l < used) % {len(lines)} + 1))\" 'NR == n' keys\n"
    )
    place = {"region": lab.landscape["region"], "endpoint_url": lab.endpoint_url, "account_id": account["account_id"]}
    return f"{{{{ lookup('ansible.builtin.pipe', 'sh {script}') | from_json | combine({place}) }}}}"


class Vaulted(str):
    """A text that the inventory holds encrypted."""


class WithVault(yaml.SafeDumper):
    """Writes YAML for Ansible."""


WithVault.add_representer(Vaulted, lambda dumper, text: dumper.represent_scalar("!vault", str(text), style="|"))


def vault(text: str, folder: Path) -> str:
    """``text`` as ansible-vault encrypts it with the password that stands in the folder."""
    (folder / "password").write_text("open")
    return VaultLib([("default", VaultSecret(b"open"))]).encrypt(text).decode()


def profiles(lab: LabClient, folder: Path) -> dict[str, str]:
    """The environment of a configuration whose profiles alone say where the lab is."""
    hub, account = lab.landscape["hub"], lab.landscape["accounts"]["destination"]
    sections = [
        f"[profile {name}]\naws_access_key_id = {keys['access_key']}\naws_secret_access_key = {keys['secret_key']}\n"
        f"endpoint_url = {lab.endpoint_url}\n"
        for name, keys in (("hub", hub), ("new", account))
    ]
    (folder / "config").write_text("".join(sections))
    return {"AWS_CONFIG_FILE": str(folder / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none")}


def test_h9_every_call_goes_where_the_profile_says_with_a_role_too(tmp_path: Path) -> None:
    """The endpoint is written nowhere else: a call that does not know it would leave the machine."""
    with spawn(scale=0.01) as lab:
        migration = prepare(lab, tmp_path, ["orders"], ferry_manage_accounts=True)
        inventory = yaml.safe_load(migration.inventory.read_text())
        variables = inventory["dynamodb_tables"]["vars"]
        source = lab.landscape["accounts"]["source"]
        region = {"region": lab.landscape["region"]}
        variables["ferry_source"] = {
            **region,
            "profile": "hub",
            "role_arn": source["role_arn"],
            "external_id": source["external_id"],
        }
        variables["ferry_destination"] = {**region, "profile": "new"}
        migration.inventory.write_text(yaml.safe_dump(inventory))
        with migration.run("run", environment=profiles(lab, tmp_path)) as run:
            assert run.wait() == 0, run.output[-4000:]
        assert {row["status"] for row in run.rows().values()} == {"migrated"}
        assert lab.count("CreateLogGroup", ok=True) == 1  # by a module of another collection


def other_spelling(side: dict[str, Any], account: str) -> dict[str, Any]:
    """The same account, written differently."""
    return {**side, "account_id": account, "endpoint_url": f"{side['endpoint_url']}/"}


def test_h11_each_account_is_looked_up_asked_and_compared_once(tmp_path: Path) -> None:
    with spawn(scale=0.01) as lab:
        source = fresh_keys(lab, tmp_path)
        migration = prepare(lab, tmp_path, TABLES)
        inventory = yaml.safe_load(migration.inventory.read_text())
        tables = inventory["dynamodb_tables"]
        tables["vars"]["ferry_source"] = source
        destination = tables["vars"]["ferry_destination"]
        account = lab.landscape["accounts"]["destination"]["account_id"]
        tables["hosts"]["twin"] = {
            "ferry_table": "table00",
            "ferry_destination_table": "table01",
            "ferry_destination": other_spelling(destination, account),
        }
        destination["secret_key"] = Vaulted(vault(destination["secret_key"], tmp_path))
        migration.inventory.write_text(yaml.dump(inventory, Dumper=WithVault))
        password = ["--vault-password-file", str(tmp_path / "password")]
        with migration.run("run", *password) as run:
            assert run.wait() == 2, run.output[-4000:]
        statuses = {name: row["status"] for name, row in run.rows().items()}
        assert statuses == {
            name: "refused" if name in ("table01", "twin") else "migrated" for name in [*TABLES, "twin"]
        }
        assert "table01 is also the destination table of" in run.output
        assert len((tmp_path / "used").read_text().split()) <= MOST_LOOKUPS
        assert lab.count("GetCallerIdentity") < len(TABLES)  # whoever asks, no table does
        # One pair of accounts, whatever the keys: prepared once.
        assert run.output.count("Find the tables of the account pair") == 1
        (tmp_path / "used").write_text("")
        with migration.run("cleanup", *password, playbook="tableferry.aws.cleanup") as run:
            assert run.wait() == 2, run.output[-4000:]  # the two refused ones
        assert run.output.count("failed=1") == 2, run.output[-4000:]
        assert len((tmp_path / "used").read_text().split()) <= MOST_LOOKUPS
