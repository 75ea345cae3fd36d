# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Script and package of the Spark job: made on the controller, and put into the staging bucket once.

Their names have their checksums, so that a run which has begun never gets half of an update, and all tables and runs of
one version share one pair of objects.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from ....spark.package import Package, build_package, script
from ....spark.wheels import download_wheels, find_wheels
from ...account import Account
from ...errors import FerryError, MissingLibrary
from ...items.private_files import expanded, in_words, make_folder

FOLDER = "tableferry/spark/"  # of the staging bucket: the jobs' roles may read what lies below
_CACHE = "tableferry/wheels"
# Tables are begun in threads, and each needs the package. Reading source in two of them at once also ends in a
# SystemError of Python 3.11's own ("AST constructor recursion depth mismatch").
_ONE_AT_A_TIME = threading.Lock()


class Stored(Protocol):
    """An object of a listing; ``size`` in bytes."""

    @property
    def key(self) -> str: ...

    @property
    def size(self) -> int: ...


class Bucket(Protocol):
    """What a delivery needs of the staging bucket: private objects, encrypted by its key."""

    def objects(self, prefix: str) -> Iterable[Stored]: ...

    def put(self, key: str, body: bytes) -> None: ...


@dataclass(frozen=True)
class Payload:
    """Script and package, ready to be delivered."""

    script: bytes
    package: Package

    def script_key(self, folder: str) -> str:
        """The script's key in the ``folder``."""
        return f"{folder}tableferry-{hashlib.sha256(self.script).hexdigest()[:16]}.py"

    def package_key(self, folder: str) -> str:
        """The package's."""
        return f"{folder}{self.package.name}"


def folder_of(account: Account) -> str:
    """The folder of the staging bucket for jobs in the Region of ``account``.

    A bucket may serve several Regions and accounts. Each counts who needs its folder in a record table of its own, and
    so removes nothing of another one.
    """
    return f"{FOLDER}{account.account_id}/{account.region}/"


def deliver(bucket: Bucket, payload: Payload, folder: str) -> None:
    """Put script and package into the ``folder`` of the ``bucket`` where they are not there yet. Raises what the bucket
    does."""
    there = {each.key: each.size for each in bucket.objects(f"{folder}tableferry-")}
    script, package = payload.script_key(folder), payload.package_key(folder)
    for key, content in ((script, payload.script), (package, payload.package.content)):
        if there.get(key) != len(content):
            bucket.put(key, content)


def build(wheels: str = "") -> Payload:
    """Script and package, made once for a process. ``wheels`` is the user's folder of them; without one pip downloads
    them, once for this machine.

    Raises MissingLibrary where they can be neither found nor downloaded, ChecksumMismatch for others than were tested.
    """
    with _ONE_AT_A_TIME:
        return _built(wheels)


def require_wheels(wheels: str) -> None:
    """Raises MissingLibrary, or ChecksumMismatch, where the user's folder ``wheels`` has not all that the job brings
    along. Without a folder pip downloads them, when a job is to be begun."""
    if wheels:
        with _ONE_AT_A_TIME:
            _require_wheels(wheels)


@lru_cache(maxsize=2)
def _require_wheels(wheels: str) -> None:
    find_wheels(_folder(wheels))


@lru_cache(maxsize=2)
def _built(wheels: str) -> Payload:
    return Payload(script(), build_package(find_wheels(_folder(wheels))))


def _folder(wheels: str) -> Path:
    try:
        if wheels:
            return expanded(wheels)
        folder = expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / _CACHE
        make_folder(folder)
        with suppress(FerryError):  # another version's, or half of them
            find_wheels(folder)
            return folder
        with tempfile.TemporaryDirectory(dir=folder) as new:
            download_wheels(Path(new))
            for wheel in Path(new).iterdir():
                wheel.replace(folder / wheel.name)
    except OSError as error:
        raise MissingLibrary(
            f"The wheels of the Spark job cannot be kept here: {in_words(error)}.",
            "Set wheels of spark to a folder that has them, or XDG_CACHE_HOME to one that can be written.",
        ) from error
    return folder
