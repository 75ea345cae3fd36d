# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of each engine, against botocore's models, and how a run is found again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session
from botocore.validate import validate_parameters

from ansible_collections.tableferry.aws.plugins.module_utils.core.aws_errors import is_slot
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidInput, NotOurs
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import SparkChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.emr_cluster import EmrCluster, EmrStep
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.emr_serverless import EmrServerless
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.engine import (
    Engine,
    Found,
    Request,
    Started,
    Submission,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.glue import Glue

RUN = "0123456789" * 4
SINCE = datetime(2026, 10, 1, 12, 0, tzinfo=UTC)
SUBMISSION = Submission(
    run=RUN,
    table="orders",
    migration_id="default",
    plan="s3://b/tableferry/spark/x/plan.json",
    script="s3://b/tableferry/spark/tableferry-1.py",
    package="s3://b/tableferry/spark/tableferry-2.zip",
    logs="s3://b/tableferry/spark/logs/",
    role_arn="arn:aws:iam::222222222222:role/tableferry-spark",
    policy="{}",
    choices=SparkChoices(cluster_id="j-1"),
    tags={"team": "data", "tableferry:migration": "default"},
)
ENGINES: Sequence[Engine] = (Glue(), EmrServerless(), EmrStep(), EmrCluster())
SESSION = Session()

Answer = dict[str, Any] | Exception | Callable[[dict[str, Any]], dict[str, Any]]


class Clients:
    """An account whose calls are checked against the service's model and answered from a list for each operation."""

    partition, region, account_id = "aws", "eu-west-1", "222222222222"

    def __init__(self, **answers: Answer | list[Answer]) -> None:
        self.answers = {name: list(each) if isinstance(each, list) else [each] for name, each in answers.items()}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def client(self, service: str, retries: int = 1) -> _Client:
        return _Client(self, service)

    def asked(self, operation: str) -> list[dict[str, Any]]:
        return [request for name, request in self.calls if name == operation]


class _Client:
    def __init__(self, clients: Clients, service: str) -> None:
        self._clients, self._model = clients, SESSION.get_service_model(service)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = next(each for each in self._model.operation_names if _snake(each) == name)

        def call(**request: Any) -> Any:
            validate_parameters(request, self._model.operation_model(operation).input_shape)
            self._clients.calls.append((operation, request))
            answer = self._clients.answers[name].pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def refused(code: str, operation: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def nothing_written() -> Started | None:
    return None


# All


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_a_request_fits_the_model_and_is_written_down_whole(engine: Engine) -> None:
    begun: dict[str, Answer | list[Answer]] = {
        "glue": {"start_job_run": {"JobRunId": "id"}},
        "emr_serverless": {"start_job_run": {"jobRunId": "id"}},
        "emr_step": {"add_job_flow_steps": {"StepIds": ["id"]}},
        "emr_cluster": {"run_job_flow": {"JobFlowId": "id"}},
    }[engine.name]  # type: ignore[assignment]
    clients = Clients(**begun)
    request = engine.request(SUBMISSION, "scope")
    assert Request.from_dict(request.to_dict()) == request
    assert engine.begin(clients, Request.from_dict(request.to_dict())) == "id"  # type: ignore[arg-type]
    ((_operation, sent),) = clients.calls
    # Arguments stand in logs: where the plan is and the token, and with the package's place nothing else.
    assert str(sent).count("s3://b/tableferry/spark/x/plan.json") == 1
    assert "orders" not in str(sent)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ConcurrentRunsExceededException", "Concurrent runs exceeded for tableferry"),
        ("ResourceNumberLimitExceededException", ""),
        ("ConflictException", "Application is STOPPING"),
    ],
)
def test_a_full_quota_is_waited_for(code: str, message: str) -> None:
    assert is_slot(refused(code, "StartJobRun", message))
    assert not is_slot(refused(code, "CreateJob", message))


def test_a_full_cluster_is_waited_for() -> None:
    words = "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') for cluster exceeded."
    assert is_slot(refused("ValidationException", "AddJobFlowSteps", words))
    assert not is_slot(refused("ValidationException", "AddJobFlowSteps", "Cluster is terminated"))


# Glue


OURS = {"tableferry:migration": "default"}
APPLICATION = "arn:aws:emr-serverless:eu-west-1:222222222222:/applications/00f1"


def made_job(**changes: Any) -> dict[str, Any]:
    clients = Clients(get_job=refused("EntityNotFoundException", "GetJob"), create_job={"Name": "n"})
    Glue().place(clients, SUBMISSION)  # type: ignore[arg-type]
    (job,) = clients.asked("CreateJob")
    return {**job, **changes}


def test_a_glue_job_is_made_once_for_each_package_and_role() -> None:
    job = made_job()
    assert job["Role"] == SUBMISSION.role_arn
    assert job["GlueVersion"] == "5.1"  # AWS's documents differ about the default
    assert job["DefaultArguments"]["--TempDir"].startswith("s3://b/")
    assert job["Tags"] == SUBMISSION.tags
    there = Clients(get_job={"Job": job}, get_tags={"Tags": OURS})
    assert Glue().place(there, SUBMISSION) == job["Name"]  # type: ignore[arg-type]
    assert [name for name, _request in there.calls] == ["GetJob", "GetTags"]
    for other in (
        replace(SUBMISSION, package="s3://b/tableferry/spark/tableferry-3.zip"),
        replace(SUBMISSION, role_arn="arn:aws:iam::222222222222:role/other"),
        replace(SUBMISSION, choices=SparkChoices(release="6.0")),
    ):
        clients = Clients(get_job=refused("EntityNotFoundException", "GetJob"), create_job={"Name": "n"})
        assert Glue().place(clients, other) != job["Name"]  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["AlreadyExistsException", "IdempotentParameterMismatchException"])
def test_two_controllers_may_make_the_glue_job_at_once(code: str) -> None:
    job = made_job()
    clients = Clients(
        get_job=[refused("EntityNotFoundException", "GetJob"), {"Job": job}],
        create_job=refused(code, "CreateJob"),
        get_tags={"Tags": OURS},  # its user wants no others
    )
    assert Glue().place(clients, SUBMISSION) == job["Name"]  # type: ignore[arg-type]


@pytest.mark.parametrize("tags", [{}, {"tableferry:migration": "another"}])
def test_a_glue_job_of_somebody_else_is_refused(tags: dict[str, str]) -> None:
    clients = Clients(get_job={"Job": made_job()}, get_tags={"Tags": tags})
    with pytest.raises(NotOurs, match="somebody else has made it") as error:
        Glue().place(clients, SUBMISSION)  # type: ignore[arg-type]
    assert made_job()["Name"] in error.value.cause


def test_who_may_not_read_tags_goes_by_the_name() -> None:
    job = made_job()
    clients = Clients(get_job={"Job": job}, get_tags=refused("AccessDeniedException", "GetTags"))
    assert Glue().place(clients, SUBMISSION) == job["Name"]  # type: ignore[arg-type]
    application = {"id": "a", "name": "", "arn": APPLICATION, "createdAt": SINCE}
    made = Clients(list_applications={"applications": []}, create_application={"applicationId": "a"})
    EmrServerless().place(made, SUBMISSION)  # type: ignore[arg-type]
    application["name"] = made.asked("CreateApplication")[0]["name"]
    clients = Clients(
        list_applications={"applications": [application]},
        list_tags_for_resource=refused("AccessDeniedException", "ListTagsForResource"),
    )
    assert EmrServerless().place(clients, SUBMISSION) == "a"  # type: ignore[arg-type]


def test_check_mode_makes_no_glue_job() -> None:
    clients = Clients(get_job=refused("EntityNotFoundException", "GetJob"))
    assert Glue().place(clients, SUBMISSION, make=False) == ""  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"Role": "arn:aws:iam::222222222222:role/other"},
        {"Command": {"Name": "glueetl", "ScriptLocation": "s3://elsewhere/x.py"}},
        {"DefaultArguments": {}},
    ],
)
def test_a_glue_job_that_somebody_changed_is_not_used(changes: dict[str, Any]) -> None:
    clients = Clients(get_job={"Job": made_job(**changes)}, get_tags={"Tags": OURS})
    with pytest.raises(NotOurs, match="was changed"):
        Glue().place(clients, SUBMISSION)  # type: ignore[arg-type]


def glue_run(number: int, minutes: float, run: str = "", state: str = "RUNNING") -> dict[str, Any]:
    arguments = {"Arguments": {"--run": run, "--plan": "s3://b/k"}} if run else {}
    started = SINCE + timedelta(minutes=minutes)
    return {"Id": f"jr_{number}", "StartedOn": started, "JobRunState": state, **arguments}


def found(runs: Sequence[Sequence[dict[str, Any]]], started: Callable[[], Started | None] = nothing_written) -> Found:
    pages: list[Answer] = [{"JobRuns": list(page), "NextToken": "more"} for page in runs]
    pages[-1] = {"JobRuns": list(runs[-1])}
    clients = Clients(get_job_runs=pages)
    return Glue().find(clients, Glue().request(SUBMISSION, "job"), SINCE, started)  # type: ignore[arg-type]


def test_a_run_of_glue_is_found_by_the_token_in_its_arguments() -> None:
    assert found([[glue_run(3, 9, "x"), glue_run(2, 8, RUN)]]) == Found("jr_2")
    assert found([[glue_run(3, 9, "x")], [glue_run(2, 8, RUN)]]) == Found("jr_2")
    assert found([[glue_run(3, 9, "x")]]) == Found()


def test_runs_from_before_the_intention_are_not_read() -> None:
    old = glue_run(1, -10, RUN)
    endless: list[Sequence[dict[str, Any]]] = [[glue_run(3, 9, "x"), old], [old]]
    assert found(endless) == Found()  # the second page is not asked for: the list would have another answer


def test_without_arguments_a_run_of_glue_is_found_by_what_its_job_wrote() -> None:
    nameless = [[glue_run(3, 9), glue_run(2, 8)]]
    assert found(nameless, lambda: Started("jr_2")) == Found("jr_2")
    # Nobody knows whose a run is that goes on and whose job has written nothing yet, or not its id.
    assert found(nameless) == Found(unclear=True)
    assert found(nameless, lambda: Started("")) == Found(unclear=True)
    # Those that have ended wrote nothing of this run.
    assert found([[glue_run(3, 9, state="FAILED")]]) == Found()
    assert found([[glue_run(3, 9, state="STOPPED"), glue_run(2, 8, RUN)]]) == Found("jr_2")


@pytest.mark.parametrize(
    ("run", "state", "full"),
    [
        ({"JobRunState": "SUCCEEDED"}, "completed", False),
        ({"JobRunState": "FAILED", "ErrorMessage": "Error Category: UNCLASSIFIED_ERROR"}, "failed", False),
        ({"JobRunState": "FAILED", "ErrorMessage": "Exceeded maximum concurrent compute capacity"}, "failed", True),
        ({"JobRunState": "FAILED", "ErrorMessage": "Resource unavailable: retry later"}, "failed", True),
        ({"JobRunState": "TIMEOUT"}, "failed", False),
        ({"JobRunState": "STOPPED"}, "cancelled", False),
        ({"JobRunState": "WAITING", "StateDetail": "waiting for capacity"}, "running", False),
        ({"JobRunState": "STOPPING"}, "running", False),
    ],
)
def test_a_run_of_glue_says_how_it_stands(run: dict[str, Any], state: str, full: bool) -> None:
    clients = Clients(get_job_run={"JobRun": {**run, "ExecutionTime": 90, "MaxCapacity": 2.0}})
    status = Glue().describe(clients, "job", "jr_1")  # type: ignore[arg-type]
    assert (status.state, status.full) == (state, full)
    assert status.cost == {"seconds": 90.0, "dpu_hours": 0.05}
    if run["JobRunState"] == "TIMEOUT":
        assert "timeout" in status.message


# EMR


def test_an_application_is_the_users_or_the_migrations_or_made() -> None:
    engine = EmrServerless()
    given = replace(SUBMISSION, choices=SparkChoices(application_id="00f1"))
    assert engine.place(Clients(), given) == "00f1"  # type: ignore[arg-type]
    clients = Clients(list_applications={"applications": []}, create_application={"applicationId": "new"})
    assert engine.place(clients, SUBMISSION) == "new"  # type: ignore[arg-type]
    (made,) = clients.asked("CreateApplication")
    assert made["tags"] == SUBMISSION.tags
    named = [
        {"id": name, "name": made["name"], "arn": APPLICATION, "createdAt": SINCE + timedelta(days=day)}
        for name, day in (("b", 2), ("a", 1), ("of somebody else", 0))
    ]
    other = {"id": "c", "name": "tableferry", "arn": APPLICATION, "createdAt": SINCE - timedelta(days=1)}
    there = Clients(
        list_applications=[{"applications": [other, named[0]], "nextToken": "t"}, {"applications": named[1:]}],
        list_tags_for_resource=[{"tags": {}}, {"tags": OURS}],
    )
    assert engine.place(there, SUBMISSION) == "a"  # type: ignore[arg-type]
    nothing = Clients(list_applications={"applications": []})
    assert engine.place(nothing, SUBMISSION, make=False) == ""  # type: ignore[arg-type]


def test_sizes_are_in_the_request_and_nothing_grows_by_itself() -> None:
    submitted = EmrServerless().request(replace(SUBMISSION, choices=SparkChoices(workers=3)), "app").call
    parameters = submitted["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]
    assert "spark.executor.instances=2" in parameters
    assert "spark.dynamicAllocation.enabled=false" in parameters
    assert submitted["executionIamPolicy"] == {"policy": "{}"}
    assert submitted["clientToken"] == RUN
    assert submitted["tags"] == SUBMISSION.tags


def test_the_release_of_the_users_application_is_asked_for() -> None:
    named = replace(SUBMISSION, choices=SparkChoices(application_id="00f1"))
    clients = Clients(get_application={"application": {"releaseLabel": "emr-spark-8.1.0"}})
    fitted = EmrServerless().fitted(clients, named)  # type: ignore[arg-type]
    assert "PYSPARK_PYTHON" not in str(EmrServerless().request(fitted, "00f1").call)
    assert "PYSPARK_PYTHON" in str(EmrServerless().request(named, "00f1").call)
    denied = Clients(get_application=refused("AccessDeniedException", "GetApplication"))
    assert EmrServerless().fitted(denied, named) == named  # type: ignore[arg-type]
    given = replace(named, choices=replace(named.choices, release="emr-7.13.0"))
    assert EmrServerless().fitted(Clients(), given) == given  # type: ignore[arg-type]
    assert EmrServerless().fitted(Clients(), SUBMISSION) == SUBMISSION  # type: ignore[arg-type]


def cluster_of(security: str, runtime_roles: bool = True) -> Clients:
    iam = {"IAMConfiguration": {"EnableApplicationScopedIAMRole": runtime_roles}}
    content = json.dumps({"AuthorizationConfiguration": iam})
    return Clients(
        describe_cluster={"Cluster": {"ReleaseLabel": "emr-spark-8.1.0", "SecurityConfiguration": security}},
        describe_security_configuration={"Name": security, "SecurityConfiguration": content},
    )


@pytest.mark.parametrize(("clients", "takes"), [
    (cluster_of("own"), True), (cluster_of("own", False), False), (cluster_of(""), False),
])  # fmt: skip
def test_a_step_has_a_role_where_its_cluster_takes_one(clients: Clients, takes: bool) -> None:
    fitted = EmrStep().fitted(clients, SUBMISSION)  # type: ignore[arg-type]
    call = EmrStep().request(fitted, "j-1").call
    assert call.get("ExecutionRoleArn") == (SUBMISSION.role_arn if takes else None)
    assert "PYSPARK_PYTHON" not in str(call)


def test_a_role_that_a_cluster_does_not_take_is_refused() -> None:
    choices = SparkChoices(cluster_id="j-1", role_arn="arn:aws:iam::222222222222:role/own")
    with pytest.raises(InvalidInput, match="takes no role"):
        EmrStep().fitted(cluster_of(""), replace(SUBMISSION, choices=choices))  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="runs the job as EMR_EC2_DefaultRole"):
        EmrCluster().fitted(Clients(), replace(SUBMISSION, choices=replace(choices, cluster_id="")))  # type: ignore[arg-type]
    assert "StepExecutionRoleArn" not in EmrCluster().request(SUBMISSION, "").call


@pytest.mark.parametrize("denied", ["describe_cluster", "describe_security_configuration"])
def test_who_may_not_look_at_a_cluster_names_the_role(denied: str) -> None:
    clients = cluster_of("own")
    clients.answers[denied] = [refused("AccessDeniedException", denied)]
    fitted = EmrStep().fitted(clients, SUBMISSION)  # type: ignore[arg-type]
    assert EmrStep().request(fitted, "j-1").call["ExecutionRoleArn"] == SUBMISSION.role_arn


def pages_of_emr(engine: Engine, name: str, created: datetime) -> dict[str, Answer | list[Answer]]:
    """What the engine lists: one run with ``name``, made then."""
    status = {"State": "RUNNING", "Timeline": {"CreationDateTime": created}}
    return {
        "emr_serverless": {
            "list_job_runs": [{"jobRuns": [], "nextToken": "t"}, {"jobRuns": [{"id": "r", "name": name}]}]
        },
        "emr_step": {"list_steps": [{"Steps": [{"Id": "r", "Name": name, "Status": status}]}]},
        "emr_cluster": {"list_clusters": [{"Clusters": [], "Marker": "m"}, {"Clusters": [{"Id": "r", "Name": name}]}]},
    }[engine.name]  # type: ignore[return-value]


@pytest.mark.parametrize("engine", ENGINES[1:], ids=lambda engine: engine.name)
def test_a_run_of_emr_is_found_by_its_name(engine: Engine) -> None:
    def find(name: str, created: datetime = SINCE) -> Found:
        clients = Clients(**pages_of_emr(engine, name, created))
        return engine.find(clients, engine.request(SUBMISSION, "scope"), SINCE, nothing_written)  # type: ignore[arg-type]

    assert find(SUBMISSION.name) == Found("r")
    assert find("other") == Found()


def test_older_steps_are_not_read() -> None:
    older = {"Id": "o", "Name": "x", "Status": {"Timeline": {"CreationDateTime": SINCE - timedelta(hours=1)}}}
    clients = Clients(list_steps=[{"Steps": [older], "Marker": "m"}])
    engine = EmrStep()
    assert engine.find(clients, engine.request(SUBMISSION, "j-1"), SINCE, nothing_written) == Found()  # type: ignore[arg-type]


def test_pages_say_how_the_runs_of_emr_stand() -> None:
    runs = {"SUCCESS": "completed", "QUEUED": "running", "CANCELLED": "cancelled", "FAILED": "failed"}
    clients = Clients(list_job_runs={"jobRuns": [{"id": state, "state": state} for state in runs], "nextToken": "t"})
    page = EmrServerless().page(clients, "app", "")  # type: ignore[arg-type]
    assert (page.states, page.next_token) == (runs, "t")
    steps = {"COMPLETED": "completed", "PENDING": "running", "CANCELLED": "cancelled", "INTERRUPTED": "failed"}
    clients = Clients(list_steps={"Steps": [{"Id": state, "Status": {"State": state}} for state in steps]})
    assert EmrStep().page(clients, "j-1", "").states == steps  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "code", "means"),
    [
        ("TERMINATED", "ALL_STEPS_COMPLETED", "completed"),
        ("TERMINATED", "USER_REQUEST", "cancelled"),
        ("TERMINATED_WITH_ERRORS", "STEP_FAILURE", "failed"),
        ("BOOTSTRAPPING", "", "running"),
    ],
)
def test_a_cluster_says_how_it_ended(state: str, code: str, means: str) -> None:
    status = {"State": state, "StateChangeReason": {"Code": code, "Message": "why"}}
    clients = Clients(describe_cluster={"Cluster": {"Status": status}})
    assert EmrCluster().describe(clients, "", "j-9").state == means  # type: ignore[arg-type]
    clients = Clients(list_clusters={"Clusters": [{"Id": "j-9", "Status": status}]})
    assert EmrCluster().page(clients, "", "").states == {"j-9": means}  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_a_run_can_be_stopped(engine: Engine) -> None:
    answers: Iterator[str] = iter(("batch_stop_job_run", "cancel_job_run", "cancel_steps", "terminate_job_flows"))
    clients = Clients(**{name: {} for name in answers})
    engine.stop(clients, "scope", "id-1")  # type: ignore[arg-type]
    ((_operation, request),) = clients.calls
    assert "id-1" in str(request)
