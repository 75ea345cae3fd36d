# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""E6: messages of modules name options of modules: variables belong to playbooks, which a user may not use.

``docs/variables.md`` says which variable sets which option.
"""

from __future__ import annotations

import re

from .imports import ROOT

SHARED = ROOT / "plugins/module_utils"
# But for keys of a failure, which the report reads, and what stands beside the option's name.
VARIABLE = re.compile(r"\bferry_(?!(?:status|error)\b|tags in playbooks\b)\w+")


def test_core_and_verbs_name_no_variables_of_playbooks() -> None:
    named = {
        (path.relative_to(SHARED).as_posix(), word)
        for path in SHARED.rglob("*.py")
        for word in VARIABLE.findall(path.read_text())
    }
    assert named == set()
