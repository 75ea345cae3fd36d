# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two slices of one migration, as AWX makes them, and a full run beside them: each table once, three true reports."""

from __future__ import annotations

from tests.runs.playbooks import Migration, Playbook

COUNT = 40
TABLES = [f"table-{number:02}" for number in range(COUNT)]
# Exports of these fail once: in the slice that began them, and a run that waits for them begins them anew.
FAILING = [TABLES[3], TABLES[5]]
OTHERS = [name for name in TABLES if name != TABLES[1]]
TIMINGS = {"export.full": 4, "import.visible": 0.5, "import.creating": 4, "import.completing": 0.5}


def sliced(number: int) -> tuple[str, str]:
    """AWX limits a slice to every so many hosts of the inventory."""
    return "--limit", ",".join([*TABLES[number::2], "localhost"])


def assert_rows(run: Playbook, tables: list[str], failed: list[str]) -> None:
    """The report of ``run`` is about just these ``tables``, and true."""
    statuses = {name: row["status"] for name, row in run.rows().items()}
    assert statuses == {name: "failed" if name in failed else "migrated" for name in tables}, run.output[-4000:]


def test_two_slices_and_a_full_run(migration: Migration) -> None:
    lab = migration.lab
    for name in FAILING:
        match = migration.about(name)
        lab.add_fault(kind="job_failure", operation="ExportTableToPointInTime", code="Sorry", match=match)
    # One table of that slice takes long, and all that the full run has to wait for is this one.
    slow = lab.hold(operation="ImportTable", match={"TableCreationParameters.TableName": TABLES[1]})

    def others_are_done() -> bool:
        records = migration.records()
        return all(name in records and (records[name].state, records[name].run) == ("done", "") for name in OTHERS)

    with (
        migration.run("odd", *sliced(1), machine="pod-1") as odd,
        migration.run("even", *sliced(0), machine="pod-2") as even,
    ):
        odd.until(lambda: set(FAILING) <= set(migration.started("export")))
        with migration.run("full", machine="pod-3") as full:
            full.until(others_are_done)
            assert even.wait() == 0
            assert odd.controller.process.poll() is None
            # Nobody waits to the end of another run: this one is over before the slice that made its tables.
            with migration.run("beside", "--limit", f"{TABLES[7]},{TABLES[3]},localhost", machine="pod-4") as beside:
                assert beside.wait() == 0
            assert odd.controller.process.poll() is None
            lab.release(slow)
            assert (odd.wait() != 0, full.wait()) == (True, 0)
    assert_rows(beside, [TABLES[3], TABLES[7]], [])
    assert_rows(odd, TABLES[1::2], FAILING)
    assert_rows(even, TABLES[0::2], [])
    assert_rows(full, TABLES, [])
    assert migration.started("export") == sorted([*TABLES, *FAILING])
    assert migration.started("import") == TABLES
    assert {(record.state, record.run) for record in migration.records().values()} == {("done", "")}
    assert [lease.ended is not None and lease.ended.by == lease.run for lease in migration.leases()] == [True] * 4
    assert "waiting: held by" not in even.output
