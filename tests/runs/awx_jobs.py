# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs as AWX runs them: ansible-runner with the pattern's playbooks, AWX's environment, credentials that the pattern's
types inject, an inventory script of the slice's hosts, and a disk of its own that nothing is taken from afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import ansible_runner
import jinja2
import yaml

from lab.controller import surroundings, tree
from tests.runs.playbooks import PATIENCE, Migration, eventually

PATTERN = Path(__file__).parents[2] / "extensions" / "patterns" / "migrate_dynamodb"
RESOURCES = json.loads((PATTERN / "meta" / "pattern.json").read_text())["aap_resources"]
# As awx/main/tasks/jobs.py sets them for every job.
ENVIRONMENT = {
    "ANSIBLE_FORCE_COLOR": "True",
    "ANSIBLE_HOST_KEY_CHECKING": "False",
    "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
    "ANSIBLE_PARAMIKO_RECORD_HOST_KEYS": "False",
    "ANSIBLE_RETRY_FILES_ENABLED": "False",
    "AWX_HOST": "https://awx.example.com",
    "INVENTORY_ID": "1",
    "MAX_EVENT_RES": "700000",
    "PROJECT_REVISION": "0" * 40,
}


@dataclass(frozen=True)
class Job:
    """A job under way, or one that has ended."""

    runner: ansible_runner.Runner
    thread: threading.Thread
    stop: threading.Event

    def wait(self) -> str:
        """Its status: successful, failed or canceled."""
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), self.output[-4000:]
        return str(self.runner.status)

    def cancel(self) -> str:
        """As AWX cancels: ansible-runner sends SIGKILL to the process group. What is left goes with the container."""
        folder = self.runner.config.private_data_dir
        processes = [pid for pid in tree(os.getpid()) if _command(pid, folder)]
        self.stop.set()
        status = self.wait()
        for pid in processes:
            if _command(pid, folder):
                os.kill(pid, signal.SIGKILL)
        return status

    @property
    def output(self) -> str:
        """What it has printed."""
        path = Path(self.runner.config.artifact_dir, "stdout")
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def stats(self) -> dict[str, Any]:
        """What AWX makes the job's artifacts and host summaries of."""
        (event,) = (each for each in self.runner.events if each["event"] == "playbook_on_stats")
        found: dict[str, Any] = event["event_data"]
        return found

    @property
    def artifacts(self) -> dict[str, Any]:
        """What set_stats has handed on."""
        found: dict[str, Any] = self.stats["artifact_data"]
        return found

    @property
    def failed_hosts(self) -> list[str]:
        """The hosts of a relaunch on failed hosts."""
        return sorted(self.stats["failures"])


@dataclass(frozen=True)
class Controller:
    """An AWX with the pattern, for the ``migration``, whose jobs use the ``way`` accounts or hub."""

    migration: Migration
    folder: Path
    way: str
    numbers: Iterator[int]

    def side(self, side: str) -> dict[str, str]:
        """The options of an account, as ``playbooks/awx.yml`` has them."""
        region = {"region": self.migration.lab.landscape["region"]}
        account = self.migration.lab.landscape["accounts"][side]
        if self.way == "hub":
            return {**region, "role_arn": account["role_arn"], "external_id": account["external_id"]}
        return {**region, "profile": f"tableferry-{side}"}

    def environment(self, folder: Path, *sides: str, machine: str = "") -> dict[str, str]:
        """What the credentials of ``sides`` inject, and the lab's address and clock."""
        found = {"AWS_ENDPOINT_URL": self.migration.lab.endpoint_url, "AWS_EC2_METADATA_DISABLED": "true"}
        home = folder / "home"  # a container's own: no checkpoint of an earlier job
        home.mkdir(parents=True, exist_ok=True)
        found["HOME"] = str(home)
        if self.way == "hub":  # AWX's own type Amazon Web Services
            keys = self.migration.lab.landscape["hub"]
            found |= {"AWS_ACCESS_KEY_ID": keys["access_key"], "AWS_SECRET_ACCESS_KEY": keys["secret_key"]}
        for side in sides if self.way == "accounts" else ():
            account = self.migration.lab.landscape["accounts"][side]
            inputs = {name: account[name] for name in ("access_key", "secret_key")}
            found |= _inject(f"TableFerry {side} account", inputs, folder / f"{side}-credential")
        skew = self.folder / "skew"
        skew.write_bytes(bytes(8))
        return {
            **found,
            **surroundings(self.migration.clock, skew, machine, python_path=os.environ.get("PYTHONPATH", "")),
        }

    def update_inventory(self) -> dict[str, Any]:
        """What the inventory source imports, with the inventory's own variables."""
        path = PATTERN / "inventories" / f"{self.way}.dynamodb_tables.yml"
        source = {f"TABLEFERRY_SOURCE_{name.upper()}": value for name, value in self.side("source").items()}
        environment = self.environment(self.folder / "inventory", "source")
        done = subprocess.run(
            ["ansible-inventory", "-i", str(path), "--list", "--export"],
            env={**os.environ, **ENVIRONMENT, **environment, **source},
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        found["all"]["vars"] = {"ferry_destination": self.side("destination")}
        return found

    @contextmanager
    def launch(
        self,
        template: str,
        inventory: Mapping[str, Any],
        *,
        slice_of: tuple[int, int] = (1, 1),
        limit: Sequence[str] = (),
        handed_on: Mapping[str, Any] | None = None,
        **answers: str,
    ) -> Iterator[Job]:
        """The job template ``TableFerry <template>``: slice ``(number, count)``, with the artifacts of earlier nodes of
        the workflow and answers of the survey. Killed, if it still runs, when the context ends."""
        (found,) = (each for each in RESOURCES["controller_job_templates"] if each["name"] == f"TableFerry {template}")
        asked = found.get("survey", {}).get("spec", [])
        assert set(answers) <= {each["variable"] for each in asked}
        number = next(self.numbers)
        folder = self.folder / f"job-{number}"
        shutil.copytree(PATTERN / "playbooks", folder / "project")
        script = folder / "inventory" / "hosts"
        script.parent.mkdir()
        script.write_text(f"#! /usr/bin/env python3\nprint({json.dumps(_sliced(inventory, *slice_of))!r})\n")
        script.chmod(0o700)
        own = found.get("extra_vars", {})
        variables = {
            **{each["variable"]: each["default"] for each in asked},
            **(handed_on or {}),
            **answers,
            "awx_job_id": number,
            "awx_job_template_name": found["name"],
            "tower_job_id": number,
        }
        _write_variables(folder / "env" / "extravars", own, variables)
        stop = threading.Event()
        environment = self.environment(folder / "env", "source", "destination", machine=f"pod-{number}")
        thread, runner = ansible_runner.run_async(
            private_data_dir=str(folder),
            playbook=found["playbook"],
            inventory=str(script),
            envvars={**ENVIRONMENT, **environment, "JOB_ID": str(number)},
            limit=",".join(limit) or None,
            forks=10,
            settings={"pexpect_timeout": 1},
            cancel_callback=stop.is_set,
            quiet=True,
        )
        try:
            yield Job(runner, thread, stop)
        finally:
            stop.set()
            thread.join(PATIENCE)


def awx(migration: Migration, folder: Path, way: str) -> Controller:
    """An AWX for ``migration``; the disks of its jobs are below ``folder``."""
    place = folder / "awx"
    place.mkdir()
    return Controller(migration, place, way, count(1))


def until(job: Job, condition: Callable[[], bool]) -> None:
    """Wait for ``condition``; AssertionError where the job ends before it."""
    eventually(lambda: condition() or not job.thread.is_alive())
    assert condition(), job.output[-4000:]


def _inject(name: str, inputs: Mapping[str, str], file: Path) -> dict[str, str]:
    """The environment of a credential of the type ``name``, whose file is written."""
    (kind,) = (each for each in RESOURCES["controller_credential_types"] if each["name"] == name)
    assert set(kind["inputs"]["required"]) <= set(inputs)
    templates = jinja2.Environment(autoescape=False)
    file.write_text(templates.from_string(kind["injectors"]["file"]["template"]).render(inputs))
    file.chmod(0o600)
    values = {"tower": {"filename": str(file)}}
    return {key: templates.from_string(text).render(values) for key, text in kind["injectors"]["env"].items()}


class _Unsafe(str):
    """A text that Ansible takes for no template."""


class _Dumper(yaml.SafeDumper):
    """Writes such texts."""


_Dumper.add_representer(_Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text)))


def _write_variables(path: Path, own: Mapping[str, Any], variables: Mapping[str, Any]) -> None:
    """The file of extra variables as AWX writes it where ALLOW_JINJA_IN_EXTRA_VARS is ``template``, its default: only
    the job template's ``own`` may have templates in them, what was answered or handed on may not."""
    path.parent.mkdir()
    path.write_text(yaml.dump({**own, **_unsafe(variables)}, Dumper=_Dumper))


def _unsafe(value: Any) -> Any:
    if isinstance(value, str):
        return _Unsafe(value)
    if isinstance(value, Mapping):
        return {name: _unsafe(each) for name, each in value.items()}
    return [_unsafe(each) for each in value] if isinstance(value, list) else value


def _sliced(inventory: Mapping[str, Any], number: int, slices: int) -> dict[str, Any]:
    """The inventory with every so many of its hosts, sorted, as AWX gives it to a slice."""
    variables = inventory["_meta"]["hostvars"]
    kept = set(sorted(variables)[number - 1 :: slices])
    groups = {
        name: {**group, "hosts": [host for host in group["hosts"] if host in kept]} if "hosts" in group else group
        for name, group in inventory.items()
        if name != "_meta"
    }
    return {**groups, "_meta": {"hostvars": {host: variables[host] for host in sorted(kept)}}}


def _command(pid: int, folder: str) -> bool:
    """Whether ``pid`` runs an ansible-playbook of the job below ``folder``."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
    return "ansible-playbook" in words and folder in words
