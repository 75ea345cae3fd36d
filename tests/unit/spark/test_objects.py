# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one Spark task does for an import: each data file becomes one object, whole or not at all, once."""

from __future__ import annotations

import gzip
import hashlib
import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import CountMismatch, ServiceError
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyReader
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.carried import CARRIED
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.exported import ExportedFile, read_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.compiled import compiled
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Definition
from ansible_collections.tableferry.aws.plugins.module_utils.spark import objects as spark_objects
from ansible_collections.tableferry.aws.plugins.module_utils.spark.files import FileResult
from ansible_collections.tableferry.aws.plugins.module_utils.spark.objects import COUNTS, ObjectsTask
from tests.unit.core.items.strategies import to_bytes
from tests.unit.spark.test_files import KEY, SOURCE, Export, numbered

Content = tuple[bytes, dict[str, str]]


@dataclass
class Stored:
    """Objects in memory that are written once."""

    content: dict[str, Content] = field(default_factory=dict)

    def write_new(self, key: str, body: IO[bytes], md5: bytes, metadata: dict[str, str]) -> str | None:
        body.seek(0)
        data = body.read()
        assert hashlib.md5(data).digest() == md5
        if key in self.content:
            return None
        self.content[key] = (data, metadata)
        return md5.hex()

    def about(self, key: str) -> tuple[str, dict[str, str]]:
        data, metadata = self.content[key]
        return hashlib.md5(data).hexdigest(), metadata

    def items(self) -> list[Any]:
        lines = [line for data, _more in self.content.values() for line in gzip.decompress(data).splitlines()]
        return [json.loads(line)["Item"] for line in lines]


def run(
    stored: Stored,
    export: Export,
    steps: Sequence[Mapping[str, Any]] = (),
    files: Mapping[str, str] | None = None,
) -> dict[str, FileResult]:
    """The results of a task over all files, by their keys."""
    results: dict[str, FileResult] = {}

    def done(result: FileResult) -> None:
        assert FileResult.from_json(json.loads(json.dumps(result.to_json()))) == result
        results[result.key] = result

    transform = compiled(Definition(list(steps), SOURCE, files=files or {}))
    keys = KeyReader((KEY,))
    task = ObjectsTask(
        stored, transform, keys, CARRIED, export.stream, lambda file: f"out/{file.key.rpartition('/')[2]}"
    )
    task.run(export.files, done)
    return results


def test_each_file_becomes_an_object_of_the_form_of_an_export() -> None:
    export, stored = Export(numbered(0, 300), [], numbered(300, 310)), Stored()
    results = run(stored, export, [{"drop": ["note"]}])
    assert sorted(stored.content) == ["out/0.json.gz", "out/1.json.gz", "out/2.json.gz"]
    assert stored.items() == [{"id": {"S": f"item {n}"}, "n": {"N": str(n)}} for n in range(310)]
    assert [(each.read, each.written, each.balanced) for each in results.values()] == [
        (300, 300, True),
        (0, 0, True),
        (10, 10, True),
    ]
    for key, result in results.items():
        data, _more = stored.content[f"out/{key.rpartition('/')[2]}"]
        assert b64decode(result.md5) == hashlib.md5(data).digest()
        assert result.etag == hashlib.md5(data).hexdigest()
        read = list(read_items([data], ExportedFile(key, result.written, result.md5)))
        assert sum(map(len, read)) == result.written


def test_what_is_read_and_not_written_is_counted() -> None:
    export, stored = Export([*numbered(0, 5), to_bytes({"id": {"S": "odd"}, "note": {"S": "1"}})]), Stored()
    steps = [{"keep_if": "attribute_not_exists(n) OR id <> n"}, {"cast": {"note": "N"}}]
    (result,) = run(stored, export, steps).values()
    assert (result.read, result.written, result.refused) == (6, 1, {"2": 5})
    assert result.balanced
    assert [each.key for each in result.named] == [{"id": {"S": f"item {n}"}} for n in range(5)]
    (result,) = run(Stored(), export, [{"keep_if": "attribute_not_exists(n)"}]).values()
    assert (result.written, result.kept_out, result.balanced) == (1, {"1": 5}, True)


def test_the_same_file_gives_the_same_bytes() -> None:
    first, second = Stored(), Stored()
    export = Export(numbered(0, 500))
    assert run(first, export) == run(second, export)
    assert first.content == second.content


def test_a_file_that_ends_early_leaves_no_object() -> None:
    export, stored = Export(numbered(0, 50), numbered(50, 99)), Stored()
    export.files[1] = ExportedFile(export.files[1].key, 50)

    with pytest.raises(CountMismatch):
        run(stored, export)
    assert sorted(stored.content) == ["out/0.json.gz"]


FUNCTION = """
made = []
def some(item):
    made.append(1)
    return None if len(made) % 3 == 0 else item
"""


def test_an_object_that_is_there_says_what_became_of_its_items() -> None:
    """As after a task that was killed between object and result, or beside a late one; functions may have changed
    their mind."""
    export, stored = Export(numbered(0, 10)), Stored()
    steps = [{"python": {"function": "f.py:some", "attributes": "all"}}]
    (first,) = run(stored, export, steps, files={"f.py": FUNCTION}).values()
    content = dict(stored.content)
    (second,) = run(stored, export, steps, files={"f.py": FUNCTION.replace("% 3", "% 2")}).values()
    assert stored.content == content
    assert second == first
    assert first.written == 7 == len(stored.items())


def test_an_object_of_somebody_else_is_told() -> None:
    export, stored = Export(numbered(0, 10)), Stored()
    stored.content["out/0.json.gz"] = (b"", {})
    with pytest.raises(ServiceError, match=r"out/0\.json\.gz is there, and was not written by this job"):
        run(stored, export)


def test_a_large_object_goes_over_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_objects, "SPOOLED_BYTES", 10)
    export, stored = Export(numbered(0, 2000)), Stored()
    (result,) = run(stored, export).values()
    assert len(stored.items()) == result.written == 2000
    counts = json.loads(stored.content["out/0.json.gz"][1][COUNTS])
    assert counts["written"] == 2000 and "named" not in counts
