# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tags of vaults, recovery points and plans."""

from __future__ import annotations

from collections.abc import Callable

from lab.backup import vaults
from lab.backup.model import Plan, RecoveryPoint, Shape, Vault
from lab.backup.registry import backups
from lab.backup.words import belief, invalid_parameter, not_found
from lab.world import Context

OWN = belief(
    "test_tags", "tags-of-own-resources",
    "Vaults, recovery points and plans of the caller's account have tags, at most 50, none with the prefix aws:",
    "botocore's service model backup; AWS Backup developer guide",
)  # fmt: skip

MOST = 50


def tagged(context: Context, arn: str) -> Vault | RecoveryPoint | Plan:
    """What ``arn`` names in the caller's account and Region; ResourceNotFoundException."""
    registry = backups(context)
    resource: Vault | RecoveryPoint | Plan | None = registry.vault_by_arn(arn) or registry.point(arn)
    if resource is None:
        resource = next((plan for plan in registry.plans.values() if plan.arn == arn and not plan.deleted_at), None)
    holder = resource.vault if isinstance(resource, RecoveryPoint) else resource
    if resource is None or holder is None or holder.place != (context.account_id, context.region):
        raise not_found(OWN, f"Resource {arn} does not exist.")
    return resource


def list_tags(context: Context, params: Shape) -> Shape:
    """ListTags."""
    answer = vaults.listing("Tags", sorted(tagged(context, params["ResourceArn"]).tags.items()), params)
    return {**answer, "Tags": dict(answer["Tags"])}


def tag_resource(context: Context, params: Shape) -> Shape:
    """TagResource."""
    resource = tagged(context, params["ResourceArn"])
    tags = {**resource.tags, **params["Tags"]}
    if len(tags) > MOST or any(key.lower().startswith("aws:") for key in params["Tags"]):
        raise invalid_parameter(OWN, "A resource has at most 50 tags, none with the prefix aws:.")
    resource.tags = tags
    return {}


def untag_resource(context: Context, params: Shape) -> Shape:
    """UntagResource."""
    resource = tagged(context, params["ResourceArn"])
    resource.tags = {key: value for key, value in resource.tags.items() if key not in params["TagKeyList"]}
    return {}


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "ListTags": list_tags,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
}
