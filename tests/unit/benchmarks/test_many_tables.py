# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmark's small tables arrive whole, each made by the copy."""

from __future__ import annotations

from benchmarks.data_plane import TABLE_ITEMS, Bench
from benchmarks.rows import NEAR
from benchmarks.servers import canned, make_certificate


def test_small_tables_are_made_and_filled(tmp_path):
    certificate = tmp_path / "certificate.pem"
    bench = Bench(tmp_path, 1.0)
    make_certificate(certificate)
    with canned(certificate, 0.001, NEAR) as server:
        row = bench.copied_tables(server, 3)
        assert not server.written("made-1000-100-0-3")
    assert (row.work, row.server, row.items, row.tables) == ("tables", NEAR, 3 * TABLE_ITEMS, 3)
