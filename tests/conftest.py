# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for all tests."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from botocore.hooks import EventAliaser
from hypothesis import settings

# Where Python is told to leave no compiled modules beside the sources, each process that a test starts would compile
# the product and the lab anew, as each run would its tests. They are kept with what else is built.
if sys.dont_write_bytecode:
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parents[1] / "build/bytecode")

# How long an example takes depends on what else the machine does: that is no property of the code.
# CI draws the same examples each time, as Hypothesis's own profile for it does; everybody else draws new ones.
settings.register_profile("tableferry", deadline=None, derandomize=bool(os.environ.get("CI")), print_blob=True)
settings.load_profile("tableferry")

# Each session of botocore works out anew what its hundreds of events are called today. The names are the same in all,
# and tests make a session for nearly every account that they use.
_name_of_event = EventAliaser(None)._alias_event_name
EventAliaser._alias_event_name = lambda self, event_name: _name_of_event(event_name)


def pytest_collection_finish() -> None:
    """All modules and tests stay to the end: the collector need not walk through them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5000, 20, 20)
