# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verb migration_report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...core import report
from ...core.errors import FerryError
from ...core.items import private_files
from ..spec import SHARED_OPTIONS, Progress, Verb

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "tables": {"type": "list", "elements": "dict", "required": True},
    "lines": {"type": "list", "elements": "str"},
    "changes": {"type": "list", "elements": "str", "default": []},
    "path": {"type": "path"},
    "try_only": {"type": "bool", "default": False},
}


class ReportNotWritten(FerryError):
    """The report's file cannot be written."""


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Show the rows as one table, or the ``lines`` that others have made of them, then write them; in check mode they
    are only shown. With ``try_only`` only try whether they can be written. Raises ReportNotWritten then.

    Shown first, and what cannot be written is a warning: it changes nothing in how the tables ended.
    """
    if params["try_only"]:
        _try(params["path"])
        return {"changed": False, "lines": []}
    rows, lines = params["tables"], params["lines"]
    if lines is None:
        lines = [*params["changes"], *report.overview(rows, check_mode)]
    for line in lines:
        progress(line)
    result = {"changed": any(row.get("changed") for row in rows), "lines": lines}
    if params["path"] and not check_mode:
        try:
            private_files.replace_text(_place(params["path"]), json.dumps({"tables": rows}, indent=2) + "\n")
        except OSError as error:
            result["warnings"] = [f"{_not_written(params['path'], error)} It is shown above."]
    return result


def _try(path: str | None) -> None:
    if not path:
        return
    try:
        private_files.require_replaceable(_place(path))
    except OSError as error:
        raise ReportNotWritten(
            _not_written(path, error), "Nothing was started. Set path to a file that can be written."
        ) from error


def _place(path: str) -> Path:
    """The report's file. Its folder may be reached by a link; a link at its own place is replaced."""
    place = private_files.expanded(path)
    return place.parent.resolve() / place.name


def _not_written(path: str, error: OSError) -> str:
    return f"The report {path} cannot be written: {private_files.in_words(error)}."


VERB = Verb("migration_report", SPEC, run, services=())
