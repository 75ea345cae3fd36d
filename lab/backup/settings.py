# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of a Region (opt-in, advanced features) and of an organization (cross-account backup); aws.md C1."""

from __future__ import annotations

from collections.abc import Callable

from lab.backup.model import Place, Shape
from lab.backup.registry import GlobalSettings, RegionSettings, backups, here, registry_of
from lab.backup.words import belief, invalid_parameter, invalid_request
from lab.world import Context, World

KNOWN_TYPES = belief(
    "test_settings", "region-settings-known-types",
    "UpdateRegionSettings refuses resource types that the Region does not have",
    "aws.md C1",
)  # fmt: skip
PARTIAL_MAP = belief(
    "test_settings", "region-settings-partial-map",
    "A map that names some types only leaves the others as they are, or turns them off: the lab plays either",
    "aws.md C1 (terraform-provider-aws 22744, 30881)", confirmed=False,
)  # fmt: skip
READS_TOO = belief(
    "test_settings", "region-settings-need-describe",
    "UpdateRegionSettings needs backup:DescribeRegionSettings too",
    "aws.md C1",
)  # fmt: skip
OUTSIDE = belief(
    "test_settings", "global-settings-outside",
    "Outside an organization DescribeGlobalSettings is ERROR_9601 `Your account is not a member of an organization.`, "
    "or InvalidRequestException with that Code inside (the lab plays either); any member may read it",
    "aws.md C1; cloudquery/cq-provider-aws 817; botocore's service model backup", confirmed=False,
)  # fmt: skip
MANAGEMENT_ONLY = belief(
    "test_settings", "global-settings-management-only",
    "UpdateGlobalSettings is for the organization's management account only; the code is a guess",
    "aws.md C1",
)  # fmt: skip
KNOWN_SETTINGS = belief(
    "test_settings", "global-settings-known",
    "UpdateGlobalSettings knows isCrossAccountBackupEnabled, isMpaEnabled, isDelegatedAdministratorEnabled, as `true` "
    "or `false`; cross-account monitoring is not among them",
    "aws.md C1",
)  # fmt: skip
DISABLED_LATE = belief(
    "test_settings", "cross-account-disabled-late",
    "Turning cross-account backup off takes up to 15 minutes to take effect",
    "aws.md C1",
)  # fmt: skip

RESOURCE_TYPES = (
    "Aurora", "DocumentDB", "DynamoDB", "EBS", "EC2", "EFS", "FSx", "Neptune", "RDS", "Redshift", "S3",
    "Storage Gateway", "Timestream", "VirtualMachine",
)  # fmt: skip
# Types that have a choice of management; the others are fully managed or never.
MANAGEABLE_TYPES = ("DynamoDB", "EFS")
CROSS_ACCOUNT = "isCrossAccountBackupEnabled"
_GLOBAL = (CROSS_ACCOUNT, "isMpaEnabled", "isDelegatedAdministratorEnabled")


def region_settings(context: Context, place: Place | None = None) -> RegionSettings:
    """The settings of ``place`` (the request's). A new account has opted in to nothing."""
    regions = backups(context).regions
    return regions.setdefault(
        place or here(context),
        RegionSettings(dict.fromkeys(RESOURCE_TYPES, False), {name: name == "EFS" for name in MANAGEABLE_TYPES}),
    )


def describe_region_settings(context: Context, params: Shape) -> Shape:
    """DescribeRegionSettings."""
    settings = region_settings(context)
    return {
        "ResourceTypeOptInPreference": dict(settings.opted_in),
        "ResourceTypeManagementPreference": dict(settings.managed),
    }


def update_region_settings(context: Context, params: Shape) -> Shape:
    """UpdateRegionSettings."""
    context.authorize("backup:DescribeRegionSettings", "*")
    settings = region_settings(context)
    for member, known in (
        ("ResourceTypeOptInPreference", settings.opted_in), ("ResourceTypeManagementPreference", settings.managed)
    ):  # fmt: skip
        if unknown := sorted(set(params.get(member, ())) - set(known)):
            raise invalid_parameter(KNOWN_TYPES, f"Resource type is not supported: {', '.join(unknown)}")
    for member, held in (
        ("ResourceTypeOptInPreference", settings.opted_in), ("ResourceTypeManagementPreference", settings.managed)
    ):  # fmt: skip
        if member in params and context.world.behaviours["backup.partial_region_settings"] == "reset":
            held.update(dict.fromkeys(held, False))
        held.update(params.get(member, {}))
    return {}


def describe_global_settings(context: Context, params: Shape) -> Shape:
    """DescribeGlobalSettings."""
    settings = _global(context)
    return {"GlobalSettings": dict(settings.values), "LastUpdateTime": settings.updated_at}


def update_global_settings(context: Context, params: Shape) -> Shape:
    """UpdateGlobalSettings."""
    settings = _global(context)
    accounts = context.world.accounts
    if context.account_id != accounts.manager(accounts[context.account_id].organization_id).id:
        raise invalid_request(
            MANAGEMENT_ONLY, "Only the management account of the organization may change this setting."
        )
    for name, value in params.get("GlobalSettings", {}).items():
        if name not in _GLOBAL or value not in ("true", "false"):
            raise invalid_parameter(KNOWN_SETTINGS, f"Invalid global setting: {name}={value}")
    changes = params.get("GlobalSettings", {})
    now = context.world.clock.now()
    if settings.values[CROSS_ACCOUNT] == "true" and changes.get(CROSS_ACCOUNT) == "false":
        settings.disabled_at = now + context.world.timings.seconds("backup.disabling_cross_account")
    settings.values.update(changes)
    settings.updated_at = now
    return {}


def cross_account_enabled(world: World, organization_id: str) -> bool:
    """Whether copies between the organization's accounts are allowed now."""
    settings = registry_of(world).organizations.get(organization_id)
    if settings is None:
        return False
    return settings.values[CROSS_ACCOUNT] == "true" or world.clock.now() < settings.disabled_at


def _global(context: Context) -> GlobalSettings:
    account = context.world.accounts.get(context.account_id)
    if account is None or not account.organization_id:
        code = context.world.behaviours["backup.outside_organization"]
        text = "Your account is not a member of an organization."
        raise OUTSIDE.error(code, text, Code="ERROR_9601")
    return backups(context).organizations.setdefault(
        account.organization_id, GlobalSettings(dict.fromkeys(_GLOBAL, "false"), context.world.clock.now())
    )


def get_supported_resource_types(context: Context, params: Shape) -> Shape:
    """GetSupportedResourceTypes."""
    return {"ResourceTypes": list(RESOURCE_TYPES)}


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "DescribeRegionSettings": describe_region_settings,
    "UpdateRegionSettings": update_region_settings,
    "DescribeGlobalSettings": describe_global_settings,
    "UpdateGlobalSettings": update_global_settings,
    "GetSupportedResourceTypes": get_supported_resource_types,
}
