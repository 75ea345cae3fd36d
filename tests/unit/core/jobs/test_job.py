# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs as values: they survive plain data, and a failure comes back out as the error it was."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job, ended_with, failure_of
from tests.unit.on_lab.in_process import failure

TEXT = st.text(max_size=20)
JSON = st.dictionaries(TEXT, st.one_of(TEXT, st.integers(), st.booleans(), st.lists(TEXT, max_size=3)), max_size=4)


@given(
    kind=st.sampled_from(["export", "import", "settings"]),
    state=st.sampled_from(["planned", "pending", "running", "completed", "failed", "cancelled", "not_needed"]),
    name=TEXT,
    request_=JSON,
    attempt=st.integers(0, 9),
)
def test_a_job_survives_plain_data(kind: str, state: str, name: str, request_: dict, attempt: int) -> None:
    job = Job(kind, name, state=state, request=request_, attempt=attempt)
    assert Job.from_dict(job.to_dict()) == job
    assert Job.from_dict({**job.to_dict(), "version": 1}) == job


@pytest.mark.parametrize(
    "data", [{}, {"kind": 1}, {"kind": "export", "state": "lost"}, {"kind": "export", "failure": "x"}]
)
def test_what_is_no_job_is_refused(data: dict) -> None:
    with pytest.raises(InvalidInput):
        Job.from_dict(data)


ERRORS = sorted(
    (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.FerryError)),
    key=lambda kind: kind.__name__,
)


@given(kind=st.sampled_from(ERRORS), cause=TEXT, next_step=TEXT, details=JSON)
def test_a_failure_is_the_error_again(kind: type, cause: str, next_step: str, details: dict) -> None:
    job = ended_with(Job("export", "orders", "pending", pending_reason="slot"), kind(cause, next_step, details=details))
    assert (job.state, job.pending_reason) == ("failed", "")
    again = failure_of(Job.from_dict(json.loads(json.dumps(job.to_dict()))))
    assert (type(again), again.cause, again.next_step, again.details) == (kind, cause, next_step, details)
    assert (again.table, again.status) == ("orders", kind(cause, next_step).status)


def test_an_error_of_another_file_is_the_nearest_one_that_is_known() -> None:
    class Special(errors.AccessDenied):
        """One that only its own file knows."""

    error = failure_of(ended_with(Job("export", "orders"), Special("No.", "Ask.", details={"when": {1, 2}})))
    assert (type(error), error.cause, error.details) == (errors.AccessDenied, "No.", {"when": "{1, 2}"})


def test_aws_code_and_message_stay_readable() -> None:
    reported = errors.ExportFailed("It failed.", "Look.", details={"code": "S3AccessDenied", "message": "No."})
    job = ended_with(Job("export", "orders"), reported)
    assert (job.failure_code, job.failure_message) == job.reported == ("S3AccessDenied", "No.")
    data = ended_with(Job("export", "orders"), errors.AccessDenied("No.", "Ask.", details={"code": "403"})).to_dict()
    assert (data["failure_code"], data["failure_message"]) == ("AccessDenied", "No. Ask.")


@pytest.mark.parametrize("error", [failure("InvalidSignatureException", "token=secret"), KeyError("x")])
def test_errors_that_nobody_explained_say_what_to_do(error: Exception) -> None:
    explained = failure_of(ended_with(Job("export", "orders"), error))
    assert type(explained) is errors.ServiceError
    assert explained.next_step
    assert "secret" not in str(explained)


@pytest.mark.parametrize(
    ("code", "message", "kind", "reported"),
    [
        ("DestinationExists", "Somebody's. Look.", errors.DestinationExists, None),
        ("S3NoSuchBucket", "no", errors.ServiceError, ("S3NoSuchBucket", "no")),
    ],
)
def test_a_failure_that_0_2_0_stored_is_read(
    code: str, message: str, kind: type, reported: tuple[str, str] | None
) -> None:
    stored = {"kind": "import", "name": "orders", "state": "failed", "failure_code": code, "failure_message": message}
    job = Job.from_dict({"version": 1, **stored})
    assert (job.failure_code, job.failure_message, job.reported) == (code, message, reported)
    assert type(failure_of(job)) is kind
    assert message in str(failure_of(job))


def test_a_job_that_did_not_fail_has_no_failure() -> None:
    job = Job.from_dict({"kind": "import", "name": "orders", "failure_code": "", "failure_message": ""})
    assert (job.failure, job.failure_code, job.failure_message) == ({}, "", "")
