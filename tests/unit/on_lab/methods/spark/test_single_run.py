# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verbs of single runs on the lab: begun, found again, stopped; by a Spark whose jobs a test does, and by a real
one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from botocore.exceptions import ClientError, ReadTimeoutError

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    DestinationExists,
    FerryError,
    Held,
    InvalidInput,
    ItemRefused,
    JobTimeout,
    MissingTable,
    PrefixNotData,
    SparkJobFailed,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark import delivery, engines
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.engine import Request
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.permissions import ROLE
from ansible_collections.tableferry.aws.plugins.module_utils.glue import spark_runs as verb_runs
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import emr_job_run, glue_job_run
from ansible_collections.tableferry.aws.plugins.module_utils.spark.job import begin, write_share
from ansible_collections.tableferry.aws.plugins.module_utils.spark.package import Package
from ansible_collections.tableferry.aws.plugins.module_utils.spark.plan import JobPlan
from demo.tables import on_demand
from lab.client import running
from lab.landscape import DESTINATION
from lab.spark.runs import spark_runs
from tests.unit.glue.test_verbs import assert_documented
from tests.unit.lab.spark.conftest import spark
from tests.unit.lab.spark_fakes import FakeRuns
from tests.unit.on_lab.conftest import BUCKET, Crossing

__all__ = ["spark"]  # a fixture
ITEMS = 40  # items of a table


class Runs(Crossing):
    """A lab with the job's role, and the verbs as a task calls them."""

    fake: FakeRuns

    def __init__(self, lab: Any) -> None:
        super().__init__(lab)
        services = ["glue.amazonaws.com", "emr-serverless.amazonaws.com", "ec2.amazonaws.com"]
        trust = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
        role = lab.world.identity.add_role(
            DESTINATION, ROLE, json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )
        allowed = [
            "s3:GetObject", "s3:PutObject", "s3:ListBucket", "dynamodb:DescribeTable", "dynamodb:BatchWriteItem",
        ]  # fmt: skip
        statement = {"Effect": "Allow", "Action": allowed, "Resource": "*"}
        role.inline["job"] = json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    def prepare(self, name: str, items: int = ITEMS) -> dict[str, Any]:
        """The options for the export of a new table and an empty copy of it."""
        self.table(name, [{"id": {"S": f"{number:03d}"}} for number in range(items)])
        export = self.export(name)
        client = self.lab.client("dynamodb", "destination")
        client.create_table(TableName=name, **on_demand(("id", "S")))
        self.lab.advance(60)
        return {"name": name, "manifest_key": export.result["manifest_key"]}

    def call(self, verb: Any, options: dict[str, Any], *, check_mode: bool = False) -> dict[str, Any]:
        """The result of a task."""
        keys = self.lab.landscape["accounts"]["destination"]
        side = {name: keys[name] for name in ("access_key", "secret_key")}
        side |= {"region": self.region, "endpoint_url": self.lab.endpoint_url}
        checked = ArgumentSpecValidator(verb.SPEC, **verb.VERB.rules).validate(
            {"destination": side, "bucket": BUCKET, **options}
        )
        assert not checked.error_messages
        result: dict[str, Any] = verb.run(checked.validated_parameters, check_mode, lambda line: None)
        assert_documented(verb, result)
        return result

    def glue(self, options: dict[str, Any], **more: Any) -> dict[str, Any]:
        """The result of a task of glue_job_run."""
        return self.call(glue_job_run, options, **more)

    def plan_key(self) -> str:
        """The key of the last run's plan."""
        arguments = self.fake.runs[-1].submission.arguments
        return arguments[arguments.index("--plan") + 1].removeprefix(f"s3://{BUCKET}/")

    def work(self, monkeypatch: pytest.MonkeyPatch, *, files: int = 0, engine_run: str = "") -> None:
        """Do the job of a fake run, or only so many ``files`` of it, which then fails."""
        keys = self.lab.landscape["accounts"]["destination"]
        for name, value in {
            "AWS_ACCESS_KEY_ID": keys["access_key"],
            "AWS_SECRET_ACCESS_KEY": keys["secret_key"],
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.lab.endpoint_url,
        }.items():
            monkeypatch.setenv(name, value)
        run = self.fake.runs[-1]
        arguments = dict(zip(run.submission.arguments[::2], run.submission.arguments[1::2], strict=True))
        messages = begin(arguments["--plan"], arguments["--run"], 100, engine_run).messages()
        for message in messages[: files or None]:
            write_share(message)
        run.end("killed" if files else "")
        self.lab.advance(60)


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    """A lab whose Spark runs nothing."""
    with running(scale=0.0) as lab:
        made = Runs(lab)
        made.fake = FakeRuns(lab.world)
        spark_runs(lab.world).submit = made.fake.submit  # type: ignore[method-assign]
        yield made


@pytest.fixture
def fake(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """``runs``, without wheels, and with time that passes at once."""
    package = Package(b"zip")
    monkeypatch.setattr(delivery, "build", lambda wheels="": delivery.Payload(b"script", package))
    monkeypatch.setattr(Account, "sleep", lambda _account, seconds: runs.lab.advance(seconds))
    runs.fake.runs.clear()
    return runs


def failing(options: dict[str, Any], call: Callable[..., Any], kind: type[FerryError], match: str) -> FerryError:
    with pytest.raises(kind, match=match) as caught:
        call(options)
    return caught.value


def test_a_run_is_planned_begun_adopted_and_judged(fake: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    options = fake.prepare("one")
    planned = fake.glue(options, check_mode=True)
    assert (planned["changed"], planned["run"]["state"], planned["run"]["id"]) == (True, "planned", "")
    assert fake.fake.runs == []
    assert not list(fake.s3.list_objects_v2(Bucket=BUCKET, Prefix="tableferry/spark/").get("Contents", ()))
    begun = fake.glue(options)
    assert (begun["changed"], begun["run"]["state"], begun["totals"]) == (True, "running", {})
    assert begun["run"]["token"] == planned["run"]["token"]
    for adopted in (fake.glue(options, check_mode=True), fake.glue(options)):
        assert (adopted["changed"], adopted["changes"]) == (False, [])
        assert (adopted["run"]["id"], adopted["run"]["state"]) == (begun["run"]["id"], "running")
    assert len(fake.fake.runs) == 1
    fake.work(monkeypatch)
    done = fake.glue(options)
    assert (done["changed"], done["run"]["state"], done["run"]["id"]) == (False, "completed", begun["run"]["id"])
    assert (done["totals"]["read"], done["totals"]["written"], done["totals"]["refused"]) == (ITEMS, ITEMS, {})
    assert "dpu_hours" in done["run"]["cost"]  # 0 where the stand-in took no whole second
    assert fake.items("destination", "one") == fake.items("source", "one")
    plans = fake.s3.list_objects_v2(Bucket=BUCKET, Prefix="tableferry/spark/")["Contents"]
    assert [each["Key"] for each in plans if each["Key"].endswith("plan.json")] == []
    assert fake.glue({**options, "state": "absent"})["changed"] is False
    assert len(fake.fake.runs) == 1


def test_a_run_that_failed_is_followed_by_another_for_the_files_that_are_left(
    fake: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = fake.prepare("halfway", 200)
    first = fake.glue(options)
    fake.work(monkeypatch, files=1)
    again = fake.glue(options)
    assert again["changed"] and again["run"]["token"] != first["run"]["token"]
    fake.work(monkeypatch)
    assert fake.glue(options)["totals"]["written"] == 200
    assert len(fake.fake.runs) == 2


def test_a_run_with_a_token_of_the_users_is_begun_once(fake: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {**fake.prepare("token", 200), "run_token": "mine"}
    assert fake.glue(options)["run"]["token"] == "mine"
    fake.work(monkeypatch, files=1)
    error = failing(options, fake.glue, SparkJobFailed, "killed")
    assert "set run_token to another one than mine" in error.next_step
    assert len(fake.fake.runs) == 1


def test_a_run_is_stopped_without_waiting(fake: Runs) -> None:
    options = {**fake.prepare("stopped"), "state": "absent"}
    assert fake.glue(options)["run"]["state"] == "none"
    fake.glue({**options, "state": "present"})
    planned = fake.glue(options, check_mode=True)
    assert planned["changed"] and not fake.fake.runs[0].stopped
    assert fake.glue(options)["run"]["state"] == "stopping"
    assert fake.fake.runs[0].stopped
    fake.lab.advance(60)
    after = fake.glue(options)
    assert (after["changed"], after["run"]["state"]) == (False, "none")


def test_without_a_table_there_is_nothing_to_stop(fake: Runs) -> None:
    options = {"name": "nowhere", "manifest_key": "m", "state": "absent"}
    assert fake.glue(options)["changed"] is False
    failing({**options, "state": "present"}, fake.glue, MissingTable, "no table nowhere")


@pytest.mark.parametrize("arguments", ["present", "missing"])
def test_a_run_whose_answer_was_lost_is_found(fake: Runs, arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = fake.prepare(f"lost-{arguments}")
    fake.lab.choose_behaviours({"glue.arguments_in_answers": arguments})
    start, begun = engines.Glue.begin, []

    def losing(engine: engines.Glue, account: Account, request: Request) -> str:
        begun.append(start(engine, account, request))
        raise ReadTimeoutError(endpoint_url="https://glue")

    with monkeypatch.context() as patch:
        patch.setattr(engines.Glue, "begin", losing)
        if arguments == "present":
            assert fake.glue(options)["run"]["id"]
        else:
            error = failing(options, fake.glue, JobTimeout, "not known yet")
            assert "Run again after" in error.next_step
            assert fake.glue(options, check_mode=True)["run"]["state"] == "unknown"
            failing({**options, "state": "absent"}, fake.glue, JobTimeout, "not known yet")
    fake.work(monkeypatch, engine_run=begun[0])
    done = fake.glue({**options, "wait": True, "wait_timeout": 100})
    assert (done["run"]["state"], done["totals"]["written"], done["changed"]) == ("completed", ITEMS, False)
    assert len(fake.fake.runs) == 1


def test_a_request_that_never_arrived_is_given_up_after_its_signature(
    fake: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = fake.prepare("never")

    def lost(engine: engines.Glue, account: Account, request: Request) -> str:
        raise ReadTimeoutError(endpoint_url="https://glue")

    with monkeypatch.context() as patch:
        patch.setattr(engines.Glue, "begin", lost)
        failing(options, fake.glue, JobTimeout, "its answer was lost")
    failing(options, fake.glue, JobTimeout, "its answer was lost")
    assert fake.fake.runs == []
    now = Account.now
    monkeypatch.setattr(Account, "now", lambda account: now(account) + timedelta(seconds=1000))
    assert fake.glue({**options, "state": "absent"})["run"]["state"] == "none"
    assert fake.glue(options)["changed"]
    assert len(fake.fake.runs) == 1


def test_what_aws_refuses_leaves_nothing_that_would_be_taken_for_a_run(
    fake: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = fake.prepare("refused")

    def full(engine: engines.Glue, account: Account, request: Request) -> str:
        answer = {"Error": {"Code": "ConcurrentRunsExceededException", "Message": "Too many."}}
        raise ClientError({**answer, "ResponseMetadata": {"HTTPStatusCode": 400}}, "StartJobRun")  # type: ignore[typeddict-item]

    slept: list[float] = []
    monkeypatch.setattr(Account, "sleep", lambda _account, seconds: slept.append(seconds))
    with monkeypatch.context() as patch:
        patch.setattr(engines.Glue, "begin", full)
        failing(options, fake.glue, JobTimeout, "begins no more runs now")
    assert slept == [10.0, 10.0, 10.0]
    assert fake.glue(options)["changed"]


def test_a_new_application_is_waited_for_though_the_run_is_not(fake: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, slept = engines.EmrServerless.begin, []

    def creating(engine: engines.EmrServerless, account: Account, request: Request) -> str:
        if len(slept) < 2:
            answer = {"Error": {"Code": "ConflictException", "Message": f"Application {request.scope} is CREATING."}}
            raise ClientError({**answer, "ResponseMetadata": {"HTTPStatusCode": 409}}, "StartJobRun")  # type: ignore[typeddict-item]
        return begin(engine, account, request)

    monkeypatch.setattr(engines.EmrServerless, "begin", creating)
    monkeypatch.setattr(Account, "sleep", lambda _account, seconds: slept.append(seconds))
    begun = fake.call(emr_job_run, fake.prepare("creating"))
    assert (begun["changed"], begun["run"]["state"], slept) == (True, "running", [10.0, 10.0])


def test_of_two_controllers_one_begins_the_run(fake: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    options = fake.prepare("both")
    place = engines.Glue.place

    def slow(engine: engines.Glue, account: Account, submission: Any, *, make: bool = True) -> str:
        with monkeypatch.context() as patch:  # meanwhile the other one has done all of it
            patch.setattr(engines.Glue, "place", place)
            others.append(fake.glue(options))
        return place(engine, account, submission, make=make)

    others: list[dict[str, Any]] = []
    with monkeypatch.context() as patch:
        patch.setattr(engines.Glue, "place", slow)
        mine = fake.glue(options)
    assert (others[0]["changed"], mine["changed"]) == (True, False)
    assert mine["run"]["id"] == others[0]["run"]["id"]
    assert len(fake.fake.runs) == 1


def test_a_table_with_items_is_refused(fake: Runs) -> None:
    options = fake.prepare("full")
    fake.lab.client("dynamodb", "destination").put_item(TableName="full", Item={"id": {"S": "theirs"}})
    for check_mode in (True, False):
        failing(options, lambda given, mode=check_mode: fake.glue(given, check_mode=mode), DestinationExists, "items")
    assert fake.glue({**options, "overwrite": True})["changed"]


def test_a_table_that_a_run_holds_is_refused(fake: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(*_place: Any) -> None:
        raise Held("Another run holds it.", "Wait.")

    options = fake.prepare("held")
    monkeypatch.setattr(verb_runs, "refuse_held", held)
    for state in ("present", "absent"):
        failing({**options, "state": state}, fake.glue, Held, "Another run")
    assert fake.fake.runs == []


def test_bad_options_are_refused(fake: Runs) -> None:
    options = fake.prepare("options")
    failing({**options, "workers": 1}, fake.glue, InvalidInput, "workers is 1")
    failing({**options, "run_token": "../mine"}, fake.glue, InvalidInput, "run_token is")
    failing({"name": "options", "prefix": "a/data"}, fake.glue, PrefixNotData, "not the data")
    failing({"name": "options", "plan": "s3://other/plan.json"}, fake.glue, InvalidInput, "not in the bucket")
    both = {**options, "application_id": "a", "cluster_id": "c"}
    failing(both, lambda given: fake.call(emr_job_run, given), InvalidInput, "an application and a cluster")


def test_the_prefix_of_an_export_finds_the_same_run(fake: Runs) -> None:
    options = fake.prepare("prefix")
    begun = fake.glue(options)
    folder = options["manifest_key"].rpartition("/")[0]
    adopted = fake.glue({"name": "prefix", "prefix": f"{folder}/data/"})
    assert (adopted["changed"], adopted["run"]["id"]) == (False, begun["run"]["id"])


def test_a_plan_brings_its_steps_and_stays(fake: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    options = fake.prepare("steps")
    fake.glue(options)
    key = fake.plan_key()
    plan = JobPlan.from_json(fake.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    fake.glue({**options, "state": "absent"})
    fake.lab.advance(60)
    content = json.loads(plan.to_json())
    content["definition"]["steps"] = [{"keep_if": "id < :ten"}]
    content["definition"]["values"] = {":ten": {"S": "010"}}
    mine = "tableferry/spark/work/mine/plan.json"
    fake.s3.put_object(Bucket=BUCKET, Key=mine, Body=json.dumps({**content, "prefix": "tableferry/spark/work/mine/"}))
    given = {"name": "steps", "plan": f"s3://{BUCKET}/{mine}"}
    assert fake.glue(given)["changed"]
    fake.work(monkeypatch)
    totals = fake.glue(given)["totals"]
    assert (totals["read"], totals["written"], totals["kept_out"]) == (ITEMS, 10, {"1": ITEMS - 10})
    assert fake.s3.get_object(Bucket=BUCKET, Key=mine)["Body"].read()
    other = fake.prepare("other")["name"]
    failing({**given, "name": other}, fake.glue, InvalidInput, "is for the table steps")


def test_items_that_a_step_cannot_take_fail_the_run(fake: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    options = fake.prepare("cast", 5)
    fake.glue(options)
    key = fake.plan_key()
    content = json.loads(fake.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    fake.glue({**options, "state": "absent"})
    fake.lab.advance(60)
    content["definition"]["steps"] = [{"rename": {"id": "id"}}, {"set": {"n": "{id}x"}}, {"cast": {"n": "N"}}]
    content["prefix"] = "tableferry/spark/work/cast/"
    mine = f"{content['prefix']}plan.json"
    fake.s3.put_object(Bucket=BUCKET, Key=mine, Body=json.dumps(content))
    given = {"name": "cast", "plan": f"s3://{BUCKET}/{mine}"}
    fake.glue(given)
    fake.work(monkeypatch)
    error = failing(given, fake.glue, ItemRefused, "could not write 5 items")
    assert error.details["steps"] == {"3": 5}


def test_emr_serverless_begins_a_run_once(fake: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    options = fake.prepare("serverless")
    planned = fake.call(emr_job_run, options, check_mode=True)
    assert (planned["changed"], planned["run"]["engine"]) == (True, "emr_serverless")
    start = engines.EmrServerless.begin

    def losing(engine: engines.EmrServerless, account: Account, request: Request) -> str:
        start(engine, account, request)
        raise ReadTimeoutError(endpoint_url="https://emr")

    with monkeypatch.context() as patch:
        patch.setattr(engines.EmrServerless, "begin", losing)
        begun = fake.call(emr_job_run, options)
    adopted = fake.call(emr_job_run, options)
    assert (adopted["changed"], adopted["run"]["id"]) == (False, begun["run"]["id"])
    assert fake.call(emr_job_run, {**options, "state": "absent"})["run"]["state"] == "stopping"


def test_a_step_of_a_cluster_is_named_by_its_cluster(fake: Runs) -> None:
    planned = fake.call(emr_job_run, {**fake.prepare("step"), "cluster_id": "j-1"}, check_mode=True)
    assert (planned["changed"], planned["run"]["engine"]) == (True, "emr_step")
    error = failing(
        {**fake.prepare("gone"), "cluster_id": "j-1"},
        lambda given: fake.call(emr_job_run, given),
        FerryError,
        "Cluster id 'j-1' is not valid",
    )
    assert "Preparing the step of an EMR cluster" in error.cause


def test_another_engines_run_is_found_not_doubled(fake: Runs) -> None:
    options = fake.prepare("engines")
    begun = fake.glue(options)
    adopted = fake.call(emr_job_run, options)
    assert (adopted["changed"], adopted["run"]["engine"], adopted["run"]["id"]) == (False, "glue", begun["run"]["id"])


@pytest.fixture(scope="module")
def real(spark: None) -> Iterator[Runs]:
    """A lab whose Spark runs jobs."""
    with running(scale=0.0) as lab:
        yield Runs(lab)


@pytest.mark.parametrize("verb", [glue_job_run, emr_job_run])
def test_a_real_run_writes_the_table(real: Runs, verb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = verb.VERB.name.replace("_", "-")
    options = {**real.prepare(table), "wait": True}
    sleep = Account.sleep
    monkeypatch.setattr(Account, "sleep", lambda account, seconds: (real.lab.advance(seconds), sleep(account, 0.2)))
    done = real.call(verb, options)
    assert (done["changed"], done["run"]["state"], done["totals"]["written"]) == (True, "completed", ITEMS)
    assert sum(done["run"]["cost"].values()) > 0
    assert real.items("destination", table) == real.items("source", table)
    again = real.call(verb, options)
    assert (again["changed"], again["run"]["id"], again["totals"]) == (False, done["run"]["id"], done["totals"])
