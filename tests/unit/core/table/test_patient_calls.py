# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import UTC, datetime

import botocore.exceptions
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core import sdk
from ansible_collections.tableferry.aws.plugins.module_utils.core.aws_errors import is_passing
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import MissingTable, SettingFailed
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.patient_calls import (
    PASSING,
    Target,
    paces,
    passing_state,
    pause_of,
)


def aws(code, message=""):
    return sdk.ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


def run(steps):
    waited = []
    while True:
        try:
            waited.append(next(steps))
        except StopIteration as stopped:
            return stopped.value, sum(waited)


# Texts as measured: what passes by itself, and what only sounds so.
@pytest.mark.parametrize(
    ("code", "message", "passes"),
    [
        ("ThrottlingException", "Rate exceeded", True),
        ("LimitExceededException", "Subscriber limit exceeded: Table tags are being updated: t", True),
        ("LimitExceededException", "Subscriber limit exceeded: Only 1 online index can be created or deleted", True),
        ("LimitExceededException", "Subscriber limit exceeded: Provisioned throughput decreases are limited", True),
        ("LimitExceededException", "Subscriber limit exceeded: Updates to TableClass are limited to 2 times", False),
        ("LimitExceededException", "Subscriber limit exceeded: Encryption mode changes are limited in the 24h", False),
        ("ResourceInUseException", "Attempt to change a resource which is still in use: Table: T is being", True),
        ("ContinuousBackupsUnavailableException", "Backups are being enabled for the table: T.", True),
        ("ValidationException", "Time to live has been modified multiple times within a fixed interval", True),
        ("ValidationException", "You cannot modify stream status while updating table IOPS", False),
        ("ValidationException", "TableClass modification must be the only operation in the request", False),
        ("InternalServerError", "Table is under system maintenance, please try again later", True),
        ("InternalFailure", "", False),
        ("InternalFailure", "Something broke", True),
        ("InternalServerError", "", True),
        ("502", "Bad Gateway", True),
        ("RequestTimeout", "", True),
        ("RequestExpired", "", True),
        ("SlowDown", "", True),
        ("LimitExceededException", "Account-level limit", False),
        ("AccessDeniedException", "not authorized", False),
    ],
)
def test_texts_tell_what_passes(code, message, passes):
    assert (passing_state(aws(code, message)) is not None) is passes


@pytest.mark.parametrize(
    "error",
    [
        botocore.exceptions.SSLError(endpoint_url="https://dynamodb", error="bad record"),
        botocore.exceptions.ProxyConnectionError(proxy_url="http://proxy"),
        botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        botocore.exceptions.ConnectionClosedError(endpoint_url="https://dynamodb"),
    ],
)
def test_what_jobs_wait_for_settings_wait_for_too(error):
    assert is_passing(error)
    assert passing_state(error) is not None


NOW = datetime(2026, 10, 9, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(("at", "pause"), [("12:00:09.500", 9.5), ("11:00:00", 0.5), ("13:00:00", 16.0)])
def test_aws_says_when_to_come_again(at, pause):
    message = f"policy modified within the previous 15000 milliseconds. Please try again after 2026-10-09T{at}Z."
    passing = passing_state(aws("ThrottlingException", message))
    assert pause_of(passing, 0, message, NOW) == pause


@given(st.sampled_from(PASSING), st.floats(0, 1e6))
def test_pauses_are_positive_and_bounded(passing, spent):
    assert passing.pause_seconds <= pause_of(passing, spent, "", NOW) <= 3 * passing.pause_seconds


@given(st.floats(1, 1e5))
def test_paces_last_the_limit_and_little_more(limit):
    pauses = list(paces(limit))
    assert limit <= sum(pauses) <= limit + 15
    assert pauses == sorted(pauses)


@pytest.mark.parametrize("status", ["INACCESSIBLE_ENCRYPTION_CREDENTIALS", "ARCHIVED", "DELETING"])
def test_a_lost_table_is_not_waited_for(accounts, described, status):
    _, destination = accounts(described(), described("222222222222"))
    destination.describe_table = lambda TableName: {"Table": described("222222222222", TableStatus=status)}
    with pytest.raises(SettingFailed, match=status):
        run(Target(destination, "orders").settle())


def test_settling_waits_for_every_part(accounts, described):
    _, destination = accounts(described(), described("222222222222"))
    answers = [
        {"TableStatus": "UPDATING"},
        {"SSEDescription": {"Status": "UPDATING"}},
        {"WarmThroughput": {"Status": "UPDATING"}},
        {},
    ]
    destination.describe_table = lambda TableName: {"Table": described("222222222222", **answers.pop(0))}
    definition, waited = run(Target(destination, "orders").settle())
    assert (definition.busy, answers) == ("", [])
    assert waited == pytest.approx(0.5 + 0.75 + 1.125)


def test_not_found_is_believed_after_a_minute(accounts, described):
    _, destination = accounts(described(), described("222222222222"))
    destination.errors["describe_table"] = [aws("ResourceNotFoundException", "Table: orders not found")] * 3
    definition, _ = run(Target(destination, "orders").refresh())
    assert definition.name == "orders"
    with pytest.raises(MissingTable, match="no longer exists"):
        run(Target(destination, "gone").refresh())
