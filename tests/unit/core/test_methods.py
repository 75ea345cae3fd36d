# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which method a table takes, and what is known of the methods before there is a table."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import migration
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    InvalidInput,
    LocalSecondaryIndexes,
    NotInThisVersion,
    UnknownMethod,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.copy_jobs import (
    RecoveryPointCopyOptions,
    copy_job,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.copy_jobs import (
    _options_of as copy_options,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.restore_jobs import (
    RestoreOptions,
    restore_job,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.restore_jobs import (
    _options_of as restore_options,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.method import naming_methods
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import BackupChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps import adopting, claim_job
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.creation import require_importable
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition

TABLE = {
    "TableName": "orders",
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
}
INDEX = {"IndexName": "by-day", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "Projection": {}}
INDEXED = TableDefinition.from_dict({**TABLE, "LocalSecondaryIndexes": [INDEX]})


@pytest.mark.parametrize("name", ["auto", "s3"])
def test_s3_is_chosen(name: str) -> None:
    assert (migration.method_of(name).name, migration.chosen(name)) == ("s3", "s3")


@pytest.mark.parametrize("name", migration.LATER)
def test_later_methods_are_named(name: str) -> None:
    with pytest.raises(NotInThisVersion, match=f"orders: .*{name} is not.*Use s3, backup, direct"):
        migration.method_of(name, "orders")


@pytest.mark.parametrize("name", ["", "S3", "backups"])
def test_unknown_methods_are_refused(name: str) -> None:
    with pytest.raises(UnknownMethod, match=r"orders: .*Use auto, s3, backup, direct, glue, emr\."):
        migration.method_of(name, "orders")


def test_local_secondary_indexes_are_refused_with_the_methods_that_can() -> None:
    words = r"by-day.*Methods that can: backup, direct, glue, emr\."
    with pytest.raises(LocalSecondaryIndexes, match=words) as refused, naming_methods(migration.METHODS):
        require_importable(INDEXED)
    assert (refused.value.status, refused.value.table) == ("refused", "orders")
    require_importable(TableDefinition.from_dict(TABLE))


@pytest.mark.parametrize(
    ("name", "needs"),
    [("auto", "staged"), ("s3", "staged"), ("backup", "backed_up"), ("direct", ""), ("teleport", "staged")],
)
def test_what_the_data_needs(name: str, needs: str) -> None:
    assert migration.data_needs(name) == needs


def test_each_kind_is_of_one_method_or_a_step() -> None:
    made = {(kind, make) for method in migration.KNOWN.values() for kind, make in method.kinds.items()}
    kinds = [kind for kind, _make in made] + [*migration.STEPS]  # what several methods have is the same
    kinds += [claim_job.KIND, adopting.KIND]
    assert sorted(kinds) == sorted(migration.KINDS)
    assert all(method.name == name and method.path for name, method in migration.KNOWN.items())


@pytest.mark.parametrize("kinds", [[], ["export"], ["backup"], ["count", "verify", "settings"]])
def test_jobs_that_make_no_table_are_not_judged(kinds: list[str]) -> None:
    account: object = object()  # is not asked
    with pytest.raises(InvalidInput, match="orders: There is no job that makes a table"):
        migration.judge("orders", account, account, [Job(kind, "orders", "completed") for kind in kinds])  # type: ignore[arg-type]


CHOICES = BackupChoices(role="arn:role", restore_role="arn:restore", copy_delete_after_days=3, writes_stopped=True)


def test_a_following_copy_keeps_its_choices() -> None:
    options = RecoveryPointCopyOptions("orders", Job("backup", "orders", "completed"), "spring", CHOICES)
    job = Job.from_dict(copy_job(options).to_dict())
    job.request["backup"] = options.backup.to_dict()
    assert copy_options(job) == options


def test_a_following_restore_keeps_its_choices() -> None:
    copy = Job("copy", "orders", "completed")
    options = RestoreOptions("sold", "orders", copy, kms_key_map={"a": "b"}, migration_id="spring", choices=CHOICES)
    job = Job.from_dict(restore_job(options).to_dict())
    job.request["copy"] = copy.to_dict()
    assert restore_options(job) == options
