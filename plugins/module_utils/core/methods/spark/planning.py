# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Spark job is to do: its plan by the export and the table that was made, and the run's token and policy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from ....spark.plan import JobPlan
from ...account import Account
from ...data_plane import endpoint_of
from ...errors import ExportFailed, JobTimeout
from ...exports.manifest import FOLDER as EXPORT_FOLDER
from ...exports.manifest import Manifest, read_manifest
from ...exports.staging import StagingBucket
from ...items.exported import ExportedFile
from ...items.throttle import to_rate
from ...items.transform.definition import Definition
from ...items.transform.schemas import schemas_of
from ...jobs.job import Job, failure_of
from ...jobs.token import TOKEN_DIGITS, canonical
from ...jobs.tracking import Tracking
from ...record.record import WRITE
from ...table.definition import TableDefinition
from ...table.transforming import TransformChoices, choices_from, definition_for, made_shape
from ..options import SparkChoices
from .delivery import Payload, folder_of
from .engine import Submission, tags_of
from .permissions import CHANGED_FOLDER, role_arn, session_policy


@dataclass(frozen=True)
class SparkOptions:
    """What to fill and how. ``table`` is the source's. The table is made without the indexes ``indexes_after`` and
    ``leave_indexes``; with ``count`` the filled table is counted by a scan. ``transform`` changes the items on the way,
    and with them the table."""

    table: str
    bucket: str
    engine: str
    destination_table: str = ""
    bucket_owner: str = ""
    kms_key_arn: str = ""
    migration_id: str = "default"
    kms_key_map: Mapping[str, str] = field(default_factory=dict)
    warm_throughput: bool = True
    indexes_after: tuple[str, ...] = ()
    leave_indexes: tuple[str, ...] = ()
    carry_tags: bool = True
    write_rate: str = ""
    refused_path: str = ""
    count: bool = True
    choices: SparkChoices = field(default_factory=SparkChoices)
    transform: TransformChoices | None = None

    @property
    def made_table(self) -> str:
        """The table's name in the destination."""
        return self.destination_table or self.table

    def shape(self, definition: TableDefinition) -> TableDefinition:
        """The table to create for the source table ``definition``."""
        return made_shape(definition, self.transform, (*self.indexes_after, *self.leave_indexes))

    def definition(self, source: TableDefinition, at: float | None) -> Definition:
        """What becomes of the items of the table ``source``, which are as of ``at`` (epoch seconds). Raises
        InvalidTransform for files that were changed."""
        if self.transform is not None:
            return definition_for(self.transform, source, at)
        return Definition((), schemas_of(self.shape(source).raw), at=at)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-safe data."""
        return {**asdict(self), "kms_key_map": dict(self.kms_key_map)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SparkOptions:
        """The options of ``to_dict``'s data."""
        lists = {name: tuple(data[name]) for name in ("indexes_after", "leave_indexes")}
        transform = choices_from(data.get("transform"))
        return cls(**{**data, **lists, "choices": SparkChoices(**data["choices"]), "transform": transform})


def bucket_of(destination: Account, options: SparkOptions) -> StagingBucket:
    """The staging bucket."""
    owner = options.bucket_owner or destination.account_id
    return StagingBucket(destination, options.bucket, owner, options.kms_key_arn)


def exported(bucket: StagingBucket, export: Job) -> Manifest:
    """What the ``export`` has written. Raises ExportFailed, JobTimeout where there is none, and what read_manifest
    does."""
    if export.state in ("failed", "cancelled"):
        raise failure_of(export, ExportFailed)
    if export.open:
        raise JobTimeout("The export has not ended yet.", "Run again later.", table=export.name)
    if not export.result.get("manifest_key"):
        raise ExportFailed("There is no export to read from.", "Export the table first.", table=export.name)
    return read_manifest(bucket, export.result["manifest_key"])


def plan_of(
    destination: Account, options: SparkOptions, source: TableDefinition, table: TableDefinition, manifest: Manifest
) -> JobPlan:
    """The plan that brings all items of the export into ``table``, the copy of ``source``; without a run yet.

    Its folder is that of just this export and table, so that results of others do not count. Raises InvalidInput.
    """
    capacity = int((table.provisioned_throughput or {}).get("WriteCapacityUnits", 0))
    rate = to_rate("write_rate", options.write_rate, capacity)
    return replace(
        look_plan_of(destination, options, source, manifest),
        prefix=f"{work_folder(destination, table)}{_digest(manifest.key)[:8]}/",
        table=table.name,
        table_id=table.table_id,
        dynamodb_url=endpoint_of(destination, table.name).url,
        rate=rate.units if rate else 0.0,
        lose_colliding=options.transform is not None and options.transform.on_collision == "any",
        work="write",
    )


def look_plan_of(destination: Account, options: SparkOptions, source: TableDefinition, manifest: Manifest) -> JobPlan:
    """The plan that looks whether items of the export of the table ``source`` get the same key; without a run yet.

    It needs no table. What it finds is kept for this export, these steps and the table's name: whoever asks again
    finds it there. Raises InvalidTransform for files that were changed.
    """
    return JobPlan(
        run="",
        region=destination.region,
        bucket=options.bucket,
        bucket_owner=options.bucket_owner or destination.account_id,
        prefix=f"{folder_of(destination)}work/{_digest(destination.table_arn(options.made_table), manifest.key)}/",
        table=options.made_table,
        table_id="",
        files=tuple(ExportedFile(file.key, file.items, file.md5) for file in manifest.files),
        definition=options.definition(source, epoch_of(manifest.export_time)),
        dynamodb_url="",
        key_arn=options.kms_key_arn,
        s3_url=destination.spec.endpoint_url,
        work="look",
    )


def work_folder(destination: Account, table: TableDefinition) -> str:
    """The folder of what is done for just this ``table``: one in it for each export."""
    return f"{folder_of(destination)}work/{_digest(table.arn, table.table_id)}/"


def plan_of_objects(
    destination: Account, options: SparkOptions, source: TableDefinition, manifest: Manifest, export_prefix: str
) -> JobPlan:
    """The plan that brings all items of the export of ``source`` to objects below ``export_prefix``, the destination
    table's own, in the form of an export; without a run yet.

    Its folders are those of just this export, destination and transform: what a look has found there counts.
    """
    plan = replace(
        look_plan_of(destination, options, source, manifest),
        lose_colliding=options.transform is not None and options.transform.on_collision == "any",
        work="write",
    )
    folder = f"{EXPORT_FOLDER}{CHANGED_FOLDER}{_digest(plan.results_prefix)}"
    return replace(plan, objects=f"{export_prefix}/{folder}/data/")


def epoch_of(time: str) -> float | None:
    """A time of a manifest in epoch seconds; None where it is not known."""
    return datetime.fromisoformat(time).timestamp() if time else None


def new_run(record: Tracking, plan: JobPlan) -> str:
    """The token of a run that was never begun: no run of another time, attempt or table has it."""
    parts = (plan.prefix, record.record.attempt, record.number(WRITE), record.now())
    return hashlib.sha256(canonical(parts).encode()).hexdigest()[:TOKEN_DIGITS]


def plan_key(plan: JobPlan) -> str:
    """The object that the plan is written to."""
    return f"{plan.prefix}runs/{plan.run}/plan.json"


def own_exports(plan: JobPlan) -> tuple[str, ...]:
    """Patterns of the plan's files where a migration has exported them. Its prefix may be long, and a session policy
    has 2,048 characters: the export's id is enough."""
    exports = sorted({_folder(file.key) for file in plan.files})
    return tuple(f"tableferry/*/{EXPORT_FOLDER}{export}/data/*" for export in exports)


def submission_of(
    destination: Account,
    options: SparkOptions,
    table: TableDefinition | None,
    plan: JobPlan,
    payload: Payload,
    exports: Sequence[str],
) -> Submission:
    """The run of ``plan``, whose files match ``exports``. ``table`` is the one that it fills, None for a look, or where
    an import makes it."""
    root, folder = f"s3://{options.bucket}/", folder_of(destination)
    reads = (f"{folder}tableferry-*", *exports)
    keys = (options.kms_key_arn, table.kms_key_arn if table else "")
    writes = [plan.prefix, *([f"tableferry/*/{EXPORT_FOLDER}{_folder(plan.objects)}/data/"] if plan.objects else [])]
    name = table.name if table else ""
    return Submission(
        run=plan.run,
        table=options.made_table,
        migration_id=options.migration_id,
        plan=f"{root}{plan_key(plan)}",
        script=f"{root}{payload.script_key(folder)}",
        package=f"{root}{payload.package_key(folder)}",
        logs=f"{root}{plan.prefix}logs/",
        role_arn=role_arn(destination, options.choices.role_arn),
        policy=session_policy(destination, options.bucket, name, writes=writes, reads=reads, keys=keys),
        choices=options.choices,
        tags=tags_of(destination, options.migration_id),
    )


def _folder(key: str) -> str:
    """The folder of an export, named by its id, that an object lies in."""
    return key.partition(EXPORT_FOLDER)[2].partition("/")[0]


def _digest(*parts: str) -> str:
    return hashlib.sha256(canonical(parts).encode()).hexdigest()[:24]
