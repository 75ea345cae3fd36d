# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Air-gapped vaults that another account restores from without a copy, also outside of the organization (aws.md C7)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ... import aws_errors, sdk
from ...account import Account
from ...change import Change
from ...errors import BackupNotPossible, FerryError, InvalidInput, JobTimeout
from ...statements.marks import own
from ...table.definition import Shape
from .vaults import Vault, find_vault, list_vaults

AIR_GAPPED = "LOGICALLY_AIR_GAPPED_BACKUP_VAULT"
SHORTEST_RETENTION = 7  # days, AWS's
LOOK = 5.0  # seconds between looks at a vault that is being made (1 to 3 minutes), or at an invitation
_OURS = "SELF"
_GONE = frozenset({"DELETED", "DELETING", "FAILED"})
_LEFT = frozenset({"DISASSOCIATED", "DISASSOCIATING"})  # what AWS RAM still lists of a share, and is not in it


@dataclass(frozen=True)
class AirGappedOptions:
    """The vault, and whom it is shared with. Retentions are days; both are final, and nobody can delete earlier."""

    name: str
    min_retention_days: int
    max_retention_days: int
    key_arn: str = ""
    wait: float = 900.0


@dataclass(frozen=True)
class AirGappedPlan:
    """What has to be done: ``vault`` is None where it must be made, ``share`` where it must be shared. ``lacks`` is
    what the share has to get: the vault, or the destination as one of its accounts."""

    options: AirGappedOptions
    vault: Vault | None
    share: Shape | None
    visible: bool
    changes: list[Change]
    lacks: Mapping[str, list[str]] = field(default_factory=dict)


def plan_air_gapped(source: Account, destination: Account, options: AirGappedOptions) -> AirGappedPlan:
    """What has to be done for the destination to restore from the source's vault; reads only.

    Raises InvalidInput for retentions that AWS does not take, BackupNotPossible where a vault of that name is another
    kind or keeps longer, AccessDenied, CredentialsError, ServiceError.
    """
    if not SHORTEST_RETENTION <= options.min_retention_days <= options.max_retention_days:
        raise InvalidInput(
            f"min_retention_days is {options.min_retention_days}, max_retention_days is {options.max_retention_days}.",
            f"Set min_retention_days to {SHORTEST_RETENTION} or more, and max_retention_days not below it. They can"
            " never be shortened, and each recovery point is billed until it expires.",
        )
    if source.region != destination.region:
        raise InvalidInput(
            "An air-gapped vault can be shared only within its Region.", "Use the same Region on both sides."
        )
    vault = find_vault(source, options.name)
    changes: list[Change] = []
    if vault is None:
        after = {
            "account": source.account_id,
            "min_retention_days": options.min_retention_days,
            "max_retention_days": options.max_retention_days,
            "note": "locked for ever: backups in it are billed until they expire, and nobody can delete them before",
        }
        changes.append(Change(f"air-gapped vault {options.name}", None, after, "billed"))
    elif vault.kind != AIR_GAPPED or vault.state == "FAILED":
        raise BackupNotPossible(
            f"The vault {options.name} of the source account is a {vault.kind} in state {vault.state}.",
            "Choose another name for the air-gapped vault.",
        )
    visible = vault is not None and _sees(destination, vault)
    share: Shape | None = None
    lacks: dict[str, list[str]] = {}
    if vault is not None and not visible:
        share, lacks = _find_share(source, destination, options, vault)
    if not visible and (share is None or lacks):
        before = {"share": share["resourceShareArn"]} if share else None
        changes.append(Change(f"share of the vault {options.name}", before, {"account": destination.account_id}))
    if not visible:
        changes.append(Change(f"access of {destination.account_id} to the vault {options.name}", "none", "restore"))
    return AirGappedPlan(options, vault, share, visible, changes, lacks)


def _sees(destination: Account, vault: Vault) -> bool:
    return any(seen.arn == vault.arn for seen in list_vaults(destination, shared=True))


def share_name(options: AirGappedOptions) -> str:
    """The name of the resource share, in the source's AWS RAM."""
    return f"tableferry-{options.name}"


def _find_share(
    source: Account, destination: Account, options: AirGappedOptions, vault: Vault
) -> tuple[Shape | None, dict[str, list[str]]]:
    """The vault's share, and what it lacks: names of shares are not unique, and what a share holds is listed apart.
    Where there are several, the one that lacks least."""
    name = share_name(options)
    listed = source.pages(
        "ram", "get_resource_shares", "resourceShares", "listing resource shares", resourceOwner=_OURS, name=name
    )
    found = [(share, _lacks(source, destination, share, vault)) for share in listed if share.get("status") not in _GONE]
    return min(found, key=lambda each: len(each[1]), default=(None, {}))


def _lacks(source: Account, destination: Account, share: Shape, vault: Vault) -> dict[str, list[str]]:
    """What the share has to get, as AssociateResourceShare takes it. An invitation that has ended is no lack."""
    wanted = (("RESOURCE", "resourceArns", vault.arn), ("PRINCIPAL", "principals", destination.account_id))
    return {
        member: [entity]
        for kind, member, entity in wanted
        if not any(
            each.get("associatedEntity") == entity and each.get("status") not in _LEFT
            for each in source.pages(
                "ram",
                "get_resource_share_associations",
                "resourceShareAssociations",
                "listing what a resource share holds",
                associationType=kind,
                resourceShareArns=[share["resourceShareArn"]],
            )
        )
    }


def apply_air_gapped(
    source: Account,
    destination: Account,
    plan: AirGappedPlan,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Vault:
    """Make the vault, share it, accept the share, and wait until the destination sees it.

    Again it does what is missing. Raises JobTimeout after ``wait`` seconds, BackupNotPossible, AccessDenied,
    CredentialsError, ServiceError.
    """
    options, end = plan.options, clock() + plan.options.wait
    if plan.vault is None:
        _make(source, options)
    vault = _available(source, options, end, clock, sleep)
    if plan.visible:
        return vault
    share = plan.share or _create_share(source, destination, options, vault)
    if plan.lacks:
        arn = share["resourceShareArn"]
        lacks: dict[str, Any] = dict(plan.lacks)
        source.ask("ram", "associate_resource_share", "sharing the vault", resourceShareArn=arn, **lacks)
    while not _sees(destination, vault):
        _invite_and_accept(source, destination, share)
        if clock() >= end:
            raise _late(f"the destination account does not see the vault {options.name}")
        sleep(LOOK)
    return vault


def _make(source: Account, options: AirGappedOptions) -> None:
    request: dict[str, Any] = {
        "BackupVaultName": options.name,
        "MinRetentionDays": options.min_retention_days,
        "MaxRetentionDays": options.max_retention_days,
        "BackupVaultTags": own(source),
        "CreatorRequestId": hashlib.sha256(f"{source.account_id} {options.name}".encode()).hexdigest()[:40],
    }
    if options.key_arn:
        request["EncryptionKeyArn"] = options.key_arn
    try:
        source.client("backup").create_logically_air_gapped_backup_vault(**request)
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if sdk.error_code(error) == "AlreadyExistsException":
            return
        raise _not_here(source, error) from error


def _not_here(source: Account, error: Exception) -> FerryError:
    """Lists of Regions with air-gapped vaults contradict each other: AWS's answer decides (aws.md C7)."""
    if sdk.error_code(error) in aws_errors.BAD_BACKUP_REQUEST:
        return BackupNotPossible(
            f"AWS does not create the air-gapped vault in {source.region}: {sdk.told(error)}.",
            "Not every Region has air-gapped vaults: use another Region or the method s3.",
        )
    return source.explain(error, "making the air-gapped vault")


def _available(
    source: Account, options: AirGappedOptions, end: float, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Vault:
    while True:
        vault = find_vault(source, options.name)
        if vault is not None and vault.state == "AVAILABLE":
            return vault
        if vault is not None and vault.state == "FAILED":
            raise BackupNotPossible(
                f"AWS could not create the air-gapped vault {options.name}.",
                "Its key must allow the caller kms:CreateGrant. Delete the failed vault, then run again.",
            )
        if clock() >= end:
            raise _late(f"the vault {options.name} is {vault.state if vault else 'not there'}")
        sleep(LOOK)


def _late(what: str) -> JobTimeout:
    return JobTimeout(
        f"The time allowed is over: {what}.",
        "Run again: it continues from what exists. An invitation expires after 12 hours.",
    )


def _create_share(source: Account, destination: Account, options: AirGappedOptions, vault: Vault) -> Shape:
    """The new share, with the account's id: an organization or unit is refused (aws.md C7)."""
    answer = source.ask(
        "ram",
        "create_resource_share",
        "sharing the vault",
        name=share_name(options),
        resourceArns=[vault.arn],
        principals=[destination.account_id],
        allowExternalPrincipals=True,
        # Without any, the caller needs no ram:TagResource.
        tags=[{"key": key, "value": value} for key, value in own(source).items()] if source.tags else [],
    )
    share: Shape = answer["resourceShare"]
    return share


def _invite_and_accept(source: Account, destination: Account, share: Shape) -> None:
    """Accept our own invitation, where one is needed: outside of the organization, or without RAM's sharing in it. An
    expired one (12 hours) is sent again."""
    share_arn = share["resourceShareArn"]
    invitations = destination.pages(
        "ram",
        "get_resource_share_invitations",
        "resourceShareInvitations",
        "listing invitations",
        resourceShareArns=[share_arn],
    )
    status = {each["status"]: each for each in invitations}
    if "PENDING" in status:
        arn = status["PENDING"]["resourceShareInvitationArn"]
        destination.ask(
            "ram", "accept_resource_share_invitation", "accepting the share", resourceShareInvitationArn=arn
        )
    elif status and "ACCEPTED" not in status:
        principals = {"resourceShareArn": share_arn, "principals": [destination.account_id]}
        source.ask("ram", "disassociate_resource_share", "taking back an invitation that has ended", **principals)
        source.ask("ram", "associate_resource_share", "inviting the destination again", **principals)
