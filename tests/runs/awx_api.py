# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in of AWX's REST API on loopback: the objects that ``playbooks/awx.yml`` creates, strictly.

AWX ignores fields that it does not know; this refuses them, so that a misspelt one is found. The fields are those that
the modules of awx.awx 24.6.1 send, and the checks those of AWX's serializers: a playbook has to be in its project, a
job template takes one credential of each type, a custom credential type may not set the variables of Ansible and AWX.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlparse

import jinja2
import pytest

TOKEN = "token-of-the-stand-in"
ENCRYPTED = "$encrypted$"
# What an object may have when it is written; a name after ">" is the kind that its id refers to.
FIELDS = {
    "organizations": "name description max_hosts default_environment>execution_environments",
    "credential_types": "name description kind inputs injectors managed",
    "credentials": "name description organization>organizations credential_type>credential_types inputs user team",
    "execution_environments": "name description image pull organization>organizations credential>credentials",
    "projects": "name description organization>organizations scm_type scm_url scm_branch scm_refspec scm_clean "
    "scm_delete_on_update scm_track_submodules scm_update_on_launch scm_update_cache_timeout timeout allow_override "
    "local_path default_environment>execution_environments credential>credentials",
    "labels": "name organization>organizations",
    "inventories": "name description organization>organizations kind host_filter variables "
    "prevent_instance_group_fallback",
    "inventory_sources": "name description inventory>inventories source source_path source_vars overwrite "
    "overwrite_vars update_on_launch update_cache_timeout timeout verbosity enabled_var enabled_value host_filter "
    "limit scm_branch credential>credentials source_project>projects "
    "execution_environment>execution_environments",
    "job_templates": "name description organization>organizations job_type inventory>inventories project>projects "
    "playbook execution_environment>execution_environments forks limit verbosity extra_vars job_tags skip_tags "
    "start_at_task timeout force_handlers use_fact_cache host_config_key ask_scm_branch_on_launch "
    "ask_diff_mode_on_launch ask_variables_on_launch ask_limit_on_launch ask_tags_on_launch ask_skip_tags_on_launch "
    "ask_job_type_on_launch ask_verbosity_on_launch ask_inventory_on_launch ask_credential_on_launch "
    "ask_execution_environment_on_launch ask_labels_on_launch ask_forks_on_launch ask_job_slice_count_on_launch "
    "ask_timeout_on_launch ask_instance_groups_on_launch survey_enabled become_enabled diff_mode allow_simultaneous "
    "job_slice_count webhook_service scm_branch prevent_instance_group_fallback",
    "workflow_job_templates": "name description organization>organizations extra_vars survey_enabled "
    "allow_simultaneous inventory>inventories limit scm_branch job_tags skip_tags ask_variables_on_launch "
    "ask_inventory_on_launch ask_scm_branch_on_launch ask_limit_on_launch ask_labels_on_launch ask_tags_on_launch "
    "ask_skip_tags_on_launch webhook_service",
    # The module sends the type, which AWX has and does not let change.
    "workflow_job_template_nodes": "identifier type workflow_job_template>workflow_job_templates "
    "unified_job_template>unified_job_templates extra_data inventory>inventories scm_branch job_type job_tags "
    "skip_tags limit diff_mode verbosity all_parents_must_converge forks job_slice_count timeout "
    "execution_environment>execution_environments",
    "workflow_approval_templates": "name description timeout",
}
REQUIRED = {
    "credential_types": ("name", "kind"),
    "credentials": ("name", "credential_type"),
    "execution_environments": ("name", "image"),
    "inventories": ("name", "organization"),
    "inventory_sources": ("name", "inventory", "source"),
    "job_templates": ("name", "playbook", "project"),
    "labels": ("name", "organization"),
    "workflow_job_template_nodes": ("workflow_job_template",),
}
LINKS = {
    "job_templates": {"credentials": "credentials", "labels": "labels"},
    "workflow_job_templates": {"labels": "labels"},
    "workflow_job_template_nodes": dict.fromkeys(
        ("success_nodes", "failure_nodes", "always_nodes"), "workflow_job_template_nodes"
    ),
    "inventories": {},
    "organizations": {},
}
CHOICES = {
    ("credential_types", "kind"): {"cloud", "net"},
    ("execution_environments", "pull"): {"", "always", "missing", "never"},
    ("inventory_sources", "source"): {"scm", "ec2", "controller"},
    ("job_templates", "job_type"): {"run", "check"},
    ("projects", "scm_type"): {"", "git", "svn", "archive", "insights"},
    ("inventories", "kind"): {"", "smart", "constructed"},
}
# Names of environment variables that a credential type may not set, besides those that begin with ANSIBLE_.
BLOCKED = {
    "VIRTUAL_ENV",
    "PATH",
    "PYTHONPATH",
    "JOB_ID",
    "INVENTORY_ID",
    "AWX_HOST",
    "PROJECT_REVISION",
    "MAX_EVENT_RES",
}
QUESTION = {"question_name", "question_description", "type", "variable", "required", "choices", "default", "min", "max"}
TYPES = {"text", "textarea", "password", "multiplechoice", "multiselect", "integer", "float"}
UNIFIED = ("job_templates", "workflow_job_templates", "projects", "inventory_sources", "workflow_approval_templates")
PLAYBOOK = re.compile(r"^\s*-?\s*(?:hosts|(ansible\.builtin\.)?import_playbook):", re.MULTILINE)


ROOT = Path(__file__).parents[2]
PLACES = {"awx_source": {"region": "eu-west-1"}, "awx_destination": {"region": "eu-central-1"}}

needs_awx = pytest.mark.skipif(
    importlib.util.find_spec("ansible_collections.awx") is None,
    reason="this package ansible has no awx.awx: ansible 12 has it, 14 does not",
)


class Wrong(Exception):
    """AWX would answer 400 with this."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.body = {name: [message]}


@dataclass
class Awx:
    """What stands in an AWX whose projects are the folder ``project``, and what was written to it."""

    project: Path
    url: str = ""
    objects: dict[str, dict[int, dict[str, Any]]] = field(default_factory=lambda: {kind: {} for kind in FIELDS})
    links: dict[tuple[str, int, str], list[int]] = field(default_factory=dict)
    surveys: dict[int, dict[str, Any]] = field(default_factory=dict)
    written: list[tuple[str, str]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def named(self, kind: str, name: str) -> dict[str, Any]:
        """The one object of ``kind`` with this name, or identifier."""
        (found,) = (each for each in self.objects[kind].values() if name in (each.get("name"), each.get("identifier")))
        return found

    def linked(self, kind: str, name: str, link: str) -> list[str]:
        """The names of what is linked to an object, sorted."""
        target = LINKS[kind][link]
        ids = self.links.get((kind, self.named(kind, name)["id"], link), [])
        return sorted(each.get("name") or each["identifier"] for each in (self.objects[target][i] for i in ids))

    def create(self, kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """A new object. Raises Wrong."""
        for name in REQUIRED.get(kind, ("name",)):
            if data.get(name) in (None, ""):
                raise Wrong(name, "This field is required.")
        self._check(kind, data)
        number = next(self.numbers)
        fields = [each.split(">")[0] for each in FIELDS[kind].split()]
        made = {
            **dict.fromkeys(fields),
            **data,
            "id": number,
            "url": f"/api/v2/{kind}/{number}/",
            "type": kind.rstrip("s"),
        }
        made["related"] = {"survey_spec": f"{made['url']}survey_spec/"} if kind.endswith("job_templates") else {}
        made["summary_fields"] = {}
        if kind == "projects":
            made["scm_revision"] = "0" * 40
        self.objects[kind][number] = made
        return made

    def change(self, kind: str, number: int, data: Mapping[str, Any]) -> dict[str, Any]:
        """An object with what is new in it. Raises Wrong."""
        before = self.objects[kind][number]
        self._check(kind, {**{name: before[name] for name in before if name in data}, **data}, before)
        before |= {name: value for name, value in data.items() if name != "type"}
        return before

    def _check(self, kind: str, data: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> None:
        known = dict(part.partition(">")[::2] for part in FIELDS[kind].split())
        for name, value in data.items():
            if name not in known:
                raise Wrong(name, f"{kind} have no such field.")
            if known[name] and value is not None and value not in self._of_kind(known[name]):
                raise Wrong(name, f'Invalid pk "{value}" - object does not exist.')
            choices = CHOICES.get((kind, name))
            if choices is not None and value is not None and value not in choices:
                raise Wrong(name, f'"{value}" is not a valid choice.')
        whole = {**(before or {}), **data}
        if kind == "credential_types":
            _check_credential_type(whole)
        if kind == "credentials":
            _check_inputs(whole.get("inputs") or {}, self.objects["credential_types"][whole["credential_type"]])
        if kind == "job_templates":
            self._check_file("playbook", whole["playbook"], PLAYBOOK)
        if kind == "inventory_sources" and whole["source"] == "scm":
            if not whole.get("source_project"):
                raise Wrong("source_project", "Project required for scm type sources.")
            self._check_file("source_path", whole["source_path"], re.compile("^plugin:", re.MULTILINE))
        for name in ("extra_vars", "variables", "source_vars"):
            if isinstance(whole.get(name), str) and whole[name] and not isinstance(json.loads(whole[name]), dict):
                raise Wrong(name, "Must be a dictionary.")

    def _check_file(self, name: str, path: str, looks: re.Pattern[str]) -> None:
        place = self.project / path
        if not place.is_file() or not looks.search(place.read_text()):
            raise Wrong(name, f"{path} was not found in the project.")

    def _of_kind(self, kind: str) -> set[int]:
        kinds = UNIFIED if kind == "unified_job_templates" else (kind,)
        return {number for each in kinds for number in self.objects[each]}

    def find(self, kind: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """The objects of ``kind`` with the fields of ``query``."""
        kinds = UNIFIED if kind == "unified_job_templates" else (kind,)
        every = [each for one in kinds for each in self.objects[one].values()]
        return [each for each in every if all(str(each.get(name)) == value for name, value in query.items())]

    def link(self, kind: str, number: int, link: str, data: Mapping[str, Any]) -> None:
        """Add an object to the ones that are linked, or take it away. Raises Wrong."""
        here = self.links.setdefault((kind, number, link), [])
        other = int(data["id"])
        if data.get("disassociate"):
            here.remove(other)
            return
        target = LINKS[kind][link]
        if other not in self.objects[target]:
            raise Wrong("id", "object does not exist.")
        if link == "credentials":
            types = [self.objects[target][each]["credential_type"] for each in here]
            if self.objects[target][other]["credential_type"] in types:
                raise Wrong("error", "Cannot assign multiple credentials of one type.")
        here.append(other)

    def set_survey(self, number: int, spec: Mapping[str, Any]) -> None:
        """The survey of a template. Raises Wrong."""
        if set(spec) != {"name", "description", "spec"} or not spec["spec"]:
            raise Wrong("error", "A survey has a name, a description and a spec.")
        for question in spec["spec"]:
            if set(question) - QUESTION or question["type"] not in TYPES or not question["variable"]:
                raise Wrong("error", f"{question} is no question.")
            if question["type"] == "multiplechoice" and question["default"] not in question["choices"]:
                raise Wrong("error", f"{question['variable']}: the default is no choice.")
        self.surveys[number] = dict(spec)


def _check_credential_type(data: Mapping[str, Any]) -> None:
    fields = {each["id"]: each for each in data["inputs"]["fields"]}
    for each in fields.values():
        unknown = set(each) - {
            "id",
            "label",
            "type",
            "secret",
            "help_text",
            "multiline",
            "format",
            "choices",
            "default",
        }
        if unknown or each.get("type", "string") not in ("string", "boolean"):
            raise Wrong("inputs", f"{each} is no field.")
    if set(data["inputs"]) - {"fields", "required"} or set(data["inputs"].get("required", ())) - set(fields):
        raise Wrong("inputs", "Required fields have to be fields.")
    if set(data["injectors"]) - {"file", "env", "extra_vars"}:
        raise Wrong("injectors", "There are file, env and extra_vars.")
    for name in data["injectors"].get("env", {}):
        if name in BLOCKED or name.startswith("ANSIBLE_") or not re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name):
            raise Wrong("injectors", f"Environment variable {name} is not allowed to be used in credentials.")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    values: dict[str, Any] = dict.fromkeys(fields, "EXAMPLE")
    values["tower"] = {"filename": "EXAMPLE_FILENAME"}
    for kind in ("file", "env", "extra_vars"):
        for template in data["injectors"].get(kind, {}).values():
            try:
                environment.from_string(template).render(values)
            except jinja2.TemplateError as error:
                raise Wrong("injectors", str(error)) from error


def _check_inputs(inputs: Mapping[str, Any], kind: Mapping[str, Any]) -> None:
    fields = {each["id"] for each in kind["inputs"]["fields"]}
    if set(inputs) - fields or set(kind["inputs"].get("required", ())) - set(inputs):
        raise Wrong("inputs", f"{sorted(inputs)} are not the inputs of {kind['name']}.")


def _shown(kind: str, found: Mapping[str, Any], awx: Awx) -> dict[str, Any]:
    """``found`` as AWX answers with it: without secrets."""
    if kind != "credentials":
        return dict(found)
    fields = awx.objects["credential_types"][found["credential_type"]]["inputs"]["fields"]
    secret = {each["id"] for each in fields if each.get("secret")}
    return {
        **found,
        "inputs": {name: ENCRYPTED if name in secret else value for name, value in found["inputs"].items()},
    }


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, awx: Awx, *arguments: Any) -> None:
        self.awx = awx
        super().__init__(*arguments)

    def log_message(self, *_arguments: Any) -> None:
        """Print nothing."""

    def _serve(self) -> None:
        address = urlparse(self.path)
        parts = address.path.removeprefix("/api/v2/").strip("/").split("/")
        size = int(self.headers.get("Content-Length") or 0)
        data = json.loads(self.rfile.read(size) or b"{}") if size else {}
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"detail": "Authentication credentials were not provided."})
            return
        if not address.path.startswith("/api/v2/") or not address.path.endswith("/"):
            self._answer(404, {"detail": "Not found."})
            return
        with self.awx.lock:
            if self.command != "GET":
                self.awx.written.append((self.command, address.path))
            try:
                status, body = self._do(parts, data, dict(parse_qsl(address.query, keep_blank_values=True)))
            except Wrong as wrong:
                status, body = 400, wrong.body
            except KeyError as missing:
                status, body = 404, {"detail": f"Not found: {missing}"}
        self._answer(status, body)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve

    def _do(self, parts: list[str], data: dict[str, Any], query: dict[str, str]) -> tuple[int, Any]:
        awx, (kind, *rest) = self.awx, parts
        if not rest:
            if self.command == "POST":
                return 201, _shown(kind, awx.create(kind, data), awx)
            query.pop("page_size", None)
            found = [_shown(kind, each, awx) for each in awx.find(kind, query)]
            return 200, {"count": len(found), "next": None, "previous": None, "results": found}
        number = int(rest[0])
        found_one = awx.objects[kind][number]
        if len(rest) == 1:
            if self.command == "PATCH":
                awx.change(kind, number, data)
            return 200, _shown(kind, found_one, awx)
        if rest[1] == "survey_spec":
            if self.command == "POST":
                awx.set_survey(number, data)
            return 200, awx.surveys.get(number, {})
        if rest[1] == "create_approval_template" and self.command == "POST":
            made = awx.create("workflow_approval_templates", data)
            found_one["unified_job_template"] = made["id"]
            found_one["related"]["unified_job_template"] = made["url"]
            return 201, made
        target = LINKS[kind][rest[1]]
        if self.command == "POST":
            awx.link(kind, number, rest[1], data)
            return 204, None
        linked = [awx.objects[target][each] for each in awx.links.get((kind, number, rest[1]), [])]
        return 200, {"count": len(linked), "next": None, "previous": None, "results": linked}

    def _answer(self, status: int, body: Any) -> None:
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.end_headers()
        self.wfile.write(text)


@contextmanager
def stand_in(project: Path) -> Iterator[Awx]:
    """An AWX on a free port of loopback, with an organization and nothing else."""
    awx = Awx(project)
    awx.create("organizations", {"name": "Default"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, awx))
    awx.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield awx
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def set_up(awx: Awx, *options: str, expect: int = 0, **variables: Any) -> str:
    """The output of the playbook."""
    environment = {**os.environ, "CONTROLLER_HOST": awx.url, "CONTROLLER_OAUTH_TOKEN": TOKEN}
    command = ["ansible-playbook", "tableferry.aws.awx", "-i", "localhost,", *options, "-e", json.dumps(variables)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == expect, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout + done.stderr
