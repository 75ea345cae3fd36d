# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The control API under ``/_lab/``: unsigned JSON on loopback, for tests and rehearsals.

- ``GET /_lab/state``; ``POST /_lab/state`` with any of ``advance``, ``timings``, ``quotas``
- ``GET /_lab/requests?operation=&account=&region=&service=&error_code=&ok=&mutating=&entries=1``;
  ``DELETE /_lab/requests``
- ``GET /_lab/jobs?kind=&account=&region=&resource=``: exports, imports, backups, copies and restores that were started
- ``GET /_lab/permissions?principal=``: the permissions that calls needed, with the phase in which each was asked first;
  ``POST /_lab/permissions`` ``{"phase": "<name>"}`` names the phase from now on; ``DELETE /_lab/permissions``
- ``GET /_lab/clock``; ``POST /_lab/clock`` ``{"advance": seconds}`` or ``{"until": epoch seconds}``, or ``{"shared":
  true}`` where clients read the world's time (``lab.controller``)
- ``GET /_lab/timings``; ``POST /_lab/timings`` ``{"<name>": seconds}``
- ``POST /_lab/accounts`` ``{"<account id>": "<organization id, or empty>"}`` moves accounts between organizations
- ``POST /_lab/control_policies`` ``{"<account id>": [<policy document>, ..]}`` sets an account's service control
  policies, ``POST /_lab/resource_control_policies`` those that bind its resources
- ``GET /_lab/behaviours``; ``POST /_lab/behaviours`` ``{"<name>": "<choice>"}``
- ``GET /_lab/faults``; ``POST /_lab/faults`` with a fault or a list of them; ``DELETE /_lab/faults``;
  ``POST /_lab/faults/release`` ``{"id": number}`` lets go on what a ``hold`` keeps back
- ``GET /_lab/quotas``; ``POST /_lab/quotas`` ``{"enforced": true}`` or, for single accounts, ``{"adjusted":
  {"<account id>": {"dynamodb.global_indexes": 25}}}``
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from lab.errors import AwsError
from lab.faults import Fault
from lab.messages import HttpRequest, HttpResponse
from lab.policy import parse
from lab.protocol import json_bytes
from lab.world import World

PREFIX = "/_lab/"
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def answer(world: World, request: HttpRequest) -> HttpResponse:
    """The response to a control request: 200 with JSON, 400 with ``error`` for bad input, 404 for anything unknown."""
    route = _ROUTES.get((request.method, request.path.removeprefix(PREFIX).rstrip("/")))
    if route is None:
        return _json({"error": f"No {request.method} {request.path} here."}, 404)
    try:
        content = json.loads(request.body) if request.body else {}
        return _json(route(world, request.parameters, content))
    except (KeyError, ValueError, TypeError, AttributeError, AwsError) as failure:
        return _json({"error": str(failure.args[0] if failure.args else failure)}, 400)


def _json(content: Any, status: int = 200) -> HttpResponse:
    return HttpResponse(status, {"Content-Type": "application/json"}, json_bytes(content))


def _state(world: World, _query: dict[str, str], _content: Any) -> dict[str, Any]:
    with world.lock:
        return {
            "clock": _clock(world, {}, {}),
            "scale": world.timings.scale,
            "quotas": world.quotas,
            "timings": world.timings.all(),
            "behaviours": world.behaviours.all(),
            "accounts": [asdict(account) for account in world.accounts.values()],
            "services": sorted(world.services),
            "calls": world.request_log.count(),
            "faults": len(world.faults.all()),
            "event_errors": list(world.event_errors),
        }


def _change_state(world: World, query: dict[str, str], content: dict[str, Any]) -> dict[str, Any]:
    unknown = set(content) - {"advance", "timings", "quotas"}
    if unknown:
        raise ValueError(f"The state has no members {', '.join(sorted(unknown))} that can be set.")
    _set_timings(world, query, content.get("timings", {}))
    if "quotas" in content:
        world.quotas = bool(content["quotas"])
    if "advance" in content:
        world.advance(float(content["advance"]))
    return _state(world, query, {})


def _requests(world: World, query: dict[str, str], _content: Any) -> dict[str, Any]:
    filters: dict[str, Any] = {
        name: query[name] for name in ("operation", "account", "region", "service", "error_code") if name in query
    }
    filters |= {name: _FLAGS[query[name]] for name in ("ok", "mutating") if name in query}
    content: dict[str, Any] = {"count": world.request_log.count(**filters), "summary": world.request_log.summary()}
    if "entries" in query:
        content["entries"] = [entry._asdict() for entry in world.request_log.calls(**filters)]
    return content


def _clear_requests(world: World, _query: dict[str, str], _content: Any) -> dict[str, Any]:
    world.request_log.clear()
    return {"count": 0}


def _jobs(world: World, query: dict[str, str], _content: Any) -> list[dict[str, Any]]:
    filters = {name: query[name] for name in ("kind", "account", "region", "resource", "id") if name in query}
    return [job._asdict() for job in world.request_log.jobs(**filters)]


def _permissions(world: World, query: dict[str, str], _content: Any) -> list[dict[str, Any]]:
    return [entry._asdict() for entry in world.permission_log.all(query.get("principal", ""))]


def _set_phase(world: World, _query: dict[str, str], content: dict[str, Any]) -> dict[str, Any]:
    world.permission_log.phase = str(content["phase"])
    return {"phase": world.permission_log.phase}


def _clear_permissions(world: World, _query: dict[str, str], _content: Any) -> list[dict[str, Any]]:
    world.permission_log.clear()
    return []


def _clock(world: World, _query: dict[str, str], _content: Any) -> dict[str, Any]:
    return {"now": world.clock.now(), "offset": world.clock.offset, "shared": world.clock.shared}


def _advance(world: World, query: dict[str, str], content: dict[str, Any]) -> dict[str, Any]:
    if "shared" in content:
        world.clock.shared = bool(content["shared"])
        return _clock(world, query, {})
    seconds = content["advance"] if "advance" in content else float(content["until"]) - world.clock.now()
    world.advance(float(seconds))
    return _clock(world, query, {})


def _timings(world: World, _query: dict[str, str], _content: Any) -> dict[str, float]:
    return world.timings.all()


def _set_timings(world: World, _query: dict[str, str], content: dict[str, Any]) -> dict[str, float]:
    for name, seconds in content.items():
        world.timings.set(name, float(seconds))
    return world.timings.all()


def _move_accounts(world: World, _query: dict[str, str], content: dict[str, Any]) -> list[dict[str, Any]]:
    with world.lock:
        for account_id, organization_id in content.items():
            world.accounts[account_id].organization_id = str(organization_id)
    return [asdict(account) for account in world.accounts.values()]


def _set_control_policies(world: World, _query: dict[str, str], content: dict[str, Any]) -> list[dict[str, Any]]:
    with world.lock:
        for account_id, documents in content.items():
            world.accounts[account_id].control_policies = _policies(documents)
    return [asdict(account) for account in world.accounts.values()]


def _set_resource_controls(world: World, _query: dict[str, str], content: dict[str, Any]) -> list[dict[str, Any]]:
    with world.lock:
        for account_id, documents in content.items():
            texts = _policies(documents)
            if any(statement.allow for text in texts for statement in parse(text)):
                raise ValueError("A resource control policy has no Allow.")
            world.accounts[account_id].resource_control_policies = texts
    return [asdict(account) for account in world.accounts.values()]


def _policies(documents: list[Any]) -> list[str]:
    texts = [json.dumps(each) for each in documents]
    for text in texts:
        parse(text)  # a malformed one is refused here, not at the next call
    return texts


def _behaviours(world: World, _query: dict[str, str], _content: Any) -> dict[str, str]:
    return world.behaviours.all()


def _choose_behaviours(world: World, _query: dict[str, str], content: dict[str, Any]) -> dict[str, str]:
    for name, choice in content.items():
        world.behaviours.choose(name, str(choice))
    return world.behaviours.all()


def _faults(world: World, _query: dict[str, str], _content: Any) -> list[dict[str, Any]]:
    return [asdict(fault) for fault in world.faults.all()]


def _add_faults(world: World, query: dict[str, str], content: Any) -> list[dict[str, Any]]:
    planned = [Fault.from_mapping(each) for each in (content if isinstance(content, list) else [content])]
    for fault in planned:
        world.faults.add(fault)
    return _faults(world, query, {})


def _release_fault(world: World, query: dict[str, str], content: dict[str, Any]) -> list[dict[str, Any]]:
    world.faults.release(int(content["id"]))
    return _faults(world, query, {})


def _clear_faults(world: World, _query: dict[str, str], _content: Any) -> list[dict[str, Any]]:
    world.faults.clear()
    return []


def _quotas(world: World, _query: dict[str, str], _content: Any) -> dict[str, Any]:
    return {"enforced": world.quotas, "adjusted": world.adjusted_quotas()}


def _set_quotas(world: World, query: dict[str, str], content: dict[str, Any]) -> dict[str, Any]:
    if not content or set(content) - {"enforced", "adjusted"}:
        raise ValueError("Quotas are enforced or adjusted.")
    for account_id, quotas in content.get("adjusted", {}).items():
        for name, value in quotas.items():
            world.adjust_quota(account_id, name, int(value))
    world.quotas = bool(content.get("enforced", world.quotas))
    return _quotas(world, query, {})


_ROUTES: dict[tuple[str, str], Callable[[World, dict[str, str], Any], Any]] = {
    ("GET", "state"): _state,
    ("POST", "state"): _change_state,
    ("GET", "requests"): _requests,
    ("DELETE", "requests"): _clear_requests,
    ("GET", "jobs"): _jobs,
    ("GET", "permissions"): _permissions,
    ("POST", "permissions"): _set_phase,
    ("DELETE", "permissions"): _clear_permissions,
    ("GET", "clock"): _clock,
    ("POST", "clock"): _advance,
    ("GET", "timings"): _timings,
    ("POST", "timings"): _set_timings,
    ("POST", "accounts"): _move_accounts,
    ("POST", "control_policies"): _set_control_policies,
    ("POST", "resource_control_policies"): _set_resource_controls,
    ("GET", "behaviours"): _behaviours,
    ("POST", "behaviours"): _choose_behaviours,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _add_faults,
    ("POST", "faults/release"): _release_fault,
    ("DELETE", "faults"): _clear_faults,
    ("GET", "quotas"): _quotas,
    ("POST", "quotas"): _set_quotas,
}
