# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts, users, roles, policies, access keys and sessions: what IAM and STS know, for all accounts."""

from __future__ import annotations

import json
import random
import re
import string
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from lab import policy
from lab.caller import Caller, ConditionValue
from lab.clock import Clock
from lab.errors import AwsError
from lab.partitions import PARTITIONS, in_partition
from lab.rules import rule

DELETED_PRINCIPAL = rule(
    "deleted-principal-shows-its-id",
    service="iam",
    says="The policy of a bucket or key and the trust of a role hold users and roles by their unique ids: one that was "
    "deleted is shown by its id, names nobody from then on, not the one made again under its name either, and keeps "
    "the whole policy from being put",
    fact="AWS IAM user guide, AWS JSON policy elements: Principal; AWS re:Post, KMS key policy error invalid "
    "principals; ministryofjustice/analytical-platform 4932 (S3: MalformedPolicy, Invalid principal in policy)",
    test="test_deleted_principals.py::test_a_deleted_principal_is_shown_by_its_id",
)
DELETED_ELSEWHERE = rule(
    "deleted-principal-in-other-policies",
    service="iam",
    says="So do the policies of backup vaults and of tables and streams",
    fact="AWS IAM user guide, AWS JSON policy elements: Principal, of resource policies in general",
    test="test_deleted_principals.py::test_a_deleted_principal_is_shown_by_its_id",
    confirmed=False,
)
SESSION_OF_NOBODY = rule(
    "session-of-a-deleted-role",
    service="iam",
    says="A session whose role or user was deleted may do nothing more, though one was made again under the name",
    fact="AWS IAM user guide, Delete roles or instance profiles: applications with the role are denied access; that "
    "one of the same name does not help is a guess, by IAM identifiers",
    test="test_deleted_principals.py::test_a_session_of_a_deleted_role_may_do_nothing",
    confirmed=False,
)

ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"
_IDENTIFIER = string.ascii_uppercase + "234567"
_SECRET = string.ascii_letters + string.digits + "+/"
_HELD = "principal-id:"  # marks the ids that stand for ARNs in a stored policy, apart from those that its author wrote
_HELD_ID = re.compile(f'"{_HELD}(A[A-Z0-9]+)"')


@dataclass
class Account:
    """An AWS account of one ``partition``; ``organization_id`` (``o-...``) is empty outside an organization.

    ``control_policies`` are the service control policies that bind it, ``resource_control_policies`` those that bind
    its resources, as JSON text; tests set them.
    """

    id: str
    name: str
    organization_id: str = ""
    partition: str = "aws"
    control_policies: list[str] = field(default_factory=list)
    resource_control_policies: list[str] = field(default_factory=list)


@dataclass
class Principal:
    """What users and roles share. ``inline`` maps policy names to documents, ``attached`` holds policy ARNs."""

    account_id: str
    name: str
    path: str
    id: str
    created_at: float
    inline: dict[str, str] = field(default_factory=dict)
    attached: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    permissions_boundary: str = ""
    partition: str = "aws"
    superseded: list[tuple[float, dict[str, str]]] = field(default_factory=list)

    @property
    def arn(self) -> str:
        """ARN with the path."""
        raise NotImplementedError

    def supersede(self, until: float, now: float) -> None:
        """Let the inline policies as they are hold until then, whatever becomes of them."""
        self.superseded = [each for each in self.superseded if each[0] > now]
        if until > now:
            self.superseded.append((until, dict(self.inline)))

    def applied(self, now: float) -> dict[str, str]:
        """The inline policies by which requests are decided."""
        return next((documents for until, documents in self.superseded if until > now), self.inline)


@dataclass
class User(Principal):
    """An IAM user."""

    @property
    def arn(self) -> str:
        """ARN with the path."""
        return f"arn:{self.partition}:iam::{self.account_id}:user{self.path}{self.name}"


@dataclass
class Role(Principal):
    """An IAM role; ``trust`` is its trust policy as JSON text, ``max_session_duration`` in seconds."""

    trust: str = "{}"
    description: str = ""
    max_session_duration: int = 3600

    @property
    def arn(self) -> str:
        """ARN with the path."""
        return f"arn:{self.partition}:iam::{self.account_id}:role{self.path}{self.name}"


@dataclass
class ManagedPolicy:
    """A managed policy with its versions (``v1`` ...)."""

    arn: str
    name: str
    path: str
    id: str
    created_at: float
    versions: dict[str, str]
    default_version: str = "v1"
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    latest: int = 1


@dataclass
class AccessKey:
    """A long-lived key of a user, or of the account's root where ``user_name`` is empty."""

    id: str
    secret: str = field(repr=False)
    account_id: str
    user_name: str
    created_at: float
    active: bool = True


class Credential(NamedTuple):
    """What an access key id stands for. ``token`` and ``expires_at`` (world's epoch seconds) belong to sessions."""

    access_key_id: str
    secret: str
    caller: Caller
    token: str = ""
    expires_at: float | None = None


class Accounts(dict[str, Account]):
    """The accounts by their ids."""

    def add(self, account_id: str, name: str = "", organization_id: str = "", partition: str = "aws") -> Account:
        """Open an account."""
        self[account_id] = Account(account_id, name or account_id, organization_id, partition)
        return self[account_id]

    def partition(self, account_id: str) -> str:
        """The account's partition."""
        return self[account_id].partition if account_id in self else "aws"

    def control_policies(self, caller: Caller) -> list[str]:
        """The service control policies that bind ``caller``: none for services, managers and service-linked roles."""
        account = self.get(caller.account_id)
        if account is None or not account.control_policies or caller.kind == "service":
            return []
        return [] if self._free(account, caller) else account.control_policies

    def resource_control_policies(self, caller: Caller, owner_account: str) -> list[str]:
        """Those that bind the owner's resources when ``caller`` calls: none for managers and service-linked roles."""
        account = self.get(owner_account)
        if account is None or not account.resource_control_policies:
            return []
        return [] if self._free(account, caller) else account.resource_control_policies

    def _free(self, account: Account, caller: Caller) -> bool:
        if ":role/aws-service-role/" in caller.principal_arn:
            return True
        return bool(account.organization_id) and account is self.manager(account.organization_id)

    def members(self, organization_id: str) -> list[Account]:
        """The accounts of an organization, by their ids."""
        return sorted(
            (each for each in self.values() if each.organization_id == organization_id), key=lambda each: each.id
        )

    def manager(self, organization_id: str) -> Account:
        """The organization's management account: the one of that name, or else the first."""
        members = self.members(organization_id)
        return next((each for each in members if each.name == "management"), members[0])


def organization_path(organization_id: str) -> str:
    """The path of an organization's root, where all its accounts are, as policies compare it."""
    return f"{organization_id}/{root_id(organization_id)}/"


def root_id(organization_id: str) -> str:
    """The id of an organization's root."""
    return f"r-{organization_id.removeprefix('o-')[:4]}"


class IdentityStore:
    """IAM's and STS's memory. Writers hold the world's lock."""

    def __init__(self, clock: Clock, source: random.Random) -> None:
        self._clock = clock
        self._random = source
        self.accounts = Accounts()
        self.users: dict[tuple[str, str], User] = {}
        self.roles: dict[tuple[str, str], Role] = {}
        self.policies: dict[str, ManagedPolicy] = {}
        self.access_keys: dict[str, AccessKey] = {}
        self._sessions: dict[str, Credential] = {}
        for partition in PARTITIONS:
            self.add_policy("aws", "AdministratorAccess", policy.ADMINISTRATOR_DOCUMENT, partition=partition)

    def identifier(self, prefix: str) -> str:
        """A unique id as IAM makes them: four letters of kind (``AROA``) and 17 more characters."""
        return prefix + "".join(self._random.choices(_IDENTIFIER, k=17))

    def _secret(self, length: int = 40) -> str:
        return "".join(self._random.choices(_SECRET, k=length))

    # Making

    def add_user(self, account_id: str, name: str, *, path: str = "/", attached: tuple[str, ...] = ()) -> User:
        """A new user; EntityAlreadyExists where one has the name in any letter case."""
        self._refuse_taken("User", name, [each.name for each in self.users.values() if each.account_id == account_id])
        user = User(account_id, name, path, self.identifier("AIDA"), self._clock.now(), attached=list(attached))
        user.partition = self.accounts.partition(account_id)
        self.users[(account_id, name)] = user
        return user

    def add_role(
        self,
        account_id: str,
        name: str,
        trust: str,
        *,
        path: str = "/",
        description: str = "",
        max_session_duration: int = 3600,
        attached: tuple[str, ...] = (),
    ) -> Role:
        """A new role with the trust policy ``trust`` (JSON text)."""
        self._refuse_taken(
            "Role with name", name, [each.name for each in self.roles.values() if each.account_id == account_id]
        )
        policy.parse(trust)
        trust = self.hold(trust)
        role = Role(
            account_id,
            name,
            path,
            self.identifier("AROA"),
            self._clock.now(),
            attached=list(attached),
            trust=trust,
            description=description,
            max_session_duration=max_session_duration,
            partition=self.accounts.partition(account_id),
        )
        self.roles[(account_id, name)] = role
        return role

    @staticmethod
    def _refuse_taken(kind: str, name: str, names: list[str]) -> None:
        if name.lower() in {each.lower() for each in names}:
            raise AwsError("EntityAlreadyExists", f"{kind} {name} already exists.", 409)

    def add_policy(
        self, account_id: str, name: str, document: str, *, path: str = "/", partition: str = ""
    ) -> ManagedPolicy:
        """A new managed policy; ``account_id`` ``aws`` makes one of AWS's own, in ``partition``."""
        arn = f"arn:{partition or self.accounts.partition(account_id)}:iam::{account_id}:policy{path}{name}"
        if arn in self.policies:
            raise AwsError(
                "EntityAlreadyExists", f"A policy called {name} already exists. Duplicate names are not allowed.", 409
            )
        policy.parse(document)
        self.policies[arn] = ManagedPolicy(
            arn, name, path, self.identifier("ANPA"), self._clock.now(), versions={"v1": document}
        )
        return self.policies[arn]

    def add_access_key(self, account_id: str, user_name: str = "") -> AccessKey:
        """A new key for a user, or for the account's root."""
        key = AccessKey("AKIA" + self.identifier("")[:16], self._secret(), account_id, user_name, self._clock.now())
        self.access_keys[key.id] = key
        return key

    def add_administrator(self, account_id: str, name: str = "administrator") -> AccessKey:
        """A new user with AdministratorAccess, and a key for it."""
        administrator_access = in_partition(ADMINISTRATOR_ACCESS, self.accounts.partition(account_id))
        self.add_user(account_id, name, attached=(administrator_access,))
        return self.add_access_key(account_id, name)

    def add_session(self, caller: Caller, duration_seconds: float) -> Credential:
        """Temporary credentials for ``caller`` that end on the world's clock."""
        access_key_id = "ASIA" + self.identifier("")[:16]
        credential = Credential(
            access_key_id,
            self._secret(),
            Caller(
                account_id=caller.account_id,
                arn=caller.arn,
                kind=caller.kind,
                principal_arn=caller.principal_arn,
                user_id=caller.user_id,
                user_name=caller.user_name,
                session_name=caller.session_name,
                session_policies=caller.session_policies,
                access_key_id=access_key_id,
            ),
            "IQoJb3JpZ2luX2Vj" + self._secret(200),
            self._clock.now() + duration_seconds,
        )
        self._sessions[access_key_id] = credential
        return credential

    # Finding

    def credential(self, access_key_id: str) -> Credential | None:
        """Secret and caller behind an access key id; None for one that is unknown or inactive."""
        if (session := self._sessions.get(access_key_id)) is not None:
            return session
        key = self.access_keys.get(access_key_id)
        if key is None or not key.active:
            return None
        if not key.user_name:
            root = f"arn:{self.accounts.partition(key.account_id)}:iam::{key.account_id}:root"
            caller = Caller(key.account_id, root, "root", root, key.account_id, access_key_id=key.id)
            return Credential(key.id, key.secret, caller)
        user = self.users[(key.account_id, key.user_name)]
        caller = Caller(key.account_id, user.arn, "user", user.arn, user.id, user_name=user.name, access_key_id=key.id)
        return Credential(key.id, key.secret, caller)

    def role_caller(self, role: Role, session_name: str, session_policies: tuple[str, ...] = ()) -> Caller:
        """The caller that a session of ``role`` is."""
        return Caller(
            account_id=role.account_id,
            arn=f"arn:{role.partition}:sts::{role.account_id}:assumed-role/{role.name}/{session_name}",
            kind="assumed_role",
            principal_arn=role.arn,
            user_id=f"{role.id}:{session_name}",
            session_name=session_name,
            session_policies=session_policies,
        )

    def role_by_arn(self, arn: str) -> Role | None:
        """The role that ``arn`` names, path included."""
        parts = arn.split(":", 5)
        if len(parts) < 6 or not parts[5].startswith("role/"):
            return None
        role = self.roles.get((parts[4], parts[5].rpartition("/")[2]))
        return role if role is not None and role.arn == arn else None

    def principal_exists(self, principal: str) -> bool:
        """Whether a resource policy may name ``principal`` (AWS refuses those that do not exist)."""
        if principal == "*":
            return True
        parts = principal.split(":", 5)
        if len(parts) == 6 and parts[1] in PARTITIONS and parts[2] == "sts":
            return True
        account = principal if len(parts) < 6 else parts[4]
        if account not in self.accounts or (len(parts) == 6 and parts[1] != self.accounts.partition(account)):
            return False
        resource = "root" if len(parts) < 6 else parts[5]
        return resource == "root" or self._by_arn(principal) is not None

    # Principals in stored policies

    def hold(self, document: str) -> str:
        """A resource policy as it is stored: users and roles by their unique ids."""
        try:
            content = json.loads(document)
        except ValueError:
            return document
        held = self.holding(content) if isinstance(content, dict) else content
        return document if held == content else json.dumps(held)

    def holding(self, content: dict[str, Any]) -> dict[str, Any]:
        """``hold`` for a document that is read already."""
        statements = content.get("Statement", [])
        if isinstance(statements, dict):
            return {**content, "Statement": self._holding(statements)}
        return {**content, "Statement": [self._holding(each) for each in statements]}

    def _holding(self, statement: dict[str, Any]) -> dict[str, Any]:
        made = dict(statement)
        for name in ("Principal", "NotPrincipal"):
            named = statement.get(name)
            if isinstance(named, dict) and "AWS" in named:
                value = named["AWS"]
                ids = [self._held(each) for each in value] if isinstance(value, list) else self._held(value)
                made[name] = {**named, "AWS": ids}
        return made

    def _held(self, arn: Any) -> Any:
        principal = self._by_arn(arn) if isinstance(arn, str) else None
        return f"{_HELD}{principal.id}" if principal is not None else arn

    def shown(self, document: str) -> str:
        """A stored resource policy as AWS shows it now: ARNs of those who live, the ids of those who were deleted."""
        if _HELD not in document:
            return document
        return _HELD_ID.sub(lambda match: json.dumps(self._name(match[1])), document)

    def _name(self, unique_id: str) -> str:
        principals: list[Principal] = [*self.users.values(), *self.roles.values()]
        return next((each.arn for each in principals if each.id == unique_id), unique_id)

    def _by_arn(self, arn: str) -> Principal | None:
        user = next((user for user in self.users.values() if user.arn == arn), None)
        return user or self.role_by_arn(arn)

    def is_gone(self, caller: Caller) -> bool:
        """Whether the user or role behind ``caller`` was deleted since its session began."""
        return bool(caller.user_id) and caller.kind in ("user", "assumed_role") and self._principal(caller) is None

    def policies_of(self, caller: Caller) -> list[policy.Policy]:
        """The identity policies of ``caller``, parsed. Root may do everything in its account."""
        if caller.kind == "root":
            return [policy.parse(policy.ADMINISTRATOR_DOCUMENT)]
        principal = self._principal(caller)
        if principal is None:
            return []
        documents = [*principal.applied(self._clock.now()).values()]
        documents += [self._document(arn) for arn in principal.attached if arn in self.policies]
        return [policy.parse(document) for document in documents]

    def boundary_of(self, caller: Caller) -> policy.Policy | None:
        """The permissions boundary of ``caller``, parsed; None without one."""
        principal = self._principal(caller)
        arn = principal.permissions_boundary if principal is not None else ""
        return policy.parse(self._document(arn)) if arn else None

    def _document(self, arn: str) -> str:
        managed = self.policies[arn]
        return managed.versions[managed.default_version]

    def _principal(self, caller: Caller) -> Principal | None:
        found: Principal | None = None
        if caller.kind == "user":
            found = self.users.get((caller.account_id, caller.user_name))
        elif caller.kind == "assumed_role":
            found = self.role_by_arn(caller.principal_arn)
        known = caller.user_id.partition(":")[0]
        return None if found is not None and known not in ("", found.id) else found

    def condition_keys(self, caller: Caller, region: str = "") -> dict[str, ConditionValue]:
        """The global condition keys of a request by ``caller``.

        The lab speaks plain HTTP on loopback, yet ``aws:SecureTransport`` is true: it stands for the SDK's HTTPS.
        """
        now = self._clock.now()
        keys: dict[str, ConditionValue] = {
            "aws:SecureTransport": "true",
            "aws:SourceIp": "127.0.0.1",
            "aws:CurrentTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "aws:EpochTime": str(int(now)),
            "aws:PrincipalIsAWSService": str(caller.kind == "service").lower(),
        }
        if region:
            keys["aws:RequestedRegion"] = region
        if caller.kind == "service":
            return keys
        kinds = {"root": "Account", "user": "User", "assumed_role": "AssumedRole"}
        keys |= {
            "aws:PrincipalArn": caller.principal_arn,
            "aws:PrincipalAccount": caller.account_id,
            "aws:PrincipalType": kinds[caller.kind],
            "aws:userid": caller.user_id,
        }
        if caller.user_name:
            keys["aws:username"] = caller.user_name
        account = self.accounts.get(caller.account_id)
        if account is not None and account.organization_id:
            keys["aws:PrincipalOrgID"] = account.organization_id
            keys["aws:PrincipalOrgPaths"] = [organization_path(account.organization_id)]
        return keys
