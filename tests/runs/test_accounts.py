# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Credentials by a lookup that gives fresh keys each time, and one account that is written in two ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

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
        migration.inventory.write_text(yaml.safe_dump(inventory))
        with migration.run("run") as run:
            assert run.wait() == 2, run.output[-4000:]
        statuses = {name: row["status"] for name, row in run.rows().items()}
        assert statuses == {
            name: "refused" if name in ("table01", "twin") else "migrated" for name in [*TABLES, "twin"]
        }
        assert "table01 is also the destination table of" in run.output
        assert len((tmp_path / "used").read_text().split()) <= MOST_LOOKUPS
        # One pair of accounts, whatever the keys: prepared once.
        assert run.output.count("Find the tables of the account pair") == 1
