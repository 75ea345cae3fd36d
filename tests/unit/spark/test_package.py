# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The zip of the Spark job, and the wheels in it."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import ChecksumMismatch, MissingLibrary
from ansible_collections.tableferry.aws.plugins.module_utils.spark import wheels
from ansible_collections.tableferry.aws.plugins.module_utils.spark.package import Package, build_package
from ansible_collections.tableferry.aws.plugins.module_utils.spark.wheels import (
    WHEELS,
    Wheel,
    download_command,
    download_wheels,
    find_wheels,
)


def file_name(wheel: Wheel) -> str:
    name, version = wheel.requirement.split("==")
    machine = wheel.machine
    tags = f"manylinux2014_{machine}.manylinux_2_17_{machine}.manylinux_2_28_{machine}"
    return f"{name}-{version}-{wheel.python}-{wheel.python}-{tags}.whl"


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def made(wheel: Wheel) -> bytes:
    name = wheel.requirement.split("==")[0]
    where = f"{wheel.python}-{wheel.machine}"
    return zipped(
        {
            f"{name}/__init__.py": f"WHERE = {where!r}".encode(),
            f"{name}/_core.{where}-linux-gnu.so": b"native",
            f"{name}/__init__.pyi": b"",
            f"{name}-1.dist-info/RECORD": b"",
        }
    )


@pytest.fixture(scope="module")
def package() -> Package:
    return build_package({wheel: made(wheel) for wheel in WHEELS})


def run(code: str, *paths: Path) -> str:
    """What ``code`` prints in an interpreter that has only the standard library and ``paths``."""
    before = f"import sys; sys.path[:0] = {[str(path) for path in paths]!r}\n"
    command = [sys.executable, "-I", "-S", "-c", before + code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_same_files_are_the_same_zip(package: Package) -> None:
    again = build_package({wheel: made(wheel) for wheel in reversed(WHEELS)})
    assert again.content == package.content
    assert package.name == f"tableferry-{sha256(package.content).hexdigest()[:16]}.zip"
    assert build_package({}).name != package.name


def test_each_wheel_lies_in_a_folder_of_its_own(package: Package) -> None:
    names = set(zipfile.ZipFile(io.BytesIO(package.content)).namelist())
    for wheel in WHEELS:
        name = wheel.requirement.split("==")[0]
        where = f"{wheel.python}-{wheel.machine}"
        assert f"native/{where}/{name}/_core.{where}-linux-gnu.so" in names
    assert not [name for name in names if ".dist-info" in name or name.endswith((".pyi", ".pyc"))]


def test_the_code_runs_from_the_zip_without_ansible_and_an_sdk(package: Package, tmp_path: Path) -> None:
    path = tmp_path / package.name
    path.write_bytes(package.content)
    loaded = run("import tableferry.spark.driver, tableferry.spark.job; print(*sys.modules)", path).split()
    assert "tableferry.core.items.write" in loaded
    assert not {"ansible", "ansible_collections", "boto3", "botocore"} & set(loaded)


def test_once_unpacked_the_code_comes_from_files_whose_compiled_form_stays(package: Package, tmp_path: Path) -> None:
    path, unpacked = tmp_path / package.name, tmp_path / "unpacked"
    path.write_bytes(package.content)
    zipfile.ZipFile(path).extractall(unpacked)
    code = (
        "import pathlib\n"
        "sys.dont_write_bytecode = False\n"
        "from tableferry.spark import driver\n"
        f"driver.use_libraries(pathlib.Path({str(unpacked)!r}))\n"
        "from tableferry.spark import job\n"
        "from tableferry.core.items import write\n"
        "print(*(module.__file__ for module in (driver, job, write)), sep='\\n')"
    )
    names = ("spark/driver", "spark/job", "core/items/write")
    zipped_one, *others = (f"tableferry/{name}.py" for name in names)
    assert run(code, path).splitlines() == [f"{path}/{zipped_one}", *(f"{unpacked}/{other}" for other in others)]
    assert list((unpacked / "tableferry/spark/__pycache__").glob("job.*.pyc"))


def test_the_sdk_that_is_unpacked_signs_requests_to_s3_and_sts(package: Package, tmp_path: Path) -> None:
    zipfile.ZipFile(io.BytesIO(package.content)).extractall(tmp_path)
    code = (
        "import botocore.session\n"
        "session = botocore.session.Session()\n"
        "keys = {'aws_access_key_id': 'AKIA', 'aws_secret_access_key': 'secret'}\n"
        "s3 = session.create_client('s3', 'eu-west-1', **keys)\n"
        "print(s3.generate_presigned_url('get_object', {'Bucket': 'b', 'Key': 'k'}).partition('?')[0])\n"
        "print(session.create_client('sts', 'eu-west-1', **keys).meta.endpoint_url, session.get_available_services())"
    )
    assert run(code, tmp_path / "pure").splitlines() == [
        "https://s3.amazonaws.com/b/k",
        "https://sts.eu-west-1.amazonaws.com ['s3', 'sts']",
    ]


# Wheels


def test_wheels_are_found_by_name_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = tuple(replace(wheel, sha256=sha256(made(wheel)).hexdigest()) for wheel in WHEELS)
    monkeypatch.setattr(wheels, "WHEELS", known)
    for wheel in known:
        (tmp_path / file_name(wheel)).write_bytes(made(wheel))
    (tmp_path / "boto3-1.40.0-py3-none-any.whl").write_bytes(b"")
    assert find_wheels(tmp_path) == {wheel: made(wheel) for wheel in known}


def test_a_wheel_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingLibrary, match=r"no wheel of msgspec==.* for cp311 on x86_64"):
        find_wheels(tmp_path / "not there")


def test_another_wheel_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / file_name(WHEELS[0])).write_bytes(b"other")
    with pytest.raises(ChecksumMismatch, match=WHEELS[0].sha256):
        find_wheels(tmp_path)


def test_a_wheel_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / file_name(WHEELS[0])).mkdir()
    with pytest.raises(MissingLibrary, match=f"The wheels in {tmp_path} cannot be read: Is a directory"):
        find_wheels(tmp_path)


def test_every_python_and_machine_has_each_library() -> None:
    libraries = {wheel.requirement for wheel in WHEELS}
    folders = {wheel.folder for wheel in WHEELS}
    assert {(wheel.requirement, wheel.folder) for wheel in WHEELS} == {(x, y) for x in libraries for y in folders}
    assert folders == {f"cp3{minor}-{machine}" for minor in (11, 12, 13) for machine in ("x86_64", "aarch64")}


def test_pip_downloads_for_another_python_only_what_was_tested(tmp_path: Path) -> None:
    command = download_command(tmp_path / "r.txt", "cp313", "aarch64", tmp_path)
    assert command[0] == "download"
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} < set(command)
    assert command[command.index("--python-version") + 1] == "313"
    assert [each for each in command if each.endswith("aarch64")] == [f"{p}_aarch64" for p in wheels.PLATFORMS]


def test_pip_that_fails_is_told_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails = tmp_path / "python"
    fails.write_text("#!/bin/sh\necho 'ERROR: no index' >&2\nexit 1\n")
    fails.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fails))
    with pytest.raises(MissingLibrary, match="no index") as caught:
        download_wheels(tmp_path)
    assert "wheels of spark" in caught.value.next_step
