# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""EMR Serverless: applications, and the job runs that the lab's local Spark does for real."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from typing import Any

from lab import policy
from lab.behaviours import Behaviour
from lab.errors import AwsError
from lab.messages import AuthorizationRequest
from lab.request_log import StartedJob
from lab.rules import Rule, rule
from lab.services.emr_serverless_runs import SERVICE, Application, Run, RunLives, usage
from lab.services.managed_policies import EMR_SERVERLESS, LINKED_ROLES, add_linked_role, linked_path
from lab.services.paging import page
from lab.spark import emr_releases
from lab.world import Context, World

APPLICATION_STATES = rule(
    "emr-serverless-application-states",
    service="emr-serverless",
    says="An application is CREATING, CREATED, then STARTING and STARTED by a run or by StartApplication, STOPPED by "
    "StopApplication or 15 minutes (autoStopConfiguration) after its last run; how long each lasts is a guess",
    fact="EMR Serverless user guide, Application states and Default application behavior; aws.md F1",
    test="test_emr_serverless.py::test_an_application_goes_through_its_states",
)
STOPPED_WHEN = rule(
    "emr-serverless-stop",
    service="emr-serverless",
    says="Only a STARTING or STARTED application is stopped, and only when its runs have ended",
    fact="gchq/sleeper#1212; botocore's service model emr-serverless; the text of the second refusal is a guess",
    test="test_emr_serverless.py::test_when_an_application_is_stopped",
)
DELETED_WHEN = rule(
    "emr-serverless-delete",
    service="emr-serverless",
    says="Only a CREATED or STOPPED application is deleted; then it is TERMINATED, and listed no more",
    fact="gchq/sleeper#2909; EMR Serverless user guide, Application states",
    test="test_emr_serverless.py::test_when_an_application_is_deleted",
)
STARTED_WHEN = rule(
    "emr-serverless-start",
    service="emr-serverless",
    says="Only a CREATED or STOPPED application is started or updated",
    fact="EMR Serverless user guide, Application states; the errors are a guess",
    test="test_emr_serverless.py::test_when_an_application_is_started",
    confirmed=False,
)
RUNS_WHEN = rule(
    "emr-serverless-run-needs-application",
    service="emr-serverless",
    says="A run is taken by a CREATED, STARTING, STARTED or STOPPED application, which it starts unless "
    "autoStartConfiguration says no; another state is ConflictException",
    fact="EMR Serverless user guide, Default application behavior; botocore's service model emr-serverless; which "
    "states: a guess",
    test="test_emr_serverless.py::test_which_applications_take_runs",
    confirmed=False,
)
TOKEN = rule(
    "emr-serverless-token",
    service="emr-serverless",
    says="A clientToken answers the application or run that it made, and starts nothing",
    fact="botocore's service model emr-serverless",
    test="test_emr_serverless.py::test_token",
)
OTHER_TOKEN = rule(
    "emr-serverless-token-differs",
    service="emr-serverless",
    says="A clientToken with other parameters answers what it made, or is ConflictException or ValidationException: "
    "the lab plays each",
    fact="none",
    test="test_emr_serverless.py::test_token_with_other_parameters",
    confirmed=False,
)
PASSED = rule(
    "emr-serverless-pass-role",
    service="emr-serverless",
    says="Who starts a run needs iam:PassRole on its role, with iam:PassedToService emr-serverless.amazonaws.com; a "
    "role of another account is not passed",
    fact="EMR Serverless user guide, Troubleshooting identity and access; AWS IAM user guide, Grant a user permissions "
    "to pass a role",
    test="test_emr_serverless.py::test_the_role_is_passed",
)
LINKED = rule(
    "emr-serverless-linked-role",
    service="emr-serverless",
    says="The account's first application makes AWSServiceRoleForAmazonEMRServerless: its caller needs "
    "iam:CreateServiceLinkedRole for ops.emr-serverless.amazonaws.com",
    fact="EMR Serverless user guide, Using service-linked roles",
    test="test_emr_serverless.py::test_the_first_application_makes_the_linked_role",
)
TAGGED = rule(
    "emr-serverless-tag-on-create",
    service="emr-serverless",
    says="An application or run made with tags needs emr-serverless:TagResource too",
    fact="EMR Serverless user guide, Policies for tag-based access control; on which resource: a guess",
    test="test_emr_serverless.py::test_tags_need_a_permission",
    confirmed=False,
)
MINUTES = rule(
    "emr-serverless-timeout-range",
    service="emr-serverless",
    says="executionTimeoutMinutes of a batch run is 1 to 10,080",
    fact="botocore's service model emr-serverless (from 7.11 on); the text is a guess",
    test="test_emr_serverless.py::test_timeouts_are_from_1_to_10080",
)
SESSION_POLICY = rule(
    "emr-serverless-execution-policy",
    service="emr-serverless",
    says="executionIamPolicy has a policy of up to 2,048 characters or up to 10 policyArns, and narrows the role",
    fact="EMR Serverless user guide, Execution IAM policy; botocore's service model; a malformed one: a guess",
    test="test_emr_serverless.py::test_the_execution_policy_narrows_the_role",
)
RELEASES = rule(
    "emr-serverless-releases",
    service="emr-serverless",
    says="The lab has the releases emr-7.14.0 and emr-spark-8.1.0, type SPARK and batch runs; others are "
    "ValidationException",
    fact="the lab's own limit; EMR Serverless release versions",
    test="test_emr_serverless.py::test_releases",
)
LISTED = rule(
    "emr-serverless-runs-listed",
    service="emr-serverless",
    says="ListJobRuns shows up to 50 runs a page, newest first, by state and time of creation; with several states, "
    "grouped by state",
    fact="botocore's service model emr-serverless; the order is a guess",
    test="test_emr_serverless.py::test_runs_are_listed",
)
THROTTLED = rule(
    "emr-serverless-rates",
    service="emr-serverless",
    says="StartJobRun and ListJobRuns are taken once a second (25 at once), GetJobRun 10 times (50 at once); more is "
    "ThrottlingException",
    fact="AWS general reference, EMR Serverless endpoints and quotas; the HTTP status is a guess",
    test="test_emr_serverless.py::test_rates",
)
CANCELLED_WHEN = rule(
    "emr-serverless-cancel",
    service="emr-serverless",
    says="CancelJobRun makes a run CANCELLING, then CANCELLED; of a run that has ended it is ValidationException",
    fact="EMR Serverless user guide, Job run states; the refusal is a guess",
    test="test_emr_serverless.py::test_a_run_is_cancelled",
    confirmed=False,
)

TOKEN_DIFFERS = "emr-serverless.token_differs"
_RATES: Mapping[str, tuple[float, float]] = {
    "StartJobRun": (25, 1), "ListJobRuns": (25, 1), "GetJobRun": (50, 10)
}  # fmt: skip
_DIGITS = string.digits + "abcdefghijklmnopqrstuv"
_SHOWN = (
    "name", "initialCapacity", "maximumCapacity", "autoStartConfiguration", "autoStopConfiguration",
    "networkConfiguration", "architecture", "runtimeConfiguration", "monitoringConfiguration",
    "interactiveConfiguration", "schedulerConfiguration", "jobLevelCostAllocationConfiguration",
)  # fmt: skip
_ON_APPLICATION = frozenset(
    {"GetApplication", "UpdateApplication", "DeleteApplication", "StartApplication", "StopApplication", "StartJobRun",
     "ListJobRuns"}
)  # fmt: skip
IDLE_MINUTES, LONGEST_MINUTES = 15, 10_080
Shape = dict[str, Any]


class EmrServerlessService:
    """The service behind the gate."""

    name = "emr-serverless"
    locks_itself: frozenset[str] = frozenset()

    def __init__(self, world: World) -> None:
        self._world = world
        self._lives = RunLives(world, self._watch_idle)
        world.behaviours.define([Behaviour(TOKEN_DIFFERS, ("first", "ConflictException", "ValidationException"))])
        for name, seconds in (("creating", 3.0), ("starting", 10.0), ("stopping", 5.0)):
            world.timings.define(f"emr-serverless.{name}", seconds)
        self._applications: dict[str, Application] = {}
        self._handlers: Mapping[str, Callable[[Context, Shape], Shape]] = {
            "CreateApplication": self._create,
            "GetApplication": self._get,
            "ListApplications": self._list,
            "UpdateApplication": self._update,
            "DeleteApplication": self._delete,
            "StartApplication": self._start,
            "StopApplication": self._stop,
            "StartJobRun": self._start_run,
            "GetJobRun": self._get_run,
            "ListJobRuns": self._list_runs,
            "CancelJobRun": self._cancel_run,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListTagsForResource": self._list_tags,
        }

    # Permission

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """``emr-serverless:<operation>`` on the application or run, and what a creation needs besides."""
        needed = [AuthorizationRequest(f"emr-serverless:{operation}", self._resource(context, operation, params))]
        if operation in ("CreateApplication", "StartJobRun") and params.get("tags"):
            needed.append(AuthorizationRequest("emr-serverless:TagResource", needed[0].resource_arn))
        if operation == "CreateApplication" and not self._has_linked_role(context):
            path, (role, _) = linked_path(EMR_SERVERLESS), LINKED_ROLES[EMR_SERVERLESS]
            prefix = f"arn:{self._world.accounts.partition(context.account_id)}:iam::{context.account_id}"
            needed.append(
                AuthorizationRequest(
                    "iam:CreateServiceLinkedRole", f"{prefix}:role{path}{role}",
                    conditions={"iam:AWSServiceName": EMR_SERVERLESS}, refusal=_refused(LINKED),
                )
            )  # fmt: skip
        if operation == "StartJobRun":
            needed.append(
                AuthorizationRequest(
                    "iam:PassRole", params["executionRoleArn"], conditions={"iam:PassedToService": SERVICE},
                    refusal=_refused(PASSED),
                )
            )  # fmt: skip
        return needed

    @staticmethod
    def _resource(context: Context, operation: str, params: Shape) -> str:
        if "resourceArn" in params:
            return str(params["resourceArn"])
        application = context.arn(f"/applications/{params.get('applicationId', '')}")
        if "jobRunId" in params:
            return f"{application}/jobruns/{params['jobRunId']}"
        return application if operation in _ON_APPLICATION else "*"

    def _has_linked_role(self, context: Context) -> bool:
        return (context.account_id, LINKED_ROLES[EMR_SERVERLESS][0]) in self._world.identity.roles

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Do ``operation``; parameters and answer as boto3's."""
        handler = self._handlers.get(operation)
        if handler is None:
            raise AwsError("ValidationException", f"The lab's EMR Serverless has no {operation}.")
        if operation in _RATES:
            burst, rate = _RATES[operation]
            family = f"emr-serverless.{operation}.{context.region}"
            if not self._world.throttles.admits(context.account_id, family, burst=burst, per_second=rate):
                raise THROTTLED.error("ThrottlingException", "Rate exceeded", 429)
        return handler(context, params)

    # Applications

    def _create(self, context: Context, params: Shape) -> Shape:
        for known in self._applications.values():
            if (known.account_id, known.region, known.token) == (
                context.account_id, context.region, params["clientToken"],
            ):  # fmt: skip
                self._compare(known.request, params)
                return _created(known)
        if params["type"].upper() != "SPARK" or params["releaseLabel"] not in emr_releases.LABELS:
            raise RELEASES.error(
                "ValidationException",
                f"Release label {params['releaseLabel']} with type {params['type']} is not valid. The lab has: "
                f"{', '.join(emr_releases.LABELS)} with type SPARK",
            )
        if not self._has_linked_role(context):
            add_linked_role(self._world.identity, context.account_id, EMR_SERVERLESS)
        identifier, now = self._identifier(), self._world.clock.now()
        application = Application(
            identifier, context.account_id, context.region, context.arn(f"/applications/{identifier}"),
            params["releaseLabel"], params["clientToken"], params, _settings(params), now, now,
            dict(params.get("tags", {})),
        )  # fmt: skip
        self._applications[identifier] = application
        self._later(application, "creating", "CREATING", "CREATED")
        return _created(application)

    def _identifier(self) -> str:
        return "00" + "".join(self._world.random.choices(_DIGITS, k=14))

    def _compare(self, first: Shape, params: Shape) -> None:
        """Refuse a token that comes with other parameters, where AWS is thought to."""
        chosen = self._world.behaviours[TOKEN_DIFFERS]
        if first != params and chosen != "first":
            text = "The client token was used before with other parameters."
            raise OTHER_TOKEN.error(chosen, text, 409 if chosen == "ConflictException" else 400)

    def _later(self, application: Application, timing: str, before: str, after: str) -> None:
        def act() -> None:
            if application.state == before:
                application.move(after, self._world.clock.now())
                self._watch_idle(application)
                if after == "STARTED":
                    self._lives.application_started(application)

        self._world.schedule(self._world.timings.seconds(f"emr-serverless.{timing}"), act)

    def _own(self, context: Context, identifier: str) -> Application:
        application = self._applications.get(identifier)
        if application is None or application.place != (context.account_id, context.region):
            raise AwsError("ResourceNotFoundException", f"Application {identifier} does not exist", 404)
        return application

    def _get(self, context: Context, params: Shape) -> Shape:
        application = self._own(context, params["applicationId"])
        shown = {"applicationId": application.id, **_summary(application), **application.settings}
        shown.pop("id")
        return {"application": {**shown, "tags": application.tags}}

    def _list(self, context: Context, params: Shape) -> Shape:
        states = params.get("states")
        shown = [
            _summary(each)
            for each in reversed(self._applications.values())
            if each.place == (context.account_id, context.region)
            and (each.state in states if states else each.state != "TERMINATED")
        ]
        return _listing("applications", shown, params)

    def _update(self, context: Context, params: Shape) -> Shape:
        application = self._own(context, params["applicationId"])
        self._demand(application, STARTED_WHEN, "CREATED", "STOPPED")
        label = params.get("releaseLabel", application.release)
        if label not in emr_releases.LABELS:
            raise RELEASES.error("ValidationException", f"Release label {label} is not valid.")
        application.release = label
        application.settings |= {name: params[name] for name in _SHOWN if name in params}
        application.updated_at = self._world.clock.now()
        return self._get(context, params)

    def _demand(self, application: Application, broken: Rule, *states: str) -> None:
        if application.state not in states:
            raise broken.error(
                "ValidationException",
                f"Application {application.id} must be in of the following statuses [{', '.join(states)}]. Current "
                f"status: {application.state}",
            )

    def _start(self, context: Context, params: Shape) -> Shape:
        application = self._own(context, params["applicationId"])
        self._demand(application, STARTED_WHEN, "CREATED", "STOPPED")
        self._begin(application)
        return {}

    def _begin(self, application: Application) -> None:
        if application.state in ("CREATED", "STOPPED"):
            application.move("STARTING", self._world.clock.now())
            self._later(application, "starting", "STARTING", "STARTED")

    def _stop(self, context: Context, params: Shape) -> Shape:
        application = self._own(context, params["applicationId"])
        if application.state not in ("STARTING", "STARTED"):
            raise STOPPED_WHEN.error(
                "ValidationException",
                "Application cannot be STOPPED. Applications must be in one of the following statuses: "
                "[STARTING, STARTED]",
            )
        if self._lives.active(application):
            raise STOPPED_WHEN.error(
                "ValidationException",
                f"Application {application.id} cannot be stopped: it has job runs that are active",
            )
        self._halt(application)
        return {}

    def _halt(self, application: Application) -> None:
        application.move("STOPPING", self._world.clock.now())
        self._later(application, "stopping", "STOPPING", "STOPPED")

    def _watch_idle(self, application: Application) -> None:
        """Stop an application that stays idle for as long as it is to be stopped after."""
        if application.idle is not None:
            application.idle.cancel()
        configuration = application.settings["autoStopConfiguration"]
        if not configuration.get("enabled", True) or application.state != "STARTED":
            return

        def act() -> None:
            if application.state == "STARTED" and not self._lives.active(application):
                self._halt(application)

        minutes = configuration.get("idleTimeoutMinutes", IDLE_MINUTES)
        application.idle = self._world.schedule(minutes * 60, act)

    def _delete(self, context: Context, params: Shape) -> Shape:
        application = self._own(context, params["applicationId"])
        self._demand(application, DELETED_WHEN, "CREATED", "STOPPED")
        application.move("TERMINATED", self._world.clock.now())
        return {}

    # Runs

    def _start_run(self, context: Context, params: Shape) -> Shape:
        application = self._own(context, params["applicationId"])
        for known in self._lives.of(application):
            if known.request["clientToken"] == params["clientToken"]:
                self._compare(known.request, params)
                return _started(known)
        self._check_run(context, params)
        starts = (application.settings["autoStartConfiguration"]).get("enabled", True)
        states = ("CREATED", "STARTING", "STARTED", "STOPPED") if starts else ("STARTING", "STARTED")
        if application.state not in states:
            raise RUNS_WHEN.error(
                "ConflictException", f"Application {application.id} is {application.state} and takes no job runs", 409
            )
        identifier, now = self._identifier(), self._world.clock.now()
        faults = self._world.faults
        run = Run(
            identifier, f"{application.arn}/jobruns/{identifier}", application, params, context.caller.arn, now, now,
            dict(params.get("tags", {})),
            faults.take("job_failure", "emr-serverless.StartJobRun", params, context.account_id),
        )  # fmt: skip
        self._begin(application)
        self._lives.begin(run)
        self._world.request_log.add_job(
            StartedJob(now, "emr", context.account_id, context.region, application.arn, run.arn)
        )
        return _started(run)

    def _check_run(self, context: Context, params: Shape) -> None:
        role_arn = params["executionRoleArn"]
        if role_arn.split(":")[4] != context.account_id:
            raise PASSED.error("AccessDeniedException", "Cross-account pass role is not allowed.", 403)
        driver = params.get("jobDriver") or {}
        if "sparkSubmit" not in driver or params.get("mode", "BATCH") != "BATCH":
            raise RELEASES.error("ValidationException", "The lab's EMR Serverless runs batch jobs of sparkSubmit only.")
        minutes = params.get("executionTimeoutMinutes")
        if minutes is not None and not 1 <= minutes <= LONGEST_MINUTES:
            raise MINUTES.error(
                "ValidationException", f"executionTimeoutMinutes must be between 1 and {LONGEST_MINUTES}"
            )
        asked = params.get("executionIamPolicy") or {}
        try:
            if asked.get("policy"):
                policy.parse(asked["policy"])
        except AwsError as failure:
            raise SESSION_POLICY.error(
                "ValidationException", f"Invalid execution IAM policy: {failure.message}"
            ) from None
        for arn in asked.get("policyArns", ()):
            if arn not in self._world.identity.policies:
                raise SESSION_POLICY.error("ValidationException", f"Invalid execution IAM policy: {arn} does not exist")

    def _own_run(self, context: Context, params: Shape) -> Run:
        application = self._own(context, params["applicationId"])
        run = self._lives.runs.get(params["jobRunId"])
        if run is None or run.application is not application:
            raise AwsError("ResourceNotFoundException", f"JobRun {params['jobRunId']} does not exist", 404)
        return run

    def _get_run(self, context: Context, params: Shape) -> Shape:
        return {"jobRun": _shape(self._own_run(context, params))}

    def _list_runs(self, context: Context, params: Shape) -> Shape:
        application = self._own(context, params["applicationId"])
        states = params.get("states") or []
        runs = [
            run
            for run in reversed(self._lives.of(application))
            if (not states or run.state in states)
            and params.get("createdAtAfter", run.created_at) <= run.created_at
            and run.created_at <= params.get("createdAtBefore", run.created_at)
            and params.get("mode", "BATCH") == "BATCH"
        ]
        if states:
            runs.sort(key=lambda run: states.index(run.state))
        return _listing("jobRuns", [_run_summary(run) for run in runs], params)

    def _cancel_run(self, context: Context, params: Shape) -> Shape:
        run = self._own_run(context, params)
        if run.over:
            raise CANCELLED_WHEN.error("ValidationException", f"JobRun {run.id} has ended already: it is {run.state}")
        self._lives.cancel(run)
        return {"applicationId": run.application.id, "jobRunId": run.id}

    # Tags

    def _tags_of(self, context: Context, arn: str) -> dict[str, str]:
        tagged = {each.arn: (each, each.tags) for each in self._applications.values()}
        tagged |= {run.arn: (run.application, run.tags) for run in self._lives.runs.values()}
        if arn in tagged and tagged[arn][0].place == (context.account_id, context.region):
            return tagged[arn][1]
        raise AwsError("ResourceNotFoundException", f"Resource {arn} does not exist", 404)

    def _tag(self, context: Context, params: Shape) -> Shape:
        self._tags_of(context, params["resourceArn"]).update(params["tags"])
        return {}

    def _untag(self, context: Context, params: Shape) -> Shape:
        tags = self._tags_of(context, params["resourceArn"])
        for key in params["tagKeys"]:
            tags.pop(key, None)
        return {}

    def _list_tags(self, context: Context, params: Shape) -> Shape:
        return {"tags": dict(self._tags_of(context, params["resourceArn"]))}


def _refused(broken: Rule) -> Callable[[str], AwsError]:
    return lambda message: broken.error("AccessDeniedException", message, 403)


def _settings(params: Shape) -> Shape:
    settings = {name: params[name] for name in _SHOWN if name in params}
    return {
        "architecture": "X86_64",
        **settings,
        "autoStartConfiguration": {"enabled": True, **params.get("autoStartConfiguration", {})},
        "autoStopConfiguration": {
            "enabled": True, "idleTimeoutMinutes": IDLE_MINUTES, **params.get("autoStopConfiguration", {}),
        },
    }  # fmt: skip


def _created(application: Application) -> Shape:
    named = {"name": application.settings["name"]} if "name" in application.settings else {}
    return {"applicationId": application.id, "arn": application.arn, **named}


def _started(run: Run) -> Shape:
    return {"applicationId": run.application.id, "jobRunId": run.id, "arn": run.arn}


def _summary(application: Application) -> Shape:
    named: Shape = {
        name: application.settings[name] for name in ("name", "architecture") if name in application.settings
    }
    return {
        "id": application.id,
        "arn": application.arn,
        "releaseLabel": application.release,
        "type": "Spark",
        "state": application.state,
        "createdAt": application.created_at,
        "updatedAt": application.updated_at,
        **named,
    }


def _common(run: Run) -> Shape:
    named = {"name": run.request["name"]} if "name" in run.request else {}
    return {
        **named,
        "applicationId": run.application.id,
        "arn": run.arn,
        "createdBy": run.created_by,
        "createdAt": run.created_at,
        "updatedAt": run.updated_at,
        "executionRole": run.request["executionRoleArn"],
        "state": run.state,
        "stateDetails": run.details,
        "releaseLabel": run.application.release,
        "mode": "BATCH",
        "attempt": run.attempt,
    }


def _run_summary(run: Run) -> Shape:
    return {"id": run.id, "type": "SPARK", **_common(run)}


def _shape(run: Run) -> Shape:
    request = run.request
    shown: Shape = {"jobRunId": run.id, **_common(run), "tags": run.tags}
    for name in ("executionIamPolicy", "configurationOverrides", "jobDriver", "retryPolicy", "flexExecution"):
        if name in request:
            shown[name] = request[name]
    shown["executionTimeoutMinutes"] = request.get("executionTimeoutMinutes", 720)
    if "networkConfiguration" in run.application.settings:
        shown["networkConfiguration"] = run.application.settings["networkConfiguration"]
    if run.queued_seconds:
        shown["queuedDurationMilliseconds"] = int(run.queued_seconds * 1000)
    if run.started_at:
        shown["startedAt"] = run.started_at
    if run.over:
        total, billed = usage(run)
        shown |= {"totalResourceUtilization": total, "billedResourceUtilization": billed, "endedAt": run.ended_at}
        shown["totalExecutionDurationSeconds"] = int(run.ended_at - run.started_at) if run.started_at else 0
    return shown


def _listing(member: str, items: list[Shape], params: Shape) -> Shape:
    shown, token = page(items, params.get("maxResults") or 50, params.get("nextToken"), code="ValidationException")
    return {member: shown, **({"nextToken": token} if token else {})}
