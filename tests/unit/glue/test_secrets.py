# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""D5: what actions leave out of their results, without the function that ansible-core 2.25 has no more."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.plugin_utils import secrets

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("key-1", secrets.WHOLE),
        ("before key-1-long, key-1 after", "before ********, ******** after"),
        ({"key-1": ["key-1-long", ("x", None, True)]}, {"key-1": [secrets.WHOLE, ["x", None, True]]}),
        (4711, secrets.WHOLE),
        (47110, 47110),
        (None, None),
    ],
)
def test_secrets_are_left_out_wherever_they_stand(value: Any, shown: Any) -> None:
    assert secrets.without(value, {"key-1", "key-1-long", "4711", ""}) == shown


def test_without_secrets_nothing_changes() -> None:
    value = {"a": ["b"]}
    assert secrets.without(value, {""}) is value


@pytest.fixture
def masked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The secrets that an ansible-core which masks them itself was told."""
    masks: list[str] = []
    core = ModuleType("ansible.module_utils.secrets")
    core.register_secrets = masks.extend  # type: ignore[attr-defined]
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, core.__name__, core)
        importlib.reload(secrets)
        yield masks
    importlib.reload(secrets)


def test_an_ansible_core_that_masks_secrets_is_told_them(masked: list[str]) -> None:
    secrets.register_secrets(["key-1"])
    assert masked == ["key-1"]


def test_nothing_uses_what_ansible_core_removes() -> None:
    files = [path for part in ("plugins", "tests") for path in (ROOT / part).rglob("*.py") if path != Path(__file__)]
    gone = [path.name for path in files if "common.parameters import" in path.read_text()]
    assert gone == []
