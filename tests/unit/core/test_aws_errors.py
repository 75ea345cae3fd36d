# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import botocore.exceptions
import botocore.session
import pytest
from botocore.retries import standard

from ansible_collections.tableferry.aws.plugins.module_utils.core import aws_errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.aws_errors import (
    code_of,
    is_passing,
    is_throttle,
    is_wrong_request,
    status_of,
)
from tests.unit.on_lab.in_process import failure


@pytest.mark.parametrize(
    ("code", "status", "throttle", "passing"),
    [
        ("ThrottlingException", 400, True, True),
        ("RequestThrottled", 400, True, True),
        ("InternalServerError", 500, False, True),
        ("Strange", 503, False, True),
        ("ExpiredTokenException", 400, False, True),
        ("ValidationException", 400, False, False),
        ("AccessDeniedException", 400, False, False),
    ],
)
def test_which_errors_pass(code: str, status: int, throttle: bool, passing: bool) -> None:
    error = failure(code, status=status)
    assert (is_throttle(error), is_passing(error)) == (throttle, passing)
    explained = Account(AccountSpec("source", "eu-west-1", access_key="a", secret_key="b")).explain(error, "calling")
    assert is_throttle(explained) == throttle


@pytest.mark.parametrize(
    ("error", "code", "passing"),
    [
        (botocore.exceptions.EndpointConnectionError(endpoint_url="https://dynamodb"), "EndpointConnectionError", True),
        (botocore.exceptions.HTTPClientError(error="reset"), "HTTPClientError", True),
        (botocore.exceptions.NoCredentialsError(), "NoCredentialsError", False),
        (ValueError("wrong"), "ValueError", False),
    ],
)
def test_errors_that_aws_did_not_send(error: Exception, code: str, passing: bool) -> None:
    assert (code_of(error), status_of(error), is_passing(error)) == (code, 0, passing)


@pytest.mark.parametrize(
    ("code", "message", "wrong"),
    [("InternalFailure", "", True), ("InternalFailure", "Try again", False), ("InternalServerError", "", False)],
)
def test_server_errors_that_mean_a_wrong_request(code: str, message: str, wrong: bool) -> None:
    assert is_wrong_request(code, message) is wrong


def test_g8_what_botocore_sends_again_passes() -> None:
    """But for LimitExceededException, which is mostly a quota: its text says which."""
    throttled = standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES
    transient = standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES
    model = botocore.session.get_session().get_service_model("dynamodb")
    retryable = [shape.name for shape in model.error_shapes if "retryable" in shape.metadata]
    known = aws_errors.THROTTLES | aws_errors.SERVER_ERRORS | aws_errors.WRITE_CONFLICTS
    assert {*throttled, *transient, *retryable} - known == {"EC2ThrottledException", "LimitExceededException"}
    assert known <= aws_errors.PASSING


def test_a_reason_names_the_request_and_quotes_no_signed_headers() -> None:
    assert aws_errors.reason("AccessDenied", "Not you", "A1B2") == "Not you (AccessDenied, request A1B2)"
    assert aws_errors.reason("AccessDenied", "Not you") == "Not you (AccessDenied)"
    assert aws_errors.reason("AccessDenied", "", "A1B2") == "AccessDenied (request A1B2)"
    signed = "The Canonical String was x-amz-security-token:SECRET"
    assert aws_errors.reason("SignatureDoesNotMatch", signed, "A1B2") == "SignatureDoesNotMatch (request A1B2)"


_LAST = "Job failed, please check complete logs in configured logging destination. ExitCode: 1. Last few exceptions: "
_MODEL = "com.amazonaws.emr.serverless.shaded.software.amazon.awssdk.services.emrserverlessresourcemanager.model"


@pytest.mark.parametrize(
    ("message", "lack"),
    [
        ("Exceeded maximum concurrent compute capacity for your account", True),
        ("Job failed as account has reached the service limit on the maximum vCPU it can use concurrently.", True),
        ("Job failed as application has exceeded maximumCapacity settings.", True),
        ("Job failed due to Worker could not be allocated as the application has exceeded maximumCapacity.", True),
        ("The application has exceeded its maximum capacity", True),
        (f"{_LAST}{_MODEL}.ApplicationMaxCapacityExceededException: Worker could not be"[:256], True),
        ("Abandoning job due to no executor being launched within 1200000ms after driver starts.", True),
        (f"{_LAST}Container killed on request. Exit code is 137", False),
        ("The item exceeded the maximum size", False),
    ],
)
def test_words_of_runs_that_failed_for_lack_of_capacity(message: str, lack: bool) -> None:
    """Words of AWS's guides and of logs of its users."""
    assert aws_errors.is_lack_of_capacity(message) == lack
