# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run of a copy, to be killed: its arguments are the URL, its access key, the number of workers, the checkpoint."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import ItemRefused
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import checkpoint
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Endpoint, RetryPolicy
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyOptions, copy_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import find_table

PATIENT = RetryPolicy(first=0.001, longest=0.01, seconds=300.0, connecting=300.0)

if __name__ == "__main__":
    checkpoint.LOCK_SECONDS = 300.0  # a machine may be so busy that the workers of a killed run end late
    url, key, workers, path = sys.argv[1:]
    keys = SimpleNamespace(access_key=key, secret_key="secret", session_token="")
    tables = [find_table(Endpoint(url, "eu-west-1", lambda: keys), name, PATIENT) for name in ("orders", "copy")]
    options = CopyOptions(workers=int(workers), checkpoint=Path(path), retry_policy=PATIENT)
    try:
        copy_items(*tables, options)
    except ItemRefused as error:
        print(json.dumps([item["key"]["id"] for item in error.details["items"]]))
