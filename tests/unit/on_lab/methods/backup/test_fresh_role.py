# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""B4: roles of AWS Backup that were made a moment ago are used again until they are known, older ones are refused."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import BackupNotPossible
from tests.unit.on_lab.backup_accounts import BackupAccounts
from tests.unit.on_lab.methods.backup.ready import ROLE, Ready
from tests.unit.on_lab.methods.backup.test_record import STOPPED, migrate
from tests.unit.on_lab.recorded import Playbook

pytestmark = pytest.mark.usefixtures("at_once")

PURPOSES = {"source": "Backup", "destination": "Restores"}


def made_anew(aws: Ready, side: str, known_after: float = 60.0) -> None:
    aws.world.timings.set("backup.role_known", known_after)
    aws.advance(2 * known_after)  # so that the other roles are known
    aws.remove_role(side)
    BackupAccounts(aws).make_role(side, PURPOSES[side])


@pytest.mark.parametrize("side", PURPOSES)
def test_b4_a_role_that_was_just_made_is_waited_for(side: str) -> None:
    aws = Ready()
    made_anew(aws, side)
    began = aws.clock
    assert migrate(aws).status == "migrated"
    assert aws.clock - began > 60
    assert [len(aws.jobs(kind)) for kind in ("backup", "copy", "restore")] == [1, 1, 1]


def test_b4_a_role_that_stays_unknown_is_refused_after_two_minutes() -> None:
    aws = Ready()
    made_anew(aws, "source", 3600.0)
    first, began = Playbook(aws), aws.clock
    job = first.wait({"orders": first.start(method="backup", backup=STOPPED)}).jobs["orders"]
    assert (job.state, job.failure["error"]) == ("failed", "BackupNotPossible")
    assert "cannot be assumed" in job.failure["cause"]
    assert 120 <= aws.clock - began < 240
    first.end()
    aws.advance(3600)
    assert migrate(aws, 2).status == "migrated"


def test_b4_an_older_role_that_does_not_trust_aws_backup_is_refused_at_once() -> None:
    aws = Ready()
    aws.client("iam", "source").update_assume_role_policy(
        RoleName=ROLE,
        PolicyDocument='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",'
        ' "Principal": {"Service": "ec2.amazonaws.com"}}]}',
    )
    aws.advance(300)
    began = aws.clock
    with pytest.raises(BackupNotPossible, match="cannot be assumed"):
        Playbook(aws).start(method="backup", backup=STOPPED)
    assert aws.clock - began < 5
