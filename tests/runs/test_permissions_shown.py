# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook permissions: callers who have what it writes, and nothing else, move a table by each method."""

from __future__ import annotations

import json
import os
from pathlib import Path

from demo.tables import DemoTable, numbered, on_demand
from generate.rehearsal import CHANGED, NOTHING, SIDES, Step, attach, scene, seed, tables
from lab.spark.engine import ENGINES


def test_what_it_writes_is_enough_for_a_table_of_each_method(tmp_path: Path) -> None:
    with scene(tmp_path, dict.fromkeys(SIDES, NOTHING)) as stage:
        rich, scaled = tables(stage, "rich-s3", "scaled-direct")
        plain = [DemoTable(f"plain-{name}", on_demand(("id", "S")), numbered) for name in ("backup", "glue")]
        shapes = [rich, scaled, *plain]
        hosts = {shape.name: {"ferry_method": shape.name.partition("-")[2]} for shape in shapes}
        hosts["plain-glue"] |= CHANGED
        if ENGINES[0].why_not():  # without Spark the job cannot run
            del hosts["plain-glue"]
        seed(stage, shapes)
        variables = stage.variables()
        accounts = stage.lab.landscape["accounts"]
        for side in SIDES:
            variables[f"ferry_{side}"]["account_id"] = accounts[side]["account_id"]
        stage.write_inventory(hosts, **variables)
        stage.lab.clear_requests()

        folder = tmp_path / "policies"
        # Relative to where the run was started, as the documentation has it.
        shown = stage.play(Step("permissions", ("-e", f"ferry_permissions_dir={os.path.relpath(folder)}")))
        assert shown.returncode == 0, shown.stdout[-4000:]
        assert stage.lab.calls() == []
        for side in SIDES:
            files = sorted(folder.glob(f"tableferry-{side}-{accounts[side]['account_id']}-*.json"))
            documents = [json.loads(file.read_text()) for file in files]
            assert documents
            assert all(file.read_text() in shown.stdout for file in files)
            attach(stage.lab, side, documents)
        assert stage.variables()["ferry_source"]["secret_key"] not in shown.stdout

        migrated = stage.play(Step("migrate"))
        denied = [f"{row.action} on {row.resource_arn}" for row in stage.permissions() if not row.allowed]
        assert (migrated.returncode, denied) == (0, []), migrated.stdout[-4000:]
        rows = json.loads((tmp_path / "report" / "report.json").read_text())["tables"]
        assert {row["status"] for row in rows} == {"migrated"}
