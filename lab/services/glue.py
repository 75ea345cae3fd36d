# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS Glue, as far as its Spark jobs go: jobs, their tags, and runs that are started, listed and stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lab import policy
from lab.behaviours import Behaviour
from lab.errors import AwsError
from lab.messages import AuthorizationRequest
from lab.rules import rule
from lab.services import glue_runs
from lab.services.glue_runs import DPUS, RELEASES, Job, Run, Runs, role_arn_of
from lab.services.paging import page
from lab.spark.runs import spark_runs
from lab.world import Context, World

ONE_OF_A_NAME = rule(
    "glue-job-of-a-name",
    service="glue",
    says="CreateJob of a name that exists is IdempotentParameterMismatchException where anything differs; the same "
    "request again answers the name",
    fact="botocore's service model glue, the errors of CreateJob; users' reports of `Job already submitted with "
    "different configuration`; the second half is a guess",
    test="test_glue.py::test_a_job_of_a_name_is_made_once",
    confirmed=False,
)
ABSENT = rule(
    "glue-job-missing",
    service="glue",
    says="A job or run that does not exist is EntityNotFoundException, from StartJobRun `Failed to start job run due "
    "to missing metadata`; DeleteJob succeeds",
    fact="botocore's service model glue, DeleteJob; users' reports; the other texts are guesses",
    test="test_glue.py::test_what_does_not_exist",
)
PASSED = rule(
    "glue-role-is-passed",
    service="glue",
    says="CreateJob and UpdateJob need iam:PassRole on the job's role, with iam:PassedToService glue.amazonaws.com; "
    "StartJobRun does not",
    fact="AWS Service Authorization Reference, AWS Glue; jtblin/kube2iam#224 (the code); "
    "Hacking-the-Cloud/hackingthe.cloud#188",
    test="test_glue.py::test_the_role_is_passed_when_a_job_is_made",
)
TAGGED = rule(
    "glue-create-with-tags",
    service="glue",
    says="CreateJob with Tags needs glue:TagResource as well",
    fact="AWS Glue developer guide, Tags in AWS Glue; other services do so",
    test="test_glue.py::test_tags",
    confirmed=False,
)
WORKERS = rule(
    "glue-workers",
    service="glue",
    says="NumberOfWorkers is 2 or more and comes with a WorkerType, not with MaxCapacity; FLEX has G.1X and G.2X only",
    fact="spark.md 2; the texts, and 10 workers G.1X where none are given, are guesses",
    test="test_glue.py::test_workers",
)
VERSION = rule(
    "glue-version",
    service="glue",
    says="Where GlueVersion is left out or auto, a job has 6.0 or 5.1: sources disagree. The lab runs these two",
    fact="spark.md 2 (botocore 1.44.8 against the developer guide)",
    test="test_glue.py::test_versions",
    confirmed=False,
)
TIMEOUT = rule(
    "glue-timeout-minutes",
    service="glue",
    says="Timeout is 480 minutes unless given, and 10,080 at most",
    fact="spark.md 2; the text is a guess",
    test="test_glue.py::test_timeouts",
)
CONCURRENT = rule(
    "glue-concurrent-runs",
    service="glue",
    says="More runs of a job at once than its MaxConcurrentRuns (1 unless given) are ConcurrentRunsExceededException; "
    "with JobRunQueuingEnabled the run is WAITING instead",
    fact="aws-solutions/amazon-marketing-cloud-uploader-from-aws#51; AWS Glue developer guide, AWS Glue job run "
    "statuses (that queuing is for this limit too is a guess)",
    test="test_glue.py::test_concurrent_runs",
)
ARGUMENTS = rule(
    "glue-arguments-limited",
    service="glue",
    says="Arguments of a run of more than 260 KB are InvalidInputException: `Request size limit exceeded`",
    fact="spark.md 2 (AWS Glue developer guide, job parameters); awsdocs/aws-glue-developer-guide#55",
    test="test_glue.py::test_arguments_are_limited",
)
TEMP_DIR = rule(
    "glue-temp-dir",
    service="glue",
    says="A run without --TempDir makes a bucket of its own in the account; the lab makes none and refuses the run",
    fact="spark.md 2 (AWS Glue developer guide, job parameters: the bucket might permit public access)",
    test="test_glue.py::test_a_run_needs_a_temp_dir",
)
NARROWED = rule(
    "glue-session-policy",
    service="glue",
    says="ExecutionRoleSessionPolicy has at most 2,048 characters, is an IAM policy, and narrows the role of its run",
    fact="botocore's service model glue, StartJobRun; that a malformed one is InvalidInputException is a guess",
    test="test_glue.py::test_the_session_policy",
)
LISTED = rule(
    "glue-runs-listed",
    service="glue",
    says="GetJobRuns gives the newest first, at most 200 a page (100 unless asked is a guess), for 90 days",
    fact="spark.md 2 (botocore's service model glue; AWS Glue developer guide)",
    test="test_glue.py::test_runs_are_listed_newest_first",
)
STOPPED = rule(
    "glue-stop",
    service="glue",
    says="BatchStopJobRun takes 1 to 25 runs, which are STOPPING and then STOPPED; those that have ended or do not "
    "exist are among its Errors",
    fact="botocore's service model glue, BatchStopJobRun; the errors' codes and texts are guesses",
    test="test_glue.py::test_runs_are_stopped",
)

BEHAVIOURS = (
    Behaviour("glue.arguments_in_answers", ("present", "missing")),
    Behaviour("glue.default_version", ("6.0", "5.1")),
)
MOST_ARGUMENTS = 260 * 1024
MOST_MINUTES, USUAL_MINUTES = 10_080, 480
KEPT_SECONDS = 90 * 86400
RUNS_PER_JOB, RUNS_PER_ACCOUNT = "glue.runs_per_job", "glue.runs_per_account"
_PAGE = 100
_FLEX = ("G.1X", "G.2X")
_OF_A_RUN = ("Timeout", "WorkerType", "NumberOfWorkers", "ExecutionClass", "SecurityConfiguration")
Shape = dict[str, Any]


class GlueService:
    """The service behind the gate."""

    name = "glue"
    locks_itself: frozenset[str] = frozenset()

    def __init__(self, world: World) -> None:
        self._world = world
        world.behaviours.define(BEHAVIOURS)
        world.define_quotas({RUNS_PER_JOB: 4000, RUNS_PER_ACCOUNT: 2000})
        spark_runs(world)  # its open questions can be answered before the first run
        self._jobs: dict[tuple[str, str, str], Job] = {}
        self._deleted: list[Job] = []
        self._runs = Runs(world, self._all_jobs)
        self._handlers: Mapping[str, Callable[[Context, Shape], Shape]] = {
            "CreateJob": self._create,
            "GetJob": lambda context, params: {"Job": self._job_shape(self._job(context, params["JobName"]))},
            "GetJobs": self._list,
            "UpdateJob": self._update,
            "DeleteJob": self._delete,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "GetTags": lambda context, params: {"Tags": dict(self._tagged(context, params).tags)},
            "StartJobRun": self._start,
            "GetJobRun": self._get_run,
            "GetJobRuns": self._list_runs,
            "BatchStopJobRun": self._stop,
        }

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """The caller's own policies decide, on the job; a role is passed with a job's definition."""
        needed = [AuthorizationRequest(f"glue:{operation}", self._resource(context, operation, params))]
        role = params.get("JobUpdate", params).get("Role")
        if role is not None:
            role_arn = role_arn_of(self._world, context.account_id, role)
            passed = {"iam:PassedToService": glue_runs.SERVICE}
            needed.append(AuthorizationRequest("iam:PassRole", role_arn, conditions=passed, refusal=_not_passed))
        if operation == "CreateJob" and params.get("Tags"):
            needed.append(AuthorizationRequest("glue:TagResource", needed[0].resource_arn))
        return needed

    @staticmethod
    def _resource(context: Context, operation: str, params: Shape) -> str:
        if operation == "GetJobs":
            return "*"
        name = params.get("JobName") or params.get("Name", "")
        return str(params.get("ResourceArn") or context.arn(f"job/{name}"))

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Do ``operation``; parameters and answer as boto3's."""
        handler = self._handlers.get(operation)
        if handler is None:
            raise AwsError("InvalidInputException", f"The lab's Glue has no {operation}.")
        return handler(context, params)

    # Jobs

    def _all_jobs(self) -> Iterator[Job]:
        """Every job, with deleted ones, whose runs go on."""
        yield from self._jobs.values()
        yield from self._deleted

    def _job(self, context: Context, name: str) -> Job:
        job = self._jobs.get((context.account_id, context.region, name))
        if job is None:
            raise ABSENT.error("EntityNotFoundException", f"Job {name} not found.")
        return job

    def _create(self, context: Context, params: Shape) -> Shape:
        name, tags = params["Name"], params.get("Tags", {})
        given = {key: value for key, value in params.items() if key not in ("Name", "Tags")}
        definition = self._checked(context, given)
        place = (context.account_id, context.region, name)
        known = self._jobs.get(place)
        if known is not None:
            if (known.definition, known.tags) != (definition, tags):
                text = f"Job with name '{name}' already submitted with different configuration"
                raise ONE_OF_A_NAME.error("IdempotentParameterMismatchException", text)
            return {"Name": name}
        now = self._world.clock.now()
        self._jobs[place] = Job(*place[2:], *place[:2], context.arn(f"job/{name}"), definition, now, now, dict(tags))
        return {"Name": name}

    def _update(self, context: Context, params: Shape) -> Shape:
        job = self._job(context, params["JobName"])
        update = params["JobUpdate"]
        for member in ("Role", "Command"):
            if member not in update:
                raise AwsError("InvalidInputException", f"{member} cannot be null or empty.")
        job.definition = self._checked(context, dict(update))
        job.modified_at = self._world.clock.now()
        return {"JobName": job.name}

    def _delete(self, context: Context, params: Shape) -> Shape:
        job = self._jobs.pop((context.account_id, context.region, params["JobName"]), None)
        if job is not None:
            self._deleted.append(job)
        return {"JobName": params["JobName"]}

    def _list(self, context: Context, params: Shape) -> Shape:
        here = [
            job for job in self._jobs.values() if (job.account_id, job.region) == (context.account_id, context.region)
        ]
        jobs = [self._job_shape(job) for job in sorted(here, key=lambda job: job.name)]
        shown, token = page(
            jobs, params.get("MaxResults") or _PAGE, params.get("NextToken"), code="InvalidInputException"
        )
        return {"Jobs": shown, **({"NextToken": token} if token else {})}

    def _checked(self, context: Context, given: Shape) -> Shape:
        """A job's definition with its defaults, or the refusal."""
        command = given["Command"]
        script = command.get("ScriptLocation", "")
        if command.get("Name") != "glueetl":
            raise AwsError("InvalidInputException", "The lab's Glue runs Spark jobs only (glueetl).")
        if not script.startswith("s3://") or "/" not in script[5:]:
            raise AwsError("InvalidInputException", f"ScriptLocation {script!r} is not an S3 URI.")
        definition = {
            "ExecutionProperty": {"MaxConcurrentRuns": 1},
            "MaxRetries": 0,
            "Timeout": USUAL_MINUTES,
            "ExecutionClass": "STANDARD",
            "JobRunQueuingEnabled": False,
            **given,
        }
        version = given.get("GlueVersion", "auto")
        definition["GlueVersion"] = self._world.behaviours["glue.default_version"] if version == "auto" else version
        if definition["GlueVersion"] not in RELEASES:
            raise VERSION.error(
                "InvalidInputException", f"The lab runs Glue {' and '.join(RELEASES)}, not {definition['GlueVersion']}."
            )
        _check_size(definition)
        if definition["ExecutionProperty"].setdefault("MaxConcurrentRuns", 1) > self._world.quota(
            context.account_id, RUNS_PER_JOB
        ):
            text = "The maximum number of concurrent runs of a job is exceeded."
            raise CONCURRENT.error("ResourceNumberLimitExceededException", text)
        return definition

    def _job_shape(self, job: Job) -> Shape:
        return {
            "Name": job.name,
            "JobMode": "SCRIPT",
            **job.definition,
            **_capacity(job.definition),
            "CreatedOn": job.created_at,
            "LastModifiedOn": job.modified_at,
        }

    # Tags

    def _tagged(self, context: Context, params: Shape) -> Job:
        arn = params["ResourceArn"]
        job = self._jobs.get((context.account_id, context.region, arn.partition(":job/")[2]))
        if job is None or job.arn != arn:
            raise ABSENT.error("EntityNotFoundException", f"Entity {arn} not found.")
        return job

    def _tag(self, context: Context, params: Shape) -> Shape:
        self._tagged(context, params).tags |= params["TagsToAdd"]
        return {}

    def _untag(self, context: Context, params: Shape) -> Shape:
        job = self._tagged(context, params)
        job.tags = {key: value for key, value in job.tags.items() if key not in params["TagsToRemove"]}
        return {}

    # Runs

    def _start(self, context: Context, params: Shape) -> Shape:
        job = self._jobs.get((context.account_id, context.region, params["JobName"]))
        if job is None:
            raise ABSENT.error("EntityNotFoundException", "Failed to start job run due to missing metadata.")
        definition = {**job.definition, **{name: params[name] for name in _OF_A_RUN if name in params}}
        if "MaxCapacity" in params or "AllocatedCapacity" in params:
            raise _of_workers("Give WorkerType and NumberOfWorkers instead of a capacity.")
        _check_size(definition)
        arguments = dict(params.get("Arguments", {}))
        if len(json.dumps(arguments, ensure_ascii=False).encode()) > MOST_ARGUMENTS:
            raise ARGUMENTS.error("InvalidInputException", "Request size limit exceeded")
        session_policy = params.get("ExecutionRoleSessionPolicy", "")
        if session_policy:
            _check_policy(session_policy)
        now, queued = self._world.clock.now(), params.get("JobRunQueuingEnabled", definition["JobRunQueuingEnabled"])
        run = Run(self._runs.new_id(), job, definition, arguments, now, session_policy, queued)
        if "JobRunId" in params:
            before = self._run(job, params["JobRunId"])
            run.previous, run.attempt = before.id, before.attempt + 1
            run.arguments = arguments or dict(before.arguments)
        if not glue_runs.merged(run).get("--TempDir"):
            raise TEMP_DIR.error(
                "InvalidInputException",
                f"Job {job.name} has no --TempDir: AWS Glue would make a bucket for it, the lab does not.",
            )
        self._check_numbers(context, job, queued)
        run.fault = self._world.faults.take("job_failure", "glue.StartJobRun", params, context.account_id)
        self._runs.begin(run)
        return {"JobRunId": run.id}

    def _check_numbers(self, context: Context, job: Job, queued: bool) -> None:
        """Refuse a run that would be one too many, unless it may wait."""
        if queued:
            return
        if len(job.active()) >= job.most_runs:
            raise CONCURRENT.error("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {job.name}")
        here = [each for each in self._all_jobs() if (each.account_id, each.region) == (job.account_id, job.region)]
        going_on = sum(len(each.active()) for each in here)
        if self._world.quotas and going_on >= self._world.quota(context.account_id, RUNS_PER_ACCOUNT):
            raise CONCURRENT.error("ResourceNumberLimitExceededException", "Max concurrent job runs exceeded")

    def _kept(self, job: Job) -> list[Run]:
        """The runs that are still known, newest first."""
        oldest = self._world.clock.now() - KEPT_SECONDS
        return [run for run in reversed(job.runs) if run.started_at >= oldest]

    def _run(self, job: Job, run_id: str) -> Run:
        run = next((run for run in self._kept(job) if run.id == run_id), None)
        if run is None:
            raise ABSENT.error("EntityNotFoundException", f"Job run {run_id} of job {job.name} not found.")
        return run

    def _get_run(self, context: Context, params: Shape) -> Shape:
        return {"JobRun": self._run_shape(self._run(self._job(context, params["JobName"]), params["RunId"]))}

    def _list_runs(self, context: Context, params: Shape) -> Shape:
        runs = self._kept(self._job(context, params["JobName"]))
        token = params.get("NextToken")
        if token is not None:
            # A token names the last run that was shown: newer ones move nothing.
            ids = [run.id for run in runs]
            if token not in ids:
                raise AwsError("InvalidInputException", "The continuation token is invalid.")
            runs = runs[ids.index(token) + 1 :]
        size = params.get("MaxResults") or _PAGE
        shown = runs[:size]
        more = {"NextToken": shown[-1].id} if len(runs) > size else {}
        return {"JobRuns": [self._run_shape(run) for run in shown], **more}

    def _stop(self, context: Context, params: Shape) -> Shape:
        name = params["JobName"]
        job = self._jobs.get((context.account_id, context.region, name))
        known = {run.id: run for run in self._kept(job)} if job is not None else {}
        done: list[Shape] = []
        errors: list[Shape] = []
        for run_id in params["JobRunIds"]:
            shown, run = {"JobName": name, "JobRunId": run_id}, known.get(run_id)
            if run is None:
                detail = {"ErrorCode": "EntityNotFoundException", "ErrorMessage": "Entity not found"}
                errors.append({**shown, "ErrorDetail": detail})
            elif run.state in glue_runs.ENDED:
                text = f"Job run {run_id} cannot be stopped: it is {run.state}."
                errors.append({**shown, "ErrorDetail": {"ErrorCode": "InvalidInputException", "ErrorMessage": text}})
            else:
                self._runs.stop(run)
                done.append(shown)
        return {"SuccessfulSubmissions": done, "Errors": errors}

    def _run_shape(self, run: Run) -> Shape:
        given = run.definition
        shape: Shape = {
            "Id": run.id,
            "Attempt": run.attempt,
            "JobName": run.job.name,
            "JobMode": "SCRIPT",
            "JobRunQueuingEnabled": run.queued,
            "StartedOn": run.started_at,
            "LastModifiedOn": run.modified_at,
            "JobRunState": run.state,
            "PredecessorRuns": [],
            "ExecutionTime": run.seconds(self._world.clock.now()),
            "Timeout": given["Timeout"],
            "ExecutionClass": given["ExecutionClass"],
            "GlueVersion": given["GlueVersion"],
            "LogGroupName": "/aws-glue/jobs",
            "WorkerType": given["WorkerType"],
            "NumberOfWorkers": given["NumberOfWorkers"],
            **_capacity(given),
        }
        optional = {
            "PreviousRunId": run.previous,
            "CompletedOn": run.ended_at,
            "ErrorMessage": run.message,
            "StateDetail": run.detail,
            "ExecutionRoleSessionPolicy": run.session_policy,
            "SecurityConfiguration": given.get("SecurityConfiguration"),
        }
        shape |= {name: value for name, value in optional.items() if value}
        if run.arguments and self._world.behaviours["glue.arguments_in_answers"] == "present":
            shape["Arguments"] = dict(run.arguments)
        if given["ExecutionClass"] == "FLEX":
            shape["DPUSeconds"] = float(shape["ExecutionTime"] * run.dpus)
        return shape


def _not_passed(message: str) -> AwsError:
    return PASSED.error("AccessDeniedException", message)


def _of_workers(text: str) -> AwsError:
    return WORKERS.error("InvalidInputException", text)


def _check_size(definition: Shape) -> None:
    """Refuse sizes and times that Glue does not run; fills in the usual workers where none are given."""
    if "MaxCapacity" in definition or "AllocatedCapacity" in definition:
        raise _of_workers("Please do not set Max Capacity when using Worker Type and Number of Workers.")
    if ("WorkerType" in definition) != ("NumberOfWorkers" in definition):
        raise _of_workers("WorkerType and NumberOfWorkers are given together.")
    definition.setdefault("WorkerType", "G.1X")
    definition.setdefault("NumberOfWorkers", 10)
    kind = definition["WorkerType"]
    if kind not in DPUS:
        raise _of_workers(f"Worker type {kind} is not supported for glueetl jobs of this version.")
    if definition["NumberOfWorkers"] < 2:
        raise _of_workers("Number of workers must be at least 2.")
    if definition["ExecutionClass"] == "FLEX" and kind not in _FLEX:
        raise _of_workers(f"Execution class FLEX is not supported with worker type {kind}.")
    if definition["Timeout"] > MOST_MINUTES:
        raise TIMEOUT.error("InvalidInputException", f"Timeout must not exceed {MOST_MINUTES} minutes.")


def _check_policy(document: str) -> None:
    try:
        policy.parse(document)
    except AwsError as error:
        raise NARROWED.error("InvalidInputException", f"ExecutionRoleSessionPolicy: {error.message}") from None


def _capacity(definition: Shape) -> Shape:
    capacity = DPUS[definition["WorkerType"]] * definition["NumberOfWorkers"]
    return {"MaxCapacity": float(capacity), "AllocatedCapacity": int(capacity)}
