# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One round: a random table is copied, by runs that are killed, until one ends; then both tables are compared."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.comparing import compare_tables
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import CompareOptions, Difference
from tests.fuzz.child import PATIENT
from tests.fuzz.server import FuzzedDynamo
from tests.unit.core.items.fake_dynamo import FakeTable
from tests.unit.core.items.strategies import rewritten_attributes

RUN_SECONDS = 600  # only a copy that stands still takes so long
LETTERS = ["a", "é", "☃", "\U0001f600", '"', "\\", "\n", "\x00", "{", "}", '"Item":', "aws:rep", "\ud800", "\udfff"]


@dataclass
class Round:
    """What a round did: ``wrong`` has a line for each promise that was broken."""

    seed: int
    kills: int = 0
    crashes: int = 0
    wrong: list[str] = field(default_factory=list)


def text(chance: random.Random, most: int = 6) -> str:
    """Some letters."""
    return "".join(chance.choices(LETTERS, k=chance.randint(1, most)))


def value(chance: random.Random, depth: int = 0) -> dict[str, Any]:
    """A value of any type."""
    kind = chance.choice(["S", "N", "B", "BOOL", "NULL", "SS", "NS", "L", "M"][: 9 if depth < 2 else 7])
    number = f"{chance.randint(-(10**9), 10**9)}E{chance.randint(-90, 90)}"
    made: dict[str, Callable[[], Any]] = {
        "S": lambda: text(chance, 40),
        "N": lambda: number,
        "B": lambda: "aGVsbG8=",
        "BOOL": lambda: chance.random() < 0.5,
        "NULL": lambda: True,
        "SS": lambda: sorted({text(chance) for _ in range(3)}),
        "NS": lambda: ["1", "2.50", number],
        "L": lambda: [value(chance, depth + 1) for _ in range(chance.randint(0, 3))],
        "M": lambda: {text(chance): value(chance, depth + 1) for _ in range(chance.randint(0, 3))},
    }
    return {kind: made[kind]()}


def item(chance: random.Random, number: int, version: int) -> bytes:
    """An item of its number, with a key that stays and attributes of this version."""
    tail = LETTERS[number % len(LETTERS)]
    names = [f"{text(chance)} {place}" for place in range(chance.randint(0, 4))]
    made: dict[str, Any] = {"id": {"S": f"{number} {tail}"}, **{name: value(chance) for name in names}}
    made["version"] = {"N": str(version)}
    if chance.random() < 0.02:
        made["large"] = {"S": "x" * chance.randint(1000, 60_000)}
    # Surrogates have no bytes of their own: such items are written with escapes.
    escaped = chance.random() < 0.3 or any(
        "\ud800" <= letter <= "\udfff" for letter in json.dumps(made, ensure_ascii=False)
    )
    return json.dumps(made, ensure_ascii=escaped, separators=(",", ":")).encode()


def play(dynamo: FuzzedDynamo, seed: int, most_items: int = 4000) -> Round:
    """Play the round of ``seed`` on ``dynamo``."""
    chance = random.Random(seed)
    done = Round(seed)
    source, copy = dynamo.make("orders"), dynamo.make("copy")
    count = chance.randint(most_items // 4, most_items)
    source.put(*[item(chance, number, 1) for number in range(count)])
    dynamo.begin(seed)
    workers = chance.choice([1, 2])
    kills = chance.choice([0, 1, 1, 2, 2])
    if chance.random() < 0.2:
        dynamo.refused_keys = {
            json.dumps(json.loads(source.items[key])["id"]) for key in chance.sample(list(source.items), 3)
        }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.json"
        for kill in range(kills):
            after = chance.randint(1, max(2, count // 25))
            _run(dynamo, done, workers, path, after, holds=chance.random() < 0.7)
            if chance.random() < 0.5:  # the source changes: all is to be copied anew
                path.unlink(missing_ok=True)
                for number in chance.sample(range(count), count // 2):
                    source.put(item(chance, number, kill + 2))
        _run(dynamo, done, workers, path)
        left = [each.name for each in Path(folder).iterdir() if each != path]
        if left:
            done.wrong.append(f"files left: {left}")
    refused = {key for key, body in source.items.items() if json.dumps(json.loads(body)["id"]) in dynamo.refused_keys}
    _judge(done, {key: body for key, body in source.items.items() if key not in refused}, copy, refused)
    if not done.wrong:
        _compare(dynamo, done, chance, workers, refused)
    return done


def _judge(done: Round, wanted: dict[Any, bytes], copy: FakeTable, refused: set[Any]) -> None:
    lost = wanted.keys() - copy.items.keys()
    extra = copy.items.keys() - wanted.keys() - refused
    altered = [key for key in wanted.keys() & copy.items.keys() if wanted[key] != copy.items[key]]
    for what, keys in (("lost", lost), ("extra", extra), ("altered", altered)):
        if keys:
            done.wrong.append(f"{len(keys)} {what}, as {sorted(keys)[0]!r}")


def _run(dynamo: FuzzedDynamo, done: Round, workers: int, path: Path, kill_after: int = 0, holds: bool = False) -> None:
    """One run in a process of its own, killed at a batch where ``kill_after`` is given. ``holds``: what it has left to
    write is throttled until the next run writes."""
    command = [sys.executable, "-m", "tests.fuzz.child", dynamo.url, dynamo.next_run(), str(workers), str(path)]
    late = dynamo.late
    # Files: the end of a pipe would come when the workers of a killed run have ended, and the next is not to wait.
    with (
        tempfile.TemporaryFile() as printed,
        tempfile.TemporaryFile() as failed,
        subprocess.Popen(command, stdout=printed, stderr=failed) as run,
    ):
        if kill_after:

            def kill() -> None:
                if holds:
                    dynamo.hold()
                run.kill()

            dynamo.at_write = (kill_after, kill)
        try:
            run.wait(RUN_SECONDS)
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()
            done.wrong.append("stood still")
        output, errors = _text(printed), _text(failed)
    dynamo.at_write = None
    if run.returncode == -9:
        done.kills += 1
    elif run.returncode:
        done.crashes += 1
        done.wrong.append(f"crashed ({run.returncode}): {errors[-2000:]}")
    else:
        named = {json.dumps(key) for key in json.loads(output or "[]")}
        if named != dynamo.refused_keys and not kill_after:
            done.wrong.append(f"refused {dynamo.refused_keys}, named {named}")
    if dynamo.late > late:
        done.wrong.append(f"{dynamo.late - late} writes of an earlier run after the next one began")


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _compare(dynamo: FuzzedDynamo, done: Round, chance: random.Random, workers: int, refused: set[Any]) -> None:
    """Change some items of the copy; the comparison has to name exactly these."""
    copy = dynamo.tables["copy"]
    wanted = dict.fromkeys(refused, "missing")
    for key in chance.sample(sorted(copy.items.keys() - refused), min(len(copy.items) - len(refused), 20)):
        body = json.loads(copy.items[key])
        kind = chance.choice(["missing", "different", "form"])
        if kind == "missing":
            del copy.items[key]
        else:
            if kind == "different":
                body["more"] = {"BOOL": True}
            copy.items[key] = json.dumps(rewritten_attributes(body, chance)).encode()
        if kind != "form":
            wanted[key] = kind
    differences: list[Difference] = []
    with tempfile.TemporaryDirectory() as folder:
        options = CompareOptions(
            workers=workers, retry_policy=PATIENT, most_listed=50, most_buckets=chance.choice([64, 1 << 14]),
            work_dir=Path(folder),
        )  # fmt: skip
        here, there = dynamo.found("orders"), dynamo.found("copy", "destination")
        try:
            compare_tables(here, there, options, differences.append)
        except Exception as error:  # whatever it is, it is a finding
            done.crashes += 1
            done.wrong.append(f"comparison: {error!r}")
            return
    named = {copy.key_of(difference.key): difference.kind for difference in differences}
    if named != wanted or len(named) != len(differences):
        done.wrong.append(f"compared: {sorted(named.items() ^ wanted.items())[:3]!r}")
