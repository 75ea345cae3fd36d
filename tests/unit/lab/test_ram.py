# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's RAM: what is shared with whom, and how they come to it."""

from __future__ import annotations

from typing import Any

import pytest

from lab.rules import Rule
from lab.services import ram
from lab.world import Context
from tests.unit.lab.backup.conftest import DESTINATION, ORGANIZATION, OUTSIDE, REGION, SOURCE, Company, world

__all__ = ["world"]
GAPPED = f"arn:aws:backup:{REGION}:{SOURCE}:backup-vault:gapped"


@pytest.fixture
def company(world: Any) -> Company:
    """The company, whose source has an air-gapped vault."""
    made = Company(world)
    made.source.backup(
        "CreateLogicallyAirGappedBackupVault", BackupVaultName="gapped", MinRetentionDays=7, MaxRetentionDays=30
    )
    made.source.wait(180)
    return made


def share(company: Company, *principals: str, **params: Any) -> str:
    """ARN of a share of the vault."""
    request = {"name": "ferry", "resourceArns": [GAPPED], "principals": list(principals), **params}
    return str(company.source.ram("CreateResourceShare", **request)["resourceShare"]["resourceShareArn"])


def refused(company: Company, rule: Rule, code: str, text: str, *principals: str, **params: Any) -> None:
    request = {"name": "ferry", "resourceArns": [GAPPED], "principals": list(principals), **params}
    company.source.refused(rule, code, text, "CreateResourceShare", service="ram", **request)


def invitations(side: Any) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = side.ram("GetResourceShareInvitations")["resourceShareInvitations"]
    return shown


def answer(side: Any, verb: str = "Accept") -> Any:
    (invitation,) = invitations(side)
    arn = invitation["resourceShareInvitationArn"]
    return side.ram(f"{verb}ResourceShareInvitation", resourceShareInvitationArn=arn)


def shared_with(side: Any) -> list[str]:
    return [resource["arn"] for resource in side.ram("ListResources", resourceOwner="OTHER-ACCOUNTS")["resources"]]


def association(company: Company, kind: str = "PRINCIPAL") -> Any:
    (shown,) = company.source.ram("GetResourceShareAssociations", associationType=kind)["resourceShareAssociations"]
    return shown["status"]


def test_only_air_gapped_vaults_are_shared(company: Company) -> None:
    for arn in (company.source.vault_arn, company.destination.vault_arn, f"{GAPPED}-none"):
        refused(company, ram.SHAREABLE, "InvalidParameterException", arn, OUTSIDE, resourceArns=[arn])
    company.source.backup(
        "CreateLogicallyAirGappedBackupVault", BackupVaultName="new", MinRetentionDays=7, MaxRetentionDays=30
    )
    new = GAPPED.replace("gapped", "new")
    refused(company, ram.SHAREABLE, "InvalidParameterException", new, OUTSIDE, resourceArns=[new])


@pytest.mark.parametrize(
    "principal",
    [
        f"arn:aws:organizations::333333333333:organization/{ORGANIZATION}",
        f"arn:aws:organizations::333333333333:ou/{ORGANIZATION}/ou-abcd-11111111",
    ],
)
def test_accounts_only(company: Company, principal: str) -> None:
    refused(company, ram.ACCOUNTS_ONLY, "OperationNotPermittedException", "individual accounts", principal)


@pytest.mark.parametrize("name", ["outside", "destination"])
def test_invitation(company: Company, name: str) -> None:
    side = getattr(company, name)
    arn = share(company, side.account)
    assert (association(company), shared_with(side)) == ("ASSOCIATING", [])
    assert answer(side)["resourceShareInvitation"]["status"] == "ACCEPTED"
    assert (association(company), shared_with(side)) == ("ASSOCIATED", [GAPPED])
    seen = side.ram("GetResourceShares", resourceOwner="OTHER-ACCOUNTS")["resourceShares"]
    assert [each["resourceShareArn"] for each in seen] == [arn]
    side.refused(
        ram.INVITED, "ResourceShareInvitationAlreadyAcceptedException", "accepted", "AcceptResourceShareInvitation",
        service="ram", resourceShareInvitationArn=invitations(side)[0]["resourceShareInvitationArn"],
    )  # fmt: skip


def test_invitation_is_forgotten(company: Company) -> None:
    arn = share(company, OUTSIDE)
    company.source.wait(12 * 3600)
    (invitation,) = invitations(company.outside)
    assert invitation["status"] == "EXPIRED"
    company.outside.refused(
        ram.INVITED, "ResourceShareInvitationExpiredException", "expired", "AcceptResourceShareInvitation",
        service="ram", resourceShareInvitationArn=invitation["resourceShareInvitationArn"],
    )  # fmt: skip
    company.source.ram("AssociateResourceShare", resourceShareArn=arn, principals=[OUTSIDE])
    answer(company.outside)
    assert shared_with(company.outside) == [GAPPED]


def test_invitation_is_rejected(company: Company) -> None:
    share(company, OUTSIDE)
    answer(company.outside, "Reject")
    assert (association(company), shared_with(company.outside)) == ("FAILED", [])


def test_organization_sharing(company: Company) -> None:
    company.source.refused(
        ram.WITHIN_ORGANIZATION, "OperationNotPermittedException", "management account",
        "EnableSharingWithAwsOrganization", service="ram",
    )  # fmt: skip
    company.management.ram("EnableSharingWithAwsOrganization")
    share(company, DESTINATION)
    assert (invitations(company.destination), shared_with(company.destination)) == ([], [GAPPED])
    share(company, OUTSIDE)
    assert len(invitations(company.outside)) == 1


def test_external_principals(company: Company) -> None:
    closed = {"allowExternalPrincipals": False}
    refused(company, ram.EXTERNAL, "OperationNotPermittedException", "outside of your organization", OUTSIDE, **closed)
    arn = share(company, DESTINATION, **closed)
    (shown,) = company.source.ram("GetResourceShares", resourceOwner="SELF", name="ferry")["resourceShares"]
    assert (shown["resourceShareArn"], shown["allowExternalPrincipals"]) == (arn, False)


def test_regional(company: Company) -> None:
    share(company, OUTSIDE)
    assert len(invitations(company.outside)) == 1
    elsewhere = Context(
        company.world, company.outside.caller, "eu-central-1", "ram", "GetResourceShareInvitations", "r"
    )
    shown = company.world.part(ram.RamService).handle(elsewhere, elsewhere.operation, {})
    assert shown == {"resourceShareInvitations": []}


def test_token(company: Company) -> None:
    first = share(company, OUTSIDE, clientToken="one")
    assert share(company, OUTSIDE, clientToken="one") == first
    assert share(company, OUTSIDE, clientToken="two") != first
    assert len(invitations(company.outside)) == 2


def test_share_ends(company: Company) -> None:
    arn = share(company, OUTSIDE)
    answer(company.outside)
    company.source.ram("TagResource", resourceShareArn=arn, tags=[{"key": "a", "value": "b"}])
    (shown,) = company.source.ram("GetResourceShares", resourceOwner="SELF")["resourceShares"]
    assert shown["tags"] == [{"key": "a", "value": "b"}]
    principals = company.source.ram("ListPrincipals", resourceOwner="SELF")["principals"]
    assert [each["id"] for each in principals] == [OUTSIDE]
    company.source.ram("DisassociateResourceShare", resourceShareArn=arn, principals=[OUTSIDE])
    assert shared_with(company.outside) == []
    again = share(company, OUTSIDE)
    answer(company.outside)
    assert shared_with(company.outside) == [GAPPED]
    company.source.ram("DeleteResourceShare", resourceShareArn=again)
    assert shared_with(company.outside) == []
