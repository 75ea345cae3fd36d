# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script that engines run."""

from __future__ import annotations

import ast
import runpy
import sys
import types
import zipfile
from pathlib import Path

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.spark import script

FILE = str(script.__file__)


def test_an_older_python_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 16))
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(FILE, run_name="__main__")
    assert "needs Python 3.11 or newer" in str(ended.value)
    assert "Python 3.9" in str(ended.value)
    assert "Choose a newer release" in str(ended.value)


def test_an_older_python_can_read_it() -> None:
    ast.parse(Path(FILE).read_text(), feature_version=(3, 7))


def test_the_driver_comes_out_of_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "tableferry-1.zip"
    with zipfile.ZipFile(package, "w") as archive:
        for name in ("tableferry/__init__.py", "tableferry/spark/__init__.py"):
            archive.writestr(name, "")
        archive.writestr("tableferry/spark/driver.py", "calls = []\ndef main(*given): calls.append(given)\n")
    stopped = []
    context = types.SimpleNamespace(stop=lambda: stopped.append(True), setLogLevel=str)
    pyspark = types.ModuleType("pyspark")
    pyspark.SparkContext = lambda appName: context  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyspark", pyspark)
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setattr(sys, "argv", ["script.py", "--plan", "s3://b/k", "--run", "r"])
    try:
        runpy.run_path(FILE, run_name="__main__")
        calls = sys.modules["tableferry.spark.driver"].calls
    finally:
        for name in [each for each in sys.modules if each.split(".")[0] == "tableferry"]:
            del sys.modules[name]
    assert calls == [(["--plan", "s3://b/k", "--run", "r"], context, package)]
    assert stopped == [True]
