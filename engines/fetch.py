# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make engines``: fetches each engine whose tools are installed, and reports which it left out.

In continuous integration (``CI=true``) nothing may be left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from engines.catalog import DESCRIPTIONS, ENGINES, Engine


def main() -> int:
    """Fetch what can be fetched; 1 when something went wrong, or is missing where nothing may be."""
    failed = False
    for engine in ENGINES:
        missing = engine.missing_tools()
        if missing:
            print(f"engine {engine.name}: left out, {' and '.join(missing)} not found on this machine", flush=True)
            failed |= os.environ.get("CI") == "true"
        elif engine.why_not():
            failed |= not fetch(engine)
        else:
            print(f"engine {engine.name}: ready", flush=True)
    return int(failed)


def fetch(engine: Engine) -> bool:
    """Fetch the engine into an empty directory; whether that succeeded."""
    shutil.rmtree(engine.folder, ignore_errors=True)
    engine.folder.mkdir(parents=True)
    for name in engine.described_by:
        shutil.copyfile(DESCRIPTIONS / name, engine.folder / name)
    done = subprocess.run(engine.fetch, cwd=engine.folder, check=False)
    if done.returncode:
        print(f"engine {engine.name}: {' '.join(engine.fetch)} ended with {done.returncode}", flush=True)
        return False
    engine.settle(engine.folder)
    engine.stamp.write_text(engine.fingerprint)
    print(f"engine {engine.name}: fetched", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
