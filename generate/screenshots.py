# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m generate.screenshots``: pictures of the report's page for ``docs/screenshots/``, by Chromium."""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path

from generate.sample_report import sample
from plugins.module_utils.core.report.page import page
from tests.browser.chromium import browser, program

FOLDER = Path(__file__).parents[1] / "docs" / "screenshots"
SIGHTS = {"light": (1200, 1000, False), "dark": (1200, 1000, True), "phone": (390, 844, False)}


def main() -> int:
    """Take all pictures; 1 without Chromium."""
    if not program():
        print("Chromium is not installed (Debian's package chromium).")
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder) / "profile") as shown:
        for number in (5, 500):
            path = Path(folder) / f"{number}.html"
            path.write_text(page(sample(number)))
            for name, (width, height, dark) in SIGHTS.items():
                shown.open(path, width=width, height=height, dark=dark)
                if number == 5 and name != "phone":  # one table's details, too
                    shown.run("document.querySelectorAll('#list tbody button')[1].click()")
                picture = shown.call("Page.captureScreenshot", format="png", optimizeForSpeed=False)["data"]
                (FOLDER / f"{number}-{name}.png").write_bytes(base64.b64decode(picture))
    return 0


if __name__ == "__main__":
    sys.exit(main())
