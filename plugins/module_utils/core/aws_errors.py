# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the error codes of AWS, and its words, mean: the only file that lists them.

A code alone says little: ``LimitExceededException`` is a lock of seconds, a slot that frees up, a budget of the day or
a quota that stands until somebody raises it. ``sort_refusal`` reads the text too and says what is to be done.

The codes are those of the APIs and, for errors that botocore raises before or without an answer, its class names. No
SDK is imported here: the data plane, which does without, reads these sets too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .denials import denial_of


def reason(code: str, message: str, request_id: str = "") -> str:
    """What AWS answered, for a message: its text, the code, and its id of the request, by which AWS and CloudTrail find
    it. AWS quotes the signed headers, the session token among them, where a signature is wrong: without that text."""
    number = f"request {request_id}" if request_id else ""
    if not message or code in BAD_SIGNATURES:
        return f"{code} ({number})" if number else code
    return f"{message} ({', '.join(filter(None, (code, number)))})"


# What passes by itself

# Calls come too fast (measured/import-export-table 1.11; botocore's retry rules).
THROTTLES = frozenset(
    {
        "BandwidthLimitExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# HTTP 500. Mostly our own fault and then for ever (measured/backup-restore-service, HTTP 500): never to be asked long.
INTERNAL = frozenset({"500", "InternalError", "InternalFailure", "InternalServerError", "InternalServiceException"})
# The service, or what stands before it, does not answer for a while.
UNAVAILABLE = frozenset(
    {
        "502",
        "503",
        "504",
        "PriorRequestNotComplete",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
    }
)
SERVER_ERRORS = INTERNAL | UNAVAILABLE
# Somebody else writes the item at this moment, here or in another Region (botocore's retry rules for DynamoDB).
WRITE_CONFLICTS = frozenset(
    {"ReplicatedWriteConflictException", "TransactionConflictException", "TransactionInProgressException"}
)
# botocore's own errors for a connection that did not come up or broke; everything else of its kind is a wrong call.
CONNECTION = frozenset(
    {
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "ConnectionError",
        "EndpointConnectionError",
        "HTTPClientError",
        "IncompleteReadError",
        "ProxyConnectionError",
        "ReadTimeoutError",
        "ResponseStreamingError",
        "SSLError",
    }
)

# Credentials and permissions

SESSION_ENDED = frozenset({"ExpiredToken", "ExpiredTokenException"})
EXPIRED = SESSION_ENDED | {"RequestExpired"}  # the last is of a request's date
PASSING = THROTTLES | SERVER_ERRORS | WRITE_CONFLICTS | CONNECTION | EXPIRED  # what jobs ask again after
# AWS quotes the signed headers, the session token among them, in the texts of these: the texts are never shown.
BAD_SIGNATURES = frozenset({"IncompleteSignature", "InvalidSignatureException", "SignatureDoesNotMatch"})
BAD_CREDENTIALS = (
    EXPIRED
    | BAD_SIGNATURES
    | {
        "AuthFailure",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "RequestTimeTooSkewed",
        "UnrecognizedClientException",
    }
)
# botocore's own: who runs TableFerry has to log in again.
LOGGED_OUT = frozenset(
    {
        "LoginRefreshRequired",
        "NoAuthTokenError",
        "SSOError",
        "SSOTokenLoadError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
    }
)
# botocore's own: there are no usable credentials, and nothing was sent.
NO_CREDENTIALS = LOGGED_OUT | {
    "ConfigNotFound",
    "ConfigParseError",
    "CredentialRetrievalError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
}
DENIED = frozenset(
    {
        "403",  # of S3's HEAD, whose answers have no body
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "AuthorizationError",
        "Forbidden",
        "UnauthorizedOperation",
    }
)
BAD_REGION = frozenset({"InvalidRegionError", "NoRegionError", "UnknownRegionError"})  # botocore's own

# What is not there

NO_RESOURCE = frozenset({"ResourceNotFoundException"})  # DynamoDB, AWS Backup, CloudWatch Logs
NO_OBJECT = frozenset({"404", "NoSuchKey", "NotFound"})  # S3; HEAD of a bucket too, which has no body
OBJECT_THERE = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})  # S3, PutObject with If-None-Match
NO_BUCKET = frozenset({"NoSuchBucket"})
NOT_SIMULATED = frozenset({"InvalidInput", "ValidationError"})  # IAM, of a principal that is no user or role
NO_ENTITY = frozenset({"NoSuchEntity", "NoSuchEntityException"})  # IAM
NO_KEY = frozenset({"InvalidArnException", "NotFoundException"})  # KMS
NO_GLUE_JOB = frozenset({"EntityNotFoundException"})
NO_RUN = NO_GLUE_JOB | NO_RESOURCE  # of a job: Glue and EMR Serverless
NO_BUCKET_SETTING = frozenset(  # S3: a bucket without it
    {
        "NoSuchBucketPolicy",
        "NoSuchLifecycleConfiguration",
        "NoSuchPublicAccessBlockConfiguration",
        "NoSuchTagSet",
        "OwnershipControlsNotFoundError",
        "ServerSideEncryptionConfigurationNotFoundError",
    }
)

# What is there already

# Somebody made it first: KMS and AWS Backup, IAM, S3.
ALREADY_THERE = frozenset({"AlreadyExistsException", "BucketAlreadyOwnedByYou", "EntityAlreadyExists"})
# AWS Glue, of a job: it is there, as asked for or otherwise (spark.md 2 has both codes, and not when which).
GLUE_JOB_THERE = frozenset({"AlreadyExistsException", "IdempotentParameterMismatchException"})

# What is refused

# S3: a parameter that it does not have in this partition yet.
NOT_SUPPORTED = frozenset({"MethodNotAllowed", "NotImplemented", "UnsupportedArgument"})
# A policy names a principal that is gone, or says what AWS does not take: KMS and IAM, S3, AWS Backup.
BAD_POLICY = frozenset(
    {
        "InvalidParameterValueException",
        "MalformedPolicy",
        "MalformedPolicyDocument",
        "MalformedPolicyDocumentException",
    }
)

BAD_BACKUP_REQUEST = frozenset({"InvalidParameterValueException", "InvalidRequestException"})
BACKUP_REFUSED = BAD_BACKUP_REQUEST | NO_RESOURCE  # of AWS Backup's jobs: a vault, a role or a setting is not as needed
OUTSIDE_ORGANIZATION = frozenset({"AWSOrganizationsNotInUseException", "InvalidRequestException"})
POLICY_TYPE_AS_WANTED = frozenset({"PolicyTypeAlreadyEnabledException", "PolicyTypeNotEnabledException"})
BAD_ITEM = frozenset({"ItemCollectionSizeLimitExceededException", "ValidationException"})  # one refuses its batch


def code_of(error: BaseException) -> str:
    """The AWS code behind ``error``, also behind one of ours that explains it; the class's name when AWS sent none."""
    details = getattr(error, "details", None)
    if isinstance(details, Mapping):
        return str(details.get("code", ""))
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        return str(response.get("Error", {}).get("Code", ""))
    return type(error).__name__


def status_of(error: BaseException) -> int:
    """The HTTP status that ``error`` of botocore came with; 0 when AWS did not answer."""
    response = getattr(error, "response", None)
    if not isinstance(response, Mapping):
        return 0
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


# Sorting

# What a refusal is:
# passes: the same call works soon. slot: as many jobs as AWS allows run at once, one may start when another has ended.
# busy: another change of the same thing is under way. later: a budget of the day or the month is spent.
# quota: of the account or the table, until it is raised or less is asked for. denied: a policy.
# final: the request is wrong as things stand.
RefusalKind = Literal["passes", "slot", "busy", "later", "quota", "denied", "final"]
FRESH_ROLE_SECONDS = 120.0  # a role made this moment is not known everywhere, and cannot be named or assumed

LIMITS = frozenset({"LimitExceeded", "LimitExceededException", "ServiceQuotaExceededException", "TooManyBuckets"})
# Glue: as many runs as a job, or an account, may have at once (spark.md 2).
RUNS_FULL = frozenset({"ConcurrentRunsExceededException", "ResourceNumberLimitExceededException"})
IN_USE = frozenset({"ResourceInUseException"})
INVALID = frozenset({"ValidationException"})
# Somebody, or AWS itself, changes the same thing at this moment.
CHANGING = IN_USE | {
    "ConcurrentModification",
    "ConcurrentModificationException",
    "ConcurrentUpdateException",
    "ConflictException",
    "ContinuousBackupsUnavailableException",
    "ExportConflictException",
    "OperationAborted",
    "OperationInProgressException",
}
# What starts a job of which AWS runs so many at once: how it words a full quota there is not known for all.
_JOB_STARTS = frozenset(
    {"ExportTableToPointInTime", "ImportTable", "StartBackupJob", "StartCopyJob", "StartRestoreJob"}
)


# What starts a Spark job: Glue and EMR Serverless. A conflict is of the state of the application (spark.md 3).
_RUN_STARTS = frozenset({"StartJobRun"})


@dataclass(frozen=True)
class Refusal:
    """What a refusal of AWS is, and what to do about it.

    ``quota`` names the quota, where it is one; ``denied_by`` the kind of policy that denies, where AWS says it, and
    ``explicit`` whether it says Deny. ``next_step`` is a full sentence, "" where the caller knows better.
    """

    kind: RefusalKind
    quota: str = ""
    denied_by: str = ""
    explicit: bool = False
    next_step: str = ""

    @property
    def waits(self) -> bool:
        """Whether the same call, made again in a while, may be taken."""
        return self.kind in ("passes", "slot")

    @property
    def details(self) -> dict[str, str]:
        """The sorting as an error's details, for programs and for ``refusal_of``."""
        values = {"refusal": self.kind, "quota": self.quota, "denied_by": self.denied_by}
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True)
class _Words:
    """Words of AWS behind one of ``codes``, and what they mean; the first match counts."""

    codes: frozenset[str]
    words: re.Pattern[str]
    meaning: Refusal


def _words(codes: frozenset[str], words: str, kind: RefusalKind, quota: str = "", next_step: str = "") -> _Words:
    return _Words(codes, re.compile(words, re.IGNORECASE), Refusal(kind, quota, next_step=next_step))


_RAISE = "in Service Quotas (Amazon DynamoDB) of the account and Region that AWS names, then run again."
_LESS_INDEXES = (
    f"Leave some out (leave_indexes), or have the quota of global secondary indexes per table raised {_RAISE}"
)
# measured/more 9 (TABLE-442 to 444) and measured/indexes-capacity 1 to 3.
_TEXTS = (
    _words(LIMITS | IN_USE, "table tags are being updated", "passes"),  # LEE for tags, RIU for DeleteTable
    _words(
        LIMITS,
        "decreases are limited",
        "later",
        "capacity decreases of a day",
        "Run again after the time in the message: the budget is whole again at midnight UTC.",
    ),
    _words(
        LIMITS,
        "encryption mode changes are limited",
        "later",
        "key changes of a day",
        "AWS allows 4 key changes a day. Run again after the time in the message.",
    ),
    _words(
        LIMITS,
        "tableclass are limited",
        "later",
        "table class changes of 30 days",
        "AWS allows 2 changes in 30 days. Change the table class by hand later.",
    ),  # measured/settings 2.7
    _words(INVALID | {"InvalidRequestException"}, "maximum number of active steps", "slot"),  # of an EMR cluster
    _words(LIMITS, r"simultaneously|concurrent|being used to restore", "slot"),
    _words(
        LIMITS,
        r"per (table|index) maximum",
        "quota",
        "capacity units per table",
        f"Lower the capacity of the source's table, make it on-demand, or have the quota raised {_RAISE}",
    ),
    _words(
        LIMITS,
        r"limit to be exceeded for the account",
        "quota",
        "capacity units of the account",
        f"Make the table on-demand, free capacity of other tables, or have the account's quota raised {_RAISE}",
    ),
    _words(
        LIMITS,
        r"exceeds Table(Max|\w*Capacity)",
        "quota",
        "request units per table",
        f"Lower the table's on-demand maximum or warm throughput, or have the quota raised {_RAISE}",
    ),
    _words(
        LIMITS | INVALID,
        r"global ?secondary ?index(es)?( count)? exceeds? (the )?per-table limit",
        "quota",
        "global secondary indexes per table",
        _LESS_INDEXES,
    ),
    _words(
        LIMITS,
        r"limit of \d+ tables|tables per|number of tables|table count",
        "quota",
        "tables",
        f"Delete tables that nobody needs, or have the quota of tables raised {_RAISE}",
    ),
)
_BUSY_JOBS = Refusal("slot")
_LIMIT = Refusal(
    "quota",
    "named in the message",
    next_step="Have the quota that AWS names raised in the account that refused, or ask for less, then run again.",
)
_PASSES = Refusal("passes")
_BUSY = Refusal("busy", next_step="Another change of it is under way: run again when that has ended.")
_FINAL = Refusal("final", next_step="AWS would refuse it again: change what it names, then run again.")


def sort_refusal(code: str, message: str = "", operation: str = "") -> Refusal:
    """What AWS's ``code`` and ``message`` say about the call ``operation``."""
    if code in DENIED:
        return _denial(message)
    if is_wrong_request(code, message):
        return _FINAL
    if operation in _RUN_STARTS and code in RUNS_FULL | CHANGING:
        return _BUSY_JOBS
    for entry in _TEXTS:
        if code in entry.codes and entry.words.search(message):
            return entry.meaning
    if code in LIMITS:
        return _BUSY_JOBS if operation in _JOB_STARTS else _LIMIT
    if code in CHANGING and "already exists" not in message:
        return _BUSY
    return _PASSES if code in PASSING else _FINAL


def _denial(message: str) -> Refusal:
    denial = denial_of(message)
    return Refusal("denied", denied_by=denial.policy, explicit=denial.explicit, next_step=denial.next_step)


def refusal_of(error: BaseException) -> Refusal:
    """How ``error``, the SDK's or one of ours that explains it, is sorted."""
    details = getattr(error, "details", None)
    if isinstance(details, Mapping):
        kind = details.get("refusal")
        if kind:
            return Refusal(kind, str(details.get("quota", "")), str(details.get("denied_by", "")))
        return sort_refusal(code_of(error), str(details.get("message", "")), str(details.get("operation", "")))
    refusal = sort_refusal(code_of(error), message_of(error), str(getattr(error, "operation_name", "")))
    server = refusal is _FINAL and status_of(error) >= 500 and not is_wrong_request(code_of(error), message_of(error))
    return _PASSES if server else refusal


def names_no_action(error: BaseException) -> bool:
    """Whether ``error`` of ours is a denial in which AWS does not say what is denied (aws.md C2)."""
    return code_of(error) in DENIED and "insufficient privileges to perform this action" in str(error).lower()


def message_of(error: BaseException) -> str:
    """The text that AWS sent with ``error`` of botocore; "" where AWS sent none."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Message", "")) if isinstance(response, Mapping) else ""


def is_throttle(error: BaseException) -> bool:
    """Whether AWS asks to slow down: calls come too fast, or as many jobs run as may
    (measured/import-export-table 1.11)."""
    return code_of(error) in THROTTLES or refusal_of(error).kind == "slot"


def is_slot(error: BaseException) -> bool:
    """Whether as many jobs run as AWS allows at once: one starts when another has ended."""
    return refusal_of(error).kind == "slot"


def is_passing(error: BaseException) -> bool:
    """Whether the same call may work later: throttles, full slots, server errors, broken connections, expired
    credentials."""
    return refusal_of(error).waits


# IAM, KMS, S3 and DynamoDB (measured/policy-autoscaling-replicas 1), AWS Backup.
_STRANGERS = re.compile(r"invalid principal|principal is not valid", re.IGNORECASE)


def names_strangers(code: str, message: str) -> bool:
    """Whether a policy is refused for a principal that AWS does not know: it is gone, or was made so short a while ago
    that not every service knows it (FRESH_ROLE_SECONDS)."""
    return code in BAD_POLICY | INVALID and _STRANGERS.search(message) is not None


def is_away(error: BaseException) -> bool:
    """Whether AWS, or the way to it, does not serve for a while, whatever is asked: it is asked again as long as there
    is time. Expired credentials and errors inside AWS may last for ever."""
    return code_of(error) in CONNECTION | UNAVAILABLE | THROTTLES


def is_expired(error: BaseException) -> bool:
    """Whether credentials have ended: where nothing renews them the same call fails for ever."""
    return code_of(error) in EXPIRED


_FULL_TAGS = re.compile(r"number of tags exceed|tag set size \d+ bytes is above", re.IGNORECASE)


def is_full_of_tags(error: BaseException) -> bool:
    """Whether a table has no room for one more tag: 50 of them, or 10,240 bytes (measured/more, TABLE-105, 109)."""
    message = getattr(error, "cause", "") or str(error)
    return code_of(error) in INVALID and _FULL_TAGS.search(message) is not None


_NOT_ASSUMED = re.compile(r"cannot be assumed", re.IGNORECASE)


def is_role_unknown(error: BaseException) -> bool:
    """Whether AWS Backup cannot assume a role: it does not trust the service, or was made so short a while ago that not
    every service knows it (FRESH_ROLE_SECONDS)."""
    response = getattr(error, "response", None)
    message = response.get("Error", {}).get("Message", "") if isinstance(response, Mapping) else str(error)
    return code_of(error) in BAD_BACKUP_REQUEST and _NOT_ASSUMED.search(message) is not None


def is_tag_lock(error: BaseException) -> bool:
    """Whether a table's tags are locked by a change of a moment ago (measured/more, TABLE-103)."""
    return code_of(error) in LIMITS and refusal_of(error).kind == "passes"


_NO_CAPACITY = re.compile(
    r"exceeded maximum concurrent compute capacity|resource unavailable|max(imum)? concurrent runs exceeded"
    r"|service limit on the maximum vCPU"
    # EMR Serverless, of an application: its guide words it so, users' logs have the exception, and both may be cut to
    # 256 characters; the last is what ends a run 20 minutes after its driver had no executor.
    r"|exceeded (its )?max(imum)? ?capacity|ApplicationMaxCapacityExceeded|no executor being launched",
    re.IGNORECASE,
)


def is_lack_of_capacity(message: str) -> bool:
    """Whether a run failed because there was no room for it, as Glue says once it took the run (spark.md 2), and EMR
    Serverless where the vCPUs of the account, or what its application may have, are all in use (EMR Serverless user
    guide, Troubleshooting). Which of these words an answer has is not confirmed."""
    return _NO_CAPACITY.search(message) is not None


def is_wrong_request(code: str, message: str) -> bool:
    """Whether a server error really means a wrong request: an InternalFailure without text
    (measured/indexes-capacity 5.11)."""
    return code == "InternalFailure" and not message
