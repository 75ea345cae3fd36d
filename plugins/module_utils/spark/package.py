# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packs the Spark job on the controller: one zip for Glue and EMR, all their Pythons and both kinds of machine.

Spark puts the zip on the Python path of the driver and of the executors. Native code and what reads its own files
cannot be imported from a zip: the job hands on the same file as an archive, which Spark unpacks beside each executor
(spark.md 1).

Of the collection it has what the job's driver imports. A module of Ansible's brings along nothing but what it imports
either: so this file imports driver and script, and a module and an action make the same package.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from . import driver
from . import script as started
from .wheels import Wheel

PACKAGE = "tableferry"  # the name of the collection's code in the zip
NATIVE = "native"  # the folder of what was compiled, by Python and machine
PURE = "pure"  # the folder of what reads files of its own
# For images without boto3 (UNCONFIRMED for EMR's Python 3.11, spark.md 3): requests to S3 and STS need no more.
LIBRARIES, SINGLE_MODULES = ("botocore", "dateutil", "jmespath", "urllib3"), ("six",)
SERVICES = ("s3", "sts")
SCRIPT = f"{started.__name__.rpartition('.')[2]}.py"  # which the package is sent with, and not a part of it
DRIVER = ("spark", driver.__name__.rpartition(".")[2])
_DATE = (2026, 1, 1, 0, 0, 0)  # of all files: so the same files are the same zip


@dataclass(frozen=True)
class Package:
    """The zip. ``name`` has its checksum: a job that runs never gets half of an update."""

    content: bytes

    @property
    def name(self) -> str:
        """Its file name."""
        return f"tableferry-{hashlib.sha256(self.content).hexdigest()[:16]}.zip"


def script() -> bytes:
    """The script that Spark runs, beside the package."""
    return (files(__package__) / SCRIPT).read_bytes()


def build_package(wheels: Mapping[Wheel, bytes]) -> Package:
    """The package with the native libraries of ``wheels``; the same bytes for the same files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as package:
        for name, data in sorted({**_own_files(), **_pure_files(), **_native_files(wheels)}.items()):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            package.writestr(entry, data)
    return Package(content.getvalue())


def _own_files() -> dict[str, bytes]:
    """The driver, and all that is imported from it on. Packages are empty: they only say what they are for."""
    core = importlib.import_module("..core", __package__).__package__ or ""
    rooms = {"core": files(core), "spark": files(__package__)}
    found: dict[str, bytes] = {}
    todo: list[tuple[str, ...]] = [DRIVER]
    while todo:
        room, *path = module = todo.pop()
        name = f"{PACKAGE}/{'/'.join(module)}.py"
        file = rooms[room].joinpath(*path[:-1], f"{path[-1]}.py") if path else None
        if file is None or name in found or not file.is_file():
            continue
        found[name] = file.read_bytes()
        found.update({f"{PACKAGE}/{'/'.join((*module[:depth], '__init__.py'))}": b"" for depth in range(len(module))})
        todo += _imported(found[name], module)
    return found


def _imported(source: bytes, module: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """What the ``source`` of a ``module`` imports of the collection, and names in it that may be modules; wherever in
    it: the driver finds libraries only once they are there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = (*module[: len(module) - node.level], *(node.module.split(".") if node.module else ()))
            yield from filter(None, (base, *((*base, each.name) for each in node.names)))


def _pure_files() -> dict[str, bytes]:
    found = {f"{PURE}/{each}.py": _module(each) for each in SINGLE_MODULES}
    for library in LIBRARIES:
        found.update({f"{PURE}/{library}/{name}": data for name, data in _sources(files(library))})
    botocore = files("botocore")
    names = ["cacert.pem", *(f"data/{each.name}" for each in (botocore / "data").iterdir() if each.is_file())]
    found.update({f"{PURE}/botocore/{name}": (botocore / name).read_bytes() for name in names})
    for service in SERVICES:
        data = _tree(botocore / "data" / service)
        found.update({f"{PURE}/botocore/data/{service}/{name}": content for name, content in data})
    return found


def _module(name: str) -> bytes:
    """The source of a library that is one module."""
    return Path(str(importlib.import_module(name).__file__)).read_bytes()


def _native_files(wheels: Mapping[Wheel, bytes]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for wheel, content in wheels.items():
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                if not name.endswith("/") and ".dist-info/" not in name and not name.endswith((".pyi", ".pyc")):
                    found[f"{NATIVE}/{wheel.folder}/{name}"] = archive.read(name)
    return found


def _sources(folder: Traversable) -> Iterator[tuple[str, bytes]]:
    return ((name, data) for name, data in _tree(folder) if name.endswith(".py"))


def _tree(folder: Traversable, above: str = "") -> Iterator[tuple[str, bytes]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _tree(each, f"{above}{each.name}/")
        elif not each.name.endswith(".pyc"):
            yield f"{above}{each.name}", each.read_bytes()
