# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the error codes of AWS mean: the only file that lists them.

The codes are those of the APIs and, for errors that botocore raises before or without an answer, its class names. No
SDK is imported here: the data plane, which does without, reads these sets too.
"""

from __future__ import annotations

from collections.abc import Mapping

# What passes by itself

# Calls come too fast (measured/import-export-table 1.11).
THROTTLES = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# A quota, of jobs at once most often, is full; or calls come too fast.
BUSY = THROTTLES | {"LimitExceededException"}
# HTTP 500. Mostly our own fault and then for ever (measured/backup-restore-service, HTTP 500): never to be asked long.
INTERNAL = frozenset({"500", "InternalError", "InternalFailure", "InternalServerError", "InternalServiceException"})
# The service, or what stands before it, does not answer for a while.
UNAVAILABLE = frozenset({"502", "503", "504", "RequestTimeout", "ServiceUnavailable", "ServiceUnavailableException"})
SERVER_ERRORS = INTERNAL | UNAVAILABLE
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

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
PASSING = BUSY | SERVER_ERRORS | CONNECTION | EXPIRED  # what jobs ask again after
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
# botocore's own: there are no usable credentials, and nothing was sent.
NO_CREDENTIALS = frozenset(
    {
        "ConfigNotFound",
        "CredentialRetrievalError",
        "LoginRefreshRequired",
        "NoAuthTokenError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "ProfileNotFound",
        "SSOError",
        "SSOTokenLoadError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
    }
)
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
NO_BUCKET = frozenset({"NoSuchBucket"})
NO_ENTITY = frozenset({"NoSuchEntity", "NoSuchEntityException"})  # IAM
NO_KEY = frozenset({"InvalidArnException", "NotFoundException"})  # KMS
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

# What is refused

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


def is_throttle(error: BaseException) -> bool:
    """Whether AWS asks to slow down: a quota is full or calls come too fast (measured/import-export-table 1.11)."""
    return code_of(error) in BUSY


def is_passing(error: BaseException) -> bool:
    """Whether the same call may work later: throttles, server errors, broken connections, expired credentials."""
    return code_of(error) in PASSING or status_of(error) >= 500


def is_away(error: BaseException) -> bool:
    """Whether AWS, or the way to it, does not serve for a while, whatever is asked: it is asked again as long as there
    is time. Expired credentials and errors inside AWS may last for ever."""
    return code_of(error) in CONNECTION | UNAVAILABLE | THROTTLES


def is_wrong_request(code: str, message: str) -> bool:
    """Whether a server error really means a wrong request: an InternalFailure without text
    (measured/indexes-capacity 5.11)."""
    return code == "InternalFailure" and not message
