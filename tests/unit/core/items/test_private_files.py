# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files with keys of items: harmless short names, and nobody but their owner reads them."""

from __future__ import annotations

import errno
import os
import pwd
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.private_files import (
    expanded,
    file_name,
    new_file,
    require_writable,
)


@pytest.mark.parametrize("name", ["orders", "Orders.2024_eu-west-1", "a" * 100, "_x", "0"])
def test_d6_a_short_harmless_name_stays_as_it_is(name: str) -> None:
    assert file_name(name) == name


@given(st.text() | st.from_regex(r"[a-z./]{90,260}", fullmatch=True))
def test_c7_d6_no_name_is_a_path_or_too_long(name: str) -> None:
    found = file_name(name)
    assert 0 < len(found.encode()) <= 117
    assert found.isascii() and "/" not in found and found[0] not in ".-"
    assert found == name or found.rpartition("-")[2] != file_name(f"{name}x").rpartition("-")[2]


@pytest.mark.parametrize(
    "name", ["../../victim", "/etc/passwd", ".", "..", "", "a\nok: [b]", "-rf", "\x1b[2J", "a" * 255]
)
def test_c7_hostile_names_differ_from_every_other(name: str) -> None:
    assert file_name(name) != name
    assert file_name(name) != file_name(file_name(name) + " ")


def test_c7_a_new_file_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with new_file(tmp_path / "differences" / "orders.jsonl") as file:
            file.write("{}\n")
    finally:
        os.umask(before)
    folder = tmp_path / "differences"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "orders.jsonl")]
    assert modes == [0o700, 0o600]


def test_c7_a_planted_link_is_replaced_and_never_followed(tmp_path: Path) -> None:
    victim, planted = tmp_path / "victim", tmp_path / "orders.jsonl"
    victim.write_text("precious")
    planted.symlink_to(victim)
    with new_file(planted) as file:
        file.write("{}\n")
    assert (victim.read_text(), planted.read_text(), planted.is_symlink()) == ("precious", "{}\n", False)


def test_c7_a_file_that_others_could_read_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "orders.jsonl"
    path.write_text("old")
    path.chmod(0o666)
    new_file(path).close()
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("", 0o600)


def test_h8_trying_a_folder_leaves_nothing(tmp_path: Path) -> None:
    require_writable(tmp_path / "not" / "there")
    require_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_h8_a_folder_that_cannot_be_made_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        require_writable(tmp_path / "file" / "below")


def test_h8_a_full_disk_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        require_writable(tmp_path / "checkpoints")
    assert list(tmp_path.iterdir()) == []


def test_h8_no_home_directory_is_an_error_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_uid: int) -> Any:
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(OSError, match="No home directory is known"):
        expanded("~/.tableferry")
    assert expanded("/tmp/x") == Path("/tmp/x")


@pytest.mark.parametrize("link", [False, True])
def test_a_device_or_a_pipe_is_written_to_and_never_replaced(tmp_path: Path, link: bool) -> None:
    """As root ``/dev/null`` itself would be replaced by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = tmp_path / "stdout" if link else pipe
    if link:
        path.symlink_to(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if link:
            with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
                new_file(path)
        else:
            with new_file(path) as file:
                file.write("{}\n")
            assert os.read(reader, 100) == b"{}\n"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert path.is_symlink() == link
