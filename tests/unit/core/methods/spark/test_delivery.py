# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Script and package in the staging bucket: put there once, and made once for this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import MissingLibrary
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark import delivery
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.delivery import Payload, build, deliver
from ansible_collections.tableferry.aws.plugins.module_utils.spark.package import Package
from ansible_collections.tableferry.aws.plugins.module_utils.spark.wheels import Wheel


@dataclass(frozen=True)
class Object:
    key: str
    size: int


@dataclass
class Bucket:
    content: dict[str, bytes] = field(default_factory=dict)
    puts: list[str] = field(default_factory=list)

    def objects(self, prefix: str) -> Iterator[Object]:
        return (Object(key, len(body)) for key, body in self.content.items() if key.startswith(prefix))

    def put(self, key: str, body: bytes) -> None:
        self.puts.append(key)
        self.content[key] = body


FOLDER = "tableferry/spark/222222222222/eu-west-1/"
PAYLOAD = Payload(b"script", Package(b"package"))


@pytest.fixture(autouse=True)
def fresh() -> None:
    delivery._built.cache_clear()


def test_what_is_there_already_is_not_put_again() -> None:
    bucket = Bucket()
    deliver(bucket, PAYLOAD, FOLDER)
    assert bucket.puts == [PAYLOAD.script_key(FOLDER), PAYLOAD.package_key(FOLDER)]
    deliver(bucket, PAYLOAD, FOLDER)
    assert len(bucket.puts) == 2
    newer = Payload(b"script", Package(b"other package"))
    deliver(bucket, newer, FOLDER)
    assert bucket.puts[2:] == [newer.package_key(FOLDER)]  # beside the older one, which a run may be using
    assert bucket.content[PAYLOAD.package_key(FOLDER)] == b"package"


def test_what_was_cut_short_is_put_again() -> None:
    bucket = Bucket({PAYLOAD.package_key(FOLDER): b"pack"})
    deliver(bucket, PAYLOAD, FOLDER)
    assert bucket.content[PAYLOAD.package_key(FOLDER)] == b"package"


def test_wheels_are_downloaded_once_for_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    downloads = []
    wheel = Wheel("x==1", "cp311", "x86_64", "")

    def download(folder: Path) -> None:
        downloads.append(folder)
        (folder / "x.whl").write_bytes(b"wheel")

    def find(folder: Path) -> dict[Wheel, bytes]:
        if not (folder / "x.whl").exists():
            raise MissingLibrary("No wheel.", "Get it.")
        return {wheel: (folder / "x.whl").read_bytes()}

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(delivery, "download_wheels", download)
    monkeypatch.setattr(delivery, "find_wheels", find)
    monkeypatch.setattr(delivery, "build_package", lambda wheels: Package(b"".join(wheels.values())))
    first = build()
    assert first.package.content == b"wheel"
    assert b"SparkContext" in first.script
    delivery._built.cache_clear()
    assert build() == first
    assert len(downloads) == 1
    assert [each.name for each in (tmp_path / "tableferry/wheels").iterdir()] == ["x.whl"]


def test_the_users_folder_of_wheels_is_taken_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(MissingLibrary, match="has no wheel of"):
        build(str(tmp_path))


def test_a_machine_that_cannot_keep_wheels_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(MissingLibrary, match="cannot be kept here"):
        build()


def test_tables_that_are_begun_at_once_share_one_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    under_way = threading.Semaphore(1)  # reading source in two threads at once is a SystemError in Python 3.11

    def alone(_wheels: object) -> Package:
        assert under_way.acquire(blocking=False), "two packages are made at once"
        try:
            time.sleep(0.1)
            return Package(b"package")
        finally:
            under_way.release()

    monkeypatch.setattr(delivery, "find_wheels", lambda _folder: {})
    monkeypatch.setattr(delivery, "build_package", alone)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(build, [str(tmp_path)] * 4))
    assert len({id(each) for each in made}) == 1
