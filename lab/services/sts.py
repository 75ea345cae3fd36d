# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""STS: the caller's identity, and sessions of roles (aws.md J)."""

from __future__ import annotations

from typing import Any

from lab import policy
from lab.errors import AwsError
from lab.identity import Credential
from lab.messages import AuthorizationRequest
from lab.rules import rule
from lab.world import Context, World

TRUST_DECIDES = rule(
    "role-trust-decides",
    service="sts",
    says="A role is assumed only when its trust policy names the caller or delegates to its account, and across "
    "accounts only when the caller's own policies allow it too; a missing role is refused in the same words",
    fact="aws.md J; emulators.md 1",
    test="test_sts.py::test_trust_policy_decides",
)
CHAINING = rule(
    "role-chaining-one-hour",
    service="sts",
    says="A role assumed with a role's credentials lasts at most one hour; a longer DurationSeconds fails the call",
    fact="aws.md J",
    test="test_sts.py::test_role_chaining_ends_after_an_hour",
)
LONGEST_SESSION = rule(
    "role-longest-session",
    service="sts",
    says="DurationSeconds is at most the role's MaxSessionDuration",
    fact="aws.md J",
    test="test_sts.py::test_duration_is_bounded_by_the_role",
)

CHAINED_SECONDS = 3600
SESSION_TOKEN_SECONDS = 43200


class StsService:
    """AssumeRole by trust policy, GetSessionToken, GetCallerIdentity. Sessions end on the world's clock."""

    name = "sts"
    locks_itself: frozenset[str] = frozenset()

    def __init__(self, world: World) -> None:
        self._world = world
        self._operations = {
            "GetCallerIdentity": self._get_caller_identity,
            "AssumeRole": self._assume_role,
            "GetSessionToken": self._get_session_token,
        }

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """AssumeRole needs the role's trust policy, and across accounts the caller's too; the others need nothing."""
        if operation != "AssumeRole":
            return []
        role_arn = params["RoleArn"]
        role = self._world.identity.role_by_arn(role_arn)

        def refusal(_message: str) -> AwsError:
            return TRUST_DECIDES.error(
                "AccessDenied",
                f"User: {context.caller.arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}",
                403,
            )

        if role is None:
            raise refusal("")
        conditions = {"sts:RoleSessionName": params["RoleSessionName"]}
        if "ExternalId" in params:
            conditions["sts:ExternalId"] = params["ExternalId"]
        return [
            AuthorizationRequest(
                "sts:AssumeRole",
                role_arn,
                role.trust,
                role.account_id,
                resource_policy_required=True,
                conditions=conditions,
                refusal=refusal,
            )
        ]

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Answer ``operation``."""
        if operation not in self._operations:
            raise AwsError("InvalidAction", f"The lab's STS has no {operation}.")
        return self._operations[operation](context, params)

    @staticmethod
    def _get_caller_identity(context: Context, _params: dict[str, Any]) -> dict[str, Any]:
        caller = context.caller
        return {"UserId": caller.user_id, "Account": caller.account_id, "Arn": caller.arn}

    def _assume_role(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        if context.caller.kind == "root":
            raise AwsError("AccessDenied", "Roles may not be assumed by root accounts.", 403)
        role = self._world.identity.role_by_arn(params["RoleArn"])
        assert role is not None  # authorization refuses others
        duration = params.get("DurationSeconds", 3600)
        if context.caller.kind == "assumed_role" and duration > CHAINED_SECONDS:
            raise CHAINING.error(
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
            )
        if duration > role.max_session_duration:
            raise LONGEST_SESSION.error(
                "ValidationError",
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            )
        session_policies = (params["Policy"],) if "Policy" in params else ()
        for document in session_policies:
            policy.parse(document)
        caller = self._world.identity.role_caller(role, params["RoleSessionName"], session_policies)
        session = self._world.identity.add_session(caller, duration)
        return {
            "Credentials": _credentials(session),
            "AssumedRoleUser": {"AssumedRoleId": caller.user_id, "Arn": caller.arn},
        }

    def _get_session_token(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        if context.caller.access_key_id.startswith("ASIA"):
            raise AwsError("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)
        duration = params.get("DurationSeconds", SESSION_TOKEN_SECONDS)
        return {"Credentials": _credentials(self._world.identity.add_session(context.caller, duration))}


def _credentials(session: Credential) -> dict[str, Any]:
    return {
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret,
        "SessionToken": session.token,
        "Expiration": session.expires_at,
    }
