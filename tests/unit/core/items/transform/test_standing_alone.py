# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The room loads where msgspec is missing, and alone: it needs nothing of the core but the items and the errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.unit.house.imports import ROOT, imports_below

CORE = ROOT / "plugins/module_utils/core"
PROGRAM = """
import sys
sys.modules["msgspec"] = None
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import MissingLibrary
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyAttribute
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform import compiled, definition, schemas
source = schemas.TableSchemas(schemas.KeySchema((KeyAttribute("pk", "S"),)))
try:
    compiled.compiled(definition.Definition([], source))
except MissingLibrary as error:
    print(error)
assert not {"boto3", "botocore", "ansible"} & sys.modules.keys()
"""


def test_it_loads_without_msgspec_and_says_what_is_missing():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, cwd=Path.cwd())
    assert ran.stderr == "" and "needs the Python library msgspec" in ran.stdout


def test_it_imports_errors_and_items_alone():
    imports = imports_below(CORE, "core")
    room = {name: targets for name, targets in imports.items() if name.startswith("core.items.transform.")}
    reached = set().union(*room.values()) - room.keys()
    assert len(room) > 10
    assert reached <= {"core.errors", "core.items.answers", "core.items.carried", "core.items.digest",
                       "core.items.surrogates"}  # fmt: skip
