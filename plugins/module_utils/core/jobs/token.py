# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The token of a request: by it AWS knows a request that was sent before, and we the job that it began."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..route import Route
from .job import Job

TOKEN_DIGITS = 40
TOKEN_MEMBERS = ("ClientToken", "IdempotencyToken")  # what DynamoDB and AWS Backup call a request's token


def canonical(value: Any) -> str:
    """JSON text that is the same for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def client_token(
    route: Route, source_arn: str, source_table_id: str, purpose: str, attempt: int, request: Mapping[str, Any]
) -> str:
    """The token of a request (JSON-safe, times whole seconds): the same for the same job, another for another."""
    call = {name: value for name, value in request.items() if name not in TOKEN_MEMBERS}
    parts = [
        source_arn,
        source_table_id,
        route.destination_account_id,
        route.destination_region,
        route.destination_table,
        route.migration_id,
        purpose,
        attempt,
        call,
    ]
    return hashlib.sha256(canonical(parts).encode()).hexdigest()[:TOKEN_DIGITS]


def with_token(job: Job, member: str = "ClientToken") -> Job:
    """``job`` with its call's token, as ``member``: the last step before the start."""
    request = job.request
    source = request["source"]
    token = client_token(
        Route.from_dict(request["route"]),
        source["table_arn"],
        source["table_id"],
        request["purpose"],
        job.attempt,
        request["call"],
    )
    return replace(job, request={**request, "call": {**request["call"], member: token}})
