# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What AWS Backup is allowed to do in an account and Region, and across accounts (aws.md C1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ... import aws_errors, sdk
from ...account import Account
from ...change import Change
from ...errors import FerryError, InvalidInput, NotManagementAccount, ServiceError
from ...table.definition import Shape
from .calls import RESOURCE_TYPE, SERVICE

CROSS_ACCOUNT = "isCrossAccountBackupEnabled"
BACKUP_POLICY = "BACKUP_POLICY"
LINKED_ROLE = "AWSServiceRoleForBackup"
# All that UpdateGlobalSettings takes; DescribeGlobalSettings may return more.
_GLOBAL = (CROSS_ACCOUNT, "isMpaEnabled", "isDelegatedAdministratorEnabled")
_REGION = ("ResourceTypeOptInPreference", "ResourceTypeManagementPreference")
# An account outside any organization gets an answer of its own.
_MAY_NOT_ASK = aws_errors.DENIED | aws_errors.OUTSIDE_ORGANIZATION


@dataclass(frozen=True)
class AccountSettingsOptions:
    """The settings to make; None leaves one as it is. The last two are the management account's.

    ``service_linked_role`` can only be created: without it no copy comes into an account, and no key policy may name it
    (aws.md C3).
    """

    opt_in: bool | None = None
    advanced_features: bool | None = None
    service_linked_role: bool | None = None
    cross_account_backup: bool | None = None
    backup_policies: bool | None = None


@dataclass(frozen=True)
class AccountSettings:
    """What is set. None is what could not be asked, ``organization_id`` "" an account outside any organization."""

    opt_in: bool | None = None
    advanced_features: bool | None = None
    service_linked_role: bool | None = None
    organization_id: str | None = None
    management_account_id: str = ""
    cross_account_backup: bool | None = None
    backup_policies: bool | None = None

    def to_dict(self) -> Shape:
        """As JSON-safe data."""
        return dict(vars(self))


@dataclass(frozen=True)
class AccountSettingsPlan:
    """What is set, and what will change."""

    found: AccountSettings
    changes: list[Change]


def read_settings(account: Account, *, policies: bool = False) -> AccountSettings:
    """What is set in the account, its Region and its organization; ``policies`` asks for the policy types too.

    Raises CredentialsError, ServiceError; what the caller may not ask is None.
    """
    region = account.ask("backup", "describe_region_settings", "reading AWS Backup's settings", missing=_MAY_NOT_ASK)
    organization_id, manager = _organization(account)
    shared: Shape | None = None
    if organization_id != "":
        doing = "reading AWS Backup's global settings"
        shared = account.ask("backup", "describe_global_settings", doing, missing=_MAY_NOT_ASK)
    on = None if shared is None else shared.get("GlobalSettings", {}).get(CROSS_ACCOUNT) == "true"
    opted, managed = ((region or {}).get(member, {}).get(RESOURCE_TYPE, False) for member in _REGION)
    return AccountSettings(
        opt_in=None if region is None else bool(opted),
        advanced_features=None if region is None else bool(managed),
        organization_id=organization_id,
        management_account_id=manager,
        cross_account_backup=on,
        service_linked_role=_has_linked_role(account),
        backup_policies=_policies_on(account) if policies and organization_id else None,
    )


def _has_linked_role(account: Account) -> bool | None:
    try:
        account.client("iam").get_role(RoleName=LINKED_ROLE)
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        return False if sdk.error_code(error) in aws_errors.NO_ENTITY else None
    return True


def _organization(account: Account) -> tuple[str | None, str]:
    """The organization's id and its management account: ("", "") outside any, (None, "") where we may not ask."""
    try:
        organization = account.client("organizations").describe_organization()["Organization"]
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if sdk.error_code(error) == "AWSOrganizationsNotInUseException":
            return "", ""
        if sdk.error_code(error) in aws_errors.DENIED:
            return None, ""
        raise account.explain(error, "asking for the organization") from error
    return str(organization["Id"]), str(organization.get("MasterAccountId", ""))


def _roots(account: Account) -> list[Shape]:
    return list(account.pages("organizations", "list_roots", "Roots", "listing the organization's roots"))


def _policies_on(account: Account) -> bool | None:
    try:
        roots = _roots(account)
    except FerryError:
        return None
    return any(
        entry.get("Type") == BACKUP_POLICY and entry.get("Status") == "ENABLED"
        for root in roots
        for entry in root.get("PolicyTypes", ())
    )


def plan_settings(account: Account, options: AccountSettingsOptions) -> AccountSettingsPlan:
    """What has to change for ``options``; reads only.

    Raises NotManagementAccount, CredentialsError, ServiceError; InvalidInput for advanced features without DynamoDB.
    """
    settings = read_settings(account, policies=options.backup_policies is not None)
    if options.cross_account_backup is not None or options.backup_policies is not None:
        _check_management(account, settings)
    if options.advanced_features and options.opt_in is False:
        raise InvalidInput(
            "advanced_features needs AWS Backup for DynamoDB, which opt_in: false turns off.", "Leave opt_in out."
        )
    if options.service_linked_role is False:
        raise InvalidInput(
            "service_linked_role: false is not possible: TableFerry never removes the role.", "Delete it in IAM."
        )
    changes = [
        Change(what, getattr(settings, name), getattr(options, name), risk)
        for name, what, risk in _CHANGES
        if getattr(options, name) is not None and getattr(options, name) != getattr(settings, name)
    ]
    return AccountSettingsPlan(settings, changes)


_CHANGES: tuple[tuple[str, str, Any], ...] = (
    ("opt_in", "AWS Backup for DynamoDB in this Region", "safe"),
    ("advanced_features", "AWS Backup's advanced features for DynamoDB in this Region", "safe"),
    ("service_linked_role", f"role {LINKED_ROLE}", "safe"),
    ("cross_account_backup", "cross-account backup of the organization", "safe"),
    ("backup_policies", "backup policies of the organization", "safe"),
)
_MEMBERS = {"opt_in": _REGION[0], "advanced_features": _REGION[1]}


def _check_management(account: Account, settings: AccountSettings) -> None:
    if settings.organization_id == "":
        raise NotManagementAccount(
            f"The account {account.account_id} is in no organization: there is no cross-account backup to turn on.",
            "Use the credentials of the organization's management account.",
        )
    if settings.management_account_id and settings.management_account_id != account.account_id:
        raise NotManagementAccount(
            "Cross-account backup and backup policies can be set only in the management account"
            f" {settings.management_account_id}, not in {account.account_id} or by a delegated administrator.",
            "Use the management account's credentials.",
        )


def apply_settings(account: Account, options: AccountSettingsOptions, plan: AccountSettingsPlan) -> AccountSettings:
    """Set what ``plan`` changes and read it again: whether AWS merges a part of a map is disputed (aws.md C1).

    Raises ServiceError where AWS does not show what was set, AccessDenied, CredentialsError.
    """
    values = {name: getattr(options, name) for name, what, _risk in _CHANGES if _changed(plan, what)}
    if not values:
        return plan.found
    if values.keys() & _MEMBERS.keys():
        _update_region(account, {member: values[name] for name, member in _MEMBERS.items() if name in values})
    if "service_linked_role" in values:
        _make_linked_role(account)
    if "cross_account_backup" in values:
        _update_global(account, on=values["cross_account_backup"])
    if "backup_policies" in values:
        _update_policies(account, on=values["backup_policies"])
    settings = read_settings(account, policies="backup_policies" in values)
    for name, value in values.items():
        if getattr(settings, name) not in (value, None):
            raise ServiceError(
                f"AWS accepted {name}={value} but shows {getattr(settings, name)}.",
                "Turning cross-account backup off takes up to 15 minutes; otherwise check the settings of AWS Backup in"
                " the console.",
            )
    return settings


def _changed(plan: AccountSettingsPlan, what: str) -> bool:
    return any(change.what == what for change in plan.changes)


def _make_linked_role(account: Account) -> None:
    try:
        account.client("iam").create_service_linked_role(AWSServiceName=SERVICE)
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if "has been taken" not in sdk.error_message(error):
            raise account.explain(error, f"making the role {LINKED_ROLE}") from error


def _update_region(account: Account, values: dict[str, bool]) -> None:
    """Send the maps as they were described, with only DynamoDB changed; nothing else may move."""
    doing = "changing AWS Backup's settings"
    before = account.ask("backup", "describe_region_settings", doing)
    maps: dict[str, Any] = {
        member: {**before.get(member, {}), RESOURCE_TYPE: value} for member, value in values.items()
    }
    account.ask("backup", "update_region_settings", doing, **maps)
    after = account.ask("backup", "describe_region_settings", doing)
    moved = sorted(
        name
        for member in _REGION
        for name, value in before.get(member, {}).items()
        if name != RESOURCE_TYPE and after.get(member, {}).get(name) != value
    )
    if moved:
        raise ServiceError(
            f"AWS Backup's settings of {', '.join(moved)} changed together with DynamoDB's.",
            "Change them back in the console, AWS Backup, Settings, and report the version of botocore.",
        )


def _update_global(account: Account, *, on: bool) -> None:
    doing = "changing AWS Backup's global settings"
    before = account.ask("backup", "describe_global_settings", doing).get("GlobalSettings", {})
    kept = {name: value for name, value in before.items() if name in _GLOBAL}
    changed = {**kept, CROSS_ACCOUNT: "true" if on else "false"}
    account.ask("backup", "update_global_settings", doing, GlobalSettings=changed)


def _update_policies(account: Account, *, on: bool) -> None:
    for root in _roots(account):
        account.ask(
            "organizations",
            "enable_policy_type" if on else "disable_policy_type",
            "changing the organization's policy types",
            missing=aws_errors.POLICY_TYPE_AS_WANTED,
            RootId=root["Id"],
            PolicyType=BACKUP_POLICY,
        )
