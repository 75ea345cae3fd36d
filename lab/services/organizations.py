# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS Organizations: the organization of the world's accounts, as far as members and managers ask for it."""

from __future__ import annotations

from typing import Any

from lab.errors import AwsError
from lab.identity import Account, root_id
from lab.messages import AuthorizationRequest
from lab.rules import rule
from lab.services.paging import page
from lab.world import Context, World

ONLY_THE_MANAGEMENT_ACCOUNT_LISTS = rule(
    "organizations-management-lists",
    service="organizations",
    says="ListAccounts and DescribeAccount are answered to the management account only; every member may ask "
    "DescribeOrganization, and who is in none gets AWSOrganizationsNotInUseException",
    fact="AWS API reference organizations; aws.md C1",
    test="test_organizations.py::test_who_may_ask_what",
)


POLICY_TYPES = rule(
    "organizations-policy-types",
    service="organizations",
    says="The management account turns policy types such as BACKUP_POLICY on at the root, once; a second time is "
    "PolicyTypeAlreadyEnabledException",
    fact="aws.md C1; AWS API reference organizations:EnablePolicyType",
    test="test_organizations.py::test_policy_types",
)


class OrganizationsService:
    """The service behind the gate. The management account is the one whose name is ``management``."""

    name = "organizations"
    locks_itself: frozenset[str] = frozenset()

    def __init__(self, world: World) -> None:
        self._world = world
        self._policy_types: dict[str, list[str]] = {}

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """The caller's own policies decide."""
        return [AuthorizationRequest(f"organizations:{operation}", "*")]

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Do ``operation``; parameters and answer as boto3's."""
        own = self._world.accounts.get(context.account_id)
        if own is None or not own.organization_id:
            raise ONLY_THE_MANAGEMENT_ACCOUNT_LISTS.error(
                "AWSOrganizationsNotInUseException", "Your account is not a member of an organization."
            )
        members = self._world.accounts.members(own.organization_id)
        manager = self._world.accounts.manager(own.organization_id)
        if operation == "DescribeOrganization":
            return {
                "Organization": {
                    "Id": own.organization_id,
                    "Arn": f"arn:{manager.partition}:organizations::{manager.id}:organization/{own.organization_id}",
                    "FeatureSet": "ALL",
                    "MasterAccountArn": _arn(manager, manager),
                    "MasterAccountId": manager.id,
                    "MasterAccountEmail": _email(manager),
                }
            }
        if own is not manager:
            raise ONLY_THE_MANAGEMENT_ACCOUNT_LISTS.error(
                "AccessDeniedException", "You don't have permissions to access this resource."
            )
        shown = {member.id: _shape(manager, member) for member in members}
        if operation == "ListAccounts":
            accounts, token = page(
                list(shown.values()),
                params.get("MaxResults", 20),
                params.get("NextToken"),
                code="InvalidInputException",
            )
            return {"Accounts": accounts, **({"NextToken": token} if token else {})}
        if operation == "DescribeAccount":
            if params["AccountId"] not in shown:
                text = "You specified an account that doesn't exist."
                raise AwsError("AccountNotFoundException", text)
            return {"Account": shown[params["AccountId"]]}
        if operation == "ListRoots":
            return {"Roots": [self._root(manager)]}
        if operation in ("EnablePolicyType", "DisablePolicyType"):
            return self._switch_policy_type(manager, operation, params)
        raise AwsError("UnsupportedAPIEndpointException", f"The lab's Organizations has no {operation}.")

    def _root(self, manager: Account) -> dict[str, Any]:
        organization = manager.organization_id
        root = root_id(organization)
        return {
            "Id": root,
            "Arn": f"arn:{manager.partition}:organizations::{manager.id}:root/{organization}/{root}",
            "Name": "Root",
            "PolicyTypes": [{"Type": kind, "Status": "ENABLED"} for kind in self._policy_types.get(organization, ())],
        }

    def _switch_policy_type(self, manager: Account, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        enabled = self._policy_types.setdefault(manager.organization_id, [])
        kind = params["PolicyType"]
        if params["RootId"] != root_id(manager.organization_id):
            raise AwsError("RootNotFoundException", "You specified a root that doesn't exist.")
        if operation == "EnablePolicyType":
            if kind in enabled:
                raise POLICY_TYPES.error(
                    "PolicyTypeAlreadyEnabledException", "The specified policy type is already enabled."
                )
            enabled.append(kind)
        elif kind not in enabled:
            raise POLICY_TYPES.error("PolicyTypeNotEnabledException", "The specified policy type isn't enabled.")
        else:
            enabled.remove(kind)
        return {"Root": self._root(manager)}


def _arn(manager: Account, member: Account) -> str:
    return f"arn:{manager.partition}:organizations::{manager.id}:account/{manager.organization_id}/{member.id}"


def _email(account: Account) -> str:
    return f"{account.name}@example.com"


def _shape(manager: Account, member: Account) -> dict[str, Any]:
    return {
        "Id": member.id,
        "Arn": _arn(manager, member),
        "Email": _email(member),
        "Name": member.name,
        "Status": "ACTIVE",
        "JoinedMethod": "CREATED",
    }
