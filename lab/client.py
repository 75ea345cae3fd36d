# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab for its users: start it in threads (``running``) or as a process (``spawn``), steer it, read its log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config

from lab.assembly import SERVICES, build_world
from lab.landscape import DEFAULT_SCALE, REGION, settle
from lab.server import LabServer
from lab.world import World

START_SECONDS = 60
STOP_SECONDS = 20


@lru_cache(maxsize=1)
def _models() -> botocore.loaders.Loader:
    """botocore's service models, read once for all sessions: they are most of what a client costs."""
    loader: botocore.loaders.Loader = botocore.session.Session().get_component("data_loader")
    return loader


@lru_cache(maxsize=64)
def _session(access_key: str, secret_key: str, session_token: str | None, region: str) -> boto3.Session:
    """A session of these keys, made once: a new one costs more than all that most users ask for with it."""
    core = botocore.session.Session()
    core.register_component("data_loader", _models())
    return boto3.Session(access_key, secret_key, session_token, region_name=region, botocore_session=core)


@dataclass(frozen=True)
class LabClient:
    """A lab that is running somewhere; ``landscape`` is what it printed when it was ready (accounts, keys, roles)."""

    endpoint_url: str
    landscape: Mapping[str, Any]
    _clients: dict[tuple[Any, ...], Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    # The control API

    def control(self, method: str, path: str, content: Any = None) -> Any:
        """The answer of ``/_lab/<path>``; ValueError with the lab's message when it refuses."""
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.endpoint_url}/_lab/{path}", body, method=method)
        try:
            with urllib.request.urlopen(request) as response:
                return json.load(response)
        except urllib.error.HTTPError as refusal:
            raise ValueError(json.load(refusal)["error"]) from None

    def state(self) -> dict[str, Any]:
        """Clock, timings, accounts, services, and what went wrong in the lab itself."""
        return self._mapping("GET", "state")

    def calls(self, operation: str = "", **filters: Any) -> list[dict[str, Any]]:
        """The requests so far, oldest first; ``filters`` as in ``count``."""
        return self._requests(operation, {**filters, "entries": 1})["entries"]  # type: ignore[no-any-return]

    def count(self, operation: str = "", **filters: Any) -> int:
        """How many requests there were: of ``operation``, ``account``, ``region``, ``service``, ``error_code``, and
        ``ok`` or ``mutating`` as booleans."""
        return self._requests(operation, filters)["count"]  # type: ignore[no-any-return]

    def mutating_calls(self) -> list[dict[str, Any]]:
        """The requests that could have changed something."""
        return self.calls(mutating=True)

    def jobs(self, kind: str = "", **filters: str) -> list[dict[str, Any]]:
        """The jobs that were started: of ``kind`` ``export``, ``import``, ``backup``, ``copy``, ``restore``,
        ``glue`` or ``emr``, and of ``account``, ``region`` and ``resource``."""
        query = urllib.parse.urlencode({**filters, **({"kind": kind} if kind else {})})
        return self.control("GET", f"jobs?{query}")  # type: ignore[no-any-return]

    def clear_requests(self) -> None:
        """Forget all requests and jobs."""
        self.control("DELETE", "requests")

    def permissions(self, principal_arn: str = "") -> list[dict[str, Any]]:
        """The permissions that calls needed, of ``principal_arn`` or of anybody (``lab.permission_log.Permission``)."""
        query = urllib.parse.urlencode({"principal": principal_arn})
        return self.control("GET", f"permissions?{query}")  # type: ignore[no-any-return]

    def advance(self, seconds: float) -> None:
        """Move the lab's time forward."""
        self.control("POST", "clock", {"advance": seconds})

    def advance_until(self, moment: float) -> None:
        """Move the lab's time forward to ``moment`` (epoch seconds), such as a backup plan's next run."""
        self.control("POST", "clock", {"until": moment})

    def set_timings(self, timings: Mapping[str, float]) -> None:
        """Fix how long things take, in seconds by name, whatever the scale."""
        self.control("POST", "timings", dict(timings))

    def move_account(self, account_id: str, organization_id: str) -> None:
        """Put an account into another organization, or (empty) into none."""
        self.control("POST", "accounts", {account_id: organization_id})

    def set_control_policies(self, account_id: str, *documents: Mapping[str, Any]) -> None:
        """Let these service control policies bind the principals of an account from now on; none without documents."""
        self.control("POST", "control_policies", {account_id: list(documents)})

    def set_resource_control_policies(self, account_id: str, *documents: Mapping[str, Any]) -> None:
        """Let these resource control policies bind the resources of an account from now on; none without documents."""
        self.control("POST", "resource_control_policies", {account_id: list(documents)})

    def choose_behaviours(self, choices: Mapping[str, str]) -> None:
        """Answer open questions about AWS by their names (``lab.behaviours``)."""
        self.control("POST", "behaviours", dict(choices))

    def enforce_quotas(self, enforced: bool) -> None:
        """Turn AWS's limits and throttles on or off."""
        self.control("POST", "quotas", {"enforced": enforced})

    def adjust_quota(self, account_id: str, name: str, value: int) -> None:
        """Give one account another quota than AWS's default, such as ``dynamodb.global_indexes``."""
        self.control("POST", "quotas", {"adjusted": {account_id: {name: value}}})

    def add_fault(self, **members: Any) -> None:
        """Plan a fault; members as in ``lab.faults.Fault``."""
        self.control("POST", "faults", members)

    def hold(self, **members: Any) -> int:
        """Plan a ``hold``, for finished calls unless ``members`` says otherwise; the id of the fault."""
        planned = self.control("POST", "faults", {"kind": "hold", "when": "after", **members})
        return int(planned[-1]["id"])

    def held(self, hold: int) -> bool:
        """Whether the fault with this id keeps a call back, or did."""
        return any(fault["id"] == hold and fault["held"] for fault in self.control("GET", "faults"))

    def release(self, hold: int) -> None:
        """Let the calls go on that the fault with this id keeps back."""
        self.control("POST", "faults/release", {"id": hold})

    def clear_faults(self) -> None:
        """Forget all planned faults."""
        self.control("DELETE", "faults")

    def _mapping(self, method: str, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.control(method, path)
        return answer

    def _requests(self, operation: str, filters: Mapping[str, Any]) -> dict[str, Any]:
        query = {name: str(value).lower() if isinstance(value, bool) else value for name, value in filters.items()}
        if operation:
            query["operation"] = operation
        return self._mapping("GET", f"requests?{urllib.parse.urlencode(query)}")

    # AWS

    def session(self, who: str | Mapping[str, str] = "source") -> boto3.Session:
        """A boto3 session as ``who``.

        That is the administrator of ``source``, ``destination``, ``management`` or ``outside``, the user ``hub``, the
        role ``source/ferry``, ``destination/ferry`` or ``outside/ferry``, or who owns a mapping's ``access_key``,
        ``secret_key`` and ``session_token``.
        """
        keys: Mapping[str, str]
        if not isinstance(who, str):
            keys = who
        elif who == "hub":
            keys = self.landscape["hub"]
        elif who.endswith("/ferry"):
            keys = self.assume(who.removesuffix("/ferry"))
        else:
            keys = self.landscape["accounts"][who]
        return _session(keys["access_key"], keys["secret_key"], keys.get("session_token"), self.landscape["region"])

    def client(self, service: str, who: str | Mapping[str, str] = "source", region: str = "", **config: Any) -> Any:
        """A boto3 client of ``service`` for ``who`` (see ``session``), the same each time; it does not retry unless
        ``config`` says so."""
        config.setdefault("retries", {"total_max_attempts": 1})
        session = self.session(who)
        key = (service, session, region, repr(sorted(config.items())))
        if key not in self._clients:
            self._clients[key] = session.client(
                service,  # type: ignore[call-overload]
                region_name=region or self.landscape["region"],
                endpoint_url=self.endpoint_url,
                config=Config(**config),
            )
        return self._clients[key]

    def assume(self, side: str, session_name: str = "rehearsal") -> dict[str, str]:
        """Keys of a session of the role ``ferry`` in ``source`` or ``destination``, assumed by the hub."""
        account = self.landscape["accounts"][side]
        credentials = self.client("sts", "hub").assume_role(
            RoleArn=account["role_arn"], ExternalId=account["external_id"], RoleSessionName=session_name
        )["Credentials"]
        return {
            "access_key": credentials["AccessKeyId"],
            "secret_key": credentials["SecretAccessKey"],
            "session_token": credentials["SessionToken"],
        }


@dataclass(frozen=True)
class RunningLab(LabClient):
    """A lab in this process, its world within reach."""

    world: World


@contextmanager
def running(
    *,
    scale: float = DEFAULT_SCALE,
    timings: Mapping[str, float] | None = None,
    quotas: bool = True,
    seed: int = 0,
    services: Sequence[str] = SERVICES,
    region: str = REGION,
) -> Iterator[RunningLab]:
    """A lab in threads of this process, closed when the context ends; its accounts are in ``region``'s partition."""
    world = build_world(services, seed=seed, scale=scale, quotas=quotas)
    try:
        for name, seconds in (timings or {}).items():
            world.timings.set(name, seconds)
        landscape = settle(world, region)
        with LabServer(world) as server:
            yield RunningLab(server.endpoint_url, {"endpoint_url": server.endpoint_url, **landscape}, world)
    finally:
        world.close()


@contextmanager
def spawn(
    *,
    scale: float = DEFAULT_SCALE,
    timings: Mapping[str, float] | None = None,
    quotas: bool = True,
    seed: int = 0,
    log: Path | None = None,
    region: str = REGION,
) -> Iterator[LabClient]:
    """A lab in a process of its own, stopped when the context ends; ``log`` takes what it prints.

    Its accounts are in ``region``'s partition.
    """
    with tempfile.TemporaryDirectory(prefix="tableferry-lab-ready-") as directory:
        ready = Path(directory) / "ready.json"
        output = log or Path(directory) / "lab.log"
        command = [sys.executable, "-m", "lab", "--ready-file", str(ready), "--scale", str(scale), "--seed", str(seed)]
        command += ["--region", region]
        if not quotas:
            command.append("--no-quotas")
        for name, seconds in (timings or {}).items():
            command += ["--timing", f"{name}={seconds}"]
        home = str(Path(__file__).resolve().parent.parent)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
        with output.open("wb") as stream:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stream
            )
        try:
            landscape = _wait_until_ready(process, ready, output)
            yield LabClient(landscape["endpoint_url"], landscape)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], ready: Path, output: Path) -> dict[str, Any]:
    """What the lab wrote when it was ready; RuntimeError with its last output when it ended or took too long."""
    end = time.monotonic() + START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > end:
            words = output.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"The lab did not start (exit status {process.poll()}). {words}")
        time.sleep(0.05)
    landscape: dict[str, Any] = json.loads(ready.read_text())
    return landscape
