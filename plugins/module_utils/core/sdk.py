# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only door to boto3 and botocore, so that everything else can be imported without them."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterable
from typing import Any, ClassVar

try:
    import boto3
    import botocore
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.config import Config
    from botocore.credentials import (
        Credentials,
        DeferredRefreshableCredentials,
        ProcessProvider,
        RefreshableCredentials,
    )
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session

    SDK_ERROR = ""
except ImportError as missing:
    SDK_ERROR = str(missing)
    boto3 = None
    botocore = None
    AWSRequest = object
    Config = object
    Credentials = object
    DeferredRefreshableCredentials = object
    ProcessProvider = object
    RefreshableCredentials = object
    Session = object
    SigV4Auth = object

    class BotoCoreError(Exception):  # type: ignore[no-redef]
        """Stands in so that ``except`` clauses work without botocore."""

    class ClientError(Exception):  # type: ignore[no-redef]
        """Stands in so that ``except`` clauses work without botocore."""

        response: ClassVar[dict[str, Any]] = {}


__all__ = [
    "SDK_ERROR",
    "BotoCoreError",
    "ClientError",
    "Config",
    "Credentials",
    "DeferredRefreshableCredentials",
    "ProcessProvider",
    "RefreshableCredentials",
    "Session",
    "boto3",
    "botocore",
    "error_code",
    "error_message",
    "request_id",
    "sign_at",
    "told",
    "warm",
]

TOKEN_HEADER = "x-amz-security-token"


def error_code(error: BaseException) -> str:
    """The AWS error code of ``error`` (``ThrottlingException``), or its class name when AWS sent none."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return type(error).__name__


def error_message(error: BaseException) -> str:
    """The text AWS sent with ``error``, or the error's own text.

    Where a signature is wrong AWS quotes the signed headers below its first line, the session token among them: such a
    text ends before them.
    """
    text = str(error.response.get("Error", {}).get("Message", "")) if isinstance(error, ClientError) else str(error)
    if TOKEN_HEADER in text.lower():
        first = text.partition("\n")[0].rstrip()
        return "" if TOKEN_HEADER in first.lower() else first
    return text


def request_id(error: BaseException) -> str:
    """AWS's id of the request that was answered with ``error``, "" where there is none."""
    if not isinstance(error, ClientError):
        return ""
    return str(error.response.get("ResponseMetadata", {}).get("RequestId", ""))


def told(error: BaseException) -> str:
    """The text of ``error`` for a message, without its last full stop, with AWS's id of the request, by which AWS and
    CloudTrail find it."""
    text, number = error_message(error).rstrip("."), request_id(error)
    return f"{text} (request {number})".lstrip() if number else text


class _DatedSigner(SigV4Auth):  # type: ignore[misc]
    """Signs with a date that is given instead of the present one."""

    def __init__(self, credentials: Any, service: str, region: str, stamp: str) -> None:
        super().__init__(credentials, service, region)
        self._stamp = stamp

    def _modify_request_before_signing(self, request: Any) -> None:
        request.context["timestamp"] = self._stamp
        super()._modify_request_before_signing(request)


def sign_at(client: Any, request: Any, stamp: str) -> None:
    """Sign anew what botocore's ``client`` is about to send, with the date ``stamp`` (20260131T070000Z)."""
    signer = client._request_signer
    keys = signer._credentials.get_frozen_credentials()
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    dated = AWSRequest(request.method, request.url, data=request.body, headers=headers)
    _DatedSigner(keys, signer.signing_name, signer.region_name, stamp).add_auth(dated)
    for name in ("X-Amz-Date", "X-Amz-Security-Token", "Authorization"):
        if name in request.headers:
            del request.headers[name]
        if name in dated.headers:
            request.headers[name] = dated.headers[name]


def warm(services: Iterable[str]) -> None:
    """Load the service models of ``services`` into botocore's caches.

    A forked worker inherits the caches: a warmed action costs 0.08 CPU-s per table where a cold one costs 0.4
    (ansible.md 6b). The clients made here are never used and never leave this function. Without the SDK: nothing.
    """
    if SDK_ERROR:
        return
    session = shared_session()
    for service in services:
        try:
            session.create_client(
                service,
                region_name="us-east-1",
                aws_access_key_id="warm",
                aws_secret_access_key="warm",
                endpoint_url="http://127.0.0.1:9",
            )
        except BotoCoreError:  # of the user's AWS configuration: the task that reads it has the message
            return
    # What is here now stays: a worker's garbage collector would write to each of these pages, and so copy it.
    gc.collect()
    gc.freeze()


_LOADER_SESSION: list[Session] = []


def shared_session() -> Session:
    """A botocore session whose model loader the whole process shares; holds no credentials."""
    if not _LOADER_SESSION:
        session = Session()
        ignore_profile_of_environment(session)
        _LOADER_SESSION.append(session)
    return _LOADER_SESSION[0]


def ignore_profile_of_environment(session: Session) -> None:
    """Leave AWS_PROFILE no say in ``session``: a profile that is not there would fail even what needs none."""
    session.session_var_map["profile"] = (None, [], None, None)


def new_session(profile: str | None = None) -> Session:
    """A session of its own (credentials, profile) over the shared model loader.

    It starts with a copy of the shared session's event handlers: registering the built-in ones anew is 5 ms of CPU.
    """
    shared = shared_session()
    handlers = copy.copy(shared.get_component("event_emitter"))
    session = Session(profile=profile, event_hooks=handlers, include_builtin_handlers=False)
    session.register_component("data_loader", shared.get_component("data_loader"))
    return session
