# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of this machine that hold keys of items, which are personal data: only their owner may read them.

Names of tables and hosts come from outside: as names of files they are made harmless and short.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TextIO

MOST_LETTERS = 100  # of a name; file systems take 255 bytes, and locks and new files add their own
PROBE_BYTES = 4096  # a block: an empty file can be made on a full disk

_DEVICES = Path("/dev")
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
    link to one that is not the system's own (``/dev/stdout``)."""
    make_folder(path.parent)
    if _is_special(path):
        return os.fdopen(_open_special(path), "w", encoding="utf-8")
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return os.fdopen(handle, "w", encoding="utf-8")


def replace_text(path: Path, text: str, first: str = "") -> None:
    """Write ``text`` to the file ``path``, which only its owner may read (0600), or leave the one that is there: it is
    written beside, and renamed. Where one process alone writes it, ``first`` is the name that it is written by, and
    what a kill left there is replaced. Links, devices and pipes as for ``new_file``. Raises OSError."""
    if _is_special(path):
        with new_file(path) as stream:
            stream.write(text)
        return
    new = path.with_name(first or f".tableferry-{secrets.token_hex(8)}.new")
    try:
        with new_file(new) as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _is_special(path: Path) -> bool:
    """Whether a device, a pipe or a socket is there, or a link to one. What lies in /dev is the system's, as
    ``/dev/stdout``, which may lead to a file."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return path.parent == _DEVICES
    return path.parent == _DEVICES or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _open_special(path: Path) -> int:
    """Open a device or a pipe to write to it, without waiting for the reader of a pipe. A link is refused."""
    link = 0 if path.parent == _DEVICES else os.O_NOFOLLOW
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC | link)
    os.set_blocking(handle, True)
    return handle


def require_replaceable(path: Path) -> None:
    """Whether ``replace_text`` can write ``path``, tried as ``require_writable`` does; nothing is left, and what is
    there stays. A pipe is not opened: its reader may come later. Raises OSError."""
    if _is_special(path):
        if not path.is_fifo():
            os.close(_open_special(path))
        return
    try:
        mode = path.lstat()
    except FileNotFoundError:
        mode = None
    if mode is not None and stat.S_ISDIR(mode.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    require_writable(path.parent)
    if mode is not None:
        # In a folder such as /tmp, files of others cannot be replaced.
        folder = path.parent.stat()
        if folder.st_mode & stat.S_ISVTX and os.geteuid() not in (0, mode.st_uid, folder.st_uid):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))


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
