# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Application Auto Scaling of a table and its indexes: targets, policies, scheduled actions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..change import Change, NotCarried
from .definition import Shape, json_safe
from .patient_calls import Caller, Steps, Target
from .setting import Setting, Settings, SettingsOptions, pages, part_of, what

SERVICE = "application-autoscaling"
_NAMESPACE = {"ServiceNamespace": "dynamodb"}
_TABLE = "{table}"
_SUSPENDABLE = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")


class AutoScaling(Setting):
    """Scalable targets with policies and scheduled actions, keyed ``table/ReadCapacityUnits`` or
    ``index/<name>/WriteCapacityUnits``.

    Registered once throughput is final: a minimum above the current value makes AWS call UpdateTable within seconds
    (measured/policy 3). The service-linked role is left to AWS. Not read for on-demand tables, where targets left
    behind have no effect.
    """

    name = "autoscaling"
    order = 70
    read_always = True

    def read(self, caller: Caller) -> Steps[Any]:
        """{key: {min, max, suspended, policies, scheduled}}.

        No call for on-demand, one for a provisioned table without targets, else two more for each scaled resource.
        """
        definition = caller.definition
        if definition.billing_mode != "PROVISIONED":
            return {}
        table = f"table/{definition.name}"
        resources = [table, *(f"{table}/index/{index.name}" for index in definition.global_secondary_indexes)]
        targets = yield from pages(
            caller, "describe_scalable_targets", "ScalableTargets", SERVICE, ResourceIds=resources, **_NAMESPACE
        )
        scaled: dict[str, Shape] = {_key(entry, table): _bounds(entry) for entry in targets}
        for resource in dict.fromkeys(entry["ResourceId"] for entry in targets):
            of_resource = {"ResourceId": resource, **_NAMESPACE}
            policies = yield from pages(caller, "describe_scaling_policies", "ScalingPolicies", SERVICE, **of_resource)
            actions = yield from pages(caller, "describe_scheduled_actions", "ScheduledActions", SERVICE, **of_resource)
            for kind, name, entries in (
                ("policies", "PolicyName", policies),
                ("scheduled", "ScheduledActionName", actions),
            ):
                for entry in entries:
                    if _key(entry, table) in scaled:
                        value = _policy(entry) if kind == "policies" else _action(entry)
                        scaled[_key(entry, table)][kind][_general(entry[name], definition.name)] = value
        return scaled

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterator[Change | NotCarried]:
        """A change for each dimension that differs; policies that are not target tracking are not carried.

        What the copy has and the source has not is named: targets and policies outlive their table, and may act on the
        next one of its name (measured/policy 3, TABLE-292).
        """
        have = destination.get(self.name) or {}
        for key, scaling in (source.get(self.name) or {}).items():
            for name, policy in scaling["policies"].items():
                if policy["type"] != "TargetTrackingScaling":
                    yield NotCarried(
                        what(self.name, key), f"the policy {name} is of type {policy['type']}, not target tracking"
                    )
            want = scaling | {
                "policies": {
                    name: policy
                    for name, policy in scaling["policies"].items()
                    if policy["type"] == "TargetTrackingScaling"
                }
            }
            if not _covers(have.get(key), want):
                yield Change(what(self.name, key), have.get(key), want)
        yield from self._only_there(source.get(self.name) or {}, have)

    def _only_there(self, source: Shape, destination: Shape) -> Iterator[NotCarried]:
        for key, there in destination.items():
            here = source.get(key)
            if here is None:
                having = f"a scalable target (from {there['min']} to {there['max']})"
            elif more := sorted(
                name for part in ("policies", "scheduled") for name in there[part] if name not in here[part]
            ):
                having = f"in its auto scaling {', '.join(more)}"
            else:
                continue
            yield NotCarried(
                what(self.name, key),
                f"the destination has {having}, which the source has not, and which may act on the copy: if an earlier"
                " table of its name left it behind, remove it",
            )

    def apply(self, target: Target, change: Change) -> Steps[None]:
        """Register the target, then its policies and scheduled actions; all three replace what is there."""
        yield from target.settle()
        resource, _slash, unit = part_of(change).rpartition("/")
        kind, _slash, index = resource.partition("/")
        dimension = {
            "ResourceId": f"table/{target.name}" + (f"/index/{index}" if index else ""),
            "ScalableDimension": f"dynamodb:{kind}:{unit}",
            **_NAMESPACE,
        }
        after = change.after
        suspended = {name: after["suspended"].get(name, False) for name in _SUSPENDABLE}
        yield from target.call(
            "register_scalable_target",
            service=SERVICE,
            **dimension,
            MinCapacity=after["min"],
            MaxCapacity=after["max"],
            SuspendedState=suspended,
        )
        for name, policy in after["policies"].items():
            yield from target.call(
                "put_scaling_policy",
                service=SERVICE,
                **dimension,
                PolicyName=name.replace(_TABLE, target.name),
                PolicyType=policy["type"],
                TargetTrackingScalingPolicyConfiguration=policy["tracking"],
            )
        for name, action in after["scheduled"].items():
            yield from target.call(
                "put_scheduled_action",
                service=SERVICE,
                **dimension,
                ScheduledActionName=name.replace(_TABLE, target.name),
                **action,
            )


def _key(entry: Shape, table: str) -> str:
    below = entry["ResourceId"].removeprefix(table).strip("/")
    return f"{below or 'table'}/{entry['ScalableDimension'].rpartition(':')[2]}"


def _general(name: str, table: str) -> str:
    """Default names hold the resource (measured/policy 3): the table's name in them becomes a placeholder."""
    return re.sub(rf"\btable/{re.escape(table)}(?=/|$)", f"table/{_TABLE}", name)


def _bounds(entry: Shape) -> Shape:
    suspended = {name: True for name in _SUSPENDABLE if entry.get("SuspendedState", {}).get(name)}
    bounds = {"min": entry["MinCapacity"], "max": entry["MaxCapacity"], "suspended": suspended}
    return bounds | {"policies": {}, "scheduled": {}}


def _policy(entry: Shape) -> Shape:
    configuration = entry.get("TargetTrackingScalingPolicyConfiguration", {})
    tracking = {name: value for name, value in configuration.items() if value not in (None, False)}
    return {"type": entry["PolicyType"], "tracking": tracking}


def _action(entry: Shape) -> Shape:
    members = ("Schedule", "Timezone", "StartTime", "EndTime", "ScalableTargetAction")
    action: Shape = json_safe({name: entry[name] for name in members if entry.get(name)})
    return action


def _covers(have: Shape | None, want: Shape) -> bool:
    """Whether ``have`` has the bounds of ``want`` and at least its policies and scheduled actions."""
    return have is not None and all(
        want[name].items() <= have[name].items() if name in ("policies", "scheduled") else have[name] == want[name]
        for name in want
    )
