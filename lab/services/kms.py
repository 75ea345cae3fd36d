# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""KMS: keys whose policies and grants decide, aliases, and the keys that AWS manages in each account.

Nothing is really encrypted: what matters to a migration is who may use which key, and how AWS refuses everybody else.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab import partitions
from lab.caller import Caller, ConditionValue
from lab.errors import AwsError
from lab.messages import AuthorizationRequest
from lab.partitions import partition_of
from lab.policy import ADMINISTRATOR_DOCUMENT, decide, parse
from lab.rules import rule
from lab.services.paging import page
from lab.services.policies import PolicyFlaw, checked_policy
from lab.world import Context, World

MULTI_REGION = rule(
    "kms-multi-region-key",
    service="kms",
    says="A key for several Regions has an id that begins with mrk-; the lab makes no replicas of it",
    fact="AWS KMS developer guide, Multi-Region keys; measured/settings 2.10 [TABLE-328]",
    test="test_kms.py::test_multi_region_key",
)
KEY_POLICY_DECIDES = rule(
    "kms-key-policy-decides",
    service="kms",
    says="A key is used only where its policy names the principal, or names the account's root and the principal's own "
    "policies allow it; an administrator's policy alone is not enough",
    fact="aws.md D; measured/settings 2.10",
    test="test_kms.py::test_key_policy_decides_in_the_own_account",
)
FOREIGN_KEY_NEEDS_BOTH_SIDES = rule(
    "kms-foreign-key-needs-both-sides",
    service="kms",
    says="A principal of another account uses a key only by its ARN, and when both the key's policy and its own "
    "policies allow it; the refusal does not tell a missing key from a forbidden one",
    fact="aws.md D; measured/settings 2.10 [TABLE-037]",
    test="test_kms.py::test_foreign_key_needs_both_sides",
)
MANAGED_KEY_STAYS_HOME = rule(
    "kms-managed-key-stays-home",
    service="kms",
    says="The keys aws/dynamodb, aws/s3 and aws/backup serve their own account through their own service only, and "
    "their policy cannot be changed",
    fact="aws.md A5, D",
    test="test_kms.py::test_managed_key_stays_home",
)
KEY_MISSING = rule(
    "kms-key-missing",
    service="kms",
    says="An unknown key is NotFoundException `Key '<arn>' does not exist`, an unknown alias "
    "`Alias <arn> is not found.`",
    fact="measured/settings 2.10; measured/import-export-table 1.3, 1.6",
    test="test_kms.py::test_missing_keys",
)
KEY_OF_ANOTHER_REGION = rule(
    "kms-key-of-another-region",
    service="kms",
    says="A key's ARN of another Region is NotFoundException `Invalid arn <region>`",
    fact="measured/settings 2.10; measured/import-export-table 1.3 [EXPORT-005]",
    test="test_kms.py::test_missing_keys",
)
KEY_DISABLED = rule(
    "kms-key-disabled",
    service="kms",
    says="A disabled key is DisabledException `<arn> is disabled.`",
    fact="measured/settings 2.10",
    test="test_kms.py::test_key_states",
)
KEY_PENDING_DELETION = rule(
    "kms-key-pending-deletion",
    service="kms",
    says="A key scheduled for deletion is KMSInvalidStateException `<arn> is pending deletion.`",
    fact="measured/settings 2.10",
    test="test_kms.py::test_key_states",
)
GRANTS_ALLOW = rule(
    "kms-grants-allow",
    service="kms",
    says="A grant allows its grantee the operations that it names, whatever the policies say, until it is revoked",
    fact="aws.md D",
    test="test_kms.py::test_grants_allow",
)
POLICY_MUST_BE_SOUND = rule(
    "kms-policy-must-be-sound",
    service="kms",
    says="A key policy that is malformed, names principals that do not exist or locks its author out is "
    "MalformedPolicyDocumentException",
    fact="AWS API reference kms:PutKeyPolicy; AWS re:Post, KMS key policy error invalid principals",
    test="test_kms.py::test_policy_must_be_sound",
)

# Operations that take a key of another account by its ARN (KMS developer guide, "Allowing users in other accounts").
_ACROSS_ACCOUNTS = frozenset(
    {
        "CreateGrant",
        "Decrypt",
        "DescribeKey",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "GetKeyRotationStatus",
        "ListGrants",
        "ReEncrypt",
        "RetireGrant",
        "RevokeGrant",
    }
)
_CRYPTOGRAPHIC = frozenset(
    {
        "CreateGrant",
        "Decrypt",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "ReEncryptFrom",
        "ReEncryptTo",
    }
)
# Operations that a key about to be deleted still answers.
_WHILE_PENDING_DELETION = frozenset(
    {
        "CancelKeyDeletion",
        "DescribeKey",
        "GetKeyPolicy",
        "GetKeyRotationStatus",
        "ListAliases",
        "ListGrants",
        "ListKeyPolicies",
        "ListResourceTags",
        "RetireGrant",
        "RevokeGrant",
    }
)
_DAY_SECONDS = 86400
_MANAGED_SERVICES = {"dynamodb": "DynamoDB data", "s3": "S3 objects", "backup": "backups"}


@dataclass
class Grant:
    """Operations on one key that ``grantee`` may do."""

    id: str
    grantee: str
    operations: tuple[str, ...]
    created_at: float
    name: str = ""
    retiring: str = ""
    constraints: dict[str, Any] = field(default_factory=dict)

    def allows(self, caller: Caller, operation: str, encryption_context: Mapping[str, str]) -> bool:
        """Whether ``caller`` may do ``operation`` with ``encryption_context`` by this grant."""
        required = (
            self.constraints.get("EncryptionContextSubset") or self.constraints.get("EncryptionContextEquals") or {}
        )
        return (
            self.grantee in (caller.arn, caller.principal_arn)
            and operation in self.operations
            and required.items() <= dict(encryption_context).items()
        )

    def shape(self, key: Key) -> dict[str, Any]:
        """As ListGrants shows it."""
        shown = {
            "KeyId": key.arn,
            "GrantId": self.id,
            "Name": self.name,
            "CreationDate": self.created_at,
            "GranteePrincipal": self.grantee,
            "RetiringPrincipal": self.retiring,
            "IssuingAccount": f"arn:{partition_of(key.region)}:iam::{key.account_id}:root",
            "Operations": list(self.operations),
            "Constraints": self.constraints,
        }
        return {name: value for name, value in shown.items() if value not in ("", {})}


@dataclass
class Key:
    """One key. ``manager`` is ``CUSTOMER`` or ``AWS``, ``state`` as DescribeKey's KeyState."""

    account_id: str
    region: str
    id: str
    policy: str
    created_at: float
    description: str = ""
    manager: str = "CUSTOMER"
    spec: str = "SYMMETRIC_DEFAULT"
    usage: str = "ENCRYPT_DECRYPT"
    state: str = "Enabled"
    deleted_at: float = 0.0
    rotated: bool = False
    rotation_days: int = 365
    tags: dict[str, str] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)

    @property
    def multi_region(self) -> bool:
        """Whether it is the primary key of several Regions, as its id tells."""
        return self.id.startswith("mrk-")

    @property
    def arn(self) -> str:
        """The key's ARN."""
        return f"arn:{partition_of(self.region)}:kms:{self.region}:{self.account_id}:key/{self.id}"

    def metadata(self) -> dict[str, Any]:
        """As DescribeKey shows it."""
        shown = {
            "AWSAccountId": self.account_id,
            "KeyId": self.id,
            "Arn": self.arn,
            "CreationDate": self.created_at,
            "Enabled": self.state == "Enabled",
            "Description": self.description,
            "KeyUsage": self.usage,
            "KeyState": self.state,
            "Origin": "AWS_KMS",
            "KeyManager": self.manager,
            "CustomerMasterKeySpec": self.spec,
            "KeySpec": self.spec,
            "MultiRegion": self.multi_region,
        }
        if self.multi_region:
            primary = {"Arn": self.arn, "Region": self.region}
            shown["MultiRegionConfiguration"] = {
                "MultiRegionKeyType": "PRIMARY",
                "PrimaryKey": primary,
                "ReplicaKeys": [],
            }
        if self.spec == "SYMMETRIC_DEFAULT":
            shown["EncryptionAlgorithms"] = ["SYMMETRIC_DEFAULT"]
        if self.state == "PendingDeletion":
            shown["DeletionDate"] = self.deleted_at
        return shown


class KmsService:
    """The service behind the gate, and the keys that other services use for their callers (``use_key_as``)."""

    name = "kms"
    locks_itself: frozenset[str] = frozenset()

    def __init__(self, world: World) -> None:
        self._world = world
        self._keys: dict[tuple[str, str], dict[str, Key]] = {}
        self._aliases: dict[tuple[str, str], dict[str, str]] = {}
        self._handlers: dict[str, Callable[[Context, dict[str, Any], Key], dict[str, Any]]] = {
            "DescribeKey": lambda context, params, key: {"KeyMetadata": key.metadata()},
            "GetKeyPolicy": lambda context, params, key: {
                "Policy": self._world.identity.shown(key.policy),
                "PolicyName": "default",
            },
            "ListKeyPolicies": lambda context, params, key: {"PolicyNames": ["default"], "Truncated": False},
            "PutKeyPolicy": self._put_policy,
            "EnableKey": lambda context, params, key: self._set(key, state="Enabled"),
            "DisableKey": lambda context, params, key: self._set(key, state="Disabled"),
            "UpdateKeyDescription": lambda context, params, key: self._set(key, description=params["Description"]),
            "EnableKeyRotation": self._enable_rotation,
            "DisableKeyRotation": lambda context, params, key: self._set(key, rotated=False),
            "GetKeyRotationStatus": self._rotation_status,
            "ScheduleKeyDeletion": self._schedule_deletion,
            "CancelKeyDeletion": self._cancel_deletion,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListResourceTags": self._list_tags,
            "CreateGrant": self._create_grant,
            "ListGrants": self._list_grants,
            "RevokeGrant": self._revoke_grant,
            "RetireGrant": self._revoke_grant,
            "Encrypt": self._encrypt,
            "GenerateDataKey": self._generate_data_key,
            "GenerateDataKeyWithoutPlaintext": self._generate_data_key,
        }

    # For other services

    def use_key_as(
        self,
        caller: Caller,
        key_id: str,
        operation: str,
        region: str,
        *,
        via_service: str = "",
        encryption_context: Mapping[str, str] | None = None,
    ) -> Key:
        """The key named by id, ARN or alias, if ``caller`` may do ``operation`` (``GenerateDataKey``) with it now.

        ``via_service`` (``s3``) is the service that asks for the caller (kms:ViaService). AwsErrors are KMS's own:
        NotFoundException, DisabledException, KMSInvalidStateException, AccessDeniedException.
        """
        key = self.find(caller, key_id, region, operation)
        context = encryption_context or {}
        for needed in self._needed(caller, key, operation, context, via_service):
            self._world.require(caller, needed, region)
        self._usable(key, operation)
        return key

    def policy_admits(
        self,
        caller: Caller,
        key_arn: str,
        operations: Sequence[str],
        *,
        via_service: str,
        encryption_context: Mapping[str, str] | None = None,
    ) -> bool:
        """Whether the key's policy names ``caller`` or its account for all ``operations``.

        What the caller's own policies say does not count: for services that use a key by grants of their own.
        """
        key = self._by_arn(key_arn)
        if key is None:
            return False
        conditions = _conditions(caller, key, encryption_context or {}, via_service)
        conditions = {**self._world.identity.condition_keys(caller, key.region), **conditions}
        everything = [parse(ADMINISTRATOR_DOCUMENT)]
        return all(
            decide(
                caller,
                f"kms:{operation}",
                key.arn,
                identity_policies=everything,
                resource_policy=self._world.identity.shown(key.policy),
                owner_account=key.account_id,
                resource_policy_required=True,
                conditions=conditions,
            ).allowed
            for operation in operations
        )

    def is_managed(self, key_arn: str) -> bool:
        """Whether ``key_arn`` is a key that AWS manages in an account."""
        key = self._by_arn(key_arn)
        return key is not None and key.manager == "AWS"

    def is_enabled(self, key_arn: str) -> bool:
        """Whether ``key_arn`` is a key that can be used, by whomever."""
        key = self._by_arn(key_arn)
        return key is not None and key.state == "Enabled"

    def _by_arn(self, key_arn: str) -> Key | None:
        parts = key_arn.split(":", 5)
        return self._keys.get((parts[4], parts[3]), {}).get(parts[5].removeprefix("key/")) if len(parts) == 6 else None

    def managed_key(self, account_id: str, region: str, service: str) -> Key:
        """The account's key ``alias/aws/<service>`` (``dynamodb``, ``s3``, ``backup``), made when first asked for."""
        aliases = self._aliases.setdefault((account_id, region), {})
        alias = f"alias/aws/{service}"
        if alias not in aliases:
            condition = {"kms:CallerAccount": account_id, "kms:ViaService": partitions.via_service(service, region)}
            root = {"AWS": f"arn:{partition_of(region)}:iam::{account_id}:root"}
            use = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant"]
            read = ["kms:Describe*", "kms:Get*", "kms:List*"]
            policy = [
                {
                    "Sid": f"Allow access through {service} for all principals of the account",
                    "Effect": "Allow",
                    "Principal": {"AWS": "*"},
                    "Action": [*use, "kms:DescribeKey"],
                    "Resource": "*",
                    "Condition": {"StringEquals": condition},
                },
                {"Effect": "Allow", "Principal": root, "Action": [*read, "kms:RevokeGrant"], "Resource": "*"},
            ]
            key = self._add(
                account_id,
                region,
                json.dumps({"Version": "2012-10-17", "Id": f"auto-{service}-2", "Statement": policy}),
                description=f"Default key that protects my {_MANAGED_SERVICES[service]} when no other key is defined",
                manager="AWS",
                rotated=True,
            )
            aliases[alias] = key.id
        return self._keys[account_id, region][aliases[alias]]

    def find(self, caller: Caller, key_id: str, region: str, operation: str = "DescribeKey") -> Key:
        """The key that ``caller`` names by id, ARN, alias or alias ARN in ``region``; existence only, no permission."""
        account_id, name = caller.account_id, key_id
        if key_id.startswith("arn:"):
            parts = key_id.split(":", 5)
            if len(parts) != 6 or parts[2] != "kms":
                raise AwsError("NotFoundException", f"Invalid arn {key_id}")
            if parts[3] != region:
                raise KEY_OF_ANOTHER_REGION.error("NotFoundException", f"Invalid arn {parts[3]}")
            account_id, name = parts[4], parts[5]
        if name.startswith("alias/aws/") and name.removeprefix("alias/aws/") in _MANAGED_SERVICES:
            self.managed_key(account_id, region, name.removeprefix("alias/aws/"))
        plain = name.removeprefix("key/")
        if name.startswith("alias/"):
            plain = self._aliases.get((account_id, region), {}).get(name, "")
        key = self._keys.get((account_id, region), {}).get(plain)
        if key is None and account_id != caller.account_id:
            raise FOREIGN_KEY_NEEDS_BOTH_SIDES.error("AccessDeniedException", _foreign_refusal(caller, operation))
        if key is None:
            kind = "" if name.startswith("alias/") else "key/"
            arn = f"arn:{partition_of(region)}:kms:{region}:{account_id}:{kind}{name.removeprefix('key/')}"
            text = f"Key '{arn}' does not exist" if kind else f"Alias {arn} is not found."
            raise KEY_MISSING.error("NotFoundException", text)
        return key

    # The gate

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """Key operations ask the key's policy; the others the caller's policies alone."""
        encryption_context = params.get("EncryptionContext") or {}
        if operation in ("CreateAlias", "UpdateAlias", "DeleteAlias"):
            arn = context.arn(params["AliasName"])
            needed = [AuthorizationRequest(f"kms:{operation}", arn)]
            target = params.get("TargetKeyId") or self._aliases.get((context.account_id, context.region), {}).get(
                params["AliasName"]
            )
            if target:
                key = self.find(context.caller, target, context.region, operation)
                needed += self._needed(context.caller, key, operation, {})
            return needed
        if operation in ("Decrypt", "ReEncrypt"):
            source = self._key_of(context, params["CiphertextBlob"])
            action = "Decrypt" if operation == "Decrypt" else "ReEncryptFrom"
            needed = self._needed(context.caller, source, action, encryption_context)
            if operation == "ReEncrypt":
                target_key = self.find(context.caller, params["DestinationKeyId"], context.region, operation)
                needed += self._needed(context.caller, target_key, "ReEncryptTo", encryption_context)
            return needed
        if "KeyId" not in params or operation == "ListAliases":
            needed = [AuthorizationRequest(f"kms:{operation}", "*")]
            if operation == "CreateKey" and params.get("Tags"):
                needed.append(AuthorizationRequest("kms:TagResource", context.arn("key/new", "kms")))
            return needed
        key = self.find(context.caller, params["KeyId"], context.region, operation)
        return self._needed(context.caller, key, operation, encryption_context)

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Do ``operation``; parameters and answer as boto3's."""
        match operation:
            case "CreateKey":
                return self._create_key(context, params)
            case "ListKeys":
                keys = [
                    {"KeyId": key.id, "KeyArn": key.arn}
                    for key in self._keys.get((context.account_id, context.region), {}).values()
                ]
                return _listing("Keys", keys, params, 100)
            case "ListAliases":
                return self._list_aliases(context, params)
            case "CreateAlias" | "UpdateAlias":
                return self._put_alias(context, operation, params)
            case "DeleteAlias":
                self._alias(context, params["AliasName"])
                del self._aliases[context.account_id, context.region][params["AliasName"]]
                return {}
            case "Decrypt" | "ReEncrypt":
                return self._decrypt(context, operation, params)
        handler = self._handlers.get(operation)
        if handler is None:
            raise AwsError("UnsupportedOperationException", f"The lab's KMS has no {operation}.")
        key = self.find(context.caller, params["KeyId"], context.region, operation)
        if key.manager == "AWS" and not operation.startswith(("Describe", "Get", "List")):
            raise MANAGED_KEY_STAYS_HOME.error(
                "AccessDeniedException",
                f"User: {context.caller.arn} is not authorized to perform: kms:{operation} on an AWS managed key",
            )
        self._usable(key, operation)
        return handler(context, params, key)

    def _needed(
        self,
        caller: Caller,
        key: Key,
        operation: str,
        encryption_context: Mapping[str, str],
        via_service: str = "",
    ) -> list[AuthorizationRequest]:
        if any(grant.allows(caller, operation, encryption_context) for grant in key.grants.values()):
            return []
        foreign = caller.account_id != key.account_id
        if foreign and operation not in _ACROSS_ACCOUNTS | _CRYPTOGRAPHIC:
            raise FOREIGN_KEY_NEEDS_BOTH_SIDES.error("AccessDeniedException", _foreign_refusal(caller, operation))
        conditions = _conditions(caller, key, encryption_context, via_service)
        refusing = FOREIGN_KEY_NEEDS_BOTH_SIDES if foreign else KEY_POLICY_DECIDES
        if key.manager == "AWS":
            refusing = MANAGED_KEY_STAYS_HOME

        def refuse(message: str) -> AwsError:
            return refusing.error("AccessDeniedException", _foreign_refusal(caller, operation) if foreign else message)

        return [
            AuthorizationRequest(
                f"kms:{operation}",
                key.arn,
                key.policy,
                key.account_id,
                True,
                conditions,
                refusal=refuse,
                uncontrolled=key.manager == "AWS",
            )
        ]

    def _usable(self, key: Key, operation: str) -> None:
        if key.state == "PendingDeletion" and operation not in _WHILE_PENDING_DELETION:
            raise KEY_PENDING_DELETION.error("KMSInvalidStateException", f"{key.arn} is pending deletion.")
        if key.state == "Disabled" and operation in _CRYPTOGRAPHIC | {"EnableKeyRotation"}:
            raise KEY_DISABLED.error("DisabledException", f"{key.arn} is disabled.")

    # Keys

    def _add(self, account_id: str, region: str, policy: str, *, multi_region: bool = False, **members: Any) -> Key:
        identifier = uuid.UUID(int=self._world.random.getrandbits(128), version=4)
        key_id = f"mrk-{identifier.hex}" if multi_region else str(identifier)
        key = Key(account_id, region, key_id, policy, self._world.clock.now(), **members)
        self._keys.setdefault((account_id, region), {})[key_id] = key
        return key

    def _create_key(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        root = f"arn:{partition_of(context.region)}:iam::{context.account_id}:root"
        delegate = {"Sid": "Enable IAM User Permissions", "Effect": "Allow", "Principal": {"AWS": root}}
        default = {
            "Version": "2012-10-17",
            "Id": "key-default-1",
            "Statement": [{**delegate, "Action": "kms:*", "Resource": "*"}],
        }
        policy = params.get("Policy") or json.dumps(default)
        key = self._add(
            context.account_id,
            context.region,
            policy,
            multi_region=params.get("MultiRegion", False),
            description=params.get("Description", ""),
            spec=params.get("KeySpec") or params.get("CustomerMasterKeySpec") or "SYMMETRIC_DEFAULT",
            usage=params.get("KeyUsage", "ENCRYPT_DECRYPT"),
            tags={tag["TagKey"]: tag["TagValue"] for tag in params.get("Tags") or ()},
        )
        try:
            self._check_policy(context, key, policy, params.get("BypassPolicyLockoutSafetyCheck", False))
        except AwsError:
            del self._keys[context.account_id, context.region][key.id]
            raise
        key.policy = self._world.identity.hold(policy)
        return {"KeyMetadata": key.metadata()}

    def _set(self, key: Key, **members: Any) -> dict[str, Any]:
        for name, value in members.items():
            setattr(key, name, value)
        return {}

    def _check_policy(self, context: Context, key: Key, policy: str, lockout_wanted: bool) -> None:
        try:
            checked_policy(self._world, policy)
        except PolicyFlaw as flaw:
            raise POLICY_MUST_BE_SOUND.error("MalformedPolicyDocumentException", _flaw_text(flaw)) from None
        needed = AuthorizationRequest("kms:PutKeyPolicy", key.arn, policy, key.account_id, True)
        if not lockout_wanted and not self._world.allows(context.caller, needed, context.region):
            raise POLICY_MUST_BE_SOUND.error(
                "MalformedPolicyDocumentException",
                "The new key policy will not allow you to update the key policy in the future.",
            )

    def _put_policy(self, context: Context, params: dict[str, Any], key: Key) -> dict[str, Any]:
        self._check_policy(context, key, params["Policy"], params.get("BypassPolicyLockoutSafetyCheck", False))
        return self._set(key, policy=self._world.identity.hold(params["Policy"]))

    def _enable_rotation(self, context: Context, params: dict[str, Any], key: Key) -> dict[str, Any]:
        if key.spec != "SYMMETRIC_DEFAULT":
            raise AwsError("UnsupportedOperationException", f"{key.arn} does not support automatic rotation.")
        return self._set(key, rotated=True, rotation_days=params.get("RotationPeriodInDays", key.rotation_days))

    def _rotation_status(self, context: Context, params: dict[str, Any], key: Key) -> dict[str, Any]:
        status: dict[str, Any] = {"KeyRotationEnabled": key.rotated, "KeyId": key.arn}
        if key.rotated:
            status["RotationPeriodInDays"] = key.rotation_days
        return status

    def _schedule_deletion(self, context: Context, params: dict[str, Any], key: Key) -> dict[str, Any]:
        days = params.get("PendingWindowInDays", 30)
        self._set(key, state="PendingDeletion", deleted_at=self._world.clock.now() + days * _DAY_SECONDS)
        self._world.schedule(days * _DAY_SECONDS, lambda: self._delete_when_pending(key))
        return {
            "KeyId": key.arn,
            "DeletionDate": key.deleted_at,
            "KeyState": key.state,
            "PendingWindowInDays": days,
        }

    def _delete_when_pending(self, key: Key) -> None:
        if key.state == "PendingDeletion" and key.deleted_at <= self._world.clock.now():
            place = (key.account_id, key.region)
            del self._keys[place][key.id]
            aliases = self._aliases.get(place, {})
            self._aliases[place] = {name: target for name, target in aliases.items() if target != key.id}

    def _cancel_deletion(self, context: Context, params: dict[str, Any], key: Key) -> dict[str, Any]:
        if key.state != "PendingDeletion":
            raise AwsError("KMSInvalidStateException", f"{key.arn} is not pending deletion.")
        self._set(key, state="Disabled")
        return {"KeyId": key.arn}

    def _tag(self, context: Context, params: dict[str, Any], key: Key) -> dict[str, Any]:
        key.tags.update({tag["TagKey"]: tag["TagValue"] for tag in params["Tags"]})
        return {}

    def _untag(self, context: Context, params: dict[str, Any], key: Key) -> dict[str, Any]:
        for name in params["TagKeys"]:
            key.tags.pop(name, None)
        return {}

    def _list_tags(self, context: Context, params: dict[str, Any], key: Key) -> dict[str, Any]:
        tags = [{"TagKey": name, "TagValue": value} for name, value in key.tags.items()]
        return _listing("Tags", tags, params, 50)

    # Aliases

    def _alias(self, context: Context, name: str) -> str:
        aliases = self._aliases.get((context.account_id, context.region), {})
        if name not in aliases:
            raise KEY_MISSING.error("NotFoundException", f"Alias {context.arn(name)} is not found.")
        return aliases[name]

    def _put_alias(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        name = params["AliasName"]
        if not name.startswith("alias/") or name.startswith("alias/aws/"):
            raise AwsError(
                "InvalidAliasNameException", 'Alias must start with the prefix "alias/" and not "alias/aws/"'
            )
        aliases = self._aliases.setdefault((context.account_id, context.region), {})
        if operation == "UpdateAlias":
            self._alias(context, name)
        elif name in aliases:
            raise AwsError("AlreadyExistsException", f"An alias with the name {context.arn(name)} already exists")
        key = self.find(context.caller, params["TargetKeyId"], context.region, operation)
        self._usable(key, operation)
        aliases[name] = key.id
        return {}

    def _list_aliases(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        key_name = params.get("KeyId")
        key_id = self.find(context.caller, key_name, context.region).id if key_name else None
        shown = [
            {"AliasName": name, "AliasArn": context.arn(name), "TargetKeyId": target}
            for name, target in sorted(self._aliases.get((context.account_id, context.region), {}).items())
            if key_id in (None, target)
        ]
        return _listing("Aliases", shown, params, 50)

    # Grants

    def _create_grant(self, context: Context, params: dict[str, Any], key: Key) -> dict[str, Any]:
        members = (params["GranteePrincipal"], tuple(params["Operations"]), params.get("Name", ""))
        for grant in key.grants.values():
            # A grant with a name and equal members is the same grant (API reference, CreateGrant).
            if grant.name and (grant.grantee, grant.operations, grant.name) == members:
                return {"GrantToken": grant.id, "GrantId": grant.id}
        grant = Grant(
            id=f"{self._world.random.getrandbits(256):064x}",
            grantee=params["GranteePrincipal"],
            operations=tuple(params["Operations"]),
            created_at=self._world.clock.now(),
            name=params.get("Name", ""),
            retiring=params.get("RetiringPrincipal", ""),
            constraints=params.get("Constraints") or {},
        )
        key.grants[grant.id] = grant
        return {"GrantToken": grant.id, "GrantId": grant.id}

    def _list_grants(self, context: Context, params: dict[str, Any], key: Key) -> dict[str, Any]:
        shown = [
            grant.shape(key)
            for grant in key.grants.values()
            if params.get("GrantId") in (None, grant.id) and params.get("GranteePrincipal") in (None, grant.grantee)
        ]
        return _listing("Grants", shown, params, 50)

    def _revoke_grant(self, context: Context, params: dict[str, Any], key: Key) -> dict[str, Any]:
        if params.get("GrantId") not in key.grants:
            raise AwsError("NotFoundException", f"Grant {params.get('GrantId')} is not found")
        del key.grants[params["GrantId"]]
        return {}

    # Data

    def _key_of(self, context: Context, ciphertext: bytes) -> Key:
        return self.find(context.caller, _opened(ciphertext)["key"], context.region, "Decrypt")

    def _encrypt(self, context: Context, params: dict[str, Any], key: Key) -> dict[str, Any]:
        blob = _sealed(key, params["Plaintext"], params.get("EncryptionContext"))
        return {"CiphertextBlob": blob, "KeyId": key.arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}

    def _generate_data_key(self, context: Context, params: dict[str, Any], key: Key) -> dict[str, Any]:
        size = params.get("NumberOfBytes") or (16 if params.get("KeySpec") == "AES_128" else 32)
        plain = self._world.random.randbytes(size)
        answer = {"CiphertextBlob": _sealed(key, plain, params.get("EncryptionContext")), "KeyId": key.arn}
        return answer if context.operation.endswith("WithoutPlaintext") else {**answer, "Plaintext": plain}

    def _decrypt(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        key = self._key_of(context, params["CiphertextBlob"])
        self._usable(key, "Decrypt")
        opened = _opened(params["CiphertextBlob"])
        given = params.get("EncryptionContext" if operation == "Decrypt" else "SourceEncryptionContext") or {}
        if opened["context"] != given:
            raise AwsError("InvalidCiphertextException", "")
        plain = base64.b64decode(opened["plain"])
        if operation == "Decrypt":
            return {"KeyId": key.arn, "Plaintext": plain, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
        target = self.find(context.caller, params["DestinationKeyId"], context.region, operation)
        self._usable(target, "ReEncryptTo")
        blob = _sealed(target, plain, params.get("DestinationEncryptionContext"))
        return {"CiphertextBlob": blob, "SourceKeyId": key.arn, "KeyId": target.arn}


def _flaw_text(flaw: PolicyFlaw) -> str:
    """Why a policy is refused, in the words of KMS."""
    stranger = str(flaw).startswith("Invalid principal")
    return "Policy contains a statement with one or more invalid principals." if stranger else str(flaw)


def _conditions(
    caller: Caller, key: Key, encryption_context: Mapping[str, str], via_service: str
) -> dict[str, ConditionValue]:
    """The condition keys of one use of a key."""
    conditions: dict[str, ConditionValue] = {"kms:CallerAccount": caller.account_id}
    if via_service:
        conditions["kms:ViaService"] = partitions.via_service(via_service, key.region)
        conditions["kms:GrantIsForAWSResource"] = "true"
    if encryption_context:
        conditions["kms:EncryptionContextKeys"] = list(encryption_context)
    for name, value in encryption_context.items():
        conditions[f"kms:EncryptionContext:{name}"] = value
    return conditions


def _foreign_refusal(caller: Caller, operation: str) -> str:
    return (
        f"User: {caller.arn} is not authorized to perform: kms:{operation} on this resource because the resource does "
        "not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly "
        "denies access"
    )


def _listing(name: str, items: list[Any], params: dict[str, Any], size: int) -> dict[str, Any]:
    shown, token = page(items, params.get("Limit") or size, params.get("Marker"), code="InvalidMarkerException")
    return {name: shown, "Truncated": token is not None, **({"NextMarker": token} if token else {})}


def _sealed(key: Key, plain: bytes, encryption_context: Mapping[str, str] | None) -> bytes:
    content = {"key": key.arn, "context": dict(encryption_context or {}), "plain": base64.b64encode(plain).decode()}
    return base64.b64encode(json.dumps(content).encode())


def _opened(ciphertext: bytes) -> dict[str, Any]:
    try:
        opened: dict[str, Any] = json.loads(base64.b64decode(ciphertext, validate=True))
        return opened
    except ValueError:
        raise AwsError("InvalidCiphertextException", "") from None
