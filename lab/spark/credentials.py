# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The credentials of jobs' roles, as containers of AWS get them: by HTTP, for a while, and new ones in time."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lab.behaviours import Behaviour
from lab.caller import Caller
from lab.identity import Credential
from lab.rules import rule
from lab.world import World

SECONDS = Behaviour("spark.credentials_seconds", ("3600", "20"))
RENEWED = rule(
    "spark-credentials-are-renewed",
    service="spark",
    says="A job has its role's credentials from its platform (here by AWS_CONTAINER_CREDENTIALS_FULL_URI with a "
    "token); they expire, and the platform has new ones before",
    fact="spark.md 1; AWS SDKs and Tools reference guide, Container credential provider",
    test="spark/test_runs.py::test_credentials_are_renewed",
)

HOST = "127.0.0.1"
_PATH = "/credentials/"


class RoleCredentials:
    """Serves credentials on loopback, to who has the token of a job."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._callers: dict[str, tuple[str, Caller]] = {}
        self._sessions: dict[str, Credential] = {}
        handler = type("Handler", (_Handler,), {"credentials": self})
        self._server = ThreadingHTTPServer((HOST, 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def offer(self, job: str, caller: Caller, token: str) -> dict[str, str]:
        """The environment by which the processes of ``job`` become ``caller``."""
        self._callers[job] = (token, caller)
        url = f"http://{HOST}:{self._server.server_address[1]}{_PATH}{job}"
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url, "AWS_CONTAINER_AUTHORIZATION_TOKEN": token}

    def withdraw(self, job: str) -> None:
        """Give ``job`` no more credentials."""
        self._callers.pop(job, None)
        self._sessions.pop(job, None)

    def answer(self, path: str, token: str) -> tuple[int, bytes]:
        """Status and body for a request: credentials with more than half of their life before them."""
        job = path.removeprefix(_PATH)
        offered = self._callers.get(job)
        if not path.startswith(_PATH) or offered is None or offered[0] != token:
            return 403, b'{"Message": "Invalid authorization token."}'
        world = self._world
        with world.lock:
            seconds = float(world.behaviours[SECONDS.name])
            session = self._sessions.get(job)
            if session is None or _left(world, session) < seconds / 2:
                session = self._sessions[job] = world.identity.add_session(offered[1], seconds)
            expires_at = world.clock.shown() + _left(world, session)  # by the clock that the job reads
        content = {
            "RoleArn": session.caller.principal_arn,
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret,
            "Token": session.token,
            "Expiration": datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return 200, json.dumps(content).encode()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _left(world: World, session: Credential) -> float:
    return (session.expires_at or 0.0) - world.clock.now()


class _Handler(BaseHTTPRequestHandler):
    credentials: RoleCredentials

    def do_GET(self) -> None:
        status, body = self.credentials.answer(self.path, self.headers.get("Authorization", ""))
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # the base class's name
        """Print nothing."""
