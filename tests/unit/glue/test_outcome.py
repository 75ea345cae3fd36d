# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors in one place, accounts from options, secrets out of sight."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore import exceptions

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors, sdk
from ansible_collections.tableferry.aws.plugins.module_utils.glue import accounts, outcome
from ansible_collections.tableferry.aws.plugins.module_utils.glue.spec import ACCOUNT_OPTIONS, Verb
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import dynamodb_export, job_wait
from ansible_collections.tableferry.aws.plugins.plugin_utils.verb import plain, secrets_in


def client_error(code: str, message: str = "No.") -> exceptions.ClientError:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"RequestId": "R1"}}
    return exceptions.ClientError(answer, "DescribeTable")


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (client_error("AccessDeniedException", "not authorized to perform: x"), errors.AccessDenied, "to perform: x"),
        (client_error("ExpiredTokenException"), errors.CredentialsError, "ExpiredTokenException"),
        (client_error("ThrottlingException"), errors.ServiceError, "few minutes"),
        (client_error("InternalServerError", "Oops"), errors.ServiceError, "Oops (request R1)."),
        (exceptions.NoCredentialsError(), errors.CredentialsError, "No usable AWS credentials"),
        (exceptions.ParamValidationError(report="ImportArn: too short"), errors.InvalidInput, "ImportArn"),
        (exceptions.NoRegionError(), errors.InvalidInput, "Region"),
        (exceptions.EndpointConnectionError(endpoint_url="http://x"), errors.ServiceError, "could not be reached"),
    ],
)
def test_errors_of_the_sdk_are_explained(error: Exception, kind: type[errors.FerryError], says: str) -> None:
    explained = outcome.explain(error)
    assert type(explained).__name__ == kind.__name__
    assert says in str(explained)
    assert explained.next_step.endswith(".")


def test_the_text_of_a_signature_error_is_kept_back() -> None:
    explained = outcome.explain(client_error("SignatureDoesNotMatch", "x-amz-security-token:TOKEN"))
    assert "TOKEN" not in str(outcome.failure(explained))


def raising(error: Exception) -> Verb:
    def run(params: dict[str, Any], check_mode: bool, progress: Any) -> dict[str, Any]:
        raise error

    return Verb("fails", {}, run, ())


def outcome_of(verb: Verb, diff: bool = False) -> dict[str, Any]:
    return outcome.outcome(verb, {"name": "orders"}, check_mode=False, diff=diff, progress=print)


def test_a_failure_names_the_table_and_the_next_step() -> None:
    result = outcome_of(raising(errors.MissingTable("There is no such table.", "Check the name.")))
    assert result == {
        "failed": True,
        "msg": "orders: There is no such table. Check the name.",
        "ferry_status": "refused",
        "ferry_error": "MissingTable",
        "table": "orders",
        "cause": "There is no such table.",
        "next_step": "Check the name.",
        "details": {},
    }


def test_an_unexpected_error_of_the_sdk_becomes_a_failure() -> None:
    result = outcome_of(raising(client_error("InternalServerError")))
    assert (result["ferry_error"], result["ferry_status"], result["table"]) == ("ServiceError", "failed", "orders")
    assert result["details"] == {
        "code": "InternalServerError",
        "operation": "DescribeTable",
        "request_id": "R1",
        "refusal": "passes",
    }


def test_a_missing_sdk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "SDK_ERROR", "No module named 'boto3'")
    result = outcome_of(raising(AssertionError("must not run")))
    assert result["failed"]
    assert "boto3" in result["msg"]
    assert result["details"] == {"import_error": "No module named 'boto3'"}


@pytest.mark.parametrize("wanted", [True, False])
def test_the_diff_is_given_on_request(wanted: bool) -> None:
    verb = Verb("changes", {}, lambda params, check_mode, progress: {"changed": True, "diff": {}}, ())
    assert ("diff" in outcome_of(verb, diff=wanted)) is wanted


@pytest.mark.parametrize(
    ("side", "shared", "expected"),
    [
        ({"region": "a"}, {"region": "b", "profile": "p"}, {"region": "a", "profile": "p"}),
        (
            {"role_arn": "r"},
            {"access_key": "k", "secret_key": "s"},
            {"role_arn": "r", "access_key": "k", "secret_key": "s"},
        ),
        ({"profile": "p"}, {"access_key": "k", "secret_key": "s", "region": "b"}, {"profile": "p", "region": "b"}),
        ({"access_key": "k"}, {"secret_key": "s"}, {"access_key": "k"}),
        ({"region": None, "endpoint_url": ""}, {"endpoint_url": "u"}, {"endpoint_url": "u"}),
    ],
)
def test_a_side_takes_shared_credentials_whole_or_not(
    side: dict[str, Any], shared: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert accounts.settings_of(side, shared) == expected


def test_the_same_way_into_an_account_is_one_account() -> None:
    made = accounts.Accounts({"region": "eu-west-1"})
    keys = {"access_key": "k", "secret_key": "s"}
    assert made.get("source", keys) is made.get("source", dict(keys))
    assert made.get("source", keys) is not made.get("destination", keys)
    assert made.find("source", None) is None


def test_times_are_utc_unless_they_say_otherwise() -> None:
    expected = datetime(2026, 10, 8, 12, tzinfo=UTC)
    for text in ("2026-10-08T12:00:00Z", "2026-10-08 12:00:00", "2026-10-08T14:00:00+02:00"):
        assert dynamodb_export.to_time("to_time", text) == expected
    assert dynamodb_export.to_time("to_time", None) is None
    with pytest.raises(errors.InvalidInput, match="yesterday"):
        dynamodb_export.to_time("to_time", "yesterday")


def test_secrets_are_found_wherever_the_spec_puts_them() -> None:
    spec = {
        "one": {"options": ACCOUNT_OPTIONS},
        "many": {"options": {"account": {"options": ACCOUNT_OPTIONS}}},
        "secret_key": {"no_log": True},
    }
    values = {
        "one": {"secret_key": "a", "access_key": "shown"},
        "many": [{"account": {"session_token": "b"}}, {"account": None}, "malformed"],
        "secret_key": "c",
    }
    assert set(secrets_in(spec, values)) == {"a", "b", "c"}


def test_arguments_become_what_a_module_gets() -> None:
    class Text(str):
        pass

    found = plain({"a": Text("x"), "b": datetime(2026, 10, 8, tzinfo=UTC)})
    assert found == {"a": "x", "b": "2026-10-08 00:00:00+00:00"}
    assert type(found["a"]).__name__ == "str"


def test_a_malformed_job_names_its_table() -> None:
    entry = {"name": "orders", "source": None, "destination": None, "job": {"kind": "nonsense"}}
    with pytest.raises(errors.InvalidInput) as refused:
        job_wait.run({"jobs": [entry], "wait_timeout": 1, "progress": True}, False, print)
    assert refused.value.table == "orders"


def test_check_mode_waits_for_nothing() -> None:
    job = {"kind": "export", "name": "orders", "state": "pending"}
    entry = {"name": "orders", "source": None, "destination": None, "job": job, "then": [job]}
    result = job_wait.run({"jobs": [entry], "wait_timeout": 1, "progress": True}, True, print)
    assert result["jobs"]["orders"]["state"] == "pending"
    assert result["changed"] is True
