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
    "changes": {"type": "list", "elements": "str", "default": []},
    "path": {"type": "path"},
}


class ReportNotWritten(FerryError):
    """The report's file cannot be written."""


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Show the rows as one table, then write them; in check mode they are only shown.

    Shown first: a folder that is missing must not cost the user the report.
    """
    rows = params["tables"]
    lines = [*params["changes"], *report.overview(rows, check_mode)]
    for line in lines:
        progress(line)
    if params["path"] and not check_mode:
        _write(private_files.expanded(params["path"]), {"tables": rows})
    return {"changed": any(row.get("changed") for row in rows), "lines": lines}


def _write(path: Path, document: dict[str, Any]) -> None:
    """Write the report's file. Its folder may be reached by a link; a link at its own place is replaced."""
    try:
        with private_files.new_file(path.parent.resolve() / path.name) as file:
            file.write(json.dumps(document, indent=2) + "\n")
    except OSError as error:
        raise ReportNotWritten(
            f"The report {path} could not be written: {private_files.in_words(error)}.",
            "It is shown above. Set path to a file that can be written.",
        ) from error


VERB = Verb("migration_report", SPEC, run, services=())
