# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup plans: what is backed up when, by which role, and copied where (aws.md C1, C4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from lab.backup import access, backup_jobs, recovery_points, schedule, settings, vaults
from lab.backup.model import Place, Plan, PlanVersion, Selection, Shape
from lab.backup.registry import backups, here, parse_arn
from lab.backup.words import belief, invalid_parameter, invalid_request, not_found
from lab.caller import Caller
from lab.dynamodb import registry as dynamodb
from lab.dynamodb.model import Table
from lab.messages import AuthorizationRequest
from lab.world import Context

SOUND = belief(
    "test_plans", "plan-sound",
    "A plan's rule names a vault of its account, a cron expression, windows of an hour or more, sound lifecycles, and "
    "at most five copy actions; the codes of the refusals are a guess",
    "aws.md C4, C6; botocore's service model backup", confirmed=False,
)  # fmt: skip
EXISTS = belief(
    "test_plans", "plan-exists",
    "The same plan again is AlreadyExistsException, unless CreatorRequestId is the first one's",
    "AWS Backup API reference, CreateBackupPlan", confirmed=False,
)  # fmt: skip
VERSIONS = belief(
    "test_plans", "plan-versions",
    "UpdateBackupPlan replaces the whole plan by a new version; old versions can still be read",
    "botocore's service model backup",
)  # fmt: skip
DELETED = belief(
    "test_plans", "plan-deleted-after-selections",
    "A plan is deleted only after its selections; it can be listed with IncludeDeleted",
    "AWS Backup API reference, DeleteBackupPlan",
)  # fmt: skip
RUNS = belief(
    "test_plans", "plan-runs-on-schedule",
    "At each time of its schedule (without one: 05:00 UTC) a rule makes one backup job for every table that its plan's "
    "selections hold",
    "aws.md C4; botocore's service model backup, BackupRuleInput",
)  # fmt: skip
COPIES = belief(
    "test_plans", "plan-copies",
    "Each copy action makes a copy job when the rule's backup is done, with the selection's role; CreatedBy and "
    "CreatedByBackupJobId tell where it comes from",
    "aws.md C4; botocore's service model backup, CopyJob",
)  # fmt: skip
SELECTED = belief(
    "test_plans", "selection-of-tables",
    "A selection holds what its Resources (with wildcards) name or one of its tags has, if all Conditions hold, "
    "without NotResources",
    "botocore's service model backup, BackupSelection",
)  # fmt: skip
OPT_IN = belief(
    "test_plans", "opt-in-for-tags-only",
    "Without opt-in a table is backed up only where a selection's Resources name it, not by tags alone",
    "aws.md C1; botocore's service model backup, UpdateRegionSettings",
)  # fmt: skip
ROLE_READS_TAGS = belief(
    "test_plans", "selection-by-tags-needs-permission",
    "A selection by tags whose role lacks tag:GetResources is InvalidParameterValueException",
    "terraform-provider-aws, aws_backup_selection",
)  # fmt: skip

USUAL_SCHEDULE = "cron(0 5 ? * * *)"
USUAL_ZONE = "Etc/UTC"
MOST_COPY_ACTIONS = 5


def _plan(context: Context, plan_id: str, *, deleted: bool = False) -> Plan:
    plan = backups(context).plans.get(plan_id)
    if plan is None or plan.place != here(context) or (plan.deleted_at is not None and not deleted):
        raise not_found(VERSIONS, f"Backup plan {plan_id} does not exist.")
    return plan


# Plans


def create_backup_plan(context: Context, params: Shape) -> Shape:
    """CreateBackupPlan."""
    registry, request_id = backups(context), params.get("CreatorRequestId", "")
    content = _checked(context, params["BackupPlan"])
    for plan in registry.plans.values():
        if plan.place != here(context) or plan.deleted_at is not None:
            continue
        if request_id and plan.creator_request_id == request_id:
            return _written(plan)
        if _without_ids(plan.current.content) == _without_ids(content):
            raise EXISTS.error(
                "AlreadyExistsException",
                "Backup plan with the same plan document already exists",
                Arn=plan.arn,
                CreatorRequestId=plan.creator_request_id,
            )
    plan = Plan(here(context), registry.new_id().lower(), [], request_id, dict(params.get("BackupPlanTags", {})))
    registry.plans[plan.id] = plan
    _put(context, plan, content)
    return _written(plan)


def update_backup_plan(context: Context, params: Shape) -> Shape:
    """UpdateBackupPlan."""
    plan = _plan(context, params["BackupPlanId"])
    _put(context, plan, _checked(context, params["BackupPlan"]))
    return _written(plan)


def _put(context: Context, plan: Plan, content: Shape) -> None:
    plan.versions.append(PlanVersion(backups(context).new_id(), context.world.clock.now(), content))
    for event in plan.runs.values():
        event.cancel()
    plan.runs = {}
    for rule in content["Rules"]:
        _plan_next_run(context, plan, rule)


def _written(plan: Plan) -> Shape:
    return {
        "BackupPlanId": plan.id,
        "BackupPlanArn": plan.arn,
        "CreationDate": plan.versions[0].created_at,
        "VersionId": plan.current.id,
    }


def _checked(context: Context, given: Shape) -> Shape:
    """The plan as it is kept: checked, its rules with ids and what they leave out; InvalidParameterValueException."""
    if not re.fullmatch(r"[\w\-.]{1,50}", given["BackupPlanName"]):
        raise invalid_parameter(SOUND, "BackupPlanName must contain 1 to 50 alphanumeric or '-_.' characters.")
    if not given["Rules"]:
        raise invalid_parameter(SOUND, "A backup plan has at least one rule.")
    return {**given, "Rules": [_checked_rule(context, rule) for rule in given["Rules"]]}


def _checked_rule(context: Context, given: Shape) -> Shape:
    rule = {
        "ScheduleExpression": USUAL_SCHEDULE,
        "ScheduleExpressionTimezone": USUAL_ZONE,
        "StartWindowMinutes": backup_jobs.USUAL_WINDOW,
        "CompletionWindowMinutes": 10080,
        "EnableContinuousBackup": False,
        **given,
        "RuleId": backups(context).new_id().lower(),
    }
    if backups(context).vault(here(context), rule["TargetBackupVaultName"]) is None:
        raise invalid_parameter(SOUND, f"Backup vault {rule['TargetBackupVaultName']} does not exist.")
    if rule["StartWindowMinutes"] < backup_jobs.SHORTEST_WINDOW:
        raise invalid_parameter(SOUND, "StartWindowMinutes must be at least 60.")
    actions = rule.get("CopyActions", ())
    if len(actions) > MOST_COPY_ACTIONS:
        raise invalid_parameter(SOUND, f"A rule has at most {MOST_COPY_ACTIONS} copy actions.")
    recovery_points.checked_lifecycle(rule.get("Lifecycle"))
    for action in actions:
        target = parse_arn(action["DestinationBackupVaultArn"])
        if target is None or target.kind != "backup-vault":
            raise invalid_parameter(SOUND, f"Invalid backup vault ARN: {action['DestinationBackupVaultArn']}")
        recovery_points.checked_lifecycle(action.get("Lifecycle"))
    try:
        schedule.parse(rule["ScheduleExpression"], rule["ScheduleExpressionTimezone"])
    except (ValueError, KeyError) as flaw:
        raise invalid_parameter(SOUND, str(flaw.args[0])) from None
    return rule


def _without_ids(content: Shape) -> Shape:
    rules = [{name: value for name, value in rule.items() if name != "RuleId"} for rule in content["Rules"]]
    return {**content, "Rules": rules}


def get_backup_plan(context: Context, params: Shape) -> Shape:
    """GetBackupPlan."""
    plan = _plan(context, params["BackupPlanId"], deleted=True)
    version = next((each for each in plan.versions if each.id == params.get("VersionId", plan.current.id)), None)
    if version is None:
        raise not_found(VERSIONS, f"Backup plan {plan.id} has no version {params['VersionId']}.")
    shown = {**_listed(plan), "BackupPlan": version.content, "VersionId": version.id}
    del shown["BackupPlanName"]
    if count := params.get("MaxScheduledRunsPreview"):
        shown["ScheduledRunsPreview"] = _preview(context.world.clock.now(), plan, count)
    return shown


def _preview(now: float, plan: Plan, count: int) -> list[Shape]:
    runs: list[Shape] = []
    for rule in plan.current.content["Rules"]:
        moment: float | None = now
        for _ in range(count):
            moment = _schedule(rule).next_after(moment) if moment is not None else None
            if moment is not None:
                runs.append({"ExecutionTime": moment, "RuleId": rule["RuleId"], "RuleExecutionType": "SNAPSHOTS"})
    return sorted(runs, key=lambda run: float(run["ExecutionTime"]))[:count]


def _listed(plan: Plan) -> Shape:
    shown = {
        **_written(plan),
        "BackupPlanName": plan.current.content["BackupPlanName"],
        "CreatorRequestId": plan.creator_request_id or None,
        "LastExecutionDate": plan.executed_at,
        "DeletionDate": plan.deleted_at,
    }
    return {name: value for name, value in shown.items() if value is not None}


def list_backup_plans(context: Context, params: Shape) -> Shape:
    """ListBackupPlans."""
    plans = [
        _listed(plan)
        for plan in backups(context).plans.values()
        if plan.place == here(context) and (plan.deleted_at is None or params.get("IncludeDeleted"))
    ]
    return vaults.listing("BackupPlansList", plans, params)


def list_backup_plan_versions(context: Context, params: Shape) -> Shape:
    """ListBackupPlanVersions."""
    plan = _plan(context, params["BackupPlanId"])
    shown = [
        {
            **_listed(plan),
            "VersionId": version.id,
            "CreationDate": version.created_at,
            "BackupPlanName": version.content["BackupPlanName"],
        }
        for version in plan.versions
    ]
    return vaults.listing("BackupPlanVersionsList", shown, params)


def delete_backup_plan(context: Context, params: Shape) -> Shape:
    """DeleteBackupPlan."""
    plan = _plan(context, params["BackupPlanId"])
    if plan.selections:
        raise invalid_request(DELETED, "Related backup plan selections must be deleted prior to backup plan deletion")
    for event in plan.runs.values():
        event.cancel()
    plan.runs, plan.deleted_at = {}, context.world.clock.now()
    shown = _written(plan)
    del shown["CreationDate"]
    return {**shown, "DeletionDate": plan.deleted_at}


# Selections


def create_backup_selection(context: Context, params: Shape) -> Shape:
    """CreateBackupSelection."""
    plan, content = _plan(context, params["BackupPlanId"]), params["BackupSelection"]
    request_id = params.get("CreatorRequestId", "")
    for earlier in plan.selections.values():
        if request_id and earlier.creator_request_id == request_id:
            return _selected(plan, earlier)
    access.take_role(context, content["IamRoleArn"])
    if content.get("ListOfTags") or any(content.get("Conditions", {}).values()):
        caller = access.assumed(context.world, content["IamRoleArn"])
        needed = AuthorizationRequest("tag:GetResources", "*")
        if caller is None or access.refusal(context.world, caller, [needed], context.region):
            text = f"IAM Role {content['IamRoleArn']} is not authorized to call tag:GetResources"
            raise invalid_parameter(ROLE_READS_TAGS, text)
    selection = Selection(backups(context).new_id().lower(), context.world.clock.now(), request_id, content)
    plan.selections[selection.id] = selection
    return _selected(plan, selection)


def _selected(plan: Plan, selection: Selection) -> Shape:
    return {"SelectionId": selection.id, "BackupPlanId": plan.id, "CreationDate": selection.created_at}


def _selection(context: Context, params: Shape) -> tuple[Plan, Selection]:
    plan = _plan(context, params["BackupPlanId"])
    if params["SelectionId"] not in plan.selections:
        raise not_found(SELECTED, f"Backup selection {params['SelectionId']} does not exist.")
    return plan, plan.selections[params["SelectionId"]]


def get_backup_selection(context: Context, params: Shape) -> Shape:
    """GetBackupSelection."""
    plan, selection = _selection(context, params)
    shown = {**_selected(plan, selection), "BackupSelection": selection.content}
    return shown | ({"CreatorRequestId": selection.creator_request_id} if selection.creator_request_id else {})


def list_backup_selections(context: Context, params: Shape) -> Shape:
    """ListBackupSelections."""
    plan = _plan(context, params["BackupPlanId"])
    shown = [
        {
            **_selected(plan, selection),
            "SelectionName": selection.content["SelectionName"],
            "IamRoleArn": selection.content["IamRoleArn"],
        }
        for selection in plan.selections.values()
    ]
    return vaults.listing("BackupSelectionsList", shown, params)


def delete_backup_selection(context: Context, params: Shape) -> Shape:
    """DeleteBackupSelection."""
    plan, selection = _selection(context, params)
    del plan.selections[selection.id]
    return {}


# Runs


def _schedule(rule: Shape) -> schedule.Schedule:
    return schedule.parse(rule["ScheduleExpression"], rule["ScheduleExpressionTimezone"])


def _plan_next_run(context: Context, plan: Plan, rule: Shape) -> None:
    world = context.world
    now = world.clock.now()
    moment = _schedule(rule).next_after(now)
    if moment is not None:
        plan.runs[rule["RuleId"]] = world.schedule(moment - now, partial(_run, context, plan, rule))


def _run(context: Context, plan: Plan, rule: Shape) -> None:
    """Make the backup jobs of one run of ``rule``, and plan the next."""
    world = context.world
    service = Context(
        world, Caller.service(access.SERVICE, plan.place.account), plan.place.region, "backup", "StartBackupJob", ""
    )
    plan.executed_at = world.clock.now()
    created_by = {
        "BackupPlanId": plan.id,
        "BackupPlanArn": plan.arn,
        "BackupPlanName": plan.current.content["BackupPlanName"],
        "BackupPlanVersion": plan.current.id,
        "BackupRuleId": rule["RuleId"],
        "BackupRuleName": rule["RuleName"],
        "BackupRuleCron": rule["ScheduleExpression"],
        "BackupRuleTimezone": rule["ScheduleExpressionTimezone"],
    }
    if backups(service).vault(plan.place, rule["TargetBackupVaultName"]) is not None:
        for selection in plan.selections.values():
            for table in _tables(service, plan.place, selection.content):
                params = _request(rule, table, selection.content["IamRoleArn"])
                copies = tuple(rule.get("CopyActions", ()))
                backup_jobs.start(service, params, created_by=created_by, copies=copies)
    _plan_next_run(context, plan, rule)


def _request(rule: Shape, table: Table, role_arn: str) -> Shape:
    members = {
        "BackupVaultName": rule["TargetBackupVaultName"],
        "ResourceArn": table.arn,
        "IamRoleArn": role_arn,
        "StartWindowMinutes": rule["StartWindowMinutes"],
        "CompleteWindowMinutes": rule["CompletionWindowMinutes"],
        "Lifecycle": rule.get("Lifecycle"),
        "RecoveryPointTags": rule.get("RecoveryPointTags"),
        "LogicallyAirGappedBackupVaultArn": rule.get("TargetLogicallyAirGappedBackupVaultArn"),
    }
    return {name: value for name, value in members.items() if value is not None}


def _tables(context: Context, place: Place, content: Mapping[str, Any]) -> Iterator[Table]:
    """The tables of ``place`` that a selection holds."""
    opted_in = settings.region_settings(context, place).opted_in["DynamoDB"]
    resources, excluded = content.get("Resources", ()), content.get("NotResources", ())
    for table in dynamodb.registry(context).all(*place):
        named = _matches(table.arn, resources)
        tagged = any(table.tags.get(tag["ConditionKey"]) == tag["ConditionValue"] for tag in _tags_of(content))
        everything = not resources and not content.get("ListOfTags")
        chosen = named or ((tagged or everything) and opted_in)
        if chosen and not _matches(table.arn, excluded) and _conditions_hold(table, content.get("Conditions", {})):
            yield table


def _tags_of(content: Mapping[str, Any]) -> list[Shape]:
    return [
        {**tag, "ConditionKey": tag["ConditionKey"].removeprefix("aws:ResourceTag/")}
        for tag in content.get("ListOfTags", ())
    ]


def _matches(text: str, patterns: Any) -> bool:
    return any(
        re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), text) is not None
        for pattern in patterns
    )


def _conditions_hold(table: Table, conditions: Mapping[str, Any]) -> bool:
    for operator, lines in conditions.items():
        for line in lines:
            value = table.tags.get(line["ConditionKey"].removeprefix("aws:ResourceTag/"))
            expected = line["ConditionValue"]
            like = operator.endswith("Like")
            holds = value is not None and (_matches(value, [expected]) if like else value == expected)
            if holds == ("Not" in operator):
                return False
    return True


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "CreateBackupPlan": create_backup_plan,
    "UpdateBackupPlan": update_backup_plan,
    "GetBackupPlan": get_backup_plan,
    "ListBackupPlans": list_backup_plans,
    "ListBackupPlanVersions": list_backup_plan_versions,
    "DeleteBackupPlan": delete_backup_plan,
    "CreateBackupSelection": create_backup_selection,
    "GetBackupSelection": get_backup_selection,
    "ListBackupSelections": list_backup_selections,
    "DeleteBackupSelection": delete_backup_selection,
}
