# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report's folder on the controller: report.html to read, report.md for a ticket, report.json for programs."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..items import private_files
from . import adoption
from .document import Document, is_readable
from .markdown import markdown
from .page import page

JSON, PAGE, MARKDOWN = "report.json", "report.html", "report.md"
LOCK = ".report.lock"
LOCK_SECONDS = 600.0  # until a run that stands still is not waited for any more
SILENT_SECONDS = 5.0  # of such a wait: a report is written sooner, but where it reads many tables for ``adoption``
LOCK_POLL_SECONDS = 0.2
_PLACE = re.compile(rf"{adoption.FOLDER}/\d{{12}}-[a-z0-9-]+")


def place(path: str) -> Path:
    """The folder at ``path``, which may be reached by links. Raises OSError."""
    return private_files.expanded(path).resolve()


def require_writable(folder: Path) -> None:
    """Whether the report can be written into ``folder``; nothing is left there. Raises OSError."""
    _require_folder(folder)
    private_files.require_writable(folder)
    for name in (JSON, PAGE, MARKDOWN):
        private_files.require_replaceable(folder / name)


@contextmanager
def held(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """The ``folder``, made where it is missing, for this run alone while it reads the report, adds to it and writes it:
    other runs wait; ``waiting`` is called once where that takes long. Where a file system has no locks, or another run
    has held it for LOCK_SECONDS, the report is written as well. Raises OSError where there can be no folder."""
    _require_folder(folder)
    private_files.make_folder(folder)
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:  # as of another user: whether the report can be written is seen when it is
        yield
        return
    try:
        _wait_for(lock, waiting)
        yield
    finally:
        os.close(lock)  # which ends the lock; the file stays, or a run that waits for it would hold one that is gone


def _wait_for(lock: int, waiting: Callable[[], None]) -> None:
    begun, told = time.monotonic(), False
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = time.monotonic() - begun
        except OSError:
            return None
        if waited >= LOCK_SECONDS:
            return None
        if waited >= SILENT_SECONDS and not told:
            told = True
            waiting()
        time.sleep(LOCK_POLL_SECONDS)


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


def adopted(folder: Path, found: Document) -> dict[str, str]:
    """The files for infrastructure as code of which the report ``found`` tells, by their paths in ``folder``."""
    files = {}
    for path in sorted(_told(found)):
        with suppress(OSError, ValueError):
            files[path] = (folder / path).read_text(encoding="utf-8")
    return files


def remove_stale(folder: Path, found: Document) -> None:
    """Remove the files for infrastructure as code that earlier runs made, and of which the report ``found`` tells no
    more; what else lies beside them stays. Raises OSError."""
    told = _told(found)
    above = folder / adoption.FOLDER
    places = [place for place in above.glob("*") if _is_place(f"{above.name}/{place.name}") and not place.is_symlink()]
    for place in places:
        for file in place.glob("*"):
            if adoption.is_ours(file.name) and f"{above.name}/{place.name}/{file.name}" not in told:
                file.unlink()
    for emptied in [*places, above]:
        with suppress(OSError):  # something else lies there, or nothing was ever there
            emptied.rmdir()


def _told(found: Document) -> set[str]:
    """The paths of the files that ``found`` tells of, without those that are not made here: it was read from a file."""
    ways = [way for place in found["adoption"] for way in place["ways"] if _is_place(way["folder"])]
    return {f"{way['folder']}/{name}" for way in ways for name in way["files"] if adoption.is_ours(name)}


def _is_place(path: str) -> bool:
    return _PLACE.fullmatch(path) is not None


def _require_folder(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
