# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which processes of this machine work for a run: the last one that is interrupted ends its lease.

Each holds a shared lock on a file that is named after the run; who gets it alone is the last one. The system takes the
lock from a process that is gone, however it ended.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

# The same for all processes of a run, whatever their user and their environment. The file stays empty.
_FOLDER = Path("/tmp")
_ANYBODY = 0o666  # a module that runs as another user takes part too


class Attendance:
    """This process's presence in the run ``run``, from the making until ``leave`` or the process's end.

    Raises OSError where the file cannot be opened.
    """

    def __init__(self, run: str, folder: Path = _FOLDER) -> None:
        self._path = folder / f"tableferry-run-{run}.lock"
        self._file = _opened(self._path)
        # Waits only for one that ends the run at this moment.
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def is_last(self) -> bool:
        """Whether nobody else is present; nobody can come until this process leaves then. Where somebody is, this
        process is present no more."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            return False
        return True

    def close_run(self) -> None:
        """The run has ended: its file is not needed any more."""
        with suppress(OSError):  # it belongs to another user, whose system cleans up
            self._path.unlink()

    def leave(self) -> None:
        """This process works for the run no more."""
        os.close(self._file)


def _opened(path: Path) -> int:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(FileNotFoundError):  # without O_CREAT: systems refuse that for other users' files
        return os.open(path, flags)
    with suppress(FileExistsError):
        file = os.open(path, flags | os.O_CREAT | os.O_EXCL, _ANYBODY)
        os.fchmod(file, _ANYBODY)
        return file
    return os.open(path, flags)
