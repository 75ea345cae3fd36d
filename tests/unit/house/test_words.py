# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The core's messages name options of modules: variables belong to playbooks, which a user may not use.

``docs/variables.md`` says which variable sets which option.
"""

from __future__ import annotations

import re

from .imports import ROOT

CORE = ROOT / "plugins/module_utils/core"
VARIABLE = re.compile(r"\bferry_(?!status\b)\w+")  # ferry_status: the result's key, which the report reads


def test_the_core_names_no_variables_of_playbooks() -> None:
    named = {
        (path.relative_to(CORE).as_posix(), word)
        for path in CORE.rglob("*.py")
        for word in VARIABLE.findall(path.read_text())
    }
    assert named == set()
