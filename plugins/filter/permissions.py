# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policies of ``docs/permissions`` for the accounts and tables of an inventory, filled in. Nobody is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.common.validation import check_type_dict

from ansible_collections.tableferry.aws.plugins.filter.tables import switch, table_names
from ansible_collections.tableferry.aws.plugins.plugin_utils.hostvars import HostVars, plain, read
from ansible_collections.tableferry.aws.plugins.plugin_utils.sides import Sides, account_of

FOLDER = Path(__file__).parents[2] / "docs" / "permissions"
RECORDS = "tableferry"  # what they are called that nobody named
VAULT = "tableferry"
# The roles that migrations make, by side: the variable that names the user's own, and what ours is called.
ROLES = {
    "source": (("ferry_backup_role", "AWSBackup-tableferry"),),
    "destination": (("ferry_restore_role", "AWSBackup-tableferry"), ("ferry_spark", "tableferry-spark")),
}
OTHER = {"source": "destination", "destination": "source"}


@dataclass
class _Caller:
    """What the caller of one side is to be allowed: ``places`` as ``filled`` takes them."""

    side: str
    account: str
    region: str
    principal: str
    arn: str = ""  # of its user or role, where that is known
    files: set[str] = field(default_factory=set)
    methods: set[str] = field(default_factory=set)
    phases: set[str] = field(default_factory=set)
    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, place: str, *values: str) -> None:
        """Add values of a place, each once."""
        kept = self.places.setdefault(place, [])
        kept += [value for value in dict.fromkeys(values) if value not in kept]

    @property
    def name(self) -> str:
        """What its policies are called."""
        return "-".join(("tableferry", self.side, self.account, self.region))


def caller_policies(hosts: Iterable[str], hostvars: HostVars, sides: Sides) -> dict[str, Any]:
    """The policies that the callers of the tables ``hosts`` need: ``files``, each with ``name`` and ``content``, and
    ``lines`` that show them. ``sides`` is of ``inventory_sides`` or ``known_sides``; an account whose id neither says
    stays the word SOURCE or DESTINATION."""
    callers: dict[tuple[str, ...], _Caller] = {}
    for host in hosts:
        for side in OTHER:
            caller = _caller(side, host, sides)
            key = (caller.side, caller.account, caller.region, caller.principal, caller.arn)
            _note(callers.setdefault(key, caller), host, hostvars[host], sides)
    files: list[dict[str, str]] = []
    lines: list[str] = []
    taken: dict[str, int] = {}
    for caller in callers.values():
        taken[caller.name] = number = taken.get(caller.name, 0) + 1
        begin = caller.name if number == 1 else f"{caller.name}-caller-{number}"
        made, every = _made(caller)
        names = [f"{begin}.json"] if len(made) == 1 else [f"{begin}-{at}.json" for at in range(1, len(made) + 1)]
        lines += _about(caller, names, every)
        for name, document in zip(names, made, strict=True):
            text = json.dumps(document, indent=2, ensure_ascii=False)
            files.append({"name": name, "content": f"{text}\n"})
            lines += ["", name, *text.splitlines()]
        lines.append("")
    return {"files": files, "lines": lines[:-1]}


def ready_policies(methods: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The policies of ``methods`` as they stand in docs/permissions, with their places, by method and side; ``emr``
    with a cluster is ``emr-cluster``. Methods without policies are left out."""
    made = {}
    for method in methods:
        parts = {side: [json.loads(path.read_text()) for path in _parts_of(f"{method}-{side}")] for side in OTHER}
        if all(parts.values()):
            made[method] = {
                side: {**found[0], "Statement": [each for part in found for each in part["Statement"]]}
                for side, found in parts.items()
            }
    return made


def _caller(side: str, host: str, sides: Sides) -> _Caller:
    found = account_of(sides, host, f"ferry_{side}")
    options = check_type_dict(found["options"])
    role = str(options.get("role_arn") or "")
    account = str(found.get("account_id") or options.get("account_id") or role.partition("::")[2][:12])
    principal = role or (f"profile {options['profile']}" if options.get("profile") else "")
    region, arn = str(options.get("region") or "REGION"), role or str(found.get("principal_arn") or "")
    return _Caller(side, account or side.upper(), region, principal, arn)


def _note(caller: _Caller, host: str, variables: Mapping[str, Any], sides: Sides) -> None:
    """Add what one table needs."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core import migration
    from ansible_collections.tableferry.aws.plugins.module_utils.core.statements import ready_policies

    side, other = caller.side, _caller(OTHER[caller.side], host, sides)
    spark = check_type_dict(plain(read(variables, "ferry_spark") or {}))
    method = migration.chosen(str(read(variables, "ferry_method") or migration.AUTO))
    ways = [f"{method}-{spark.get('engine')}-{side}", f"{method}-{side}"]
    found = next((names for way in ways if (names := [path.name for path in _parts_of(way)])), [])
    caller.files.update(found)
    if method in migration.METHODS:  # one that ends with the jobs of another one needs what that one does
        kinds = migration.method_of(method, host, str(spark.get("end") or "")).kinds.keys()
        alike = [name for name, each in migration.METHODS.items() if each.kinds.keys() < kinds]
        caller.files.update(path.name for name in alike for path in _parts_of(f"{name}-{side}") if name != method)
    caller.methods.add(method)
    managed = switch(read(variables, "ferry_manage_accounts", True))
    caller.phases.update(phase for phase in ready_policies.PHASES if managed or phase != "Prepare")

    both = {side: caller, other.side: other}
    source, destination = both["source"], both["destination"]
    for each, word in ((source, "SOURCE"), (destination, "DESTINATION")):
        caller.add(word, each.account)
        caller.add(f"REGION:{word}", f"{each.region}:{each.account}")
    caller.add("REGION", caller.region)
    for kind, asked in ready_policies.caller_places(caller.arn).items():
        caller.add(kind, *asked)
    names = dict(zip(("source", "destination"), table_names(host, variables), strict=True))
    caller.add("TABLE", names[side])
    caller.add(f"table/{RECORDS}", f"table/{read(variables, 'ferry_record_table') or RECORDS}")
    bucket = read(variables, "ferry_staging_bucket") or f"tableferry-{destination.account}-{destination.region}"
    caller.add("BUCKET", str(bucket))
    for each in both:
        vault = str(read(variables, f"ferry_backup_{each}_vault") or VAULT)
        place = f"{both[each].region}:{both[each].account}:backup-vault"
        caller.add(f"REGION:{each.upper()}:backup-vault:VAULT", f"{place}:{vault}")
    caller.add(
        "STREAM", *(str(arn).rpartition("/")[2] for arn in (read(variables, "ferry_kinesis_map") or {}).values())
    )
    _note_keys(caller, method, variables)
    for variable, ours in ROLES[side]:
        given = spark.get("role_arn") if variable == "ferry_spark" else read(variables, variable)
        caller.add(f"role/{ours}", f"role/{str(given).rpartition(':role/')[2] or given}" if given else f"role/{ours}")


def _note_keys(caller: _Caller, method: str, variables: Mapping[str, Any]) -> None:
    """The keys of tables and bucket, where all of them are named; those that a run makes have no id before it."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core import migration

    every = f"arn:aws:kms:REGION:{caller.side.upper()}:key/*"
    known = read(variables, "ferry_kms_key_map") or {}
    made = migration.data_needs(method) == "backed_up" or switch(read(variables, "ferry_create_staging_key", False))
    named = known if caller.side == "source" else [*known.values(), read(variables, "ferry_staging_kms_key_arn")]
    arns = [str(key) for key in named if key]
    caller.add(every, *([every] if made or not known or not all(arn.startswith("arn:") for arn in arns) else arns))


def _parts_of(way: str) -> list[Path]:
    """The files of a policy: one, or those of its parts."""
    return [path for path in (FOLDER / f"{way}.json", *sorted(FOLDER.glob(f"{way}-[0-9].json"))) if path.exists()]


def _made(caller: _Caller) -> tuple[list[dict[str, Any]], bool]:
    """The policies of a caller, and whether they allow every table, as the names of all do not fit."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core.statements import ready_policies

    whole = ready_policies.together(
        (json.loads((FOLDER / name).read_text()) for name in sorted(caller.files)), caller.phases
    )
    whole["Statement"] = [kept for each in whole["Statement"] if (kept := _without_own_roles(each, caller)) is not None]
    made = _of_partition(ready_policies.filled(whole, _places(caller)), caller.region)
    parts = ready_policies.parts(made)
    if len(parts) <= ready_policies.MOST:
        return parts, False
    places = {**_places(caller), "TABLE": ["*"]}
    return ready_policies.parts(_of_partition(ready_policies.filled(whole, places), caller.region)), True


def _places(caller: _Caller) -> dict[str, list[str]]:
    """The places, those first that hold others; ARNs of keys are filled in as a whole."""
    every = f"arn:aws:kms:REGION:{caller.side.upper()}:key/*"
    keys = caller.places[every]
    if every in keys:
        keys = [f"arn:aws:kms:{caller.region}:{caller.account}:key/*"]
    domain = "amazonaws.com.cn" if _partition(caller.region) == "aws-cn" else "amazonaws.com"
    return {**caller.places, every: keys, "REGION.amazonaws.com": [f"{caller.region}.{domain}"]}


def _without_own_roles(statement: dict[str, Any], caller: _Caller) -> dict[str, Any] | None:
    """The statement without what makes or changes roles that the user has made; None where nothing is left."""
    if "iam:PassRole" in statement["Action"]:
        return statement
    listed = statement["Resource"]
    resources = [listed] if isinstance(listed, str) else listed
    own = {
        f"role/{ours}" for _variable, ours in ROLES[caller.side] if f"role/{ours}" not in caller.places[f"role/{ours}"]
    }
    left = [each for each in resources if "role/" + each.rpartition(":role/")[2] not in own]
    return {**statement, "Resource": left} if left else None


def _partition(region: str) -> str:
    from ansible_collections.tableferry.aws.plugins.module_utils.core import sdk

    try:
        return str(sdk.shared_session().get_partition_for_region(region))
    except sdk.BotoCoreError:
        return "aws"  # a Region that nobody knows, which the check of the inventory refuses


def _of_partition(document: dict[str, Any], region: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(document).replace("arn:aws:", f"arn:{_partition(region)}:"))
    return made


def _about(caller: _Caller, names: list[str], every: bool) -> list[str]:
    """What stands above a caller's policies."""
    who = f" ({caller.principal})" if caller.principal else ""
    tables = caller.places["TABLE"]
    count = f"{len(tables)} table{'' if len(tables) == 1 else 's'}"
    attach = "attach this policy" if len(names) == 1 else f"attach these {len(names)} policies"
    lines = [
        f"{caller.side} account {caller.account}, {caller.region}{who}: {count} by {', '.join(sorted(caller.methods))};"
        f" {attach} to the caller of ferry_{caller.side}"
    ]
    unknown = [word for word in ("SOURCE", "DESTINATION") if caller.places[word] == [word]]
    if unknown:
        lines.append(
            f"{' and '.join(unknown)}: the inventory does not say the id of the account. Set account_id in"
            f" {' and '.join(f'ferry_{word.lower()}' for word in unknown)}, or replace the word."
        )
    if every:
        lines.append("Every table of the account and Region is allowed: the names of all do not fit.")
    return lines


class FilterModule:
    """Filters for permissions."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {"caller_policies": caller_policies, "ready_policies": ready_policies}
