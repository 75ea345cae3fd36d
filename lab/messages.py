# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the gate and the services exchange: HTTP requests and responses, and the permissions needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote, unquote_plus

from lab.caller import ConditionValue
from lab.errors import AwsError


@dataclass(frozen=True)
class HttpRequest:
    """One HTTP request.

    ``path`` and ``query`` are as sent (percent-encoded, the query without ``?``), the keys of ``headers`` are lower
    case, repeated headers joined by a comma. Where a service sees it, ``body`` is decoded: neither chunked nor
    aws-chunked any more; checksums that came as trailers stand among the headers. ``connection`` numbers the HTTP
    connections (0: none), as some throttles are for each of them.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    connection: int = 0

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The query string's parameters, decoded; one without ``=`` has the value ``""``."""
        pairs = (part.partition("=") for part in self.query.split("&") if part)
        return {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}

    @cached_property
    def bucket_and_key(self) -> tuple[str, str]:
        """Bucket and key of a path-style S3 request, decoded; each may be empty."""
        bucket, _, key = self.path.lstrip("/").partition("/")
        return unquote(bucket), unquote(key)

    @property
    def url(self) -> str:
        """The whole URL."""
        host = self.headers.get("host", "127.0.0.1")
        return f"http://{host}{self.path}" + (f"?{self.query}" if self.query else "")


@dataclass(frozen=True)
class HttpResponse:
    """One HTTP response. ``bytes`` get their ``Content-Length``; another body is sent chunk by chunk."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""


@dataclass(frozen=True)
class AuthorizationRequest:
    """One permission that an operation needs.

    ``resource_policy`` is the policy document of the resource (JSON text or a mapping) or None, ``owner_account`` the
    account that owns the resource (empty: the caller's). With ``resource_policy_required`` the resource policy must
    allow the principal or delegate to its account's root, as for KMS keys and trust policies. ``refusal`` makes the
    error to raise, from the usual message, instead of AccessDenied. ``uncontrolled``: no resource control policy binds
    the resource.
    """

    action: str
    resource_arn: str
    resource_policy: str | Mapping[str, Any] | None = None
    owner_account: str = ""
    resource_policy_required: bool = False
    conditions: Mapping[str, ConditionValue] = field(default_factory=dict)
    refusal: Callable[[str], AwsError] | None = None
    uncontrolled: bool = False
