# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Application Auto Scaling for tables and indexes: targets, target tracking policies, scheduled actions.

It holds all of a table's auto scaling: DescribeTable never hints at it, and it outlives its table. Capacity moves only
where a bound is passed at registration; loads are not tracked, and scheduled actions do not run.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lab.behaviours import Behaviour
from lab.caller import Caller
from lab.dynamodb.service import DynamoDbService
from lab.errors import AwsError
from lab.messages import AuthorizationRequest
from lab.partitions import partition_of
from lab.rules import Rule, rule
from lab.services.managed_policies import AUTO_SCALING, LINKED_ROLES, add_linked_role, linked_path
from lab.services.paging import page
from lab.world import Context, World

TARGET_MUST_EXIST = rule(
    "autoscaling-target-must-exist",
    service="application-autoscaling",
    says="RegisterScalableTarget for an absent index is ValidationException `DynamoDB index does not exist: "
    "<resource>`, for an absent table likewise (inferred)",
    fact="measured/policy-autoscaling-replicas 3 [TABLE-322]",
    test="test_application_autoscaling.py::test_target_must_exist",
)
NEW_TARGET_NEEDS_BOUNDS = rule(
    "autoscaling-new-target-needs-bounds",
    service="application-autoscaling",
    says="A new target needs MinCapacity and MaxCapacity, and Min not above Max: ValidationException",
    fact="AWS API reference application-autoscaling:RegisterScalableTarget",
    test="test_application_autoscaling.py::test_bounds_of_a_target",
)
POLICY_NEEDS_TARGET = rule(
    "autoscaling-policy-needs-target",
    service="application-autoscaling",
    says="A policy or scheduled action without its registered target is ObjectNotFoundException",
    fact="AWS API reference application-autoscaling:PutScalingPolicy",
    test="test_application_autoscaling.py::test_policy_needs_its_target",
)
TARGET_TRACKING_ONLY = rule(
    "autoscaling-target-tracking-only",
    service="application-autoscaling",
    says="Tables take target tracking policies only: step scaling is AccessDeniedException, a custom metric "
    "ValidationException",
    fact="measured/policy-autoscaling-replicas 3 [TABLE-196]",
    test="test_application_autoscaling.py::test_target_tracking_only",
)
TARGET_VALUE_RANGE = rule(
    "autoscaling-target-value",
    service="application-autoscaling",
    says="A target value is between 10 and 90 per cent",
    fact="measured/policy-autoscaling-replicas 3 [TABLE-241], for the DynamoDB facade",
    test="test_application_autoscaling.py::test_target_tracking_only",
    confirmed=False,
)
ONE_POLICY = rule(
    "autoscaling-one-policy",
    service="application-autoscaling",
    says="A policy of the same name is updated in place; a second one for the same metric is refused",
    fact="measured/policy-autoscaling-replicas 3 [TABLE-240] says replaced for the DynamoDB facade; the API reference "
    "says refused",
    test="test_application_autoscaling.py::test_policy_is_updated_by_its_name",
    confirmed=False,
)
BOUNDS_ACT_AT_REGISTRATION = rule(
    "autoscaling-bounds-act-at-registration",
    service="application-autoscaling",
    says="A Min above the current capacity makes Auto Scaling update the table within seconds of the registration; a "
    "capacity set below Min later stays",
    fact="measured/policy-autoscaling-replicas 3 [TABLE-314, TABLE-195, TABLE-315]",
    test="test_application_autoscaling.py::test_bounds_act_at_registration",
)
TARGETS_OUTLIVE_TABLES = rule(
    "autoscaling-targets-outlive-tables",
    service="application-autoscaling",
    says="DeleteTable leaves targets and policies behind, and a table of the same name finds them",
    fact="measured/policy-autoscaling-replicas 3 [TABLE-292]",
    test="test_application_autoscaling.py::test_targets_outlive_their_table",
)
SERVICE_LINKED_ROLE = rule(
    "autoscaling-service-linked-role",
    service="application-autoscaling",
    says="Whatever role is sent, the target works with the service-linked role of its account",
    fact="measured/policy-autoscaling-replicas 3 [TABLE-237]",
    test="test_application_autoscaling.py::test_target_shows_the_service_linked_role",
)

ROLE_APPEARS = rule(
    "autoscaling-role-appears",
    service="application-autoscaling",
    says="The first target of an account makes AWSServiceRoleForApplicationAutoScaling_DynamoDBTable; that its caller "
    "needs iam:CreateServiceLinkedRole is documented, not measured: behaviour autoscaling.role_made_by",
    fact="measured/more 12 [TABLE-191]; Application Auto Scaling user guide, Service-linked roles",
    test="test_application_autoscaling.py::test_first_target_makes_the_role",
    confirmed=False,
)

ROLE_MADE_BY = "autoscaling.role_made_by"
BOUNDS_SECONDS = 4.0
_RETRY_SECONDS = 5.0
_RESOURCE = re.compile(r"table/([a-zA-Z0-9_.-]{3,255})(?:/index/([a-zA-Z0-9_.-]{3,255}))?")
_SCHEDULE = re.compile(r"at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)|rate\(\d+ (minute|hour|day)s?\)|cron\((\S+ ){5}\S+\)")
_PAGE_OBJECTS = 50


class TargetKey(NamedTuple):
    """What names a target within an account and Region."""

    account_id: str
    region: str
    resource_id: str
    dimension: str

    @property
    def table_and_index(self) -> tuple[str, str]:
        """Names of the table and of its index (empty for the table itself)."""
        match = _RESOURCE.fullmatch(self.resource_id)
        return (match[1], match[2] or "") if match else ("", "")

    @property
    def capacity(self) -> str:
        """``ReadCapacityUnits`` or ``WriteCapacityUnits``."""
        return self.dimension.rpartition(":")[2]

    def shape(self) -> dict[str, Any]:
        """The members that every answer about the target holds."""
        return {
            "ServiceNamespace": "dynamodb",
            "ResourceId": self.resource_id,
            "ScalableDimension": self.dimension,
        }


@dataclass
class Target:
    """A scalable target; ``policies`` and ``actions`` hold what the API shows, by name."""

    arn: str
    created_at: float
    minimum: int
    maximum: int
    suspended: dict[str, bool]
    tags: dict[str, str] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    actions: dict[str, dict[str, Any]] = field(default_factory=dict)


class ApplicationAutoScalingService:
    """The service behind the gate."""

    name = "application-autoscaling"
    locks_itself: frozenset[str] = frozenset()

    def __init__(self, world: World) -> None:
        self._world = world
        world.timings.define("autoscaling.bounds", BOUNDS_SECONDS)
        world.behaviours.define([Behaviour(ROLE_MADE_BY, ("caller", "service"))])
        self._targets: dict[TargetKey, Target] = {}
        self._handlers: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {
            "RegisterScalableTarget": self._register,
            "DeregisterScalableTarget": self._deregister,
            "DescribeScalableTargets": self._describe_targets,
            "PutScalingPolicy": self._put_policy,
            "DeleteScalingPolicy": self._delete_policy,
            "DescribeScalingPolicies": self._describe_policies,
            "PutScheduledAction": self._put_action,
            "DeleteScheduledAction": self._delete_action,
            "DescribeScheduledActions": self._describe_actions,
            "DescribeScalingActivities": lambda context, params: {"ScalingActivities": []},
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListTagsForResource": self._list_tags,
        }

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """The caller's policies, on the target's ARN where it exists."""
        target = self._targets.get(_key(context, params)) if "ScalableDimension" in params else None
        arn = target.arn if target else params.get("ResourceARN") or context.arn("scalable-target/*")
        return [AuthorizationRequest(f"application-autoscaling:{operation}", arn)]

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Do ``operation``; parameters and answer as boto3's."""
        handler = self._handlers.get(operation)
        if handler is None:
            raise _invalid(f"The lab's Application Auto Scaling has no {operation}.")
        if params.get("ServiceNamespace", "dynamodb") != "dynamodb":
            raise _invalid("Unsupported service namespace, resource type or scalable dimension")
        return handler(context, params)

    # Targets

    def _register(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        key = _key(context, params)
        self._check_resource(key)
        target = self._targets.get(key)
        minimum = params.get("MinCapacity", target.minimum if target else None)
        maximum = params.get("MaxCapacity", target.maximum if target else None)
        if minimum is None or maximum is None:
            text = "Both MinCapacity and MaxCapacity are required when registering a new scalable target"
            raise NEW_TARGET_NEEDS_BOUNDS.error("ValidationException", text)
        if minimum > maximum or minimum < 1:
            text = f"Maximum capacity cannot be less than minimum capacity: min {minimum}, max {maximum}"
            raise NEW_TARGET_NEEDS_BOUNDS.error("ValidationException", text)
        if target is None:
            self._link_role(context)
            identifier = f"{self._world.random.getrandbits(128):032x}"
            target = Target(
                context.arn(f"scalable-target/{identifier}"),
                self._world.clock.now(),
                minimum,
                maximum,
                {},
                dict(params.get("Tags") or {}),
            )
            self._targets[key] = target
        target.minimum, target.maximum = minimum, maximum
        target.suspended |= params.get("SuspendedState") or {}
        delay = self._world.timings.seconds("autoscaling.bounds")
        self._world.schedule(delay, lambda: self._enforce_bounds(key, target))
        return {"ScalableTargetARN": target.arn}

    def _link_role(self, context: Context) -> None:
        """Make the service-linked role where the account has none, as the caller or as the service itself."""
        name, _ = LINKED_ROLES[AUTO_SCALING]
        if (context.account_id, name) in self._world.identity.roles:
            return
        if self._world.behaviours[ROLE_MADE_BY] == "caller":
            needed = AuthorizationRequest(
                "iam:CreateServiceLinkedRole",
                _service_linked_role(context.account_id, context.region),
                conditions={"iam:AWSServiceName": AUTO_SCALING},
                refusal=lambda text: ROLE_APPEARS.error("AccessDeniedException", text),
            )
            self._world.require(context.caller, needed, context.region)
        add_linked_role(self._world.identity, context.account_id, AUTO_SCALING)

    def _check_resource(self, key: TargetKey) -> None:
        name, index = key.table_and_index
        kind = "index" if index else "table"
        capacities = ("ReadCapacityUnits", "WriteCapacityUnits")
        if not name or key.dimension not in [f"dynamodb:{kind}:{each}" for each in capacities]:
            raise _invalid("Unsupported service namespace, resource type or scalable dimension")
        description = self._table(key)
        indexes = [each["IndexName"] for each in (description or {}).get("GlobalSecondaryIndexes", ())]
        if description is None or (index and index not in indexes):
            text = f"DynamoDB {kind} does not exist: {key.resource_id}"
            raise TARGET_MUST_EXIST.error("ValidationException", text)

    def _table(self, key: TargetKey) -> dict[str, Any] | None:
        """What DescribeTable says about the target's table; None when there is none."""
        try:
            return self._dynamodb(key, "DescribeTable", {})["Table"]  # type: ignore[no-any-return]
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                return None
            raise

    def _dynamodb(self, key: TargetKey, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Call DynamoDB as the service-linked role does; its permissions are not checked."""
        role = _service_linked_role(key.account_id, key.region)
        session = (
            f"arn:{partition_of(key.region)}:sts::{key.account_id}:assumed-role/{role.rpartition('/')[2]}/autoscaling"
        )
        caller = Caller(key.account_id, session, "assumed_role", role, session_name="autoscaling")
        context = Context(self._world, caller, key.region, "dynamodb", operation, str(uuid.uuid4()))
        dynamodb = self._world.part(DynamoDbService)
        answer = dynamodb.handle(context, operation, {"TableName": key.table_and_index[0], **params})
        assert isinstance(answer, dict)
        return answer

    def _enforce_bounds(self, key: TargetKey, target: Target) -> None:
        """Bring a capacity that is outside its bounds to the next bound."""
        table = self._table(key)
        if self._targets.get(key) is not target or table is None:
            return
        _, index = key.table_and_index
        holders = table.get("GlobalSecondaryIndexes", ()) if index else [table]
        matching = [each for each in holders if each.get("IndexName", "") == index]
        throughput = matching[0].get("ProvisionedThroughput", {}) if matching else {}
        current = throughput.get(key.capacity, 0)
        bounded = min(max(current, target.minimum), target.maximum)
        if not current or bounded == current:
            return
        capacities = {name: throughput[name] for name in ("ReadCapacityUnits", "WriteCapacityUnits")}
        change: dict[str, Any] = {"ProvisionedThroughput": {**capacities, key.capacity: bounded}}
        if index:
            change = {"GlobalSecondaryIndexUpdates": [{"Update": {"IndexName": index, **change}}]}
        try:
            self._dynamodb(key, "UpdateTable", change)
        except AwsError as error:
            if error.code not in ("ResourceInUseException", "ThrottlingException"):
                raise
            self._world.schedule(_RETRY_SECONDS * self._world.timings.scale, lambda: self._enforce_bounds(key, target))

    def _target(self, context: Context, params: dict[str, Any], refusing: Rule = POLICY_NEEDS_TARGET) -> Target:
        key = _key(context, params)
        target = self._targets.get(key)
        if target is None:
            raise refusing.error(
                "ObjectNotFoundException",
                f"No scalable target registered for service namespace: dynamodb, resource ID: {key.resource_id}, "
                f"scalable dimension: {key.dimension}",
            )
        return target

    def _deregister(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        self._target(context, params)
        del self._targets[_key(context, params)]
        return {}

    def _describe_targets(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        resource_ids = params.get("ResourceIds") or ()
        shown = [
            {
                **key.shape(),
                "MinCapacity": target.minimum,
                "MaxCapacity": target.maximum,
                "RoleARN": _service_linked_role(key.account_id, key.region),
                "CreationTime": target.created_at,
                "SuspendedState": {
                    "DynamicScalingInSuspended": False,
                    "DynamicScalingOutSuspended": False,
                    "ScheduledScalingSuspended": False,
                    **target.suspended,
                },
                "ScalableTargetARN": target.arn,
            }
            for key, target in self._of(context, params)
            if not resource_ids or key.resource_id in resource_ids
        ]
        return _listing("ScalableTargets", shown, params)

    def _of(self, context: Context, params: dict[str, Any]) -> list[tuple[TargetKey, Target]]:
        """The caller's targets that a Describe call names, by resource and dimension."""
        place = (context.account_id, context.region)
        return sorted(
            (key, target)
            for key, target in self._targets.items()
            if key[:2] == place
            and params.get("ResourceId") in (None, key.resource_id)
            and params.get("ScalableDimension") in (None, key.dimension)
        )

    # Policies

    def _put_policy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        key, name = _key(context, params), params["PolicyName"]
        target = self._target(context, params)
        kept = target.policies.get(name)
        kind = params.get("PolicyType") or (kept or {}).get("PolicyType") or "StepScaling"
        if kind != "TargetTrackingScaling":
            text = f"User: {context.caller.arn} is not authorized to use {kind} with dynamodb"
            raise TARGET_TRACKING_ONLY.error("AccessDeniedException", text)
        tracking = params.get("TargetTrackingScalingPolicyConfiguration") or {}
        metric = (tracking.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")
        direction = key.capacity.removesuffix("CapacityUnits")
        if metric != f"DynamoDB{direction}CapacityUtilization":
            text = f"The metric specification is not supported for {key.dimension}"
            raise TARGET_TRACKING_ONLY.error("ValidationException", text)
        if not 10 <= tracking.get("TargetValue", 0) <= 90:
            raise TARGET_VALUE_RANGE.error("ValidationException", "Target value must be between 10 and 90")
        if kept is None and target.policies:
            text = "Only one TargetTrackingScaling policy for a given metric specification is allowed."
            raise ONE_POLICY.error("ValidationException", text)
        if kept is None:
            kept = self._new_policy(context, key, name)
            target.policies[name] = kept
        kept["TargetTrackingScalingPolicyConfiguration"] = tracking
        return {"PolicyARN": kept["PolicyARN"], "Alarms": kept["Alarms"]}

    def _new_policy(self, context: Context, key: TargetKey, name: str) -> dict[str, Any]:
        identifier = self._identifier()
        alarms = [f"TargetTracking-{key.resource_id}-{kind}-{self._identifier()}" for kind in _ALARMS]
        return {
            "PolicyARN": f"arn:{partition_of(key.region)}:autoscaling:{key.region}:{key.account_id}:"
            f"scalingPolicy:{identifier}:resource/dynamodb/{key.resource_id}:policyName/{name}",
            "PolicyName": name,
            **key.shape(),
            "PolicyType": "TargetTrackingScaling",
            "Alarms": [
                {"AlarmName": alarm, "AlarmARN": context.arn(f"alarm:{alarm}", "cloudwatch")} for alarm in alarms
            ],
            "CreationTime": self._world.clock.now(),
        }

    def _identifier(self) -> str:
        return str(uuid.UUID(int=self._world.random.getrandbits(128), version=4))

    def _delete_policy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        key, name = _key(context, params), params["PolicyName"]
        target = self._targets.get(key)
        if target is None or name not in target.policies:
            text = f"No scaling policy found for service namespace: dynamodb, resource ID: {key.resource_id}, "
            text += f"scalable dimension: {key.dimension}, policy name: {name}"
            raise POLICY_NEEDS_TARGET.error("ObjectNotFoundException", text)
        del target.policies[name]
        return {}

    def _describe_policies(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        names = params.get("PolicyNames") or ()
        shown = [
            policy
            for _, target in self._of(context, params)
            for policy in target.policies.values()
            if not names or policy["PolicyName"] in names
        ]
        return _listing("ScalingPolicies", shown, params)

    # Scheduled actions

    def _put_action(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        key, name = _key(context, params), params["ScheduledActionName"]
        target = self._target(context, params)
        kept = target.actions.get(name)
        schedule = params.get("Schedule") or (kept or {}).get("Schedule", "")
        if not _SCHEDULE.fullmatch(schedule):
            raise _invalid(f"Schedule expression is not valid: {schedule}")
        if kept is None:
            arn = (
                f"arn:{partition_of(key.region)}:autoscaling:{key.region}:{key.account_id}:scheduledAction:{self._identifier()}:"
                f"resource/dynamodb/{key.resource_id}:scheduledActionName/{name}"
            )
            kept = {
                "ScheduledActionName": name,
                "ScheduledActionARN": arn,
                **key.shape(),
                "CreationTime": self._world.clock.now(),
            }
        members = ("Schedule", "Timezone", "StartTime", "EndTime", "ScalableTargetAction")
        target.actions[name] = {**kept, **{each: params[each] for each in members if each in params}}
        return {}

    def _delete_action(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        target = self._targets.get(_key(context, params))
        if target is None or params["ScheduledActionName"] not in target.actions:
            text = f"No scheduled action found with name {params['ScheduledActionName']}"
            raise POLICY_NEEDS_TARGET.error("ObjectNotFoundException", text)
        del target.actions[params["ScheduledActionName"]]
        return {}

    def _describe_actions(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        names = params.get("ScheduledActionNames") or ()
        shown = [
            action
            for _, target in self._of(context, params)
            for action in target.actions.values()
            if not names or action["ScheduledActionName"] in names
        ]
        return _listing("ScheduledActions", shown, params)

    # Tags

    def _by_arn(self, arn: str) -> Target:
        target = next((target for target in self._targets.values() if target.arn == arn), None)
        if target is None:
            raise AwsError("ResourceNotFoundException", f"The resource {arn} was not found", ResourceName=arn)
        return target

    def _tag(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        self._by_arn(params["ResourceARN"]).tags.update(params["Tags"])
        return {}

    def _untag(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        for name in params["TagKeys"]:
            self._by_arn(params["ResourceARN"]).tags.pop(name, None)
        return {}

    def _list_tags(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": dict(self._by_arn(params["ResourceARN"]).tags)}


_ALARMS = ("AlarmHigh", "AlarmLow", "ProvisionedCapacityHigh", "ProvisionedCapacityLow")


def _key(context: Context, params: dict[str, Any]) -> TargetKey:
    return TargetKey(
        context.account_id, context.region, params.get("ResourceId", ""), params.get("ScalableDimension", "")
    )


def _service_linked_role(account_id: str, region: str) -> str:
    return (
        f"arn:{partition_of(region)}:iam::{account_id}:role{linked_path(AUTO_SCALING)}{LINKED_ROLES[AUTO_SCALING][0]}"
    )


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def _listing(name: str, items: list[dict[str, Any]], params: dict[str, Any]) -> dict[str, Any]:
    shown, token = page(items, params.get("MaxResults") or _PAGE_OBJECTS, params.get("NextToken"))
    return {name: shown, **({"NextToken": token} if token else {})}
