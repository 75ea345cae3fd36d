# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Resource policies of tables and streams: written, read late, enforced later still."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from lab import policy
from lab.dynamodb import limits
from lab.dynamodb.address import TABLE_ARN
from lab.dynamodb.model import PolicySlot, Shape, Table
from lab.dynamodb.registry import registry
from lab.dynamodb.words import belief, in_use, invalid, validation
from lab.errors import AwsError
from lab.messages import AuthorizationRequest
from lab.partitions import partition_of
from lab.protocol import service_model
from lab.rules import Rule
from lab.world import Context

ARN = belief(
    "test_resource_policy", "policy-arn",
    "The ARN is of a table or stream of the caller's account and Region, each other kind refused in its own words",
    "measured/policy-autoscaling-replicas 1 [TABLE-212]",
)  # fmt: skip
DOCUMENT = belief(
    "test_resource_policy", "policy-document",
    "A document is at most 20480 bytes, sound, with unique Sids, existing principals and a Resource in every statement",
    "measured/policy-autoscaling-replicas 1 [TABLE-211, TABLE-352]",
)  # fmt: skip
ACTIONS = belief(
    "test_resource_policy", "policy-action-names",
    "A table's policy names actions of DynamoDB, a stream's those of streams; which of them is a guess",
    "measured/policy-autoscaling-replicas 1 [TABLE-211]; names: AWS service authorization reference, DynamoDB",
    confirmed=False,
)  # fmt: skip
PUBLIC = belief(
    "test_resource_policy", "policy-not-public",
    "An Allow to everybody is refused, a Deny is not",
    "measured/policy-autoscaling-replicas 1 [TABLE-210, TABLE-356]",
)  # fmt: skip
READ_LATE = belief(
    "test_resource_policy", "policy-read-late",
    "GetResourcePolicy shows the old document, or none, for one to two seconds after a change",
    "measured/policy-autoscaling-replicas 1 [TABLE-248, TABLE-346]",
)  # fmt: skip
SAME_IS_FREE = belief(
    "test_resource_policy", "policy-same-is-free",
    "A document equal in canonical form is 200 with the same revision, inside the cooldown too",
    "measured/policy-autoscaling-replicas 1 [TABLE-207]",
)  # fmt: skip
REVISION = belief(
    "test_resource_policy", "policy-expected-revision",
    "A stale ExpectedRevisionId is PolicyNotFoundException, before the cooldown is looked at",
    "measured/policy-autoscaling-replicas 1 [TABLE-209, TABLE-347]",
)  # fmt: skip
COOLDOWN = belief(
    "test_resource_policy", "policy-cooldown",
    "After a change another one is in use for a second or two, then throttled until 15 seconds have passed",
    "measured/policy-autoscaling-replicas 1 [TABLE-206, TABLE-445]",
)  # fmt: skip
CANONICAL = belief(
    "test_resource_policy", "policy-canonical-form",
    "Documents read back minified: lists of one as text, accounts as root ARNs, doubled principals once, Version given",
    "measured/policy-autoscaling-replicas 1 [TABLE-351, TABLE-354]",
)  # fmt: skip
LOCK_OUT = belief(
    "test_resource_policy", "policy-lock-out",
    "A policy that denies its author PutResourcePolicy needs ConfirmRemoveSelfResourceAccess",
    "measured/policy-autoscaling-replicas 1 [TABLE-210]",
)  # fmt: skip
ENFORCED_LATE = belief(
    "test_resource_policy", "policy-enforced-late",
    "A table's first policy binds within seconds, every later change about four minutes after it can be read",
    "measured/policy-autoscaling-replicas 1 [TABLE-324, TABLE-431]",
)  # fmt: skip
NONE = belief(
    "test_resource_policy", "policy-none",
    "Without a policy Get is PolicyNotFoundException and Delete 200 with an empty answer",
    "measured/policy-autoscaling-replicas 1 [TABLE-205]",
)  # fmt: skip
DELETING = belief(
    "test_resource_policy", "policy-while-deleting",
    "While the table is DELETING the policy is still read, changes are in use, then it is not found",
    "measured/policy-autoscaling-replicas 1 [TABLE-236, TABLE-374]",
)  # fmt: skip

LARGEST_BYTES = 20480
NO_POLICY = "NO_POLICY"
_STREAM_ACTIONS = frozenset({"describestream", "getrecords", "getsharditerator"})
# AWS service authorization reference, DynamoDB.
_OPERATIONS_WITHOUT_ACTION = frozenset({
    "BatchExecuteStatement", "ExecuteStatement", "ExecuteTransaction", "TransactGetItems", "TransactWriteItems",
})  # fmt: skip
_PARTIAL_ACTIONS = frozenset({
    "AssociateTableReplica", "ConditionCheckItem", "CreateTableReplica", "DeleteTableReplica", "PartiQLDelete",
    "PartiQLInsert", "PartiQLSelect", "PartiQLUpdate", "ReadDataForReplication", "ReplicateSettings",
    "RestoreTableFromAwsBackup", "StartAwsBackupJob", "WriteDataForReplication",
})  # fmt: skip
_ACCOUNT = re.compile(r"\d{12}")
_MEMBERS = (
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"
)  # fmt: skip
_UNBOUNDED = (
    "Resource-based policy grants unbounded access in one or more elements. Please revise the policy to ensure "
    "least-privilege form of access"
)


# Documents


def canonical(document: str, partition: str) -> Shape:
    """A document as DynamoDB compares it in ``partition``; ValueError where it is not JSON of the right shape."""
    content = json.loads(document)
    if not isinstance(content, dict):
        raise ValueError("not an object")
    statements = content.get("Statement", [])
    made: Shape = {"Version": content["Version"]} if "Version" in content else {}
    made |= {"Id": content["Id"]} if "Id" in content else {}
    made["Statement"] = [_canonical_statement(each, partition) for each in _listed(statements)]
    return made


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _canonical_statement(statement: Shape, partition: str) -> Shape:
    made = {name: statement[name] for name in _MEMBERS if name in statement}
    if isinstance(made.get("Effect"), str):
        made["Effect"] = made["Effect"].capitalize()
    for name in ("Action", "NotAction", "Resource", "NotResource"):
        if name in made:
            made[name] = _single(made[name])
    for name in ("Principal", "NotPrincipal"):
        if isinstance(made.get(name), dict):
            made[name] = {kind: _single(_principals(value, partition)) for kind, value in made[name].items()}
    if "Condition" in made:
        made["Condition"] = {
            operator: {key: _single(value) for key, value in keys.items()}
            for operator, keys in made["Condition"].items()
        }
    return made


def _principals(value: Any, partition: str) -> list[Any]:
    roots = (f"arn:{partition}:iam::{each}:root" if _ACCOUNT.fullmatch(each) else each for each in _listed(value))
    return list(dict.fromkeys(roots))


def check_document(context: Context, document: str, arn: str) -> Shape:
    """The canonical form of a policy for the table or stream ``arn``; ValidationException where AWS refuses it."""
    if len(document.encode()) > LARGEST_BYTES:
        raise invalid(DOCUMENT, f"Maximum policy size of {LARGEST_BYTES} bytes exceeded")
    try:
        content = canonical(document, arn.split(":")[1])
        statements = content["Statement"]
    except (ValueError, AttributeError, TypeError):
        raise _flaw("This policy contains invalid Json") from None
    if not statements:
        raise _flaw("Could not parse the policy: Statement is empty!")
    sids = [each["Sid"] for each in statements if "Sid" in each]
    if len(set(sids)) != len(sids):
        raise _flaw("The Statement Ids in the policy are not unique")
    for statement in statements:
        _check_statement(statement, arn)
    try:
        parsed = policy.parse(content)
    except AwsError as error:
        raise _flaw(error.message) from None
    for statement in parsed:
        for kind, value in statement.principals:
            if kind == "AWS" and value != "*" and not context.world.identity.principal_exists(value):
                raise invalid(DOCUMENT, "Invalid principal in policy document.")
    return content


def _flaw(text: str, broken: Rule = DOCUMENT) -> AwsError:
    return invalid(broken, f"Invalid policy document: {text}")


def _check_statement(statement: Shape, arn: str) -> None:
    if "Resource" not in statement and "NotResource" not in statement:
        raise _flaw("Missing required field Resource")
    principal = statement.get("Principal", statement.get("NotPrincipal"))
    if principal is None:
        raise _flaw("Missing required field Principal")
    if isinstance(principal, str) and principal != "*":
        raise _flaw("Syntax error at position (1,94)")
    everybody = principal == "*" or "*" in _listed(principal.get("AWS", []))
    if statement.get("Effect") == "Allow" and everybody and "Condition" not in statement:
        raise validation(PUBLIC, _UNBOUNDED)
    is_stream = "/stream/" in arn
    wrong = [action for action in _listed(statement.get("Action", [])) if not _action_fits(action, is_stream)]
    if wrong:
        names = ", ".join(f'"{action}"' for action in wrong)
        raise _flaw(f"The following action names are invalid: {names}", ACTIONS)
    for resource in _listed(statement.get("Resource", [])):
        if not is_stream and "/stream/" in resource:
            relative = resource.split(":", 5)[-1]
            raise _flaw(f'The relative-id "{relative}" is invalid for ARN "{resource}"')


def _action_fits(action: str, is_stream: bool) -> bool:
    if action == "*" or "*" in action:
        return action == "*" or action.startswith("dynamodb:")
    prefix, _, name = action.partition(":")
    return prefix == "dynamodb" and name.lower() in (_STREAM_ACTIONS if is_stream else _table_actions())


@lru_cache(maxsize=1)
def _table_actions() -> frozenset[str]:
    """The actions of DynamoDB in lower case: its operations and those that stand for parts of operations."""
    model = service_model("dynamodb")
    assert model is not None
    names = (set(model.operation_names) - _OPERATIONS_WITHOUT_ACTION) | _PARTIAL_ACTIONS
    return frozenset(name.lower() for name in names)


def _text(content: Shape) -> str:
    return json.dumps({"Version": "2008-10-17", **content}, separators=(",", ":"), ensure_ascii=False)


# Where policies live


def _target(context: Context, arn: str) -> Table:
    """The table whose policy, or whose stream's policy, ``arn`` means."""
    if not arn.startswith("arn:"):
        raise invalid(ARN, f"ARNs must start with 'arn:': {arn}")
    match = TABLE_ARN.match(arn)
    if match is None:
        raise invalid(ARN, f"Provided Arn is not a DynamoDB resource arn: {arn}")
    if match["account"] != context.account_id:
        raise validation(ARN, "This action is only supported by accounts that match the resource owner\u2019s account.")
    if match["region"] != context.region or match["partition"] != partition_of(context.region):
        raise invalid(ARN, f"Invalid resource Arn: {arn}")
    rest = arn[match.end() :]
    if rest.startswith("/index"):
        raise invalid(
            ARN, f"Invalid resource arn provided, only table or stream is accepted. Provided resource arn: {arn}"
        )
    if rest and not rest.startswith("/stream/"):
        raise invalid(ARN, f"Provided Arn is not a DynamoDB resource arn: {arn}")
    table = registry(context).require_known(context, arn, "policies")
    label = rest.removeprefix("/stream/")
    if label and label not in {stream.label for stream in table.streams}:
        raise ARN.error(
            "ResourceNotFoundException",
            f"Requested resource not found: Stream: {label} not found for Table: {table.name}",
        )
    return table


def _slot_name(table: Table, arn: str) -> str:
    label = arn.partition("/stream/")[2]
    return f"stream {label}" if label else f"table {table.name}"


def is_pending(context: Context, table: Table) -> bool:
    """Whether a write of the table's policy is so fresh that DeleteTable waits for it."""
    slot = table.policies.get(table.arn)
    return slot is not None and _pending(context, slot)


def _pending(context: Context, slot: PolicySlot) -> bool:
    return context.world.clock.now() < slot.changed_at + context.world.timings.seconds("policy.pending")


def attach(context: Context, table: Table, document: str) -> None:
    """Give a table that is being created the checked ``document``."""
    content = context.world.identity.holding(canonical(document, partition_of(table.region)))
    _change(context, table.policies.setdefault(table.arn, PolicySlot()), content)


def _change(context: Context, slot: PolicySlot, content: Shape | None) -> None:
    world = context.world
    now = world.clock.now()
    first, slot.ever_written = not slot.ever_written, True
    slot.changed_at, slot.revision = now, str(int(now * 1000))
    slot.document = None if content is None else json.dumps(content)
    document, revision = (None if content is None else _text(content)), slot.revision

    def show() -> None:
        slot.readable_document, slot.readable_revision = document, revision

    def enforce() -> None:
        slot.enforced = document

    world.schedule(world.timings.seconds("policy.readable"), show)
    world.schedule(world.timings.seconds("policy.enforced_first" if first else "policy.enforced"), enforce)


def _refuse_now(context: Context, table: Table, slot: PolicySlot, arn: str) -> None:
    if table.deleting_at is not None:
        raise in_use(DELETING, f"Table is being deleted: {table.name}")
    if _pending(context, slot):
        raise in_use(COOLDOWN, f"Table is pending previous resource-based policy update: {table.name}")
    free_at = slot.changed_at + context.world.timings.seconds("policy.cooldown")
    if context.world.clock.now() < free_at:
        raise COOLDOWN.error(
            "ThrottlingException",
            f"Resource-based policy for {_slot_name(table, arn)} modified within the previous 15000 milliseconds. "
            f"Please try again after {limits.moment(free_at)}.",
        )


def _check_revision(slot: PolicySlot, table: Table, params: Shape) -> None:
    expected = params.get("ExpectedRevisionId")
    current = slot.revision if slot.document is not None else NO_POLICY
    if expected in (None, current):
        return
    reason = (
        f"table {table.name} has no associated policy"
        if slot.document is None
        else f"the policy associated to target table {table.name} did not match"
    )
    raise REVISION.error(
        "PolicyNotFoundException",
        f"Resource-based policy not found for the provided ResourceArn: Requested update for policy with revision id "
        f"{expected}, but {reason}",
    )


# Operations


def put_resource_policy(context: Context, params: Shape) -> Shape:
    """PutResourcePolicy."""
    arn = params["ResourceArn"]
    table = _target(context, arn)
    slot = table.policies.get(arn, PolicySlot())
    _check_revision(slot, table, params)
    content = check_document(context, params["Policy"], arn)
    content = context.world.identity.holding(content)
    if slot.document is not None and json.loads(slot.document) == content:
        return {"RevisionId": slot.revision}
    _refuse_now(context, table, slot, arn)
    if not params.get("ConfirmRemoveSelfResourceAccess"):
        needed = AuthorizationRequest("dynamodb:PutResourcePolicy", arn, _text(content), table.account)
        if context.world.decide(context.caller, needed, context.region).explicit:
            raise LOCK_OUT.error(
                "AccessDeniedException",
                "The new resource policy will not allow you to update the resource policy in the future.",
            )
    _change(context, table.policies.setdefault(arn, slot), content)
    return {"RevisionId": slot.revision}


def get_resource_policy(context: Context, params: Shape) -> Shape:
    """GetResourcePolicy: what can be read by now."""
    arn = params["ResourceArn"]
    slot = _target(context, arn).policies.get(arn, PolicySlot())
    if slot.readable_document is None:
        raise NONE.error(
            "PolicyNotFoundException", f"Resource-based policy not found for the provided ResourceArn: {arn}"
        )
    return {"Policy": context.world.identity.shown(slot.readable_document), "RevisionId": slot.readable_revision}


def delete_resource_policy(context: Context, params: Shape) -> Shape:
    """DeleteResourcePolicy."""
    arn = params["ResourceArn"]
    table = _target(context, arn)
    slot = table.policies.get(arn)
    _check_revision(slot or PolicySlot(), table, params)
    if slot is None:
        return {}
    if slot.document is None:
        return {"RevisionId": slot.revision}
    _refuse_now(context, table, slot, arn)
    removed = slot.revision
    _change(context, slot, None)
    return {"RevisionId": removed}


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "PutResourcePolicy": put_resource_policy,
    "GetResourcePolicy": get_resource_policy,
    "DeleteResourcePolicy": delete_resource_policy,
}
