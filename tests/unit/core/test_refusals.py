# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS's refusals, sorted by code and words as measured, and what callers make of them."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.aws_errors import (
    is_passing,
    is_slot,
    is_throttle,
    refusal_of,
    sort_refusal,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.failures import hint, is_full
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import record_table
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.patient_calls import Target, passing_state
from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import explain as explain_sdk_error
from tests.unit.on_lab.in_process import failure

LIMIT, INVALID, IN_USE, DENIED = (
    "LimitExceededException",
    "ValidationException",
    "ResourceInUseException",
    "AccessDeniedException",
)
CAPACITY = (
    "The requested ReadCapacityUnits, 40001, is above the per table maximum for the account in us-west-2. Per table"
    " maximum: 40000. Refer to the Amazon DynamoDB documentation for current limits."
)
ACCOUNT_CAPACITY = (
    "This request would have caused the ReadCapacityUnits limit to be exceeded for the account in us-west-2."
)
ON_DEMAND = (
    "Subscriber limit exceeded: Requested MaxReadRequestUnits for OnDemandThroughput for table exceeds"
    " TableMaxReadCapacityUnits of the account in region us-west-2"
)
SLOTS = "Subscriber limit exceeded: Only 50 restore operations can be done simultaneously"
TAG_LOCK = "Subscriber limit exceeded: Table tags are being updated: t"
INDEXES = "One or more parameter values were invalid: GlobalSecondaryIndex count exceeds the per-table limit of 20"


def account() -> Account:
    return Account(AccountSpec("destination", "eu-west-1", access_key="a", secret_key="b"))


# measured/more 9 and measured/indexes-capacity 1 to 3, 5.10 and 5.11
@pytest.mark.parametrize(
    ("code", "message", "operation", "kind", "quota"),
    [
        (LIMIT, CAPACITY, "CreateTable", "quota", "capacity units per table"),
        (LIMIT, CAPACITY.replace("per table", "per index"), "ImportTable", "quota", "capacity units per table"),
        (LIMIT, ACCOUNT_CAPACITY, "ImportTable", "quota", "capacity units of the account"),
        (LIMIT, ON_DEMAND, "UpdateTable", "quota", "request units per table"),
        (LIMIT, "Number of global secondary indexes exceeds per-table limit of 20", "UpdateTable", "quota", "global"),
        (INVALID, INDEXES, "CreateTable", "quota", "global secondary indexes per table"),
        (
            LIMIT,
            "Subscriber limit exceeded: There is a limit of 2500 tables per subscriber",
            "ImportTable",
            "quota",
            "",
        ),
        (LIMIT, "Something AWS has not said before", "CreateKey", "quota", "named in the message"),
        ("LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1000", "CreateRole", "quota", ""),
        (LIMIT, SLOTS, "StartRestoreJob", "slot", ""),
        (LIMIT, "Something AWS has not said before", "ImportTable", "slot", ""),
        (LIMIT, "Only 1 online index can be created or deleted simultaneously per table", "UpdateTable", "slot", ""),
        (LIMIT, TAG_LOCK, "TagResource", "passes", ""),
        (IN_USE, "Table tags are being updated: t", "DeleteTable", "passes", ""),
        (IN_USE, "Table is being created: t", "UpdateTable", "busy", ""),
        (IN_USE, "Table already exists: t", "CreateTable", "final", ""),
        (LIMIT, "Provisioned throughput decreases are limited within a given UTC day.", "UpdateTable", "later", "cap"),
        (LIMIT, "Encryption mode changes are limited in the 24h window", "UpdateTable", "later", "key changes"),
        (LIMIT, "Updates to TableClass are limited to 2 times in 30 day(s).", "UpdateTable", "later", "table class"),
        (INVALID, "You cannot modify stream status while updating table IOPS", "UpdateTable", "final", ""),
        ("InternalFailure", "", "UpdateTable", "final", ""),
        ("InternalServerError", "", "UpdateTable", "passes", ""),
        ("ThrottlingException", "Rate exceeded", "ImportTable", "passes", ""),
        ("SSLError", "", "ImportTable", "passes", ""),
        (DENIED, "not authorized", "ImportTable", "denied", ""),
    ],
)
def test_b1_words_sort_a_refusal(code: str, message: str, operation: str, kind: str, quota: str) -> None:
    refusal = sort_refusal(code, message, operation)
    assert refusal.kind == kind
    assert refusal.quota.startswith(quota)
    assert bool(refusal.quota) == (kind in ("quota", "later"))
    assert refusal.waits == (kind in ("passes", "slot"))
    assert bool(refusal.next_step) == (kind not in ("passes", "slot", "denied"))
    error = failure(code, message, operation)
    assert (is_passing(error), is_slot(error)) == (refusal.waits, kind == "slot")
    assert is_throttle(error) == (kind == "slot" or code == "ThrottlingException")


@pytest.mark.parametrize("message", [CAPACITY, SLOTS, TAG_LOCK])
def test_b1_an_explained_refusal_is_sorted_as_before(message: str) -> None:
    error = failure(LIMIT, message, "ImportTable")
    explained = account().explain(error, "starting the import", "orders")
    assert refusal_of(explained).kind == refusal_of(error).kind
    assert is_passing(explained) == is_passing(error)
    assert ("Run again: jobs" in explained.next_step) == is_passing(error)


@pytest.mark.parametrize(
    ("message", "full"),
    [
        (SLOTS, True),
        ("Subscriber limit exceeded: You have reached the maximum concurrent number of backups", True),
        ("The recovery point is being used to restore another table", True),
        (f"Subscriber limit exceeded: {CAPACITY}", False),
        (f"Subscriber limit exceeded: {ACCOUNT_CAPACITY}", False),
        ("Subscriber limit exceeded: There is a limit of 2500 tables per subscriber", False),
    ],
)
def test_b1_a_restore_that_met_a_quota_is_not_begun_again(message: str, full: bool) -> None:
    assert is_full(message) is full
    assert full or "quota" in hint("FAILED", message, "restore")


def test_b1_the_table_of_the_records_over_a_quota_is_not_busy() -> None:
    error = failure(LIMIT, "There is a limit of 2500 tables per subscriber", "CreateTable")
    explained = record_table.explain(error, "tableferry")
    assert type(explained).__name__ == "RecordUnusable"
    assert "Delete tables that nobody needs" in explained.next_step


def test_b2_an_internal_failure_without_text_is_final_for_jobs_as_for_settings() -> None:
    error = failure("InternalFailure", "", "ImportTable", status=500)
    assert not is_passing(error)
    assert passing_state(error) is None
    assert is_passing(failure("Strange", "", status=503))


def test_b3_a_role_made_a_moment_ago_is_waited_for_in_a_resource_policy() -> None:
    error = failure(INVALID, "One or more parameter values were invalid: Invalid principal in policy document.")
    passing = passing_state(error)
    assert passing is not None
    assert passing.patience_seconds == 120


def test_b4_a_table_whose_tags_are_locked_is_deleted_a_moment_later() -> None:
    assert is_passing(failure(IN_USE, "Table tags are being updated: orders", "DeleteTable"))
    assert not is_passing(failure(IN_USE, "Table already exists: orders", "ImportTable"))


# Whose it is to lift, by the kind of policy that AWS names.
@pytest.mark.parametrize(
    ("words", "policy", "explicit", "step"),
    [
        ("with an explicit deny in a service control policy", "service control policy", True, "management account"),
        ("with an explicit deny in a resource control policy", "resource control policy", True, "owns the resource"),
        ("with an explicit deny in a resource-based policy", "resource-based policy", True, "Deny taken away"),
        ("with an explicit deny in a permissions boundary", "permissions boundary", True, "boundary can"),
        ("with an explicit deny in a session policy", "session policy", True, "credentials without it"),
        ("with an explicit deny in a VPC endpoint policy", "VPC endpoint policy", True, "network can"),
        (
            "with an explicit deny in an identity-based policy: arn:aws:iam::1:policy/p",
            "identity-based policy",
            True,
            "Deny taken away",
        ),
        ("because no service control policy allows the a:B action", "service control policy", False, "action allowed"),
        ("because no permissions boundary allows the a:B action", "permissions boundary", False, "action allowed"),
        ("because no resource-based policy allows the a:B action", "resource-based policy", False, "action allowed"),
        ("because no VPC endpoint policy allows the a:B action", "VPC endpoint policy", False, "action allowed"),
        ("because no identity-based policy allows the a:B action", "identity-based policy", False, ""),
        ("", "", False, ""),
    ],
)
def test_h4_who_can_lift_a_denial(words: str, policy: str, explicit: bool, step: str) -> None:
    message = f"User: arn:aws:iam::1:user/u is not authorized to perform: a:B on resource: r {words}"
    refusal = sort_refusal(DENIED, message)
    assert (refusal.kind, refusal.denied_by, refusal.explicit) == ("denied", policy, explicit)
    assert step in refusal.next_step
    assert bool(step) == bool(refusal.next_step)


def test_h4_callers_never_answer_an_explicit_deny_with_allow_the_action() -> None:
    message = "User: u is not authorized to perform: a:B with an explicit deny in a service control policy"
    error = failure(DENIED, message, "UpdateTable")
    answers = [
        account().explain(error, "calling"),
        explain_sdk_error(error),
        record_table.explain(error, "tableferry"),
        Target(account(), "orders")._failed("update_table", error, 0),
    ]
    assert all("management account" in answer.next_step for answer in answers)
    assert not any("Allow" in answer.next_step or "Grant" in answer.next_step for answer in answers)
    assert {answer.details["denied_by"] for answer in answers} == {"service control policy"}


@pytest.mark.parametrize(
    ("code", "message"), [(INVALID, INDEXES), ("SomethingNewException", "No."), (INVALID, "Unknown ProjectionType")]
)
def test_h2_what_can_never_pass_is_not_answered_with_run_again(code: str, message: str) -> None:
    error = failure(code, message, "ImportTable")
    for explained in (account().explain(error, "starting the import"), explain_sdk_error(error)):
        assert not explained.next_step.startswith("Run again")
        assert explained.details["refusal"] in ("quota", "final")


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("because no permissions boundary allows the dynamodb:DescribeTable action", "boundary can"),
        ("with an explicit deny in a permissions boundary", "boundary can"),
        ("with an explicit deny in a service control policy", "management account"),
        (
            "because no identity-based policy allows the dynamodb:DescribeTable action",
            "Allow AWS Backup's role dynamodb:",
        ),
        ("", "Allow AWS Backup's role dynamodb:DescribeTable"),
    ],
)
def test_who_can_allow_what_a_job_of_aws_backup_was_denied(words: str, advice: str) -> None:
    role = "arn:aws:sts::111111111111:assumed-role/AWSBackup-tableferry/x"
    message = f"User: {role} is not authorized to perform: dynamodb:DescribeTable on resource: arn {words}"
    assert advice in hint("FAILED", message, "backup")
    assert "hen run again" in hint("FAILED", message, "backup")
