# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m generate.site``: build the site into ``build/site/html``. Any warning of Sphinx fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from generate.site.pages import files, pages, with_links
from generate.site.prices import page

ROOT = Path(__file__).parents[2]
FRAME = Path(__file__).parent
SITE = ROOT / "build/site"
SOURCE = SITE / "source"


def lay_out(root: Path, source: Path) -> None:
    """Write the site's source, without the plugins' documentation. BrokenLink where a page links to nothing."""
    texts = pages(root)
    here = {*texts, *files(root)}
    for name in sorted(here):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in texts:
            path.write_text(with_links((root / name).read_text(), name, root, here))
        else:
            shutil.copyfile(root / name, path)
    for frame in FRAME.glob("*.rst"):
        shutil.copyfile(frame, source / frame.name)
    (source / "prices.rst").write_text(page())


def document_plugins(target: Path) -> None:
    """Write the documentation of all plugins and roles, and the guides of ``docs/docsite``. CalledProcessError."""
    target.mkdir(mode=0o755)
    options = ("--use-current", "--squash-hierarchy", "--fail-on-error", "--dest-dir", str(target))
    config = ("--config-file", str(FRAME / "antsibull-docs.cfg"))
    subprocess.run(("antsibull-docs", *config, "collection", *options, "tableferry.aws"), check=True)


def main() -> int:
    """Build the site; the status of Sphinx."""
    shutil.rmtree(SITE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    lay_out(ROOT, SOURCE)
    document_plugins(SOURCE / "collection")
    strict = ("-W", "--keep-going", "-q")
    command = ("sphinx-build", "-M", "html", str(SOURCE), str(SITE), "-c", str(FRAME), *strict)
    status = subprocess.run(command, check=False).returncode
    if not status:
        print(f"The site: {(SITE / 'html/index.html').relative_to(ROOT)}")
    return status


if __name__ == "__main__":
    sys.exit(main())
