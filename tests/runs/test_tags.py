# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""D8: the accounts alone are prepared by a tag, and what keeps them from it is said then too."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lab.client import spawn
from tests.runs.playbooks import client, prepare


def test_d8_accounts_first_and_the_tables_later(tmp_path: Path) -> None:
    with spawn(scale=0.01) as lab:
        migration = prepare(lab, tmp_path, ["orders"], ferry_manage_accounts=True)
        with migration.run("accounts", "--tags", "accounts") as run:
            assert run.wait() == 0, run.output[-4000:]
        assert "tableferry" in client(lab, "dynamodb", "destination").list_tables()["TableNames"]
        assert not run.report.exists()
        for tag in ("verify", "report"):
            lab.clear_requests()
            with migration.run(tag, "--tags", tag) as run:
                assert run.wait() == 0, run.output[-4000:]
            assert lab.count(mutating=True) == 0
        assert migration.started("export") == []
        with migration.run("move", "--tags", "move") as run:
            assert run.wait() == 0, run.output[-4000:]
        assert run.rows()["orders"]["status"] == "migrated"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--tags", "accounts"), 2, "credentials of the source account do not work"),
        (("--skip-tags", "accounts"), 2, "The tag accounts cannot be skipped"),
        (("--skip-tags", "move"), 0, ""),
    ],
)
def test_d8_what_keeps_accounts_from_being_prepared_is_said(
    tmp_path: Path, options: tuple[str, str], code: int, words: str
) -> None:
    with spawn(scale=0.01) as lab:
        migration = prepare(lab, tmp_path, ["orders"], ferry_manage_accounts=True)
        inventory = yaml.safe_load(migration.inventory.read_text())
        inventory["dynamodb_tables"]["vars"]["ferry_source"]["secret_key"] = "wrong"
        migration.inventory.write_text(yaml.safe_dump(inventory))
        with migration.run("accounts", *options) as run:
            assert run.wait() == code, run.output[-4000:]
        failed = [line for line in run.output.splitlines() if line.startswith("fatal: [orders]")]
        assert words in "".join(failed[-1:])
        assert migration.started("export") == []
