# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known beforehand is refused before AWS bills anything, on each method."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import answers
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import preview
from tests.unit.on_lab.methods.backup.ready import Ready
from tests.unit.on_lab.recorded import Playbook
from tests.unit.on_lab.staged import BUCKET, Staged

pytestmark = pytest.mark.usefixtures("at_once")

METHODS = ("s3", "backup", "direct")
BILLED = ("export", "import", "backup", "copy", "restore")


def bills(aws: Staged) -> dict[str, int]:
    return {kind: len(aws.jobs(kind)) for kind in BILLED}


def calls_that_change(aws: Staged) -> list[str]:
    """Without those of the record, which are written by UpdateItem and the like."""
    return [operation for operation in aws.mutating() if not operation.endswith(("Item", "Items"))]


@pytest.mark.parametrize("method", METHODS)
class TestB5AnotherMigrationId:
    """A table that another migration has claimed is refused before anything is billed or changed for the second."""

    @staticmethod
    def refused(aws: Staged, method: str) -> errors.FerryError:
        before, known = bills(aws), aws.described("orders", "source")
        aws.calls.clear()
        with pytest.raises(errors.FerryError) as caught:
            Playbook(aws, 2).start(migration_id="other", method=method)
        assert (bills(aws), calls_that_change(aws)) == (before, [])
        assert aws.described("orders", "source") == known
        return caught.value

    def test_while_the_first_is_under_way(self, method: str) -> None:
        aws = Ready()
        first = Playbook(aws)
        first.start(method=method)
        first.end()
        error = self.refused(aws, method)
        assert "default" in str(error) and error.next_step

    def test_while_the_first_run_lives(self, method: str) -> None:
        aws = Ready()
        Playbook(aws).start(method=method)
        assert "default" in str(self.refused(aws, method))

    def test_in_check_mode(self, method: str) -> None:
        aws = Ready()
        first = Playbook(aws)
        first.start(method=method)
        first.end()
        options = MigrationOptions("orders", method=method, bucket=BUCKET, migration_id="other")
        with pytest.raises(errors.FerryError, match="default"):
            preview(first.source, first.destination, options, first.store)


class TestB13WithoutMsgspec:
    """Where this machine is to read items after AWS has brought them, that it cannot is said before AWS bills."""

    @pytest.fixture(autouse=True)
    def without_msgspec(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(answers, "MSGSPEC_ERROR", "No module named 'msgspec'")

    READS = (("s3", "full"), ("s3", "sample"), ("backup", "counts"), ("backup", "full"), ("direct", "none"))

    @pytest.mark.parametrize(("method", "verify"), READS)
    def test_it_is_refused_before_the_bill(self, method: str, verify: str) -> None:
        aws = Ready()
        first = Playbook(aws)
        assert first.store  # its table is there
        aws.calls.clear()
        with pytest.raises(errors.MissingLibrary, match="msgspec"):
            first.start(method=method, verify=verify)
        assert (bills(aws), calls_that_change(aws)) == (dict.fromkeys(BILLED, 0), [])

    @pytest.mark.parametrize(("method", "verify"), READS)
    def test_check_mode_says_it(self, method: str, verify: str) -> None:
        aws = Ready()
        first = Playbook(aws)
        options = MigrationOptions(
            "orders", method=method, bucket=BUCKET, verify=verify, enable_point_in_time_recovery=True
        )
        with pytest.raises(errors.MissingLibrary, match="msgspec"):
            preview(first.source, first.destination, options)

    @pytest.mark.parametrize(("method", "verify"), [("s3", "counts"), ("s3", "none"), ("backup", "none")])
    def test_what_reads_no_items_goes_without(self, method: str, verify: str) -> None:
        assert Playbook(Ready()).start(method=method, verify=verify).job.open

    def test_adopting_reads_items_too(self) -> None:
        aws = Staged({"orders": 7})
        aws.add_table("orders", 7, "destination", recovery=False)
        aws.tag("orders", "tableferry:migration", "default")
        with pytest.raises(errors.MissingLibrary, match="msgspec"):
            Playbook(aws).start(adopt=True)
