# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes AWS's prices, one YAML file, as Python: a module that runs elsewhere has no other files with it."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

PLAN = Path(__file__).parents[1] / "plugins/module_utils/core/plan"
YAML = PLAN / "prices.yml"
PYTHON = PLAN / "usual_prices.py"
_HEAD = '''# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The prices of prices.yml. Written by ``make generate``: correct them there."""

from __future__ import annotations

import json
from typing import Any

_TEXT = r"""
'''


def python_of(text: str) -> str:
    """The module for the YAML ``text``."""
    data = json.dumps(yaml.safe_load(text), indent=1, ensure_ascii=True)
    return f'{_HEAD}{data}\n"""\n\nUSUAL: dict[str, Any] = json.loads(_TEXT)\n'


def main() -> None:
    """Bring the module up to date."""
    PYTHON.write_text(python_of(YAML.read_text()))


if __name__ == "__main__":
    main()
