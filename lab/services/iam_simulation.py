# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SimulatePrincipalPolicy: what a user or a role may, by the lab's own evaluation of policies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lab import policy
from lab.caller import Caller
from lab.identity import IdentityStore
from lab.rules import rule

SIMULATES = rule(
    "iam-simulates-a-principal",
    service="iam",
    says="SimulatePrincipalPolicy says for each action whether the policies of a user or a role, its permissions "
    "boundary and the service control policies allow it: `allowed`, `explicitDeny`, or `implicitDeny`. There is one "
    "result for each action, with the most restrictive decision, and in it one for each of ResourceArns; without these "
    "the resource is `*`. Nothing is carried out, and policies of resources and sessions count for nothing",
    fact="AWS SDK for Python reference, IAM EvaluationResult (one result per action, aggregate decision, "
    "ResourceSpecificResults); AWS API reference iam:SimulatePrincipalPolicy",
    test="test_iam_simulation.py::test_what_a_principal_may",
)
MISSING_CONTEXT = rule(
    "iam-simulation-missing-context",
    service="iam",
    says="A condition key that no ContextEntries give has no value, and MissingContextValues names it: with "
    "ResourceArns of each of them, else of the action",
    fact="AWS API reference iam:EvaluationResult, MissingContextValues; whether keys such as aws:PrincipalArn are "
    "filled in: none",
    test="test_iam_simulation.py::test_keys_without_a_value_are_named",
    confirmed=False,
)
SOURCES = rule(
    "iam-simulation-sources",
    service="iam",
    says="PolicySourceArn is the ARN of a user or a role; that of a session or of root is InvalidInput, and one that "
    "does not exist NoSuchEntity",
    fact="AWS API reference iam:SimulatePrincipalPolicy: PolicySourceArn, Errors; the words: none",
    test="test_iam_simulation.py::test_only_users_and_roles_are_simulated",
    confirmed=False,
)
_SEVEREST = ("explicitDeny", "implicitDeny", "allowed")


def simulate(store: IdentityStore, account_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a request of ``account_id``."""
    caller = _source(store, account_id, params["PolicySourceArn"])
    given = {
        str(entry["ContextKeyName"]).lower(): list(entry.get("ContextKeyValues", ()))
        for entry in params.get("ContextEntries", ())
    }
    resources = params.get("ResourceArns") or ["*"]
    results = [_result(store, caller, action, resources, given) for action in params["ActionNames"]]
    return {"EvaluationResults": results, "IsTruncated": False}


def _source(store: IdentityStore, account_id: str, arn: str) -> Caller:
    for user in store.users.values():
        if user.arn == arn and user.account_id == account_id:
            return Caller(account_id, arn, "user", arn, user.id, user.name)
    for role in store.roles.values():
        if role.arn == arn and role.account_id == account_id:
            return Caller(account_id, arn, "assumed_role", arn, role.id)
    if ":user/" in arn or (":role/" in arn and ":iam:" in arn):
        raise SOURCES.error("NoSuchEntity", f"The principal {arn} cannot be found.", 404)
    raise SOURCES.error("InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")


def _result(
    store: IdentityStore, caller: Caller, action: str, resources: Sequence[str], given: Mapping[str, list[str]]
) -> dict[str, Any]:
    missing = _missing(store, caller, given)
    single = [
        {
            "EvalResourceName": resource,
            "EvalResourceDecision": _decision(store, caller, action, resource, given),
            "MatchedStatements": [],
            "MissingContextValues": missing,
        }
        for resource in resources
    ]
    found = {each["EvalResourceDecision"] for each in single}
    everything = list(resources) == ["*"]
    return {
        "EvalActionName": action,
        "EvalResourceName": resources[0],
        "EvalDecision": next(each for each in _SEVEREST if each in found),
        "MatchedStatements": [],
        "MissingContextValues": missing if everything else [],
        **({} if everything else {"ResourceSpecificResults": single}),
    }


def _decision(store: IdentityStore, caller: Caller, action: str, resource: str, given: Mapping[str, list[str]]) -> str:
    decision = policy.decide(
        caller,
        action,
        resource,
        identity_policies=store.policies_of(caller),
        boundary=store.boundary_of(caller),
        conditions=given,
        control_policies=store.accounts.control_policies(caller),
    )
    if decision.allowed:
        return "allowed"
    return "explicitDeny" if decision.explicit else "implicitDeny"


def _missing(store: IdentityStore, caller: Caller, given: Mapping[str, list[str]]) -> list[str]:
    """The condition keys of the principal's policies that were not given."""
    boundary = store.boundary_of(caller)
    policies: Iterable[policy.Policy] = [*store.policies_of(caller), *([boundary] if boundary else [])]
    keys = {condition.key for each in policies for statement in each for condition in statement.conditions}
    return sorted(keys - set(given))
