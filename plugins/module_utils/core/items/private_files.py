# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of this machine that hold keys of items, which are personal data: only their owner may read them.

Names of tables and hosts come from outside: as names of files they are made harmless and short.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import TextIO

MOST_LETTERS = 100  # of a name; file systems take 255 bytes, and locks and new files add their own
PROBE_BYTES = 4096  # a block: an empty file can be made on a full disk

_HARMLESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_OTHER = re.compile(r"[^A-Za-z0-9_.-]")


def file_name(name: str) -> str:
    """``name`` as the name of a file: itself where it is short and harmless, else its first 100 letters and a hash.

    A harmless name has letters, digits, ``_``, ``.`` and ``-`` and does not begin with ``.`` or ``-``. Two names never
    share a file.
    """
    if len(name) <= MOST_LETTERS and _HARMLESS.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    letters = _OTHER.sub("_", name[:MOST_LETTERS]).lstrip(".-") or "_"
    return f"{letters}-{digest}"


def expanded(path: str) -> Path:
    """``path`` with the home directory for ``~``. Raises OSError where no home directory is known."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise FileNotFoundError(2, "No home directory is known", path) from error


def make_folder(folder: Path) -> None:
    """Make ``folder`` with those above it; a new one is its owner's alone (0700). Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def new_file(path: Path) -> TextIO:
    """A new text file at ``path`` that only its owner may read (0600). What is there is replaced: a link itself, never
    what it points to. A device or a pipe, such as ``/dev/null``, is written to and stays. Raises OSError, also for a
    link to one."""
    make_folder(path.parent)
    if _is_special(path):
        # Without waiting for the reader of a pipe; a link is refused.
        return os.fdopen(
            os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "w", encoding="utf-8"
        )
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return os.fdopen(handle, "w", encoding="utf-8")


def _is_special(path: Path) -> bool:
    """Whether a device, a pipe or a socket is there, or a link to one."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def require_writable(folder: Path) -> None:
    """Whether files can be written in ``folder``, tried by one that is removed again; where the folder is not there
    yet, in the one that it would be made in. Raises OSError."""
    place = folder
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    with tempfile.TemporaryFile(dir=place) as probe:
        probe.write(bytes(PROBE_BYTES))
        probe.flush()
        os.fsync(probe.fileno())


def in_words(error: OSError) -> str:
    """What an OSError says, without number and path."""
    return error.strerror or str(error)
