# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""S3 as the gate sees it: requests come whole, in S3's own REST protocol."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lab.errors import AwsError
from lab.messages import AuthorizationRequest, HttpRequest, HttpResponse
from lab.s3.buckets import Buckets
from lab.s3.http import S3Http
from lab.world import Context, World


class S3Service:
    """S3. ``buckets`` holds the buckets of all accounts."""

    name = "s3"
    locks_itself: frozenset[str] = frozenset()

    def __init__(self, world: World) -> None:
        self._world = world
        self.buckets = world.put(Buckets(world))
        self._http = S3Http(self.buckets)

    def handle_http(self, context: Context, request: HttpRequest) -> HttpResponse:
        """Answer a request of the REST protocol."""
        with self._world.lock:
            response = self._http.answer(context, request)
        return replace(response, headers={"x-amz-request-id": context.request_id, **response.headers})

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """Nothing: requests come whole, and their handlers authorize them."""
        return []

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Not used: S3 speaks through ``handle_http``."""
        raise AwsError("NotImplemented", "S3 is reached by its REST protocol.", 501)
