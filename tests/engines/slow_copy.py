# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A copy that takes its time, to be killed: its arguments are both URLs, the table and the checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyOptions, copy_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import find_table
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.throttle import Rate
from tests.engines.accounts import endpoint

UNITS = 2_000  # write units per second

if __name__ == "__main__":
    source_url, destination_url, table, checkpoint = sys.argv[1:]
    found = [find_table(endpoint(url, side), table) for url, side in ((source_url, "source"), (destination_url, ""))]
    copy_items(*found, CopyOptions(checkpoint=Path(checkpoint), write_rate=Rate(UNITS)))
