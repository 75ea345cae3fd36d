# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report's folder on the controller: report.html to read, report.md for a ticket, report.json for programs."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..items import private_files
from .document import Document, is_readable
from .markdown import markdown
from .page import page

JSON, PAGE, MARKDOWN = "report.json", "report.html", "report.md"


def place(path: str) -> Path:
    """The folder at ``path``, which may be reached by links. Raises OSError."""
    return private_files.expanded(path).resolve()


def require_writable(folder: Path) -> None:
    """Whether the report can be written into ``folder``; nothing is left there. Raises OSError."""
    _require_folder(folder)
    private_files.require_writable(folder)
    for name in (JSON, PAGE, MARKDOWN):
        private_files.require_replaceable(folder / name)


def former(folder: Path) -> Mapping[str, Any] | None:
    """The report that an earlier run left in ``folder``; None where there is none that this version can go on with."""
    with suppress(OSError, ValueError):
        found = json.loads((folder / JSON).read_text(encoding="utf-8"))
        if is_readable(found):
            return dict(found)
    return None


def files_of(found: Document) -> dict[str, str]:
    """The files of the report ``found``, by name. The page is left out where Jinja2 is missing."""
    files = {JSON: _as_json(found), MARKDOWN: markdown(found)}
    with suppress(ImportError):
        files[PAGE] = page(found)
    return files


def _as_json(found: Document) -> str:
    """The report with a line for each table: indented, 2,500 tables take a second more."""
    tables = ",\n".join(map(json.dumps, found["tables"]))
    head = json.dumps({**found, "tables": []}, indent=2)
    return head.replace('\n  "tables": []', f'\n  "tables": [\n{tables}\n  ]', 1) + "\n"


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write ``files`` into ``folder``: the owner's alone, each replaced when it is complete. Raises OSError."""
    _require_folder(folder)
    private_files.make_folder(folder)
    for name, text in files.items():
        private_files.make_folder((folder / name).parent)
        private_files.replace_text(folder / name, text)


def _require_folder(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
