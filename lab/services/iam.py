# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""IAM over the identity store: users, roles, their policies and keys, as the modules of amazon.aws ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

from lab import policy
from lab.errors import AwsError
from lab.identity import AccessKey, ManagedPolicy, Principal, Role, User
from lab.messages import AuthorizationRequest
from lab.partitions import PARTITIONS, in_partition
from lab.rules import rule
from lab.services import managed_policies
from lab.services.iam_simulation import simulate
from lab.world import Context, World

Operation = Callable[[Context, dict[str, Any]], dict[str, Any]]
MOST_ACCESS_KEYS = 2
# What is asked for with iam:PolicyARN (IAM's service authorization reference).


LINKED_ROLE = rule(
    "iam-service-linked-role",
    service="iam",
    says="CreateServiceLinkedRole makes a service's role once, below /aws-service-role/<service>/; a second time it is "
    "InvalidInput `.. has been taken in this account`",
    fact="aws.md C3; AWS API reference iam:CreateServiceLinkedRole",
    test="test_iam_backup.py::test_service_linked_role",
)

CONDITIONS = rule(
    "iam-condition-keys",
    service="iam",
    says="Attaching and detaching a managed policy shows it as iam:PolicyARN; what makes a role or user, or changes "
    "its policies or boundary, shows the boundary as iam:PermissionsBoundary, and no key where there is none",
    fact="AWS service authorization reference, IAM: condition keys",
    test="test_iam_backup.py::test_c2_a_role_takes_only_the_policy_and_the_boundary_that_conditions_name",
)
LATE = rule(
    "iam-eventually-consistent",
    service="iam",
    says="What an inline policy allows or no longer allows holds some seconds after the policy was written or deleted; "
    "IAM itself shows the change at once",
    fact="AWS IAM user guide, Troubleshoot IAM: changes that I make are not always immediately visible (how long: not "
    "documented)",
    test="test_iam_backup.py::test_b4_an_inline_policy_applies_late",
)
INLINE_SIZE = rule(
    "iam-inline-size",
    service="iam",
    says="The inline policies of a user hold 2,048 characters together, those of a role 10,240, white space not "
    "counted; more is LimitExceeded",
    fact="AWS IAM user guide, IAM and AWS STS quotas",
    test="test_iam_backup.py::test_c4_inline_policies_have_a_size_together",
)
MANAGED_SIZE = rule(
    "iam-managed-size",
    service="iam",
    says="A managed policy holds 6,144 characters, white space not counted; more is LimitExceeded",
    fact="AWS IAM user guide, IAM and AWS STS quotas",
    test="test_iam_backup.py::test_a_managed_policy_has_a_size",
)
BOUNDARY_EXISTS = rule(
    "iam-boundary-exists",
    service="iam",
    says="A permissions boundary is a managed policy that exists; another is NoSuchEntity",
    fact="AWS API reference iam:CreateRole; the words: none",
    confirmed=False,
    test="test_iam_backup.py::test_a_boundary_is_a_policy_that_exists",
)
PROPAGATION_SECONDS = 5.0
_MANAGED_SIZE = 6144
_INLINE_SIZES = {"User": 2048, "Role": 10240}
_WITH_POLICY = {f"{verb}{kind}Policy" for verb in ("Attach", "Detach") for kind in ("Role", "User")}
_WITH_BOUNDARY = {
    "CreateRole",
    "CreateUser",
    *(
        f"{verb}{kind}{what}"
        for kind in ("Role", "User")
        for verb, what in (
            ("Attach", "Policy"),
            ("Detach", "Policy"),
            ("Put", "Policy"),
            ("Delete", "Policy"),
            ("Put", "PermissionsBoundary"),
            ("Delete", "PermissionsBoundary"),
        )
    ),
}


class InstanceProfile(NamedTuple):
    """An instance profile: when it was made (epoch seconds of the world), and its role if it has one."""

    created_at: float
    role: Role | None


class IamService:
    """The part of IAM that migrations and their tests need. Lists come whole, never in pages.

    Groups, MFA devices, login profiles, certificates and SSH keys do not exist here: their lists are empty.
    """

    name = "iam"
    locks_itself: frozenset[str] = frozenset()

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = world.identity
        world.timings.define("iam.propagation", PROPAGATION_SECONDS)
        for partition in PARTITIONS:
            for arn, document in managed_policies.DOCUMENTS.items():
                path, _, name = arn.partition(":policy")[2].rpartition("/")
                text = in_partition(document, partition)
                self._store.add_policy("aws", name, text, path=f"{path}/", partition=partition)
        self._profiles: dict[tuple[str, str], dict[str, Any]] = {}
        self._operations: dict[str, Operation] = {
            "CreateRole": self._create_role,
            "GetRole": self._get_role,
            "ListRoles": self._list_roles,
            "UpdateRole": self._update_role,
            "UpdateRoleDescription": self._update_role,
            "UpdateAssumeRolePolicy": self._update_trust,
            "DeleteRole": self._delete_role,
            "CreateServiceLinkedRole": self._create_linked_role,
            "DeleteServiceLinkedRole": self._delete_linked_role,
            "GetServiceLinkedRoleDeletionStatus": lambda context, params: {"Status": "SUCCEEDED"},
            "CreateUser": self._create_user,
            "GetUser": self._get_user,
            "ListUsers": self._list_users,
            "UpdateUser": self._update_user,
            "DeleteUser": self._delete_user,
            "CreateAccessKey": self._create_access_key,
            "ListAccessKeys": self._list_access_keys,
            "UpdateAccessKey": self._update_access_key,
            "DeleteAccessKey": self._delete_access_key,
            "GetAccessKeyLastUsed": self._access_key_last_used,
            "CreatePolicy": self._create_policy,
            "GetPolicy": self._get_policy,
            "ListPolicies": self._list_policies,
            "DeletePolicy": self._delete_policy,
            "CreatePolicyVersion": self._create_policy_version,
            "GetPolicyVersion": self._get_policy_version,
            "ListPolicyVersions": self._list_policy_versions,
            "DeletePolicyVersion": self._delete_policy_version,
            "SetDefaultPolicyVersion": self._set_default_policy_version,
            "ListEntitiesForPolicy": self._list_entities_for_policy,
            "TagPolicy": self._tag_policy,
            "UntagPolicy": self._untag_policy,
            "ListPolicyTags": self._list_policy_tags,
            "CreateInstanceProfile": self._create_profile,
            "GetInstanceProfile": self._get_profile,
            "DeleteInstanceProfile": self._delete_profile,
            "AddRoleToInstanceProfile": self._add_role_to_profile,
            "RemoveRoleFromInstanceProfile": self._remove_role_from_profile,
            "ListInstanceProfiles": self._list_profiles,
            "ListInstanceProfilesForRole": self._list_profiles_for_role,
            "GetLoginProfile": self._get_login_profile,
            "SimulatePrincipalPolicy": self._simulate,
        }
        for kind in ("Role", "User"):
            self._operations |= {
                f"Put{kind}Policy": partial(self._put_inline, kind),
                f"Get{kind}Policy": partial(self._get_inline, kind),
                f"List{kind}Policies": partial(self._list_inline, kind),
                f"Delete{kind}Policy": partial(self._delete_inline, kind),
                f"Attach{kind}Policy": partial(self._attach, kind),
                f"Detach{kind}Policy": partial(self._detach, kind),
                f"ListAttached{kind}Policies": partial(self._list_attached, kind),
                f"Tag{kind}": partial(self._tag, kind),
                f"Untag{kind}": partial(self._untag, kind),
                f"List{kind}Tags": partial(self._list_tags, kind),
                f"Put{kind}PermissionsBoundary": partial(self._put_boundary, kind),
                f"Delete{kind}PermissionsBoundary": partial(self._delete_boundary, kind),
            }
        for operation, member in (
            ("ListGroups", "Groups"),
            ("ListGroupsForUser", "Groups"),
            ("ListMFADevices", "MFADevices"),
            ("ListSigningCertificates", "Certificates"),
            ("ListSSHPublicKeys", "SSHPublicKeys"),
            ("ListServiceSpecificCredentials", "ServiceSpecificCredentials"),
            ("ListAccountAliases", "AccountAliases"),
        ):
            self._operations[operation] = partial(_nothing, member)

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """``iam:<operation>`` on the role, user or policy that the request names."""
        if operation == "CreateServiceLinkedRole":
            service = params["AWSServiceName"]
            # Of a service that has none here only the path is known; it is refused below.
            name = managed_policies.LINKED_ROLES.get(service, ("",))[0]
            arn = f"{self._prefix(context)}:role{managed_policies.linked_path(service)}{name}"
            return [AuthorizationRequest(f"iam:{operation}", arn, conditions={"iam:AWSServiceName": service})]
        conditions = self._conditions(context, operation, params)
        arn = self._resource(context, params)
        needed = [AuthorizationRequest(f"iam:{operation}", arn, conditions=conditions)]
        if operation == "CreateRole" and params.get("Tags"):
            needed.append(AuthorizationRequest("iam:TagRole", arn))
        return needed

    def _conditions(self, context: Context, operation: str, params: Mapping[str, Any]) -> dict[str, str]:
        """IAM's own condition keys: the managed policy attached or detached, and the boundary of the principal that the
        request makes or changes. A key without a value is absent, as in AWS."""
        conditions = {}
        if operation in _WITH_POLICY:
            conditions["iam:PolicyARN"] = str(params.get("PolicyArn", ""))
        if operation in _WITH_BOUNDARY:
            held: Principal | None = None
            if "RoleName" in params:
                held = self._store.roles.get((context.account_id, params["RoleName"]))
            elif "UserName" in params:
                held = self._store.users.get((context.account_id, params["UserName"]))
            conditions["iam:PermissionsBoundary"] = str(
                params.get("PermissionsBoundary", held.permissions_boundary if held else "")
            )
        return {key: value for key, value in conditions.items() if value}

    def _prefix(self, context: Context) -> str:
        """How the ARNs of the caller's account begin."""
        return f"arn:{self._store.accounts.partition(context.account_id)}:iam::{context.account_id}"

    def _resource(self, context: Context, params: Mapping[str, Any]) -> str:
        prefix = self._prefix(context)
        path = params.get("Path", "/")
        if (name := params.get("InstanceProfileName")) is not None:
            return f"{prefix}:instance-profile{path}{name}"
        if (name := params.get("RoleName")) is not None:
            role = self._store.roles.get((context.account_id, name))
            return role.arn if role else f"{prefix}:role{path}{name}"
        if "PolicySourceArn" in params:
            return str(params["PolicySourceArn"])
        if "PolicyArn" in params:
            return str(params["PolicyArn"])
        if "PolicyName" in params and "UserName" not in params:
            return f"{prefix}:policy{path}{params['PolicyName']}"
        if name := params.get("UserName", context.caller.user_name):
            user = self._store.users.get((context.account_id, name))
            return user.arn if user else f"{prefix}:user{path}{name}"
        return "*"

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Answer ``operation``."""
        if operation not in self._operations:
            raise AwsError("InvalidAction", f"The lab's IAM has no {operation}.")
        return self._operations[operation](context, params)

    # Roles

    def _role(self, context: Context, name: str) -> Role:
        role = self._store.roles.get((context.account_id, name))
        if role is None:
            raise _missing(f"The role with name {name} cannot be found.")
        return role

    def _create_role(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        self._check_principals(params["AssumeRolePolicyDocument"])
        boundary = self._boundary(context, params)
        role = self._store.add_role(
            context.account_id,
            params["RoleName"],
            params["AssumeRolePolicyDocument"],
            path=params.get("Path", "/"),
            description=params.get("Description", ""),
            max_session_duration=params.get("MaxSessionDuration", 3600),
        )
        role.permissions_boundary = boundary
        role.tags = _tags(params)
        return {"Role": self._role_shape(role)}

    def _create_linked_role(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        service = params["AWSServiceName"]
        if service not in managed_policies.LINKED_ROLES:
            raise LINKED_ROLE.error("InvalidInput", f"Service {service} does not use service-linked roles here.")
        name, _ = managed_policies.LINKED_ROLES[service]
        if (context.account_id, name) in self._store.roles:
            raise LINKED_ROLE.error(
                "InvalidInput",
                f"Service role name {name} has been taken in this account, please try a different suffix.",
            )
        description = params.get("Description", "")
        role = managed_policies.add_linked_role(self._store, context.account_id, service, description)
        return {"Role": self._role_shape(role)}

    def _delete_linked_role(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        role = self._role(context, params["RoleName"])
        del self._store.roles[(role.account_id, role.name)]
        return {"DeletionTaskId": f"task{role.path}{role.name}/{context.request_id}"}

    def _check_principals(self, trust: str) -> None:
        for statement in policy.parse(trust):
            if not statement.principals:
                raise AwsError("MalformedPolicyDocument", "Missing required field Principal")
            for kind, value in statement.principals:
                if kind == "AWS" and not self._store.principal_exists(value):
                    raise AwsError("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{value}"')

    def _role_shape(self, role: Role) -> dict[str, Any]:
        return {
            **_principal_shape("Role", role),
            "AssumeRolePolicyDocument": quote(self._store.shown(role.trust)),
            "Description": role.description or None,
            "MaxSessionDuration": role.max_session_duration,
            "RoleLastUsed": {},
        }

    def _get_role(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"Role": self._role_shape(self._role(context, params["RoleName"]))}

    def _list_roles(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        roles = [
            role
            for (account, _), role in sorted(self._store.roles.items())
            if account == context.account_id and role.path.startswith(params.get("PathPrefix", "/"))
        ]
        return _all("Roles", [self._role_shape(role) for role in roles])

    def _update_role(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        role = self._role(context, params["RoleName"])
        role.description = params.get("Description", role.description)
        role.max_session_duration = params.get("MaxSessionDuration", role.max_session_duration)
        return {"Role": self._role_shape(role)}

    def _update_trust(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        role = self._role(context, params["RoleName"])
        self._check_principals(params["PolicyDocument"])
        role.trust = self._store.hold(params["PolicyDocument"])
        return {}

    def _delete_role(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        role = self._role(context, params["RoleName"])
        _refuse_used(role)
        if any(
            role.name in profile["roles"]
            for (account, _), profile in self._profiles.items()
            if account == role.account_id
        ):
            raise _conflict("Cannot delete entity, must remove roles from instance profile first.")
        del self._store.roles[(role.account_id, role.name)]
        return {}

    # Users and their keys

    def _user(self, context: Context, params: Mapping[str, Any]) -> User:
        name = params.get("UserName") or context.caller.user_name
        if not name:
            raise AwsError("ValidationError", "Must specify userName when calling with non-User credentials")
        user = self._store.users.get((context.account_id, name))
        if user is None:
            raise _missing(f"The user with name {name} cannot be found.")
        return user

    def _create_user(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        boundary = self._boundary(context, params)
        user = self._store.add_user(context.account_id, params["UserName"], path=params.get("Path", "/"))
        user.permissions_boundary = boundary
        user.tags = _tags(params)
        return {"User": _user_shape(user)}

    def _get_user(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        if context.caller.kind == "root" and "UserName" not in params:
            account = context.account_id
            return {
                "User": {"Path": "/", "UserId": account, "Arn": context.caller.arn, "CreateDate": 0.0, "UserName": ""}
            }
        return {"User": _user_shape(self._user(context, params))}

    def _list_users(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        users = [
            user
            for (account, _), user in sorted(self._store.users.items())
            if account == context.account_id and user.path.startswith(params.get("PathPrefix", "/"))
        ]
        return _all("Users", [_user_shape(user) for user in users])

    def _update_user(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        user = self._user(context, params)
        user.path = params.get("NewPath", user.path)
        name = params.get("NewUserName", user.name)
        if name != user.name:
            if (user.account_id, name) in self._store.users:
                raise AwsError("EntityAlreadyExists", f"User with name {name} already exists.", 409)
            for key in self._keys(user):
                key.user_name = name
            self._store.users[(user.account_id, name)] = self._store.users.pop((user.account_id, user.name))
            user.name = name
        return {}

    def _delete_user(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        user = self._user(context, params)
        _refuse_used(user)
        if self._keys(user):
            raise _conflict("Cannot delete entity, must delete access keys first.")
        del self._store.users[(user.account_id, user.name)]
        return {}

    def _keys(self, user: User) -> list[AccessKey]:
        return [
            key
            for key in self._store.access_keys.values()
            if (key.account_id, key.user_name) == (user.account_id, user.name)
        ]

    def _create_access_key(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        user = self._user(context, params)
        if len(self._keys(user)) >= MOST_ACCESS_KEYS:
            raise AwsError("LimitExceeded", f"Cannot exceed quota for AccessKeysPerUser: {MOST_ACCESS_KEYS}", 409)
        key = self._store.add_access_key(user.account_id, user.name)
        return {"AccessKey": {**_key_shape(key), "SecretAccessKey": key.secret}}

    def _list_access_keys(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return _all("AccessKeyMetadata", [_key_shape(key) for key in self._keys(self._user(context, params))])

    def _key(self, context: Context, params: Mapping[str, Any]) -> AccessKey:
        for key in self._keys(self._user(context, params)):
            if key.id == params["AccessKeyId"]:
                return key
        raise _missing(f"The Access Key with id {params['AccessKeyId']} cannot be found.")

    def _update_access_key(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        self._key(context, params).active = params["Status"] == "Active"
        return {}

    def _delete_access_key(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        del self._store.access_keys[self._key(context, params).id]
        return {}

    def _access_key_last_used(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        key = self._store.access_keys.get(params["AccessKeyId"])
        if key is None or key.account_id != context.account_id:
            raise AwsError("AccessDenied", f"You are not authorized to read {params['AccessKeyId']}.", 403)
        return {"UserName": key.user_name, "AccessKeyLastUsed": {"ServiceName": "N/A", "Region": "N/A"}}

    @staticmethod
    def _get_login_profile(_context: Context, params: dict[str, Any]) -> dict[str, Any]:
        raise _missing(f"Login Profile for User {params.get('UserName', '')} cannot be found.")

    def _simulate(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return simulate(self._store, context.account_id, params)

    # What roles and users share

    def _principal(self, kind: str, context: Context, params: Mapping[str, Any]) -> Principal:
        return self._role(context, params["RoleName"]) if kind == "Role" else self._user(context, params)

    def _put_inline(self, kind: str, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        principal = self._principal(kind, context, params)
        if any(statement.principals for statement in policy.parse(params["PolicyDocument"])):
            raise AwsError("MalformedPolicyDocument", "Policy document should not specify a principal.")
        documents = {**principal.inline, params["PolicyName"]: params["PolicyDocument"]}
        most = _INLINE_SIZES[kind]
        if sum(len("".join(document.split())) for document in documents.values()) > most:
            message = f"Maximum policy size of {most} bytes exceeded for {kind.lower()} {principal.name}"
            raise INLINE_SIZE.error("LimitExceeded", message, 409)
        self._supersede(principal)
        principal.inline = documents
        return {}

    def _supersede(self, principal: Principal) -> None:
        """Keep what applies of the principal's inline policies for a while."""
        now = self._world.clock.now()
        principal.supersede(now + self._world.timings.seconds("iam.propagation"), now)

    def _inline(self, kind: str, context: Context, params: Mapping[str, Any]) -> Principal:
        principal = self._principal(kind, context, params)
        if params["PolicyName"] not in principal.inline:
            raise _missing(f"The {kind.lower()} policy with name {params['PolicyName']} cannot be found.")
        return principal

    def _get_inline(self, kind: str, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        principal, name = self._inline(kind, context, params), params["PolicyName"]
        return {f"{kind}Name": principal.name, "PolicyName": name, "PolicyDocument": quote(principal.inline[name])}

    def _list_inline(self, kind: str, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return _all("PolicyNames", sorted(self._principal(kind, context, params).inline))

    def _delete_inline(self, kind: str, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        principal = self._inline(kind, context, params)
        self._supersede(principal)
        del principal.inline[params["PolicyName"]]
        return {}

    def _attach(self, kind: str, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        principal, managed = self._principal(kind, context, params), self._policy(context, params)
        if managed.arn not in principal.attached:
            principal.attached.append(managed.arn)
        return {}

    def _detach(self, kind: str, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        principal = self._principal(kind, context, params)
        if params["PolicyArn"] not in principal.attached:
            raise _missing(f"Policy {params['PolicyArn']} was not found.")
        principal.attached.remove(params["PolicyArn"])
        return {}

    def _list_attached(self, kind: str, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        attached = self._principal(kind, context, params).attached
        return _all(
            "AttachedPolicies", [{"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn} for arn in sorted(attached)]
        )

    def _tag(self, kind: str, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        self._principal(kind, context, params).tags |= _tags(params)
        return {}

    def _untag(self, kind: str, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        tags = self._principal(kind, context, params).tags
        for key in params["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _list_tags(self, kind: str, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return _all("Tags", _tag_list(self._principal(kind, context, params).tags))

    def _put_boundary(self, kind: str, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        self._principal(kind, context, params).permissions_boundary = self._boundary(context, params)
        return {}

    def _delete_boundary(self, kind: str, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        self._principal(kind, context, params).permissions_boundary = ""
        return {}

    def _boundary(self, context: Context, params: Mapping[str, Any]) -> str:
        arn: str = params.get("PermissionsBoundary", "")
        managed = self._store.policies.get(arn)
        if arn and (managed is None or arn.split(":")[4] not in (context.account_id, "aws")):
            raise BOUNDARY_EXISTS.error("NoSuchEntity", f"Scope ARN: {arn} does not exist or is not attachable.", 404)
        return arn

    # Managed policies

    def _policy(self, context: Context, params: Mapping[str, Any], *, own: bool = False) -> ManagedPolicy:
        arn = params["PolicyArn"]
        managed = self._store.policies.get(arn)
        if not arn.startswith(f"arn:{self._store.accounts.partition(context.account_id)}:"):
            managed = None
        if managed is None or arn.split(":")[4] not in ({context.account_id} if own else {context.account_id, "aws"}):
            raise _missing(f"Policy {arn} does not exist or is not attachable.")
        return managed

    def _holders(self, context: Context, arn: str) -> list[Principal]:
        principals: list[Principal] = [*self._store.users.values(), *self._store.roles.values()]
        return [each for each in principals if each.account_id == context.account_id and arn in each.attached]

    def _policy_shape(self, context: Context, managed: ManagedPolicy) -> dict[str, Any]:
        return {
            "PolicyName": managed.name,
            "PolicyId": managed.id,
            "Arn": managed.arn,
            "Path": managed.path,
            "DefaultVersionId": managed.default_version,
            "AttachmentCount": len(self._holders(context, managed.arn)),
            "PermissionsBoundaryUsageCount": 0,
            "IsAttachable": True,
            "Description": managed.description or None,
            "CreateDate": managed.created_at,
            "UpdateDate": managed.created_at,
            "Tags": _tag_list(managed.tags),
        }

    def _create_policy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        _check_size(params["PolicyDocument"])
        managed = self._store.add_policy(
            context.account_id, params["PolicyName"], params["PolicyDocument"], path=params.get("Path", "/")
        )
        managed.description = params.get("Description", "")
        managed.tags = _tags(params)
        return {"Policy": self._policy_shape(context, managed)}

    def _get_policy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"Policy": self._policy_shape(context, self._policy(context, params))}

    def _list_policies(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        owners = {"AWS": {"aws"}, "Local": {context.account_id}}.get(
            params.get("Scope", "All"), {"aws", context.account_id}
        )
        partition = self._store.accounts.partition(context.account_id)
        policies = [
            managed
            for managed in self._store.policies.values()
            if managed.arn.split(":")[1] == partition and managed.arn.split(":")[4] in owners
        ]
        if params.get("OnlyAttached"):
            policies = [managed for managed in policies if self._holders(context, managed.arn)]
        return _all("Policies", [self._policy_shape(context, managed) for managed in policies])

    def _delete_policy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        managed = self._policy(context, params, own=True)
        if self._holders(context, managed.arn):
            raise _conflict("Cannot delete a policy attached to entities.")
        if len(managed.versions) > 1:
            raise _conflict("This policy has more than one version. Delete the non-default versions first.")
        del self._store.policies[managed.arn]
        return {}

    def _create_policy_version(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        managed = self._policy(context, params, own=True)
        policy.parse(params["PolicyDocument"])
        _check_size(params["PolicyDocument"])
        if len(managed.versions) >= 5:
            raise AwsError("LimitExceeded", "A managed policy can have up to 5 versions.", 409)
        managed.latest += 1
        version = f"v{managed.latest}"
        managed.versions[version] = params["PolicyDocument"]
        if params.get("SetAsDefault"):
            managed.default_version = version
        return {"PolicyVersion": _version_shape(managed, version)}

    def _get_policy_version(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        managed, version = self._policy(context, params), params["VersionId"]
        if version not in managed.versions:
            raise _missing(f"Policy {managed.arn} version {version} does not exist or is not attachable.")
        return {"PolicyVersion": {**_version_shape(managed, version), "Document": quote(managed.versions[version])}}

    def _list_policy_versions(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        managed = self._policy(context, params)
        return _all("Versions", [_version_shape(managed, version) for version in reversed(managed.versions)])

    def _delete_policy_version(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        managed, version = self._policy(context, params, own=True), params["VersionId"]
        if version == managed.default_version:
            raise _conflict("Cannot delete the default version of a policy.")
        if managed.versions.pop(version, None) is None:
            raise _missing(f"Policy {managed.arn} version {version} does not exist or is not attachable.")
        return {}

    def _set_default_policy_version(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        managed, version = self._policy(context, params, own=True), params["VersionId"]
        if version not in managed.versions:
            raise _missing(f"Policy {managed.arn} version {version} does not exist or is not attachable.")
        managed.default_version = version
        return {}

    def _list_entities_for_policy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        holders = self._holders(context, self._policy(context, params).arn)
        return {
            "PolicyGroups": [],
            "PolicyUsers": [{"UserName": each.name, "UserId": each.id} for each in holders if isinstance(each, User)],
            "PolicyRoles": [{"RoleName": each.name, "RoleId": each.id} for each in holders if isinstance(each, Role)],
            "IsTruncated": False,
        }

    def _tag_policy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        self._policy(context, params, own=True).tags |= _tags(params)
        return {}

    def _untag_policy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        tags = self._policy(context, params, own=True).tags
        for key in params["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _list_policy_tags(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return _all("Tags", _tag_list(self._policy(context, params).tags))

    # Instance profiles, which amazon.aws.iam_role makes by default

    def _profile(self, context: Context, params: Mapping[str, Any]) -> dict[str, Any]:
        name = params["InstanceProfileName"]
        profile = self._profiles.get((context.account_id, name))
        if profile is None:
            raise _missing(f"Instance Profile {name} cannot be found.")
        return profile

    def _profile_shape(self, context: Context, profile: dict[str, Any]) -> dict[str, Any]:
        return {
            **profile["shape"],
            "Roles": [self._role_shape(self._role(context, name)) for name in profile["roles"]],
        }

    def _create_profile(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name, path = params["InstanceProfileName"], params.get("Path", "/")
        if (context.account_id, name) in self._profiles:
            raise AwsError("EntityAlreadyExists", f"Instance Profile {name} already exists.", 409)
        shape = {
            "Path": path,
            "InstanceProfileName": name,
            "InstanceProfileId": self._store.identifier("AIPA"),
            "Arn": f"{self._prefix(context)}:instance-profile{path}{name}",
            "CreateDate": self._world.clock.now(),
            "Tags": params.get("Tags", []),
        }
        self._profiles[(context.account_id, name)] = {"shape": shape, "roles": []}
        return self._get_profile(context, params)

    def _get_profile(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"InstanceProfile": self._profile_shape(context, self._profile(context, params))}

    def _delete_profile(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        if self._profile(context, params)["roles"]:
            raise _conflict("Cannot delete entity, must remove roles from instance profile first.")
        del self._profiles[(context.account_id, params["InstanceProfileName"])]
        return {}

    def _add_role_to_profile(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        profile, role = self._profile(context, params), self._role(context, params["RoleName"])
        if profile["roles"]:
            raise AwsError("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1", 409)
        profile["roles"].append(role.name)
        return {}

    def _remove_role_from_profile(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        profile, role = self._profile(context, params), self._role(context, params["RoleName"])
        if role.name not in profile["roles"]:
            raise _missing(f"Role {role.name} in instance profile cannot be found.")
        profile["roles"].remove(role.name)
        return {}

    def profile(self, account_id: str, name: str) -> InstanceProfile | None:
        """An instance profile as the services that use it see it; None for one that does not exist."""
        profile = self._profiles.get((account_id, name))
        if profile is None:
            return None
        role = self._store.roles.get((account_id, profile["roles"][0])) if profile["roles"] else None
        return InstanceProfile(profile["shape"]["CreateDate"], role)

    def _profiles_of(self, context: Context) -> list[dict[str, Any]]:
        return [profile for (account, _), profile in self._profiles.items() if account == context.account_id]

    def _list_profiles(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        prefix = params.get("PathPrefix", "/")
        return _all(
            "InstanceProfiles",
            [
                self._profile_shape(context, profile)
                for profile in self._profiles_of(context)
                if profile["shape"]["Path"].startswith(prefix)
            ],
        )

    def _list_profiles_for_role(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        role = self._role(context, params["RoleName"])
        profiles = [profile for profile in self._profiles_of(context) if role.name in profile["roles"]]
        return _all("InstanceProfiles", [self._profile_shape(context, profile) for profile in profiles])


def _missing(message: str) -> AwsError:
    return AwsError("NoSuchEntity", message, 404)


def _check_size(document: str) -> None:
    if len("".join(document.split())) > _MANAGED_SIZE:
        raise MANAGED_SIZE.error("LimitExceeded", f"Cannot exceed quota for PolicySize: {_MANAGED_SIZE}", 409)


def _conflict(message: str) -> AwsError:
    return AwsError("DeleteConflict", message, 409)


def _refuse_used(principal: Principal) -> None:
    if principal.inline:
        raise _conflict("Cannot delete entity, must delete policies first.")
    if principal.attached:
        raise _conflict("Cannot delete entity, must detach all policies first.")


def _nothing(member: str, _context: Context, _params: dict[str, Any]) -> dict[str, Any]:
    return _all(member, [])


def _all(member: str, values: list[Any]) -> dict[str, Any]:
    return {member: values, "IsTruncated": False}


def _tags(params: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in params.get("Tags", [])}


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _principal_shape(kind: str, principal: Role | User) -> dict[str, Any]:
    boundary = principal.permissions_boundary
    return {
        "Path": principal.path,
        f"{kind}Name": principal.name,
        f"{kind}Id": principal.id,
        "Arn": principal.arn,
        "CreateDate": principal.created_at,
        "Tags": _tag_list(principal.tags),
        "PermissionsBoundary": {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": boundary}
        if boundary
        else None,
    }


def _user_shape(user: User) -> dict[str, Any]:
    return _principal_shape("User", user)


def _key_shape(key: AccessKey) -> dict[str, Any]:
    return {
        "UserName": key.user_name,
        "AccessKeyId": key.id,
        "Status": "Active" if key.active else "Inactive",
        "CreateDate": key.created_at,
    }


def _version_shape(managed: ManagedPolicy, version: str) -> dict[str, Any]:
    return {
        "VersionId": version,
        "IsDefaultVersion": version == managed.default_version,
        "CreateDate": managed.created_at,
    }
