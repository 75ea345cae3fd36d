# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Air-gapped vaults and whom they are shared with."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.air_gapped import (
    AirGappedOptions,
    AirGappedPlan,
    apply_air_gapped,
    plan_air_gapped,
    share_name,
)
from tests.unit.on_lab.methods.backup.ready import DESTINATION, SOURCE, Ready

OPTIONS = AirGappedOptions("gapped", 7, 30)


def share(aws: Ready, destination: Account, options: AirGappedOptions = OPTIONS) -> AirGappedPlan:
    source = aws.account("source")
    plan = plan_air_gapped(source, destination, options)
    apply_air_gapped(source, destination, plan, lambda: aws.clock, aws.sleep)
    return plan


def with_page_of_one() -> Ready:
    aws = Ready()
    aws.page = 1
    return aws


@pytest.mark.parametrize("world", [Ready, with_page_of_one])
class TestB7ShareOfAVault:
    """A vault's share is looked at for whom it lets in and what it holds, whatever page lists it."""

    def test_a_second_destination_is_let_in(self, world: type[Ready]) -> None:
        aws = world()
        share(aws, aws.account("destination"))
        second = aws.account("outside", "destination")
        plan = share(aws, second)
        assert [change.what.split()[0] for change in plan.changes] == ["share", "access"]
        assert aws.count("CreateResourceShare") == 1
        aws.calls.clear()
        for account in (aws.account("destination"), second):
            assert plan_air_gapped(aws.account("source"), account, OPTIONS).changes == []
        assert aws.mutating() == []

    def test_a_share_that_lost_the_vault_gets_it_again(self, world: type[Ready]) -> None:
        aws = world()
        destination = aws.account("destination")
        share(aws, destination)
        ram = aws.client("ram", "source")
        found = ram.get_resource_shares(resourceOwner="SELF", name=share_name(OPTIONS))["resourceShares"][0]
        vault = aws.vault("source", "gapped")["BackupVaultArn"]
        ram.disassociate_resource_share(resourceShareArn=found["resourceShareArn"], resourceArns=[vault])
        share(aws, destination)
        assert aws.count("CreateResourceShare") == 1
        assert plan_air_gapped(aws.account("source"), destination, OPTIONS).changes == []

    def test_of_two_shares_of_a_name_the_one_that_lets_in_serves(self, world: type[Ready]) -> None:
        aws = world()
        share(aws, aws.account("outside", "destination"))
        vault, ram = aws.vault("source", "gapped")["BackupVaultArn"], aws.client("ram", "source")
        ram.create_resource_share(name=share_name(OPTIONS), resourceArns=[vault], principals=[DESTINATION])
        plan = share(aws, aws.account("destination"))
        assert not plan.lacks
        assert aws.count("AssociateResourceShare") == 0

    def test_an_invitation_is_found_among_many(self, world: type[Ready]) -> None:
        aws = world()
        for name in ("one", "two", "gapped"):
            share(aws, aws.account("destination"), AirGappedOptions(name, 7, 30))
        answer = aws.backup("destination").list_backup_vaults(ByShared=True)
        assert {vault["BackupVaultArn"].rpartition(":")[2] for vault in answer["BackupVaultList"]} == {
            "one", "two", "gapped",
        }  # fmt: skip


def test_a_share_that_was_deleted_is_made_anew() -> None:
    aws = Ready()
    share(aws, aws.account("destination"))
    ram = aws.client("ram", "source")
    for each in ram.get_resource_shares(resourceOwner="SELF")["resourceShares"]:
        ram.delete_resource_share(resourceShareArn=each["resourceShareArn"])
    share(aws, aws.account("destination"))
    assert (aws.count("CreateResourceShare"), aws.count("AssociateResourceShare")) == (2, 0)
    assert SOURCE in aws.vault("source", "gapped")["BackupVaultArn"]
