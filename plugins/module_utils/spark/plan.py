# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a job is to do, as an object in the staging bucket: arguments of jobs are limited in length and stand in logs
(spark.md 2 and 4), so they name this object only. It has secrets in it: only the job's role may read it."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Literal

from ..core.errors import InvalidInput
from ..core.items.answers import KeyAttribute
from ..core.items.exported import ExportedFile
from ..core.items.transform.compiled import Transform, compiled
from ..core.items.transform.definition import Definition
from ..core.items.transform.fingerprint import fingerprint
from ..core.items.transform.schemas import KeySchema, TableSchemas

VERSION = 1  # of the form: package and plan are written together, so no other is read


@dataclass(frozen=True)
class JobPlan:
    """Which files of ``bucket`` become items of ``table``, and how.

    ``run`` is the token of the run, below whose prefix its objects lie. ``key_arn`` is the bucket's KMS key, "" for
    S3's own. ``table_id`` is that of the table that was made for it, ``dynamodb_url`` where it is, ``rate`` the write
    capacity units per second of the whole job, 0 for no limit. ``s3_url`` is "" for AWS's own endpoint. With
    ``lose_colliding`` one of the items that get the same key is kept, without it nothing is written. ``work`` is
    ``look`` for a run that looks for such items and does nothing else, before there is a table: ``table_id`` is empty
    then. ``kept_apart``: an earlier run has looked, and there are none.

    ``objects`` is the folder of the objects that the items go to instead, for an import, which makes the table: then
    there is none yet either. It is "" where items go into the table.
    """

    run: str
    region: str
    bucket: str
    bucket_owner: str
    prefix: str
    table: str
    table_id: str
    files: tuple[ExportedFile, ...]
    definition: Definition
    dynamodb_url: str
    key_arn: str = ""
    rate: float = 0.0
    s3_url: str = ""
    lose_colliding: bool = False
    objects: str = ""
    work: Literal["write", "look"] = "write"
    kept_apart: bool = False

    @property
    def started_key(self) -> str:
        """The object that the job writes first: so its run is found where AWS does not list its arguments."""
        return f"{self.prefix}runs/{self.run}/started.json"

    @property
    def failed_key(self) -> str:
        """The object that says why the run failed, where the job knows."""
        return f"{self.prefix}runs/{self.run}/failed.json"

    @property
    def results_prefix(self) -> str:
        """Where results of files lie, those of earlier runs too: of just these steps and this table."""
        return f"{self.prefix}results/{self._work}/"

    @property
    def collisions_key(self) -> str:
        """The object with what the look for colliding keys has found; it is there when the look is over."""
        return f"{self.results_prefix}collisions.json"

    @property
    def _work(self) -> str:
        """Names what is to be done, so that no result of other steps counts."""
        return sha256(f"{self.table_id} {fingerprint(self.definition)}".encode()).hexdigest()[:16]

    def result_key(self, file: ExportedFile) -> str:
        """The object with the result of ``file``."""
        return f"{self.results_prefix}{file.key.rpartition('/')[2]}.json"

    def object_key(self, file: ExportedFile) -> str:
        """The object that the items of ``file`` go to, where they go to objects."""
        return f"{self.objects}{file.key.rpartition('/')[2]}"

    def left(self, there: Collection[str]) -> list[ExportedFile]:
        """The files that are still to be done: those without a result, or whose object is gone. ``there`` are the keys
        below ``results_prefix`` and ``objects``."""
        return [
            file
            for file in self.files
            if self.result_key(file) not in there or (self.objects and self.object_key(file) not in there)
        ]

    def transform(self) -> Transform:
        """The steps, compiled. Raises InvalidTransform."""
        return compiled(self.definition)

    def to_json(self) -> bytes:
        """The plan as an object's content."""
        definition = {
            **{name: getattr(self.definition, name) for name in ("steps", "names", "values", "at", "files")},
            "salts": {name: b64encode(salt).decode() for name, salt in self.definition.salts.items()},
            "source": {name: asdict(schema) for name, schema in self.definition.source},
            "destination": asdict(self.definition.destination) if self.definition.destination else None,
        }
        members = {name: getattr(self, name) for name in _PLAIN}
        plan = {**members, "version": VERSION, "files": [asdict(file) for file in self.files], "definition": definition}
        return json.dumps(plan).encode()

    @classmethod
    def from_json(cls, content: bytes) -> JobPlan:
        """The plan in an object. Raises InvalidInput for one of another version, or anything else."""
        try:
            plan = json.loads(content)
            if plan["version"] != VERSION:
                raise ValueError(f"version {plan['version']}")
            return cls(
                **{name: plan[name] for name in _PLAIN if name in plan},
                files=tuple(ExportedFile(**file) for file in plan["files"]),
                definition=_definition(plan["definition"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(
                f"The job's plan cannot be read ({type(error).__name__}).",
                "Start the job by the version of the collection that wrote its package.",
            ) from error


_PLAIN = (
    "run",
    "region",
    "bucket",
    "bucket_owner",
    "prefix",
    "table",
    "table_id",
    "key_arn",
    "rate",
    "dynamodb_url",
    "s3_url",
    "lose_colliding",
    "objects",
    "work",
    "kept_apart",
)


def _definition(data: Mapping[str, Any]) -> Definition:
    schemas = {name: _schema(schema) for name, schema in data["source"].items()}
    return Definition(
        steps=data["steps"],
        source=TableSchemas(schemas.pop(""), schemas),
        names=data["names"],
        values=data["values"],
        at=data["at"],
        salts={name: b64decode(salt) for name, salt in data["salts"].items()},
        files=data["files"],
        destination=_schema(data["destination"]) if data["destination"] else None,
    )


def _schema(data: Mapping[str, Any]) -> KeySchema:
    def attributes(name: str) -> tuple[KeyAttribute, ...]:
        return tuple(KeyAttribute(**each) for each in data[name])

    return KeySchema(attributes("partition"), attributes("sort"), data["local"])


def shares(files: Sequence[ExportedFile], count: int) -> list[list[ExportedFile]]:
    """``files`` for ``count`` tasks, about the same number of items each, the largest files first; the same for the
    same files. None is empty while there are files."""
    tasks: list[list[ExportedFile]] = [[] for _each in range(max(1, count))]
    items = [0] * len(tasks)
    for file in sorted(files, key=lambda file: (-file.items, file.key)):
        least = items.index(min(items))
        tasks[least].append(file)
        items[least] += file.items + 1
    return [task for task in tasks if task]
