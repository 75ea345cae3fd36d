# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of the repository is in the site, and where its links lead."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

PAGES = ("*.md", "docs/*.md", "docs/permissions/README.md", "roles/*/README.md")
FILES = ("CHANGELOG.rst", "docs/*.json", "docs/permissions/*.json", "docs/screenshots/*", "examples/**/*")
REPOSITORY = "https://github.com/tableferry/tableferry.aws/"

_WHOLE = re.compile(re.escape(REPOSITORY) + "(?:blob|tree)/main/")
_LINK = re.compile(rf"(?<=\]\()(?!(?!{_WHOLE.pattern})https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


class BrokenLink(Exception):
    """A page links to what is not in the repository."""


def pages(root: Path) -> list[str]:
    """The pages of the site in Markdown, by their paths below ``root``, sorted."""
    return sorted({path.relative_to(root).as_posix() for pattern in PAGES for path in root.glob(pattern)})


def files(root: Path) -> list[str]:
    """What pages show or offer besides, by their paths below ``root``, sorted."""
    found = (path for pattern in FILES for path in root.glob(pattern) if path.is_file())
    return sorted({path.relative_to(root).as_posix() for path in found})


def with_links(text: str, page: str, root: Path, here: Collection[str]) -> str:
    """The Markdown of ``page``, with links to what the site has (``here``) leading there, others to the repository.

    Raises BrokenLink for a link, relative or to the repository, to what does not exist below ``root``. Code is left as
    it is.
    """
    folder = str(PurePosixPath(page).parent)

    def led(found: re.Match[str]) -> str:
        path, whole = _WHOLE.subn("", found[1])
        target = normpath(path if whole else f"{folder}/{path}")
        if not (root / target).exists() or target.startswith(".."):
            raise BrokenLink(f"{page} links to {found[1]}, which does not exist.")
        kind = "tree" if (root / target).is_dir() else "blob"
        place = relpath(target, folder) if target in here else f"{REPOSITORY}{kind}/main/{target}"
        return place + (found[2] or "")

    parts = []
    end = 0
    for code in _CODE.finditer(text):
        parts += [_LINK.sub(led, text[end : code.start()]), code[0]]
        end = code.end()
    # A link whose words are code is cut in two by it: what follows begins with "](".
    return "".join([*parts, _LINK.sub(led, text[end:])])
