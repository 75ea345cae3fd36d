# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS Resource Access Manager: air-gapped vaults shared with other accounts, by invitation or in an organization."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lab.backup.model import AIR_GAPPED, Vault
from lab.backup.registry import registry_of
from lab.errors import AwsError
from lab.messages import AuthorizationRequest
from lab.partitions import partition_of
from lab.rules import rule
from lab.services.paging import page
from lab.world import Context, World

SHAREABLE = rule(
    "ram-shareable",
    service="ram",
    says="Of AWS Backup only logically air-gapped vaults of the caller's account and Region are shared; the code of "
    "the refusal is a guess",
    fact="aws.md C7",
    test="test_ram.py::test_only_air_gapped_vaults_are_shared",
)
ACCOUNTS_ONLY = rule(
    "ram-accounts-only",
    service="ram",
    says="A vault is shared with account ids only: an organization or a unit of one is OperationNotPermittedException",
    fact="aws.md C7",
    test="test_ram.py::test_accounts_only",
)
INVITED = rule(
    "ram-invitation",
    service="ram",
    says="An account outside the organization, or inside while RAM's organization sharing is off, must accept an "
    "invitation within 12 hours; then ResourceShareInvitationExpiredException",
    fact="aws.md C7",
    test="test_ram.py::test_invitation",
)
WITHIN_ORGANIZATION = rule(
    "ram-organization-sharing",
    service="ram",
    says="With organization sharing on, an account of the same organization has a share at once",
    fact="aws.md C7",
    test="test_ram.py::test_organization_sharing",
)
EXTERNAL = rule(
    "ram-external-principals",
    service="ram",
    says="allowExternalPrincipals is true unless said; false refuses accounts outside the organization",
    fact="aws.md C7; the refusal's code is a guess",
    test="test_ram.py::test_external_principals",
)
REGIONAL = rule(
    "ram-regional",
    service="ram",
    says="Shares and invitations are seen in their own Region only",
    fact="aws.md C7",
    test="test_ram.py::test_regional",
)
TOKEN = rule(
    "ram-token",
    service="ram",
    says="A clientToken answers the share that it made",
    fact="botocore's service model ram",
    test="test_ram.py::test_token",
)

INVITATION_SECONDS = 12 * 3600
Shape = dict[str, Any]


@dataclass
class Invitation:
    """An invitation of an account, and its answer. ``expires_at`` is on the world's clock."""

    arn: str
    receiver: str
    invited_at: float
    expires_at: float
    status: Literal["PENDING", "ACCEPTED", "REJECTED"] = "PENDING"

    def shown_status(self, now: float) -> str:
        """Its status, EXPIRED where nobody answered in time."""
        return "EXPIRED" if self.status == "PENDING" and now >= self.expires_at else self.status


@dataclass
class Share:
    """A resource share. ``principals`` maps account ids to their invitation, None where none was needed."""

    arn: str
    name: str
    owner: str
    region: str
    external: bool
    created_at: float
    token: str = ""
    status: Literal["ACTIVE", "DELETED"] = "ACTIVE"
    resources: list[str] = field(default_factory=list)
    principals: dict[str, Invitation | None] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def open_to(self, account_id: str) -> bool:
        """Whether the account has the share's resources."""
        if self.status != "ACTIVE" or account_id not in self.principals:
            return False
        invitation = self.principals[account_id]
        return invitation is None or invitation.status == "ACCEPTED"


class RamService:
    """The service behind the gate, and ``reaches`` for the services whose resources it shares."""

    name = "ram"
    locks_itself: frozenset[str] = frozenset()

    def __init__(self, world: World) -> None:
        self._world = world
        world.timings.define("ram.invitation", INVITATION_SECONDS)
        self._shares: dict[str, Share] = {}
        self._organizations: set[str] = set()
        self._handlers: Mapping[str, Callable[[Context, Shape], Shape]] = {
            "CreateResourceShare": self._create,
            "GetResourceShares": self._get,
            "UpdateResourceShare": self._update,
            "DeleteResourceShare": self._delete,
            "AssociateResourceShare": self._associate,
            "DisassociateResourceShare": self._disassociate,
            "GetResourceShareAssociations": self._associations,
            "GetResourceShareInvitations": self._invitations,
            "AcceptResourceShareInvitation": lambda context, params: self._answer(context, params, "ACCEPTED"),
            "RejectResourceShareInvitation": lambda context, params: self._answer(context, params, "REJECTED"),
            "ListResources": self._resources,
            "ListPrincipals": self._principals,
            "EnableSharingWithAwsOrganization": self._enable_organization,
            "TagResource": self._tag,
            "UntagResource": self._untag,
        }

    def reaches(self, resource_arn: str, account_id: str) -> bool:
        """Whether a share opens the resource to the account now."""
        return any(resource_arn in share.resources and share.open_to(account_id) for share in self._shares.values())

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """The caller's own policies decide, on the share or the invitation that the request names."""
        arn = params.get("resourceShareArn") or params.get("resourceShareInvitationArn") or "*"
        return [AuthorizationRequest(f"ram:{operation}", arn)]

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Do ``operation``."""
        handler = self._handlers.get(operation)
        if handler is None:
            raise AwsError("OperationNotPermittedException", f"The lab's RAM has no {operation}.")
        return handler(context, params)

    # Shares

    def _create(self, context: Context, params: Shape) -> Shape:
        token = params.get("clientToken", "")
        for share in self._shares.values():
            if token and (share.owner, share.region, share.token) == (context.account_id, context.region, token):
                return {"resourceShare": _shape(share), "clientToken": token}
        share = Share(
            context.arn(f"resource-share/{self._new_id()}"),
            params["name"],
            context.account_id,
            context.region,
            params.get("allowExternalPrincipals", True),
            self._world.clock.now(),
            token,
            tags={tag["key"]: tag["value"] for tag in params.get("tags", ())},
        )
        self._add(share, params)
        self._shares[share.arn] = share
        return {"resourceShare": _shape(share)} | ({"clientToken": token} if token else {})

    def _own(self, context: Context, arn: str) -> Share:
        share = self._shares.get(arn)
        if share is None or (share.owner, share.region) != (context.account_id, context.region):
            raise AwsError("UnknownResourceException", f"ResourceShare {arn} could not be found.")
        return share

    def _add(self, share: Share, params: Shape) -> None:
        for arn in params.get("resourceArns", ()):
            vault = registry_of(self._world).vault_by_arn(arn)
            if not _is_shareable(vault, share):
                raise SHAREABLE.error("InvalidParameterException", f"Resource {arn} cannot be shared.")
        for principal in params.get("principals", ()):
            self._check_principal(share, principal)
        share.resources += [arn for arn in params.get("resourceArns", ()) if arn not in share.resources]
        for principal in params.get("principals", ()):
            if not share.open_to(principal):
                share.principals[principal] = self._invite(share, principal)

    def _check_principal(self, share: Share, principal: str) -> None:
        if not (principal.isdigit() and len(principal) == 12):
            raise ACCOUNTS_ONLY.error(
                "OperationNotPermittedException", "The resource type can only be shared with individual accounts."
            )
        if not share.external and not self._together(share.owner, principal):
            raise EXTERNAL.error(
                "OperationNotPermittedException",
                f"The resource share does not allow external principals: {principal} is outside of your organization.",
            )

    def _together(self, one: str, other: str) -> bool:
        """Whether two accounts are in one organization."""
        accounts = self._world.accounts
        organization = accounts[one].organization_id if one in accounts else ""
        return bool(organization) and other in accounts and accounts[other].organization_id == organization

    def _invite(self, share: Share, account_id: str) -> Invitation | None:
        if (
            self._together(share.owner, account_id)
            and self._world.accounts[share.owner].organization_id in self._organizations
        ):
            return None
        now = self._world.clock.now()
        prefix = f"arn:{partition_of(share.region)}:ram:{share.region}:{share.owner}"
        arn = f"{prefix}:resource-share-invitation/{self._new_id()}"
        return Invitation(arn, account_id, now, now + self._world.timings.seconds("ram.invitation"))

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._world.random.getrandbits(128), version=4))

    def _get(self, context: Context, params: Shape) -> Shape:
        shares = [
            _shape(share)
            for share in self._visible(context, params["resourceOwner"])
            if share.arn in params.get("resourceShareArns", [share.arn])
            and params.get("name") in (None, share.name)
            and params.get("resourceShareStatus") in (None, share.status)
        ]
        return _listing("resourceShares", shares, params)

    def _visible(self, context: Context, owner: str) -> list[Share]:
        here = [share for share in self._shares.values() if share.region == context.region]
        if owner == "SELF":
            return [share for share in here if share.owner == context.account_id]
        return [share for share in here if share.open_to(context.account_id)]

    def _update(self, context: Context, params: Shape) -> Shape:
        share = self._own(context, params["resourceShareArn"])
        share.name = params.get("name", share.name)
        share.external = params.get("allowExternalPrincipals", share.external)
        return {"resourceShare": _shape(share)}

    def _delete(self, context: Context, params: Shape) -> Shape:
        self._own(context, params["resourceShareArn"]).status = "DELETED"
        return {"returnValue": True}

    def _associate(self, context: Context, params: Shape) -> Shape:
        share = self._own(context, params["resourceShareArn"])
        self._add(share, params)
        entities = [*params.get("resourceArns", ()), *params.get("principals", ())]
        return {
            "resourceShareAssociations": [each for each in self._listed(share) if each["associatedEntity"] in entities]
        }

    def _disassociate(self, context: Context, params: Shape) -> Shape:
        share = self._own(context, params["resourceShareArn"])
        gone = [*params.get("resourceArns", ()), *params.get("principals", ())]
        shown = [
            {**each, "status": "DISASSOCIATING"} for each in self._listed(share) if each["associatedEntity"] in gone
        ]
        share.resources = [arn for arn in share.resources if arn not in gone]
        share.principals = {name: value for name, value in share.principals.items() if name not in gone}
        return {"resourceShareAssociations": shown}

    def _listed(self, share: Share) -> list[Shape]:
        """Associations of a share with its resources and principals."""
        common = {"resourceShareArn": share.arn, "resourceShareName": share.name, "creationTime": share.created_at}
        now = self._world.clock.now()
        listed: list[Shape] = [
            {
                **common,
                "associatedEntity": arn,
                "associationType": "RESOURCE",
                "status": "ASSOCIATED",
                "external": False,
            }
            for arn in share.resources
        ]
        for account_id, invitation in share.principals.items():
            answer = "ACCEPTED" if invitation is None else invitation.shown_status(now)
            listed.append(
                {
                    **common,
                    "associatedEntity": account_id,
                    "associationType": "PRINCIPAL",
                    "status": {"ACCEPTED": "ASSOCIATED", "PENDING": "ASSOCIATING"}.get(answer, "FAILED"),
                    "external": not self._together(share.owner, account_id),
                }
            )
        return listed

    def _associations(self, context: Context, params: Shape) -> Shape:
        shown = [
            each
            for share in self._visible(context, "SELF")
            for each in self._listed(share)
            if each["associationType"] == params["associationType"]
            and share.arn in params.get("resourceShareArns", [share.arn])
            and params.get("resourceArn", params.get("principal")) in (None, each["associatedEntity"])
            and params.get("associationStatus") in (None, each["status"])
        ]
        return _listing("resourceShareAssociations", shown, params)

    # Invitations

    def _received(self, context: Context) -> list[tuple[Share, Invitation]]:
        return [
            (share, invitation)
            for share in self._shares.values()
            for account_id, invitation in share.principals.items()
            if share.region == context.region and account_id == context.account_id and invitation is not None
        ]

    def _invitations(self, context: Context, params: Shape) -> Shape:
        shown = [
            self._invitation(share, invitation)
            for share, invitation in self._received(context)
            if invitation.arn in params.get("resourceShareInvitationArns", [invitation.arn])
            and share.arn in params.get("resourceShareArns", [share.arn])
        ]
        return _listing("resourceShareInvitations", shown, params)

    def _answer(self, context: Context, params: Shape, status: Literal["ACCEPTED", "REJECTED"]) -> Shape:
        arn = params["resourceShareInvitationArn"]
        received = next((each for each in self._received(context) if each[1].arn == arn), None)
        if received is None:
            raise AwsError("ResourceShareInvitationArnNotFoundException", f"Invitation {arn} could not be found.")
        share, invitation = received
        current = invitation.shown_status(self._world.clock.now())
        if current != "PENDING":
            code = f"ResourceShareInvitation{'' if current == 'EXPIRED' else 'Already'}{current.capitalize()}Exception"
            raise INVITED.error(code, f"Invitation {arn} is {current.lower()}.")
        invitation.status = status
        return {"resourceShareInvitation": self._invitation(share, invitation)}

    def _invitation(self, share: Share, invitation: Invitation) -> Shape:
        return {
            "resourceShareInvitationArn": invitation.arn,
            "resourceShareName": share.name,
            "resourceShareArn": share.arn,
            "senderAccountId": share.owner,
            "receiverAccountId": invitation.receiver,
            "invitationTimestamp": invitation.invited_at,
            "status": invitation.shown_status(self._world.clock.now()),
        }

    # What is shared

    def _resources(self, context: Context, params: Shape) -> Shape:
        shown = [
            {
                "arn": arn,
                "type": "backup:BackupVault",
                "resourceShareArn": share.arn,
                "status": "AVAILABLE",
                "creationTime": share.created_at,
            }
            for share in self._visible(context, params["resourceOwner"])
            for arn in share.resources
            if share.arn in params.get("resourceShareArns", [share.arn]) and arn in params.get("resourceArns", [arn])
        ]
        return _listing("resources", shown, params)

    def _principals(self, context: Context, params: Shape) -> Shape:
        shown = [
            {
                "id": account_id,
                "resourceShareArn": share.arn,
                "creationTime": share.created_at,
                "external": not self._together(share.owner, account_id),
            }
            for share in self._visible(context, params["resourceOwner"])
            for account_id in share.principals
            if share.arn in params.get("resourceShareArns", [share.arn]) and share.open_to(account_id)
        ]
        return _listing("principals", shown, params)

    def _enable_organization(self, context: Context, params: Shape) -> Shape:
        accounts = self._world.accounts
        organization = accounts[context.account_id].organization_id
        if not organization or accounts.manager(organization).id != context.account_id:
            raise WITHIN_ORGANIZATION.error(
                "OperationNotPermittedException", "Only the management account of an organization can do this."
            )
        self._organizations.add(organization)
        return {"returnValue": True}

    def _tag(self, context: Context, params: Shape) -> Shape:
        share = self._own(context, params["resourceShareArn"])
        share.tags |= {tag["key"]: tag["value"] for tag in params["tags"]}
        return {}

    def _untag(self, context: Context, params: Shape) -> Shape:
        share = self._own(context, params["resourceShareArn"])
        share.tags = {key: value for key, value in share.tags.items() if key not in params["tagKeys"]}
        return {}


def _is_shareable(vault: Vault | None, share: Share) -> bool:
    return (
        vault is not None
        and vault.type == AIR_GAPPED
        and vault.state == "AVAILABLE"
        and vault.place == (share.owner, share.region)
    )


def _shape(share: Share) -> Shape:
    return {
        "resourceShareArn": share.arn,
        "name": share.name,
        "owningAccountId": share.owner,
        "allowExternalPrincipals": share.external,
        "status": share.status,
        "tags": [{"key": key, "value": value} for key, value in share.tags.items()],
        "creationTime": share.created_at,
        "lastUpdatedTime": share.created_at,
        "featureSet": "STANDARD",
    }


def _listing(member: str, items: list[Shape], params: Shape) -> Shape:
    shown, token = page(
        items, params.get("maxResults") or 100, params.get("nextToken"), code="InvalidNextTokenException"
    )
    return {member: shown, **({"nextToken": token} if token else {})}
